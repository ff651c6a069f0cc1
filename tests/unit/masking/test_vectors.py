"""The published test vectors, against the program and against a second implementation."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import masking_reference as reference
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from safeborders_fed.masking.keys import SignedKey, StudyKey, offer
from safeborders_fed.masking.masks import Binding, mask, pair_info

VECTORS: dict[str, Any] = json.loads(Path(__file__).with_name("vectors.json").read_text(encoding="utf-8"))
PRIVATE = {node: bytes.fromhex(key) for node, key in VECTORS["private_keys"].items()}
PUBLIC: dict[str, str] = dict(VECTORS["binding"]["participants"])
DIMENSION: int = VECTORS["dimension"]


def binding(fields: dict[str, Any]) -> Binding:
    return Binding(**{**fields, "participants": tuple(tuple(pair) for pair in fields["participants"])})


@pytest.mark.parametrize("pair", VECTORS["pairs"], ids=lambda pair: "-".join(pair["nodes"]))
def test_info_and_key_of_a_pair_are_those_of_the_vectors(pair: dict[str, Any]) -> None:
    first, second = pair["nodes"]
    common = binding(VECTORS["binding"]).common()
    info = pair_info(common, (first, PUBLIC[first]), (second, PUBLIC[second]), DIMENSION)
    assert info.hex() == pair["info"]
    key = StudyKey.from_private_bytes(PRIVATE[first])
    assert key.pair_key(PUBLIC[second], info).hex() == pair["key"]


@pytest.mark.parametrize("node", VECTORS["masks"])
def test_masks_are_those_of_the_vectors(node: str) -> None:
    key = StudyKey.from_private_bytes(PRIVATE[node])
    assert key.public == PUBLIC[node]
    words = mask(key, node, binding(VECTORS["binding"]), DIMENSION)
    assert [f"{word:016x}" for word in words] == VECTORS["masks"][node]


def test_the_offer_is_that_of_the_vectors() -> None:
    example = VECTORS["offer"]
    signed = SignedKey.from_json(example["offer"])
    what = {name: example["offer"][name] for name in ("node", "study", "manifest_hash", "roster_hash")}
    signed.check(example["signing_public_key"], **what)
    signing_key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(example["signing_private_key"]))
    key = StudyKey.from_private_bytes(PRIVATE["BE"])
    assert offer(key, signing_key, **what, boot_epoch=signed.boot_epoch) == signed


@pytest.mark.parametrize("pair", VECTORS["pairs"], ids=lambda pair: "-".join(pair["nodes"]))
def test_the_second_implementation_gives_the_pairs_of_the_vectors(pair: dict[str, Any]) -> None:
    for one, other in (pair["nodes"], pair["nodes"][::-1]):
        secret = reference.x25519(PRIVATE[one], int.from_bytes(bytes.fromhex(PUBLIC[other]), "little"))
        assert secret.hex() == pair["shared_secret"]
        info = reference.info(VECTORS["binding"], one, other, DIMENSION)
        assert info.hex() == pair["info"]
        assert reference.hkdf(secret, info).hex() == pair["key"]
    words = reference.keystream(bytes.fromhex(pair["key"]), DIMENSION)
    assert [f"{word:016x}" for word in words] == pair["keystream"]


def test_the_second_implementation_gives_the_masks_and_the_offer_of_the_vectors() -> None:
    for node, private in PRIVATE.items():
        words = reference.mask(private, node, VECTORS["binding"], DIMENSION)
        assert [f"{word:016x}" for word in words] == VECTORS["masks"][node]
    example = VECTORS["offer"]
    message = reference.joined(b"safeborders study key v1") + reference.offer_payload(example["offer"])
    assert message.hex() == example["signed_bytes"]
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(example["signing_public_key"]))
    public.verify(bytes.fromhex(example["offer"]["signature"]), message)


@pytest.mark.parametrize("dimension", [1, 2, 16_384, 16_385, 32_771])
def test_both_implementations_agree_on_fresh_keys_and_long_vectors(dimension: int) -> None:
    nodes = sorted(random.Random(dimension).sample(["BE", "BG", "IT", "R", "RO", "Ελλάδα"], 4))
    keys = {node: random.Random(f"{node} {dimension}").randbytes(32) for node in nodes}
    studies = {node: StudyKey.from_private_bytes(key) for node, key in keys.items()}
    fields = {
        **VECTORS["binding"],
        "attempt": dimension,
        "participants": [[node, studies[node].public] for node in nodes],
    }
    for node in nodes:
        words = mask(studies[node], node, binding(fields), dimension)
        assert words.tolist() == reference.mask(keys[node], node, fields, dimension)
