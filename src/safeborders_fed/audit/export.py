"""The audit log for other systems: its lines after a number, while the service goes on writing.

Guarantees: reading takes no lock and changes nothing. Only lines that a signature covers are given, each as
it stands in the file, so that a copy of all of them can itself be verified (``audit.chain.verify``). Lines
after a number are found without reading those before. What is given follows in number and by hash.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from safeborders_fed.audit.chain import LONGEST_LINE, Entry, altered, parse_line
from safeborders_fed.audit.tail import signed_length
from safeborders_fed.errors import ConfigurationError, UsageError
from safeborders_fed.study import canonical

_NEAR: Final = 4 * LONGEST_LINE


def lines_after(path: Path, since: int) -> Iterator[bytes]:
    """The signed lines of a log with numbers above ``since``, in order, without line ends.

    Args:
        path: The log.
        since: Number of the last entry that the reader has; 0 for none.

    Raises:
        UsageError: ``bad-since``, when the log does not go that far: it was put back or is another one.
        ConfigurationError: ``audit-log-altered`` or ``audit-log-unreadable``.
    """
    try:
        with path.open("rb") as file:
            end, tail = signed_length(file.fileno())
            if since > tail.head.number:
                raise UsageError(
                    "bad-since",
                    f"the audit log ends with entry {tail.head.number}, before {since}",
                    "find out whether it was restored from a backup, tell the data protection officer, and "
                    "begin with --since 0",
                )
            yield from _read(file, _start(file, end, since), end, since)
    except OSError as error:
        raise ConfigurationError(
            "audit-log-unreadable",
            f"the audit log {path.name} cannot be read: {error.strerror}",
            "give the node's directory, and run this as a user who may read it",
        ) from error


def _start(file: BinaryIO, end: int, since: int) -> int:
    """Where a line begins that has number ``since`` or less, not far before the next: by halving."""
    low, high = 0, end
    while high - low > _NEAR:
        middle = (low + high) // 2
        file.seek(middle)
        begin = middle + len(file.readline(LONGEST_LINE + 1))  # the rest of a line, whose number is unknown
        line = file.readline(LONGEST_LINE + 1)
        if begin < high and _number(line) <= since:
            low = begin
        else:
            high = middle
    return low


def _number(line: bytes) -> int:
    try:
        return Entry.model_validate_json(line).number
    except ValueError as error:
        raise altered(0, "a line is not an entry") from error


def _read(file: BinaryIO, start: int, end: int, since: int) -> Iterator[bytes]:
    file.seek(start)
    position, before = start, ""
    number = 0 if start == 0 else None
    while position < end:
        piece = file.readline(LONGEST_LINE + 1)
        position += len(piece)
        line = piece.removesuffix(b"\n")
        entry = parse_line(line, _number(line) if number is None else number + 1)
        if before and entry.previous != before:
            raise altered(entry.number, "it does not fit the entry before it")
        number, before = entry.number, canonical.sha256(line)
        if number > since:
            yield line
