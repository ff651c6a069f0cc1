"""The end of an audit log, as a crash may have left it: what goes on, and what was never finished.

Guarantees: only what a crash can leave counts as unfinished: entries behind the last signed line that fit it
and are not signed themselves, and one last line that has no line end or is not JSON. Whatever else does not
fit is an alteration.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from safeborders_fed.audit.chain import EMPTY, Entry, Head, altered, parse_line
from safeborders_fed.study import canonical

LARGEST_BATCH: Final = 1_000
KEYS_KEPT: Final = 10_000
KEY: Final = "key"
_BLOCK: Final = 1 << 20


@dataclass(slots=True)
class Tail:
    """State after the last signed line.

    Attributes:
        head: Its number and hash.
        entry: The entry in it, None in an empty log.
        line: Its bytes, without line end.
        keys: Detail ``key`` of recent entries, with the entry's number, in order of the numbers.
        unfinished: The bytes behind it.
    """

    head: Head = EMPTY
    entry: Entry | None = None
    line: bytes = b""
    keys: dict[str, int] = field(default_factory=dict)
    unfinished: bytes = b""

    def remember(self, entry: Entry) -> None:
        """Keeps the entry's key, and forgets keys of entries that are too far back."""
        if KEY in entry.details:
            key = str(entry.details[KEY])
            self.keys.pop(key, None)
            self.keys[key] = entry.number
        while self.keys and (oldest := next(iter(self.keys.items())))[1] <= entry.number - KEYS_KEPT:
            del self.keys[oldest[0]]


def read_end(file: int, size: int) -> tuple[bytes, bool]:
    """The last 11,000 lines of a file, or all of it, and whether it is all.

    Raises:
        OSError: when the file cannot be read.
    """
    blocks: list[bytes] = []
    start, lines = size, 0
    while start > 0 and lines <= KEYS_KEPT + LARGEST_BATCH:
        length = min(_BLOCK, start)
        start -= length
        blocks.append(os.pread(file, length, start))
        lines += blocks[-1].count(b"\n")
    data = b"".join(reversed(blocks))
    return (data, True) if start == 0 else (data[data.index(b"\n") + 1 :], False)


def read_tail(data: bytes, *, complete: bool) -> Tail:
    """What stands at the end of a log.

    Args:
        data: Lines as ``read_end`` gives them.
        complete: Whether they are the whole log.

    Raises:
        ConfigurationError: ``audit-log-altered``. The signature of ``Tail.entry`` is for the caller to check.
    """
    tail = Tail()
    pending: list[Entry] = []
    pieces = _split(data)
    head = EMPTY if complete or not pieces else _before(pieces[0])
    end = 0
    for piece, position in zip(pieces, accumulate(map(len, pieces)), strict=True):
        line = piece.removesuffix(b"\n")
        if position == len(data) and (line == piece or not _is_json(line)):
            break
        entry = parse_line(line, head.number + 1)
        if entry.previous != head.hash:
            raise altered(entry.number, "it does not fit the entry before it")
        head = Head(entry.number, canonical.sha256(line))
        pending.append(entry)
        if entry.signature:
            tail.head, tail.entry, tail.line, end = head, entry, line, position
            for finished in pending:
                tail.remember(finished)
            pending.clear()
    if len(pending) > LARGEST_BATCH or (tail.entry is None and not complete):
        raise altered(head.number, f"the last {len(pending)} entries are not signed")
    tail.unfinished = data[end:]
    return tail


def signed_length(file: int) -> tuple[int, Tail]:
    """How many bytes of a log are signed, for readers while its writer may be at work; what stands there.

    Raises:
        ConfigurationError: ``audit-log-altered``.
        OSError: when the file cannot be read.
    """
    size = os.fstat(file).st_size
    data, complete = read_end(file, size)
    tail = read_tail(data, complete=complete)
    return size - len(tail.unfinished), tail


def _split(data: bytes) -> list[bytes]:
    lines = data.split(b"\n")
    return [line + b"\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def _before(piece: bytes) -> Head:
    """The head that the first of the lines claims to follow: the lines before it are for ``verify``."""
    try:
        entry = Entry.model_validate_json(piece)
    except ValueError as error:
        raise altered(0, "what stands 11,000 lines before its end is not an entry") from error
    return Head(entry.number - 1, entry.previous)


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
