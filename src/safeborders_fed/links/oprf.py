"""Tokens of identifiers: RFC 9497, mode VOPRF, suite ristretto255-SHA512, with a key that all nodes share.

Guarantees, in the random oracle model:

- A blinded point is uniform and independent of the identifier, also for a node of unlimited computing power
  (RFC 9497 section 7.1): evaluating nodes learn how many points there are, and no more.
- Whoever lacks one node's share cannot tell a token that was not asked for from random bytes, so it cannot
  guess identifiers offline, under the one-more gap computational Diffie-Hellman assumption (section 7.2.1;
  the RFC knows of no proof for batches or several keys, nor do we).
- A share that ``verify`` accepts was made with the secret of the given public key, for each point of the
  batch, but for a chance of about q/2^252 for a node that computes q hashes, whatever the batch's size
  (section 2.2).

Whoever gets q points evaluated with one key has log2(q)/2 bits less of 128 to break (section 7.2.3): after a
million points of a type and epoch 118 are left. New keys each epoch are the bound on it.

**The shared key.** Node i holds k_i and publishes P_i = k_i G. With blind r and B = r H(x) each answers D_i =
k_i B, proved for (P_i, B, D_i). The sum of all D_i is (sum of k_i) B: exactly what RFC 9497's BlindEvaluate
gives under the key k = sum of k_i, so Finalize gives the RFC's output for k. Each summand is proved for its
own public key, hence the sum belongs to the sum of the public keys, without a proof of its own. Leave out one
k_i and, since it is uniform and was fixed before others were seen (``key_set``), k is uniform for all others
together.

Nothing is kept in here, and nothing random is used but ``ristretto.random_scalar``.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Final

from safeborders_fed.errors import DefectError, PeerError
from safeborders_fed.links import ristretto
from safeborders_fed.masking import layout

CONTEXT: Final = b"OPRFV1-\x01-ristretto255-SHA512"
PROTOCOL: Final = b"safeborders link v1"
PROOF_BYTES: Final = 64
OUTPUT_BYTES: Final = 64
TOKEN_BYTES: Final = 32
MOST_POINTS: Final = 2**16 - 1
"""Of one batch: its proof numbers points with two bytes."""
LONGEST_INPUT: Final = 2**16 - 2
"""Bytes of an input at most (section 5.1)."""
_SHA512_BLOCK: Final = 128


@dataclass(frozen=True, slots=True)
class Blinded:
    """A blinded identifier.

    Attributes:
        scalar: The blind, secret until the token is made, then useless.
        point: What evaluating nodes see.
    """

    scalar: bytes = field(repr=False)
    point: bytes


def token_input(epoch: str, kind: str, form: str) -> bytes:
    """The OPRF's input for an identifier: no two triples give the same bytes.

    Args:
        epoch: The epoch.
        kind: Type of the identifier.
        form: Its normal form.
    """
    return layout.prefixed(PROTOCOL, *(part.encode("utf-8") for part in (epoch, kind, form)))


def blind(data: bytes, scalar: bytes | None = None) -> Blinded:
    """Blinds an input.

    Args:
        data: The input, at most ``LONGEST_INPUT`` bytes.
        scalar: The blind; a fresh one unless given. For test vectors only: one blind for two inputs, or
            known to an evaluating node, hides nothing.

    Raises:
        DefectError: ``input-too-long``.
    """
    _within(data)
    scalar = ristretto.random_scalar() if scalar is None else scalar
    return Blinded(scalar, ristretto.multiply(scalar, _hash_to_group(data)))


def evaluate(secret: bytes, points: Sequence[bytes]) -> list[bytes]:
    """A node's shares of points.

    Raises:
        PeerError: ``not-a-point``.
    """
    return [ristretto.multiply(secret, point) for point in points]


def prove(
    secret: bytes,
    public: bytes,
    points: Sequence[bytes],
    evaluated: Sequence[bytes],
    nonce: bytes | None = None,
) -> bytes:
    """The proof that all of these were multiplied with the secret of this public key (section 2.2.1).

    Args:
        secret: The key share.
        public: Its public key.
        points: What was asked.
        evaluated: What ``evaluate`` made of it.
        nonce: A fresh scalar unless given. For test vectors only: two proofs with one
            nonce give the key away.

    Returns:
        64 bytes: challenge and response.

    Raises:
        PeerError: ``not-a-point``.
        DefectError: ``wrong-batch``.
    """
    weights = _weights(public, points, evaluated)
    combined = _weighted(weights, points)
    product = ristretto.multiply(secret, combined)
    nonce = ristretto.random_scalar() if nonce is None else nonce
    challenge = _challenge(
        public, combined, product, ristretto.base(nonce), ristretto.multiply(nonce, combined)
    )
    return challenge + ristretto.scalar_subtract(nonce, ristretto.scalar_multiply(challenge, secret))


def verify(public: bytes, points: Sequence[bytes], evaluated: Sequence[bytes], proof: bytes) -> bool:
    """Whether a proof holds (section 2.2.2). False, never an error, for whatever a node may have sent.

    Args:
        public: The node's public key, from the key set.
        points: What was asked.
        evaluated: What the node answered.
        proof: Its proof.
    """
    if not 0 < len(points) == len(evaluated) <= MOST_POINTS:
        return False
    challenge, response = proof[: ristretto.BYTES], proof[ristretto.BYTES :]
    if not ristretto.is_scalar(challenge) or not ristretto.is_scalar(response):
        return False
    if ristretto.ZERO in (challenge, response):  # a proof has one by chance only, with probability 2^-251
        return False
    try:
        expected = _expected_challenge(public, points, evaluated, challenge, response)
    except PeerError:
        return False
    return hmac.compare_digest(challenge, expected)


def combine(shares: Sequence[Sequence[bytes]]) -> list[bytes]:
    """The sums over nodes: for each point what the shared key makes of it.

    Args:
        shares: One sequence for each node, all of one length and checked by ``verify``.

    Raises:
        PeerError: ``not-a-point``.
        DefectError: ``wrong-batch``.
    """
    if not shares or len({len(each) for each in shares}) != 1:
        raise _wrong_batch()
    return [reduce(ristretto.add, column) for column in zip(*shares, strict=True)]


def finalize(data: bytes, scalar: bytes, combined: bytes) -> bytes:
    """The OPRF's output (section 3.3.2): 64 bytes, of which the first 32 are the token.

    Args:
        data: The input.
        scalar: Its blind.
        combined: What the shared key made of the blinded point.

    Raises:
        PeerError: ``not-a-point``.
        DefectError: ``input-too-long``.
    """
    _within(data)
    unblinded = ristretto.multiply(ristretto.invert(scalar), combined)
    return hashlib.sha512(_sized(data) + _sized(unblinded) + b"Finalize").digest()


def hash_to_scalar(data: bytes) -> bytes:
    """RFC 9497's HashToScalar for this mode and suite (section 4.1)."""
    return ristretto.reduce(expand(data, b"HashToScalar-" + CONTEXT))


