"""One byte form for each JSON value, so that hashes and signatures mean one thing.

Guarantees: keys sorted, no white space, UTF-8, no NaN or infinity, no repeated key; ``parse`` accepts only
bytes that ``serialise`` would write.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from safeborders_fed.errors import PeerError

_LONGEST_NUMBER = 40


def serialise(value: Any) -> bytes:
    """The canonical bytes of a JSON value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def parse(data: bytes) -> Any:
    """The JSON value of canonical bytes.

    Raises:
        PeerError: ``not-canonical``, when the bytes are not JSON or not in canonical form.
    """
    value = load(data)
    try:
        same = serialise(value) == data
    except ValueError as error:
        raise _not_canonical(type(error).__name__) from error
    if not same:
        raise _not_canonical("other bytes would stand for the same value")
    return value


def load(data: bytes) -> Any:
    """The JSON value of bytes that the caller compares with its canonical form.

    Raises:
        PeerError: ``not-canonical``, when the bytes are not JSON.
    """
    try:
        return json.loads(
            data.decode("utf-8"), parse_constant=_refuse, parse_int=_integer, object_pairs_hook=_object
        )
    except (ValueError, RecursionError) as error:
        raise _not_canonical(type(error).__name__) from error


def sha256(data: bytes) -> str:
    """SHA-256 in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def _refuse(text: str) -> float:
    raise ValueError(text)


def _integer(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError("a number of too many digits")
    return int(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a repeated key")
    return result


def _not_canonical(why: str) -> PeerError:
    return PeerError(
        "not-canonical",
        f"a message or document is not canonical JSON: {why}",
        "ask its author to write it with this software, unchanged",
    )
