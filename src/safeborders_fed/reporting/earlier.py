"""What readers know from earlier releases: differencing two of them must not undo suppression or rounding.

Two releases count the same people when population and states are the same. Then:

- Tables of one study carry one noise. They are published by one set of rules: other ones would show the same
  value between two other multiples, or on the other side of a threshold.
- A count (the same table, codes, and codes of the axes that it is summed over) that was suppressed in any
  earlier release is suppressed again.
- Where an axis has grown (a further year) a total that was published before is part of the present one:
  the difference is the sum of the new codes, and is protected like every sum. What stood at "Other" before
  stands at the new codes or at "Other" now: so is this sum.

A reader keeps what was once handed out, so withdrawn releases count as well. Releases of other states or
populations are not compared: their differences are counts of other people, under noise of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.errors import RefusedError
from safeborders_fed.reporting.noisy_tables import Axis, NoisyTable, TableRelease
from safeborders_fed.reporting.sums import Cells, Sum
from safeborders_fed.study.table_file import DisclosedTable, Rules, TableAxis, Tables

OTHER: Final = "Other"
"""The code of what no other code of an axis holds."""
_Codes = dict[str, tuple[str, ...]]
_Axes = Sequence[Axis] | Sequence[TableAxis]
_Tables = Sequence[NoisyTable] | Sequence[DisclosedTable]


def require_same_rules(manifest_hash: str, rules: Rules, before: Sequence[Tables]) -> None:
    """Refuses other rules for tables of a study that are published already.

    Raises:
        RefusedError: ``other-rules``.
    """
    for tables in before:
        if tables.manifest_hash == manifest_hash and tables.rules != rules:
            raise RefusedError(
                "other-rules",
                f"{tables.id} has these tables rounded to {tables.rules.base}, with threshold"
                f" {tables.rules.threshold} and noise up to {tables.rules.widest}%: by other rules the"
                " difference of both would undo them",
                "publish by the same rules, or repeat the study",
            )


def hidden_before(cells: Cells, release: TableRelease, before: Sequence[Tables]) -> NDArray[np.bool_]:
    """Which counts were suppressed in an earlier release."""
    hidden = np.zeros(cells.size, dtype=np.bool_)
    universe = _universe(release.tables)
    for tables in _alike(release, before):
        old = _universe(tables.tables)
        for at, table in enumerate(release.tables):
            same = _table_of(tables, {axis.name for axis in table.axes})
            if same is None or not _same_count(_summed(universe, table.axes), _summed(old, same.axes)):
                continue
            for codes, value in _cells(same):
                found = _number(cells, at, codes)
                if value is None and found is not None:
                    hidden[found] = True
    return hidden


@dataclass(frozen=True)
class Across:
    """Sums of present counts and earlier ones.

    Attributes:
        sums: The sums; earlier counts that are their totals are numbered on from the present cells.
        values: Those earlier counts.
    """

    sums: tuple[Sum, ...]
    values: tuple[int, ...]


def across(cells: Cells, release: TableRelease, before: Sequence[Tables]) -> Across:
    """What present counts and published earlier ones add up to."""
    sums: list[Sum] = []
    values: list[int] = []
    universe = _universe(release.tables)
    for tables in _alike(release, before):
        old = _universe(tables.tables)
        grown = [name for name in universe if name in old and set(old[name]) < set(universe[name])]
        differing = [name for name in universe if universe[name] != old.get(name, universe[name])]
        if len(grown) != 1 or differing != grown:
            continue
        new = [code for code in universe[grown[0]] if code not in old[grown[0]]]
        for at, table in enumerate(release.tables):
            same = _table_of(tables, {axis.name for axis in table.axes})
            if same is None:
                continue
            if grown[0] not in {axis.name for axis in table.axes}:
                sums += _grown(cells, (at, _fine(release, table, grown[0])), same, grown[0], new)
                continue
            for value, parts in _moved(cells, at, same, grown[0], new):
                sums.append(Sum(cells.size + len(values), parts))
                values.append(value)
    return Across(tuple(sums), tuple(values))


def _moved(
    cells: Cells, table: int, same: DisclosedTable, axis: str, new: Sequence[str]
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Earlier counts of "Other", and the cells that they have become."""
    for codes, value in _cells(same):
        found = [_number(cells, table, codes | {axis: code}) for code in (OTHER, *new)]
        parts = [part for part in found if part is not None]
        if codes[axis] == OTHER and value is not None and len(parts) == len(found):
            yield value, np.array(parts, dtype=np.int64)


def _fine(release: TableRelease, table: NoisyTable, axis: str) -> int | None:
    """Which table has this one's axes and one more."""
    wanted = {each.name for each in table.axes} | {axis}
    matches = (at for at, each in enumerate(release.tables) if {own.name for own in each.axes} == wanted)
    return next(matches, None)


def _grown(
    cells: Cells, pair: tuple[int, int | None], same: DisclosedTable, axis: str, new: Sequence[str]
) -> Iterator[Sum]:
    coarse, fine = pair
    if fine is None:
        return
    for codes, value in _cells(same):
        total = _number(cells, coarse, codes)
        parts = [_number(cells, fine, codes | {axis: code}) for code in new]
        found = [part for part in parts if part is not None]
        if value is not None and total is not None and len(found) == len(parts):
            yield Sum(total, np.array(found, dtype=np.int64), value)


def _alike(release: TableRelease, before: Sequence[Tables]) -> list[Tables]:
    """Earlier releases of the same people."""
    wanted = release.population, set(release.states)
    return [tables for tables in before if (tables.population, set(tables.states)) == wanted]


def _universe(tables: _Tables) -> _Codes:
    """Codes of every axis of a release."""
    found: _Codes = {}
    for table in tables:
        for axis in table.axes:
            found.setdefault(axis.name, tuple(axis.codes))
    return found


def _summed(universe: _Codes, axes: _Axes) -> _Codes:
    kept = {axis.name for axis in axes}
    return {name: codes for name, codes in universe.items() if name not in kept}


def _same_count(one: _Codes, other: _Codes) -> bool:
    """Whether counts are summed over the same: an axis that only one release has leaves nobody out."""
    return all(one[name] == other[name] for name in one.keys() & other.keys())


def _table_of(tables: Tables, axes: set[str]) -> DisclosedTable | None:
    return next((table for table in tables.tables if {axis.name for axis in table.axes} == axes), None)


def _cells(table: DisclosedTable) -> Iterator[tuple[dict[str, str], int | None]]:
    shape = tuple(len(axis.codes) for axis in table.axes)
    for place, value in zip(np.ndindex(*shape), table.cells, strict=True):
        yield {axis.name: axis.codes[at] for axis, at in zip(table.axes, place, strict=True)}, value


def _number(cells: Cells, table: int, codes: dict[str, str]) -> int | None:
    axes = cells.tables[table]
    if any(codes.get(axis.name) not in axis.codes for axis in axes):
        return None
    return int(cells.numbers(table)[tuple(axis.codes.index(codes[axis.name]) for axis in axes)])
