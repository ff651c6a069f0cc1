"""Published tables as a page shows them: found by their axes, each count with its margin or suppressed.

Guarantees: reads disclosed tables only, so nothing here knows an unrounded or a suppressed count. A
suppressed
count is ``None`` everywhere, never zero, and never added up with others; a sum is read from the table that
publishes it, or is not there. Orders and comparisons are made among published counts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from safeborders_fed.errors import RefusedError
from safeborders_fed.reporting import codes, exports
from safeborders_fed.reporting.country_names import COUNTRIES
from safeborders_fed.reporting.figures import PLUS_MINUS, UNCLEAR_MARK, signed
from safeborders_fed.reporting.language import N_, _
from safeborders_fed.study.table_file import DisclosedTable, Tables

SUPPRESSED: Final = "c"
"""Stands for a suppressed count, after Eurostat's flag for what is confidential."""
PERIODS: Final = ("quarter", "year", "period")
"""Axes of time."""
OTHER: Final = "Other"
MOST_CODES: Final = 300
"""Codes of an axis that a page can show so that a reader still sees something."""
_QUARTER: Final = re.compile(r"(\d{4})-?Q([1-4])")
_YEAR: Final = re.compile(r"\d{4}")
_BETWEEN: Final = re.compile(r"(\d+)--(\d+)")
_WORDS: Final = {
    "OtherGender": N_("Other gender"),
    "Complete": N_("Nothing missing"),
    "Several": N_("Several of these"),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """A published count.

    Attributes:
        value: A multiple of the rounding base.
        margin: Half of its 95% interval.
        low: Lower end of the interval; zero where the rules say so.
    """

    value: int
    margin: int
    low: int

    @property
    def high(self) -> int:
        """Upper end of the interval."""
        return self.value + self.margin

    @property
    def plain(self) -> str:
        """The count, with the mark if it cannot be told from zero."""
        return f"{self.value:,}{'' if self.low else UNCLEAR_MARK}"

    @property
    def text(self) -> str:
        """Count and margin, with the mark."""
        return f"{self.value:,}{PLUS_MINUS}{self.margin:,}{'' if self.low else UNCLEAR_MARK}"


@dataclass(frozen=True, slots=True)
class Difference:
    """Later minus earlier count; the margin is the sum of both, however their noise is correlated."""

    value: int
    margin: int

    @property
    def stands_out(self) -> bool:
        """Whether noise and rounding do not explain it."""
        return abs(self.value) > self.margin

    @property
    def text(self) -> str:
        """Signed difference and margin."""
        moved = signed(self.value) if self.value else "0"
        return f"{moved}{PLUS_MINUS}{self.margin:,}"


def difference(later: Shown | None, earlier: Shown | None) -> Difference | None:
    """What changed; None if one of the two is suppressed or missing."""
    if later is None or earlier is None:
        return None
    return Difference(later.value - earlier.value, later.margin + earlier.margin)


@dataclass(frozen=True)
class View:
    """One table, read by codes.

    Attributes:
        table: As it was published.
        counts: By codes in the order of its axes; None for what is suppressed.
    """

    table: DisclosedTable
    counts: dict[tuple[str, ...], Shown | None]

    @property
    def published(self) -> int:
        """How many counts are published."""
        return sum(count is not None for count in self.counts.values())

    def axis(self, name: str) -> tuple[str, ...]:
        """The codes of an axis."""
        return next(axis.codes for axis in self.table.axes if axis.name == name)

    def of(self, **chosen: str) -> Shown | None:
        """The count with these codes on all axes."""
        return self.counts[tuple(chosen[axis.name] for axis in self.table.axes)]

    def largest(self, name: str) -> tuple[str, ...]:
        """Codes of the only axis, largest published count first, suppressed ones last in their own order."""
        counts = {code: self.of(**{name: code}) for code in self.axis(name)}
        return tuple(
            sorted(counts, key=lambda code: (counts[code] is None, -(counts[code] or _NOTHING).value))
        )


_NOTHING: Final = Shown(0, 1, 0)


class Book:
    """All tables of a release, found by the names of their axes."""

    def __init__(self, tables: Tables) -> None:
        _require_few(tables)
        self.tables = tables
        self._by_axes = {frozenset(axis.name for axis in table.axes): table for table in tables.tables}
        names = {axis.name for table in tables.tables for axis in table.axes if axis.codes != (OTHER,)}
        found = [name for name in PERIODS if name in names]
        if not found:
            raise RefusedError(
                "no-periods",
                f"no table of {tables.id} is by year or quarter, so that nothing can be said of trends",
                "use `safeborders report export` or `extract`, or choose a table by period in the next study",
            )
        self.period = found[0]

    def view(self, *axes: str) -> View | None:
        """The table with exactly these axes, in any order; None if the release has none."""
        table = self._by_axes.get(frozenset(axes))
        return None if table is None else view_of(table)

    def periods(self, view: View) -> tuple[str, ...]:
        """The periods of a table in order of time, without that of all others."""
        return tuple(sorted(code for code in view.axis(self.period) if code != OTHER))


def view_of(table: DisclosedTable) -> View:
    """A table, read by codes."""
    counts = {
        tuple(row.codes.values()): None
        if row.value is None or row.lower is None
        else Shown(row.value, table.margin, row.lower)
        for row in exports.rows_of(table)
    }
    return View(table, counts)


def year_before(period: str, periods: Sequence[str]) -> str | None:
    """The same quarter of the year before, if the table has it; None for years."""
    quarter = _QUARTER.fullmatch(period)
    if quarter is None:
        return None
    found = period.replace(quarter[1], str(int(quarter[1]) - 1), 1)
    return found if found in periods else None


def period_before(period: str, periods: Sequence[str]) -> str | None:
    """The period right before, if the table has it: a gap in time is not bridged."""
    if (quarter := _QUARTER.fullmatch(period)) is not None:
        at = 4 * int(quarter[1]) + int(quarter[2]) - 2
        found = f"{at // 4}{period[4:-1]}{at % 4 + 1}"
    elif _YEAR.fullmatch(period):
        found = str(int(period) - 1)
    else:
        return None
    return found if found in periods else None


def words(axis: str, code: str) -> str:
    """What a reader sees for a code.

    Labels of the data contract are translated here: it has no catalogue of its own.
    """
    if axis in PERIODS:
        return _("Other periods") if code == OTHER else code
    if code in _WORDS:
        return _(_WORDS[code])
    if code in COUNTRIES:
        return _(COUNTRIES[code])
    if axis == "gap":
        return _(code.replace("_", " ").capitalize())
    between = _BETWEEN.fullmatch(code)
    if between is not None:
        return _("{first} to {last}").format(first=between[1], last=between[2])
    return _(codes.label_of(axis, code))


def _require_few(tables: Tables) -> None:
    for table in tables.tables:
        for axis in table.axes:
            if len(axis.codes) > MOST_CODES:
                raise RefusedError(
                    "too-many-categories",
                    f"axis {axis.name!r} of {tables.id} has {len(axis.codes):,} codes, and a page can show "
                    f"{MOST_CODES}",
                    "use `safeborders report export`, and draw the codes that you need from its files",
                )
