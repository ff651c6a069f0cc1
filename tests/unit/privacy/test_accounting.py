"""The accounting never claims less than a mechanism costs, and not much more."""

import math

import pytest
from dp_accounting import dp_event
from dp_accounting.rdp import rdp_privacy_accountant
from hypothesis import given, settings
from hypothesis import strategies as st
from opacus.accountants import RDPAccountant
from scipy.optimize import brentq
from scipy.stats import norm

from safeborders_fed.errors import ConfigurationError, RefusedError
from safeborders_fed.privacy import accounting

RHOS = st.floats(-12, 3).map(math.exp)
DELTAS = st.floats(-25, math.log(1e-5)).map(math.exp)


def exact_epsilon(rho: float, delta: float) -> float:
    """Epsilon at delta of one continuous Gaussian of that rho (Balle and Wang 2018, Theorem 8)."""
    mu = math.sqrt(2 * rho)

    def excess(epsilon: float) -> float:
        return float(
            norm.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon + norm.logcdf(-mu / 2 - epsilon / mu)) - delta
        )

    return float(brentq(excess, 0, 700)) if excess(0) > 0 else 0.0


@given(RHOS, DELTAS)
def test_epsilon_is_never_below_the_exact_one(rho: float, delta: float) -> None:
    assert accounting.epsilon(rho, delta) >= exact_epsilon(rho, delta) - 1e-9


@given(RHOS, DELTAS)
def test_epsilon_is_at_most_12_percent_above_the_exact_one(rho: float, delta: float) -> None:
    exact = exact_epsilon(rho, delta)
    if exact >= 0.1:
        assert accounting.epsilon(rho, delta) <= 1.12 * exact


@settings(max_examples=30, deadline=None)
@given(st.floats(0.3, 30.0), st.integers(1, 200), st.sampled_from([1e-5, 1e-6, 1e-9]))
def test_agrees_with_dp_accounting_on_composed_gaussians(sigma: float, rounds: int, delta: float) -> None:
    orders = [1 + math.exp(exponent / 40) for exponent in range(-160, 300)]
    peer = rdp_privacy_accountant.RdpAccountant(orders)
    peer.compose(dp_event.SelfComposedDpEvent(dp_event.GaussianDpEvent(sigma), rounds))
    theirs = peer.get_epsilon(delta)
    ours = accounting.epsilon(rounds / (2 * sigma**2), delta)
    assert ours == pytest.approx(theirs, rel=0.01)


@pytest.mark.filterwarnings("ignore:Optimal order is the:UserWarning")
def test_is_not_below_opacus_for_full_batches() -> None:
    peer = RDPAccountant()
    peer.history = [(2.0, 1.0, 40)]
    theirs = peer.get_epsilon(1e-6, alphas=[1 + k / 20 for k in range(1, 400)])
    ours = accounting.epsilon(40 / (2 * 2.0**2), 1e-6)
    assert theirs * 0.99 <= ours <= theirs * 1.01


@given(st.floats(0.01, 50.0), DELTAS)
def test_rho_for_is_the_inverse_and_keeps_below_the_target(target: float, delta: float) -> None:
    rho = accounting.rho_for(target, delta)
    assert accounting.epsilon(rho, delta) <= target
    assert accounting.epsilon(rho * (1 + 1e-6), delta) > target


@given(
    st.floats(-12, 3).map(math.exp), st.integers(1000, 2**30), st.integers(1, 30), st.integers(1, 1_000_000)
)
def test_scale_for_keeps_to_the_cost(rho: float, bound: int, holders: int, dimension: int) -> None:
    if bound / math.sqrt(2 * rho * holders) < 2.0:
        with pytest.raises(RefusedError, match="below"):
            accounting.scale_for(rho=rho, bound=bound, holders=holders, dimension=dimension)
        return
    scale = accounting.scale_for(rho=rho, bound=bound, holders=holders, dimension=dimension)
    cost = accounting.round_cost(bound=bound, scale=scale, holders=holders, dimension=dimension)
    assert rho * (1 - 1e-6) <= cost <= rho


def test_the_correction_for_sums_of_discrete_gaussians_is_charged() -> None:
    """At two grid units it is tiny (7e-17 a coordinate) but there; the formula is that of the theorem."""
    plain = 0.5 * (1000 / (math.sqrt(7) * 2.0)) ** 2
    tau = 10 * sum(math.exp(-2 * math.pi**2 * 4 * k / (k + 1)) for k in range(1, 7))
    assert tau == pytest.approx(7e-17, rel=0.1)
    charged = accounting.round_cost(bound=1000, scale=2.0, holders=7, dimension=10)
    assert charged >= plain
    assert charged == pytest.approx(0.5 * (1000 / (math.sqrt(7) * 2) + tau * math.sqrt(10)) ** 2, rel=1e-9)


@pytest.mark.parametrize("scale", [1.99, 0.25, 0.0, -1.0, math.nan, math.inf])
def test_too_small_a_scale_is_refused(scale: float) -> None:
    with pytest.raises(RefusedError, match=r"below 2\.0"):
        accounting.round_cost(bound=10, scale=scale, holders=7, dimension=3)


@pytest.mark.parametrize("delta", [0.0, 1.0, -1e-6, math.nan])
def test_a_delta_that_is_no_probability_is_refused(delta: float) -> None:
    with pytest.raises(ConfigurationError, match="delta"):
        accounting.epsilon(0.1, delta)


@pytest.mark.parametrize("target", [0.0, -1.0, math.nan, math.inf, 1e6])
def test_an_epsilon_out_of_range_is_refused(target: float) -> None:
    with pytest.raises(ConfigurationError, match="epsilon"):
        accounting.rho_for(target, 1e-6)


@pytest.mark.parametrize("rho", [-1.0, math.nan, math.inf])
def test_a_rho_out_of_range_is_refused(rho: float) -> None:
    with pytest.raises(ConfigurationError, match="rho"):
        accounting.epsilon(rho, 1e-6)


def test_nothing_spent_is_epsilon_zero() -> None:
    assert accounting.epsilon(0.0, 1e-6) == 0.0
