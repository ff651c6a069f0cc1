"""Which published counts add up to which: all sums that a reader of the tables can use.

Cells of all tables, with those of every table that two of them have in common (nobody publishes these, and
anybody can compute them), stand in one numbering. A sum says that a cell is that of its parts.

Guarantees: every pair of a table and one with further axes, all axes of the first with the same codes in the
second, is there. Axes of the same name with other codes count as different.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.reporting.noisy_tables import Axis, NoisyTable

_Axes = tuple[Axis, ...]


@dataclass(frozen=True)
class Sum:
    """One cell is the sum of others.

    Attributes:
        total: Number of the cell.
        parts: Numbers of those that add up to it.
        known: What the total holds beside them, if a reader knows it from an earlier release.
    """

    total: int
    parts: NDArray[np.int64]
    known: int = 0


@dataclass(frozen=True)
class Cells:
    """The cells of some tables in one numbering.

    Attributes:
        tables: Axes of each table, the published ones first.
        starts: Number of the first cell of each.
        published: How many tables are published.
        size: How many cells there are.
        sums: What adds up to what.
    """

    tables: tuple[_Axes, ...]
    starts: tuple[int, ...]
    published: int
    size: int
    sums: tuple[Sum, ...]

    def numbers(self, table: int) -> NDArray[np.int64]:
        """The numbers of the cells of a table, in its shape."""
        shape = tuple(len(axis.codes) for axis in self.tables[table])
        start = self.starts[table]
        return np.arange(start, start + math.prod(shape), dtype=np.int64).reshape(shape)


def cells_of(tables: Sequence[NoisyTable]) -> Cells:
    """The cells of published tables, and all their sums."""
    published = [table.axes for table in tables]
    every = _with_common(published)
    starts = np.cumsum([0, *(math.prod(len(axis.codes) for axis in axes) for axes in every)])
    bare = Cells(tuple(every), tuple(map(int, starts[:-1])), len(published), int(starts[-1]), ())
    sums = []
    for fine, coarse in ((a, b) for a in range(len(every)) for b in range(len(every)) if a != b):
        if set(every[coarse]) <= set(every[fine]) and (
            len(every[coarse]) < len(every[fine]) or fine < coarse
        ):
            sums += _sums(bare, fine, coarse)
    return Cells(bare.tables, bare.starts, bare.published, bare.size, tuple(sums))


def _with_common(published: Sequence[_Axes]) -> list[_Axes]:
    """The tables, and those of the axes that any of them have in common."""
    found = {frozenset(axes) for axes in published}
    added: list[_Axes] = []
    waiting = list(found)
    while waiting:
        fresh = {one & other for one, other in combinations(found, 2)} - found
        added += [tuple(sorted(axes, key=lambda axis: axis.name)) for axes in sorted(fresh, key=str)]
        found |= fresh
        waiting = list(fresh)
    return [*published, *added]


def _sums(cells: Cells, fine: int, coarse: int) -> list[Sum]:
    axes, kept = cells.tables[fine], cells.tables[coarse]
    summed = [at for at, axis in enumerate(axes) if axis not in kept]
    order = [*(axes.index(axis) for axis in kept), *summed]
    totals = cells.numbers(coarse).ravel()
    parts = cells.numbers(fine).transpose(order).reshape(totals.size, -1)
    return [Sum(int(total), own) for total, own in zip(totals, parts, strict=True)]
