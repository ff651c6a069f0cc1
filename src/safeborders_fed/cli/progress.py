"""How far a long command is: a bar on a terminal, now and then a plain line elsewhere, both on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from safeborders_fed.cli import output

if TYPE_CHECKING:
    from safeborders_fed.cases.intake import Progress

_SECONDS_BETWEEN_LINES: Final = 5.0


@contextmanager
def file_progress(title: str, *, quiet: bool) -> Iterator[Progress | None]:
    """A callback that shows rows read and the share of a file; None if ``quiet``."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        with _bar(title) as progress:
            yield progress
    else:
        yield _lines(title)


@contextmanager
def _bar(title: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rows]} rows"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(output.printable(title).replace("[", "\\["), total=None, rows="0")

        def show(rows: int, share: float | None) -> None:
            bar.update(task, total=None if share is None else 1.0, completed=share or 0.0, rows=f"{rows:,}")

        yield show


def _lines(title: str) -> Progress:
    shown = time.monotonic()

    def show(rows: int, share: float | None) -> None:
        nonlocal shown
        if time.monotonic() - shown < _SECONDS_BETWEEN_LINES:
            return
        shown = time.monotonic()
        part = "" if share is None else f" ({share:.0%})"
        output.message(f"{datetime.now(UTC):%H:%M:%S}Z {title}: {rows:,} rows{part}")

    return show
