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

from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from safeborders_fed.errors import DefectError

LARGEST_ENTRY: Final = 2**20
"""Entries of a factor are at most this, so that squares of up to 2^20 columns add up below 2^62."""
UNFIT: Final = -1
"""Stands for the squared norm of a row that cannot count."""
_CHUNK: Final = 8192


class Factor(Protocol):
    """The left side of products: one integer row for each victim."""

    @property
    def shape(self) -> tuple[int, int]:
        """(victims, columns)."""
        ...

    def squares(self) -> NDArray[np.int64]:
        """Exact squared L2 norm of each row, shape (victims,); ``UNFIT`` where entries are too large."""
        ...

    def combine(self, right: NDArray[np.int64]) -> NDArray[np.int64]:
        """``left^T right``, exact, shape (columns, right columns); right has shape (victims, columns)."""
        ...


class Indicators:
    """Rows of zeros and ones, kept sparse.

    Args:
        ones: Any array of shape (victims, columns) that holds 0 and 1 only, or a sparse one.

    Raises:
        DefectError: ``not-indicators``.
    """

    def __init__(self, ones: NDArray[np.generic] | csr_array) -> None:
        matrix = csr_array(ones, dtype=np.int64)
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        if matrix.nnz and not (matrix.data == 1).all():
            raise DefectError("not-indicators", "a row of indicators holds another value", "report this")
        self.matrix = matrix

    @property
    def shape(self) -> tuple[int, int]:
        """(victims, columns)."""
        rows, columns = self.matrix.shape
        return rows, columns

    def counts(self) -> NDArray[np.int64]:
        """How many ones each row has, shape (victims,)."""
        counts: NDArray[np.int64] = np.diff(self.matrix.indptr).astype(np.int64)
        return counts

    def squares(self) -> NDArray[np.int64]:
        """The number of ones."""
        return self.counts()

    def apply(self, table: NDArray[np.int64]) -> NDArray[np.int64]:
        """``ones @ table``, exact: table has shape (columns,) or (columns, k)."""
        found: NDArray[np.int64] = self.matrix @ table
        return found

    def combine(self, right: NDArray[np.int64]) -> NDArray[np.int64]:
        """Sums of ``right`` over the victims that have each one."""
        found: NDArray[np.int64] = self.matrix.T @ right
        return found


class Scaled:
    """Rows that hold ``on[j]`` where an indicator is one, else ``off[j]``: standardised inputs, say.

    Args:
        indicators: What the rows follow from.
        on: int64, shape (columns,).
        off: int64, shape (columns,).

    Raises:
        DefectError: ``factor-too-large``, when an entry exceeds ``LARGEST_ENTRY``. Entries are public.
    """

    def __init__(self, indicators: Indicators, on: NDArray[np.int64], off: NDArray[np.int64]) -> None:
        if max(np.abs(on).max(initial=0), np.abs(off).max(initial=0)) > LARGEST_ENTRY:
            raise DefectError("factor-too-large", "entries of a scaled factor exceed 2^20", "report this")
        self._indicators = indicators
        self._step = on - off
        self._off = off
        self._squares = on * on - off * off

    @property
    def shape(self) -> tuple[int, int]:
        """(victims, columns)."""
        return self._indicators.shape

    def squares(self) -> NDArray[np.int64]:
        """Exact, from the squares of the two values of each column."""
        found: NDArray[np.int64] = self._indicators.apply(self._squares) + (self._off * self._off).sum()
        return found

    def combine(self, right: NDArray[np.int64]) -> NDArray[np.int64]:
        """Exact modulo 2^64, hence exact, as the builder's bound keeps the total below 2^62."""
        set_columns = self._indicators.combine(right)
        found: NDArray[np.int64] = self._step[:, None] * set_columns + self._off[:, None] * right.sum(axis=0)
        return found


class Dense:
    """Rows of any integers.

    Args:
        values: int64, shape (victims, columns). A row with an entry above ``LARGEST_ENTRY`` counts as zero.
    """

    def __init__(self, values: NDArray[np.int64]) -> None:
        self._values = values

    @property
    def shape(self) -> tuple[int, int]:
        """(victims, columns)."""
        return self._values.shape[0], self._values.shape[1]

    def squares(self) -> NDArray[np.int64]:
        """Exact where every entry is small enough, else ``UNFIT``."""
        small: NDArray[np.bool_] = np.all(
            (self._values <= LARGEST_ENTRY) & (self._values >= -LARGEST_ENTRY), axis=1
        )
        kept = np.where(small[:, None], self._values, 0)
        return np.where(small, np.einsum("ij,ij->i", kept, kept), UNFIT)

    def combine(self, right: NDArray[np.int64]) -> NDArray[np.int64]:
        """Exact: no product of two entries exceeds the builder's bound of 2^30, so chunks stay below 2^53."""
        total = np.zeros((self._values.shape[1], right.shape[1]), dtype=np.int64)
        used: NDArray[np.bool_] = np.any(right, axis=1)
        for start in range(0, len(right), _CHUNK):
            part = slice(start, start + _CHUNK)
            # Rows that count as zero may hold entries of any size: they must not meet a float.
            left = np.where(used[part, None], self._values[part], 0).astype(np.float64)
            total += (left.T @ right[part].astype(np.float64)).astype(np.int64)
        return total
