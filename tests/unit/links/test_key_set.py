from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from link_keys import EPOCH, KINDS, NODES, ROSTER, Keyed
from safeborders_fed.errors import DataError, PeerError, RefusedError
from safeborders_fed.links import key_set as key_sets
from safeborders_fed.links import key_shares, ristretto
from safeborders_fed.links.key_set import KeySet, key_set
from safeborders_fed.links.key_shares import NodeSecrets, is_possessed, share_content
from safeborders_fed.study import canonical
from safeborders_fed.study.link_messages import Said, say


@pytest.fixture
def keyed() -> Keyed:
    return Keyed()


def refused(keyed: Keyed, node: str, what: str) -> None:
    with pytest.raises(PeerError, match=f"{node}.*{what}.*wrong-key-share"):
        keyed.pin()


def content_of(said: Said) -> dict[str, dict[str, str]]:
    return canonical.parse(said.text.encode())


def test_a_set_has_the_keys_of_all_nodes(keyed: Keyed) -> None:
    found = keyed.pin()

    assert (found.epoch, found.roster, found.nodes, found.kinds) == (EPOCH, ROSTER, NODES, frozenset(KINDS))
    for node in NODES:
        secrets = keyed.secrets[node]
        assert {kind: found.public(node, kind) for kind in KINDS} == secrets.publics()
        assert found.pair_key(node) == secrets.pair_secret.public_key().public_bytes_raw().hex()
        assert found.prosecutors(node) == {"Judge": "0b" * 32}
        assert found.share_hash(node) == keyed.shares[node].hash


def test_a_set_is_the_same_in_whatever_order_sayings_come(keyed: Keyed) -> None:
    turned = key_set(
        list(keyed.commitments.values())[::-1],
        list(keyed.shares.values())[::-1],
        keyed.accepted,
        EPOCH,
        ROSTER,
    )

    assert turned == keyed.pin()
    assert KeySet.from_bytes(turned.to_bytes()) == turned


def test_any_other_share_gives_another_hash(keyed: Keyed) -> None:
    before = keyed.pin().hash
    keyed.replace("BE", prosecutors={"Other judge": "0c" * 32})

    assert keyed.pin().hash != before


def test_a_node_reveals_the_same_text_each_time(keyed: Keyed) -> None:
    again = NodeSecrets.from_bytes(keyed.secrets["BE"].to_bytes())

    assert share_content(again, "BE", EPOCH, ROSTER, {"Judge": "0b" * 32}) == content_of(keyed.shares["BE"])


@pytest.mark.parametrize("of", ["commitments", "shares"])
def test_a_node_that_is_left_out_is_named(keyed: Keyed, of: str) -> None:
    del getattr(keyed, of)["BG"]
    refused(keyed, "BG", "has no (commitment|share)")


@pytest.mark.parametrize("of", ["commitments", "shares"])
def test_a_node_that_speaks_twice_is_named(keyed: Keyed, of: str) -> None:
    getattr(keyed, of)["again"] = getattr(keyed, of)["BG"]
    refused(keyed, "BG", "two sayings")


@pytest.mark.parametrize("of", ["commitments", "shares"])
def test_who_is_no_node_of_the_roster_is_refused(keyed: Keyed, of: str) -> None:
    said = getattr(keyed, of)["BG"]
    stranger = Ed25519PrivateKey.generate()
    getattr(keyed, of)["FI"] = say("FI", stranger, said.kind, content_of(said))
    refused(keyed, "FI", "no node of the roster")


@pytest.mark.parametrize("of", ["commitments", "shares"])
def test_sayings_are_signed_by_the_key_that_was_accepted(keyed: Keyed, of: str) -> None:
    said = getattr(keyed, of)["BG"]
    getattr(keyed, of)["BG"] = say("BG", Ed25519PrivateKey.generate(), said.kind, content_of(said))
    refused(keyed, "BG", "not signed")


def test_a_saying_of_one_kind_is_none_of_another(keyed: Keyed) -> None:
    keyed.commitments["BG"] = keyed.shares["BG"]
    refused(keyed, "BG", "not signed or not one of this protocol")


