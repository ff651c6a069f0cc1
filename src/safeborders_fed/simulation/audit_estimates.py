"""The mathematics of a privacy audit: how much an adversary's view tells, estimated from the view itself.

Unit: one victim, with all their records, at one node, added or removed.

Guarantees: pure functions of numbers; limits hold for every sample size, not only for large ones.

- Noise in a view is measured against the noise claimed. If it is Gaussian, the sum of its squares over the
  claimed variance is the true ratio of variances times chi-square, which gives exact limits. At the scales
  in use (thousands of grid units and more) the discrete Gaussian is a Gaussian to many digits.
- Epsilon of a Gaussian whose mean moves by ``mu`` standard deviations is exact (Balle, Wang 2018, arXiv
  1805.06530, Theorem 8), without the slack that the accountant's conversion from rho has.
- The one-run bound is that of Steinke, Nasr, Jagielski 2023 (arXiv 2305.08846, Theorem 5.2): it assumes
  nothing of the mechanism, only that each canary was put in by an independent fair coin. Its term in delta is
  taken with the factor ``2 m``, the larger of those in use, which makes the bound smaller.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import log_ndtr
from scipy.stats import binom, chi2

_NO_NOISE: Final = 1e6


def gaussian_epsilon(mu: float, delta: float) -> float:
    """Exact epsilon at ``delta`` of a Gaussian mechanism.

    Args:
        mu: By how many standard deviations of the noise one victim moves the sum (L2). From a million on
            there is no noise to speak of, and epsilon is infinite.
        delta: Between 0 and 1.
    """
    if mu >= _NO_NOISE:
        return math.inf

    def excess(epsilon: float) -> float:
        above = math.exp(log_ndtr(mu / 2 - epsilon / mu))
        return above - math.exp(epsilon + log_ndtr(-mu / 2 - epsilon / mu)) - delta

    if mu == 0 or excess(0.0) <= 0:
        return 0.0
    # The conversion from rho = mu^2 / 2 is an upper bound (Bun, Steinke 2016, Lemma 3.5).
    largest = mu**2 / 2 + mu * math.sqrt(2 * math.log(1 / delta))
    return float(brentq(excess, 0.0, largest))


@dataclass(frozen=True, slots=True)
class VarianceRatio:
    """Variance of the noise in a view over the variance claimed: estimate and limits."""

    estimate: float
    low: float
    high: float


def variance_ratio(squares: float, count: int, false_alarm: float) -> VarianceRatio:
    """The ratio from samples of noise divided by the standard deviation claimed.

    Args:
        squares: Sum of their squares.
        count: How many there are.
        false_alarm: Chance that the true ratio is below ``low``, and that it is above ``high``.
    """
    return VarianceRatio(
        squares / count,
        squares / float(chi2.isf(false_alarm, count)),
        squares / float(chi2.ppf(false_alarm, count)),
    )


def guesses(scores: NDArray[np.float64], count: int) -> NDArray[np.int8]:
    """A guess for each canary, shape (canaries,): 1 in, -1 out, 0 abstains.

    The ``count`` scores farthest from zero are guessed; ``count`` is chosen before the scores are seen.
    """
    chosen = np.argsort(-np.abs(scores), kind="stable")[:count]
    guessed = np.zeros(len(scores), dtype=np.int8)
    guessed[chosen] = np.where(scores[chosen] > 0, 1, -1)
    return guessed


def one_run_p_value(*, canaries: int, guessed: int, correct: int, epsilon: float, delta: float) -> float:
    """Largest chance that an (epsilon, delta)-private mechanism allows so many correct guesses.

    Args:
        canaries: Each put in by an independent fair coin.
        guessed: Guesses made.
        correct: Guesses that were right.
        epsilon: Of the mechanism supposed.
        delta: Of the mechanism supposed.
    """
    chance = 1 / (1 + math.exp(-epsilon))
    # At least v right, for v = correct, correct - 1, ..., 0. Steps beyond add nothing but a larger divisor.
    tails = np.asarray(binom.sf(correct - 1 - np.arange(correct + 1), guessed, chance))
    steps = (tails[1:] - tails[0]) / np.arange(1, correct + 1)
    return min(1.0, float(tails[0] + 2 * canaries * delta * steps.max(initial=0.0)))


def one_run_bound(
    *, canaries: int, guessed: int, correct: int, delta: float, false_alarm: float = 0.05
) -> float:
    """The one-run lower bound of epsilon: wrong with a chance of at most ``false_alarm``.

    Rejecting an epsilon rejects every smaller one, so any rejected epsilon is a valid bound; the search only
    makes it large.
    """

    def rejected(epsilon: float) -> bool:
        p_value = one_run_p_value(
            canaries=canaries, guessed=guessed, correct=correct, epsilon=epsilon, delta=delta
        )
        return p_value < false_alarm

    if not rejected(0.0):
        return 0.0
    low, high = 0.0, 1.0
    while rejected(high):
        low, high = high, 2 * high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if rejected(middle) else (low, middle)
    return low
