"""Logistic regression: bounded for the worst victim, and a plain model when noise is small."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from federation_of import MAX_VICTIMS, analysis_table
from safeborders_fed.analyses.base import UNIT, Setting
from safeborders_fed.analyses.logistic import (
    GRADIENT,
    STATISTICS,
    Logistic,
    LogisticParameters,
    Rows,
    learning_rate,
    varying_columns,
)
from safeborders_fed.cases.contract import field
from safeborders_fed.cases.encoding import bin_names, merge

FEATURES = ("sex", "age_band", "means_of_control", "roles")


def analysis(**changes: object) -> Logistic:
    terms: dict[str, object] = {"target": "actual_victim", "features": FEATURES, "rounds": 10}
    return Logistic(LogisticParameters.model_validate({**terms, **changes}))


def broadcast(model: Logistic, weight: float = 0.0) -> dict[str, np.ndarray]:
    return {
        "weights": np.full(model.columns + 1, weight),
        "centre": np.full(model.columns, 0.1),
    }


def one_hot(model: Logistic) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.float64, (4, model.columns), elements=st.sampled_from([0.0, 1.0]))


@settings(deadline=None)
@given(one_hot(analysis()), st.floats(-1e6, 1e6), st.sampled_from([0, 1]), st.sampled_from([0.01, 0.25, 1.0]))
def test_no_victim_moves_a_sum_by_more_than_the_bound(
    features: np.ndarray, weight: float, target: int, clip: float
) -> None:
    """Also victims with every flag set, which real records do not have."""
    model = analysis(clip=clip)
    rows = Rows(features, np.full(len(features), float(target)))
    for stage in model.stages():
        whole = model.contribute(rows, stage, broadcast(model, weight), MAX_VICTIMS)
        for index in range(len(features)):
            alone = Rows(features[index : index + 1], rows.target[index : index + 1])
            part = model.contribute(alone, stage, broadcast(model, weight), MAX_VICTIMS)
            assert sum(int(v) ** 2 for v in part.values) <= stage.bound**2
            left = Rows(np.delete(features, index, 0), np.delete(rows.target, index))
            without = model.contribute(left, stage, broadcast(model, weight), MAX_VICTIMS)
            assert (whole.values - part.values == without.values).all()


@settings(deadline=None)
@given(one_hot(analysis()), st.floats(allow_nan=False, allow_infinity=False))
def test_no_centre_that_a_coordinator_sends_lengthens_a_row(features: np.ndarray, centre: float) -> None:
    model = analysis()
    gradient = model.stages()[1]
    sent = {"weights": np.ones(model.columns + 1), "centre": np.full(model.columns, centre)}
    for row in features:
        part = model.contribute(Rows(row[None], np.ones(1)), gradient, sent, MAX_VICTIMS)
        assert sum(int(v) ** 2 for v in part.values) <= gradient.bound**2


def test_typical_victims_have_norm_one_and_rare_values_are_stretched() -> None:
    model = analysis()
    rng = np.random.default_rng(1)
    features = np.zeros((4000, model.columns))
    features[np.arange(4000), rng.choice(4, 4000, p=[0.4, 0.4, 0.19, 0.01])] = 1
    features[np.arange(4000), 4 + rng.integers(0, 12, 4000)] = 1
    z = model.standardise(features, features.mean(axis=0))[:, :-1]
    assert (z**2).sum(axis=1).mean() == pytest.approx(1, rel=0.01)
    assert z[:, 3].max() > z[:, 0].max()


def test_steps_shorten_with_noise_and_stay_stable() -> None:
    centre = np.full(40, 0.3)
    rates = [
        learning_rate(labelled=4000, gradient_noise=noise, rounds=40, varying=varying_columns(centre))
        for noise in (0.0, 1.0, 5.0, 20.0, 1e6)
    ]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == varying_columns(centre) <= len(centre)
    assert rates[2] == pytest.approx(4000 / (5.0 * 40))
    assert rates[-1] == 2.0
    assert varying_columns(np.zeros(40)) == 1.0


def test_a_victim_whose_gradient_is_not_finite_contributes_zero() -> None:
    model = analysis()
    features = np.zeros((2, model.columns))
    features[0, 0] = math.inf
    gradient = model.stages()[1]
    both = model.contribute(Rows(features, np.ones(2)), gradient, broadcast(model, 1.0), MAX_VICTIMS)
    one = model.contribute(Rows(features[1:], np.ones(1)), gradient, broadcast(model, 1.0), MAX_VICTIMS)
    assert (both.values == one.values).all()
    assert both.values.any()


def test_statistics_count_victims_and_values() -> None:
    model = analysis()
    rows = model.prepare(merge(analysis_table(2000, 1), model.fields()), "BG")
    total = model.contribute(rows, model.stages()[0], {}, MAX_VICTIMS)
    state = model.advance(model.start(Setting(1, {STATISTICS: 0.0, GRADIENT: 1.0})), total.values, 0.0)
    assert state.labelled == pytest.approx(len(rows.target), rel=1e-3)
    assert state.positives == pytest.approx(rows.target.sum(), rel=1e-3)
    assert state.centre[:3] == pytest.approx(rows.features.mean(axis=0)[:3], rel=0.01)


def test_without_noise_it_orders_victims_as_plain_gradient_descent_does() -> None:
    """Integers, centring and clipping change nothing but the last digits when clipping is rare."""
    rng = np.random.default_rng(3)
    model = analysis(rounds=60, clip=1.0)
    features = np.zeros((3000, model.columns))
    features[np.arange(3000), rng.integers(0, 4, 3000)] = 1
    features[np.arange(3000), 4 + rng.integers(0, 12, 3000)] = 1
    truth = rng.normal(size=model.columns)
    target = (rng.random(3000) < 1 / (1 + np.exp(-3 * features @ truth))).astype(float)
    rows = Rows(features, target)
    state = model.start(Setting(1, {STATISTICS: 0.0, GRADIENT: 0.0}))
    for stage in model.stages():
        for _ in range(stage.rounds):
            total = model.contribute(rows, stage, model.broadcast(state), MAX_VICTIMS)
            state = model.advance(state, total.values, 1e-9)
    scores = model.scores(model.result(state), features)
    assert np.corrcoef(scores, 3 * features @ truth)[0, 1] > 0.98


def test_held_out_victims_never_train() -> None:
    table = analysis_table(1000, 5)
    model = analysis(held_out=25)
    victims = merge(table, model.fields())
    training, testing = model.prepare(victims, "BG"), model.held_out(victims)
    everything = analysis().prepare(victims, "BG")
    assert len(training.target) + len(testing.target) == len(everything.target)
    assert 0.15 < len(testing.target) / len(everything.target) < 0.35


def test_only_minors_count_when_the_population_is_minors() -> None:
    model = analysis(population="minors")
    table = analysis_table(1000, 6)
    rows = model.prepare(merge(table, model.fields()), "BG")
    start = len(field("sex").bins) + 1
    ages = rows.features[:, start : start + 11]
    assert ages[:, [0, 1, 9]].sum() == len(rows.target) > 0


def test_the_release_names_every_column_once() -> None:
    model = analysis()
    state = model.start(Setting(1, {STATISTICS: 1.0, GRADIENT: 1.0}))
    facts = model.result(state).facts
    assert len(facts["columns"]) == len(set(facts["columns"])) == model.columns
    assert model.stages()[0].bound == UNIT


@pytest.mark.parametrize("count", [1, 3, 57, 82, 112, 203])
@pytest.mark.parametrize("scale", [1e6, 1e20, 1e150])
def test_weights_that_cancel_do_not_make_victims_depend_on_each_other(count: int, scale: float) -> None:
    """Weights whose sum is zero up to rounding: each row must still be its victim alone.

    With a matrix product, rounding depends on a row's place, and leaving one victim out moved the sum by two
    and a half times the bound.
    """
    rng = np.random.default_rng(count)
    model = analysis()
    features = np.zeros((count, model.columns))
    start = 0
    for entry in model.fields()[1:-1]:
        width = len(bin_names(entry))
        features[np.arange(count), start + rng.integers(0, width, count)] = 1
        start += width
    rows = Rows(features, rng.integers(0, 2, count).astype(float))
    centre = np.clip(rng.random(model.columns), 0.05, 0.95)
    spread = np.sqrt((centre * (1 - centre) + 0.05) * varying_columns(centre))
    weights = np.append(scale * spread, 0.0)
    weights[-1] = -scale * (len(FEATURES) - centre.sum()) / 0.3
    gradient = model.stages()[1]
    message = {"weights": weights, "centre": centre}
    whole = model.contribute(rows, gradient, message, MAX_VICTIMS).values
    for index in range(count):
        left = Rows(np.delete(features, index, 0), np.delete(rows.target, index))
        without = model.contribute(left, gradient, message, MAX_VICTIMS).values
        assert sum(int(v) ** 2 for v in whole - without) <= gradient.bound**2


def test_a_population_names_the_fields_that_it_reads() -> None:
    assert "age_band" not in [entry.name for entry in analysis(features=("sex",)).fields()]
    assert "age_band" in [entry.name for entry in analysis(features=("sex",), population="minors").fields()]
    assert "registration_date" in [entry.name for entry in analysis().fields()]
