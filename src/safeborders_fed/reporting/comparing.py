"""What changed between two releases beyond noise and rounding.

Guarantees: only releases of other studies about the same people are compared, the earlier one first, and only
counts that both publish. A count has changed if the two differ by more than the sum of their margins: 1.96
standard errors and half a rounding base of each. If nothing changed and the noise is normal, a count is named
with a chance of at most 5%, and of at most 0.56% if both releases have one standard error: the sum of two
standard errors is that of the difference times a factor from 1 to the root of 2. This is for one count; how
many were looked at is said with the result. Counts are published because they came out large, so one that is
published in both is more likely to have come out large in both: changes near the floor are understated.
"""

from __future__ import annotations

from dataclasses import dataclass

from safeborders_fed.errors import RefusedError, UsageError
from safeborders_fed.reporting import exports
from safeborders_fed.reporting.reading import Released
from safeborders_fed.study.table_file import DisclosedTable, Tables


@dataclass(frozen=True)
class Change:
    """One count in both releases.

    Attributes:
        table: Name of its table.
        codes: Code by axis.
        before: As the earlier release has it.
        after: As the later one has it.
        margin: What the difference must exceed.
    """

    table: str
    codes: dict[str, str]
    before: int
    after: int
    margin: int

    @property
    def stands_out(self) -> bool:
        """Whether noise and rounding do not explain it."""
        return abs(self.after - self.before) > self.margin


def compare(before: Released, after: Released) -> tuple[Change, ...]:
    """All counts that both releases publish.

    Raises:
        UsageError: ``wrong-order``.
        RefusedError: ``same-study``, ``types-differ`` or ``not-comparable``.
    """
    require_series(before, after)
    one, other = before.loaded.tables, after.loaded.tables
    if set(one.states) != set(other.states):
        raise _not_comparable(one, other)
    later = {frozenset(axis.name for axis in table.axes): table for table in other.tables}
    found: list[Change] = []
    require_no_types(one, other)
    for table in one.tables:
        same = later.get(frozenset(axis.name for axis in table.axes))
        if same is not None:
            found += _changes(table, same)
    return tuple(found)


def require_series(before: Released, after: Released) -> None:
    """Refuses two releases that cannot be of one series: the states of a series may change.

    Raises:
        UsageError: ``wrong-order``.
        RefusedError: ``same-study`` or ``not-comparable``.
    """
    one, other = before.loaded.tables, after.loaded.tables
    if before.statement.statement.day > after.statement.statement.day:
        raise UsageError(
            "wrong-order",
            f"{one.id} was released on {before.statement.statement.day}, after {other.id}",
            "name the earlier release first",
        )
    if one.manifest_hash == other.manifest_hash:
        raise RefusedError(
            "same-study",
            f"{one.id} and {other.id} are of one study, whose counts are the same",
            "compare the releases of two studies",
        )
    if one.population != other.population:
        raise _not_comparable(one, other)


def _not_comparable(one: Tables, other: Tables) -> RefusedError:
    return RefusedError(
        "not-comparable",
        f"{one.id} counts {one.population} in {', '.join(one.states)}, and {other.id} counts "
        f"{other.population} in {', '.join(other.states)}",
        "compare releases of the same states and population",
    )


def _changes(before: DisclosedTable, after: DisclosedTable) -> list[Change]:
    known = {frozenset(row.codes.items()): row.value for row in exports.rows_of(after)}
    margin = before.margin + after.margin
    found = []
    for row in exports.rows_of(before):
        value = known.get(frozenset(row.codes.items()))
        if row.value is not None and value is not None:
            found.append(Change(before.name, row.codes, row.value, value, margin))
    return found


def require_no_types(one: Tables, other: Tables) -> None:
    """Refuses releases of different studies that count types.

    Raises:
        RefusedError: ``types-differ``.
    """
    typed = [tables.id for tables in (one, other) if tables.types is not None]
    if typed:
        raise RefusedError(
            "types-differ",
            f"types are counted in {' and '.join(typed)}, and T1 of one study is not T1 of another",
            "read both releases side by side: what sets each type apart says which are alike",
        )
