from __future__ import annotations

import copy
import json
import pickle
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from safeborders_fed.errors import DefectError, PeerError
from safeborders_fed.masking.keys import SignedKey, StudyKey, offer
from safeborders_fed.masking.signing import Purpose, public_hex, sign

PRIME = 2**255 - 19
ORDER_EIGHT = 325606250916557431795983626356110631294008115727848805560023387167927233504
STUDY = {"node": "BE", "study": "example", "manifest_hash": "ab" * 32, "roster_hash": "cd" * 32}
BOOT = "ef" * 16


def hexadecimal(u: int) -> str:
    return u.to_bytes(32, "little").hex()


@pytest.fixture
def signing_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.fixture
def signed(signing_key: Ed25519PrivateKey) -> SignedKey:
    return offer(StudyKey.generate(), signing_key, **STUDY, boot_epoch=BOOT)


def refusal(signed: SignedKey, accepted: str, **expected: str) -> str:
    with pytest.raises(PeerError) as caught:
        signed.check(accepted, **{**STUDY, **expected})
    return caught.value.code


def test_both_ends_derive_the_same_key_and_other_info_another() -> None:
    one, other = StudyKey.generate(), StudyKey.generate()
    assert one.pair_key(other.public, b"info") == other.pair_key(one.public, b"info")
    assert one.pair_key(other.public, b"info") != one.pair_key(other.public, b"Info")


def test_no_two_keys_are_the_same() -> None:
    assert len({StudyKey.generate().public for _ in range(20)}) == 20


def test_a_key_shows_no_secret() -> None:
    private = bytes(range(32))
    key = StudyKey.from_private_bytes(private)
    shown = f"{key} {key!r}"
    assert shown == "StudyKey(hidden) StudyKey(hidden)"
    assert not hasattr(key, "__dict__")


@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_key_cannot_be_stored_or_copied(duplicate: Any) -> None:
    with pytest.raises(DefectError, match="study-key-copied"):
        duplicate(StudyKey.generate())


@pytest.mark.parametrize("u", [0, 1, PRIME - 1, ORDER_EIGHT])
def test_a_peer_key_of_small_order_is_refused(u: int) -> None:
    with pytest.raises(PeerError, match="zero-secret"):
        StudyKey.generate().pair_key(hexadecimal(u), b"")


@pytest.mark.parametrize("u", [PRIME, PRIME + 1, PRIME + 9, 2**255 + 9, 2**256 - 1])
def test_a_second_encoding_of_a_key_is_refused(u: int) -> None:
    with pytest.raises(PeerError, match="not a reduced number"):
        StudyKey.generate().pair_key(hexadecimal(u), b"")


def test_a_genuine_offer_passes_also_after_travelling(
    signing_key: Ed25519PrivateKey, signed: SignedKey
) -> None:
    travelled = SignedKey.from_json(json.loads(json.dumps(signed.to_json())))
    assert travelled == signed
    travelled.check(public_hex(signing_key), **STUDY)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("node", "BG"),
        ("study", "other"),
        ("manifest_hash", "00" * 32),
        ("roster_hash", "00" * 32),
        ("boot_epoch", "00" * 16),
        ("public", hexadecimal(9)),
        ("signature", "00" * 64),
    ],
)
def test_an_offer_changed_on_its_way_is_refused(
    signing_key: Ed25519PrivateKey, signed: SignedKey, field: str, value: str
) -> None:
    changed = replace(signed, **{field: value})
    expected = {field: value} if field in STUDY else {}
    assert refusal(changed, public_hex(signing_key), **expected) == "bad-signature"


def test_a_field_cannot_give_bytes_to_its_neighbour(signing_key: Ed25519PrivateKey) -> None:
    named = {**STUDY, "node": "BEex", "study": "ample"}
    shifted = replace(
        offer(StudyKey.generate(), signing_key, **named, boot_epoch=BOOT), node="BE", study="example"
    )
    assert refusal(shifted, public_hex(signing_key)) == "bad-signature"


@pytest.mark.parametrize(
    ("field", "value"),
    [("node", "BG"), ("study", "other"), ("manifest_hash", "00" * 32), ("roster_hash", "00" * 32)],
)
def test_a_genuine_offer_for_something_else_is_refused(
    signing_key: Ed25519PrivateKey, signed: SignedKey, field: str, value: str
) -> None:
    assert refusal(signed, public_hex(signing_key), **{field: value}) == "wrong-study-key"


def test_an_offer_by_another_signer_is_refused(signed: SignedKey) -> None:
    assert refusal(signed, public_hex(Ed25519PrivateKey.generate())) == "bad-signature"


@pytest.mark.parametrize("purpose", [purpose for purpose in Purpose if purpose is not Purpose.STUDY_KEY])
def test_a_signature_made_for_another_purpose_is_refused(
    signing_key: Ed25519PrivateKey, signed: SignedKey, purpose: Purpose
) -> None:
    other = replace(signed, signature=sign(signing_key, purpose, signed.payload()))
    assert refusal(other, public_hex(signing_key)) == "bad-signature"


MALFORMED = {
    "no object": ["BE"],
    "nothing": None,
    "a field is missing": {"public": None},
    "a field too many": {"further": "x"},
    "a number": {"node": 7},
    "an empty name": {"node": ""},
    "a long name": {"study": "x" * 201},
    "no text in UTF-8": {"node": "\ud800"},
    "capitals": {"manifest_hash": "AB" * 32},
    "white space": {"roster_hash": " " + "cd" * 31 + " "},
    "a digit of another script": {"boot_epoch": "\u0661" * 32},
    "too short": {"boot_epoch": "ef" * 15},
    "too long": {"public": "00" * 33},
    "a second encoding": {"public": hexadecimal(PRIME + 9)},
    "half a signature": {"signature": "00" * 32},
}


@pytest.mark.parametrize("change", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_offer_is_refused(signed: SignedKey, change: Any) -> None:
    value = change
    if isinstance(change, dict):
        value = {name: text for name, text in {**signed.to_json(), **change}.items() if text is not None}
    with pytest.raises(PeerError, match="malformed-masking"):
        SignedKey.from_json(value)
