"""The database under a node's ledger: durable transactions and a hash-chained journal.

Guarantees: SQLite with WAL and ``synchronous=FULL``: what was committed survives a crash; a write that fails
(disk full) leaves everything as it was. Entries are chained and salted (128 bits each, so that a head
confirms no guess about others); ``entries`` finds an edit.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from safeborders_fed.errors import ConfigurationError
from safeborders_fed.node.transactions import immediate
from safeborders_fed.study import canonical
from safeborders_fed.study.handshake import Head

GENESIS: Final = "0" * 64
_SCHEMA: Final = """
CREATE TABLE study (
    id TEXT PRIMARY KEY,
    manifest_hash TEXT NOT NULL,
    rho_reserved REAL NOT NULL CHECK (rho_reserved > 0),
    snapshot TEXT NOT NULL,
    opened TEXT NOT NULL,
    ended TEXT
) STRICT;
CREATE TABLE contribution (
    study TEXT NOT NULL REFERENCES study(id),
    round INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    request_hash TEXT NOT NULL,
    rho REAL NOT NULL CHECK (rho > 0),
    stored TEXT NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (study, attempt)
) STRICT;
CREATE TABLE entry (
    number INTEGER PRIMARY KEY,
    content BLOB NOT NULL,
    head TEXT NOT NULL
) STRICT;
CREATE TABLE witnessed (
    node TEXT NOT NULL,
    entries INTEGER NOT NULL,
    value TEXT NOT NULL,
    signature TEXT NOT NULL,
    study TEXT,
    PRIMARY KEY (node, entries, value)
) STRICT;
CREATE TABLE dispute (
    witness TEXT NOT NULL,
    entries INTEGER NOT NULL,
    value TEXT NOT NULL,
    settled TEXT,
    PRIMARY KEY (entries, value)
) STRICT;
CREATE TABLE outbox (
    key TEXT PRIMARY KEY,
    content BLOB NOT NULL
) STRICT;
PRAGMA user_version = 1;
"""
_SINCE_VERSION_1: Final = """
CREATE TABLE population (
    population TEXT NOT NULL,
    snapshot TEXT NOT NULL,
    sigma REAL NOT NULL CHECK (sigma > 0),
    rho REAL NOT NULL CHECK (rho > 0),
    noised INTEGER NOT NULL,
    counted TEXT NOT NULL,
    PRIMARY KEY (population, snapshot)
) STRICT;
PRAGMA user_version = 2;
"""
_STEPS: Final = (_SCHEMA, _SINCE_VERSION_1)
"""What brings a database from each version to the next."""


def now() -> datetime:
    """The time, UTC."""
    return datetime.now(UTC)


class Journal:
    """One database with its chain of entries.

    Args:
        path: The database file; made when absent.
        clock: Gives the time, UTC (tests inject it).

    Raises:
        ConfigurationError: ``ledger-unreadable``, or ``ledger-newer`` for one of later software: it may hold
            charges that this software does not know, and would not count.
    """

    def __init__(self, path: Path, clock: Callable[[], datetime]) -> None:
        self.clock = clock
        try:
            if not path.exists():  # never readable by others, not for a moment
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
            # Rounds may be answered from another thread than the one that opened the ledger, one at a time.
            self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self.db.execute("PRAGMA journal_mode = WAL")
            self.db.execute("PRAGMA synchronous = FULL")
            self.db.execute("PRAGMA foreign_keys = ON")
            if self._version() > len(_STEPS):
                self.db.close()
                raise _of_later_software(path)
            if self._version() < len(_STEPS):
                with self.transaction():
                    for step in _STEPS[self._version() :]:  # asked again: another process may have been first
                        for statement in step.split(";\n"):
                            self.db.execute(statement)
        except sqlite3.DatabaseError as error:
            raise ConfigurationError(
                "ledger-unreadable",
                f"the ledger {path.name} cannot be read: {error}",
                "restore the node directory from backup; do not delete the ledger, it guards the budget",
            ) from error

    def _version(self) -> int:
        return int(self.db.execute("PRAGMA user_version").fetchone()[0])

    def copy_to(self, path: Path) -> None:
        """Copies the database as it is between two transactions, to one file; others may go on writing.

        Raises:
            ConfigurationError: ``ledger-unreadable``, also when the copy cannot be written.
        """
        try:
            with closing(sqlite3.connect(path, isolation_level=None)) as copy:
                self.db.backup(copy)
                copy.execute("PRAGMA journal_mode = DELETE")  # a file that is complete by itself
        except sqlite3.Error as error:
            raise ConfigurationError(
                "ledger-unreadable",
                f"the ledger cannot be copied to {path}: {error}",
                "free space there, or check the disk under the node's directory",
            ) from error

    def close(self) -> None:
        """Closes the database."""
        self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written within is written, or nothing.

        Raises:
            ConfigurationError: ``ledger-unwritable``; nothing was charged, and nothing can leave.
        """
        with immediate(self.db, self._unwritable):
            yield

    def _unwritable(self, error: sqlite3.OperationalError) -> ConfigurationError:
        return ConfigurationError(
            "ledger-unwritable",
            f"the ledger cannot be written: {error}",
            "free space on its disk, or mend its rights, then let the coordinator ask again",
        )

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All that is read within is of one moment, whatever another process writes meanwhile."""
        self.db.execute("BEGIN")
        try:
            yield
        finally:
            self.db.execute("ROLLBACK")

    def record(self, kind: str, **facts: Any) -> None:
        """Appends an entry; only inside a transaction. ``resume`` skips entry numbers up to it."""
        row = self.db.execute("SELECT number, head FROM entry ORDER BY number DESC LIMIT 1").fetchone()
        number, head = (row[0] + 1, row[1]) if row else (0, GENESIS)
        number = max(number, facts.get("resume", 0))
        content = canonical.serialise(
            {"kind": kind, "at": self.clock().isoformat(), "salt": secrets.token_hex(16), **facts}
        )
        self.db.execute(
            "INSERT INTO entry VALUES (?, ?, ?)",
            (number, content, canonical.sha256(bytes.fromhex(head) + content)),
        )

    def head(self) -> Head:
        """The chain's head: it stands for all entries so far."""
        row = self.db.execute("SELECT number, head FROM entry ORDER BY number DESC LIMIT 1").fetchone()
        return Head(entries=row[0] + 1, value=row[1]) if row else Head(entries=0, value=GENESIS)

    def passed_through(self, head: Head) -> bool:
        """Whether the chain once had this head."""
        if head.entries == 0:
            return head.value == GENESIS
        row = self.db.execute("SELECT head FROM entry WHERE number = ?", (head.entries - 1,)).fetchone()
        return row is not None and row[0] == head.value

    def entries(self) -> Iterator[dict[str, Any]]:
        """The facts of all entries in order, checked.

        Raises:
            ConfigurationError: ``ledger-altered``, naming the first entry that does not fit.
        """
        head, expected = GENESIS, 0
        for number, content, claimed in self.db.execute(
            "SELECT number, content, head FROM entry ORDER BY number"
        ):
            head = canonical.sha256(bytes.fromhex(head) + content)
            if head != claimed:
                raise altered(f"entry {number} does not fit the one before it")
            facts: dict[str, Any] = canonical.parse(content)
            if number != max(expected, facts.get("resume", 0)):
                raise altered(f"entry {expected} is missing")
            expected = number + 1
            yield facts


def _of_later_software(path: Path) -> ConfigurationError:
    return ConfigurationError(
        "ledger-newer",
        f"the ledger {path.name} was written by later software, and may hold charges unknown to this one",
        "install the software that wrote it, or a later one; an old ledger would give the budget back",
    )


def altered(what: str) -> ConfigurationError:
    """The error for a ledger that somebody changed."""
    return ConfigurationError(
        "ledger-altered",
        f"the ledger was altered: {what}",
        "stop the node, keep the file as evidence and restore from backup",
    )
