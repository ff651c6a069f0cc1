"""Accuracy and calibration from a noisy histogram of scores: score bin by label.

Guarantees:

- Everything here is computed from noisy counts, the standard deviation of their noise and public edges: it is
  post-processing, and deterministic.
- No number is other than finite. Where too little is left beyond the noise there is ``None`` and a reason.
- A margin covers noise and sampling: the held-out victims are taken as a sample of those to come.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr, ndtri

BINS: Final = 6
Z_95: Final = 1.96
CLEAR: Final = 3.0
"""The smaller class must be estimated at this many standard deviations of its noise."""
FEWEST: Final = 10
"""And at this many victims. Both look at totals only: what looks at the shape chooses lucky areas."""
WIDEST: Final = 0.35
"""An area with a wider margin cannot tell guessing from perfect order; a lower limit would choose by luck."""
TOO_FEW: Final = "too few victims of one label to tell beyond the noise"
TOO_WIDE: Final = "the margin would be wider than 0.35"

_PRIOR: Final = np.array([1.0, 0.5])
"""Standard deviations of what is believed of intercept and slope - 1 before the counts are seen."""
_STEPS: Final = 50
_SPREAD: Final = 2 / math.sqrt(math.pi)
"""Mean distance of two draws from a normal distribution, in standard deviations; a uniform one has 1.155."""


@dataclass(frozen=True, eq=False)
class Histogram:
    """Noisy counts of victims.

    Attributes:
        counts: Any shape (..., 2, BINS): label by score bin. They may be negative.
        noise: Standard deviation of the noise in each, independent from cell to cell.
    """

    counts: NDArray[np.float64]
    noise: float


@dataclass(frozen=True, eq=False)
class Calibration:
    """Log-odds as they should be: ``slope * margin + intercept`` (Platt 1999), and what the fit knows.

    Attributes:
        slope: Zero or more, so that the order of scores is kept.
        intercept: Log-odds.
        slope_error: Standard error, noise and sampling.
        intercept_error: Standard error of the level at the mean score.
        means: Mean score of each bin, shape (BINS,).
        hidden: How often two victims of different label in one bin are in the right order, less one half.
    """

    slope: float
    intercept: float
    slope_error: float
    intercept_error: float
    means: NDArray[np.float64]
    hidden: NDArray[np.float64]

    def facts(self) -> dict[str, float]:
        """What a release says of it."""
        return {
            "slope": self.slope,
            "intercept": self.intercept,
            "slope_error": self.slope_error,
            "intercept_error": self.intercept_error,
        }


def spaced(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """The edges, moved apart where they coincide: few different scores leave bins empty, not undefined."""
    spread = edges[-1] - edges[0]
    least = 1e-3 * spread if spread > 0 else max(1e-3, 1e-9 * abs(edges[0]))
    steps = np.arange(len(edges)) * least
    # The running maximum of what is left over each step keeps the edges at least one step apart.
    apart: NDArray[np.float64] = np.maximum.accumulate(edges - steps) + steps
    return apart if spread > 0 else apart - steps.mean()


def combined(tables: Sequence[Histogram]) -> Histogram:
    """All victims, from tables of shape (groups, 2, BINS) that each count all of them, by precision."""
    sums = np.stack([table.counts.sum(axis=0) for table in tables])
    precision = np.array([1 / (len(table.counts) * table.noise**2) for table in tables])
    counts = np.tensordot(precision / precision.sum(), sums, axes=1)
    return Histogram(counts, 1 / math.sqrt(precision.sum()))


def fitted(table: Histogram, overall: Histogram) -> Histogram:
    """The groups of a table, moved by equal parts so that they add up to ``overall``: least squares."""
    groups = len(table.counts)
    counts = table.counts + (overall.counts - table.counts.sum(axis=0)) / groups
    variance = table.noise**2 * (1 - 1 / groups) + (overall.noise / groups) ** 2
    return Histogram(counts, math.sqrt(variance))


def surplus(table: Histogram) -> NDArray[np.float64]:
    """How much of each group's and label's total is likely noise, shape (groups, 2).

    Groups whose area is shown are those with large noisy totals, and these tend to be too large, which would
    draw the area towards one half. Totals are shrunk towards their mean by what the noise leaves of their
    spread (empirical Bayes), so that it does not matter which are chosen.
    """
    totals = table.counts.sum(axis=2)
    if len(totals) < 2:
        return np.zeros_like(totals)
    noise = BINS * table.noise**2
    mean, spread = totals.mean(axis=0), totals.var(axis=0, ddof=1)
    share = np.minimum(1.0, noise / np.maximum(spread, noise * 1e-9))
    found: NDArray[np.float64] = share * (totals - mean)
    return found


def _shape(
    counts: NDArray[np.float64], edges: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of the scores in each bin, shapes (BINS,), if scores are about normal.

    The normal distribution is the line through the probits of the cumulative shares at the edges.
    """
    kept = np.maximum(counts, 0) + 0.5
    shares = np.cumsum(kept)[:-1] / kept.sum()
    probits = ndtri(shares)
    middle, spread = edges.mean(), edges.std()
    rise = float(((edges - middle) * (probits - probits.mean())).mean() / spread**2)
    deviation = min(1 / rise if rise > 0 else math.inf, 10 * spread)
    mean = middle - probits.mean() * deviation
    ends = np.concatenate([[-8.0], np.clip((edges - mean) / deviation, -8, 8), [8.0]])
    low, high = ends[:-1], ends[1:]
    density = np.exp(-(ends**2) / 2) / math.sqrt(2 * math.pi)
    mass = np.maximum(ndtr(high) - ndtr(low), 1e-12)
    centre = np.clip((density[:-1] - density[1:]) / mass, low, high)
    square = 1 + (low * density[:-1] - high * density[1:]) / mass - centre**2
    widest = (high - low) ** 2 / 4
    return mean + deviation * centre, deviation * np.sqrt(np.clip(square, 0, np.minimum(widest, 1)))