def test_text_that_is_changed_on_the_way_is_refused(keyed: Keyed) -> None:
    said = keyed.shares["BG"]
    keyed.shares["BG"] = said.model_copy(update={"text": said.text.replace("Judge", "Other")})
    refused(keyed, "BG", "not signed")


def test_another_share_than_was_committed_to_is_refused(keyed: Keyed) -> None:
    keyed.secrets["BG"] = NodeSecrets.generate(KINDS)
    keyed.shares["BG"] = keyed.share("BG")
    refused(keyed, "BG", "another share than it had committed to")


@pytest.mark.parametrize(
    "change",
    [
        {"nonce": "0"},
        {"keys": {}},
        {"keys": {"phone": "0A" * 32}},
        {"more": 1},
        {"epoch": 2026},
        {"pair_key": None},
        {"prosecutors": {"Judge": "0b"}},
    ],
    ids=str,
)
def test_a_share_that_is_not_of_this_form_is_refused(keyed: Keyed, change: dict[str, object]) -> None:
    keyed.replace("BG", **change)
    refused(keyed, "BG", "not one of this protocol")


def test_keys_for_another_epoch_or_roster_are_refused(keyed: Keyed) -> None:
    for change, what in (({"epoch": "2027"}, "another epoch"), ({"roster": "0c" * 32}, "another roster")):
        keyed.replace("BG", **change)
        refused(keyed, "BG", what)
        keyed.replace("BG")
        honest = keyed.commitments["BG"]
        keyed.commitments["BG"] = keyed.committed("BG", **change)
        refused(keyed, "BG", what)
        keyed.commitments["BG"] = honest


@pytest.mark.parametrize(("epoch", "roster"), [("2027", ROSTER), (EPOCH, "0c" * 32)])
def test_a_proof_holds_for_its_own_epoch_and_roster_only(keyed: Keyed, epoch: str, roster: str) -> None:
    elsewhere = share_content(keyed.secrets["BG"], "BG", epoch, roster, {})
    keyed.replace("BG", proofs=elsewhere["proofs"])
    refused(keyed, "BG", "does not prove that it holds its key")


def test_a_key_that_is_copied_with_its_proof_is_refused(keyed: Keyed) -> None:
    copied = content_of(keyed.shares["BE"])
    keyed.replace("BG", keys=copied["keys"], proofs=copied["proofs"], nonce=copied["nonce"])
    refused(keyed, "BG", "does not prove")


def test_a_whole_share_that_is_copied_is_refused(keyed: Keyed) -> None:
    keyed.replace("BG", **content_of(keyed.shares["BE"]))
    refused(keyed, "BG", "does not prove")


def test_a_proof_for_one_type_is_none_for_another(keyed: Keyed) -> None:
    content = content_of(keyed.shares["BG"])
    turned = {
        name: dict(zip(KINDS, list(content[name].values()), strict=True)) for name in ("keys", "proofs")
    }
    assert turned["keys"] != content["keys"]
    keyed.replace("BG", **turned)
    refused(keyed, "BG", "does not prove")


def rogue(keyed: Keyed, kind: str) -> tuple[bytes, bytes]:
    """A key that makes the sum one whose secret the last node knows, and that secret."""
    wanted = ristretto.random_scalar()
    key = ristretto.base(wanted)
    for node in NODES[:-1]:
        key = ristretto.subtract(key, keyed.secrets[node].publics()[kind])
    return key, wanted


def forged(keyed: Keyed) -> bytes:
    last = NODES[-1]
    key, wanted = rogue(keyed, "phone")
    content = content_of(keyed.shares[last])
    liar = replace(keyed.secrets[last], scalars={**keyed.secrets[last].scalars, "phone": wanted})
    proof = share_content(liar, last, EPOCH, ROSTER, {})["proofs"]["phone"]
    keyed.replace(
        last,
        keys={**content["keys"], "phone": key.hex()},
        proofs={**content["proofs"], "phone": proof},
    )
    return wanted


def test_the_last_node_cannot_choose_the_sum(keyed: Keyed) -> None:
    forged(keyed)
    refused(keyed, NODES[-1], "does not prove that it holds its key for phone")


