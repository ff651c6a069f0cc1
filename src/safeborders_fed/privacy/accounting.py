"""What a release costs: zero-concentrated differential privacy (zCDP) and its conversion to epsilon at delta.

Unit: one victim, with all their records, at one node, added or removed.

Guarantees: every figure returned is an upper bound of the cost of the mechanism that really runs, or a
scale or budget that keeps to one.

- The sum of ``h`` independent discrete Gaussians of equal scale ``s`` (grid units), added to an integer
  vector of ``d`` coordinates with L2 sensitivity ``bound``, satisfies
  ``1/2 (bound / (sqrt(h) s) + tau sqrt(d))^2``-zCDP with
  ``tau = 10 sum_{k=1}^{h-1} exp(-2 pi^2 s^2 k/(k+1))`` for ``s >= 1/2``
  (Kairouz, Liu, Steinke 2021, arXiv 2102.06387, Theorem 1). For ``h = 1``, ``tau = 0`` and this is the
  discrete Gaussian alone (Canonne, Kamath, Steinke 2020, arXiv 2004.00010, Theorem 4).
- Costs in rho add, also under adaptive composition (Bun, Steinke 2016, arXiv 1605.02065, Lemma 2.3).
- ``rho``-zCDP implies ``(epsilon, delta)``-DP for every ``alpha > 1`` with
  ``epsilon = alpha rho + (ln(1/delta) + (alpha-1) ln(1-1/alpha) - ln(alpha)) / (alpha-1)``
  (Canonne, Kamath, Steinke 2020, Proposition 12). Any alpha is sound; the search only makes it tight.

Floating point: each result is widened by a relative 1e-12, thousands of times the rounding error of these
short formulas.
"""

from __future__ import annotations

import math
from typing import Final

from scipy.optimize import minimize_scalar

from safeborders_fed.errors import ConfigurationError, RefusedError

MINIMUM_SCALE: Final = 2.0
"""Smallest noise scale in grid units. Below it the correction ``tau`` is not negligible: use a finer grid."""

_WIDEN: Final = 1 + 1e-12
_LEAST_RHO: Final = 1e-300
"""Epsilon grows with rho, so that of a smaller rho is at most that of this one, which floats still hold."""


def _require_delta(delta: float) -> None:
    if not 0 < delta < 1:
        raise ConfigurationError(
            "delta-out-of-range",
            f"delta is {delta!r}, which is not a probability between 0 and 1",
            "set delta to 1e-6 or less",
        )


def _require_rho(rho: float) -> None:
    if not (math.isfinite(rho) and rho >= 0):
        raise ConfigurationError(
            "rho-out-of-range",
            f"rho is {rho!r}, which is not a finite cost of zero or more",
            "check bound, scale and rounds",
        )


def round_cost(*, bound: int, scale: float, holders: int, dimension: int) -> float:
    """The rho of one noisy sum.

    Args:
        bound: L2 sensitivity of the whole vector, in grid units.
        scale: Scale of each holder's discrete Gaussian, in grid units.
        holders: How many independent shares are certainly in the sum (``h``; 1 in trust mode local).
        dimension: Coordinates of the vector (``d``).

    Raises:
        RefusedError: ``scale-too-small``, when the scale is below two grid units.
        ConfigurationError: ``mechanism-out-of-range``, when another argument is not positive.
    """
    if not (math.isfinite(scale) and scale >= MINIMUM_SCALE):
        raise RefusedError(
            "scale-too-small",
            f"a noise scale of {scale!r} grid units is below {MINIMUM_SCALE}",
            "choose a finer grid (a larger bound in grid units) for the same noise",
        )
    if bound < 1 or holders < 1 or dimension < 1:
        raise ConfigurationError(
            "mechanism-out-of-range",
            f"bound {bound}, holders {holders} and dimension {dimension} must all be at least 1",
            "correct the manifest",
        )
    # Terms fall with k/(k+1) rising to 1: h terms, each at most the first.
    tau = 10 * sum(math.exp(-2 * math.pi**2 * scale * scale * k / (k + 1)) for k in range(1, holders))
    return 0.5 * (bound / (math.sqrt(holders) * scale) + tau * math.sqrt(dimension)) ** 2 * _WIDEN


def scale_for(*, rho: float, bound: int, holders: int, dimension: int) -> float:
    """The smallest scale (grid units, within a relative 1e-9) whose ``round_cost`` is at most ``rho``.

    Raises:
        RefusedError: ``scale-too-small``, when even that scale is below two grid units.
        ConfigurationError: when an argument is out of range.
    """
    _require_rho(rho)
    if rho == 0:
        raise ConfigurationError("rho-out-of-range", "a round cannot cost nothing", "give it a positive rho")
    scale = bound / math.sqrt(2 * rho * holders)
    while round_cost(bound=bound, scale=scale, holders=holders, dimension=dimension) > rho:
        scale *= 1 + 1e-10
    return scale


def epsilon(rho: float, delta: float) -> float:
    """Epsilon at ``delta`` of a total cost ``rho``. Never below the exact value of a continuous Gaussian.

    Raises:
        ConfigurationError: ``delta-out-of-range`` or ``rho-out-of-range``.
    """
    _require_delta(delta)
    _require_rho(rho)
    if rho == 0:
        return 0.0
    rho = max(rho, _LEAST_RHO)
    surprise = -math.log(delta)

    def at(log_alpha_minus_one: float) -> float:
        excess = math.exp(log_alpha_minus_one)
        alpha = 1 + excess
        slack = surprise + excess * math.log(excess / alpha) - math.log(alpha)
        return alpha * rho + slack / excess

    # The best alpha is near 1 + sqrt(ln(1/delta) / rho).
    centre = 0.5 * math.log(surprise / rho)
    found = minimize_scalar(at, bounds=(centre - 5, centre + 5), method="bounded", options={"xatol": 1e-10})
    return max(0.0, at(float(found.x))) * _WIDEN


def rho_for(target_epsilon: float, delta: float) -> float:
    """The largest rho (within a relative 1e-12) whose ``epsilon`` at ``delta`` is at most the target.

    Raises:
        ConfigurationError: ``epsilon-out-of-range`` or ``delta-out-of-range``.
    """
    _require_delta(delta)
    if not (math.isfinite(target_epsilon) and 0 < target_epsilon <= 1000):  # beyond: no privacy
        raise ConfigurationError(
            "epsilon-out-of-range",
            f"epsilon is {target_epsilon!r}, which is not a number above 0 and at most 1000",
            "choose an epsilon such as 1 or 3",
        )
    low, high = 0.0, target_epsilon  # epsilon(rho) > rho always
    for _ in range(200):
        middle = (low + high) / 2
        if epsilon(middle, delta) <= target_epsilon:
            low = middle
        else:
            high = middle
        if high - low <= high * 1e-12:
            break
    return low
