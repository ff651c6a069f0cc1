"""Several byte strings in one file: a canonical JSON header with their lengths, then the bytes themselves.

Guarantees: ``unpack`` accepts only what ``pack`` writes, and says what is wrong without echoing content.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

from safeborders_fed.errors import PeerError
from safeborders_fed.study import canonical

_MAGIC: Final = b"SBFB"
_START: Final = len(_MAGIC) + 4


def pack(header: Mapping[str, Any], items: Sequence[bytes]) -> bytes:
    """The bytes of a bundle."""
    text = canonical.serialise({**header, "lengths": [len(item) for item in items]})
    return b"".join([_MAGIC, struct.pack("<I", len(text)), text, *items])


def unpack(data: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """Header and items of a bundle.

    Raises:
        PeerError: ``not-canonical`` or ``malformed-bundle``.
    """
    if len(data) < _START or data[: len(_MAGIC)] != _MAGIC:
        raise malformed("it does not begin as one")
    (length,) = struct.unpack("<I", data[len(_MAGIC) : _START])
    header = canonical.parse(data[_START : _START + length])
    lengths = header.pop("lengths", None) if isinstance(header, dict) else None
    if not isinstance(lengths, list) or not all(type(size) is int and size >= 0 for size in lengths):
        raise malformed("its items are not described")
    if _START + length + sum(lengths) != len(data):
        raise malformed("it is cut off, or bytes follow its end")
    items, start = [], _START + length
    for size in lengths:
        items.append(data[start : start + size])
        start += size
    return header, items


def malformed(why: str) -> PeerError:
    """The error for bytes that are no bundle."""
    return PeerError(
        "malformed-bundle",
        f"a record is not one of this software: {why}",
        "get it again from where it came, unchanged",
    )
