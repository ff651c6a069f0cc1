"""Documents that are nearly valid: one or a few fields, tokens or bytes of a valid one exchanged.

Everything is drawn from the given generator, so a document comes again from its seed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from safeborders_fed.study import canonical, wire

ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**53,
    2**63,
    2**64,
    10**39,
    -(2**200),
    0.0,
    -0.0,
    0.5,
    1e-320,
    1e308,
    -1e308,
    "",
    "x",
    "0",
    "=1+1",
    "..",
    "../../etc/passwd",
    "\0",
    "\ud800",
    "\u202e",
    "é" * 40,
    "x" * 5000,
    "9" * 400,
    "ab" * 32,
    "AB" * 32,
    "00" * 64,
    "ff" * 64,
    "BE",
    "ZZ",
    "2026-02-30",
    "2026-01-01",
    "9999-12-31",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59+14:00",
    "all",
    [],
    [[]],
    {},
    {"": {}},
    [0] * 200,
    {"a": [1, {"b": None}]},
)
NUMBERS = (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"1" * 400, b"0" * 3, b"01", b"1.", b"-", b"1E+400")
TOML_VALUES = (
    "true", "-1", "0", "1.5", "nan", "inf", "-inf", "1e400", "9" * 400, '""', '"\\u0000"', '"x"', '"../.."',
    "[]", "[[]]", "{}", '["sex", 1]', "{ a = 1 }", "1979-05-27", "1979-05-27T07:32:00Z", "07:32:00",
    "'''", '"\\ud800"', '"' + "x" * 5000 + '"', "[" * 2000, "{ a.b = 1, a.c = 2 }", "0x7fffffffffffffff",
)  # fmt: skip
_NESTED = 3000


def mutated_json(rng: random.Random, value: Any) -> Any:
    """The value with up to three places changed."""
    copy = json.loads(json.dumps(value))
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        copy = _changed(rng, copy)
    return copy


def _changed(rng: random.Random, value: Any) -> Any:
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(sorted(value))
        match rng.randrange(6):
            case 0:
                del value[key]
            case 1:
                value[rng.choice(("extra", "", "id", "\u202e", key + "_"))] = _odd(rng)
            case _:
                value[key] = _changed(rng, value[key])
        return value
    if isinstance(value, list) and value and rng.random() < 0.9:
        index = rng.randrange(len(value))
        match rng.randrange(6):
            case 0:
                del value[index]
            case 1:
                value.insert(index, value[index])
            case 2:
                value.reverse()
            case _:
                value[index] = _changed(rng, value[index])
        return value
    return _leaf(rng, value)


def _leaf(rng: random.Random, value: Any) -> Any:
    if isinstance(value, str) and value and rng.random() < 0.4:
        at = rng.randrange(len(value))
        return value[:at] + rng.choice(("", "0", "f", "é", "\0", value[at:] * 2)) + value[at + 1 :]
    if isinstance(value, int | float) and not isinstance(value, bool) and rng.random() < 0.5:
        return rng.choice((value + 1, -value, value * 2, value * 10**6, float(value), value / 3))
    return _odd(rng)


def _odd(rng: random.Random) -> Any:
    return deepcopy(rng.choice(ODD))


def serialised(rng: random.Random, value: Any) -> bytes:
    """Mostly canonical bytes of a value; sometimes others for it, or for no JSON value."""
    try:
        data = canonical.serialise(value)
    except ValueError:  # a lone surrogate, or a number that is not finite
        data = json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")
    match rng.randrange(12):
        case 0:
            return json.dumps(value, indent=1).encode("utf-8", "surrogatepass")
        case 1:
            return data.replace(b":", b":" + rng.choice(NUMBERS) + b",", 1)
        case 2:
            return data[:1] + b'"schema_version":1,' + data[1:]
        case 3:
            return data[:-1] + b',"deep":' + b"[" * _NESTED + b"]" * _NESTED + data[-1:]
        case 4:
            return flipped(rng, data)
    return data


def flipped(rng: random.Random, data: bytes) -> bytes:
    """A few bytes changed, cut out or doubled."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(len(out) + 1)
        match rng.randrange(4):
            case 0 if at < len(out):
                out[at] ^= 1 << rng.randrange(8)
            case 1:
                del out[at : at + rng.randrange(1, 9)]
            case 2:
                out[at:at] = rng.randbytes(rng.randrange(1, 9))
            case _:
                out[at:at] = out[at : at + rng.randrange(1, 40)]
    return bytes(out)


def json_document(rng: random.Random, data: bytes) -> bytes:
    """A JSON document with fields or bytes changed."""
    return serialised(rng, mutated_json(rng, json.loads(data)))


def resealed(rng: random.Random, value: Any, seal: Callable[[Any], bytes]) -> bytes:
    """A value with fields changed, under a signature that holds, or no canonical form for want of one."""
    changed = mutated_json(rng, value)
    try:
        return seal(changed)
    except (ValueError, TypeError):
        return serialised(rng, changed)


def toml_document(rng: random.Random, data: bytes) -> bytes:
    """A TOML text with lines, values or bytes changed."""
    lines = data.decode("utf-8").splitlines()
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(lines))
        match rng.randrange(6):
            case 0:
                del lines[at]
                lines = lines or [""]
            case 1:
                lines.insert(at, rng.choice(lines))
            case 2:
                lines.insert(at, rng.choice(("[policy]", "[[policy]]", "[a.b.c]", "x = 1", "country.x = 1")))
            case 3:
                name, equals, _ = lines[at].partition("=")
                lines[at] = f"{name.replace(' ', '')}_{equals} 1"
            case _:
                name, equals, _ = lines[at].partition("=")
                lines[at] = f"{name}{equals or '='} {rng.choice(TOML_VALUES)}"
    text = "\n".join(lines).encode("utf-8", "surrogatepass")
    return flipped(rng, text) if rng.random() < 0.2 else text


def message(rng: random.Random, data: bytes) -> bytes:
    """A message of the wire with its header, its arrays' description or bytes changed."""
    if rng.random() < 0.2:
        return flipped(rng, data)
    start = wire._START
    length = int.from_bytes(data[start - 4 : start], "little")
    header = json_document(rng, data[start : start + length])
    size = rng.choice((0, 2**24, 2**32 - 1)) if rng.random() < 0.05 else len(header)
    begin = data[: start - 4] if rng.random() < 0.9 else flipped(rng, data[: start - 4])
    return begin + size.to_bytes(4, "little") + header + data[start + length :]


def model_file(rng: random.Random, data: bytes) -> bytes:
    """A safetensors file with its header, the description in it, or bytes changed."""
    if rng.random() < 0.2:
        return flipped(rng, data)
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    if rng.random() < 0.7:
        (entry,) = header["__metadata__"]
        text = json_document(rng, header["__metadata__"][entry].encode("utf-8"))
        header["__metadata__"][entry] = text.decode("utf-8", "replace")
        changed = json.dumps(header).encode("utf-8")
    else:
        changed = json_document(rng, json.dumps(header).encode("utf-8"))
    size = rng.choice((0, 2**40, 2**64 - 1)) if rng.random() < 0.05 else len(changed)
    return size.to_bytes(8, "little") + changed + data[8 + length :]
