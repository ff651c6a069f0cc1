"""What two states share in an epoch: keys, and with them tags, checks, canaries and letters.

Guarantees, if X25519 is hard to break and HMAC-SHA256 is a pseudorandom function:

- Only the two states have the pair's keys. What is derived binds protocol, epoch, key set, both states in
  order, both public keys and the use, so no key serves two pairs, epochs, key sets or uses.
- Tags of a pair look random to everybody else. The same token has the same tag at both states of a pair and
  unrelated tags in two pairs, so the coordinator cannot tell that three states share an identifier, nor try a
  guess.
- A check proves that its sender holds the token of a hit: it covers token, both handles, both states and the
  direction, so none can be sent back, moved to another hit, or made by the coordinator.
- Both states make the same canaries of an exchange, and nobody else can tell them from tags.

Not given: a state can tell tags of its pair to the coordinator, and match with it, within the batch that was
approved there.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from safeborders_fed.errors import DefectError, PeerError
from safeborders_fed.links import letters
from safeborders_fed.links.key_set import KeySet
from safeborders_fed.links.key_shares import NodeSecrets
from safeborders_fed.links.oprf import TOKEN_BYTES
from safeborders_fed.masking import layout
from safeborders_fed.masking.keys import public_bytes

TAG_BYTES: Final = 16
HANDLE_BYTES: Final = 16
CHECK_BYTES: Final = 32
SMALLEST_BUCKET: Final = 64
_PROTOCOL: Final = b"safeborders link pair v1"
_USES: Final = ("tag", "check", "canary", "letter")


@dataclass(frozen=True, slots=True)
class PairKeys:
    """The keys of a pair, as one of its states holds them.

    Attributes:
        own: This state.
        partner: The other.
    """

    own: str
    partner: str
    _tag: bytes = field(repr=False)
    _check: bytes = field(repr=False)
    _canary: bytes = field(repr=False)
    _letter: bytes = field(repr=False)

    @classmethod
    def derive(cls, secret: NodeSecrets, keys: KeySet, own: str, partner: str) -> Self:
        """The keys that this state shares with another.

        Args:
            secret: This state's secrets of the epoch.
            keys: The pinned key set.
            own: This state.
            partner: The other.

        Raises:
            PeerError: ``wrong-pair-key``, when the other's key is this one's or would hide nothing.
            DefectError: ``wrong-pair``, when these are not two states, or the secrets not those of the set.
        """
        own_public = secret.pair_secret.public_key().public_bytes_raw()
        if own == partner or keys.pair_key(own) != own_public.hex():
            raise DefectError(
                "wrong-pair",
                f"keys for links of {own} with {partner} were asked for, with secrets of another key set",
                "report this to the developers",
            )
        if keys.pair_key(partner) == keys.pair_key(own):
            raise _wrong_key(partner, "has this node's own key for pairs")
        try:
            partner_public = X25519PublicKey.from_public_bytes(public_bytes(keys.pair_key(partner)))
            shared = secret.pair_secret.exchange(partner_public)
        except (PeerError, ValueError) as error:
            raise _wrong_key(partner, "has a key for pairs that would hide nothing") from error
        return cls(own, partner, *(_derived(shared, keys, own, partner, use) for use in _USES))

    def tag(self, token: bytes) -> bytes:
        """The tag of a token: what the coordinator compares. 16 bytes."""
        return _mac(self._tag, _token(token))[:TAG_BYTES]

    def check(self, token: bytes, sender: str, own_handle: bytes, their_handle: bytes) -> bytes:
        """The check of a hit, as one of the two states sends it. Compare with ``is_check``.

        Args:
            token: The token.
            sender: Which of the two states sends it.
            own_handle: The sender's handle.
            their_handle: The receiver's handle.
        """
        states = (each.encode("ascii") for each in (sender, self._other(sender)))
        return _mac(self._check, *states, own_handle, their_handle, _token(token))

    def is_check(self, check: bytes, token: bytes, own_handle: bytes, their_handle: bytes) -> bool:
        """Whether the partner sent this check for a token that is held here too, compared in constant time.

        Args:
            check: What came from the partner.
            token: The token that is held here.
            own_handle: The handle here.
            their_handle: The handle there.
        """
        return hmac.compare_digest(check, self.check(token, self.partner, their_handle, own_handle))

    def canaries(self, exchange: str, count: int) -> list[bytes]:
        """Tags that both states put among theirs in an exchange, so that the coordinator must report them.

        Who drops a share p of all equal tags goes unnoticed with probability (1 - p)^count.
        """
        name = exchange.encode("utf-8")
        return [_mac(self._canary, name, number.to_bytes(4, "little"))[:TAG_BYTES] for number in range(count)]

    def seal(self, exchange: str, sender: str, plaintext: bytes) -> bytes:
        """A letter of one of the two states to the other, sealed. See ``letters``."""
        return letters.seal(self._letter, exchange, sender, self._other(sender), plaintext)

    def open(self, exchange: str, sender: str, sealed: bytes) -> bytes:
        """What a sealed letter says.

        Raises:
            PeerError: ``unopened-letter``.
        """
        return letters.unseal(self._letter, exchange, sender, self._other(sender), sealed)

    def _other(self, state: str) -> str:
        if state not in (self.own, self.partner):
            raise DefectError(
                "wrong-pair",
                f"{state} is none of the pair {self.own} and {self.partner}",
                "report this to the developers",
            )
        return self.partner if state == self.own else self.own


def bucket(count: int) -> int:
    """To how many tags ``count`` tags are filled up: the next power of two, and 64 at least.

    What the size tells is how many new tags there are to a factor of two, and nothing at all up to 64.
    """
    return max(SMALLEST_BUCKET, 1 << (max(count, 1) - 1).bit_length())


def _derived(shared: bytes, keys: KeySet, own: str, partner: str, use: str) -> bytes:
    first, second = sorted((own, partner))
    info = layout.prefixed(
        _PROTOCOL,
        *(part.encode("ascii") for part in (keys.epoch, keys.hash, first, second)),
        *(bytes.fromhex(keys.pair_key(state)) for state in (first, second)),
        use.encode("ascii"),
    )
    return HKDF(SHA256(), 32, salt=None, info=info).derive(shared)


def _mac(key: bytes, *fields: bytes) -> bytes:
    return hmac.digest(key, layout.prefixed(*fields), "sha256")


def _token(token: bytes) -> bytes:
    if len(token) != TOKEN_BYTES:
        raise DefectError(
            "wrong-length",
            f"a token has {TOKEN_BYTES} bytes, not {len(token)}",
            "report this to the developers",
        )
    return token


def _wrong_key(partner: str, what: str) -> PeerError:
    return PeerError(
        "wrong-pair-key",
        f"{partner} {what}",
        "exchange no links with that state; ask its team, over another line, what happened",
    )
