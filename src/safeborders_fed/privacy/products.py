"""Victims' rows that are products: an exact norm without writing the row out.

Many statistics give a victim the outer product of two short vectors, ``left x right``: one-hot features times
responsibilities, model inputs times a residual. Its L2 norm is the product of the two norms, and the sum of
such rows over victims is one matrix product. All of it is in integers, so that

- a victim's part of a sum is a function of that victim alone, to the last bit, in whatever order it is added
  up (floats would make one victim's presence move the rounding of all others);
- the check of the bound is exact, and costs a multiplication a victim instead of one a coordinate.

A ``Factor`` is the left side; ``BoundedSumBuilder.add_products`` checks and adds up.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack

from safeborders_fed.errors import DefectError
from safeborders_fed.privacy.patterns import Patterns

LARGEST_ENTRY: Final = 2**20
"""Entries of a factor are at most this, so that squares of up to 2^20 columns add up below 2^62."""
LARGEST_MOMENT_ENTRY: Final = 2**10
MOST_MOMENT_COLUMNS: Final = 2**10
"""With these limits squared norms of second moments stay below 2^62."""
UNFIT: Final = -1
"""Stands for the squared norm of a row that cannot count."""
_CHUNK: Final = 8192
_MOST_ROWS: Final = 2**22
"""So many numbers of at most 2^30 add up below 2^53, where floats are exact in any order."""

Whole = NDArray[np.int64] | NDArray[np.float64]
"""Whole numbers, as integers or as floats."""


class Factor(Protocol):
    """The left side of products: one integer row for each victim."""

    @property
    def shape(self) -> tuple[int, int]:
        """(victims, columns)."""
        ...

    def squares(self) -> NDArray[np.int64]:
        """Exact squared L2 norm of each row, shape (victims,); ``UNFIT`` where entries are too large."""
        ...

    def combine(self, right: Whole) -> NDArray[np.int64]:
        """``left^T right``, exact, shape (columns, right columns).

        Args:
            right: Whole numbers, at most 2^30 in size, shape (victims, right columns).
        """
        ...


def measured(rows: Whole, largest: int) -> tuple[Whole, NDArray[np.int64]]:
    """Rows of whole numbers, and their exact squared L2 norms, shape (n,).

    A row with an entry larger in size, or not finite, becomes zero and has ``UNFIT`` for a norm. ``largest``
    is such that squares of it add up below 2^63 over a row.
    """
    top = max(rows.max(initial=0).item(), -rows.min(initial=0).item())
    if top <= largest:
        # Floats are exact below 2^53, and faster.
        fast = rows.shape[1] * float(top) ** 2 <= 2**53
        exact = rows if fast else rows.astype(np.int64, copy=False)
        return rows, np.einsum("ij,ij->i", exact, exact).astype(np.int64, copy=False)
    small: NDArray[np.bool_] = np.all((rows <= largest) & (rows >= -largest), axis=1)
    kept, squares = measured(np.where(small[:, None], rows, 0), largest)
    return kept, np.where(small, squares, UNFIT)


class Indicators:
    """Rows of zeros and ones, kept sparse.

    Args:
        ones: Any array of shape (victims, columns) that holds 0 and 1 only, or a sparse one.

    Raises:
        DefectError: ``not-indicators``.
    """

    def __init__(self, ones: NDArray[np.generic] | csr_array) -> None:
        # The stubs do not follow what sparse arrays do in arithmetic, hence Any.
        matrix: Any = csr_array(cast("Any", ones), dtype=np.int64)
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        if matrix.nnz and not (matrix.data == 1).all():
            raise DefectError("not-indicators", "a row of indicators holds another value", "report this")
        self.matrix: Any = matrix
        self._packed: Patterns | None = None

    @cached_property
    def _floats(self) -> csr_array:
        """The same ones as floats, which add up faster than integers; positions are shared."""
        matrix = self.matrix
        return csr_array((np.ones(matrix.nnz), matrix.indices, matrix.indptr), shape=matrix.shape)

    @cached_property
    def parts(self) -> tuple[Indicators, ...]:
        """The same rows in chunks, for those who come back every round: packed once, to multiply faster."""
        if not 0 < self.shape[0] <= _CHUNK:
            starts = range(0, self.shape[0], _CHUNK)
            return tuple(Indicators(self.matrix[start : start + _CHUNK]).parts[0] for start in starts)
        found = Indicators(self.matrix)
        if min(self.shape) > 0:
            found._packed = Patterns(self.matrix)
        return (found,)

    @property
    def shape(self) -> tuple[int, int]:
        """(victims, columns)."""
        rows, columns = self.matrix.shape
        return rows, columns

    def with_columns(self, *columns: NDArray[np.int64]) -> Indicators:
        """These columns and further ones, each shape (victims,) of zeros and ones, behind them."""
        return Indicators(hstack([self.matrix, csr_array(np.stack(columns, axis=1))], format="csr"))

    def counts(self) -> NDArray[np.int64]:
        """How many ones each row has, shape (victims,)."""
        counts: NDArray[np.int64] = np.diff(self.matrix.indptr).astype(np.int64)
        return counts

    def squares(self) -> NDArray[np.int64]:
        """The number of ones."""
        return self.counts()

    def apply(self, table: NDArray[np.int64]) -> NDArray[np.int64]:
        """``ones @ table``, exact: table has shape (columns,) or (columns, k)."""
        largest = max(int(table.max(initial=0)), -int(table.min(initial=0)))
        if largest * self.shape[1] < 2**53:
            return self.apply_floats(table.astype(np.float64), 0.0).astype(np.int64)
        found: NDArray[np.int64] = self.matrix @ table
        return found

    def apply_floats(
        self, table: NDArray[np.float64], base: NDArray[np.float64] | float
    ) -> NDArray[np.float64]:
        """``base + ones @ table``: exact where sums of whole numbers stay below 2^53, as callers see to.

        Args:
            table: Shape (columns,) or (columns, k).
            base: What every victim has, shape (k,), or one number.
        """
        if self._packed is not None:
            return self._packed.apply(table, base)
        found: NDArray[np.float64] = self._floats @ table
        found += base
        return found

    def combine(self, right: Whole) -> NDArray[np.int64]:
        """Sums of ``right`` over the victims that have each one."""
        return self.combine_all(right)[:-1]

    def combine_all(self, right: Whole) -> NDArray[np.int64]:
        """``combine``, and one more row: the sum of ``right`` over all victims."""
        if len(right) > _MOST_ROWS:
            whole = right.astype(np.int64)
            return np.concatenate([self.matrix.T @ whole, whole.sum(axis=0)[None]])
        floats = right.astype(np.float64, copy=False)
        if self._packed is not None:
            return self._packed.combine(floats).astype(np.int64)
        everybody = np.ones(len(floats)) @ floats
        return np.concatenate([self._floats.T @ floats, everybody[None]]).astype(np.int64)


class Scaled:
    """Rows that hold ``on[j]`` where an indicator is one, else ``off[j]``: standardised inputs, say.

    Args:
        indicators: What the rows follow from.
        on: int64, shape (columns,).
        off: int64, shape (columns,).
        constant: What one more column behind them holds for everybody.

    Raises:
        DefectError: ``factor-too-large``, when an entry exceeds ``LARGEST_ENTRY``. Entries are public.
    """

    def __init__(
        self, indicators: Indicators, on: NDArray[np.int64], off: NDArray[np.int64], *, constant: int
    ) -> None:
        if max(np.abs(on).max(initial=0), np.abs(off).max(initial=0), abs(constant)) > LARGEST_ENTRY:
            raise DefectError("factor-too-large", "entries of a scaled factor exceed 2^20", "report this")
        self._constant = constant
        self._on = on
        self._indicators = indicators
        self._step = on - off
        self._off = off
        self._squares = on * on - off * off

    @property
    def shape(self) -> tuple[int, int]:
        """(victims, columns + 1)."""
        victims, columns = self._indicators.shape
        return victims, columns + 1

    def squares(self) -> NDArray[np.int64]:
        """Exact, from the squares of the two values of each column."""
        return self._lengths

    @cached_property
    def _lengths(self) -> NDArray[np.int64]:
        unset = int((self._off * self._off).sum()) + self._constant**2
        return self._indicators.apply(self._squares) + unset

    def combine(self, right: Whole) -> NDArray[np.int64]:
        """Exact modulo 2^64, hence exact, as the builder's bound keeps the total below 2^62."""
        found = self._indicators.combine_all(right)
        everybody = found[-1]
        scaled = self._step[:, None] * found[:-1] + self._off[:, None] * everybody
        return np.concatenate([scaled, self._constant * everybody[None]])

    def moment_squares(self) -> NDArray[np.int64]:
        """Exact squared L2 norm of the upper triangle of each row's outer product with itself.

        The sum of ``z_i^2 z_j^2`` over ``i <= j`` is half of ``(sum z^2)^2 + sum z^4``.

        Raises:
            DefectError: ``factor-too-large``, when entries exceed ``LARGEST_MOMENT_ENTRY``, columns
                ``MOST_MOMENT_COLUMNS``, or there is a constant column. All of these are public.
        """
        largest = max(np.abs(self._on).max(initial=0), np.abs(self._off).max(initial=0))
        if largest > LARGEST_MOMENT_ENTRY or len(self._on) > MOST_MOMENT_COLUMNS or self._constant:
            raise DefectError("factor-too-large", "entries of a second moment are too large", "report this")
        squares = self.squares()
        fourths = self._indicators.apply(self._on**4 - self._off**4) + int((self._off**4).sum())
        return (squares * squares + fourths) // 2

    def moments(self, amounts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Upper triangle, row by row, of the sum of ``amount x row^T row``; exact modulo 2^64."""
        ones = self._indicators.matrix
        together = (ones.T @ (ones * amounts[:, None])).toarray()
        along = self._step * self._indicators.combine(amounts[:, None])[:, 0]
        square = self._step[:, None] * together * self._step
        square += along[:, None] * self._off + self._off[:, None] * along
        square += amounts.sum() * self._off[:, None] * self._off
        triangle: NDArray[np.int64] = square[np.triu_indices(len(self._off))]
        return triangle


class Dense:
    """Rows of any whole numbers.

    Args:
        values: Shape (victims, columns). Floats are truncated towards zero, in place. A row with an entry
            above ``LARGEST_ENTRY`` counts as zero.
    """

    def __init__(self, values: Whole) -> None:
        if values.dtype == np.float64:
            np.trunc(values, out=values)
        self._values, self._squares = measured(values, LARGEST_ENTRY)

    @property
    def shape(self) -> tuple[int, int]:
        """(victims, columns)."""
        return self._values.shape[0], self._values.shape[1]

    def squares(self) -> NDArray[np.int64]:
        """Exact where every entry is small enough, else ``UNFIT``."""
        return self._squares

    def combine(self, right: Whole) -> NDArray[np.int64]:
        """Exact: no product of two entries exceeds the builder's bound of 2^30, so chunks stay below 2^53."""
        total = np.zeros((self._values.shape[1], right.shape[1]), dtype=np.int64)
        for start in range(0, len(right), _MOST_ROWS):
            part = slice(start, start + _MOST_ROWS)
            left = self._values[part].astype(np.float64, copy=False)
            total += (left.T @ right[part].astype(np.float64, copy=False)).astype(np.int64)
        return total