def _ridge(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keeps a matrix invertible, whatever its size."""
    return np.asarray(np.eye(2) * (1e-9 + 1e-12 * float(np.trace(matrix))))


def calibrate(overall: Histogram, edges: NDArray[np.float64]) -> Calibration:
    """Slope and intercept from the noisy counts, kept near the identity where noise dominates.

    Unknowns: the level at the mean score, and slope - 1. The score equations of logistic regression on the
    bins' means have covariance ``sampling + noise``; with a normal prior around the identity this makes a
    quadratic problem, solved step by step. Counts are clipped at zero; the prior carries what is then lost.
    """
    counts = np.maximum(overall.counts, 0)
    bins = counts.sum(axis=0)
    means, deviations = _shape(overall.counts.sum(axis=0), edges)
    middle = float((bins * means).sum() / bins.sum()) if bins.sum() > 0 else float(means.mean())
    inputs = np.stack([np.ones(BINS), means - middle])
    found, covariance = np.zeros(2), np.diag(_PRIOR**2)
    for _ in range(_STEPS):
        rate = expit(means + inputs.T @ found)
        score = inputs @ (counts[1] - bins * rate)
        information = (inputs * (bins * rate * (1 - rate))) @ inputs.T
        noise = (inputs * (overall.noise**2 * (rate**2 + (1 - rate) ** 2))) @ inputs.T
        pull = information @ np.linalg.inv(information + noise + _ridge(information + noise))
        covariance = np.linalg.inv(pull @ information + np.diag(_PRIOR**-2))
        step = covariance @ (pull @ score - found / _PRIOR**2)
        found += np.clip(step, -1, 1)  # a full step from far away can overshoot
        if np.abs(step).max() < 1e-9:
            break
    slope = max(0.0, 1 + float(found[1]))
    intercept = float(found[0]) - (slope - 1) * middle
    # With density ratio exp(slope * score) inside a bin, this is the first order of what the bin hides.
    hidden = np.clip(slope * _SPREAD * deviations / 4, 0, 0.25)
    errors = np.sqrt(np.diag(covariance))
    return Calibration(slope, intercept, float(errors[1]), float(errors[0]), means, hidden)


def accuracy(histogram: Histogram, calibration: Calibration, noisy: NDArray[np.float64]) -> dict[str, Any]:
    """Victims, positives, and the area under the ROC curve of one group, counts of shape (2, BINS).

    ``noisy`` is the ``surplus`` of the group, shape (2,): it is left out of the area.
    """
    lost, found = histogram.counts.sum(axis=1).tolist()
    error = histogram.noise * math.sqrt(BINS)
    facts = {
        "victims": lost + found,
        "victims_error": error * math.sqrt(2),
        "positives": found,
        "positives_error": error,
        "auc": None,
        "margin": None,
        "reason": TOO_FEW,
    }
    smaller = min(lost - noisy[0], found - noisy[1])
    if smaller < max(CLEAR * error, FEWEST):
        return facts
    area, variance = _area(histogram.counts - noisy[:, None] / BINS, histogram.noise, calibration.hidden)
    margin = Z_95 * math.sqrt(variance)
    if margin > WIDEST:
        return facts | {"reason": TOO_WIDE}
    return facts | {"auc": area, "margin": margin, "reason": None}


def _area(counts: NDArray[np.float64], noise: float, hidden: NDArray[np.float64]) -> tuple[float, float]:
    """The area under the ROC curve and its variance.

    Variance: sampling by Hanley and McNeil 1982; noise by the delta method, each cell for itself; half of
    what is added back for ties within bins, squared.
    """
    negatives, positives = counts
    lost, found = counts.sum(axis=1).tolist()
    # How many of the other label a victim of each bin is ranked above, those of the same bin by a half.
    below = (np.cumsum(negatives) - negatives / 2) / lost
    above = (np.cumsum(positives[::-1])[::-1] - positives / 2) / found
    tied = float((positives * below).sum() / found)
    within = float((positives * negatives * hidden).sum() / (lost * found))
    area = min(1.0, max(0.0, tied + within))
    ranked = max(area, 1 - area)
    first, second = ranked / (2 - ranked), 2 * ranked**2 / (1 + ranked)
    sampling = ranked * (1 - ranked) + (found - 1) * (first - ranked**2) + (lost - 1) * (second - ranked**2)
    from_noise = sum(
        # Second order of the quotient: a total not far above its noise has a margin that is too small.
        float(((ranks - tied) ** 2).sum()) * (noise / total) ** 2 * (1 + 3 * BINS * (noise / total) ** 2)
        for ranks, total in ((below, found), (above, lost))
    )
    variance = sampling / (lost * found) + from_noise + (within / 2) ** 2
    return area, variance


def _chances(margins: NDArray[np.float64]) -> list[float]:
    return [float(chance) for chance in np.atleast_1d(expit(margins))]


def reliability(
    overall: Histogram, calibration: Calibration, edges: NDArray[np.float64]
) -> list[dict[str, float | None]]:
    """For each bin the share of positives that calibrated scores predict, and the one observed.

    Keys: ``low`` and ``high`` (edges of the bin, log-odds; None at the ends), ``victims``, ``raw`` and
    ``predicted`` (probability at the bin's mean score before and after calibration), ``observed`` and its 95%
    ``margin`` of noise and sampling (both None where the bin's count cannot be told from its noise).
    """
    bounds: list[float | None] = [None, *(float(edge) for edge in edges), None]
    raw = _chances(calibration.means)
    predicted = _chances(calibration.slope * calibration.means + calibration.intercept)
    rows: list[dict[str, float | None]] = []
    for index in range(BINS):
        negatives, positives = overall.counts[:, index].tolist()
        victims = negatives + positives
        row: dict[str, float | None] = {
            "low": bounds[index],
            "high": bounds[index + 1],
            "victims": victims,
            "raw": raw[index],
            "predicted": predicted[index],
            "observed": None,
            "margin": None,
        }
        if victims >= CLEAR * math.sqrt(2) * overall.noise and victims >= 1:
            share = min(1.0, max(0.0, positives / victims))
            # Not below what one victim in the bin would leave uncertain: none seen is not none possible.
            sampling = max(share * (1 - share), 0.5 / victims) / victims
            noise = overall.noise**2 * (share**2 + (1 - share) ** 2) / victims**2
            row |= {"observed": share, "margin": Z_95 * math.sqrt(sampling + noise)}
        rows.append(row)
    return rows
