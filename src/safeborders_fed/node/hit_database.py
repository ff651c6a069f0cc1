"""The database under a node's hits: durable transactions, and what is yet to be written to the audit log.

Guarantees: those of ``link_database``. What has to be on record is committed together with what it is about,
and is handed to the audit log afterwards, each entry once (``settle``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from safeborders_fed.audit.chain import Operation
from safeborders_fed.node.journal import now
from safeborders_fed.node.link_database import LinkDatabase
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
_STEPS: Final = (_SCHEMA,)


class HitDatabase(LinkDatabase):
    """One database of hits.

    Args:
        path: The file; made when absent, for its owner only.
        clock: Gives the time, UTC.

    Raises:
        ConfigurationError: ``link-book-unreadable``, or ``link-book-newer`` for one of later software.
    """

    def __init__(self, path: Path, clock: Callable[[], datetime] = now) -> None:
        self.clock = clock
        super().__init__(path, _STEPS)
        self.db.execute("PRAGMA foreign_keys = ON")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written within is written, or nothing. One within another is part of it.

        Raises:
            ConfigurationError: ``link-book-unwritable``; nothing was changed.
        """
        if self.db.in_transaction:
            yield
        else:
            with super().transaction():
                yield

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
