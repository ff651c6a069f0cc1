"""A node's book of hits: what was found with which state, who answered what and when, and what came of it.

Guarantees: a hit goes through its states in their order only (``NEXT``), each step in one transaction with
what the audit log is to hold of it. Hits that are ``found`` are shown to nobody: ``shown`` leaves them out.
After a crash the book holds a step as a whole or not at all. It holds no identifier and no token: a hit names
the node's own keyed digest of one.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Literal

from safeborders_fed.errors import DefectError, RefusedError, UsageError
from safeborders_fed.node.hit_database import HitDatabase
from safeborders_fed.study import canonical

FILE: Final = "hits.sqlite"
FOUND: Final = "found"
OPEN: Final = "open"
APPROVED_HERE: Final = "approved-here"
APPROVED_BOTH: Final = "approved-both"
DECLINED: Final = "declined"
EXCHANGED: Final = "exchanged"
CONFIRMED: Final = "confirmed"
REFUTED: Final = "refuted"
FOLLOWED_UP: Final = "followed-up"
EXPIRED: Final = "expired"
NEXT: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        FOUND: frozenset({OPEN}),
        OPEN: frozenset({APPROVED_HERE, APPROVED_BOTH, DECLINED, EXPIRED}),
        APPROVED_HERE: frozenset({APPROVED_BOTH, DECLINED, EXPIRED}),
        APPROVED_BOTH: frozenset({EXCHANGED, EXPIRED}),
        DECLINED: frozenset(),
        EXCHANGED: frozenset({CONFIRMED, REFUTED, FOLLOWED_UP, EXPIRED}),
        FOLLOWED_UP: frozenset({CONFIRMED, REFUTED, EXPIRED}),
        CONFIRMED: frozenset(),
        REFUTED: frozenset(),
        EXPIRED: frozenset(),
    }
)
"""Which states may follow each."""
BOTH_APPROVED: Final = frozenset({APPROVED_BOTH, EXCHANGED, CONFIRMED, REFUTED, FOLLOWED_UP})
SHORTEST_PREFIX: Final = 8
Side = Literal["own", "partner"]


@dataclass(frozen=True)
class HitRow:
    """One hit, as the node knows it.

    Attributes:
        id: Of both states' handles and the epoch (``hit_id``): the same at both.
        epoch: Of the tokens.
        partner: The other state.
        kind: Type of the identifier.
        strength: Strength class of the form that is equal.
        digest: The node's own keyed digest of that form.
        own_handle: 32 hexadecimal digits.
        their_handle: Likewise, of the other state.
        exchange: In which it was found.
        state: One of ``NEXT``.
        found_at: When the coordinator reported it.
        cases: Pseudonyms of the node's own cases that hold it, at the time of ``open``.
        alarm: Whether so many hits came with it that a person must look first.
        opened_at: When both states had verified it.
        answered_at: When it was approved by enough people here, or declined.
        reason: Why it was declined here; ``partner`` when the other state declined.
        urgency: How soon an answer is asked of the other state.
        partner_approved: Whether people of the other state have signed.
        sent_at: When the node's own record was sealed.
        record: The other state's record.
        received_at: When it came.
        expires: Last day of use of what was exchanged, ISO 8601.
        outcome: What came of it here.
        outcome_at: When that was said.
        partner_outcome: What came of it there.
        partner_outcome_at: When that was received.
    """

    id: str
    epoch: str
    partner: str
    kind: str
    strength: str
    digest: bytes
    own_handle: str
    their_handle: str
    exchange: str
    state: str
    found_at: datetime
    cases: tuple[str, ...] = ()
    alarm: bool = False
    opened_at: datetime | None = None
    answered_at: datetime | None = None
    reason: str | None = None
    urgency: str = "routine"
    partner_approved: bool = False
    sent_at: datetime | None = None
    record: bytes | None = None
    received_at: datetime | None = None
    expires: str | None = None
    outcome: str | None = None
    outcome_at: datetime | None = None
    partner_outcome: str | None = None
    partner_outcome_at: datetime | None = None


@dataclass(frozen=True)
class Tagging:
    """The tags that went out to be compared with one partner, in one exchange.

    Attributes:
        exchange: The exchange.
        partner: The other state.
        epoch: Of the tokens.
        number: Counts the messages of this epoch and partner from 1.
        fresh: Tags of tokens that were new.
        dummies: Tags that stand for nothing.
    """

    exchange: str
    partner: str
    epoch: str
    number: int
    fresh: int
    dummies: int


_COLUMNS: Final = tuple(field.name for field in fields(HitRow))
_TAGGING: Final = ", ".join(field.name for field in fields(Tagging))
_TIMES: Final = frozenset(name for name in _COLUMNS if name.endswith("_at"))


def hit_id(epoch: str, handles: Mapping[str, str]) -> str:
    """The name of a hit: SHA-256 over its epoch and both states' handles. Handles are random names."""
    return canonical.sha256(canonical.serialise({"epoch": epoch, "handles": dict(handles)}))


