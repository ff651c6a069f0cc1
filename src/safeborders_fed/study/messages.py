"""The messages of a round, and their one byte form.

Guarantees:

- A message is a length-prefixed canonical JSON header followed by raw little-endian arrays that the header
  names. ``decode`` accepts only what ``encode`` writes, and says what is wrong without echoing content.
- What a study learns of case data is a ``Contribution``, nothing else; besides a node sends a ``Refusal``, an
  answer of ``study.handshake`` or ``study.offering``, or, in links, of ``study.link_messages``. A refusal
  carries one code of a fixed list that data never decides. The length of a contribution follows from the
  manifest alone.
- A contribution is signed over all of it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from safeborders_fed.masking.keys import SignedKey
from safeborders_fed.masking.signing import Purpose, sign, verify
from safeborders_fed.study import canonical, wire
from safeborders_fed.study.handshake import Handshake, Head, is_handshake, parse_handshake
from safeborders_fed.study.link_messages import LinkMessage, is_link, parse_link
from safeborders_fed.study.offering import Offering, is_offering, parse_offering

Attempt = tuple[str, int, int]
"""Study, round and attempt: what an answer belongs to."""


class Reason(StrEnum):
    """Why a node does not contribute. Case data decide none, but for ``policy`` through a noised count."""

    NOT_APPROVED = "not-approved"
    POLICY = "policy"
    """Some term is not permitted there, or a noised, charged count of victims is too small."""
    CLOSED = "closed"
    """It takes on studies only within hours of its own, and now is outside them."""
    BUDGET = "budget"
    EXPIRED = "expired"
    MALFORMED = "malformed"
    REPLAYED = "replayed"
    LEDGER = "ledger"
    """The ledger's past does not fit what others witnessed, or too few witnesses were shown."""
    UNAVAILABLE = "unavailable"
    VERSION = "version"
    """The other side's software is too old or too new; what to do is in the log of the node."""


@dataclass(frozen=True)
class Round:
    """The coordinator asks: one attempt at one round of a study.

    Attributes:
        study: Study id.
        manifest_hash: Hash of the manifest that the nodes approved.
        stage: Stage of the analysis.
        round: Counts from 0 over all stages.
        attempt: Counts from 0 over the whole study, and only grows.
        participants: Nodes that take part in this attempt, sorted.
        keys: Their study keys in the same order; empty in trust mode local.
        heads: Node to the ledger head that it stated in its last contribution, for all to witness.
        broadcast: Named float64 arrays.
    """

    study: str
    manifest_hash: str
    stage: str
    round: int
    attempt: int
    participants: tuple[str, ...]
    keys: tuple[SignedKey, ...]
    heads: dict[str, Head]
    broadcast: dict[str, NDArray[np.float64]]

    @property
    def key(self) -> Attempt:
        """What an answer belongs to."""
        return self.study, self.round, self.attempt

    def encode(self) -> bytes:
        """The bytes of the message."""
        header = {
            "type": "round",
            "study": self.study,
            "manifest_hash": self.manifest_hash,
            "stage": self.stage,
            "round": self.round,
            "attempt": self.attempt,
            "participants": list(self.participants),
            "keys": [key.to_json() for key in self.keys],
            "heads": _heads(self.heads),
        }
        return wire.encode(header, self.broadcast)

    def broadcast_hash(self) -> str:
        """SHA-256 of the broadcast (names, types, shapes, values) and the heads: what masks are bound to."""
        shown = wire.encode({"type": "broadcast", "heads": _heads(self.heads)}, self.broadcast)
        return canonical.sha256(wire.unversioned(shown))


