"""The table of faults: what was done, what came of it, and how long it took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Row:
    """One fault. ``outcome`` is filled in by the test that causes it."""

    fault: str
    done: str
    outcome: str = ""
    seconds: float = 0.0


@dataclass
class Table:
    """All rows of a run of the tests."""

    rows: list[Row] = field(default_factory=list)

    @contextmanager
    def row(self, fault: str, done: str) -> Iterator[Row]:
        """A fault that is being caused: it enters the table if nothing within fails."""
        row = Row(fault, done)
        began = time.monotonic()
        yield row
        row.seconds = time.monotonic() - began
        assert row.outcome, f"the outcome of {fault!r} is not said"
        self.rows.append(row)

    def note(self, fault: str, done: str, outcome: str, seconds: float) -> None:
        """A row that was measured beside another."""
        self.rows.append(Row(fault, done, outcome, seconds))

    def write(self, path: Path) -> None:
        """Writes the rows as a table in Markdown."""
        lines = ["| Fault | What was done | Outcome | Seconds |", "|---|---|---|---|"]
        lines += [f"| {row.fault} | {row.done} | {row.outcome} | {row.seconds:.0f} |" for row in self.rows]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
