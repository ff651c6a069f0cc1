"""The shape of the loss from public quantities: in which directions it bends, how much, and where to begin.

Pure functions of noisy statistics. Nothing here touches a victim.

Directions: the second moments of the inputs, ``sum z z^T``, decide how the logistic loss bends, up to a
factor that is nearly the same in all directions. Their diagonal follows from the centre (a column holds 0 or
1). Off it, the private sum's eigenvalues are kept where they stand out from the largest that noise alone
would have (``2 tau sqrt(columns)`` for independent entries of deviation tau: Wigner's semicircle, with a
margin), and dropped elsewhere. In what is left the diagonal stands, lengthened by up to as much again the
less is seen.

The factor: a victim bends the loss by ``p (1 - p)`` unless their gradient is clipped. Its mean is computed
for margins that are normal with the model's mean and spread, and labels that are calibrated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit

from safeborders_fed.analyses.inputs import RARE, Counted, varying_columns

_SEMICIRCLE_MARGIN: Final = 1.05
_FLOOR: Final = 0.2
"""Least curvature of a direction, in units of a typical column's: below it a step would be noise."""
_UNSEEN: Final = 1.0
"""By how much a curvature is lengthened where second moments are noise."""
_LEAST_SPREAD: Final = 0.5
"""Margins are taken to spread at least so much: a model at its start has none."""
_LEAST_FACTOR: Final = 0.02
_NODES: Final = np.linspace(-3.0, 3.0, 61)
_NORMAL: Final = np.exp(-(_NODES**2) / 2) / np.exp(-(_NODES**2) / 2).sum()


@dataclass(frozen=True)
class Curvature:
    """Sum of ``z z^T`` over training victims, as far as it is known.

    Attributes:
        directions: Orthonormal columns, shape (columns, columns).
        values: Curvature in each direction, shape (columns,); all positive.
        doubt: From 0 (noise is far below a typical column's curvature) to 1 (it is not).
    """

    directions: NDArray[np.float64]
    values: NDArray[np.float64]
    doubt: float


def curvature(counted: Counted, triangle: NDArray[np.float64], deviation: float) -> Curvature:
    """The curvature from noisy second moments.

    Args:
        counted: The noisy counts.
        triangle: Upper triangle of the noisy second moments, row by row.
        deviation: Standard deviation of the noise in each of its entries.
    """
    centre = counted.centre
    columns = len(centre)
    variance, varying = centre * (1 - centre), varying_columns(centre)
    typical = counted.labelled / varying
    noise = 2 * deviation * math.sqrt(columns) * _SEMICIRCLE_MARGIN
    doubt = min(1.0, noise / typical)
    moments = np.zeros((columns, columns))
    moments[np.triu_indices(columns)] = triangle
    moments = moments + moments.T
    np.fill_diagonal(moments, 0.0)  # known from the centre, with less noise
    found, vectors = np.linalg.eigh(moments)
    seen = np.abs(found) > noise
    diagonal = counted.labelled * variance / ((variance + RARE) * varying) + _FLOOR * typical
    whole = np.diag(diagonal * (1 + _UNSEEN * doubt)) + (vectors[:, seen] * found[seen]) @ vectors[:, seen].T
    values, directions = np.linalg.eigh(whole)
    return Curvature(directions, np.maximum(values, _FLOOR * typical), doubt)


def bending(mean: float, spread: float, rate: float, clip: float) -> float:
    """Mean of ``p (1 - p)`` over victims whose gradient is not clipped.

    Args:
        mean: Mean margin of the model.
        spread: Standard deviation of its margins.
        rate: Share of positives.
        clip: Largest gradient of a victim of norm 1.
    """
    margins = max(spread, _LEAST_SPREAD) * _NODES
    reach = 40.0 + 3.0 * max(spread, _LEAST_SPREAD)
    shift = brentq(lambda z: float(_NORMAL @ expit(margins + z)) - rate, -reach, reach)
    positive = expit(margins + shift)
    chance = expit(margins + mean)
    free = positive * (1 - chance < clip) + (1 - positive) * (chance < clip)
    found = float(_NORMAL @ (chance * (1 - chance) * free))
    return max(found, _LEAST_FACTOR * min(clip, 1.0) * min(rate, 1 - rate))


def starting_margin(rate: float, clip: float) -> float:
    """The margin at which clipped gradients of positives and negatives cancel, if all had the same."""
    rare = min(rate, 1 - rate)

    def surplus(chance: float) -> float:
        return rare * min(clip, 1 - chance) - (1 - rare) * min(clip, chance)

    chance = brentq(surplus, 1e-12, 0.5) if surplus(0.5) < 0 else 0.5
    margin = math.log(chance / (1 - chance))
    return margin if rate <= 0.5 else -margin
