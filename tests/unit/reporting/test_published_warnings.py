"""Early warnings in the signed document: what is named, with which numbers, and what never shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from followed_samples import CALM, EMERGING, FALLING, QUARTERS, RISING, STEADY, followed, made, table
from safeborders_fed.errors import PeerError, UsageError
from safeborders_fed.reporting import published_warnings as published
from safeborders_fed.reporting.early_warning import SeriesWarning, Verdict, warnings_of
from safeborders_fed.reporting.noisy_tables import Axis, NoisyTable, TableRelease
from safeborders_fed.reporting.table_release import Origin, document
from safeborders_fed.study import canonical
from safeborders_fed.study.table_file import Rules, TableFile, read
from safeborders_fed.study.table_notes import EarlyWarnings, RaisedSeries
from table_samples import TODAY
from type_samples import typed


def said(file: TableFile) -> EarlyWarnings:
    found = file.tables.warnings
    assert found is not None
    return found


def test_a_raised_series_is_named_with_numbers_in_multiples_of_the_base() -> None:
    found = said(made(table(RISING, *CALM)))
    assert (found.period, found.tested, found.short, found.raised, found.withheld) == ("2025-Q2", 10, 0, 1, 0)
    (only,) = found.series
    assert (only.table, only.codes, only.verdict) == ("quarter x citizenship", {"citizenship": "C0"}, "rise")
    assert only.periods == ("2025-Q2",)
    assert only.numbers is not None
    assert (only.numbers.observed, only.numbers.expected) == (240, 60)
    assert 0 < only.numbers.low < 180 < only.numbers.high
    assert all(number % 5 == 0 for number in only.numbers.model_dump().values())
    assert read(made(table(RISING, *CALM)).to_bytes()).tables.warnings == found


def test_what_was_seen_in_two_periods_is_rounded_as_well() -> None:
    (only,) = said(made(table((*STEADY[:-2], 140, 145), *CALM))).series
    assert only.periods == QUARTERS[-2:]
    assert only.numbers is not None
    assert only.numbers.observed == 145  # of 142.5


def test_without_a_change_nothing_is_raised() -> None:
    found = said(made(table(*CALM)))
    assert (found.tested, found.raised, found.series) == (9, 0, ())


def test_a_series_whose_latest_count_is_suppressed_is_counted_and_not_named() -> None:
    found = said(made(table(FALLING, *CALM)))
    assert (found.raised, found.withheld, found.series) == (1, 1, ())


def test_a_series_with_a_suppressed_past_is_named_without_numbers() -> None:
    found = said(made(table(EMERGING, *CALM)))
    (only,) = found.series
    assert (only.verdict, only.periods, only.numbers) == ("rise", ("2025-Q1", "2025-Q2"), None)
    assert b'"numbers"' not in made(table(EMERGING, *CALM)).to_bytes()


def test_the_strongest_evidence_comes_first() -> None:
    stronger = (*STEADY[:-1], 700)
    found = said(made(table(RISING, *CALM, stronger)))
    assert [each.codes["citizenship"] for each in found.series] == ["C10", "C0"]


def test_the_rate_is_the_one_that_was_asked_for() -> None:
    assert said(made(table(RISING, *CALM), rate=0.01)).false_alarm_rate == 0.01
    assert made(table(RISING, *CALM), rate=None).tables.warnings is None
    with pytest.raises(UsageError, match="bad-false-alarm-rate"):
        made(table(RISING, *CALM), rate=0.7)


@pytest.mark.parametrize(
    "axes",
    [
        (Axis("form", ("A", "B")),),
        (Axis("year", ("2020", "2021")),),
        (Axis("year", ("Other",)), Axis("form", ("A",))),
    ],
)
def test_where_nothing_is_followed_over_time_nothing_could_be_tested(axes: tuple[Axis, ...]) -> None:
    counts = np.full(tuple(len(axis.codes) for axis in axes), 50.0)
    name = " x ".join(axis.name for axis in axes)
    found = said(made(NoisyTable(name, axes, counts, 2.0)))
    assert (found.period, found.tested, found.short, found.raised) == (None, 0, 0, 0)


def test_a_short_past_is_counted() -> None:
    axes = (Axis("year", ("2020", "2021", "2022")), Axis("form", ("A", "B")))
    found = said(made(NoisyTable("year x form", axes, np.full((3, 2), 50.0), 2.0)))
    assert (found.period, found.tested, found.short) == ("2022", 0, 2)


def test_types_are_followed_by_year() -> None:
    found = said(document(typed(), Rules(), Origin("b" * 64, 1, TODAY), (), 0.05))
    assert (found.tested, found.raised) == (3, 0)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 2.49), st.floats(0, 7.49))
def test_numbers_follow_from_published_counts_alone(seed: int, wobble: float, low: float) -> None:
    """Whatever rounding took away, and whatever is suppressed: as long as the verdicts are the same."""
    draw = np.random.default_rng(seed)
    one = table(RISING, EMERGING, *CALM)
    rounded = 5 * np.floor(one.counts / 5 + 0.5)
    moved = rounded + draw.uniform(-wobble, wobble, rounded.shape)
    moved = np.where(rounded < 10, low * draw.random(rounded.shape), moved)
    other = replace(one, counts=np.maximum(moved, 0.0))
    files = [made(each) for each in (replace(one, counts=rounded), other)]
    assert files[0].tables.tables == files[1].tables.tables
    shown = [{tuple(each.codes.items()): each for each in said(file).series} for file in files]
    assert shown[0].keys() & shown[1].keys()
    for key in shown[0].keys() & shown[1].keys():
        assert _numbers(shown[0][key]) == _numbers(shown[1][key])


def _numbers(each: RaisedSeries) -> Any:
    return each.verdict, each.numbers


def test_no_number_of_the_test_itself_is_published() -> None:
    """Of the raised series only what, when and in which order is read."""
    one = table(RISING, EMERGING, *CALM)
    tables = made(one).tables.tables
    raised = warnings_of([one]).raised
    assert len(raised) == 2
    others = [
        replace(each, observed=1e6, expected=-3.3, low=7.77, high=8.88, evidence=0.04) for each in raised
    ]
    assert published.named(others, tables, Rules(), 0.05) == published.named(raised, tables, Rules(), 0.05)


def test_a_suppressed_count_below_the_floor_changes_no_byte() -> None:
    def public(*past: float) -> bytes:
        emerging = (*past, *EMERGING[len(past) :])
        file = made(table(RISING, emerging, *CALM))
        exports = {name: sha for name, sha in file.exports.items() if not name.endswith("noisy.json")}
        return TableFile(tables=file.tables, exports=exports).to_bytes()

    assert public(3, 4, 2) == public(0.3, 7.2, 5) == public(6, 0, 0.01)


def test_published_counts_that_do_not_show_the_change_give_no_numbers() -> None:
    (entry,) = warnings_of([table(RISING, *CALM)]).raised
    calm = made(table(STEADY, *CALM)).tables.tables
    assert published.named([entry], calm, Rules(), 0.05)[0].numbers is None


def test_a_fall_is_not_shown_with_the_numbers_of_a_rise() -> None:
    (entry,) = warnings_of([table(RISING, *CALM)]).raised
    fallen = SeriesWarning(entry.table, entry.key, Verdict.FALL, entry.periods)
    shown = made(table(RISING, *CALM)).tables.tables
    assert published.named([fallen], shown, Rules(), 0.05)[0].numbers is None


def _numbered(content: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = content["tables"]["warnings"]["series"][0]
    return found


BAD: dict[str, Any] = {
    "a number between multiples": lambda c: _numbered(c)["numbers"].update(expected=62),
    "a float": lambda c: _numbered(c)["numbers"].update(expected=62.5),
    "another table": lambda c: _numbered(c).update(table="year x form"),
    "another code": lambda c: _numbered(c).update(codes={"citizenship": "C99"}),
    "no codes": lambda c: _numbered(c).update(codes={}),
    "another period": lambda c: _numbered(c).update(periods=["2031-Q1"]),
    "no period": lambda c: _numbered(c).update(periods=[]),
    "a third direction": lambda c: _numbered(c).update(verdict="sideways"),
    "more than were tested": lambda c: c["tables"]["warnings"].update(raised=99),
    "fewer than are named": lambda c: c["tables"]["warnings"].update(raised=0),
    "a rate of one": lambda c: c["tables"]["warnings"].update(false_alarm_rate=1.0),
    "no period looked at": lambda c: c["tables"]["warnings"].pop("period"),
    "the evidence": lambda c: _numbered(c).update(evidence=0.001),
    "a suppressed latest count": lambda c: _suppress(c, -2),
    "numbers beside a suppressed past": lambda c: _suppress(c, 0),
}


def _suppress(content: dict[str, Any], period: int) -> None:
    """The count of the first citizenship in a period."""
    (only,) = content["tables"]["tables"]
    width = len(only["axes"][1]["codes"])
    only["cells"][(period % (len(QUARTERS) + 1)) * width] = None


@pytest.mark.parametrize("change", BAD.values(), ids=list(BAD))
def test_a_document_that_warns_of_more_than_it_may_is_refused(change: Any) -> None:
    content = canonical.parse(made(table(RISING, *CALM)).to_bytes())
    change(content)
    with pytest.raises(PeerError, match="bad-tables"):
        read(canonical.serialise(content))


def of_quarters(values: tuple[tuple[int, ...], ...], chosen: slice, number: int) -> TableRelease:
    """A study of some of the quarters of the series."""
    part = table(*(series[chosen] for series in values), quarters=QUARTERS[chosen])
    return replace(followed(part), study=f"quarters-{number}", manifest_hash=f"{number:064}")


def test_the_past_may_be_that_of_earlier_studies() -> None:
    values = (RISING, *CALM)
    before, now = of_quarters(values, slice(0, -2), 1), of_quarters(values, slice(-2, None), 2)
    found = said(document(now, Rules(), Origin("0" * 64, 1, TODAY), (), 0.05, past=[before]))
    whole = said(made(table(*values)))
    assert (found.period, found.tested, found.raised) == (whole.period, whole.tested, whole.raised)
    assert found.studies == ("quarters-1",)
    (only,) = found.series
    assert (only.codes, only.verdict, only.numbers) == ({"citizenship": "C0"}, "rise", None)


def test_a_change_in_a_period_that_the_document_does_not_count_is_not_named() -> None:
    values = ((*STEADY[:-2], 140, 145), *CALM)  # the last two quarters together are the strongest evidence
    before, now = of_quarters(values, slice(0, -1), 1), of_quarters(values, slice(-1, None), 2)
    found = said(document(now, Rules(), Origin("0" * 64, 1, TODAY), (), 0.05, past=[before]))
    assert (found.raised, found.withheld) == (1, 1)
