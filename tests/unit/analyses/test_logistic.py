"""Logistic regression: bounded for the worst victim, and a plain model when noise is small."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from federation_of import MAX_VICTIMS, analysis_table
from safeborders_fed.analyses.base import UNIT, Setting
from safeborders_fed.analyses.logistic import GRADIENT, STATISTICS, Logistic, LogisticParameters, Rows
from safeborders_fed.cases.contract import field
from safeborders_fed.cases.encoding import merge

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
    rows = model.prepare(merge(analysis_table(2000, 1), model.fields()))
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
    training, testing = model.prepare(victims), model.held_out(victims)
    everything = analysis().prepare(victims)
    assert len(training.target) + len(testing.target) == len(everything.target)
    assert 0.15 < len(testing.target) / len(everything.target) < 0.35


def test_only_minors_count_when_the_population_is_minors() -> None:
    model = analysis(population="minors")
    table = analysis_table(1000, 6)
    rows = model.prepare(merge(table, model.fields()))
    start = len(field("sex").bins) + 1
    ages = rows.features[:, start : start + 11]
    assert ages[:, [0, 1, 9]].sum() == len(rows.target) > 0


def test_the_release_names_every_column_once() -> None:
    model = analysis()
    state = model.start(Setting(1, {STATISTICS: 1.0, GRADIENT: 1.0}))
    facts = model.result(state).facts
    assert len(facts["columns"]) == len(set(facts["columns"])) == model.columns
    assert model.stages()[0].bound == UNIT
