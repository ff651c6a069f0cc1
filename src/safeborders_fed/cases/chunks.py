"""What every reader of national files hands on: chunks of text columns of bounded size.

Guarantees: a chunk holds at most ``CELLS`` cells, whatever the width of the file; a file with an absurd
header, without a wanted column, or with a wanted column twice is refused before its first row is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from safeborders_fed.cases.rejection import Rejection
from safeborders_fed.cases.sources import clean
from safeborders_fed.errors import DataError

MOST_COLUMNS: Final = 2_000
CELLS: Final = 200_000
MOST_ROWS: Final = 8_192
LEAST_ROWS: Final = 100
_SHOWN: Final = 12


@dataclass(frozen=True)
class Chunk:
    """Some rows of a file.

    Attributes:
        names: The columns that were asked for.
        rows: For each row, its number as the user sees it in the file.
        columns: For each name, the texts of these rows.
        rejected: Rows that cannot be read at all; they are not among ``rows``.
    """

    names: tuple[str, ...]
    rows: Sequence[int]
    columns: tuple[Sequence[str], ...]
    rejected: tuple[Rejection, ...]

    def column(self, name: str) -> Sequence[str]:
        """The texts of one column."""
        return self.columns[self.names.index(name)]


class Reader(Protocol):
    """Reads one national file.

    Attributes:
        names: The columns that chunks hold.
        typed: Whether the file has dates of its own, which come as ``interpreters.ISO_DATE``.
    """

    names: tuple[str, ...]
    typed: bool

    @property
    def header(self) -> tuple[str, ...]:
        """All columns of the file; for JSON lines, those seen so far."""

    def start(self, wanted: Sequence[str] | None) -> None:
        """Read what comes before the rows; ``wanted`` are the columns to read, None for all with a name."""

    def chunks(self) -> Iterator[Chunk]:
        """All rows, in order. Raises DataError when the file turns out to be unreadable."""

    def share(self) -> float | None:
        """The part of the file that has been read, 0 to 1; None if that cannot be told."""

    def close(self) -> None:
        """Close the file."""


def rows_at_once(width: int) -> int:
    """How many rows of ``width`` columns make a chunk."""
    return max(LEAST_ROWS, min(MOST_ROWS, CELLS // max(1, width)))


def unreadable(path: Path, kind: str, why: object) -> DataError:
    """The error for a file that is not what it should be."""
    return DataError(
        "unreadable-file",
        f"{path.name} cannot be read as {kind}: {why}",
        "check that the file was copied whole, is not protected by a password, and has the format that the "
        "mapping names",
    )


def empty(path: Path) -> DataError:
    """The error for a file without content."""
    return DataError("empty-file", f"{path.name} is empty", "export the file again")


def check_width(path: Path, columns: int) -> None:
    """Refuse a header of absurd width.

    Raises:
        DataError: ``too-many-columns``.
    """
    if columns > MOST_COLUMNS:
        raise DataError(
            "too-many-columns",
            f"{path.name} has {columns:,} columns in its header; at most {MOST_COLUMNS:,} are read",
            "check the delimiter, or whether the table was exported the wrong way round",
        )


def choose(
    path: Path, header: Sequence[str], wanted: Sequence[str] | None, hint: str = ""
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names and positions of the wanted columns; without ``wanted``, of all that have a name.

    Raises:
        DataError: ``missing-column``, ``duplicate-column``.
    """
    names = [clean(name) for name in header]
    chosen = tuple(wanted) if wanted is not None else tuple(filter(None, names))
    missing = [name for name in chosen if name not in names]
    if missing:
        raise missing_columns(path, missing, names, hint)
    twice = next((name for name in chosen if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(
            "duplicate-column",
            f"{path.name} has more than one column called {twice!r}",
            "rename one of them in the file, so that it is clear which is meant",
        )
    return chosen, tuple(names.index(name) for name in chosen)


def missing_columns(path: Path, missing: Sequence[str], names: Sequence[str], hint: str = "") -> DataError:
    """The error for columns that the mapping names and the file lacks."""
    shown = ", ".join(repr(name[:60]) for name in names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")
    return DataError(
        "missing-column",
        f"{path.name} has no column {', '.join(map(repr, missing[:_SHOWN]))}; its columns are {shown}",
        hint or "correct the column names in the mapping, or export the file with these columns",
    )
