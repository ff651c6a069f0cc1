from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from safeborders_fed.errors import DefectError, PeerError
from safeborders_fed.links import ristretto

GENERATOR = bytes.fromhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76")  # RFC 9496 A.1
BAD_ENCODINGS = {  # RFC 9496, appendix A.2
    "no reduced field element": "00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "the field's prime": "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "negative": "0100000000000000000000000000000000000000000000000000000000000000",
    "negative too": "ed57ffd8c914fb201471d1c3d245ce3c746fcbe63a3679d51b6a516ebebe0e20",
    "no square": "26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371",
    "product negative": "3eb858e78f5a7254d8c9731174a94f76755fd3941c0ac93735c07ba14579630e",
    "y is zero": "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
}


def test_generator_and_map_are_those_of_the_rfc() -> None:
    spoken = b"Ristretto is traditionally a short shot of espresso coffee"
    mapped = ristretto.from_hash(hashlib.sha512(spoken).digest())

    assert ristretto.base(ristretto.ONE) == GENERATOR
    assert mapped.hex() == "3066f82a1a747d45120d1740f14358531a8f04bbffe6a819f86dfe50f44a0a46"  # A.3


@pytest.mark.parametrize("encoding", BAD_ENCODINGS.values(), ids=BAD_ENCODINGS)
def test_what_is_no_canonical_point_is_refused_everywhere(encoding: str) -> None:
    point = bytes.fromhex(encoding)

    assert not ristretto.is_valid(point)
    for attempt in (
        lambda: ristretto.multiply(ristretto.ONE, point),
        lambda: ristretto.add(point, GENERATOR),
        lambda: ristretto.add(GENERATOR, point),
        lambda: ristretto.subtract(GENERATOR, point),
        lambda: ristretto.subtract(point, GENERATOR),
    ):
        with pytest.raises(PeerError, match="not-a-point"):
            attempt()


def test_the_identity_is_no_point_that_anybody_may_send_or_get() -> None:
    scalar = ristretto.random_scalar()

    assert ristretto.subtract(GENERATOR, GENERATOR) == ristretto.IDENTITY
    assert not ristretto.is_valid(ristretto.IDENTITY)
    with pytest.raises(PeerError, match="not-a-point"):
        ristretto.multiply(scalar, ristretto.IDENTITY)
    with pytest.raises(PeerError, match="not-a-point"):
        ristretto.multiply(ristretto.ZERO, GENERATOR)
    with pytest.raises(DefectError, match="zero-scalar"):
        ristretto.base(ristretto.ZERO)
    with pytest.raises(DefectError, match="zero-scalar"):
        ristretto.invert(ristretto.ZERO)


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_other_lengths_never_reach_the_library(length: int) -> None:
    data = GENERATOR.ljust(length, b"\0")[:length]

    assert not ristretto.is_valid(data)
    assert not ristretto.is_scalar(bytes(length))
    for attempt in (
        lambda: ristretto.multiply(ristretto.ONE, data),
        lambda: ristretto.add(data, GENERATOR),
        lambda: ristretto.add(GENERATOR, data),
        lambda: ristretto.subtract(data, GENERATOR),
        lambda: ristretto.subtract(GENERATOR, data),
    ):
        with pytest.raises(PeerError, match="not-a-point"):
            attempt()
    for attempt in (
        lambda: ristretto.multiply(data, GENERATOR),
        lambda: ristretto.base(data),
        lambda: ristretto.invert(data),
        lambda: ristretto.scalar_add(data, ristretto.ONE),
        lambda: ristretto.scalar_subtract(ristretto.ONE, data),
        lambda: ristretto.scalar_multiply(data, ristretto.ONE),
        lambda: ristretto.from_hash(data[:63]),
        lambda: ristretto.reduce(data[:63]),
    ):
        with pytest.raises(DefectError, match="wrong-length"):
            attempt()


def test_scalars_and_points_obey_the_laws_of_the_group() -> None:
    one, other = ristretto.random_scalar(), ristretto.random_scalar()
    first, second = ristretto.base(one), ristretto.base(other)
    number = int.from_bytes(one, "little") * int.from_bytes(other, "little") % ristretto.ORDER

    assert ristretto.base(ristretto.scalar_add(one, other)) == ristretto.add(first, second)
    assert ristretto.base(ristretto.scalar_subtract(one, other)) == ristretto.subtract(first, second)
    assert ristretto.scalar_multiply(one, other) == number.to_bytes(32, "little")
    assert ristretto.multiply(other, first) == ristretto.multiply(one, second)
    assert ristretto.multiply(ristretto.invert(one), first) == GENERATOR
    assert ristretto.reduce(ristretto.ORDER.to_bytes(64, "little")) == ristretto.ZERO


def test_a_scalar_has_one_form() -> None:
    assert ristretto.is_scalar((ristretto.ORDER - 1).to_bytes(32, "little"))
    assert not ristretto.is_scalar(ristretto.ORDER.to_bytes(32, "little"))
    assert not ristretto.is_scalar(bytes(31) + b"\x80")


def test_threads_do_not_disturb_each_other() -> None:
    work = [(ristretto.random_scalar(), ristretto.from_hash(os.urandom(64))) for _ in range(400)]
    alone = [ristretto.multiply(*each) for each in work]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda each: ristretto.multiply(*each), work))

    assert together == alone


def test_the_library_leaves_no_copy_of_itself_behind() -> None:
    assert not Path(ristretto._sodium._name).exists()
