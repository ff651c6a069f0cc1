"""Tags and handles of one node for one partner: which are of tokens, which are canaries, which mean nothing.

A tag is what the coordinator compares, a handle is its random name at this node. Both follow from keys, so a
node keeps neither: it makes them again when it is asked.

Guarantees, under the assumption that HMAC-SHA256 is a pseudo-random function: to who does not know the keys
of the epoch, tags of tokens, canaries and dummies are alike, and handles say nothing of tags. Dummies are
keyed with a key of this node alone, so that the other state of the pair cannot tell them either. ``rows`` are
in order of the tags, which is an order of random values: beyond the set of tags it says nothing, of when or
in which order their tokens were made least of all.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from safeborders_fed.links.pairs import TAG_BYTES, bucket, handle_of
from safeborders_fed.masking import layout

if TYPE_CHECKING:
    from safeborders_fed.links.office import Office
    from safeborders_fed.links.pairs import PairKeys
    from safeborders_fed.node.hit_book import Tagging
    from safeborders_fed.node.link_tokens import TokenRow

CANARIES: Final = 16
"""Of an exchange and pair: who drops a share p of hits goes unnoticed with probability (1 - p)^16."""
_CANARY: Final = b"safeborders link canary v1"
_DUMMIES: Final = b"safeborders link dummies v1"


class Row(NamedTuple):
    """One tag with its handle, 16 bytes each."""

    tag: bytes
    handle: bytes


@dataclass(frozen=True)
class Own:
    """What stands behind a handle of this node.

    Attributes:
        token: What its checks are made over, 32 bytes; of a dummy random ones.
        row: The node's token; None for canaries and dummies.
        canary_of: The exchange of a canary; None for others.
    """

    token: bytes
    row: TokenRow | None = None
    canary_of: str | None = None

    @property
    def is_dummy(self) -> bool:
        """Whether it means nothing, so that no hit on it can be true."""
        return self.row is None and self.canary_of is None


class Handles:
    """The handles of one node for one partner, in one epoch.

    Args:
        office: The node.
        epoch: The epoch.
        partner: The other state.

    Raises:
        As ``Office.pair`` and ``Office.secrets``.
    """

    def __init__(self, office: Office, epoch: str, partner: str) -> None:
        self.pair: PairKeys = office.pair(epoch, partner)
        self._partner = partner
        self._handle_key = office.secrets(epoch).handle_key
        self._dummy_key = hmac.digest(self._handle_key, _DUMMIES, "sha256")

    def rows(self, tagging: Tagging, tokens: Sequence[TokenRow]) -> list[Row]:
        """What goes out, or went out, with one message: tags of tokens, canaries and dummies."""
        rows = [Row(self.pair.tag(row.token), self._handle(row.token)) for row in tokens]
        canaries = self.pair.canaries(tagging.exchange, CANARIES)
        rows += [Row(canary, self._handle(_token_of(canary))) for canary in canaries]
        rows += [
            Row(self._dummy("tag", tagging, at)[:TAG_BYTES], self._handle(self._dummy("token", tagging, at)))
            for at in range(tagging.dummies)
        ]
        return sorted(rows)

    def index(self, taggings: Sequence[Tagging], tokens: Sequence[TokenRow]) -> dict[bytes, Own]:
        """What stands behind each handle that went out with these messages."""
        found = {self._handle(row.token): Own(row.token, row) for row in tokens}
        for tagging in taggings:
            for canary in map(_token_of, self.pair.canaries(tagging.exchange, CANARIES)):
                found[self._handle(canary)] = Own(canary, canary_of=tagging.exchange)
            for at in range(tagging.dummies):
                token = self._dummy("token", tagging, at)
                found[self._handle(token)] = Own(token)
        return found

    def _handle(self, token: bytes) -> bytes:
        return handle_of(self._handle_key, self._partner, token)

    def _dummy(self, what: str, tagging: Tagging, at: int) -> bytes:
        parts = (what, self._partner, tagging.exchange, str(at))
        return hmac.digest(self._dummy_key, layout.prefixed(*(part.encode() for part in parts)), "sha256")


def dummies(fresh: int) -> int:
    """How many dummies fill a message with so many tags of tokens, and its canaries, up to a bucket."""
    real = fresh + CANARIES
    return bucket(real) - real


def _token_of(canary: bytes) -> bytes:
    """What stands for a token behind a canary: both states of the pair make the same."""
    return hashlib.sha256(layout.prefixed(_CANARY, canary)).digest()
