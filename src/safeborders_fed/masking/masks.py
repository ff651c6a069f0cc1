"""Pairwise masks: keystreams that cancel in the sum over all participants, and only there.

Guarantees:

- The masks of all participants of one attempt add up to zero modulo 2^64 if, and but for negligible chance
  only if, all of them agree on every item of the ``Binding`` and on the dimension.
- Whoever holds neither end's key of one of a node's pairs cannot tell its masked vector from random numbers.
- No keystream serves two attempts: the key of each depends on both ends' study keys, round and attempt. That
  one attempt is answered once is up to the node's ledger.

Pure: the same key, binding and dimension give the same mask. The protocol to the byte, and the attack that
each bound item stops, are in ``docs/masking.md``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from numpy.typing import NDArray

from safeborders_fed.errors import DefectError, PeerError
from safeborders_fed.masking import layout
from safeborders_fed.masking.keys import StudyKey, public_bytes

_INFO_LABEL: Final = b"safeborders mask v1"
_PARTICIPANTS_LABEL: Final = b"safeborders participants v1"
_WORD: Final = np.dtype("<u8")
_CHUNK: Final = 16384  # words; three buffers of 128 KiB stay in a core's second-level cache
# Each key makes one stream, so the first counter block can be the same for all.
_FIRST_BLOCK: Final = bytes(16)


@dataclass(frozen=True, slots=True)
class Binding:
    """All that the participants of an attempt must agree on for their masks to cancel.

    Attributes:
        protocol: Version of the protocol.
        manifest_hash: Hash of the approved manifest, 64 hexadecimal digits.
        roster_hash: Hash of the accepted roster, 64 hexadecimal digits.
        round: Number of the round.
        attempt: Number of the attempt.
        broadcast_hash: Hash of what the coordinator sends to be answered, 64 hexadecimal digits.
        participants: Pairs of node and its X25519 public key, sorted by node.

    Raises:
        PeerError: ``malformed-masking``, ``too-few-participants``, ``duplicate-node``, ``duplicate-key``,
            ``unsorted-participants``.
    """

    protocol: int
    manifest_hash: str
    roster_hash: str
    round: int
    attempt: int
    broadcast_hash: str
    participants: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        self.common()
        nodes = [node for node, _ in self.participants]
        keys = [public for _, public in self.participants]
        if len(nodes) < 2:
            raise _refused(
                "too-few-participants", "names fewer than two participants: nothing would be hidden"
            )
        if len(set(nodes)) != len(nodes):
            raise _refused("duplicate-node", "names a participant twice")
        if len(set(keys)) != len(keys):
            raise _refused("duplicate-key", "gives two participants the same public key")
        if nodes != sorted(nodes):
            raise _refused("unsorted-participants", "does not name the participants in order")

    def common(self) -> tuple[bytes, ...]:
        """The bound items that all pairs share, as fields of the info.

        Raises:
            PeerError: ``malformed-masking``.
        """
        listed = [
            field
            for node, public in self.participants
            for field in (layout.name(node, "a participant"), public_bytes(public))
        ]
        return (
            layout.number(self.protocol, "the protocol"),
            layout.raw(self.manifest_hash, 32, "a manifest hash"),
            layout.raw(self.roster_hash, 32, "a roster hash"),
            layout.number(self.round, "a round"),
            layout.number(self.attempt, "an attempt"),
            layout.raw(self.broadcast_hash, 32, "a broadcast hash"),
            hashlib.sha256(layout.prefixed(_PARTICIPANTS_LABEL, *listed)).digest(),
        )


def mask(own: StudyKey, node: str, binding: Binding, dimension: int) -> NDArray[np.uint64]:
    """The mask that one node adds to its vector modulo 2^64 in one attempt: uint64, shape (dimension,).

    Args:
        own: The node's study key.
        node: The node itself.
        binding: The attempt.
        dimension: Number of coordinates.

    Raises:
        PeerError: ``foreign-key``, when the attempt does not list this node with this key; ``zero-secret``.
        DefectError: ``mask-dimension``, when the dimension is not positive.
    """
    if dimension < 1:
        raise DefectError(
            "mask-dimension",
            f"a mask of {dimension} coordinates was asked for",
            "report this to the developers",
        )
    if (node, own.public) not in binding.participants:
        raise PeerError(
            "foreign-key",
            f"the attempt does not list {node} with the study key that it holds",
            "do nothing if the node has just restarted: it takes part again from the next round; if not, ask "
            "the coordinator whose key it sent",
        )
    common = binding.common()
    added: list[CipherContext] = []
    subtracted: list[CipherContext] = []
    for peer, public in binding.participants:
        if peer == node:
            continue
        ends = ((node, own.public), (peer, public)) if node < peer else ((peer, public), (node, own.public))
        key = own.pair_key(public, pair_info(common, *ends, dimension))
        (added if node < peer else subtracted).append(_keystream(key))
    return _add_up(added, subtracted, dimension)


def pair_info(
    common: tuple[bytes, ...], first: tuple[str, str], second: tuple[str, str], dimension: int
) -> bytes:
    """What the key of a pair is derived for.

    Args:
        common: What ``Binding.common`` gives.
        first: Node and public key of the end that adds the keystream: the one that sorts first.
        second: Node and public key of the end that subtracts it.
        dimension: Number of coordinates.
    """
    return layout.prefixed(
        _INFO_LABEL,
        *common,
        layout.name(first[0], "a participant"),
        layout.name(second[0], "a participant"),
        public_bytes(first[1]),
        public_bytes(second[1]),
        layout.number(dimension, "a dimension"),
    )


def _keystream(key: bytes) -> CipherContext:
    return Cipher(algorithms.AES256(key), modes.CTR(_FIRST_BLOCK)).encryptor()


def _add_up(
    added: list[CipherContext], subtracted: list[CipherContext], dimension: int
) -> NDArray[np.uint64]:
    """The sum of keystreams, chunk by chunk so that a chunk is summed while it is in the cache."""
    total = np.zeros(dimension, np.uint64)
    longest = _WORD.itemsize * min(_CHUNK, dimension)
    zeros, stream = memoryview(bytes(longest)), memoryview(bytearray(longest))
    words = np.frombuffer(stream, _WORD)
    for start in range(0, dimension, _CHUNK):
        part = total[start : start + _CHUNK]
        for cipher in added:
            cipher.update_into(zeros[: part.nbytes], stream[: part.nbytes])
            part += words[: part.size]
        for cipher in subtracted:
            cipher.update_into(zeros[: part.nbytes], stream[: part.nbytes])
            part -= words[: part.size]
    return total


def _refused(code: str, why: str) -> PeerError:
    return PeerError(
        code,
        f"the list of an attempt's participants {why}",
        "take no part in it, and ask the coordinator how the list came about",
    )
