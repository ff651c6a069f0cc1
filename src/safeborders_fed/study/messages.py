"""The messages of a round, and their one byte form.

Guarantees:

- A message is a length-prefixed canonical JSON header followed by raw little-endian arrays that the header
  names. ``decode`` accepts only what ``encode`` writes, and says what is wrong without echoing content.
- What a node sends is a ``Contribution`` or a ``Refusal``, nothing else. A refusal carries one code of a
  fixed list that data never decides. The length of a contribution follows from the manifest alone.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.errors import PeerError
from safeborders_fed.study import canonical

PROTOCOL: Final = 1
_MAGIC: Final = b"SBF1"
_LARGEST_HEADER: Final = 2**20
_LARGEST_ARRAY: Final = 2**29
_DTYPES: Final = {"f8": np.dtype("<f8"), "u8": np.dtype("<u8")}

Attempt = tuple[str, int, int]
"""Study, round and attempt: what an answer belongs to."""


class Reason(StrEnum):
    """Why a node does not contribute. None of them depends on case data."""

    NOT_APPROVED = "not-approved"
    POLICY = "policy"
    BUDGET = "budget"
    EXPIRED = "expired"
    MALFORMED = "malformed"
    REPLAYED = "replayed"
    UNAVAILABLE = "unavailable"


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
        broadcast: Named float64 arrays.
    """

    study: str
    manifest_hash: str
    stage: str
    round: int
    attempt: int
    participants: tuple[str, ...]
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
        }
        return _encode(header, self.broadcast)


@dataclass(frozen=True)
class Contribution:
    """A node answers: its bounded sum with noise, modulo 2^64.

    Attributes:
        vector: uint64, shape (dimension,).
    """

    study: str
    round: int
    attempt: int
    node: str
    vector: NDArray[np.uint64]

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
        }
        return _encode(header, {"vector": self.vector})


@dataclass(frozen=True)
class Refusal:
    """A node does not contribute. What it means is written in the node's own log."""

    node: str
    reason: Reason

    def encode(self) -> bytes:
        """The bytes of the message."""
        return _encode({"type": "refusal", "node": self.node, "reason": self.reason.value}, {})


Message = Round | Contribution | Refusal


def _encode(header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> bytes:
    names = sorted(arrays)
    described, buffers = [], []
    for name in names:
        array = arrays[name]
        code = "u8" if array.dtype == np.uint64 else "f8"
        described.append([name, code, list(array.shape)])
        buffers.append(np.ascontiguousarray(array, dtype=_DTYPES[code]).tobytes())
    text = canonical.serialise({**header, "protocol": PROTOCOL, "arrays": described})
    return b"".join([_MAGIC, struct.pack("<I", len(text)), text, *buffers])


def decode(data: bytes) -> Message:
    """The message that the bytes hold.

    Raises:
        PeerError: ``malformed-message`` or ``wrong-protocol``.
    """
    header, arrays = _open(data)
    try:
        message = _message(header, arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise _malformed(f"a field is missing or wrong ({type(error).__name__})") from error
    if message.encode() != data:
        raise _malformed("other bytes would stand for the same message")
    return message


def _open(data: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    if len(data) < 8 or data[:4] != _MAGIC:
        raise _malformed("it does not begin as one")
    (length,) = struct.unpack("<I", data[4:8])
    if length > _LARGEST_HEADER or 8 + length > len(data):
        raise _malformed("its header is cut off")
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
        raise _malformed("its arrays are not described")
    for entry in described:
        name, dtype, shape = _description(entry)
        count = int(np.prod(shape, dtype=object)) if shape else 1
        end = start + 8 * count
        if count > _LARGEST_ARRAY or end > len(data) or name in arrays:
            raise _malformed("an array is cut off, too long, or named twice")
        arrays[name] = np.frombuffer(data, dtype=dtype, count=count, offset=start).reshape(shape)
        start = end
    if start != len(data):
        raise _malformed("bytes follow its end")
    return header, arrays


def _description(entry: Any) -> tuple[str, np.dtype[Any], tuple[int, ...]]:
    match entry:
        case [str(name), ("f8" | "u8") as code, list(shape)] if all(
            type(size) is int and 0 <= size <= _LARGEST_ARRAY for size in shape
        ):
            return name, _DTYPES[code], tuple(shape)
    raise _malformed("an array is not described as name, type and shape")


def _message(header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Message:
    match header["type"]:
        case "round":
            participants = header["participants"]
            if any(array.dtype != _DTYPES["f8"] for array in arrays.values()) or not isinstance(
                participants, list
            ):
                raise TypeError("broadcast")
            return Round(
                _text(header, "study"),
                _text(header, "manifest_hash"),
                _text(header, "stage"),
                _count(header, "round"),
                _count(header, "attempt"),
                tuple(_text({"name": name}, "name") for name in participants),
                {name: array.astype(np.float64) for name, array in arrays.items()},
            )
        case "contribution":
            (vector,) = arrays.values()
            if vector.dtype != _DTYPES["u8"] or vector.ndim != 1:
                raise TypeError("vector")
            return Contribution(
                _text(header, "study"),
                _count(header, "round"),
                _count(header, "attempt"),
                _text(header, "node"),
                vector.astype(np.uint64),
            )
        case "refusal":
            return Refusal(_text(header, "node"), Reason(header["reason"]))
    raise _malformed("its type is unknown")


def _text(header: dict[str, Any], name: str) -> str:
    value = header[name]
    if not isinstance(value, str) or len(value) > 200:
        raise TypeError(name)
    return value


def _count(header: dict[str, Any], name: str) -> int:
    value = header[name]
    if type(value) is not int or not 0 <= value < 2**31:
        raise TypeError(name)
    return value


def _malformed(why: str) -> PeerError:
    return PeerError(
        "malformed-message",
        f"a message is not one of this protocol: {why}",
        "check that both sides run the same version and that nothing in between changes messages",
    )
