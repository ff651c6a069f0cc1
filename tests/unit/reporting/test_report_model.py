from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest
import report_samples

from safeborders_fed.errors import DefectError
from safeborders_fed.reporting.model import TOTAL, NodeFacts, TrendCell


def refusal(build: Callable[[], object], match: str) -> None:
    with pytest.raises(DefectError, match=match) as caught:
        build()
    assert caught.value.code == "report-facts"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1])
def test_counts_that_are_no_counts_are_refused(value: float) -> None:
    refusal(lambda: TrendCell("2024", "F", "A", value, 1.0), "value of cell")
    refusal(lambda: TrendCell("2024", "F", "A", 1.0, value), "standard error of cell")
    refusal(lambda: report_samples.report(total_rho=value), "total_rho")
    refusal(lambda: report_samples.report(seconds={"Training": value}), "Training of the timings")


def test_negative_intake_is_refused() -> None:
    refusal(lambda: NodeFacts("Belgium", -1, 0), "victims of node 'Belgium'")


def test_areas_above_one_are_refused() -> None:
    refusal(lambda: report_samples.detection(federated=1.2), "more than 1")
    refusal(
        lambda: report_samples.detection(own_records={"Belgium": (0.8, 1.01)}),
        "own of own records of 'Belgium'",
    )


def test_a_node_without_model_needs_a_reason() -> None:
    refusal(lambda: report_samples.detection(alone_reasons={}), "no reason is given why node 'Ελλάδα'")


@pytest.mark.parametrize("delta", [0.0, 1.0, -1e-6, float("nan")])
def test_delta_must_be_a_probability_between_zero_and_one(delta: float) -> None:
    refusal(lambda: report_samples.report(delta=delta), "delta of the report")
    refusal(lambda: replace(report_samples.studies()[0], delta=delta), "delta of study 'sample-victims-1'")


def test_an_unknown_trust_mode_is_refused() -> None:
    refusal(lambda: replace(report_samples.studies()[0], trust="hopeful"), "not 'local' or 'masked'")


def test_time_of_creation_needs_a_time_zone() -> None:
    refusal(lambda: report_samples.report(created=datetime(2026, 1, 1)), "no time zone")  # noqa: DTZ001 - the point


@pytest.mark.parametrize("table", ["cells", "by_year_form", "by_year_age", "by_year", "by_form"])
def test_tables_with_a_hole_or_a_double_cell_are_refused(table: str) -> None:
    tables = report_samples.trend_tables(years=("2023", "2024"))
    rows = getattr(tables, table)
    refusal(lambda: replace(tables, **{table: rows[1:]}), "lacks, or should not have")
    refusal(lambda: replace(tables, **{table: (*rows, rows[0])}), "two values for one cell")


def test_a_total_that_is_no_total_is_refused() -> None:
    tables = report_samples.trend_tables()
    refusal(lambda: replace(tables, total=TrendCell("2024", TOTAL, TOTAL, 1.0, 1.0)), "trend table total")


def test_tables_without_any_year_are_refused() -> None:
    refusal(lambda: report_samples.trend_tables(years=("Other",)), "no year")
