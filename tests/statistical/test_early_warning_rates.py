"""Early warning keeps its false-alarm rate, and finds what doubles. Each test errs with chance 1e-6."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from safeborders_fed.reporting.early_warning import warnings_of
from warning_worlds import counts, table

REPORTS = 1_000
PLANTED = 300
CHANCE = 1e-6
pytestmark = pytest.mark.slow


def series(draw: np.random.Generator) -> int:
    return int(draw.integers(100, 301))


@pytest.mark.parametrize("past", [8, 12, 16, 20])
def test_at_most_five_reports_of_a_hundred_raise_a_false_alarm(past: int) -> None:
    draw = np.random.default_rng(past)
    alarms = sum(
        bool(warnings_of([table(counts(draw, series=series(draw), periods=past + 1))]).raised)
        for _ in range(REPORTS)
    )
    # With a true rate of 5% or less, more than this happens with chance 1e-6.
    assert alarms <= binom.isf(CHANCE, REPORTS, 0.05)


def test_tables_that_share_cells_do_not_break_the_rate() -> None:
    draw = np.random.default_rng(99)
    alarms = 0
    for _ in range(REPORTS // 2):
        values = counts(draw, series=60, periods=17)
        sums = values.reshape(20, 3, 17).sum(axis=1)
        tables = [table(values), table(sums, axis="form", sigma=10.4), table(values, axis="means")]
        alarms += bool(warnings_of(tables).raised)
    assert alarms <= binom.isf(CHANCE, REPORTS // 2, 0.05)


@pytest.mark.parametrize(("past", "fewest", "most", "rate"), [(12, 30, 30, 0.9), (20, 100, 300, 0.83)])
def test_a_corridor_that_doubles_from_sixty_is_found_within_two_quarters(
    past: int, fewest: int, most: int, rate: float
) -> None:
    draw, found = np.random.default_rng(7), 0
    for _ in range(PLANTED):
        size = int(draw.integers(fewest, most + 1))
        values = counts(draw, series=size, periods=past + 2, planted=60.0, doubles_at=past)
        reports = (warnings_of([table(values[:, : past + quarters])]) for quarters in (1, 2))
        found += any(entry.key[0][1] == "corridor 000" for report in reports for entry in report.raised)
    # With this true rate or a higher one, fewer than this happens with chance 1e-6.
    assert found >= binom.ppf(CHANCE, PLANTED, rate)


def test_the_intervals_of_a_report_hold_all_at_once() -> None:
    draw, held = np.random.default_rng(11), 0
    reports = REPORTS // 2
    for _ in range(reports):
        found = warnings_of([table(counts(draw, series=100, periods=17))])
        held += all(entry.low <= 0 <= entry.high for entry in found.series)
    assert held >= binom.ppf(CHANCE, reports, 0.95)
