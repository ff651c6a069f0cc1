"""A node knows its own heads again after its key was renewed, and nobody else's."""

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation_of import CEREMONY
from safeborders_fed.errors import PeerError, RefusedError
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node.identity import Identity
from safeborders_fed.study.accepted_keys import AcceptedKeys
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


def test_a_key_of_another_state_that_lapsed_stops_studies_with_it_and_not_this_node() -> None:
    roster = CEREMONY.roster
    today = roster.members[0].valid_until
    short = roster.members[2].model_copy(update={"valid_until": today - timedelta(days=1)})
    members = (*roster.members[:2], short, *roster.members[3:])
    accepted = AcceptedKeys(roster=roster.model_copy(update={"members": members}))
    assert short.node == "FI"
    key = CEREMONY.identities["BE"].signing_key
    identity = Identity.from_accepted("BE", key, accepted, today)
    identity.require_current(["BE", "BG", "GR"], today)
    for nodes, day, code in (
        (["BE", "FI"], today, "member-expired"),
        (["BE", "BG"], today + timedelta(days=1), "member-expired"),
        (["BE", "XX"], today, "not-a-member"),
    ):
        with pytest.raises(RefusedError) as caught:
            identity.require_current(nodes, day)
        assert caught.value.code == code
    with pytest.raises(RefusedError, match="member-expired"):
        Identity.from_accepted("FI", CEREMONY.identities["FI"].signing_key, accepted, today)
