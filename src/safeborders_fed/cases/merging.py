"""What becomes of the rows of one bucket when a new file meets the snapshot before it.

Guarantees: the result has each (victim, case) once, sorted; a row of the new file supersedes the one before
it; of several rows with one key in the new file the first counts, an identical later one is a repetition and
a differing later one a conflict. Pure: no files.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from safeborders_fed.cases.spill import ROW
from safeborders_fed.cases.tables import KEYS, RECORDS


@dataclass(frozen=True)
class Merged:
    """The outcome for one bucket.

    Attributes:
        table: All rows, schema ``tables.RECORDS``, sorted by victim and case.
        victims: Number of different victims in it.
        new: Rows whose key the snapshot before did not have.
        superseded: Rows that replace a differing row of the snapshot before.
        unchanged: Rows that the snapshot before has already.
        repeated: Rows that an earlier row of the same file repeats exactly.
        conflicts: Pairs of row numbers: a row that differs from an earlier one with its key, and that one.
    """

    table: pa.Table
    victims: int
    new: int
    superseded: int
    unchanged: int
    repeated: int
    conflicts: tuple[tuple[int, int], ...]


def merge(previous: pa.Table, incoming: pa.Table) -> Merged:
    """Merge a bucket.

    Args:
        previous: The snapshot before, schema ``tables.RECORDS``, each key once.
        incoming: Rows of the new file, schema ``spill.SPILLED``, row numbers of 1 and more.
    """
    # Row 0 stands for the snapshot before, so it sorts ahead of every row of the new file.
    zeros = pa.array(np.zeros(previous.num_rows, dtype=np.int64))
    rows = pa.concat_tables([previous.select(RECORDS.names).append_column(ROW, zeros), incoming])
    order = pc.sort_indices(rows, sort_keys=[(name, "ascending") for name in (*KEYS, ROW)])
    rows = rows.take(order).combine_chunks()
    number = rows[ROW].to_numpy()
    same_victim = _same_as_before(rows, ("victim",))
    same_key = _same_as_before(rows, KEYS)

    position = np.arange(len(number))
    start = np.maximum.accumulate(np.where(same_key, 0, position)) if len(number) else position
    is_old = number == 0
    first = start + is_old[start]  # the first row of the new file with this key, if there is one
    is_first = ~is_old & (position == first)
    is_later = ~is_old & (position > first)

    meets_old = is_first & is_old[start]
    equal_old = _equal(rows, position[meets_old], start[meets_old])
    equal_first = _equal(rows, position[is_later], first[is_later])
    last_of_key = np.append(~same_key[1:], True) if len(number) else same_key
    keep = is_first | (is_old & last_of_key)
    differing = position[is_later][~equal_first]
    return Merged(
        table=rows.filter(pa.array(keep)).select(RECORDS.names),
        victims=int((~same_victim).sum()),
        new=int((is_first & ~meets_old).sum()),
        superseded=int((~equal_old).sum()),
        unchanged=int(equal_old.sum()),
        repeated=int(equal_first.sum()),
        conflicts=tuple(zip(number[differing].tolist(), number[first[differing]].tolist(), strict=True)),
    )


def _same_as_before(rows: pa.Table, columns: tuple[str, ...]) -> NDArray[np.bool_]:
    """bool, shape (n,): the row has the same values as the one above it."""
    same = np.zeros(rows.num_rows, dtype=np.bool_)
    if rows.num_rows:
        same[1:] = True
        for name in columns:
            column = rows[name]
            same[1:] &= pc.equal(column[1:], column[:-1]).to_numpy()
    return same


def _equal(rows: pa.Table, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.bool_]:
    """bool, shape of ``left``: the two rows agree in every column but their number; null equals null."""
    equal = np.ones(len(left), dtype=np.bool_)
    for name in RECORDS.names:
        column = rows[name]
        one, other = column.take(left), column.take(right)
        same = pc.fill_null(pc.equal(one, other), False)
        both_null = pc.and_(pc.is_null(one), pc.is_null(other))
        equal &= pc.or_(same, both_null).to_numpy()
    return equal
