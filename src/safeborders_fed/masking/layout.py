"""The byte layout of everything that masking signs or derives keys from.

Guarantees: different sequences of fields have different bytes, since each field carries its length; numbers
are little-endian; hexadecimal text has one accepted form, lower case without white space.
"""

from __future__ import annotations

import re
import struct

from safeborders_fed.errors import PeerError

_LONGEST_NAME = 200
_HEXADECIMAL = re.compile(r"[0-9a-f]*")


def prefixed(*fields: bytes) -> bytes:
    """Each field as its length (4 bytes, little-endian) followed by its bytes."""
    return b"".join(struct.pack("<I", len(field)) + field for field in fields)


def number(value: object, what: str) -> bytes:
    """A count as 8 bytes, little-endian.

    Raises:
        PeerError: ``malformed-masking``, unless it is a whole number from 0 to 2^31 - 1.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
        raise malformed(f"{what} is not a number from 0 to 2^31 - 1")
    return struct.pack("<Q", value)


def name(value: object, what: str) -> bytes:
    """A name as UTF-8.

    Raises:
        PeerError: ``malformed-masking``, unless it is text of 1 to 200 characters.
    """
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_NAME:
        raise malformed(f"{what} is not text of 1 to {_LONGEST_NAME} characters")
    try:
        return value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise malformed(f"{what} has no UTF-8 form") from error


def raw(value: object, length: int, what: str) -> bytes:
    """The bytes that hexadecimal digits stand for.

    Raises:
        PeerError: ``malformed-masking``, unless these are exactly ``length`` bytes in lower-case digits.
    """
    if not isinstance(value, str) or len(value) != 2 * length or not _HEXADECIMAL.fullmatch(value):
        raise malformed(f"{what} is not {2 * length} lower-case hexadecimal digits")
    return bytes.fromhex(value)


def malformed(why: str) -> PeerError:
    """The error for a key offer or binding that is not one of this protocol."""
    return PeerError(
        "malformed-masking",
        f"a key offer or the binding of an attempt is not one of this protocol: {why}",
        "check that both sides run the same version and that nothing in between changes messages",
    )
