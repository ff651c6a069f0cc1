"""The databases of a node's half of links: durable transactions over one SQLite file each.

Guarantees: WAL and ``synchronous=FULL``: what was committed survives a crash; a write that fails (disk full)
leaves everything as it was. The file is readable by its owner only from its first moment. A database of later
software is refused: it may hold charges that this one would not count.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from safeborders_fed.errors import ConfigurationError
from safeborders_fed.node.transactions import immediate


class LinkDatabase:
    """One database.

    Args:
        path: The file; made when absent.
        steps: SQL that brings a database from each version to the next, statements ended by ``;`` and a line
            end.

    Raises:
        ConfigurationError: ``link-book-unreadable`` or ``link-book-newer``.
    """

    def __init__(self, path: Path, steps: Sequence[str]) -> None:
        self.path = path
        try:
            if not path.exists():  # never readable by others, not for a moment
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
            # Asks may be answered from another thread than the one that opened it, one at a time.
            self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30.0)
            self.db.execute("PRAGMA journal_mode = WAL")
            self.db.execute("PRAGMA synchronous = FULL")
            self.db.execute("PRAGMA secure_delete = ON")
            if self._version() > len(steps):
                self.db.close()
                raise ConfigurationError(
                    "link-book-newer",
                    f"{path.name} was written by later software, and may hold charges unknown to this one",
                    "install the software that wrote it, or a later one",
                )
            if self._version() < len(steps):
                with self.transaction():
                    self._bring_up(steps)
        except sqlite3.DatabaseError as error:
            raise ConfigurationError(
                "link-book-unreadable",
                f"{path.name} cannot be read: {error}",
                "restore the node directory from backup; do not delete the file, it guards the quotas",
            ) from error

    def _bring_up(self, steps: Sequence[str]) -> None:
        for number, step in enumerate(steps):
            if number >= self._version():  # asked again: another process may have been first
                for statement in step.split(";\n"):
                    self.db.execute(statement)
                self.db.execute(f"PRAGMA user_version = {number + 1}")

    def _version(self) -> int:
        return int(self.db.execute("PRAGMA user_version").fetchone()[0])

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written within is written, or nothing.

        Raises:
            ConfigurationError: ``link-book-unwritable``; nothing was charged, and nothing can leave.
        """
        with immediate(self.db, self._unwritable):
            yield

    def _unwritable(self, error: sqlite3.OperationalError) -> ConfigurationError:
        return ConfigurationError(
            "link-book-unwritable",
            f"{self.path.name} cannot be written: {error}",
            "free space on its disk, or mend its rights; the next exchange asks again",
        )

    def copy_to(self, path: Path) -> None:
        """Copies the database as it is between two transactions, to one file; others may go on writing.

        Raises:
            ConfigurationError: ``link-book-unreadable``, also when the copy cannot be written.
        """
        try:
            with closing(sqlite3.connect(path, isolation_level=None)) as copy:
                self.db.backup(copy)
                copy.execute("PRAGMA journal_mode = DELETE")  # a file that is complete by itself
        except sqlite3.Error as error:
            raise ConfigurationError(
                "link-book-unreadable",
                f"{self.path.name} cannot be copied to {path}: {error}",
                "free space there, or check the disk under the node's directory",
            ) from error

    def close(self) -> None:
        """Closes the database."""
        self.db.close()