def expand(message: bytes, purpose: bytes) -> bytes:
    """64 uniform bytes: ``expand_message_xmd`` with SHA-512 (RFC 9380 section 5.3.1), its only block.

    Args:
        message: What is hashed.
        purpose: The domain separation tag, at most 255 bytes.
    """
    tag = purpose + bytes([len(purpose)])
    first = hashlib.sha512(bytes(_SHA512_BLOCK) + message + b"\x00\x40\x00" + tag).digest()
    return hashlib.sha512(first + b"\x01" + tag).digest()


def _hash_to_group(data: bytes) -> bytes:
    return ristretto.from_hash(expand(data, b"HashToGroup-" + CONTEXT))


def _expected_challenge(
    public: bytes, points: Sequence[bytes], evaluated: Sequence[bytes], challenge: bytes, response: bytes
) -> bytes:
    """Each point is multiplied in here, and a multiplication refuses what is no point, or the identity."""
    weights = _weights(public, points, evaluated)
    combined, product = _weighted(weights, points), _weighted(weights, evaluated)
    first = ristretto.add(ristretto.base(response), ristretto.multiply(challenge, public))
    second = ristretto.add(ristretto.multiply(response, combined), ristretto.multiply(challenge, product))
    return _challenge(public, combined, product, first, second)


def _weights(public: bytes, points: Sequence[bytes], evaluated: Sequence[bytes]) -> list[bytes]:
    if not 0 < len(points) == len(evaluated) <= MOST_POINTS:
        raise _wrong_batch()
    seed = hashlib.sha512(_sized(public) + _sized(b"Seed-" + CONTEXT)).digest()
    start = _sized(seed)
    return [
        hash_to_scalar(start + number.to_bytes(2, "big") + _sized(point) + _sized(share) + b"Composite")
        for number, (point, share) in enumerate(zip(points, evaluated, strict=True))
    ]


def _weighted(weights: Sequence[bytes], points: Sequence[bytes]) -> bytes:
    return reduce(ristretto.add, map(ristretto.multiply, weights, points))


def _challenge(public: bytes, combined: bytes, product: bytes, first: bytes, second: bytes) -> bytes:
    parts = b"".join(map(_sized, (public, combined, product, first, second)))
    return hash_to_scalar(parts + b"Challenge")


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def _within(data: bytes) -> None:
    if len(data) > LONGEST_INPUT:
        raise DefectError(
            "input-too-long",
            f"an identifier's normal form has {len(data):,} bytes, more than an OPRF's input may have",
            "report this to the developers: normal forms are short",
        )


def _wrong_batch() -> DefectError:
    return DefectError(
        "wrong-batch",
        f"points and shares are not equally many, or not 1 to {MOST_POINTS:,}",
        "report this to the developers",
    )
