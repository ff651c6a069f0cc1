"""The envelopes of the second protocol: what nodes and coordinator exchange to find links between case files.

A coordinator asks a node for one step of an exchange (``LinkAsk``), passing on what nodes have said; the node
answers (``LinkAnswer``). What a node says is a ``Said``: canonical JSON of one kind, signed with the node's
key in the roster. Arrays travel beside it, unsigned; who relies on one checks it against the hash that the
text names (``array_hash``).

Guarantees: strict models, canonical bytes, bounded sizes; arrays hold uint64 only. Whether a saying means
anything is for ``links`` to decide: nothing in here is believed.

A point or scalar of 32 bytes is four little-endian uint64, a tag or handle of 16 bytes is two.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic import Field as Limit

from safeborders_fed.errors import PeerError
from safeborders_fed.masking.signing import Purpose, sign, verify
from safeborders_fed.study import canonical, wire

Words = NDArray[np.uint64]
"""Bytes of equal length, one row each: uint64, shape (n, length / 8)."""
MOST_SAID: Final = 64
LONGEST_TEXT: Final = 2**20
_ASK: Final = "link-ask"
_ANSWER: Final = "link-answer"
_NAME: Final = r"^[a-z0-9][a-z0-9-]{0,63}$"
Word = Annotated[str, Limit(pattern=_NAME)]
"""Name of an exchange or a step, or a kind of saying."""
_STRICT: Final = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)


class Said(BaseModel):
    """What one node says, signed.

    Attributes:
        node: Who says it.
        kind: What it is, such as ``chunk``; a saying of one kind never passes for another.
        text: Canonical JSON.
        signature: By the node's key in the roster, over node, kind and text.
    """

    model_config = _STRICT

    node: Annotated[str, Limit(pattern=r"^[A-Z]{2}$")]
    kind: Word
    text: Annotated[str, Limit(max_length=LONGEST_TEXT)]
    signature: Annotated[str, Limit(pattern=r"^[0-9a-f]{128}$")]

    def content(self, public: str, kind: str) -> dict[str, Any]:
        """What it says, checked to be of this kind and by this key.

        Args:
            public: The node's key, 64 hexadecimal digits.
            kind: What is expected.

        Raises:
            PeerError: ``bad-signature``, ``wrong-saying`` or ``not-canonical``.
        """
        if self.kind != kind:
            raise wrong_saying(self.node, f"a {self.kind!r} instead of a {kind!r}")
        verify(public, Purpose.LINK, _signed(self.node, self.kind, self.text), self.signature)
        found = canonical.parse(self.text.encode("utf-8"))
        if not isinstance(found, dict):
            raise wrong_saying(self.node, f"a {kind!r} that is no object")
        return found

    @property
    def hash(self) -> str:
        """SHA-256 of its text."""
        return canonical.sha256(self.text.encode("utf-8"))


def say(node: str, key: Ed25519PrivateKey, kind: str, content: Mapping[str, Any]) -> Said:
    """Signs what a node says."""
    text = canonical.serialise(dict(content)).decode("utf-8")
    return Said(node=node, kind=kind, text=text, signature=sign(key, Purpose.LINK, _signed(node, kind, text)))


def wrong_saying(node: str, what: str) -> PeerError:
    """The error for a saying that is not what its step wants."""
    return PeerError(
        "wrong-saying",
        f"{node} says {what} in an exchange of links",
        "check that all nodes run the same version; if they do, ask that node's team what happened",
    )


@dataclass(frozen=True)
class LinkAsk:
    """The coordinator asks a node for one step.

    Attributes:
        exchange: The exchange.
        step: The step.
        said: What nodes have said, passed on unchanged.
        content: Further facts, the coordinator's own word.
        arrays: uint64 by name.
    """

    exchange: str
    step: str
    said: tuple[Said, ...] = ()
    content: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, Words] = field(default_factory=dict)

    def encode(self) -> bytes:
        """The bytes of the message."""
        header = {
            "type": _ASK,
            "exchange": self.exchange,
            "step": self.step,
            "said": [each.model_dump() for each in self.said],
            "content": self.content,
        }
        return wire.encode(header, self.arrays)


@dataclass(frozen=True)
class LinkAnswer:
    """A node answers a step.

    Attributes:
        exchange: The exchange.
        step: The step that it answers.
        said: What the node says.
        arrays: uint64 by name; the text names the hash of each.
    """

    exchange: str
    step: str
    said: Said
    arrays: dict[str, Words] = field(default_factory=dict)

    def encode(self) -> bytes:
        """The bytes of the message."""
        header = {
            "type": _ANSWER,
            "exchange": self.exchange,
            "step": self.step,
            "said": self.said.model_dump(),
        }
        return wire.encode(header, self.arrays)


LinkMessage = LinkAsk | LinkAnswer


def is_link(kind: Any) -> bool:
    """Whether a message's type is one of these."""
    return kind in (_ASK, _ANSWER)


def parse_link(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> LinkMessage:
    """The message of a header and its arrays.

    Raises:
        KeyError, TypeError, ValueError: the fields are not those of the type.
    """
    words = {name: _words(array) for name, array in arrays.items()}
    exchange, step = (_Names(word=header[name]).word for name in ("exchange", "step"))
    if header["type"] == _ANSWER:
        return LinkAnswer(exchange, step, _said(header["said"]), words)
    said, content = header["said"], header["content"]
    if not isinstance(said, list) or len(said) > MOST_SAID or not isinstance(content, dict):
        raise TypeError("said")
    return LinkAsk(exchange, step, tuple(map(_said, said)), content, words)


def array_hash(array: Words) -> str:
    """SHA-256 of an array of points, tags or the like: of its bytes, row by row."""
    return hashlib.sha256(np.ascontiguousarray(array, dtype="<u8").tobytes()).hexdigest()


def to_words(rows: list[bytes], length: int) -> Words:
    """Byte strings of one length, a multiple of 8, as an array of shape (n, length / 8)."""
    return np.frombuffer(b"".join(rows), dtype="<u8").reshape(len(rows), length // 8).astype(np.uint64)


def to_rows(array: Words) -> list[bytes]:
    """The byte strings of an array that ``to_words`` made."""
    data, length = np.ascontiguousarray(array, dtype="<u8").tobytes(), 8 * array.shape[1]
    return [data[at : at + length] for at in range(0, len(data), length)]


class _Names(BaseModel):
    model_config = _STRICT

    word: Word


def _said(content: Any) -> Said:
    try:
        return Said.model_validate(content)
    except ValidationError as error:
        raise ValueError("said") from error


def _words(array: NDArray[Any]) -> Words:
    if array.dtype != wire.DTYPES["u8"] or array.ndim != 2:
        raise TypeError("array")
    return array.astype(np.uint64)


def _signed(node: str, kind: str, text: str) -> bytes:
    return canonical.serialise({"node": node, "kind": kind, "text": text})
