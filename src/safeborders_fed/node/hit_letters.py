"""Letters about hits between two nodes: what waits to be sent, and what has come.

Guarantees: a letter waits until the other node says that it has come, however often an exchange loses it. A
letter that comes again is known by its id and counts once; that it has come is said again. A letter is about
a hit that both states have verified; what is about another is not kept. What a letter says is kept no longer
than it is needed: until it has arrived or its receiver has acted on it; of ``KEPT`` kinds, which are read
again, as long as their hit.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from safeborders_fed.node.hit_book import HitBook

MOST_WAITING: Final = 256
"""Letters to one partner that go out in one exchange."""
KEPT: Final = frozenset({"label"})
_NOTHING: Final = b"{}"
_MARKS: Final = ", ".join("?" * len(KEPT))


@dataclass(frozen=True)
class Letter:
    """One letter.

    Attributes:
        id: 32 random hexadecimal digits.
        epoch: Of its hit: says under which keys it is sealed.
        hit: What it is about.
        kind: Such as ``approval``.
        content: Canonical JSON.
    """

    id: str
    epoch: str
    hit: str
    kind: str
    content: bytes


class HitLetters:
    """The letters in a book of hits."""

    def __init__(self, book: HitBook) -> None:
        self._book = book

    def put_out(self, epoch: str, partner: str, hit: str, kind: str, content: bytes) -> str:
        """Keeps a letter until it has arrived; its id. Within the transaction of what it tells."""
        letter = secrets.token_hex(16)
        with self._book.transaction():
            self._book.db.execute(
                "INSERT INTO letter_out (id, number, epoch, partner, hit, kind, content) "
                "VALUES (?, (SELECT 1 + coalesce(max(number), 0) FROM letter_out), ?, ?, ?, ?, ?)",
                (letter, epoch, partner, hit, kind, content),
            )
        return letter

    def waiting(self, epoch: str, partner: str) -> list[Letter]:
        """Letters to a partner that have not arrived as far as is known, the first first."""
        rows = self._book.db.execute(
            "SELECT id, epoch, hit, kind, content FROM letter_out "
            "WHERE epoch = ? AND partner = ? AND arrived = 0 ORDER BY number LIMIT ?",
            (epoch, partner, MOST_WAITING),
        )
        return [Letter(*row) for row in rows]

    def last_out(self, hit: str, kind: str) -> bytes | None:
        """The content of the last letter of a kind that was put out about a hit, arrived or not."""
        row = self._book.db.execute(
            "SELECT content FROM letter_out WHERE hit = ? AND kind = ? ORDER BY number DESC LIMIT 1",
            (hit, kind),
        ).fetchone()
        return None if row is None else bytes(row[0])

    def epochs(self, partner: str) -> list[str]:
        """Epochs in which something waits to be told to a partner: a letter, or that one has come."""
        rows = self._book.db.execute(
            "SELECT epoch FROM letter_out WHERE partner = ?1 AND arrived = 0 UNION "
            "SELECT h.epoch FROM letter_in l JOIN hit h ON h.id = l.hit WHERE l.partner = ?1 AND l.owes = 1",
            (partner,),
        )
        return sorted(row[0] for row in rows)

    def have_arrived(self, partner: str, letters: Sequence[str]) -> None:
        """Keeps that a partner has these letters."""
        with self._book.transaction():
            self._book.db.executemany(
                "UPDATE letter_out SET arrived = 1 WHERE partner = ? AND id = ?",
                [(partner, letter) for letter in letters],
            )
            self._book.db.execute(
                f"UPDATE letter_out SET content = ? WHERE arrived = 1 AND kind NOT IN ({_MARKS})",  # noqa: S608
                (_NOTHING, *KEPT),
            )

    def take_in(self, partner: str, letter: Letter) -> bool:
        """Keeps that a letter has come, and that its arrival is to be said; false if it came before."""
        with self._book.transaction():
            fresh = self._book.db.execute(
                "INSERT OR IGNORE INTO letter_in (id, partner, hit, kind, content, at) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (
                    letter.id,
                    partner,
                    letter.hit,
                    letter.kind,
                    letter.content if letter.kind in KEPT else _NOTHING,
                    self._book.clock().isoformat(),
                ),
            ).rowcount
            self._book.db.execute(
                "UPDATE letter_in SET owes = 1 WHERE partner = ? AND id = ?", (partner, letter.id)
            )
        return bool(fresh)

    def owed(self, partner: str) -> list[str]:
        """Ids of letters of a partner whose arrival was not said since they last came."""
        rows = self._book.db.execute(
            "SELECT id FROM letter_in WHERE partner = ? AND owes = 1 ORDER BY id LIMIT ?",
            (partner, 4 * MOST_WAITING),
        )
        return [row[0] for row in rows]

    def have_said(self, partner: str, letters: Sequence[str]) -> None:
        """Keeps that the arrival of these letters was said; if that is lost, they come again."""
        with self._book.transaction():
            self._book.db.executemany(
                "UPDATE letter_in SET owes = 0 WHERE partner = ? AND id = ?",
                [(partner, letter) for letter in letters],
            )

    def received(self, kind: str) -> list[tuple[str, Letter]]:
        """All letters of a kind that have come, with the partner of each, the first first."""
        rows = self._book.db.execute(
            "SELECT l.partner, l.id, h.epoch, l.hit, l.kind, l.content FROM letter_in l "
            "JOIN hit h ON h.id = l.hit WHERE l.kind = ? ORDER BY l.at, l.id",
            (kind,),
        )
        return [(row[0], Letter(*row[1:])) for row in rows]

    def bundle(self, partner: str, exchange: str, facts: str) -> bytes | None:
        """The bundle that went out to a partner last, if it was in this exchange and of these facts."""
        row = self._book.db.execute(
            "SELECT said FROM bundle WHERE partner = ? AND exchange = ? AND facts = ?",
            (partner, exchange, facts),
        ).fetchone()
        return None if row is None else bytes(row[0])

    def keep_bundle(self, partner: str, exchange: str, facts: str, said: bytes) -> None:
        """Keeps the bundle that goes out to a partner, in place of the one before."""
        with self._book.transaction():
            self._book.db.execute(
                "INSERT OR REPLACE INTO bundle VALUES (?, ?, ?, ?)", (partner, exchange, facts, said)
            )
