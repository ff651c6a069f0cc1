"""The link book: a node's durable record of what it was asked for in links, and of what it has of its own.

Guarantees:

- What others ask: points are charged to (requester, type, calendar month) in the same transaction in which
  the answer is stored, before anything can be sent. The same chunk gets the same bytes and is not charged
  again; another chunk under an answered number is refused. A first load goes beyond the month's quota once an
  epoch, for one batch.
- An answer is stored as long as it can be asked for again: a state asks for another chunk only once it has
  taken the one before. What tells points of a batch again is stored until all of it is answered, or it has
  expired.
- Each charge leaves an entry for the audit log in an outbox, in the same transaction.
- After a restore (``mark_restored``) the month's quotas and the epoch's first loads count as spent: what was
  charged after the backup is not in it.
- Tokens are kept under the epoch's key (AES-SIV, bound to epoch and digest): with that key destroyed they are
  noise. Batches of its own are in ``node.link_batches``, tokens in ``node.link_tokens``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from safeborders_fed.errors import DefectError, RefusedError
from safeborders_fed.node.journal import now
from safeborders_fed.node.link_asked import Asked, Terms, replayed
from safeborders_fed.node.link_batches import OwnBatches
from safeborders_fed.node.link_ceremony import Ceremonies
from safeborders_fed.node.link_database import LinkDatabase
from safeborders_fed.node.link_schema import STEPS
from safeborders_fed.node.link_tokens import TokenRow, Tokens
from safeborders_fed.study import canonical

FILE: Final = "links.sqlite"
__all__ = ["FILE", "Asked", "LinkBook", "Terms", "TokenRow"]


class LinkBook:
    """One node's link book.

    Args:
        path: The database file; made when absent.
        token_key: Gives an epoch's key of 64 bytes for tokens at rest.
        clock: Gives the time, UTC (tests inject it).

    Raises:
        ConfigurationError: as LinkDatabase.
    """

    def __init__(
        self, path: Path, token_key: Callable[[str], bytes], clock: Callable[[], datetime] = now
    ) -> None:
        self._database = LinkDatabase(path, STEPS)
        self._db = self._database.db
        self._clock = clock
        self._tokens = Tokens(self._database, token_key)
        self.ceremonies = Ceremonies(self._database, clock)
        self.batches = OwnBatches(self._database, self._tokens, clock)

    def close(self) -> None:
        """Closes the database."""
        self._database.close()

    def copy_to(self, path: Path) -> None:
        """Copies the book to one file while others may write it. Raises as LinkDatabase.copy_to."""
        self._database.copy_to(path)

    # What others ask.

    def stored(self, asked: Asked) -> bytes | None:
        """The bytes that answered this very chunk before; None if it is to be answered.

        Raises:
            RefusedError: ``link-replayed``: its number was answered for another chunk, or it was taken since.
        """
        row = self._db.execute(
            "SELECT asked, answer FROM answered WHERE requester = ? AND batch = ? AND number = ?",
            (asked.requester, asked.batch, asked.number),
        ).fetchone()
        if row is not None and row[0] == asked.hash and row[1] is not None:
            return bytes(row[1])
        if row is not None:
            raise replayed(asked, "was answered before" if row[0] == asked.hash else "was another chunk")
        return None

    def asked_of(self, requester: str, batch: str, kind: str, *, other_than: int) -> int:
        """How many points of one type a batch has been charged so far, apart from one of its chunks."""
        row = self._db.execute(
            "SELECT coalesce(sum(count), 0) FROM answered "
            "WHERE requester = ? AND batch = ? AND kind = ? AND number != ?",
            (requester, batch, kind, other_than),
        ).fetchone()
        return int(row[0])

    def points_of(self, requester: str, batch: str) -> list[bytes]:
        """What tells the points of each answered chunk of a batch that goes on, as it was given."""
        rows = self._db.execute(
            "SELECT points FROM answered WHERE requester = ? AND batch = ? AND points IS NOT NULL",
            (requester, batch),
        )
        return [bytes(row[0]) for row in rows]

    def require_room(self, asked: Asked, terms: Terms) -> tuple[int, int]:
        """How much of a chunk goes on the first load and how much on the month.

        Raises:
            RefusedError: ``link-quota``.
        """
        first = min(asked.count, self._first_load_left(asked, terms))
        month = asked.count - first
        if month > self._month_left(asked, terms):
            raise RefusedError(
                "link-quota",
                f"{asked.requester} has asked for its quota of {asked.kind} points in {asked.month}",
                "it goes on next month; [links] monthly and first_load in node.toml set the quotas",
            )
        others = self._db.execute(
            "SELECT count(*) FROM foreign_batch WHERE requester = ? AND batch != ? AND expires > ? "
            "AND total > (SELECT coalesce(sum(count), 0) FROM answered a "
            "WHERE a.requester = foreign_batch.requester AND a.batch = foreign_batch.batch)",
            (asked.requester, asked.batch, self._clock().isoformat()),
        ).fetchone()[0]
        if others >= terms.at_once:
            raise RefusedError(
                "link-quota",
                f"{asked.requester} has {others} other batches under way",
                "let them end or expire; [links] batches_at_once in node.toml sets how many there may be",
            )
        return first, month

    def charge(
        self, asked: Asked, terms: Terms, points: bytes, answer: bytes, facts: Mapping[str, Any]
    ) -> bytes:
        """Charges a chunk and stores its answer, in one transaction; the answer as read back.

        Args:
            asked: The chunk.
            terms: The quotas that hold.
            points: What tells its points from others.
            answer: The bytes to send.
            facts: What the audit log is to say.

        Raises:
            RefusedError: ``link-quota`` or ``link-replayed``.
            ConfigurationError: ``link-book-unwritable``.
        """
        with self._database.transaction():
            if self.stored(asked) is not None:
                raise DefectError("double-build", "a chunk was answered twice", "report this")
            first, month = self.require_room(asked, terms)
            self._db.execute("UPDATE answered SET answer = NULL WHERE requester = ?", (asked.requester,))
            self._db.execute(
                "INSERT OR IGNORE INTO foreign_batch VALUES (?, ?, ?, ?)",
                (asked.requester, asked.batch, asked.total, asked.expires),
            )
            self._add(asked, asked.epoch, first)
            self._add(asked, asked.month, month)
            self._db.execute(
                "INSERT INTO answered VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    asked.requester,
                    asked.batch,
                    asked.number,
                    asked.kind,
                    asked.count,
                    asked.hash,
                    self._clock().isoformat(),
                    points,
                    answer,
                ),
            )
            self._forget_points()
            self._db.execute(
                "INSERT INTO outbox VALUES (?, ?)",
                (f"link/{asked.requester}/{asked.hash}", canonical.serialise(dict(facts))),
            )
        stored = self.stored(asked)
        if stored is None:
            raise DefectError("lost-write", "a stored answer cannot be read back", "check the disk")
        return stored

    def _add(self, asked: Asked, period: str, points: int) -> None:
        batch = asked.batch if period == asked.epoch else ""
        if batch and self._first_batch(asked) not in {None, batch}:
            return  # another batch has the epoch's first load
        self._db.execute(
            "INSERT INTO quota VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET points = points + excluded.points",
            (asked.requester, asked.kind, period, batch, points),
        )

    def _first_batch(self, asked: Asked) -> str | None:
        """Which batch of a state and type has the epoch's first load."""
        row = self._db.execute(
            "SELECT batch FROM quota WHERE requester = ? AND kind = ? AND period = ?",
            (asked.requester, asked.kind, asked.epoch),
        ).fetchone()
        return None if row is None else str(row[0])

    def _first_load_left(self, asked: Asked, terms: Terms) -> int:
        if self._counts_as_spent(asked.epoch) or self._first_batch(asked) not in {None, asked.batch}:
            return 0
        return max(0, terms.first_load - self.first_load(asked.requester, asked.kind, asked.epoch))

    def _month_left(self, asked: Asked, terms: Terms) -> int:
        if self._counts_as_spent(asked.month):
            return 0
        return terms.monthly - self.months(asked.requester, asked.kind).get(asked.month, 0)

    def _counts_as_spent(self, period: str) -> bool:
        return self._db.execute("SELECT 1 FROM spent WHERE period = ?", (period,)).fetchone() is not None

    def _forget_points(self) -> None:
        """Drops what tells points again of batches that get no further ones."""
        self._db.execute(
            "UPDATE answered SET points = NULL WHERE points IS NOT NULL AND EXISTS "
            "(SELECT 1 FROM foreign_batch f WHERE f.requester = answered.requester "
            "AND f.batch = answered.batch AND (f.expires <= ? OR f.total <= "
            "(SELECT sum(count) FROM answered a WHERE a.requester = f.requester AND a.batch = f.batch)))",
            (self._clock().isoformat(),),
        )

    def months(self, requester: str, kind: str) -> dict[str, int]:
        """Points of one state and type charged to each calendar month; first loads are not among them."""
        rows = self._db.execute(
            "SELECT period, points FROM quota WHERE requester = ? AND kind = ? AND length(period) = 7",
            (requester, kind),
        )
        return {str(period): int(points) for period, points in rows}

    def first_load(self, requester: str, kind: str, epoch: str) -> int:
        """Points of one state and type charged as the first load of an epoch."""
        row = self._db.execute(
            "SELECT coalesce(sum(points), 0) FROM quota WHERE requester = ? AND kind = ? AND period = ?",
            (requester, kind, epoch),
        ).fetchone()
        return int(row[0])

    def charged(self, period: str) -> list[tuple[str, str, int]]:
        """Requester, type and points of a month or, as first loads, of an epoch."""
        rows = self._db.execute(
            "SELECT requester, kind, sum(points) FROM quota WHERE period = ? GROUP BY requester, kind",
            (period,),
        )
        return [(str(requester), str(kind), int(points)) for requester, kind, points in rows]

    def mark_restored(self) -> None:
        """Counts the quotas of this month and the first loads of this epoch as spent."""
        today = self._clock()
        with self._database.transaction():
            for period in (f"{today:%Y-%m}", f"{today:%Y}"):
                self._db.execute(
                    "INSERT OR IGNORE INTO spent VALUES (?, 'restored from a backup')", (period,)
                )

    def spent_periods(self) -> tuple[str, ...]:
        """Months and epochs whose quotas count as spent since a restore."""
        return tuple(str(row[0]) for row in self._db.execute("SELECT period FROM spent ORDER BY period"))

    def outbox(self) -> list[tuple[str, dict[str, Any]]]:
        """Charges that the audit log may not hold yet: key and facts."""
        rows = self._db.execute("SELECT key, content FROM outbox ORDER BY rowid").fetchall()
        return [(key, canonical.parse(content)) for key, content in rows]

    def logged(self, key: str) -> None:
        """Takes a charge out of the outbox: the audit log has it."""
        with self._database.transaction():
            self._db.execute("DELETE FROM outbox WHERE key = ?", (key,))

    # Alarms.

    def alarm(self, kind: str, key: str, said: str) -> bool:
        """Keeps an alarm for ``status``; false if it stands there already."""
        with self._database.transaction():
            done = self._db.execute(
                "INSERT OR IGNORE INTO alarm (at, kind, key, said) VALUES (?, ?, ?, ?)",
                (self._clock().isoformat(timespec="seconds"), kind, key, said),
            )
        return bool(done.rowcount)

    def alarms(self) -> list[tuple[str, str, str]]:
        """All alarms, the latest first: when, kind, what."""
        rows = self._db.execute("SELECT at, kind, said FROM alarm ORDER BY id DESC")
        return [(str(at), str(kind), str(said)) for at, kind, said in rows]

    # Tokens of its own.

    def tokens(self, epoch: str) -> list[TokenRow]:
        """All tokens of an epoch, in the order in which they came."""
        return self._tokens.all(epoch)

    def untagged(self, epoch: str, partner: str) -> list[TokenRow]:
        """Tokens of an epoch that no exchange has tagged to a partner yet."""
        return self._tokens.untagged(epoch, partner)

    def mark_tagged(self, epoch: str, partner: str, exchange: str, digests: Iterable[bytes]) -> None:
        """Puts on record that an exchange tags these to a partner. Repeating it changes nothing."""
        self._tokens.mark(epoch, partner, exchange, digests)

    def tagged(self, epoch: str, partner: str, exchange: str | None = None) -> list[TokenRow]:
        """Tokens that an exchange, or any, has tagged to a partner."""
        return self._tokens.tagged(epoch, partner, exchange)

    def tagged_as(self, epoch: str, partner: str, start: bytes) -> TokenRow | None:
        """The token tagged to a partner whose digest begins so, in all bytes but its last; None for none."""
        return self._tokens.tagged_as(epoch, partner, start)

    def known(self, epoch: str) -> frozenset[bytes]:
        """Digests that have a token of an epoch."""
        return self._tokens.digests(epoch)

    def count(self, epoch: str) -> int:
        """How many tokens there are of an epoch."""
        return self._tokens.count(epoch)

    def forget_epoch(self, epoch: str) -> int:
        """Removes all tokens of an epoch; how many."""
        return self._tokens.forget(epoch)
