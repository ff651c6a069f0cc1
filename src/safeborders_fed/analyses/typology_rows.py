"""What one victim adds to the sums of ``typology``: integers all the way.

Guarantees:

- A row is a function of its victim and of the broadcast alone, to the last bit: every step between features
  and row is integer arithmetic or a table look-up, element by element.
- Whatever the broadcast holds, a row's L2 norm is at most ``FINE_UNIT`` grid units, and no broadcast makes a
  step fail. ``BoundedSumBuilder`` checks the norm again, exactly.

Notation: x are a victim's indicators, m the broadcast centre of the victim's state, z = x - m, and r the
responsibilities: how far the victim belongs to each class, adding up to at most 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.analyses.base import FINE_UNIT
from safeborders_fed.privacy.bounded_sum import BoundedSumBuilder
from safeborders_fed.privacy.products import Indicators, Scaled

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

ONE: Final = 2**12
"""Grid of centred inputs: an indicator of 1 with a centre of 0 is this."""
PAIR_ONE: Final = 2**8
"""The same where inputs are multiplied by one another."""
STRETCH_PERCENT: Final = 80
"""A row shorter than this share (of the square) of a typical one is not stretched to the bound.

Full stretching lets every victim use all of the bound, but then the most ordinary victims, whose centred rows
are short, count for more than others. At 40% recovery collapsed, from 70% on it did not matter.
"""
_NAT: Final = 2**10
"""Grid of log-probabilities: steps to a factor of e."""
_LARGEST_WEIGHT: Final = 32.0
"""Log-weights of a column are cut to this many nats, so that sums of them cannot wrap."""
_REACH: Final = 22 * _NAT
"""A class so much less likely than the best has a responsibility of zero."""
_CHANCES: Final = np.rint(2.0**30 * np.exp(-np.arange(_REACH) / _NAT)).astype(np.int64)
"""Relative chances by distance in log-probability; one table, so that no victim's exponential differs."""
_NEVER: Final = -(2**60)


@dataclass(frozen=True)
class Rows:
    """Some of a node's counted victims.

    Attributes:
        ones: Their indicators, n rows: features, then one column for each state of the study.
        founding: int64, shape (n, founding values), 0 or 1: the values that the first classes are made of.
        years: int64, shape (n,): position in the study's years.
        state: Position of the node in the study's states.
    """

    ones: Indicators
    founding: Ints
    years: Ints
    state: int

    def __len__(self) -> int:
        return len(self.years)


def on_grid(centre: Floats, one: int) -> Ints:
    """A centre in units of 1 / ``one``, within 0 and ``one``."""
    return np.rint(np.clip(centre, 0.0, 1.0) * one).astype(np.int64)


def typical_squares(grid: Ints, one: int) -> int:
    """``STRETCH_PERCENT`` of the squared norm of z that independent columns would have, mean over states."""
    return int((grid * (one - grid)).sum()) // max(1, len(grid)) * STRETCH_PERCENT // 100


def chances(rows: Rows, weights: Floats, active: Floats) -> Ints:
    """Relative chance of each class, int64, shape (n, classes), at most 2^30.

    Args:
        rows: The victims.
        weights: Log-weights, shape (states, 1 + columns, classes): the first of a class, then one a column.
        active: Shape (classes,): a class above 0.5 exists.
    """
    own = np.rint(np.clip(weights[rows.state], -_LARGEST_WEIGHT, _LARGEST_WEIGHT) * _NAT).astype(np.int64)
    table = np.concatenate([own[1:], np.repeat(own[:1], len(weights), axis=0)])
    exists = active > 0.5
    level = np.where(exists, rows.ones.apply(table), _NEVER)
    behind = level.max(axis=1, keepdims=True, initial=_NEVER) - level
    near: NDArray[np.bool_] = exists & (behind < _REACH)
    return np.where(near, _CHANCES[np.minimum(behind, _REACH - 1)], 0)


