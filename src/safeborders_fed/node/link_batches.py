"""A node's own batches: what it has prepared, who approved it, and how far its chunks have come.

Guarantees: a chunk's signed text is fixed when it is sent first and stays the same however often it is asked
for. Tokens of a chunk are kept and the chunk is marked as taken in one transaction; only then are its points
and what opens them dropped. A batch that has ended is never sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from safeborders_fed.node.link_database import LinkDatabase
from safeborders_fed.node.link_tokens import TokenRow, Tokens


@dataclass(frozen=True)
class NewChunk:
    """A chunk to be kept: its type, points one after another, and what opens them, sealed."""

    kind: str
    count: int
    points: bytes
    items: bytes = field(repr=False)


@dataclass(frozen=True)
class OwnBatch:
    """One batch.

    Attributes:
        id: Hash of its statement.
        epoch: Of its tokens.
        statement: Canonical bytes.
        leaves: What audit opens, sealed.
        prepared: When, UTC.
        ended: When it ended; None while it waits or is under way.
        outcome: ``done``, ``stopped``, ``expired`` or ``epoch``.
        chunks: How many it has.
        taken: How many of them have their tokens.
    """

    id: str
    epoch: str
    statement: bytes
    leaves: bytes = field(repr=False)
    prepared: str
    ended: str | None
    outcome: str | None
    chunks: int
    taken: int


@dataclass(frozen=True)
class OwnChunk:
    """One chunk; ``said`` is what was sent, once it was. What is taken has neither points nor items."""

    batch: str
    number: int
    kind: str
    count: int
    points: bytes
    items: bytes = field(repr=False)
    said: bytes | None


class OwnBatches:
    """The batches in a link book."""

    def __init__(self, database: LinkDatabase, tokens: Tokens, clock: Callable[[], datetime]) -> None:
        self._database, self._db, self._tokens, self._clock = database, database.db, tokens, clock

    def add(
        self, batch: str, epoch: str, statement: bytes, leaves: bytes, chunks: Sequence[NewChunk]
    ) -> None:
        """Keeps a prepared batch with its chunks."""
        at = self._clock().isoformat(timespec="seconds")
        with self._database.transaction():
            self._db.execute(
                "INSERT INTO batch SELECT ?, coalesce(max(place), 0) + 1, ?, ?, ?, ?, NULL, NULL FROM batch",
                (batch, epoch, statement, leaves, at),
            )
            for number, chunk in enumerate(chunks):
                self._db.execute(
                    "INSERT INTO chunk VALUES (?, ?, ?, ?, ?, ?, NULL, NULL, NULL)",
                    (batch, number, chunk.kind, chunk.count, chunk.points, chunk.items),
                )

    def all(self) -> list[OwnBatch]:
        """Every batch, in the order in which they were prepared."""
        rows = self._db.execute(
            "SELECT id, epoch, statement, leaves, prepared, ended, outcome, count(c.number), count(c.taken) "
            "FROM batch LEFT JOIN chunk c ON c.batch = id GROUP BY id ORDER BY place"
        )
        return [OwnBatch(*row) for row in rows]

    def of(self, batch: str) -> OwnBatch | None:
        """One batch by its id."""
        return next((each for each in self.all() if each.id == batch), None)

    def approve(self, batch: str, approver: str, content: bytes) -> None:
        """Keeps a person's approval; a later one of the same key replaces it."""
        with self._database.transaction():
            self._db.execute("INSERT OR REPLACE INTO approval VALUES (?, ?, ?)", (batch, approver, content))

    def approvals(self, batch: str) -> list[bytes]:
        """What people signed, in the order in which they did."""
        rows = self._db.execute("SELECT content FROM approval WHERE batch = ? ORDER BY rowid", (batch,))
        return [bytes(row[0]) for row in rows]

    def next_chunk(self, batch: str) -> OwnChunk | None:
        """The first chunk that is not taken; None if there is none."""
        row = self._db.execute(
            "SELECT batch, number, kind, count, points, items, said FROM chunk "
            "WHERE batch = ? AND taken IS NULL ORDER BY number LIMIT 1",
            (batch,),
        ).fetchone()
        return None if row is None else OwnChunk(*row)

    def open_items(self, batch: str) -> list[tuple[str, bytes]]:
        """Type of each chunk of a batch that is not taken, and what opens it, sealed as it was given."""
        rows = self._db.execute(
            "SELECT kind, items FROM chunk WHERE batch = ? AND taken IS NULL ORDER BY number", (batch,)
        )
        return [(str(row[0]), bytes(row[1])) for row in rows]

    def send(self, chunk: OwnChunk, said: bytes, text_hash: str) -> bytes:
        """Fixes what is said of a chunk before it is sent first, with the hash of its text; what is fixed."""
        with self._database.transaction():
            self._db.execute(
                "UPDATE chunk SET said = ?, sent = ? WHERE batch = ? AND number = ? AND said IS NULL",
                (said, text_hash, chunk.batch, chunk.number),
            )
        row = self._db.execute(
            "SELECT said FROM chunk WHERE batch = ? AND number = ?", (chunk.batch, chunk.number)
        ).fetchone()
        return bytes(row[0])

    def sent(self, text_hash: str) -> tuple[OwnChunk, bool] | None:
        """The chunk that was sent with a text, and whether it is taken; None for any other text."""
        row = self._db.execute(
            "SELECT batch, number, kind, count, points, items, said, taken IS NOT NULL FROM chunk "
            "WHERE sent = ?",
            (text_hash,),
        ).fetchone()
        return None if row is None else (OwnChunk(*row[:-1]), bool(row[-1]))

    def take(self, chunk: OwnChunk, epoch: str, tokens: Iterable[TokenRow]) -> None:
        """Keeps the tokens of a chunk and drops what opened its points; the last one ends the batch."""
        at = self._clock().isoformat(timespec="seconds")
        with self._database.transaction():
            self._tokens.keep(epoch, tokens)
            self._db.execute(
                "UPDATE chunk SET taken = ?, points = NULL, items = NULL, said = NULL "
                "WHERE batch = ? AND number = ?",
                (at, chunk.batch, chunk.number),
            )
            self._db.execute(
                "UPDATE batch SET ended = ?1, outcome = 'done' WHERE id = ?2 AND ended IS NULL "
                "AND NOT EXISTS (SELECT 1 FROM chunk WHERE batch = ?2 AND taken IS NULL)",
                (at, chunk.batch),
            )

    def end(self, batch: str, outcome: str) -> bool:
        """Ends a batch that is not done, and drops what is left of it; false if it had ended."""
        with self._database.transaction():
            done = self._db.execute(
                "UPDATE batch SET ended = ?, outcome = ? WHERE id = ? AND ended IS NULL",
                (self._clock().isoformat(timespec="seconds"), outcome, batch),
            )
            if done.rowcount:
                self._db.execute(
                    "UPDATE chunk SET points = NULL, items = NULL, said = NULL WHERE batch = ?", (batch,)
                )
        return bool(done.rowcount)
