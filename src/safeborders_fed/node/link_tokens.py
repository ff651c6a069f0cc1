"""A node's own tokens, by epoch, and to whom they were tagged.

Guarantees: one token for each distinct identifier (its keyed digest) and epoch, whatever is repeated. A token
lies under the epoch's key: AES-SIV (RFC 5297) with epoch and digest as associated data, which needs no nonce
and so cannot repeat one. What an exchange tagged to a partner is kept as runs of token numbers, so that it
costs next to nothing however many partners there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from safeborders_fed.errors import ConfigurationError, DefectError
from safeborders_fed.node.link_database import LinkDatabase

TOKEN_KEY_BYTES: Final = 64
TOKEN_BYTES: Final = 32
_COLUMNS: Final = "SELECT id, kind, digest, token, strength FROM token "
_IN_A_RUN: Final = (
    "EXISTS (SELECT 1 FROM tagged WHERE tagged.epoch = ?1 AND partner = ?2 AND id BETWEEN first AND last"
)


@dataclass(frozen=True)
class TokenRow:
    """One token.

    Attributes:
        kind: Type of its identifier.
        digest: By what this node knows the identifier again, 16 bytes.
        token: 32 bytes.
        strength: ``exact``, ``strong`` or ``weak``.
    """

    kind: str
    digest: bytes
    token: bytes = field(repr=False)
    strength: str


class Tokens:
    """The tokens in a link book.

    Args:
        database: The book.
        key: Gives an epoch's key, 64 bytes.
    """

    def __init__(self, database: LinkDatabase, key: Callable[[str], bytes]) -> None:
        self._database, self._db, self._key = database, database.db, key

    def keep(self, epoch: str, rows: Iterable[TokenRow]) -> None:
        """Keeps tokens; only inside a transaction. One that is there already stays as it is."""
        cipher = AESSIV(self._key(epoch))
        for row in rows:
            if len(row.token) != TOKEN_BYTES:
                raise DefectError("wrong-token", "a token has another length", "report this")
            sealed = cipher.encrypt(row.token, [epoch.encode(), row.digest])
            self._db.execute(
                "INSERT OR IGNORE INTO token (epoch, digest, kind, strength, token) VALUES (?, ?, ?, ?, ?)",
                (epoch, row.digest, row.kind, row.strength, sealed),
            )

    def all(self, epoch: str) -> list[TokenRow]:
        """Every token of an epoch, in the order in which they came."""
        return self._opened(epoch, _COLUMNS + "WHERE epoch = ? ORDER BY id", (epoch,))

    def untagged(self, epoch: str, partner: str) -> list[TokenRow]:
        """Those that no exchange has tagged to a partner."""
        query = f"{_COLUMNS}WHERE epoch = ?1 AND NOT {_IN_A_RUN}) ORDER BY id"
        return self._opened(epoch, query, (epoch, partner))

    def tagged(self, epoch: str, partner: str, exchange: str | None) -> list[TokenRow]:
        """Those that an exchange, or any, has tagged to a partner."""
        query = f"{_COLUMNS}WHERE epoch = ?1 AND {_IN_A_RUN} AND (?3 IS NULL OR exchange = ?3)) ORDER BY id"
        return self._opened(epoch, query, (epoch, partner, exchange))

    def tagged_as(self, epoch: str, partner: str, start: bytes) -> TokenRow | None:
        """The one tagged to a partner whose digest begins so, in all bytes but its last; None for none."""
        query = f"{_COLUMNS}WHERE epoch = ?1 AND digest BETWEEN ?3 AND ?4 AND {_IN_A_RUN})"
        found = self._opened(epoch, query, (epoch, partner, start + b"\x00", start + b"\xff"))
        return found[0] if len(found) == 1 else None

    def mark(self, epoch: str, partner: str, exchange: str, digests: Iterable[bytes]) -> None:
        """Keeps that an exchange tags these to a partner."""
        with self._database.transaction():
            numbers = dict(self._db.execute("SELECT digest, id FROM token WHERE epoch = ?", (epoch,)))
            for first, last in _runs(sorted(numbers[digest] for digest in set(digests))):
                self._db.execute(
                    "INSERT OR IGNORE INTO tagged VALUES (?, ?, ?, ?, ?)",
                    (epoch, partner, exchange, first, last),
                )

    def digests(self, epoch: str) -> frozenset[bytes]:
        """The digests of all."""
        rows = self._db.execute("SELECT digest FROM token WHERE epoch = ?", (epoch,))
        return frozenset(bytes(row[0]) for row in rows)

    def count(self, epoch: str) -> int:
        """How many there are."""
        return int(self._db.execute("SELECT count(*) FROM token WHERE epoch = ?", (epoch,)).fetchone()[0])

    def forget(self, epoch: str) -> int:
        """Removes all of an epoch, and to whom they were tagged; how many."""
        with self._database.transaction():
            gone = self._db.execute("DELETE FROM token WHERE epoch = ?", (epoch,)).rowcount
            self._db.execute("DELETE FROM tagged WHERE epoch = ?", (epoch,))
        return gone

    def _opened(self, epoch: str, query: str, values: tuple[str | bytes | None, ...]) -> list[TokenRow]:
        rows = self._db.execute(query, values).fetchall()
        if not rows:
            return []
        cipher = AESSIV(self._key(epoch))
        try:
            return [
                TokenRow(
                    kind=kind,
                    digest=bytes(digest),
                    token=cipher.decrypt(sealed, [epoch.encode(), bytes(digest)]),
                    strength=strength,
                )
                for _, kind, digest, sealed, strength in rows
            ]
        except InvalidTag:
            raise ConfigurationError(
                "link-book-altered",
                f"a token of epoch {epoch} in the link book is not what this node wrote",
                "keep the file as evidence and restore the node's directory from backup",
            ) from None


def _runs(numbers: list[int]) -> Iterable[tuple[int, int]]:
    """First and last of each run of numbers that follow each other."""
    if not numbers:
        return []
    breaks = [at for at, (one, other) in enumerate(pairwise(numbers), 1) if other != one + 1]
    starts, ends = [0, *breaks], [*breaks, len(numbers)]
    return [(numbers[start], numbers[end - 1]) for start, end in zip(starts, ends, strict=True)]
