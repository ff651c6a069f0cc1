from __future__ import annotations

import os

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given, settings
from hypothesis import strategies as st

from safeborders_fed.errors import DefectError, PeerError
from safeborders_fed.links import letters
from safeborders_fed.links.letters import seal, unseal
from safeborders_fed.study.link_messages import LONGEST_TEXT

KEY = bytes(range(32))
WHERE = ("e1", "BE", "BG")


@settings(max_examples=50, deadline=None)
@given(plaintext=st.binary(max_size=2_000))
def test_a_letter_opens_to_what_was_sealed(plaintext: bytes) -> None:
    assert unseal(KEY, *WHERE, seal(KEY, *WHERE, plaintext)) == plaintext


@pytest.mark.parametrize(
    "where",
    [("e2", "BE", "BG"), ("e1", "BG", "BE"), ("e1", "BE", "GR"), ("e1", "GR", "BG"), ("e", "1BE", "BG")],
)
def test_a_letter_opens_as_nothing_else(where: tuple[str, str, str]) -> None:
    with pytest.raises(PeerError, match="unopened-letter"):
        unseal(KEY, *where, seal(KEY, *WHERE, b"x"))


def test_a_letter_opens_with_no_other_key() -> None:
    with pytest.raises(PeerError, match="unopened-letter"):
        unseal(os.urandom(32), *WHERE, seal(KEY, *WHERE, b"x"))


def test_a_changed_letter_does_not_open() -> None:
    sealed = seal(KEY, *WHERE, b"x")
    for at in (0, 31, 32, 100, len(sealed) - 1):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(PeerError, match="unopened-letter"):
            unseal(KEY, *WHERE, bytes(changed))
    for changed in (sealed[:-1], sealed + b"\0", sealed[:32], b""):
        with pytest.raises(PeerError, match="unopened-letter"):
            unseal(KEY, *WHERE, changed)


def test_two_sealings_of_one_letter_have_nothing_in_common() -> None:
    one, other = seal(KEY, *WHERE, b"x"), seal(KEY, *WHERE, b"x")

    assert one[:32] != other[:32]
    assert one[32:64] != other[32:64]


def test_the_length_of_a_letter_tells_little() -> None:
    sizes = {len(seal(KEY, *WHERE, bytes(size))) for size in range(0, 1_021, 20)}

    assert len({len(seal(KEY, *WHERE, bytes(size))) for size in range(0, 253, 12)}) == 1
    assert len(sizes) == 3


def test_the_longest_letter_fits_into_a_saying_and_a_longer_one_is_not_sent() -> None:
    longest = seal(KEY, *WHERE, bytes(letters.LONGEST))

    assert len(longest.hex()) < LONGEST_TEXT * 0.9
    assert unseal(KEY, *WHERE, longest) == bytes(letters.LONGEST)
    with pytest.raises(DefectError, match="letter-too-long"):
        seal(KEY, *WHERE, bytes(letters.LONGEST + 1))


@pytest.mark.parametrize("padded", [bytes([2, 0, 0, 0]) + b"xy" + b"z" * 250, b"\xff" * 256])
def test_what_the_partner_padded_otherwise_does_not_open(padded: bytes) -> None:
    salt, context = bytes(32), letters._context(*WHERE)
    cipher = ChaCha20Poly1305(letters._letter_key(KEY, salt, context))

    with pytest.raises(PeerError, match="unopened-letter"):
        unseal(KEY, *WHERE, salt + cipher.encrypt(bytes(12), padded, context))
