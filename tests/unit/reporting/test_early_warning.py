"""What early warning says, what it refuses, and what never changes its evidence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safeborders_fed.errors import UsageError
from safeborders_fed.reporting import surprise as surprises
from safeborders_fed.reporting.early_warning import SeriesWarning, Verdict, Warnings, warnings_of
from safeborders_fed.reporting.noisy_tables import Axis, NoisyTable
from safeborders_fed.reporting.surprise import least_past, surprise
from warning_worlds import OFF_MODEL, SIGMA, counts, quarters, table


def world(seed: int = 1, periods: int = 17, series: int = 60) -> np.ndarray:
    return counts(np.random.default_rng(seed), series=series, periods=periods, planted=60.0)


def entry(found: Warnings, code: str) -> SeriesWarning:
    return next(one for one in found.series if one.key[-1][1] == code)


def yearly(values: np.ndarray, codes: tuple[str, ...]) -> NoisyTable:
    forms = tuple(f"form {at}" for at in range(values.shape[1]))
    return NoisyTable("year x form", (Axis("year", codes), Axis("form", forms)), values, SIGMA)


def test_a_corridor_that_trebles_is_first_with_an_interval_above_zero() -> None:
    values = world()
    values[0, -2:] *= 3
    found = warnings_of([table(values)])
    first = found.series[0]
    assert (first.verdict, first.key) == (Verdict.RISE, (("corridor", "corridor 000"),))
    assert found.raised == (first,)
    assert 0 < first.low < first.observed - first.expected < first.high
    assert first.evidence <= found.alpha


def test_a_corridor_that_vanishes_is_a_fall() -> None:
    values = world(series=60)
    values[0] = 300 + (np.arange(17) % 3) * 5
    values[0, -1] = 0
    first = warnings_of([table(values)]).series[0]
    assert (first.verdict, first.name) == (Verdict.FALL, "corridor corridor 000")
    assert first.high < 0


def test_nothing_happening_is_said_to_be_noise_with_an_interval_around_zero() -> None:
    found = warnings_of([table(world())])
    assert found.raised == ()
    assert {one.verdict for one in found.series} == {Verdict.NOISE}
    assert all(one.low <= 0 <= one.high for one in found.series)


@pytest.mark.parametrize(("periods", "tested"), [(7, 0), (8, 60)])
def test_less_than_two_years_of_quarters_are_too_short_a_past(periods: int, tested: int) -> None:
    found = warnings_of([table(world(periods=periods))])
    assert (found.tested, found.short) == (tested, 60 - tested)
    if not tested:
        assert {one.verdict for one in found.series} == {Verdict.SHORT}


@pytest.mark.parametrize(
    ("past", "warned"), [((60, 63, 58, 61, 59, 60, 62), 1), ((60, 90, 30, 95, 40, 70, 35), 0)]
)
def test_a_doubling_counts_by_how_quiet_the_past_was(past: tuple[int, ...], warned: int) -> None:
    assert len(warnings_of([table(np.array([[*past, 120.0]]))]).raised) == warned


def test_a_yearly_wave_is_no_change() -> None:
    wave = 100 + 60 * (np.arange(17) % 4 == 0)
    values = np.tile(wave.astype(float), (30, 1)) + np.random.default_rng(2).normal(0, SIGMA, (30, 17))
    found = warnings_of([table(np.maximum(values, 0))])
    assert found.raised == ()
    peak = surprise(values, np.full(30, SIGMA), seasons=4, window=1)
    assert (peak.expected() > 115).all()


def test_a_steady_growth_is_no_change() -> None:
    growth = 40 * 1.05 ** np.arange(17)
    values = np.tile(growth, (30, 1)) + np.random.default_rng(3).normal(0, SIGMA, (30, 17))
    assert warnings_of([table(values)]).raised == ()


def test_years_are_followed_and_codes_that_are_no_period_are_left_out() -> None:
    draw = np.random.default_rng(4)
    codes = (*map(str, range(2014, 2026)), "Other")
    values = np.maximum(draw.poisson(80, (13, 25)) + np.rint(draw.normal(0, SIGMA, (13, 25))), 0.0)
    values[-2, 0], values[-1] = 400, 9_999
    found = warnings_of([yearly(values, codes)])
    assert found.period == "2025"
    assert [one.key for one in found.raised] == [(("form", "form 0"),)]


def test_an_earlier_period_sees_nothing_of_what_came_later() -> None:
    values = world(periods=20)
    later = values.copy()
    later[:, 17:] *= 5
    period = quarters(20)[16]
    assert warnings_of([table(later)], period=period) == warnings_of([table(values)], period=period)
    assert warnings_of([table(values)], period=period) == warnings_of([table(values[:, :17])])


def test_series_of_all_tables_share_the_false_alarm_rate() -> None:
    values = world()
    one = warnings_of([table(values)])
    both = warnings_of([table(values), table(values, axis="means")])
    assert both.tested == 2 * one.tested
    assert warnings_of([table(values), table(values, axis="means")], only=["period x corridor"]) == one


@pytest.mark.parametrize("axis", ["quarter", "period"])
def test_quarters_have_seasons_whatever_their_axis_is_called(axis: str) -> None:
    known = table(world())
    named = NoisyTable(known.name, (Axis(axis, known.axes[0].codes), known.axes[1]), known.counts, SIGMA)
    assert warnings_of([named]) == warnings_of([known])


def test_tables_without_time_are_passed_over() -> None:
    flat = NoisyTable("form", (Axis("form", ("a", "b")),), np.ones(2), 1.0)
    alone = NoisyTable("period", (Axis("period", quarters(9)),), np.ones(9), 1.0)
    assert warnings_of([flat, alone, table(world())]) == warnings_of([table(world())])
    with pytest.raises(UsageError, match="over time") as caught:
        warnings_of([flat, alone])
    assert caught.value.code == "no-series"


@pytest.mark.parametrize("codes", [("2015", "2016", "2018"), ("2016", "2015", "2017")])
def test_a_gap_or_a_wrong_order_is_refused(codes: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as caught:
        warnings_of([yearly(np.ones((3, 2)), codes)])
    assert caught.value.code == "gap-in-periods"


def test_what_does_not_exist_is_named() -> None:
    for arguments, code in (
        ({"alpha": 0.0}, "bad-false-alarm-rate"),
        ({"alpha": float("nan")}, "bad-false-alarm-rate"),
        ({"period": "1999-Q1"}, "unknown-period"),
        ({"only": ["year x means"]}, "unknown-table"),
    ):
        with pytest.raises(UsageError) as caught:
            warnings_of([table(world())], **arguments)  # type: ignore[arg-type] - as a user may
        assert caught.value.code == code
    with pytest.raises(UsageError) as caught:
        warnings_of([yearly(np.ones((2, 2)), ("spring", "autumn"))])
    assert caught.value.code == "unknown-period"


def test_series_without_a_victim_raise_nothing() -> None:
    found = warnings_of([table(np.zeros((40, 13)), sigma=0.0)])
    assert found.raised == ()
    assert all(np.isfinite([one.low, one.high, one.evidence]).all() for one in found.series)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    periods=st.integers(9, 21),
    series=st.sampled_from([1, 5, 25, 60]),
    last=st.floats(0, 1e4),
    more=st.floats(0, 1e4),
)
def test_a_larger_last_value_never_lowers_the_evidence_of_a_rise(
    seed: int, periods: int, series: int, last: float, more: float
) -> None:
    values = world(seed, periods, series)
    deviation = np.full(series, SIGMA)
    for window in (1, 2):
        values[0, -1] = last
        before = surprise(values, deviation, seasons=4, window=window)
        values[0, -1] = last + more
        after = surprise(values, deviation, seasons=4, window=window)
        assert after.rise()[0] <= before.rise()[0]
        assert after.fall()[0] >= before.fall()[0]
        assert (after.rise()[1:] == before.rise()[1:]).all()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), order=st.permutations(range(30)))
def test_the_order_of_series_and_tables_changes_nothing(seed: int, order: list[int]) -> None:
    values = world(seed, 13, 30)
    first, second = table(values), table(values + 7, axis="means")
    shuffled = NoisyTable(
        first.name,
        (first.axes[0], Axis("corridor", tuple(first.axes[1].codes[at] for at in order))),
        first.counts[:, order],
        first.deviation,
    )
    assert warnings_of([second, shuffled]) == warnings_of([first, second])


def test_levels_that_wander_make_the_error_larger_and_steady_ones_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draw, deviation = np.random.default_rng(6), np.full(200, SIGMA)
    steady = counts(draw, series=200, periods=17)
    wander = counts(draw, series=200, periods=17, world=OFF_MODEL["levels wander by 15%"])
    loud = surprise(wander, deviation, seasons=4, window=1).error
    quiet = surprise(steady, deviation, seasons=4, window=1).error
    monkeypatch.setattr(surprises, "PREDICTED", 0)
    without = surprise(wander, deviation, seasons=4, window=1).error
    large = wander[:, :16].mean(axis=1) > 100
    assert (loud[large] > 1.05 * without[large]).all()
    assert quiet == pytest.approx(surprise(steady, deviation, seasons=4, window=1).error, rel=0.03)


def test_series_within_the_noise_are_compared_on_the_scale_of_counts() -> None:
    values = np.zeros((40, 13))
    values[:20] = 500
    power = surprise(values, np.full(40, SIGMA), seasons=4, window=1).power
    assert power[20:] == pytest.approx(1.0)
    assert power[:20] == pytest.approx(0.5, abs=0.01)


def test_intervals_end_where_the_test_does() -> None:
    values = world(5, 17, 60)
    found = surprise(values, np.full(60, SIGMA), seasons=4, window=2)
    low, high = found.change(found.rise())
    # A change of nothing is just not excluded at the level of the p-value itself.
    above = found.rise() < 0.5
    assert above.any()
    assert low[above] == pytest.approx(0, abs=1e-6)
    assert (high[above] >= low[above]).all()


def test_two_years_less_a_quarter_are_the_least() -> None:
    assert [least_past(seasons) for seasons in (1, 4, 12)] == [6, 7, 23]


def test_a_corridor_out_of_nothing_is_found_among_corridors_that_are_nearly_empty() -> None:
    draw = np.random.default_rng(8)
    values = np.maximum(draw.poisson(1.0, (200, 12)) + np.rint(draw.normal(0, SIGMA, (200, 12))), 0.0)
    values[0, -2:] = 40, 60
    raised = warnings_of([table(values)]).raised
    assert [one.name for one in raised] == ["corridor corridor 000"]
