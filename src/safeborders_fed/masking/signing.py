"""Ed25519 signatures that mean one thing each.

Guarantees: what is signed is the length-prefixed purpose followed by the payload, so a signature made for one
purpose never verifies for another. Keys travel as 64 hexadecimal digits.
"""

from __future__ import annotations

import struct
from enum import StrEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from safeborders_fed.errors import PeerError


class Purpose(StrEnum):
    """What a signature is for. Values are part of the protocol."""

    MANIFEST = "safeborders manifest v1"
    ROSTER = "safeborders roster v1"
    KEY_RENEWAL = "safeborders key renewal v1"
    APPROVAL = "safeborders approval v1"
    AUDIT_ENTRY = "safeborders audit entry v1"
    STUDY_KEY = "safeborders study key v1"
    CONTRIBUTION = "safeborders contribution v1"
    LEDGER_HEAD = "safeborders ledger head v1"
    JOINED = "safeborders joined v1"
    TESTIMONY = "safeborders testimony v1"
    STUDY_REFUSAL = "safeborders study refusal v1"
    RECONCILIATION = "safeborders reconciliation v1"
    MODEL = "safeborders model v1"
    TABLES = "safeborders tables v1"
    NOISY_COPY = "safeborders noisy copy v1"
    ENROLMENT_REQUEST = "safeborders enrolment request v1"
    ENROLMENT_BUNDLE = "safeborders enrolment bundle v1"
    BACKUP = "safeborders backup v1"
    NOTICE = "safeborders notice v1"
    SERVICE_KEY = "safeborders service key v1"
    STATE_CHANGE = "safeborders state change v1"
    SHARED_REVIEW = "safeborders shared review v1"
    APPROVAL_WITHDRAWAL = "safeborders approval withdrawal v1"
    LINK = "safeborders link v1"


def message(purpose: Purpose, payload: bytes) -> bytes:
    """The bytes that a signature for this purpose covers."""
    name = purpose.value.encode("ascii")
    return struct.pack("<I", len(name)) + name + payload


def public_hex(key: Ed25519PrivateKey) -> str:
    """The public key of a signing key, 64 hexadecimal digits."""
    return key.public_key().public_bytes_raw().hex()


def sign(key: Ed25519PrivateKey, purpose: Purpose, payload: bytes) -> str:
    """A signature, 128 hexadecimal digits."""
    return key.sign(message(purpose, payload)).hex()


def verify(public: str, purpose: Purpose, payload: bytes, signature: str) -> None:
    """Checks a signature.

    Raises:
        PeerError: ``bad-signature``, also when key or signature are not well-formed.
    """
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
        key.verify(bytes.fromhex(signature), message(purpose, payload))
    except (InvalidSignature, ValueError) as error:
        raise PeerError(
            "bad-signature",
            f"a signature for purpose {purpose.value!r} does not verify",
            "find out who changed the message or used another key",
        ) from error
