from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from federation_of import analysis_table
from safeborders_fed.analyses.base import Release
from safeborders_fed.analyses.logistic import Logistic, LogisticParameters
from safeborders_fed.cases.encoding import merge
from safeborders_fed.simulation.membership import FALSE_ALARMS, attack, losses, of_release, permitted


def overfitted(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Losses in and out of an unregularised fit on 40 columns and 30 records with labels by chance."""
    x = rng.integers(0, 2, size=(530, 40)).astype(float)
    y = rng.integers(0, 2, size=530)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margins = x[:30] @ weights
        return losses(margins, y[:30]).sum(), x[:30].T @ (1 / (1 + np.exp(-margins)) - y[:30])

    weights = minimize(loss, np.zeros(40), jac=True, options={"maxiter": 30}).x
    found = losses(x @ weights, y)
    return found[:30], found[30:]


def test_an_overfitted_model_is_found_to_leak_more_than_epsilon_permits() -> None:
    found = attack(*overfitted(np.random.default_rng(1)), epsilon=0.25, delta=1e-6)
    assert found is not None
    assert found.auc - found.margin > found.permitted


def test_a_model_that_knows_its_records_by_heart_is_found_out_at_few_false_alarms() -> None:
    out = np.random.default_rng(4).uniform(0.01, 3, size=300)
    found = attack(np.zeros(30), out, epsilon=1.0, delta=1e-6)
    assert found is not None
    assert found.auc == 1.0
    for guess in found.guesses:
        assert guess.found == 1.0
        assert guess.low > guess.permitted


def test_a_constant_model_leaks_nothing() -> None:
    same = np.full(200, math.log(2))
    found = attack(same, same[:90], epsilon=1.0, delta=1e-6)
    assert found is not None
    assert found.auc == 0.5
    assert [guess.found for guess in found.guesses] == [0.0, 0.0]
    assert (found.inside, found.outside) == (200, 90)


def test_intervals_hold_chance_where_there_is_no_leak() -> None:
    rng = np.random.default_rng(2)
    areas, rates = [], []
    for _ in range(300):
        found = attack(rng.exponential(size=400), rng.exponential(size=2000), 1.0, 1e-6)
        assert found is not None
        areas.append(abs(found.auc - 0.5) <= found.margin)
        rates.append(found.guesses[1].low <= 0.05 <= found.guesses[1].high)
    assert np.mean(areas) > 0.92
    assert np.mean(rates) > 0.92


@pytest.mark.parametrize(("inside", "outside"), [(0, 5), (5, 0), (0, 0)])
def test_without_records_of_both_kinds_there_is_no_test(inside: int, outside: int) -> None:
    assert attack(np.ones(inside), np.ones(outside), 1.0, 1e-6) is None


@given(
    st.lists(st.floats(0, 50), min_size=1, max_size=40),
    st.lists(st.floats(0, 50), min_size=1, max_size=300),
)
def test_no_threshold_takes_more_held_out_records_for_trained_than_it_may(
    inside: list[float], outside: list[float]
) -> None:
    found = attack(np.array(inside), np.array(outside), 0.5, 1e-6)
    again = attack(np.array(outside), np.array(outside), 0.5, 1e-6)
    assert found is not None
    assert again is not None
    for share, guess, of_out in zip(FALSE_ALARMS, found.guesses, again.guesses, strict=True):
        assert 0 <= guess.low <= guess.found <= guess.high <= 1
        assert of_out.found <= share


def test_what_epsilon_permits_is_chance_at_zero_and_everything_at_large() -> None:
    assert permitted(0.05, 0.0, 0.0) == pytest.approx(0.05)
    assert permitted(0.01, 1.0, 1e-6) == pytest.approx(math.e * 0.01 + 1e-6)
    assert permitted(0.5, 1.0, 0.0) == pytest.approx(1 - math.exp(-1) * 0.5)
    assert permitted(0.01, 5000.0, 1e-6) == 1.0


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 1.0, 3.0])
def test_the_permitted_area_is_the_one_below_the_permitted_rates(epsilon: float) -> None:
    found = attack(np.zeros(3), np.zeros(3), epsilon, 0.0)
    assert found is not None
    steps = np.linspace(0, 1, 20_001)
    curve = np.array([permitted(step, epsilon, 0.0) for step in steps])
    assert found.permitted == pytest.approx(np.trapezoid(curve, steps), abs=1e-4)


def test_losses_are_logistic_and_finite_for_large_margins() -> None:
    found = losses(np.array([0.0, 800.0, 800.0, -2.0]), np.array([1, 1, 0, 0]))
    assert found == pytest.approx([math.log(2), 0, 800, math.log1p(math.exp(-2))])


def test_a_released_model_is_attacked_with_the_records_of_all_nodes() -> None:
    parameters = LogisticParameters(
        target="form:SexualExploitation", features=("sex", "age_band"), held_out=40
    )
    analysis = Logistic(parameters)
    model = {name: np.zeros(shape) for name, shape in analysis.learner.model_shapes().items()}
    tables = {"BE": analysis_table(120, 1), "BG": analysis_table(80, 2)}
    examples = [analysis.prepare(merge(table, analysis.fields()), node) for node, table in tables.items()]
    found = of_release(analysis, Release("logistic", {}, model), tables, epsilon=1.0, delta=1e-6)
    assert found is not None
    assert found.inside == sum(len(example.training.target) for example in examples) > 0
    assert found.outside == sum(len(example.testing.target) for example in examples) > 0
    assert found.auc == 0.5  # weights of zero know nothing