def test_without_proofs_of_possession_the_last_node_would_own_the_key(
    keyed: Keyed, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = forged(keyed)
    monkeypatch.setattr(key_sets, "is_possessed", lambda *_, **__: True)
    found = keyed.pin()
    total = ristretto.IDENTITY
    for node in NODES:
        total = ristretto.add(total, found.public(node, "phone"))

    assert total == ristretto.base(wanted)


@pytest.mark.parametrize("key", [bytes(32), bytes([1]) + bytes(31), b"\xff" * 32])
def test_a_key_that_is_no_point_or_the_identity_is_refused(keyed: Keyed, key: bytes) -> None:
    content = content_of(keyed.shares["BG"])
    keyed.replace("BG", keys={**content["keys"], "phone": key.hex()})
    refused(keyed, "BG", "no point of the group, or the identity")


def test_a_proof_of_possession_has_one_form(keyed: Keyed) -> None:
    content = content_of(keyed.shares["BG"])
    public = bytes.fromhex(content["keys"]["phone"])
    proof = bytes.fromhex(content["proofs"]["phone"])
    response = int.from_bytes(proof[32:], "little") + ristretto.ORDER
    where = {"node": "BG", "epoch": EPOCH, "kind": "phone", "roster_hash": ROSTER}

    assert is_possessed(public, proof, **where)
    for bad in (proof[:32] + response.to_bytes(32, "little"), bytes(64), proof[:63], proof + b"\0", b""):
        assert not is_possessed(public, bad, **where)
    for change in ({"node": "BE"}, {"epoch": "2027"}, {"kind": "email"}, {"roster_hash": "0c" * 32}):
        assert not is_possessed(public, proof, **{**where, **change})
    assert not is_possessed(ristretto.IDENTITY, proof, **where)


def test_a_key_that_is_worked_out_from_a_proof_is_refused() -> None:
    """If the challenge did not cover the key, a proof could come first: for a key without known secret."""
    where = {"node": "BG", "epoch": EPOCH, "kind": "phone", "roster_hash": ROSTER}
    context = key_shares._context("BG", EPOCH, "phone", ROSTER)
    nonce_point, response = ristretto.from_hash(os.urandom(64)), ristretto.random_scalar()
    challenge = key_shares._challenge(context, ristretto.base(ristretto.ONE), nonce_point)
    rest = ristretto.subtract(nonce_point, ristretto.base(response))
    public = ristretto.multiply(ristretto.invert(challenge), rest)

    assert ristretto.add(ristretto.base(response), ristretto.multiply(challenge, public)) == nonce_point
    assert not is_possessed(public, challenge + response, **where)


def test_a_nonce_never_serves_two_challenges(keyed: Keyed) -> None:
    secrets = keyed.secrets["BG"]
    public = secrets.publics()["phone"]
    points = set()
    for node, epoch, roster in (("BG", EPOCH, ROSTER), ("BE", EPOCH, ROSTER), ("BG", "2027", ROSTER)):
        proof = bytes.fromhex(share_content(secrets, node, epoch, roster, {})["proofs"]["phone"])
        points.add(ristretto.add(ristretto.base(proof[32:]), ristretto.multiply(proof[:32], public)))

    assert len(points) == 3


def test_keys_without_proofs_and_proofs_without_keys_are_refused(keyed: Keyed) -> None:
    content = content_of(keyed.shares["BG"])
    for proofs in ({"phone": content["proofs"]["phone"]}, {**content["proofs"], "plate": "00" * 64}):
        keyed.replace("BG", proofs=proofs)
        refused(keyed, "BG", "does not prove exactly")


def test_a_node_without_a_key_that_others_have_is_named(keyed: Keyed) -> None:
    keyed.secrets["BG"] = NodeSecrets.generate(["phone"])
    keyed.replace("BG")
    refused(keyed, "BG", "gives no key for email")


@pytest.mark.parametrize(
    "pair_key", ["00" * 32, "01" + "00" * 31, "ee" + "ff" * 30 + "7f", "ef" + "ff" * 30 + "7f"]
)
def test_a_pair_key_that_hides_nothing_or_has_a_second_form_is_refused(keyed: Keyed, pair_key: str) -> None:
    keyed.replace("BG", pair_key=pair_key)
    refused(keyed, "BG", "key for pairs that would hide nothing")


def test_equal_keys_are_refused(keyed: Keyed) -> None:
    keyed.replace("BG", pair_key=content_of(keyed.shares["BE"])["pair_key"])
    refused(keyed, "BG", "a key that BE gives too")


def test_one_key_for_two_types_is_refused(keyed: Keyed) -> None:
    secrets = keyed.secrets["BG"]
    same = dict.fromkeys(KINDS, secrets.scalars["phone"])
    keyed.secrets["BG"] = replace(secrets, scalars=same)
    keyed.replace("BG")
    refused(keyed, "BG", "a key that BG gives too")


def test_keys_that_cancel_each_other_are_refused() -> None:
    keyed = Keyed(("BE", "BG"))
    secrets = keyed.secrets["BG"]
    opposite = ristretto.scalar_subtract(ristretto.ZERO, keyed.secrets["BE"].secret("phone"))
    keyed.secrets["BG"] = replace(secrets, scalars={**secrets.scalars, "phone": opposite})
    keyed.replace("BG")
    refused(keyed, "BE and BG", "cancel each other")


def test_one_node_alone_has_no_key_set() -> None:
    with pytest.raises(RefusedError, match="too-few-nodes"):
        Keyed(("BE",)).pin()


def test_what_the_set_lacks_is_an_error_and_no_key(keyed: Keyed) -> None:
    found = keyed.pin()
    attempts: tuple[Callable[[], object], ...] = (
        lambda: found.public("BG", "plate"),
        lambda: found.public("FI", "phone"),
        lambda: found.pair_key("FI"),
        lambda: found.prosecutors("FI"),
        lambda: found.share_hash("FI"),
        lambda: keyed.secrets["BG"].secret("plate"),
    )
    for attempt in attempts:
        with pytest.raises(DataError, match="no-link-key"):
            attempt()


def test_secrets_come_back_as_they_were_and_stand_in_no_text(keyed: Keyed) -> None:
    secrets = keyed.secrets["BG"]
    again = NodeSecrets.from_bytes(secrets.to_bytes())

    assert again.to_bytes() == secrets.to_bytes()
    assert repr(secrets) == "NodeSecrets()"
    for value in (secrets.handle_key, secrets.nonce, *secrets.scalars.values()):
        assert repr(value) not in repr(secrets)


@pytest.mark.parametrize("scalar", ["00" * 32, "ff" * 32, "0" * 63])
def test_a_damaged_file_of_secrets_is_refused_without_showing_it(keyed: Keyed, scalar: str) -> None:
    stored = canonical.parse(keyed.secrets["BG"].to_bytes())
    stored["scalars"]["phone"] = scalar
    for data in (canonical.serialise(stored), b"", b"{}", keyed.secrets["BG"].to_bytes()[:-1]):
        with pytest.raises(DataError, match="bad-link-secrets") as caught:
            NodeSecrets.from_bytes(data)
        shown = "".join(traceback.format_exception(caught.value))
        for secret in (stored["handle_key"], stored["pair_secret"], scalar):
            assert secret not in shown


@pytest.mark.parametrize("data", [b"", b"{}", b'{"shares":[]}'])
def test_a_damaged_key_set_is_refused(data: bytes) -> None:
    with pytest.raises(DataError, match="bad-key-set"):
        KeySet.from_bytes(data)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_FIELDS = ("epoch", "roster", "nonce", "keys", "proofs", "pair_key", "more")


_SHARED = Keyed()


@settings(max_examples=100, deadline=None)
@given(field=st.sampled_from(_FIELDS), value=_JSON)
def test_whatever_a_node_signs_the_error_names_it(field: str, value: object) -> None:
    keyed = _SHARED
    keyed.shares["BG"] = keyed.share("BG", **{field: value})
    keyed.commitments["BG"] = keyed.committed("BG")
    with pytest.raises(PeerError, match=r"BG.*wrong-key-share"):
        keyed.pin()
