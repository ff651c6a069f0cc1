"""The type that the door accepts: an integer sum to which no victim contributes more than a bound.

Unit: one victim, with all their records, is one row.
Bound: each row's L2 norm is at most ``bound`` grid units, exactly.
Theorem: a sum of rows, each a function of one victim alone and of L2 norm at most ``bound``, has L2
sensitivity ``bound`` to adding or removing one victim.

Guarantees:

- Only ``BoundedSumBuilder`` constructs a ``BoundedSum``, and only after its checks.
- The check is in integers: every coordinate first (``|v| <= bound``), then the sum of squares, in a width
  that cannot wrap. A row that fails is a victim that contributes zero (a function of that victim alone, so
  the bound holds for it too). Failing rows are counted for a local warning; the count never leaves the node.
- Sums are exact: int64, refused beforehand if ``max_victims * bound`` could reach 2^62.
- Quantising truncates towards zero, so it never makes a row longer; non-finite rows become zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.errors import ConfigurationError, DefectError
from safeborders_fed.privacy.products import measured

if TYPE_CHECKING:
    from safeborders_fed.privacy.products import Factor, Scaled, Whole

LARGEST_TOTAL: Final = 2**62
"""Sums and noise stay below this, so that they keep their sign modulo 2^64."""
LARGEST_BOUND: Final = 2**30
_LARGEST_SQUARES: Final = 2**63 - 1
_MOST_BLOCKS: Final = 7
"""Blocks of products in a row: each adds at most 2^60 to the sum of squares."""
_SEAL: Final = object()


class BoundedSum:
    """An exact integer sum over victims with a proved L2 sensitivity. Made by ``BoundedSumBuilder`` only.

    Attributes:
        values: int64, shape (dimension,), in grid units. Not noised: never leaves the node as it is.
        bound: L2 sensitivity in grid units.
    """

    __slots__ = ("bound", "values")

    def __init__(self, seal: object, values: NDArray[np.int64], bound: int) -> None:
        if seal is not _SEAL:
            raise DefectError(
                "unsealed-sum",
                "a bounded sum was built without its checks",
                "build it with BoundedSumBuilder",
            )
        self.values = values
        self.values.flags.writeable = False
        self.bound = bound

    def __repr__(self) -> str:
        return f"BoundedSum(dimension={self.values.size}, bound={self.bound})"


def quantise(rows: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rows in grid units (floats, shape (victims, dimension)) as integers, truncated towards zero.

    A row with a value that is not finite, or not below 2^31 in size, becomes zero.
    """
    with np.errstate(invalid="ignore"):
        good: NDArray[np.bool_] = np.all(np.abs(rows) < 2**31, axis=1)  # false for nan and infinities
    if not good.all():
        rows = np.where(good[:, None], rows, 0.0)
    return rows.astype(np.int64)


