"""Rows of zeros and ones as patterns: fewer additions for the same exact products.

Columns that belong together (the values of a field, or of two small ones) show few patterns of zeros and ones
among victims. So the ones factor as ``which @ what``: which pattern of each group of columns a victim shows,
times the columns that each pattern sets. A product with a table adds up each pattern once, then one pattern a
group for each victim.

Guarantee: with whole numbers whose sums stay below 2^53 in size, products are those of the ones themselves,
to the last bit: floats add such numbers up exactly in any order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import block_diag, csr_array

_MOST_PATTERNS: Final = 64
"""Patterns of a group: with more, the products of the patterns with a table cost what the groups save."""

_Floats = NDArray[np.float64]


class Patterns:
    """Ones, packed.

    Args:
        ones: Zeros and ones, sparse, shape (victims, columns).
    """

    def __init__(self, ones: csr_array) -> None:
        blocks, positions, start = [], [], 0
        for columns, codes in _groups(ones):
            _, shown = np.unique(codes, return_index=True)
            blocks.append(ones[shown][:, columns])
            positions.append(start + codes)
            start += len(shown)
        self._what: Any = csr_array(block_diag(blocks, format="csr"), dtype=np.float64)
        shows = np.stack(positions, axis=1)
        data = (np.diff(self._what.indptr) > 0)[shows]
        data[:, 0] = True  # so that each victim shows exactly one pattern of the first group
        self._first_group = blocks[0].shape[0]
        starts = np.arange(0, shows.size + 1, shows.shape[1])
        self._which: Any = csr_array(
            (data.ravel().astype(np.float64), shows.ravel(), starts), shape=(len(shows), start)
        )
        self._which.eliminate_zeros()

    def apply(self, table: _Floats, base: _Floats | float = 0.0) -> _Floats:
        """``base + ones @ table``: table has shape (columns,) or (columns, k), base has that of its rows."""
        patterns = self._what @ table
        patterns[: self._first_group] += base
        found: _Floats = self._which @ patterns
        return found

    def combine(self, right: _Floats) -> _Floats:
        """``ones^T right``, then one more row: the sum of ``right`` over all victims."""
        patterns = self._which.T @ right
        everybody = patterns[: self._first_group].sum(axis=0)
        found: _Floats = np.concatenate([self._what.T @ patterns, everybody[None]])
        return found


def _groups(ones: csr_array) -> Iterator[tuple[slice, NDArray[np.int64]]]:
    """Runs of columns with few patterns, and which of them each victim shows (numbers without gaps)."""
    victims, columns = ones.shape
    by_column = ones.tocsc()
    start, codes, count = 0, np.zeros(victims, dtype=np.int64), 1
    for column in range(columns):
        having = by_column.indices[by_column.indptr[column] : by_column.indptr[column + 1]]
        longer = 2 * codes
        longer[having] += 1
        seen = np.bincount(longer, minlength=2 * count) > 0
        if column > start and seen.sum() > _MOST_PATTERNS:
            yield slice(start, column), codes
            start = column
            longer = np.zeros(victims, dtype=np.int64)
            longer[having] = 1
            seen = np.bincount(longer, minlength=2) > 0
        codes, count = (np.cumsum(seen) - 1)[longer], int(seen.sum())
    yield slice(start, columns), codes
