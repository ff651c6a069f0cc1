"""The audit's mathematics, against simulation and against formulas worked out another way."""

import math

import dp_accounting
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from safeborders_fed.privacy import accounting
from safeborders_fed.simulation.audit_estimates import (
    gaussian_epsilon,
    guesses,
    one_run_bound,
    one_run_p_value,
    variance_ratio,
)


@pytest.mark.parametrize("delta", [1e-9, 1e-6, 1e-2])
@pytest.mark.parametrize("mu", [0.01, 0.2, 1.0, 7.0, 300.0])
def test_gaussian_epsilon_is_that_of_the_analytic_gaussian_mechanism(mu: float, delta: float) -> None:
    found = gaussian_epsilon(mu, delta)
    if found == 0:
        assert dp_accounting.get_sigma_gaussian(1e-12, delta) <= 1.001 / mu
    else:
        assert dp_accounting.get_sigma_gaussian(found, delta) == pytest.approx(1 / mu, rel=1e-6)


@given(st.floats(0.02, 20), st.floats(1e-10, 1e-3))
def test_the_accountants_conversion_is_never_below_the_exact_epsilon(mu: float, delta: float) -> None:
    assert gaussian_epsilon(mu, delta) <= accounting.epsilon(mu**2 / 2, delta) * (1 + 1e-9)


def test_no_difference_costs_nothing_and_no_noise_costs_without_limit() -> None:
    assert gaussian_epsilon(0.0, 1e-6) == 0
    assert math.isinf(gaussian_epsilon(math.inf, 1e-6))
    assert math.isinf(gaussian_epsilon(1e16, 1e-6))


@pytest.mark.parametrize("true_ratio", [0.25, 1.0])
def test_limits_of_the_variance_miss_the_truth_as_often_as_stated(true_ratio: float) -> None:
    """4,000 runs at 5%: 200 misses a side expected. False alarm: 7 standard deviations, below 1e-9."""
    rng = np.random.default_rng(1)
    squares = true_ratio * rng.chisquare(50, 4000)
    limits = [variance_ratio(float(total), 50, 0.05) for total in squares]
    assert np.mean([ratio.estimate for ratio in limits]) == pytest.approx(true_ratio, rel=0.01)
    for misses in (
        sum(ratio.low > true_ratio for ratio in limits),
        sum(ratio.high < true_ratio for ratio in limits),
    ):
        assert abs(misses - 200) < 7 * math.sqrt(200)


def test_no_noise_at_all_has_ratio_zero() -> None:
    ratio = variance_ratio(0.0, 100, 1e-11)
    assert (ratio.low, ratio.estimate, ratio.high) == (0, 0, 0)


def test_the_surest_scores_are_guessed_and_the_others_abstain() -> None:
    assert guesses(np.array([0.1, -3.0, 2.0, -0.2]), 2).tolist() == [0, -1, 1, 0]


def test_a_p_value_without_delta_is_the_binomial_tail() -> None:
    found = one_run_p_value(canaries=100, guessed=60, correct=45, epsilon=0.5, delta=0.0)
    assert found == pytest.approx(binom.sf(44, 60, 1 / (1 + math.exp(-0.5))))


def test_a_p_value_with_delta_is_the_theorem_written_out() -> None:
    canaries, guessed, correct, epsilon, delta = 30, 12, 11, 0.3, 1e-3
    chance = math.exp(epsilon) / (1 + math.exp(epsilon))

    def tail(least: int) -> float:
        return sum(
            math.comb(guessed, hits) * chance**hits * (1 - chance) ** (guessed - hits)
            for hits in range(max(least, 0), guessed + 1)
        )

    steepest = max((tail(correct - step) - tail(correct)) / step for step in range(1, canaries + 1))
    found = one_run_p_value(canaries=canaries, guessed=guessed, correct=correct, epsilon=epsilon, delta=delta)
    assert found == pytest.approx(tail(correct) + 2 * canaries * delta * steepest)


def test_a_bound_is_the_epsilon_at_which_the_p_value_is_reached() -> None:
    terms = {"canaries": 1000, "guessed": 500, "correct": 480, "delta": 1e-6}
    bound = one_run_bound(**terms)
    assert bound > 2
    assert one_run_p_value(**terms, epsilon=bound) == pytest.approx(0.05, rel=1e-6)


@pytest.mark.parametrize("correct", [0, 24, 27])
def test_guesses_no_better_than_a_coin_bound_nothing(correct: int) -> None:
    assert one_run_bound(canaries=96, guessed=48, correct=correct, delta=1e-6) == 0


def test_the_bound_is_above_the_truth_in_at_most_five_of_a_hundred_runs() -> None:
    """Randomised response of epsilon 1 is the worst case: 2,000 runs, at most 100 misses expected.

    False alarm: 7 standard deviations above the most that is expected, below 1e-9.
    """
    rng = np.random.default_rng(2)
    correct = rng.binomial(200, math.e / (1 + math.e), 2000)
    bounds = {
        int(hits): one_run_bound(canaries=200, guessed=200, correct=int(hits), delta=1e-9)
        for hits in set(correct)
    }
    misses = sum(bounds[int(hits)] > 1 for hits in correct)
    assert misses < 100 + 7 * math.sqrt(95)
    assert np.median([bounds[int(hits)] for hits in correct]) > 0.6
