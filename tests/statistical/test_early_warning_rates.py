"""Early warning keeps its false-alarm rate, and finds what doubles.

Each test counts reports of independent worlds, so that its count is binomial, and compares it with the count
that a rate on the right side of the promise exceeds with a chance of at most ``CHANCE``. The same counts tell
implementations apart that do not keep the promise: without a correction for how many series there are, or
with a prediction that is taken to be exact.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from safeborders_fed.reporting import early_warning, surprise
from safeborders_fed.reporting.early_warning import warnings_of
from warning_worlds import USUAL, World, counts, table

RATE = 0.05
REPORTS = 500
PLANTED = 200
CHANCE = 1e-9
MOST = int(binom.isf(CHANCE, REPORTS, RATE))
"""False alarms of so many reports at most, by a rate of 5% or less, but for a chance of 1e-9."""
pytestmark = pytest.mark.slow


def alarms(
    past: int, reports: int = REPORTS, *, fewest: int = 100, most: int = 300, world: World = USUAL
) -> int:
    draw = np.random.default_rng(past)
    return sum(
        bool(
            warnings_of(
                [
                    table(
                        counts(
                            draw, series=int(draw.integers(fewest, most + 1)), periods=past + 1, world=world
                        )
                    )
                ]
            ).raised
        )
        for _ in range(reports)
    )


@pytest.mark.parametrize("past", [8, 12, 16, 20])
def test_at_most_five_reports_of_a_hundred_raise_a_false_alarm(past: int) -> None:
    assert alarms(past) <= MOST


def test_corridors_of_which_most_are_empty_keep_the_rate() -> None:
    reports = 60
    found = alarms(12, reports, fewest=1369, most=1369, world=World(sparse=True))
    assert found <= binom.isf(CHANCE, reports, RATE)


def test_without_a_correction_for_the_number_of_series_the_count_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(early_warning, "shares", lambda effects, _: np.ones(len(effects)))
    assert alarms(12) > MOST


def test_where_what_is_expected_is_taken_to_be_exact_the_count_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = surprise._compared

    def exact(values: np.ndarray, *given: np.ndarray, seasons: int, window: int) -> surprise.Surprise:
        found = compared(values, *given, seasons=seasons, window=window)
        # Half of the variance of a prediction from two years, and more for two periods, is the past's.
        return replace(found, error=found.error * np.sqrt(window / (window + 1)))

    monkeypatch.setattr(surprise, "_compared", exact)
    monkeypatch.setattr(surprise, "_unrest", lambda *_: 0.0)
    assert alarms(8) > MOST


def test_tables_that_share_cells_do_not_break_the_rate() -> None:
    draw = np.random.default_rng(99)
    found = 0
    for _ in range(REPORTS):
        values = counts(draw, series=60, periods=17)
        sums = values.reshape(20, 3, 17).sum(axis=1)
        tables = [table(values), table(sums, axis="form", sigma=10.4), table(values, axis="means")]
        found += bool(warnings_of(tables).raised)
    assert found <= MOST


@pytest.mark.parametrize(("past", "fewest", "most", "rate"), [(12, 30, 30, 0.88), (20, 100, 300, 0.80)])
def test_a_corridor_that_doubles_from_sixty_is_found_within_two_quarters(
    past: int, fewest: int, most: int, rate: float
) -> None:
    draw, found = np.random.default_rng(7), 0
    for _ in range(PLANTED):
        size = int(draw.integers(fewest, most + 1))
        values = counts(draw, series=size, periods=past + 2, planted=60.0, doubles_at=past)
        reports = (warnings_of([table(values[:, : past + quarters])]) for quarters in (1, 2))
        found += any(entry.key[0][1] == "corridor 000" for report in reports for entry in report.raised)
    # With this true rate or a higher one, fewer than this happens with a chance of at most 1e-9.
    assert found >= binom.ppf(CHANCE, PLANTED, rate)


def test_the_intervals_of_a_report_hold_all_at_once() -> None:
    draw, held = np.random.default_rng(11), 0
    for _ in range(REPORTS):
        found = warnings_of([table(counts(draw, series=100, periods=17))])
        held += all(entry.low <= 0 <= entry.high for entry in found.series)
    assert held >= binom.ppf(CHANCE, REPORTS, 1 - RATE)