def shared_out(chance: Ints, amount: Ints) -> Ints:
    """``amount`` (n,) shared out by chance (n, classes), rounded down: rows add up to at most the amount."""
    total = np.maximum(chance.sum(axis=1, keepdims=True), 1)
    share: Ints = chance * amount[:, None] // total
    return share


def add_margins(builder: BoundedSumBuilder, rows: Rows, states: int, typical: int) -> None:
    """Row: (x, 1) in the victim's own state, scaled to norm 1; (columns + states) x states.

    A victim with fewer than ``typical`` ones is not stretched further than one with so many.
    """
    right = np.zeros((len(rows), states), dtype=np.int64)
    right[:, rows.state] = unit_of(np.maximum(rows.ones.counts(), typical))
    builder.add_products([(rows.ones, right)])


def add_classes(builder: BoundedSumBuilder, rows: Rows, chance: Ints, centre: Floats) -> None:
    """Row: r x (z, 1 in the own state), scaled to norm 1; (columns + states + 1) x classes, the last zero.

    The norm is at most ``sqrt(sum r^2 (1 + |z|^2))``, and ``sum r^2`` at most the square of the amount that
    is shared out.
    """
    grid, states = on_grid(centre, ONE), len(centre)
    own = np.concatenate([grid[rows.state], np.zeros(states, dtype=np.int64)])
    left = Scaled(rows.ones, ONE - own, -own, constant=0)
    squares = np.maximum(left.squares(), ONE * ONE + typical_squares(grid, ONE))
    builder.add_products([(left, shared_out(chance, unit_of(squares)))])


def add_pairs(
    builder: BoundedSumBuilder, rows: Rows, chosen: NDArray[np.bool_], centre: Floats, used: Floats
) -> None:
    """Row of a chosen victim: z z^T over used columns, upper triangle, scaled to norm 1; of others, zero.

    One more column than features says that the victim was chosen; it stands behind them and is ``PAIR_ONE``.
    """
    grid, own, on = pair_inputs(centre, used, rows.state)
    features = Indicators(rows.ones.matrix[:, : len(on) - 1]).with_columns(np.ones(len(rows), dtype=np.int64))
    left = Scaled(features, on, own, constant=0)
    squares = np.maximum(left.moment_squares(), pair_typical(grid))
    builder.add_moments(left, np.where(chosen, unit_of(squares), 0))


def pair_inputs(centre: Floats, used: Floats, state: int) -> tuple[Ints, Ints, Ints]:
    """The centre of used columns on the grid, and a state's values of unset and of set columns."""
    kept = used > 0.5
    grid = np.where(kept, on_grid(centre, PAIR_ONE), 0)
    off = np.append(-grid[state], 0)
    on = np.append(np.where(kept, PAIR_ONE - grid[state], 0), PAIR_ONE)
    return grid, off, on


def pair_typical(grid: Ints) -> int:
    """Squared norm of an upper triangle below which rows are not stretched."""
    length = PAIR_ONE * PAIR_ONE + typical_squares(grid, PAIR_ONE)
    return length * length // 2


def add_prevalence(builder: BoundedSumBuilder, rows: Rows, chance: Ints, states: int, years: int) -> None:
    """Row: r in the victim's state, and r in the victim's year; norm sqrt(2) before scaling to 1."""
    where = np.zeros((len(rows), states + years), dtype=np.int64)
    where[:, rows.state] = 1
    where[np.arange(len(rows)), states + rows.years] = 1
    amount = unit_of(np.full(len(rows), 2, dtype=np.int64))
    builder.add_products([(Indicators(where), shared_out(chance, amount))])


def unit_of(squares: Ints) -> Ints:
    """The largest whole factor that brings rows of these squared norms, at least 1, within ``FINE_UNIT``."""
    quotient = FINE_UNIT**2 // squares
    root = np.sqrt(quotient.astype(np.float64)).astype(np.int64)
    # The quotient of a square of 1 is 2^56, above what floats hold exactly; rounding may carry a root over.
    factor: Ints = root - (root * root > quotient)
    return factor
