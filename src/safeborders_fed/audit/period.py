"""The entries of a period, oldest first, from a log and the files that it follows on.

Guarantees: only lines that a signature covers are given, in their order, each as it stands in its file. Days
are those of UTC, both ends included. Constant memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import NamedTuple

from safeborders_fed.audit.anchors import earlier_file
from safeborders_fed.audit.chain import Entry
from safeborders_fed.audit.export import lines_after
from safeborders_fed.errors import UsageError


class Period(NamedTuple):
    """Days, both included."""

    first: date
    last: date

    @classmethod
    def of(cls, first: date, last: date) -> Period:
        """The period between two days.

        Raises:
            UsageError: ``bad-period``, when it ends before it begins.
        """
        if last < first:
            raise UsageError("bad-period", f"{last} is before {first}", "give the earlier day with --from")
        return cls(first, last)

    def holds(self, at: str) -> bool:
        """Whether a time, ISO 8601 in UTC as entries have it, is of these days."""
        return self.first.isoformat() <= at[:10] <= self.last.isoformat()

    def __str__(self) -> str:
        return f"{self.first} to {self.last}"


class Row(NamedTuple):
    """An entry and its line, without line end."""

    entry: Entry
    line: bytes


def files_of(path: Path) -> tuple[Path, ...]:
    """The log and the files before it, oldest first; those that are gone are left out."""
    found = [path]
    while (before := earlier_file(found[0])) is not None and before[0] not in found:
        if not before[0].exists():
            break
        found.insert(0, before[0])
    return tuple(found)


def rows(path: Path, period: Period) -> Iterator[Row]:
    """All entries of a period.

    Raises:
        ConfigurationError: ``audit-log-altered`` or ``audit-log-unreadable``.
    """
    for file in files_of(path):
        for line in lines_after(file, 0):
            entry = Entry.model_validate_json(line)
            if period.holds(entry.at):
                yield Row(entry, line)
