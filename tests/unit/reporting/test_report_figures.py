from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safeborders_fed.reporting.figures import auc_difference, auc_text, cost_text, count_of, one_in

SPACED = "\u00a0±\u00a0"


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
    count = count_of(value, sigma)
    assert (count.low, count.value, count.high) == interval
    assert count.unclear == unclear


@given(st.floats(0, 1e6), st.floats(-0.49, 0.49), st.floats(0, 500))
def test_published_interval_does_not_depend_on_the_decimals_of_the_value(
    value: float, shift: float, sigma: float
) -> None:
    whole = float(round(value))
    if whole + shift >= 0:
        assert count_of(whole + shift, sigma) == count_of(whole, sigma)


@given(st.floats(0, 1e6), st.floats(0, 500))
def test_margin_covers_noise_and_rounding_and_is_less_than_one_wider(value: float, sigma: float) -> None:
    exact = 1.96 * sigma + 0.5
    assert exact <= count_of(value, sigma).margin < exact + 1


def test_count_that_may_be_zero_is_marked_and_never_a_plain_zero() -> None:
    assert count_of(0.2, 2.4).text == f"0{SPACED}6†"
    assert count_of(4321, 2.4).text == f"4,321{SPACED}6"


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
