"""Tags and handles of one node for one partner: which are of tokens, which are canaries, which mean nothing.

A tag is what the coordinator compares, a handle is its name at this node. Both follow from keys, so a node
keeps neither. A handle is one AES-256 block under a key of this node for this partner: what it names is
encrypted in it, so the node reads from a handle what it stands for, however many there are.

Guarantees, under the assumption that AES-256 is a pseudo-random permutation and HMAC-SHA256 a pseudo-random
function: to who does not know the keys of the epoch, tags of tokens, canaries and dummies are alike; handles
are distinct random names, unrelated between partners, and say nothing of tags or of how many there are.
Dummies are keyed with a key of this node alone, so that the other state of the pair cannot tell them either.
``rows`` are in order of the tags, which is an order of random values: beyond the set of tags it says nothing,
of when or in which order their tokens were made least of all.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from safeborders_fed.links.pairs import HANDLE_BYTES, TAG_BYTES, bucket
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
_HANDLES: Final = b"safeborders link handles v1"
_OF_TOKEN, _OF_CANARY, _OF_DUMMY = b"\1", b"\2", b"\3"
_START: Final = HANDLE_BYTES - 1
_PLACE: Final = struct.Struct("<II7x")
"""Number of a message and place in it, in a handle of a canary or dummy."""


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
        self._office, self._epoch, self._partner = office, epoch, partner
        secret = office.secrets(epoch).handle_key
        self._dummy_key = hmac.digest(secret, _DUMMIES, "sha256")
        key = hmac.digest(secret, layout.prefixed(_HANDLES, partner.encode()), "sha256")
        # One block each, and no block twice: a permutation of names, not a mode that hides long texts.
        self._cipher = Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305

    def rows(self, tagging: Tagging, tokens: Sequence[TokenRow]) -> list[Row]:
        """What goes out, or went out, with one message: tags of tokens, canaries and dummies."""
        tags = [self.pair.tag(row.token) for row in tokens]
        names = [_OF_TOKEN + row.digest[:_START] for row in tokens]
        for at, canary in enumerate(self.pair.canaries(tagging.exchange, CANARIES)):
            tags.append(canary)
            names.append(_OF_CANARY + _PLACE.pack(tagging.number, at))
        for at in range(tagging.dummies):
            tags.append(self._dummy("tag", tagging, at)[:TAG_BYTES])
            names.append(_OF_DUMMY + _PLACE.pack(tagging.number, at))
        handles = self._cipher.encryptor().update(b"".join(names))
        return sorted(
            Row(tag, handles[at * HANDLE_BYTES : (at + 1) * HANDLE_BYTES]) for at, tag in enumerate(tags)
        )

    def behind(self, handle: bytes) -> Own | None:
        """What stands behind a handle; None if this node never gave it for this partner."""
        if len(handle) != HANDLE_BYTES:
            return None
        name = self._cipher.decryptor().update(handle)
        kind, start = name[:1], name[1:]
        if kind == _OF_TOKEN:
            row = self._office.book.tagged_as(self._epoch, self._partner, start)
            return None if row is None else Own(row.token, row)
        number, at = _PLACE.unpack(start)
        if kind not in {_OF_CANARY, _OF_DUMMY} or start != _PLACE.pack(number, at):
            return None
        taggings = self._office.hits.taggings(self._epoch, self._partner)
        tagging = next((each for each in taggings if each.number == number), None)
        if tagging is None or at >= (CANARIES if kind == _OF_CANARY else tagging.dummies):
            return None
        if kind == _OF_DUMMY:
            return Own(self._dummy("token", tagging, at))
        canary = self.pair.canaries(tagging.exchange, CANARIES)[at]
        return Own(_token_of(canary), canary_of=tagging.exchange)

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
