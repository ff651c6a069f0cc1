"""The databases of links in a backup, and after one.

Guarantees: each is copied as it is between two transactions, while the service may write it, and before the
audit log: a charge that the copied log lacks is in the copied book's outbox. After a restore the month's
quotas and the epoch's first loads count as spent, as nobody knows what was charged since the backup was made:
a book that was put back gives no state points for free.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from safeborders_fed.errors import ConfigurationError, DefectError
from safeborders_fed.node.hit_book import FILE as HITS
from safeborders_fed.node.link_book import FILE as BOOK
from safeborders_fed.node.link_book import LinkBook

DATABASES: Final = (BOOK, HITS)
LEFT_OUT: Final = frozenset(f"{name}{end}" for name in DATABASES for end in ("", "-wal", "-shm"))
"""Files that are never copied as they lie there."""


def add_copies(home: Path, out: Path, add: Callable[[str, Path], None]) -> None:
    """Adds a copy of each database that a node has.

    Args:
        home: The node's directory.
        out: The backup; copies lie beside it for a moment, for their owner only.
        add: Puts a file into the backup under a name.

    Raises:
        ConfigurationError: ``link-book-unreadable``.
    """
    for name in DATABASES:
        if not (home / name).exists():
            continue
        copy = out.with_name(f".{out.name}.{name}.part")
        copy.unlink(missing_ok=True)
        copy.touch(mode=0o600)
        try:
            _copy(home / name, copy)
            add(name, copy)
        finally:
            for each in (copy.name, f"{copy.name}-wal", f"{copy.name}-shm", f"{copy.name}-journal"):
                copy.with_name(each).unlink(missing_ok=True)


def mark_restored(home: Path) -> None:
    """Counts what may have been charged since the backup was made as spent. Raises as LinkBook."""
    with closing(LinkBook(home / BOOK, _no_key)) as book:
        book.mark_restored()


def _copy(path: Path, copy: Path) -> None:
    try:
        with closing(sqlite3.connect(path)) as database, closing(sqlite3.connect(copy)) as target:
            database.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")  # a file that is complete by itself
    except sqlite3.Error as error:
        raise ConfigurationError(
            "link-book-unreadable",
            f"{path.name} cannot be copied: {error}",
            "free space beside the backup, or check the disk under the node's directory",
        ) from error


def _no_key(epoch: str) -> bytes:
    raise DefectError("no-token-key", f"tokens of {epoch} were asked for in a restore", "report this")
