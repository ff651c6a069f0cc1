"""The one byte form of messages: version, a length-prefixed canonical JSON header, raw little-endian arrays.

Guarantees:

- The header names each array with its type and shape; nothing follows them; sizes are bounded before anything
  is allocated. What is wrong is said without echoing content.
- Every message begins with the protocol (in the magic) and the minor version of the software that wrote it.
  Both sides work together with the same protocol and minor versions that differ by one at most; otherwise the
  error names both versions and the side to upgrade, before anything else of the message is read.
- Signatures and hashes are over ``unversioned`` bytes, so that minor versions agree on them (ADR 15).
"""

from __future__ import annotations

import struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.errors import PeerError
from safeborders_fed.study import canonical

PROTOCOL: Final = 2
"""Raised whenever an existing message, hash or signature changes. It stands in the magic, as one digit."""
MINOR: int = 1
"""Raised whenever a kind of message, or a word in a fixed list, is added. Nothing else changes with it."""
SUPPORTED_DIFFERENCE: Final = 1
_MAGIC: Final = b"SBF"
_VERSION: Final = struct.Struct("<3scH")
_LENGTH: Final = struct.Struct("<I")
_START: Final = _VERSION.size + _LENGTH.size
_LARGEST_HEADER: Final = 2**24
_LARGEST_ARRAY: Final = 2**29
_MOST_DIMENSIONS: Final = 3
DTYPES: Final = {"f8": np.dtype("<f8"), "u8": np.dtype("<u8")}


def encode(header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> bytes:
    """The bytes of a message; arrays are float64 or uint64."""
    names = sorted(arrays)
    described, buffers = [], []
    for name in names:
        array = arrays[name]
        code = "u8" if array.dtype == np.uint64 else "f8"
        described.append([name, code, list(array.shape)])
        buffers.append(np.ascontiguousarray(array, dtype=DTYPES[code]).tobytes())
    text = canonical.serialise({**header, "protocol": PROTOCOL, "arrays": described})
    version = _VERSION.pack(_MAGIC, str(PROTOCOL).encode("ascii"), MINOR)
    return b"".join([version, _LENGTH.pack(len(text)), text, *buffers])


def unversioned(data: bytes) -> bytes:
    """A message without its minor version: what signatures, hashes and comparisons are over."""
    return data[: len(_MAGIC) + 1] + data[_VERSION.size :]


def version_of(data: bytes) -> tuple[int, int]:
    """Protocol and minor version of whoever wrote a message.

    Raises:
        PeerError: ``malformed-message``.
    """
    if len(data) < _START or data[: len(_MAGIC)] != _MAGIC:
        raise malformed("it does not begin as one")
    _, digit, minor = _VERSION.unpack_from(data)
    if not digit.isdigit():
        raise malformed("it does not begin as one")
    return int(digit), minor


def _require_version(theirs: tuple[int, int]) -> None:
    ours = (PROTOCOL, MINOR)
    if theirs[0] == PROTOCOL and abs(theirs[1] - MINOR) <= SUPPORTED_DIFFERENCE:
        return
    side = "this side" if theirs > ours else "the other side"
    raise PeerError(
        "wrong-protocol",
        f"the other side speaks protocol {theirs[0]}.{theirs[1]}, this side {PROTOCOL}.{MINOR}: "
        f"{side} is too old",
        f"install on {side} the version that the newer one has; one minor version apart is near enough",
    )


def open_message(data: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Header and arrays of a message; that they are in canonical form is for the caller to check.

    Raises:
        PeerError: ``malformed-message``, ``not-canonical`` or ``wrong-protocol``.
    """
    _require_version(version_of(data))
    (length,) = _LENGTH.unpack_from(data, _VERSION.size)
    if length > _LARGEST_HEADER or _START + length > len(data):
        raise malformed("its header is cut off")
    # That it is canonical follows from encoding it again.
    header = canonical.load(data[_START : _START + length])
    if not isinstance(header, dict) or header.get("protocol") != PROTOCOL:
        raise malformed("its header is of another protocol than its beginning")
    arrays: dict[str, NDArray[Any]] = {}
    start = _START + length
    described = header.get("arrays")
    if not isinstance(described, list):
        raise malformed("its arrays are not described")
    for entry in described:
        name, dtype, shape = _description(entry)
        count = int(np.prod(shape, dtype=object)) if shape else 1
        end = start + 8 * count
        if count > _LARGEST_ARRAY or end > len(data) or name in arrays:
            raise malformed("an array is cut off, too long, or named twice")
        arrays[name] = np.frombuffer(data, dtype=dtype, count=count, offset=start).reshape(shape)
        start = end
    if start != len(data):
        raise malformed("bytes follow its end")
    return header, arrays


def _description(entry: Any) -> tuple[str, np.dtype[Any], tuple[int, ...]]:
    match entry:
        case [str(name), ("f8" | "u8") as code, list(shape)] if len(shape) <= _MOST_DIMENSIONS and all(
            type(size) is int and 0 <= size <= _LARGEST_ARRAY for size in shape
        ):
            return name, DTYPES[code], tuple(shape)
    raise malformed("an array is not described as name, type and shape")


def malformed(why: str) -> PeerError:
    """The error for bytes that are no message of this protocol."""
    return PeerError(
        "malformed-message",
        f"a message is not one of this protocol: {why}",
        "check that both sides run the same version and that nothing in between changes messages",
    )
