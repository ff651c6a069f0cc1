"""The database under a node's hits: durable transactions, and what is yet to be written to the audit log.

Guarantees: SQLite with WAL and ``synchronous=FULL``: what was committed survives a crash; a write that fails
leaves everything as it was. What has to be on record is committed together with what it is about, and is
handed to the audit log afterwards, each entry once (``settle``).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from safeborders_fed.audit.chain import Operation
from safeborders_fed.errors import ConfigurationError
from safeborders_fed.study import canonical


class Log(Protocol):
    """Where entries go: the audit log, or notes for whoever writes it."""

    def append_if_new(
        self,
        key: str,
        operation: Operation,
        *,
        who: str,
        why: str,
        details: Mapping[str, str | int | float | bool] | None = None,
    ) -> object:
        """Writes one entry unless one has this key; on return it is on the disk."""
        ...


_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE tagging (
    exchange TEXT NOT NULL,
    partner TEXT NOT NULL,
    epoch TEXT NOT NULL,
    number INTEGER NOT NULL CHECK (number >= 1),
    fresh INTEGER NOT NULL CHECK (fresh >= 0),
    dummies INTEGER NOT NULL CHECK (dummies >= 0),
    PRIMARY KEY (exchange, partner),
    UNIQUE (epoch, partner, number)
) STRICT;
CREATE TABLE canary (
    exchange TEXT NOT NULL,
    partner TEXT NOT NULL,
    handle TEXT NOT NULL,
    PRIMARY KEY (exchange, partner, handle)
) STRICT, WITHOUT ROWID;
CREATE TABLE hit (
    id TEXT PRIMARY KEY,
    epoch TEXT NOT NULL,
    partner TEXT NOT NULL,
    kind TEXT NOT NULL,
    strength TEXT NOT NULL,
    digest BLOB NOT NULL,
    own_handle TEXT NOT NULL,
    their_handle TEXT NOT NULL,
    exchange TEXT NOT NULL,
    state TEXT NOT NULL,
    found_at TEXT NOT NULL,
    cases TEXT NOT NULL DEFAULT '[]',
    alarm INTEGER NOT NULL DEFAULT 0,
    opened_at TEXT,
    answered_at TEXT,
    reason TEXT,
    urgency TEXT NOT NULL DEFAULT 'routine',
    partner_approved INTEGER NOT NULL DEFAULT 0,
    sent_at TEXT,
    record BLOB,
    received_at TEXT,
    expires TEXT,
    outcome TEXT,
    outcome_at TEXT,
    partner_outcome TEXT,
    partner_outcome_at TEXT
) STRICT;
CREATE TABLE approval (
    hit TEXT NOT NULL REFERENCES hit(id) ON DELETE CASCADE,
    side TEXT NOT NULL CHECK (side IN ('own', 'partner')),
    approver TEXT NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (hit, side, approver)
) STRICT;
CREATE TABLE letter_out (
    id TEXT PRIMARY KEY,
    number INTEGER NOT NULL UNIQUE,
    epoch TEXT NOT NULL,
    partner TEXT NOT NULL,
    hit TEXT NOT NULL REFERENCES hit(id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    content BLOB NOT NULL,
    arrived INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE letter_in (
    id TEXT NOT NULL,
    partner TEXT NOT NULL,
    hit TEXT NOT NULL,
    kind TEXT NOT NULL,
    content BLOB NOT NULL,
    at TEXT NOT NULL,
    owes INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (partner, id)
) STRICT;
CREATE TABLE bundle (
    partner TEXT PRIMARY KEY,
    exchange TEXT NOT NULL,
    facts TEXT NOT NULL,
    said BLOB NOT NULL
) STRICT;
CREATE TABLE outbox (
    number INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    content BLOB NOT NULL
) STRICT;
"""


def now() -> datetime:
    """The time, UTC."""
    return datetime.now(UTC)


class HitDatabase:
    """One database of hits.

    Args:
        path: The file; made when absent, for its owner only.
        clock: Gives the time, UTC.

    Raises:
        ConfigurationError: ``hits-unreadable``, or ``hits-newer`` for one of later software.
    """

    def __init__(self, path: Path, clock: Callable[[], datetime] = now) -> None:
        self.clock = clock
        try:
            if not path.exists():  # never readable by others, not for a moment
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self.db.execute("PRAGMA journal_mode = WAL")
            self.db.execute("PRAGMA synchronous = FULL")
            self.db.execute("PRAGMA foreign_keys = ON")
            self._prepare(path)
        except sqlite3.DatabaseError as error:
            raise ConfigurationError(
                "hits-unreadable",
                f"the hits in {path.name} cannot be read: {error}",
                "restore the node's directory from backup",
            ) from error

    def _prepare(self, path: Path) -> None:
        found = self._version()
        if found > _VERSION:
            self.db.close()
            raise ConfigurationError(
                "hits-newer",
                f"{path.name} was written by later software",
                "install the software that wrote it, or a later one",
            )
        if found == _VERSION:
            return
        with self.transaction():
            if self._version() == 0:  # asked again: another process may have been first
                for statement in _SCHEMA.split(";\n"):
                    self.db.execute(statement)
                self.db.execute(f"PRAGMA user_version = {_VERSION}")

    def _version(self) -> int:
        return int(self.db.execute("PRAGMA user_version").fetchone()[0])

    def close(self) -> None:
        """Closes the database."""
        self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written within is written, or nothing. One within another is part of it.

        Raises:
            ConfigurationError: ``hits-unwritable``; nothing was changed.
        """
        if self.db.in_transaction:
            yield
            return
        try:
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.db.execute("COMMIT")
            except BaseException:
                if self.db.in_transaction:  # a full disk may have rolled it back already
                    self.db.execute("ROLLBACK")
                raise
        except sqlite3.OperationalError as error:
            raise ConfigurationError(
                "hits-unwritable",
                f"the hits cannot be written: {error}",
                "free space on the disk, or mend the rights of the node's directory",
            ) from error

    def note(
        self, key: str, operation: Operation, *, who: str, why: str, details: Mapping[str, str | int]
    ) -> None:
        """Puts on record, within a transaction, what the audit log has to hold.

        Args:
            key: Tells it from all others: noted again, it is logged once.
            operation: What was done.
            who: The person or service that did it.
            why: The reason.
            details: Further facts; nothing of what a case file holds.
        """
        content = {"operation": operation.value, "who": who, "why": why, "details": dict(details)}
        self.db.execute(
            "INSERT OR IGNORE INTO outbox (key, content) VALUES (?, ?)", (key, canonical.serialise(content))
        )

    def settle(self, log: Log) -> int:
        """Writes to the audit log what waits for it; how much that was. After a crash it goes on.

        Raises:
            ConfigurationError: as AuditLog.append.
        """
        rows = self.db.execute("SELECT number, key, content FROM outbox ORDER BY number").fetchall()
        for number, key, content in rows:
            facts = canonical.parse(content)
            log.append_if_new(
                key,
                Operation(facts["operation"]),
                who=facts["who"],
                why=facts["why"],
                details=facts["details"],
            )
            with self.transaction():
                self.db.execute("DELETE FROM outbox WHERE number = ?", (number,))
        return len(rows)