class BoundedSumBuilder:
    """Adds up victims' rows, each checked against the bound.

    Args:
        dimension: Coordinates of the sum.
        bound: Largest L2 norm of a row, in grid units (1 to 2^30).
        max_victims: Public cap on victims at a node, enforced by intake.

    Raises:
        ConfigurationError: ``bound-out-of-range``, when sums could wrap.
    """

    def __init__(self, *, dimension: int, bound: int, max_victims: int) -> None:
        if (
            dimension < 1
            or not 1 <= bound <= LARGEST_BOUND
            or max_victims < 1
            or max_victims * bound >= LARGEST_TOTAL
        ):
            raise ConfigurationError(
                "bound-out-of-range",
                f"dimension {dimension}, bound {bound} and at most {max_victims} victims do not fit 62 bits",
                "choose a coarser grid (a smaller bound in grid units)",
            )
        self.dimension = dimension
        self._values = np.zeros(dimension, dtype=np.int64)
        self._bound = bound
        self._max_victims = max_victims
        self._victims = 0
        self.over_bound = 0
        """Rows that failed the check and count as zero. Local information: never send it."""

    def _admit(self, victims: int) -> None:
        self._victims += victims
        if self._victims > self._max_victims:
            raise DefectError(
                "too-many-victims",
                f"a sum over more than the public cap of {self._max_victims} victims was asked for",
                "report this: intake must have enforced the cap",
            )

    def add_rows(self, rows: NDArray[np.int64]) -> None:
        """Adds dense rows, shape (victims, dimension): one row holds all there is of one victim."""
        if rows.dtype != np.int64 or rows.ndim != 2 or rows.shape[1] != self._values.size:
            raise DefectError(
                "wrong-row-shape",
                f"rows of {rows.dtype} {rows.shape} do not fit dimension {self._values.size}",
                "report this",
            )
        self._admit(rows.shape[0])
        # Coordinates first: after this check no square, and (below) no sum of squares, can wrap.
        small: NDArray[np.bool_] = np.all((rows <= self._bound) & (rows >= -self._bound), axis=1)
        if self._values.size * self._bound**2 <= _LARGEST_SQUARES:
            kept = np.where(small[:, None], rows, 0)
            fits = small & (np.einsum("ij,ij->i", kept, kept) <= self._bound**2)
        else:
            fits = small.copy()
            for index in np.flatnonzero(small):
                fits[index] = sum(int(value) ** 2 for value in rows[index] if value) <= self._bound**2
        self.over_bound += int((~fits).sum())
        self._values += rows.sum(axis=0) if fits.all() else rows[fits].sum(axis=0)

    def add_cells(self, cells: NDArray[np.int64], amounts: NDArray[np.int64]) -> None:
        """Adds sparse rows: victim ``i`` adds ``amounts[j]`` at coordinate ``cells[i, j]``; -1 adds nothing.

        Args:
            cells: int64, shape (victims, entries).
            amounts: int64, shape (entries,), the same for all victims.
        """
        if (
            cells.ndim != 2
            or amounts.shape != (cells.shape[1],)
            or np.abs(amounts).max(initial=0) > self._bound
        ):
            raise DefectError("wrong-row-shape", "cells and amounts do not belong together", "report this")
        self._admit(cells.shape[0])
        inside = ((cells >= -1) & (cells < self._values.size)).all(axis=1)
        ordered = np.sort(cells, axis=1)
        # Two amounts at one coordinate would add up to a longer row than the amounts say: such rows fail.
        distinct = ((ordered[:, 1:] != ordered[:, :-1]) | (ordered[:, 1:] == -1)).all(axis=1)
        squares = [int(amount) ** 2 for amount in amounts]
        if sum(squares) <= self._bound**2:
            short = np.ones(len(cells), dtype=bool)
        else:
            weights = np.array(squares, dtype=object)
            short = np.array([weights[row >= 0].sum() <= self._bound**2 for row in cells], dtype=bool)
        fits = inside & distinct & short
        self.over_bound += int((~fits).sum())
        kept = cells[fits]
        for entry, amount in enumerate(amounts):
            column = kept[:, entry]
            self._values += amount * np.bincount(column[column >= 0], minlength=self._values.size)

    def add_products(self, blocks: Sequence[tuple[Factor, Whole]]) -> None:
        """Adds rows that are concatenated outer products ``left x right``, flattened with left as the major.

        Args:
            blocks: For each block the left factor, shape (victims, p), and the right one, shape (victims, q):
                the same victims in each. The sum of ``p q`` is the dimension. A right factor is int64, or
                float64, which is truncated towards zero here, in place.
        """
        for _, right in blocks:
            if right.dtype == np.float64:
                np.trunc(right, out=right)
        victims = blocks[0][1].shape[0] if blocks else 0
        right_fits = all(
            right.dtype in {np.dtype(np.int64), np.dtype(np.float64)}
            and right.shape[0] == left.shape[0] == victims
            and right.shape[1] * self._bound**2 <= _LARGEST_SQUARES
            for left, right in blocks
        )
        if (
            not right_fits
            or len(blocks) > _MOST_BLOCKS
            or sum(left.shape[1] * right.shape[1] for left, right in blocks) != self._values.size
        ):
            raise DefectError("wrong-row-shape", "products do not fit the dimension", "report this")
        self._admit(victims)
        largest = self._bound**2
        fits = np.ones(victims, dtype=bool)
        total = np.zeros(victims, dtype=np.int64)
        for left, right in blocks:
            _, across = measured(right, self._bound)
            along = left.squares()
            # By division first: the product of two squared norms that pass it cannot wrap.
            fits &= (across >= 0) & (along >= 0) & (along <= largest // np.maximum(across, 1))
            total += np.where(fits, along * across, 0)
        fits &= total <= largest
        self.over_bound += int((~fits).sum())
        everyone = bool(fits.all())
        parts = [
            left.combine(right if everyone else np.where(fits[:, None], right, 0)).ravel()
            for left, right in blocks
        ]
        self._values += np.concatenate(parts)

    def add_moments(self, left: Scaled, amounts: NDArray[np.int64]) -> None:
        """Adds rows ``amount x z_i z_j`` for ``i <= j``, row by row, z being a victim's row of ``left``.

        Args:
            left: Shape (victims, columns + 1), its constant zero.
            amounts: int64, shape (victims,), not negative.
        """
        columns = left.shape[1] - 1
        if amounts.shape != (left.shape[0],) or columns * (columns + 1) // 2 != self._values.size:
            raise DefectError("wrong-row-shape", "second moments do not fit the dimension", "report this")
        self._admit(len(amounts))
        small = (amounts >= 0) & (amounts <= self._bound)
        kept = np.where(small, amounts, 0)
        fits = small & (kept * kept <= self._bound**2 // np.maximum(left.moment_squares(), 1))
        self.over_bound += int((~fits).sum())
        self._values += left.moments(np.where(fits, amounts, 0))

    def finish(self) -> BoundedSum:
        """The sum so far, sealed."""
        return BoundedSum(_SEAL, self._values.copy(), self._bound)
