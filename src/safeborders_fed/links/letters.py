"""Letters between two states that the coordinator carries and cannot read.

Guarantees, for whoever lacks the pair's key:

- Nothing of the content is learned but its length in powers of two from 256 bytes, and no sealed letter can
  be made or changed (ChaCha20-Poly1305, RFC 8439). Each letter has a key of its own, derived with HKDF-SHA256
  from the pair's key and 32 fresh random bytes, so no nonce is ever used twice, however many letters there
  are.
- A letter opens only as what it was sealed as: exchange, sender and receiver are in the derivation of its key
  and in the associated data. One that is sent back to its sender, or in another exchange, does not open.

Not given: order, and that a letter comes once. Letters carry an id, and the receiver refuses one that it has
seen. Both states have the key, so a letter proves to nobody else who wrote it; what must convince others is
signed inside.
"""

from __future__ import annotations

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from safeborders_fed.errors import DefectError, PeerError
from safeborders_fed.masking import layout

_PROTOCOL: Final = b"safeborders link letter v1"
_SALT_BYTES: Final = 32
_SIZE_BYTES: Final = 4
_SMALLEST: Final = 256
LONGEST: Final = 2**18 - _SIZE_BYTES
"""Bytes of a letter at most: sealed and in hexadecimal digits it then fits into what a node says."""
_NONCE: Final = bytes(12)
"""Each key seals one letter, so its nonce can be the same for all."""


def seal(key: bytes, exchange: str, sender: str, receiver: str, plaintext: bytes) -> bytes:
    """A sealed letter.

    Args:
        key: The pair's key for letters, 32 bytes.
        exchange: In which exchange it is sent.
        sender: Who sends it.
        receiver: To whom.
        plaintext: What it says.

    Raises:
        DefectError: ``letter-too-long``.
    """
    if len(plaintext) > LONGEST:
        raise DefectError(
            "letter-too-long",
            f"a letter has {len(plaintext):,} bytes, more than {LONGEST:,}",
            "report this to the developers: letters are to be split",
        )
    salt, context = os.urandom(_SALT_BYTES), _context(exchange, sender, receiver)
    padded = len(plaintext).to_bytes(_SIZE_BYTES, "little") + plaintext
    size = max(_SMALLEST, 1 << (len(padded) - 1).bit_length())
    cipher = ChaCha20Poly1305(_letter_key(key, salt, context))
    return salt + cipher.encrypt(_NONCE, padded.ljust(size, b"\0"), context)


def unseal(key: bytes, exchange: str, sender: str, receiver: str, sealed: bytes) -> bytes:
    """What a sealed letter says.

    Args:
        key: The pair's key for letters, 32 bytes.
        exchange: In which exchange it came.
        sender: Who is said to have sent it.
        receiver: To whom.
        sealed: The sealed letter.

    Raises:
        PeerError: ``unopened-letter``.
    """
    context = _context(exchange, sender, receiver)
    salt, rest = sealed[:_SALT_BYTES], sealed[_SALT_BYTES:]
    try:
        padded = ChaCha20Poly1305(_letter_key(key, salt, context)).decrypt(_NONCE, rest, context)
    except InvalidTag as error:
        raise _unopened(sender) from error
    size = int.from_bytes(padded[:_SIZE_BYTES], "little")
    plaintext, padding = padded[_SIZE_BYTES : _SIZE_BYTES + size], padded[_SIZE_BYTES + size :]
    if len(plaintext) != size or padding.strip(b"\0"):
        raise _unopened(sender)
    return plaintext


def _context(exchange: str, sender: str, receiver: str) -> bytes:
    return layout.prefixed(_PROTOCOL, *(part.encode("utf-8") for part in (exchange, sender, receiver)))


def _letter_key(key: bytes, salt: bytes, context: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=salt, info=context).derive(key)


def _unopened(sender: str) -> PeerError:
    return PeerError(
        "unopened-letter",
        f"a letter said to be from {sender} does not open: it was changed, or sealed "
        "for another exchange or state",
        "ask that node's team, over another line, to send it again",
    )
