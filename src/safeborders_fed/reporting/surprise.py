"""How surprising the last values of many series are, given their own past and known privacy noise.

The model of no change, for each series on the scale ``g(y) = sqrt(y + c)``, on which counts have about
one variance: level, straight trend and, where the past spans it, one yearly wave, with errors of one
variance. What is tested is the mean of the last one or two values (``WINDOWS``) against what the periods
before lead to expect.

Variance: a short past tells little of it, so all series of a report lend each other strength (Smyth
2004). Their residual variances are described by the mean, ``(s^2 + phi * m + psi * m^2) / (4 * (m +
c))``: privacy noise ``s``, which is known, overdispersed counts, and unrest that grows with the level.
Each series' own variance is then drawn to that curve as far as the spread of all of them around it says.
It is never taken below what privacy noise and Poisson counts alone would give. The statistic is compared
with Student's t.

Unrest: levels that wander, trends that bend and shocks that many series share make a prediction worse than
its own residuals tell. So the last few periods before the window, which are known, are predicted in the same
way from what precedes them; by how much these predictions of all series erred beyond their standard errors,
relative to the level, is added to the error of the test.

Scale of the test: privacy noise is normal whatever the count, so that series within it are compared on the
scale of counts, on which it is symmetric; those beyond it on ``g``, which is on the safe side for a rise, as
the square root bends more than the skewness of counts asks (a power of 2/3). Between them the power follows
the fourth power of the noise's part of the variance, since counts in bursts are soon more skewed than that.

Guarantees: pure; deterministic; a value in the tested window never enters the model that it is compared
with, so a larger last value never lowers the evidence of a rise. Nothing is random.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.special import polygamma, psi, stdtr, stdtrit

Floats = NDArray[np.float64]

WINDOWS: Final = (1, 2)
"""How many of the last periods are tested together; two find what lasts, and what one period leaves open."""
LEAST_PLAIN: Final = 6
"""Periods before the window without which nothing is said, where no season is modelled."""
LEAST_YEARS: Final = 2
"""Years before the window, less one period, without which nothing is said of a series with seasons."""
MOST_BORROWED: Final = 20.0
"""Degrees of freedom that the other series lend at most, however alike they look."""
MOST_FREEDOM: Final = 24.0
"""Degrees of freedom at most: counts in bursts have longer tails than normal errors, on any scale."""
FEWEST_LENDERS: Final = 20
"""Series with a past below which none lends to another."""
TREND_SPREAD: Final = 0.05
"""Trends of the series differ by at least this, as a standard deviation of yearly growth."""
WAVE_SPREAD: Final = 0.05
"""So do the two parts of their yearly waves, relative to the level."""
PREDICTED: Final = 4
"""Known periods before the window that are predicted, at most, to learn how unrestful the series are."""
_OUTBREAK: Final = 3.0
"""Standard errors beyond which a known period says no more: it may have been an outbreak."""
_LOWEST: Final = 0.5
"""Victims a period that a past without any is taken for, so that no variance is zero."""
_DISPERSION: Final = 1.5
"""Assumed by the scale ``g`` only: it decides where counts become as noisy as the privacy noise."""
_ROUNDS: Final = 8
_TINY: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Surprise:
    """How far the mean of one window lies from what the past leads to expect, for each series.

    Attributes:
        window: How many of the last periods.
        observed: Mean of the window, on the scale of counts.
        centre: Of the window on the scale ``g``.
        predicted: What the past leads to expect, on the scale ``g``.
        error: Standard error of ``centre - predicted``.
        freedom: Degrees of freedom of the error.
        offset: ``c`` of the scale.
        power: What the counts plus ``c`` are raised to, so that their errors are about symmetric.
    """

    window: int
    observed: Floats
    centre: Floats
    predicted: Floats
    error: Floats
    freedom: float
    offset: Floats
    power: Floats

    def rise(self) -> Floats:
        """One-sided p-values of a rise."""
        return np.asarray(stdtr(self.freedom, -self._score()))

    def fall(self) -> Floats:
        """One-sided p-values of a fall."""
        return np.asarray(stdtr(self.freedom, self._score()))

    def _score(self) -> Floats:
        """By how many standard errors the window differs, on the symmetric scale."""
        raised = self._base() ** (2 * self.power)
        return np.asarray((self.centre ** (2 * self.power) - raised) / self._unit())

    def _base(self) -> Floats:
        """What is expected, on the scale ``g``, at least what no victim is there."""
        return np.maximum(self.predicted, np.sqrt(self.offset))

    def _unit(self) -> Floats:
        """One standard error on the symmetric scale."""
        return np.asarray(2 * self.power * self._base() ** (2 * self.power - 1) * self.error)

    def doubling(self) -> Floats:
        """By how many standard errors a doubling of what is expected would stand out; of the past alone."""
        expected = self.expected()
        return np.asarray(
            (np.sqrt(2 * expected + self.offset) - np.sqrt(expected + self.offset)) / self.error
        )

    def expected(self) -> Floats:
        """Victims a period that the past leads to expect."""
        return _counts(self.predicted, self.offset)

    def change(self, tail: Floats) -> tuple[Floats, Floats]:
        """Between which numbers of victims a period the change lies; each end errs with chance ``tail``."""
        reach = stdtrit(self.freedom, 1 - tail) * self._unit()
        middle, root = self._base() ** (2 * self.power), 1 / (2 * self.power)
        seen = _counts(self.centre, self.offset)
        return (
            seen - _counts((middle + reach) ** root, self.offset),
            seen - _counts(np.maximum(middle - reach, 0.0) ** root, self.offset),
        )


def _counts(root: Floats, offset: Floats) -> Floats:
    return np.maximum(np.maximum(root, 0.0) ** 2 - offset, 0.0)


def least_past(seasons: int) -> int:
    """Periods before the window that are needed.

    Args:
        seasons: Periods in a year; 1 for none.
    """
    return LEAST_PLAIN if seasons == 1 else LEAST_YEARS * seasons - 1


def surprise(values: Floats, deviation: Floats, *, seasons: int, window: int) -> Surprise:
    """Compares the last ``window`` values with those before.

    Args:
        values: Counts, (series, periods), at least ``least_past`` before the window.
        deviation: Standard error of each series' counts.
        seasons: Periods in a year; 1 for none.
        window: How many of the last periods.
    """
    found = _compared(values, deviation, seasons=seasons, window=window)
    before = values[:, : values.shape[1] - window]
    unrest = _unrest(before, deviation, seasons) if len(values) >= FEWEST_LENDERS else 0.0
    return replace(found, error=np.hypot(found.error, unrest * _slope(found)))


def _compared(values: Floats, deviation: Floats, *, seasons: int, window: int) -> Surprise:
    """The same with the error that the residuals alone tell."""
    offset = deviation**2 / _DISPERSION + 0.375 * _DISPERSION
    roots = np.sqrt(np.maximum(values, 0.0) + offset[:, None])
    before = roots.shape[1] - window
    design = _design(roots.shape[1], seasons)
    past, tested = design[:before], design[before:].mean(axis=0)
    fitted = roots[:, :before] @ np.linalg.pinv(past).T
    residuals = roots[:, :before] - fitted @ past.T
    own = before - past.shape[1]
    level = np.maximum(values[:, :before].mean(axis=1), _LOWEST)
    variance, freedom = _moderated((residuals**2).sum(axis=1) / own, own, level, deviation, offset)
    slope = level / (2 * np.sqrt(level + offset))
    predicted, leverage = _predicted(fitted, past, tested, variance=variance, slope=slope, seasons=seasons)
    known = deviation**2 + _TINY
    return Surprise(
        window=window,
        observed=values[:, before:].mean(axis=1),
        centre=roots[:, before:].mean(axis=1),
        predicted=predicted,
        error=np.sqrt(variance / window + leverage),
        freedom=freedom,
        offset=offset,
        power=(1 + (known / (known + _DISPERSION * _counts(predicted, offset))) ** 4) / 2,
    )


def _slope(found: Surprise) -> Floats:
    """Change of ``g`` for each unit of the logarithm of what is expected."""
    level = np.maximum(found.expected(), _LOWEST)
    return np.asarray(level / (2 * np.sqrt(level + found.offset)))


def _unrest(values: Floats, deviation: Floats, seasons: int) -> float:
    """By how much, relative to the level, known periods differ from what was expected, beyond its error.

    A moment estimate over series and periods, weighted by how much each can tell (as DerSimonian and Laird).
    """
    excess = weight = 0.0
    last = values.shape[1]
    for at in range(max(least_past(seasons), last - PREDICTED), last):
        found = _compared(values[:, : at + 1], deviation, seasons=seasons, window=1)
        known = found.error**2 * found.freedom / (found.freedom - 2)
        missed = np.minimum((found.centre - found.predicted) ** 2, (_OUTBREAK * found.error) ** 2)
        tells = (_slope(found) ** 2 / known) ** 2
        excess += float(np.sum(tells * (missed - known) / _slope(found) ** 2))
        weight += float(tells.sum())
    return float(np.sqrt(excess / weight)) if excess > 0 else 0.0


def _predicted(
    fitted: Floats, past: Floats, tested: Floats, *, variance: Floats, slope: Floats, seasons: int
) -> tuple[Floats, Floats]:
    """What the past leads to expect, and the variance of that: trend and wave drawn to those of all series.

    Args:
        fitted: Coefficients of each series alone, (series, coefficients).
        past: The design of the past.
        tested: The design of the window, its mean.
        variance: Of each series' errors.
        slope: Change of ``g`` for each unit of the logarithm of the counts.
        seasons: Periods in a year.
    """
    gram = past.T @ past
    precision = np.zeros_like(fitted)
    centre = np.zeros_like(fitted)
    if len(fitted) >= FEWEST_LENDERS:
        alone = np.diag(np.linalg.inv(gram))
        for at, least in enumerate(_least_spread(past.shape[1] - 2, seasons), start=1):
            common, spread = _common(fitted[:, at], variance * alone[at], slope)
            centre[:, at] = common * slope
            precision[:, at] = 1 / np.maximum(np.maximum(spread, least) * slope, _TINY) ** 2
    full = gram / variance[:, None, None]
    inverse = np.linalg.inv(full + precision[:, :, None] * np.eye(len(tested)))
    pulled = np.einsum("sij,sj->si", full, fitted) + precision * centre
    drawn = np.einsum("sij,sj->si", inverse, pulled)
    return drawn @ tested, np.einsum("i,sij,j->s", tested, inverse, tested)


def _least_spread(waves: int, seasons: int) -> tuple[float, ...]:
    return (TREND_SPREAD / seasons, *(WAVE_SPREAD,) * waves)


def _common(found: Floats, error: Floats, slope: Floats) -> tuple[float, float]:
    """Mean and spread of a coefficient relative to the levels (DerSimonian and Laird 1986)."""
    use = slope > np.median(slope) / 10
    relative, weight = found[use] / slope[use], slope[use] ** 2 / error[use]
    mean = float(np.sum(weight * relative) / weight.sum())
    excess = float(np.sum(weight * (relative - mean) ** 2)) - (len(weight) - 1)
    return mean, float(np.sqrt(max(excess, 0.0) / (weight.sum() - np.square(weight).sum() / weight.sum())))


def _design(periods: int, seasons: int) -> Floats:
    """Level, trend, and one wave a year."""
    at = np.arange(periods, dtype=np.float64)
    columns = [np.ones(periods), at - at.mean()]
    if seasons > 1:
        columns.append(np.cos(2 * np.pi * at / seasons))
    if seasons > 2:
        columns.append(np.sin(2 * np.pi * at / seasons))
    return np.stack(columns, axis=1)


def _moderated(
    found: Floats, own: int, level: Floats, deviation: Floats, offset: Floats
) -> tuple[Floats, float]:
    """Variance of each series on the scale ``g``, and its degrees of freedom."""
    scale = 4 * (level + offset)
    floor = (deviation**2 + level) / scale
    if len(found) < FEWEST_LENDERS:
        return np.maximum(found, floor), min(float(own), MOST_FREEDOM)
    # At zero counts are cut off: series within the noise look too quiet, and so unlike the others.
    whole = level >= np.minimum(deviation, np.sort(level)[-FEWEST_LENDERS])
    curve = _curve(found, level, deviation, scale, whole)
    lent, factor = _lent((found / curve)[whole], own)
    drawn = (lent * factor * curve + own * found) / (lent + own)
    return np.maximum(drawn, floor), min(own + lent, MOST_FREEDOM)


def _curve(
    found: Floats, level: Floats, deviation: Floats, scale: Floats, whole: NDArray[np.bool_]
) -> Floats:
    """The variances as noise, counts and unrest explain them: weighted, non-negative least squares."""
    known = deviation**2 / scale
    parts = np.stack([level / scale, level**2 / scale], axis=1)
    curve = np.maximum(known + parts[:, 0], _TINY)
    for _ in range(_ROUNDS):
        weighted = (parts / curve[:, None])[whole], ((found - known) / curve)[whole]
        solved, _ = nnls(*weighted)
        curve = np.maximum(known + parts @ solved, _TINY)
    return np.asarray(curve)


def _lent(ratio: Floats, own: int) -> tuple[float, float]:
    """Degrees of freedom that the curve is worth to a series, and its factor (Smyth 2004, section 6.2)."""
    logs = np.log(np.maximum(ratio, _TINY)) - psi(own / 2) + np.log(own / 2)
    spread = float(logs.var(ddof=1)) - float(polygamma(1, own / 2))
    least = float(polygamma(1, MOST_BORROWED / 2))
    lent = 2 * _trigamma_inverse(max(spread, least))
    return lent, float(np.exp(logs.mean() + psi(lent / 2) - np.log(lent / 2)))


def _trigamma_inverse(value: float) -> float:
    """Where trigamma is ``value``, by bisection on the logarithm."""
    low, high = -20.0, 20.0
    for _ in range(100):
        middle = (low + high) / 2
        if float(polygamma(1, np.exp(middle))) > value:
            low = middle
        else:
            high = middle
    return float(np.exp(low))
