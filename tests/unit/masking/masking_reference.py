"""The protocol of docs/masking.md once more, slowly, from the documents alone.

Shares no code with `safeborders_fed.masking`: X25519 after RFC 7748 in whole numbers, HKDF after RFC 5869 on
`hmac`, counter mode written out over single AES blocks, sums in whole numbers.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

PRIME = 2**255 - 19


def x25519(private: bytes, u: int = 9) -> bytes:
    scalar = int.from_bytes(private, "little")
    scalar = (scalar & ((1 << 254) - 8)) | (1 << 254)
    x2, z2, x3, z3 = 1, 0, u, 1
    for bit in reversed(range(255)):
        if scalar >> bit & 1:
            x2, z2, x3, z3 = _step(u, x3, z3, x2, z2, swap=True)
        else:
            x2, z2, x3, z3 = _step(u, x2, z2, x3, z3, swap=False)
    return (x2 * pow(z2, PRIME - 2, PRIME) % PRIME).to_bytes(32, "little")


def _step(u: int, x2: int, z2: int, x3: int, z3: int, *, swap: bool) -> tuple[int, int, int, int]:
    a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
    aa, bb, da, cb = a * a, b * b, d * a, c * b
    e = aa - bb
    doubled = aa * bb % PRIME, e * (aa + 121665 * e) % PRIME
    added = (da + cb) ** 2 % PRIME, u * (da - cb) ** 2 % PRIME
    return (*added, *doubled) if swap else (*doubled, *added)


def hkdf(secret: bytes, info: bytes) -> bytes:
    extracted = hmac.digest(bytes(32), secret, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def joined(*fields: bytes) -> bytes:
    return b"".join(len(field).to_bytes(4, "little") + field for field in fields)


def info(binding: dict[str, Any], one: str, other: str, dimension: int) -> bytes:
    participants = sorted((node.encode(), bytes.fromhex(key)) for node, key in binding["participants"])
    keys = dict(participants)
    first, second = sorted((one.encode(), other.encode()))
    listed = joined(b"safeborders participants v1", *(field for pair in participants for field in pair))
    return joined(
        b"safeborders mask v1",
        binding["protocol"].to_bytes(8, "little"),
        bytes.fromhex(binding["manifest_hash"]),
        bytes.fromhex(binding["roster_hash"]),
        binding["round"].to_bytes(8, "little"),
        binding["attempt"].to_bytes(8, "little"),
        bytes.fromhex(binding["broadcast_hash"]),
        hashlib.sha256(listed).digest(),
        first,
        second,
        keys[first],
        keys[second],
        dimension.to_bytes(8, "little"),
    )


def keystream(key: bytes, dimension: int) -> list[int]:
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305 - counter mode, block by block
    blocks = b"".join(encryptor.update(count.to_bytes(16, "big")) for count in range((dimension + 1) // 2))
    return [int.from_bytes(blocks[8 * i : 8 * i + 8], "little") for i in range(dimension)]


def mask(private: bytes, node: str, binding: dict[str, Any], dimension: int) -> list[int]:
    total = [0] * dimension
    for peer, public in binding["participants"]:
        if peer == node:
            continue
        secret = x25519(private, int.from_bytes(bytes.fromhex(public), "little"))
        key = hkdf(secret, info(binding, node, peer, dimension))
        sign = 1 if node.encode() < peer.encode() else -1
        words = keystream(key, dimension)
        total = [(have + sign * word) % 2**64 for have, word in zip(total, words, strict=True)]
    return total


def offer_payload(offer: dict[str, str]) -> bytes:
    return joined(
        offer["node"].encode(),
        offer["study"].encode(),
        bytes.fromhex(offer["manifest_hash"]),
        bytes.fromhex(offer["roster_hash"]),
        bytes.fromhex(offer["boot_epoch"]),
        bytes.fromhex(offer["public"]),
    )
