"""A node knows its own heads again after its key was renewed, and nobody else's."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation_of import CEREMONY
from safeborders_fed.errors import PeerError
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.study.handshake import Head

HEAD = Head(entries=5, value="a" * 64)
OLD, STRANGER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
RENEWED = replace(CEREMONY.identities["FI"], retired=(public_hex(OLD),))


@pytest.mark.parametrize("key", [OLD, RENEWED.signing_key])
def test_heads_under_the_key_of_now_or_before_are_its_own(key: Ed25519PrivateKey) -> None:
    RENEWED.check_own(HEAD.signed(key, "FI"))


@pytest.mark.parametrize(("key", "node"), [(STRANGER, "FI"), (OLD, "PL")])
def test_heads_of_others_are_not(key: Ed25519PrivateKey, node: str) -> None:
    with pytest.raises(PeerError, match="does not verify"):
        RENEWED.check_own(HEAD.signed(key, node))
