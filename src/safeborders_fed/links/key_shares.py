"""What one node holds and publishes for an epoch: shares of the OPRF keys, and a key for pairs.

Guarantees:

- Secrets come from the generators of libsodium and the operating system, fresh for each epoch, and stand in
  no text: ``repr`` hides them. ``to_bytes`` is for the node's own encrypted file only.
- A share has a proof of possession for each of its keys (Schnorr's, made non-interactive by Fiat-Shamir): who
  made it knows the secret. Node, epoch, type and roster are part of the challenge, so no proof holds for
  another node, epoch, type or roster; whoever copies a key of another node cannot prove it as its own.
- The same secrets, node, epoch and roster give the same text each time: nonces of proofs are derived from the
  secret and from all that the challenge depends on, as in Ed25519. A node that starts anew between commitment
  and reveal thus reveals what it committed to, and one nonce never serves two challenges.
- The commitment hides the share (its 32 random bytes are not known before) and binds to it (SHA-256).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Self

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from safeborders_fed.errors import DataError
from safeborders_fed.links import oprf, ristretto
from safeborders_fed.masking import layout
from safeborders_fed.study import canonical

_CHALLENGE: Final = b"safeborders link possession v1"
_NONCE: Final = b"safeborders link possession nonce v1"
_STRICT: Final = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)

Hex32 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]
Kind = Annotated[str, Field(pattern=r"^[a-z][a-z-]{0,31}$")]
Epoch = Annotated[str, Field(pattern=r"^[0-9]{4}$")]
_Name = Annotated[str, Field(min_length=1, max_length=200)]


class Share(BaseModel):
    """What a node reveals for an epoch.

    Attributes:
        epoch: The epoch.
        roster: Hash of the roster that it accepted.
        nonce: 32 random bytes, which hide the share behind its commitment.
        keys: Its public key for each type of identifier.
        proofs: A proof of possession for each.
        pair_key: Its X25519 public key, for its pairs.
        prosecutors: Public keys of those who approve its batches and hits, by name.
    """

    model_config = _STRICT

    epoch: Epoch
    roster: Hex32
    nonce: Hex32
    keys: Annotated[dict[Kind, Hex32], Field(min_length=1, max_length=64)]
    proofs: dict[Kind, Hex64]
    pair_key: Hex32
    prosecutors: Annotated[dict[_Name, Hex32], Field(max_length=64)]


class _Stored(BaseModel):
    model_config = _STRICT

    scalars: Annotated[dict[Kind, Hex32], Field(min_length=1)]
    pair_secret: Hex32
    handle_key: Hex32
    nonce: Hex32


@dataclass(frozen=True, slots=True)
class NodeSecrets:
    """A node's secrets of one epoch.

    Attributes:
        scalars: Its share of the key of each type of identifier.
        pair_secret: X25519, for the keys that it shares with each other state.
        handle_key: 32 bytes that never leave the node: makes its handles.
        nonce: 32 bytes that hide its share until it is revealed.
    """

    scalars: Mapping[str, bytes] = field(repr=False)
    pair_secret: X25519PrivateKey = field(repr=False)
    handle_key: bytes = field(repr=False)
    nonce: bytes = field(repr=False)

    @classmethod
    def generate(cls, kinds: Iterable[str]) -> Self:
        """Fresh secrets for these types of identifiers."""
        scalars = {kind: ristretto.random_scalar() for kind in sorted(kinds)}
        return cls(scalars, X25519PrivateKey.generate(), secrets.token_bytes(32), secrets.token_bytes(32))

    def secret(self, kind: str) -> bytes:
        """The key share of a type.

        Raises:
            DataError: ``no-link-key``.
        """
        if kind not in self.scalars:
            raise DataError(
                "no-link-key",
                f"there is no key for identifiers of type {kind!r} in this epoch",
                "leave this type out until the next epoch, or run the same version at all nodes",
            )
        return self.scalars[kind]

    def publics(self) -> dict[str, bytes]:
        """The public key of each type."""
        return {kind: ristretto.base(scalar) for kind, scalar in self.scalars.items()}

    def to_bytes(self) -> bytes:
        """All secrets, for the node's own encrypted file."""
        stored = _Stored(
            scalars={kind: scalar.hex() for kind, scalar in self.scalars.items()},
            pair_secret=self.pair_secret.private_bytes_raw().hex(),
            handle_key=self.handle_key.hex(),
            nonce=self.nonce.hex(),
        )
        return canonical.serialise(stored.model_dump())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The secrets that ``to_bytes`` wrote.

        Raises:
            DataError: ``bad-link-secrets``.
        """
        try:
            stored = _Stored.model_validate_json(data)
        except ValidationError as error:
            raise _bad_secrets() from error
        scalars = {kind: bytes.fromhex(text) for kind, text in stored.scalars.items()}
        if not all(ristretto.is_scalar(each) and each != ristretto.ZERO for each in scalars.values()):
            raise _bad_secrets()
        pair_secret = X25519PrivateKey.from_private_bytes(bytes.fromhex(stored.pair_secret))
        return cls(scalars, pair_secret, bytes.fromhex(stored.handle_key), bytes.fromhex(stored.nonce))


def share_content(
    own: NodeSecrets, node: str, epoch: str, roster_hash: str, prosecutors: Mapping[str, str]
) -> dict[str, Any]:
    """What a node reveals, as the content of its saying ``share``.

    Args:
        own: Its secrets of the epoch.
        node: Its name in the roster.
        epoch: The epoch.
        roster_hash: Hash of the roster that it accepted.
        prosecutors: Public keys of those who approve its batches and hits, by name.
    """
    publics = own.publics()
    share = Share(
        epoch=epoch,
        roster=roster_hash,
        nonce=own.nonce.hex(),
        keys={kind: public.hex() for kind, public in publics.items()},
        proofs={
            kind: _possession(own.secret(kind), public, _context(node, epoch, kind, roster_hash)).hex()
            for kind, public in publics.items()
        },
        pair_key=own.pair_secret.public_key().public_bytes_raw().hex(),
        prosecutors=dict(prosecutors),
    )
    return share.model_dump()


def commitment(share_text: str) -> str:
    """What a node says before it reveals: SHA-256 of the whole text of its share, in hexadecimal digits."""
    return hashlib.sha256(share_text.encode("utf-8")).hexdigest()


def is_possessed(public: bytes, proof: bytes, *, node: str, epoch: str, kind: str, roster_hash: str) -> bool:
    """Whether a proof of possession holds. False, never an error, for whatever a node may have sent.

    Args:
        public: The public key.
        proof: Challenge and response, 64 bytes.
        node: Who is said to hold the secret.
        epoch: For which epoch.
        kind: For which type of identifiers.
        roster_hash: In which roster.
    """
    challenge, response = proof[: ristretto.BYTES], proof[ristretto.BYTES :]
    if not ristretto.is_valid(public) or not ristretto.is_scalar(challenge):
        return False
    if not ristretto.is_scalar(response) or ristretto.ZERO in (challenge, response):
        return False
    nonce_point = ristretto.add(ristretto.base(response), ristretto.multiply(challenge, public))
    context = _context(node, epoch, kind, roster_hash)
    return hmac.compare_digest(challenge, _challenge(context, public, nonce_point))


def _possession(secret: bytes, public: bytes, context: bytes) -> bytes:
    nonce = ristretto.reduce(oprf.expand(layout.prefixed(secret, public, context), _NONCE))
    challenge = _challenge(context, public, ristretto.base(nonce))
    return challenge + ristretto.scalar_subtract(nonce, ristretto.scalar_multiply(challenge, secret))


def _challenge(context: bytes, public: bytes, nonce_point: bytes) -> bytes:
    return ristretto.reduce(oprf.expand(layout.prefixed(context, public, nonce_point), _CHALLENGE))


def _context(node: str, epoch: str, kind: str, roster_hash: str) -> bytes:
    return layout.prefixed(*(part.encode("utf-8") for part in (node, epoch, kind, roster_hash)))


def _bad_secrets() -> DataError:
    return DataError(
        "bad-link-secrets",
        "the secrets of an epoch of links are not what this program wrote",
        "restore the file from the node's backup; without one the epoch is over for this node",
    )
