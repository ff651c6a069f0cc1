"""What every detection model starts with: one round of counts, and inputs standardised by them.

Unit: one training victim, with all their records.

Stage ``statistics`` (one round). Row of a victim: ``(a x, 2 A, 2 A y)`` with x the one-hot features (public
bins), y the label, A the same integer for everybody and a the largest integer up to A with which the row's
L2 norm is at most ``UNIT`` grid units: A for up to ``_VALUES`` values, less for a victim with more, which
only shifts the centre a little and never the counts. These weigh double, as rules depend on them most.
Products of integers: exact.

Inputs are ``z = (x - centre) / spread``. The spread of a column follows from its centre, since a column
holds 0 or 1: noise is the same in every column, so a column that seldom varies is stretched until its signal
stands out, and less so the nearer it is to never varying, where it would be noise alone (ADR 10). On an
integer grid a column holds the same two public values for every victim.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.analyses.base import UNIT, Stage
from safeborders_fed.privacy.products import Indicators

if TYPE_CHECKING:
    from safeborders_fed.analyses.learner import Rows
    from safeborders_fed.privacy.bounded_sum import BoundedSumBuilder

STATISTICS: Final = "statistics"
INPUT_GRID: Final = 2.0**12
MARGIN_GRID: Final = 2.0**24
INTERCEPT: Final = 0.3
"""Input of the intercept, in units of a typical victim's norm: larger, and it takes room below the clip."""
RARE: Final = 0.05
"""Variance (that of a column of 5% ones) below which a column is stretched less and less."""
_VALUES: Final = 16
"""Values of a victim that a row of the statistics can hold before it is scaled down."""
_COUNTS_WEIGHT: Final = 2
_AMOUNT: Final = math.floor(UNIT / math.sqrt(_VALUES + 2 * _COUNTS_WEIGHT**2))
"""What a victim adds for each value, in grid units, and ``_COUNTS_WEIGHT`` times for each count."""
_LARGEST_TERM: Final = 2.0**20
"""What one input may add to a margin at most: with a million columns margins stay below 2^64 grid units."""


@dataclass(frozen=True)
class Counted:
    """What the statistics tell, noise and all.

    Attributes:
        labelled: Training victims; at least 1.
        positives: Those with label 1.
        centre: Share of training victims that have each column, shape (columns,).
        deviation: Standard deviation of the noise in the two counts, victims.
    """

    labelled: float
    positives: float
    centre: NDArray[np.float64]
    deviation: float = 0.0

    @property
    def rate(self) -> float:
        """Share of positives, neither 0 nor 1."""
        return min(
            max(self.positives / self.labelled, 1 / (1 + self.labelled)), self.labelled / (1 + self.labelled)
        )

    def facts(self) -> dict[str, Any]:
        """Noisy counts of labelled and of positive training victims with their error, for a release."""
        return {
            "labelled_noisy": round(self.labelled),
            "positives_noisy": round(self.positives),
            "counts_error": self.deviation,
        }


def statistics_stage(columns: int, share: float) -> Stage:
    """The one round of counts."""
    return Stage(STATISTICS, 1, columns + 2, UNIT, share)


def add_statistics(builder: BoundedSumBuilder, rows: Rows) -> None:
    """Adds a node's counts."""
    counts = Indicators(np.stack([np.ones_like(rows.target), rows.target], axis=1))
    left_over = (UNIT**2 - 2 * (_COUNTS_WEIGHT * _AMOUNT) ** 2) * (1 - 1e-12)
    room = np.sqrt(left_over / np.maximum(rows.features.counts(), _VALUES))
    amounts = np.minimum(np.floor(room), _AMOUNT).astype(np.int64)[:, None]
    constant = np.full((len(rows.target), 1), _COUNTS_WEIGHT * _AMOUNT, dtype=np.int64)
    builder.add_products([(rows.features, amounts), (counts, constant)])


def read_statistics(total: NDArray[np.int64], noise: float) -> Counted:
    """The counts in a private sum of the stage, whose noise has this standard deviation, grid units."""
    weight = _COUNTS_WEIGHT
    sums = total.astype(np.float64) / _AMOUNT
    labelled = max(1.0, float(sums[-2]) / weight)
    positives = min(max(float(sums[-1]) / weight, 0.0), labelled)
    centre = np.clip(sums[:-2] / labelled, 0.0, 1.0)
    return Counted(labelled, positives, centre, noise / (weight * _AMOUNT))


def varying_columns(centre: NDArray[np.float64]) -> float:
    """How many columns vary, each at most 1, less if it is nearly always 0 or nearly always 1; at least 1."""
    variance = centre * (1 - centre)
    return max(1.0, float((variance / (variance + RARE)).sum()))


def spread_of(centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """What columns are divided by: typical victims then have norm 1."""
    return np.asarray(np.sqrt((centre * (1 - centre) + RARE) * varying_columns(centre)))


@dataclass(frozen=True)
class Inputs:
    """Model inputs as integers: what each column holds where it is set and where it is not.

    Attributes:
        on: int64, shape (columns + 1,), the intercept last.
        off: int64, likewise.
    """

    on: NDArray[np.int64]
    off: NDArray[np.int64]

    @classmethod
    def of(cls, centre: NDArray[np.float64], grid: float = INPUT_GRID) -> Inputs:
        """Standardised by a noisy centre, which is held within 0 and 1 whatever a coordinator sends."""
        centre = np.clip(centre, 0.0, 1.0)
        spread = spread_of(centre)
        on = np.append((1 - centre) / spread, INTERCEPT)
        off = np.append(-centre / spread, INTERCEPT)
        return cls(np.rint(on * grid).astype(np.int64), np.rint(off * grid).astype(np.int64))

    def terms(self, weights: NDArray[np.float64]) -> tuple[NDArray[np.int64], int]:
        """What each set column adds to a margin, and the margin of nothing set, in units of 2^-24."""

        def grid(inputs: NDArray[np.int64]) -> NDArray[np.int64]:
            terms = np.clip(inputs / INPUT_GRID * weights, -_LARGEST_TERM, _LARGEST_TERM)
            return np.rint(terms * MARGIN_GRID).astype(np.int64)

        on, off = grid(self.on), grid(self.off)
        return (on - off)[:-1], int(off.sum())
