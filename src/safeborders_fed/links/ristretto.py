"""The group ristretto255 (RFC 9496): libsodium's functions, as bundled by rbcl. Bytes in, bytes out.

Guarantees:

- Every length is checked before libsodium sees a pointer: it would read beyond a short input.
- A point that somebody sent is used only if it is 32 bytes in the one canonical form of RFC 9496 section
  4.3.1; ``is_valid`` also refuses the identity, as RFC 9497 section 2.1 wants of what is deserialised. The
  group has prime order, so there are no small subgroups to fall into.
- Multiplications and arithmetic of scalars take the same time for all secret scalars: libsodium's code for
  them has no branches and no look-ups that depend on a secret. Lengths and the validity of points are public.
- Safe to call from several threads: no buffer is shared. libsodium works without the interpreter's lock.

Only the functions of ristretto255 are used; the check of libsodium 1.0.18 for points of Ed25519, which lets
some points outside the main subgroup pass, plays no part here.

rbcl writes libsodium to a temporary file at import, loads it and leaves it behind; it is removed here. Python
cannot wipe memory for certain, so scalars may stay in it until the process ends.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from safeborders_fed.errors import ConfigurationError, DefectError, PeerError

BYTES: Final = 32
"""Length of a point and of a scalar."""
HASH_BYTES: Final = 64
ORDER: Final = 2**252 + 27742317777372353535851937790883648493
IDENTITY: Final = bytes(BYTES)
ZERO: Final = bytes(BYTES)
ONE: Final = (1).to_bytes(BYTES, "little")
_Buffer: Final = ctypes.c_char * BYTES


def _load() -> Any:
    try:
        from rbcl._sodium import _sodium, lib_path  # type: ignore[import-untyped] # noqa: PLC0415
        from rbcl.rbcl import crypto_core_ristretto255_BYTES  # type: ignore[import-untyped] # noqa: PLC0415
    except (ImportError, OSError) as error:
        raise ConfigurationError(
            "no-ristretto",
            f"the library for ristretto255 (rbcl, with libsodium) cannot be loaded: {type(error).__name__}",
            "install the package rbcl, and let temporary files of this service be executable (TMPDIR)",
        ) from error
    if crypto_core_ristretto255_BYTES != BYTES:
        raise ConfigurationError("no-ristretto", "libsodium is not initialised", "reinstall the package rbcl")
    Path(lib_path).unlink(missing_ok=True)  # the mapping stays; one copy a process would fill the disk
    return _sodium


_sodium: Final = _load()
_from_hash: Final = _sodium.crypto_core_ristretto255_from_hash
_multiply: Final = _sodium.crypto_scalarmult_ristretto255
_base: Final = _sodium.crypto_scalarmult_ristretto255_base
_add: Final = _sodium.crypto_core_ristretto255_add
_subtract: Final = _sodium.crypto_core_ristretto255_sub
_is_valid: Final = _sodium.crypto_core_ristretto255_is_valid_point
_reduce: Final = _sodium.crypto_core_ristretto255_scalar_reduce
_scalar_add: Final = _sodium.crypto_core_ristretto255_scalar_add
_scalar_subtract: Final = _sodium.crypto_core_ristretto255_scalar_sub
_scalar_multiply: Final = _sodium.crypto_core_ristretto255_scalar_mul
_invert: Final = _sodium.crypto_core_ristretto255_scalar_invert
_random_scalar: Final = _sodium.crypto_core_ristretto255_scalar_random


def from_hash(uniform: bytes) -> bytes:
    """The point of 64 uniform bytes: the map of RFC 9496 section 4.3.4.

    Raises:
        DefectError: ``wrong-length``.
    """
    _must_have(uniform, HASH_BYTES)
    out = _Buffer()
    _from_hash(out, uniform)
    return out.raw


def multiply(scalar: bytes, point: bytes) -> bytes:
    """``scalar`` times ``point``.

    Raises:
        PeerError: ``not-a-point``, when the point is none or the product is the identity.
        DefectError: ``wrong-length`` of the scalar.
    """
    out = _Buffer()
    _must_have(scalar, BYTES)
    if len(point) != BYTES or _multiply(out, scalar, point):
        raise not_a_point()
    return out.raw


def base(scalar: bytes) -> bytes:
    """``scalar`` times the generator.

    Raises:
        DefectError: ``wrong-length``, or ``zero-scalar``.
    """
    _must_have(scalar, BYTES)
    out = _Buffer()
    if _base(out, scalar):
        raise _zero_scalar()
    return out.raw


def add(one: bytes, other: bytes) -> bytes:
    """The sum of two points, which may be the identity.

    Raises:
        PeerError: ``not-a-point``.
    """
    out = _Buffer()
    if len(one) != BYTES or len(other) != BYTES or _add(out, one, other):
        raise not_a_point()
    return out.raw


def subtract(one: bytes, other: bytes) -> bytes:
    """The difference of two points, which may be the identity.

    Raises:
        PeerError: ``not-a-point``.
    """
    out = _Buffer()
    if len(one) != BYTES or len(other) != BYTES or _subtract(out, one, other):
        raise not_a_point()
    return out.raw


def is_valid(point: bytes) -> bool:
    """Whether these are 32 bytes, the canonical form of a point, and not the identity."""
    return len(point) == BYTES and point != IDENTITY and bool(_is_valid(point))


def is_scalar(scalar: bytes) -> bool:
    """Whether these are 32 bytes, little-endian, of a number below the group's order.

    For public scalars only, such as those of proofs: libsodium would take others, modulo the order, and one
    proof would then have several forms.
    """
    return len(scalar) == BYTES and int.from_bytes(scalar, "little") < ORDER


def reduce(wide: bytes) -> bytes:
    """A number of 64 bytes modulo the group's order.

    Raises:
        DefectError: ``wrong-length``.
    """
    _must_have(wide, HASH_BYTES)
    out = _Buffer()
    _reduce(out, wide)
    return out.raw


def scalar_add(one: bytes, other: bytes) -> bytes:
    """The sum of two scalars. Raises ``DefectError``: ``wrong-length``."""
    return _arithmetic(_scalar_add, one, other)


def scalar_subtract(one: bytes, other: bytes) -> bytes:
    """The difference of two scalars. Raises ``DefectError``: ``wrong-length``."""
    return _arithmetic(_scalar_subtract, one, other)


def scalar_multiply(one: bytes, other: bytes) -> bytes:
    """The product of two scalars. Raises ``DefectError``: ``wrong-length``."""
    return _arithmetic(_scalar_multiply, one, other)


def invert(scalar: bytes) -> bytes:
    """The inverse of a scalar.

    Raises:
        DefectError: ``wrong-length``, or ``zero-scalar``.
    """
    _must_have(scalar, BYTES)
    out = _Buffer()
    if _invert(out, scalar):
        raise _zero_scalar()
    return out.raw


def random_scalar() -> bytes:
    """A uniform scalar other than zero, from libsodium's generator (the system's)."""
    out = _Buffer()
    _random_scalar(out)
    return out.raw


def not_a_point() -> PeerError:
    """The error for bytes that are no usable point."""
    return PeerError(
        "not-a-point",
        "what should be a point of ristretto255 is none in canonical form, or is or becomes the identity",
        "find out who made it: no node of this version sends one",
    )


def _arithmetic(function: Callable[..., Any], one: bytes, other: bytes) -> bytes:
    _must_have(one, BYTES)
    _must_have(other, BYTES)
    out = _Buffer()
    function(out, one, other)
    return out.raw


def _must_have(data: bytes, length: int) -> None:
    if len(data) != length:
        raise DefectError(
            "wrong-length",
            f"{length} bytes are needed for arithmetic of ristretto255, not {len(data)}",
            "report this to the developers",
        )


def _zero_scalar() -> DefectError:
    return DefectError(
        "zero-scalar",
        "a scalar of ristretto255 is zero, which no key and no blind is",
        "report this to the developers",
    )
