"""Least squares over noisy tables of counts, exactly and fast.

Given noisy measurements of a table and of some of its margins, all with one noise level each, the best
linear unbiased estimate of the table minimises the weighted squares of all residuals. Margins of a cross
table commute (each dimension is either kept or summed), so one orthogonal decomposition into effects
(as in the analysis of variance) diagonalises the problem: for a set E of dimensions, the effect space E has
eigenvalue ``sum over measured tables t containing E of weight_t * product of sizes of dimensions outside t``.
That gives estimate and variances in closed form, for any dimensions.

Non-negativity: the projection of the estimate on the non-negative orthant in the norm of the same least
squares. The truth lies in that convex set, so the projection is never further from it than the estimate
(in that norm). Tables then stay consistent, since margins are sums of one table.

Guarantees: post-processing of private sums only; deterministic; no privacy cost.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.errors import ConfigurationError

Kept = tuple[int, ...]
"""Dimensions (axes of the full table) that a table keeps, ascending."""


@dataclass(frozen=True)
class Measurement:
    """One noisy table.

    Attributes:
        kept: The dimensions of the full table that it keeps.
        counts: Noisy counts, shape of the kept dimensions.
        deviation: Standard deviation of the noise in each count.
    """

    kept: Kept
    counts: NDArray[np.float64]
    deviation: float


class LeastSquares:
    """The least-squares problem of one set of measured tables.

    Args:
        sizes: Shape of the full table.
        measured: For each measured table the kept dimensions and the deviation of its noise.

    Raises:
        ConfigurationError: ``table-not-measured``, when the full table itself is not measured.
    """

    def __init__(self, sizes: Sequence[int], measured: Sequence[tuple[Kept, float]]) -> None:
        self.sizes = tuple(sizes)
        axes = range(len(self.sizes))
        if tuple(axes) not in [kept for kept, _ in measured]:
            raise ConfigurationError(
                "table-not-measured", "the full table is not among the measured ones", "measure it as well"
            )
        self._effects = {effect: self._eigenvalue(effect, measured) for effect in subsets(axes)}

    def _eigenvalue(self, effect: Kept, measured: Sequence[tuple[Kept, float]]) -> float:
        total = 0.0
        for kept, deviation in measured:
            if set(effect) <= set(kept):
                outside = math.prod(size for axis, size in enumerate(self.sizes) if axis not in kept)
                total += outside / deviation**2
        return total

    def _apply(self, table: NDArray[np.float64], *, inverse: bool) -> NDArray[np.float64]:
        """The normal matrix, or its inverse, times a full table."""
        result = np.zeros(self.sizes)
        for effect, part in _decompose(table):
            eigenvalue = self._effects[effect]
            result += part / eigenvalue if inverse else part * eigenvalue
        return result

    def estimate(self, measurements: Sequence[Measurement]) -> NDArray[np.float64]:
        """The unconstrained estimate of the full table."""
        right = np.zeros(self.sizes)
        for entry in measurements:
            missing = tuple(axis for axis in range(len(self.sizes)) if axis not in entry.kept)
            right += np.expand_dims(entry.counts, missing) / entry.deviation**2
        return self._apply(right, inverse=True)

    def deviation(self, kept: Kept) -> float:
        """Standard error of each cell of the estimate, summed over the dimensions that are not kept."""
        outside = math.prod(size for axis, size in enumerate(self.sizes) if axis not in kept)
        variance = 0.0
        for effect in subsets(kept):  # effects of summed dimensions sum to zero
            share = 1.0
            for axis in kept:
                share *= 1 - 1 / self.sizes[axis] if axis in effect else 1 / self.sizes[axis]
            variance += share * outside / self._effects[effect]
        return math.sqrt(variance)

    def non_negative(self, estimate: NDArray[np.float64], tolerance: float = 1e-3) -> NDArray[np.float64]:
        """The non-negative table nearest to the estimate in the norm of the least squares.

        Accelerated projected gradient (Beck, Teboulle 2009) in coordinates that the largest eigenvalue
        scales; ends when a step moves no cell by more than ``tolerance`` counts.
        """
        step = 1 / max(self._effects.values())
        table = np.maximum(estimate, 0.0)
        ahead, momentum = table, 1.0
        for _ in range(20_000):
            gradient = self._apply(ahead - estimate, inverse=False)
            following = np.maximum(ahead - step * gradient, 0.0)
            moved = following - table
            if float(np.sum((ahead - following) * moved)) > 0:  # overshoot: restart the momentum
                momentum = 1.0
            grown = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
            ahead = following + (momentum - 1) / grown * moved
            table, momentum = following, grown
            if np.abs(moved).max(initial=0.0) <= tolerance * step * min(self._effects.values()):
                break
        return table


def subsets(axes: Sequence[int]) -> Iterator[Kept]:
    """Every set of some dimensions, the smaller ones first."""
    for size in range(len(axes) + 1):
        yield from combinations(axes, size)


def _decompose(table: NDArray[np.float64]) -> Iterator[tuple[Kept, NDArray[np.float64]]]:
    """The orthogonal effects of a table: their sum is the table."""
    for effect in subsets(range(table.ndim)):
        part = table
        for axis in range(table.ndim):
            mean = part.mean(axis=axis, keepdims=True)
            part = part - mean if axis in effect else np.broadcast_to(mean, part.shape)
        yield effect, part