class HitBook(HitDatabase):
    """The hits of one node. Letters are in ``hit_letters``, with the same database."""

    def keep_tagging(self, exchange: str, partner: str, epoch: str, *, fresh: int, dummies: int) -> Tagging:
        """Keeps how many tags go out, or finds what was kept for this exchange and partner."""
        with self.transaction():
            kept = self.tagging(exchange, partner)
            if kept is not None:
                return kept
            number = 1 + len(self.taggings(epoch, partner))
            self.db.execute(
                f"INSERT INTO tagging ({_TAGGING}) VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608 - own names
                (exchange, partner, epoch, number, fresh, dummies),
            )
        return Tagging(exchange, partner, epoch, number, fresh, dummies)

    def tagging(self, exchange: str, partner: str) -> Tagging | None:
        """What went out to be compared with a partner in an exchange."""
        row = self.db.execute(
            f"SELECT {_TAGGING} FROM tagging WHERE exchange = ? AND partner = ?",  # noqa: S608 - own names
            (exchange, partner),
        ).fetchone()
        return None if row is None else Tagging(*row)

    def taggings(self, epoch: str, partner: str) -> list[Tagging]:
        """All that went out in an epoch to be compared with a partner, the first first."""
        rows = self.db.execute(
            f"SELECT {_TAGGING} FROM tagging WHERE epoch = ? AND partner = ? ORDER BY number",  # noqa: S608
            (epoch, partner),
        )
        return [Tagging(*row) for row in rows]

    def keep_canaries(self, exchange: str, partner: str, handles: Iterable[str]) -> None:
        """Keeps which canaries of an exchange the coordinator has reported."""
        with self.transaction():
            self.db.executemany(
                "INSERT OR IGNORE INTO canary VALUES (?, ?, ?)",
                [(exchange, partner, handle) for handle in handles],
            )

    def canaries(self, exchange: str, partner: str) -> int:
        """How many canaries of an exchange the coordinator has reported."""
        row = self.db.execute(
            "SELECT count(*) FROM canary WHERE exchange = ? AND partner = ?", (exchange, partner)
        ).fetchone()
        return int(row[0])

    def set_found(self, exchange: str, hits: Iterable[HitRow]) -> None:
        """Keeps what the coordinator reports; what it reported in other exchanges and never verified goes."""
        names = ("id", "epoch", "partner", "kind", "strength", "digest", "own_handle", "their_handle")
        columns = (*names, "exchange", "state", "found_at")
        with self.transaction():
            self.db.execute("DELETE FROM hit WHERE state = ? AND exchange != ?", (FOUND, exchange))
            self.db.executemany(
                f"INSERT OR IGNORE INTO hit ({', '.join(columns)}) "  # noqa: S608 - own names
                f"VALUES ({', '.join('?' * len(columns))})",
                [[_stored(name, getattr(row, name)) for name in columns] for row in hits],
            )

    def hit(self, name: str) -> HitRow:
        """The hit of this name.

        Raises:
            UsageError: ``unknown-hit``.
        """
        found = self._select("id = ?", (name,))
        if not found:
            raise unknown_hit(name)
        return found[0]

    def known(self, name: str, partner: str) -> HitRow | None:
        """A hit with a partner that both states have verified, or None."""
        found = self._select("id = ? AND partner = ? AND state != ?", (name, partner, FOUND))
        return found[0] if found else None

    def find(self, prefix: str) -> HitRow:
        """The hit that people mean by the first digits of its name.

        Raises:
            UsageError: ``unknown-hit``, or ``ambiguous-hit``.
        """
        word = prefix.lower()
        plain = len(word) >= SHORTEST_PREFIX and set(word) <= set("0123456789abcdef")
        found = self._select("id LIKE ? AND state != ?", (f"{word}%", FOUND)) if plain else []
        if len(found) > 1:
            raise UsageError("ambiguous-hit", f"several hits begin with {word}", "give more of its digits")
        if not found:
            raise unknown_hit(prefix)
        return found[0]

    def shown(self, states: Collection[str] | None = None) -> list[HitRow]:
        """All hits that people may see, the oldest first; only those in the given states."""
        found = self._select("state != ?", (FOUND,))
        return found if states is None else [row for row in found if row.state in states]

    def in_states(self, states: Collection[str]) -> list[HitRow]:
        """All hits in these states, ``found`` ones too, the oldest first."""
        return [row for row in self._select("1", ()) if row.state in states]

    def _select(self, where: str, values: Sequence[object]) -> list[HitRow]:
        rows = self.db.execute(
            f"SELECT {', '.join(_COLUMNS)} FROM hit WHERE {where} ORDER BY found_at, id",  # noqa: S608
            tuple(values),
        )
        return [
            HitRow(**{name: _read(name, value) for name, value in zip(_COLUMNS, row, strict=True)})
            for row in rows
        ]

    def step(self, name: str, to: str, **changes: Any) -> HitRow:
        """Takes a hit to its next state, with what that changes.

        Raises:
            RefusedError: ``hit-state``, when that state does not follow the present one.
            UsageError: ``unknown-hit``.
        """
        with self.transaction():
            row = self.hit(name)
            if to not in NEXT[row.state]:
                raise RefusedError(
                    "hit-state",
                    f"hit {name[:12]} is {row.state}, and does not become {to} from there",
                    "see `safeborders node links hit` for where it stands",
                )
            return self.change(name, state=to, **changes)

    def change(self, name: str, **changes: Any) -> HitRow:
        """Changes what is known of a hit. Raises ``unknown-hit``."""
        if unknown := changes.keys() - set(_COLUMNS):
            raise DefectError("unknown-column", f"a hit has no {sorted(unknown)}", "report this")
        with self.transaction():
            self.db.execute(
                f"UPDATE hit SET {', '.join(f'{column} = ?' for column in changes)} WHERE id = ?",  # noqa: S608
                (*(_stored(column, value) for column, value in changes.items()), name),
            )
            return self.hit(name)

    def drop_found(self, names: Iterable[str]) -> None:
        """Forgets hits that were reported and did not verify."""
        with self.transaction():
            self.db.executemany(
                "DELETE FROM hit WHERE id = ? AND state = ?", [(name, FOUND) for name in names]
            )

    def add_approval(self, name: str, side: Side, approver: str, content: bytes) -> None:
        """Keeps what one person of a side has signed, in place of an earlier paper of theirs."""
        with self.transaction():
            self.db.execute(
                "INSERT OR REPLACE INTO approval VALUES (?, ?, ?, ?)", (name, side, approver, content)
            )

    def approvals(self, name: str, side: Side) -> list[bytes]:
        """What people of a side have signed for a hit."""
        rows = self.db.execute(
            "SELECT content FROM approval WHERE hit = ? AND side = ? ORDER BY approver", (name, side)
        )
        return [bytes(row[0]) for row in rows]


def unknown_hit(name: str) -> UsageError:
    """The error for a hit that this node does not have."""
    return UsageError(
        "unknown-hit",
        f"there is no hit {name[:64]!r} here",
        f"give {SHORTEST_PREFIX} or more digits of one that `safeborders node links hits` lists",
    )


def _stored(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if name == "cases":
        return json.dumps(list(value))
    return int(value) if isinstance(value, bool) else value


def _read(name: str, value: Any) -> Any:
    if name in _TIMES:
        return None if value is None else datetime.fromisoformat(value)
    if name == "cases":
        return tuple(json.loads(value))
    if name in {"alarm", "partner_approved"}:
        return bool(value)
    return bytes(value) if isinstance(value, memoryview) else value
