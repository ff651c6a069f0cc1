from __future__ import annotations

import math

import pytest
import report_samples
from hypothesis import given
from hypothesis import strategies as st

from safeborders_fed.reporting.figures import (
    Change,
    Count,
    PublishedTrends,
    auc_difference,
    auc_text,
    cost_text,
    one_in,
    publish,
)
from safeborders_fed.reporting.model import TOTAL, TrendCell, TrendTables

SPACED = "\u00a0±\u00a0"


def one_cell(value: float, sigma: float) -> Count:
    def cell(year: str, form: str, age: str) -> TrendCell:
        return TrendCell(year, form, age, value, sigma)

    tables = TrendTables(
        cells=(cell("2024", "F", "A"),),
        by_year_form=(cell("2024", "F", TOTAL),),
        by_year_age=(cell("2024", TOTAL, "A"),),
        by_year=(cell("2024", TOTAL, TOTAL),),
        by_form=(cell(TOTAL, "F", TOTAL),),
    )
    return publish(tables).of(year="2024", form="F", age_band="A")


@pytest.mark.parametrize(
    ("value", "sigma", "interval", "unclear"),
    [
        (123.4, 10.0, (102, 123, 144), False),  # 19.6 + .5 = 20.1
        (123.6, 0.0, (123, 124, 125), False),
        (3.2, 2.4, (0, 3, 9), True),  # 4.704 + .5 = 5.204
        (6.4, 2.4, (0, 6, 12), True),
        (7.0, 2.4, (1, 7, 13), False),
        (0.0, 0.0, (0, 0, 1), True),
    ],
)
def test_interval_stands_around_the_published_number(
    value: float, sigma: float, interval: tuple[int, int, int], *, unclear: bool
) -> None:
    count = one_cell(value, sigma)
    assert (count.low, count.value, count.high) == interval
    assert count.unclear == unclear


@given(st.floats(0, 1e6), st.floats(-0.49, 0.49), st.floats(0, 500))
def test_published_interval_does_not_depend_on_the_decimals_of_the_value(
    value: float, shift: float, sigma: float
) -> None:
    whole = float(round(value))
    if whole + shift >= 0:
        assert one_cell(whole + shift, sigma) == one_cell(whole, sigma)


@given(st.floats(0, 1e6), st.floats(0, 500))
def test_margin_covers_noise_and_rounding_and_is_less_than_one_wider(value: float, sigma: float) -> None:
    exact = 1.96 * sigma + 0.5
    assert exact <= one_cell(value, sigma).margin < exact + 1


def test_count_that_may_be_zero_is_marked_and_never_a_plain_zero() -> None:
    assert one_cell(0.2, 2.4).text == f"0{SPACED}6†"
    assert one_cell(4321, 2.4).text == f"4,321{SPACED}6"


def test_change_adds_both_margins() -> None:
    trends = PublishedTrends(
        years=("2020", "2021"),
        columns=("2020", "2021"),
        forms=(),
        age_bands=(),
        counts={("2020", TOTAL, TOTAL): Count(100, 9), ("2021", TOTAL, TOTAL): Count(82, 10)},
    )
    assert trends.change() == Change(-18, 19)
    assert not trends.change().beyond_noise
    assert Change(-20, 19).beyond_noise
    assert trends.change().text == f"\u221218{SPACED}19"


def test_share_is_of_published_counts_and_its_margin_holds_at_both_ends() -> None:
    trends = publish(report_samples.trend_tables())
    for year in trends.years:
        for band in trends.age_bands:
            share, margin = trends.share(year, band)
            part, whole = trends.of(year=year, age_band=band), trends.of(year=year)
            assert share == round(100 * part.value / whole.value)
            # The widest ratio, to first order in the margins: second order is below half a point here.
            assert share + margin >= 100 * part.high / whole.low - 0.5
            assert share - margin <= 100 * part.low / whole.high + 0.5


def test_share_of_a_year_that_may_be_empty_is_not_known() -> None:
    counts = {("2020", TOTAL, "A"): Count(3, 5), ("2020", TOTAL, TOTAL): Count(4, 5)}
    trends = PublishedTrends(("2020",), ("2020",), (), ("A",), counts)
    assert trends.share("2020", "A") is None


def test_years_of_the_axis_are_sorted_and_without_other() -> None:
    trends = publish(report_samples.trend_tables(years=("Other", "2021", "2019", "2020")))
    assert trends.years == ("2019", "2020", "2021")
    assert trends.columns == ("Other", "2021", "2019", "2020")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.3, "0.3"),
        (1, "1"),
        (0.99741, "0.998"),
        (0.00040001, "0.000401"),
        (7.999, "8"),
        (1234.2, "1,240"),
    ],
)
def test_privacy_cost_is_rounded_up(value: float, text: str) -> None:
    assert cost_text(value) == text


@given(st.floats(1e-9, 1e4))
def test_privacy_cost_is_never_shown_too_low(value: float) -> None:
    shown = float(cost_text(value).replace(",", ""))
    assert value * (1 - 1e-11) <= shown <= value * 1.0101


@pytest.mark.parametrize(
    ("delta", "text"), [(1e-6, "1 in 1,000,000"), (1e-5, "1 in 100,000"), (0.3, "1 in 3")]
)
def test_delta_in_words(delta: float, text: str) -> None:
    assert one_in(delta) == text


def test_areas_have_three_decimals_and_a_mark_when_missing() -> None:
    assert (auc_text(0.88412), auc_text(1.0), auc_text(None)) == ("0.884", "1.000", "too little data")
    assert auc_difference(0.8903, 0.8841) == "+0.006"
    assert auc_difference(0.7, 0.8841) == "\u22120.184"
    assert auc_difference(None, 0.8) == ":"
    assert math.isclose(float(auc_difference(0.5, 0.5)), 0)
