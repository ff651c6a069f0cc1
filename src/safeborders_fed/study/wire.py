"""The one byte form of messages: a length-prefixed canonical JSON header, then raw little-endian arrays.

Guarantees: the header names each array with its type and shape; nothing follows them; sizes are bounded
before anything is allocated. What is wrong is said without echoing content.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.errors import PeerError
from safeborders_fed.study import canonical

PROTOCOL: Final = 1
_MAGIC: Final = b"SBF1"
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
    return b"".join([_MAGIC, struct.pack("<I", len(text)), text, *buffers])


def open_message(data: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Header and arrays of a message; that they are in canonical form is for the caller to check.

    Raises:
        PeerError: ``malformed-message``, ``not-canonical`` or ``wrong-protocol``.
    """
    if len(data) < 8 or data[:4] != _MAGIC:
        raise malformed("it does not begin as one")
    (length,) = struct.unpack("<I", data[4:8])
    if length > _LARGEST_HEADER or 8 + length > len(data):
        raise malformed("its header is cut off")
    header = canonical.load(data[8 : 8 + length])  # that it is canonical follows from encoding it again
    if not isinstance(header, dict) or header.get("protocol") != PROTOCOL:
        raise PeerError(
            "wrong-protocol",
            f"the other side does not speak protocol {PROTOCOL}",
            "install the same version on both sides",
        )
    arrays: dict[str, NDArray[Any]] = {}
    start = 8 + length
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