@dataclass(frozen=True)
class Contribution:
    """A node answers: its bounded sum with noise and, in masked mode, masks, modulo 2^64.

    Attributes:
        head: The node's ledger head before this attempt was charged, signed.
        vector: uint64, shape (dimension,).
        signature: By the node, over all other fields.
    """

    study: str
    round: int
    attempt: int
    node: str
    head: Head
    vector: NDArray[np.uint64]
    signature: str = ""

    @property
    def key(self) -> Attempt:
        """What it answers."""
        return self.study, self.round, self.attempt

    def encode(self) -> bytes:
        """The bytes of the message."""
        header = {
            "type": "contribution",
            "study": self.study,
            "round": self.round,
            "attempt": self.attempt,
            "node": self.node,
            "head": self.head.model_dump(),
            "signature": self.signature,
        }
        return wire.encode(header, {"vector": self.vector})

    def _digest(self) -> bytes:
        return hashlib.sha256(wire.unversioned(replace(self, signature="").encode())).digest()

    def signed(self, key: Ed25519PrivateKey) -> Contribution:
        """The same, signed."""
        return replace(self, signature=sign(key, Purpose.CONTRIBUTION, self._digest()))

    def check(self, public: str) -> None:
        """Raises PeerError ``bad-signature`` if the node's key did not sign it."""
        verify(public, Purpose.CONTRIBUTION, self._digest(), self.signature)


@dataclass(frozen=True)
class Refusal:
    """A node does not contribute. What it means is written in the node's own log."""

    node: str
    reason: Reason

    def encode(self) -> bytes:
        """The bytes of the message."""
        return wire.encode({"type": "refusal", "node": self.node, "reason": self.reason.value}, {})


Message = Round | Contribution | Refusal | Handshake | Offering | LinkMessage


def decode(data: bytes) -> Message:
    """The message that the bytes hold.

    Raises:
        PeerError: ``malformed-message`` or ``wrong-protocol``.
    """
    header, arrays = wire.open_message(data)
    try:
        message = _message(header, arrays)
        same = wire.unversioned(message.encode()) == wire.unversioned(data)
    except (KeyError, TypeError, ValueError) as error:  # also a text that no UTF-8 can hold
        raise wire.malformed(f"a field is missing or wrong ({type(error).__name__})") from error
    if not same:
        raise wire.malformed("other bytes would stand for the same message")
    return message


def _message(header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Message:
    if is_handshake(header["type"]):
        return parse_handshake(header)
    if is_offering(header["type"]):
        return parse_offering(header)
    if is_link(header["type"]):
        return parse_link(header, arrays)
    match header["type"]:
        case "round":
            if any(array.dtype != wire.DTYPES["f8"] for array in arrays.values()):
                raise TypeError("broadcast")
            return Round(
                _text(header, "study"),
                _text(header, "manifest_hash"),
                _text(header, "stage"),
                _count(header, "round"),
                _count(header, "attempt"),
                tuple(_text({"name": name}, "name") for name in _list(header, "participants")),
                tuple(SignedKey.from_json(key) for key in _list(header, "keys")),
                {node: Head.model_validate(head) for node, head in dict(header["heads"]).items()},
                {name: array.astype(np.float64) for name, array in arrays.items()},
            )
        case "contribution":
            (vector,) = arrays.values()
            if vector.dtype != wire.DTYPES["u8"] or vector.ndim != 1:
                raise TypeError("vector")
            return Contribution(
                _text(header, "study"),
                _count(header, "round"),
                _count(header, "attempt"),
                _text(header, "node"),
                Head.model_validate(header["head"]),
                vector.astype(np.uint64),
                _text(header, "signature"),
            )
        case "refusal":
            return Refusal(_text(header, "node"), Reason(header["reason"]))
    raise wire.malformed("its type is unknown")


def _heads(heads: dict[str, Head]) -> dict[str, dict[str, Any]]:
    return {node: head.model_dump() for node, head in heads.items()}


def _text(header: dict[str, Any], name: str) -> str:
    value = header[name]
    if not isinstance(value, str) or len(value) > 200:
        raise TypeError(name)
    return value


def _list(header: dict[str, Any], name: str) -> list[Any]:
    value = header[name]
    if not isinstance(value, list) or len(value) > 100:
        raise TypeError(name)
    return value


def _count(header: dict[str, Any], name: str) -> int:
    value = header[name]
    if type(value) is not int or not 0 <= value < 2**31:
        raise TypeError(name)
    return value
