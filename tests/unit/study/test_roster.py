"""A roster changes only as its keys and a node's own people allow."""

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from safeborders_fed.errors import ConfigurationError, PeerError, RefusedError, SafeBordersError
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.study import canonical
from safeborders_fed.study.accepted_keys import (
    AcceptedKeys,
    Change,
    KeyChange,
    acceptance_hash,
    check_successor,
    fingerprint,
)
from safeborders_fed.study.roster import (
    FIRST_PREVIOUS,
    Member,
    Roster,
    SignedRoster,
    is_renewal,
    parse,
    sign_renewal,
)


def key(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


OPERATOR = key("operator")


def member(node: str, name: str = "", renewal: str | None = None, **dates: date) -> Member:
    span = {"valid_from": date(2026, 1, 1), "valid_until": date(2027, 12, 31)} | dates
    return Member(node=node, public=public_hex(key(name or node)), renewal=renewal, **span)


def roster(*members: Member, after: Roster | None = None) -> Roster:
    version, previous = (1, FIRST_PREVIOUS) if after is None else (after.version + 1, after.hash())
    return Roster(schema_version=1, version=version, previous=previous, members=members)


FIRST = roster(member("BE"), member("PL"))
RENEWED = member("PL", "PL 2", sign_renewal(key("PL"), "PL", public_hex(key("PL 2")), 2))


def refused(code: str, call: Callable[[], object]) -> SafeBordersError:
    with pytest.raises(SafeBordersError) as caught:
        call()
    assert caught.value.code == code
    return caught.value


def nobody(_: str) -> None:
    raise RefusedError("not-enough-approvals", "nobody has approved", "approve")


def only(*hashes: str) -> Callable[[str], None]:
    return lambda wanted: None if wanted in hashes else nobody(wanted)


def accepting_all(value: Roster, before: AcceptedKeys | None = None) -> AcceptedKeys:
    return (before or AcceptedKeys()).accept(value, lambda _: None)


def test_a_roster_reads_back_and_its_hash_covers_every_part() -> None:
    assert parse(FIRST.canonical()) == FIRST
    assert FIRST.hash() == canonical.sha256(FIRST.canonical())
    other = roster(member("BE"), member("PL", valid_until=date(2028, 1, 1)))
    assert other.hash() != FIRST.hash()


@pytest.mark.parametrize(
    ("code", "members"),
    [
        ("duplicate-node", (member("BE"), member("BE", "other"))),
        ("duplicate-key", (member("BE", "same"), member("PL", "same"))),
        ("members-unsorted", (member("PL"), member("BE"))),
        ("bad-validity", (member("BE", valid_until=date(2025, 12, 31)),)),
    ],
)
def test_members_that_contradict_each_other_are_refused(code: str, members: tuple[Member, ...]) -> None:
    bad = roster(*members)
    refused(code, bad.check)
    refused(code, lambda: parse(bad.canonical()))
    refused(code, lambda: SignedRoster.sign(bad, OPERATOR))


@pytest.mark.parametrize(
    "update",
    [{"version": 2}, {"previous": "a" * 64}],
)
def test_only_the_first_version_has_none_before_it(update: dict[str, Any]) -> None:
    refused("roster-chain-broken", FIRST.model_copy(update=update).check)


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        (b'"public":"', b'"public":"A', "members.0.public"),
        (b'"version":1', b'"version":0', "version"),
        (b'"version":1', b'"version":"1"', "version"),
        (b'"renewal":null', b'"renewal":"00"', "members.0.renewal"),
        (b'"node":"BE"', b'"node":"be"', "members.0.node"),
        (b'"schema_version":1', b'"schema_version":2', "schema_version"),
        (b'"schema_version":1', b'"schema_version":1,"secret":1', "secret"),
    ],
)
def test_malformed_fields_are_named(old: bytes, new: bytes, field: str) -> None:
    data = canonical.serialise(canonical.load(FIRST.canonical().replace(old, new, 1)))
    assert field in refused("bad-roster", lambda: parse(data)).cause


def test_bytes_that_are_not_canonical_are_refused() -> None:
    refused("not-canonical", lambda: parse(FIRST.canonical() + b" "))
    refused("not-canonical", lambda: SignedRoster.from_bytes(b"{", public_hex(OPERATOR)))


def test_keys_may_be_used_on_their_first_and_last_day_and_not_outside() -> None:
    FIRST.require_current(date(2026, 1, 1))
    FIRST.require_current(date(2027, 12, 31))
    late = roster(member("BE"), member("PL", valid_from=date(2026, 6, 1), valid_until=date(2026, 7, 1)))
    late.require_current(date(2026, 1, 1), ["BE"])
    assert "PL" in refused("member-not-yet-valid", lambda: late.require_current(date(2026, 5, 31))).cause
    assert "PL" in refused("member-expired", lambda: late.require_current(date(2026, 7, 2), ["PL"])).cause
    refused("not-a-member", lambda: late.require_current(date(2026, 6, 2), ["RO"]))


def test_a_signed_roster_reads_back_for_its_signer_only() -> None:
    data = SignedRoster.sign(FIRST, OPERATOR).to_bytes()
    assert SignedRoster.from_bytes(data, public_hex(OPERATOR)).roster == FIRST
    refused("wrong-roster-signer", lambda: SignedRoster.from_bytes(data, public_hex(key("thief"))))


def test_a_changed_roster_does_not_verify() -> None:
    signed = SignedRoster.sign(FIRST, OPERATOR)
    changed = roster(member("BE"), member("PL", "puppet"))
    forged = signed.model_copy(update={"roster": changed}).to_bytes()
    refused("bad-signature", lambda: SignedRoster.from_bytes(forged, public_hex(OPERATOR)))
    short = signed.model_copy(update={"signature": "00"}).to_bytes()
    refused("bad-roster", lambda: SignedRoster.from_bytes(short, public_hex(OPERATOR)))
    bad = SignedRoster.sign(FIRST, OPERATOR).model_copy(update={"roster": roster(member("PL"), member("BE"))})
    refused("bad-signature", lambda: SignedRoster.from_bytes(bad.to_bytes(), public_hex(OPERATOR)))


def test_a_renewal_is_for_one_node_one_new_key_and_one_version() -> None:
    old = public_hex(key("PL"))
    assert is_renewal(RENEWED, old, 2)
    assert not is_renewal(RENEWED, old, 3)
    assert not is_renewal(RENEWED, public_hex(key("BE")), 2)
    assert not is_renewal(member("BE", "PL 2", RENEWED.renewal), old, 2)
    assert not is_renewal(member("PL", "PL 3", RENEWED.renewal), old, 2)
    assert not is_renewal(member("PL", "PL 2"), old, 2)


def test_a_change_is_sorted_into_added_renewed_replaced_and_removed() -> None:
    old = roster(member("BE"), member("FI"), member("PL"), member("RO"))
    new = roster(member("BE"), member("PT"), RENEWED, member("RO", "RO 2"), after=old)
    new = new.model_copy(update={"members": tuple(sorted(new.members, key=lambda entry: entry.node))})
    change = check_successor(old, new)
    public = {name: public_hex(key(name)) for name in ("FI", "PL", "PL 2", "PT", "RO", "RO 2")}
    assert change == Change(
        added=(KeyChange("PT", "", public["PT"]),),
        renewed=(KeyChange("PL", public["PL"], public["PL 2"]),),
        replaced=(KeyChange("RO", public["RO"], public["RO 2"]),),
        removed=(KeyChange("FI", public["FI"], ""),),
    )
    assert [entry.node for entry in change.to_accept] == ["PT", "RO", "FI"]
    text = change.describe()
    assert len(text) == 4
    assert text[0] == f"PT joins with key {fingerprint(public['PT'])}: two people must accept it"
    assert fingerprint(public["RO"]) in text[2]
    assert [("two people" in line) for line in text] == [True, False, True, True]


def test_a_successor_follows_directly() -> None:
    second = roster(*FIRST.members, after=FIRST)
    assert check_successor(FIRST, second) == Change((), (), (), ())
    third = roster(*FIRST.members, after=second)
    other = roster(member("BE"), after=None)
    for old, new in ((FIRST, third), (FIRST, FIRST), (second, FIRST), (other, second)):
        refused("roster-chain-broken", lambda old=old, new=new: check_successor(old, new))


def test_dates_of_a_key_do_not_change() -> None:
    longer = roster(member("BE"), member("PL", valid_until=date(2099, 1, 1)), after=FIRST)
    refused("member-changed", lambda: check_successor(FIRST, longer))


def test_a_node_cannot_take_the_key_of_another() -> None:
    swapped = roster(member("BE", "PL"), member("PL", "BE"), after=FIRST)
    assert (
        "BE has taken the key that PL had"
        in refused("key-reused", lambda: check_successor(FIRST, swapped)).cause
    )


def test_the_first_roster_needs_acceptance_of_every_key() -> None:
    hashes = [acceptance_hash(entry.node, entry.public, "") for entry in FIRST.members]
    accepted = AcceptedKeys().accept(FIRST, only(*hashes))
    assert accepted.keys() == FIRST.keys()
    error = refused("key-not-accepted", lambda: AcceptedKeys().accept(FIRST, only(hashes[0])))
    assert "the key of PL" in error.cause
    assert "nobody has approved" in error.cause


def test_a_node_that_joins_late_starts_with_any_version() -> None:
    second = roster(*FIRST.members, after=FIRST)
    assert accepting_all(second).keys() == FIRST.keys()


def test_a_renewed_key_follows_by_its_renewal_alone() -> None:
    accepted = accepting_all(FIRST)
    second = roster(member("BE"), RENEWED, after=FIRST)
    after = accepted.accept(second, nobody)
    assert after.keys()["PL"] == public_hex(key("PL 2"))
    assert after.retired == (public_hex(key("PL")),)
    assert after.earlier == {"PL": (public_hex(key("PL")),)}
    assert AcceptedKeys.from_bytes(after.to_bytes()) == after
    third = roster(*second.members, after=second)
    assert after.accept(third, nobody).keys() == after.keys()


@pytest.mark.parametrize(
    ("members", "node"),
    [
        ((member("BE"), member("PL"), member("PT")), "PT"),
        ((member("BE"), member("PL", "lost")), "PL"),
        ((member("BE"), member("PL", "PL 3", RENEWED.renewal)), "PL"),
        ((member("PL"),), "BE"),
    ],
)
def test_all_other_changes_need_people(members: tuple[Member, ...], node: str) -> None:
    accepted, second = accepting_all(FIRST), roster(*members, after=FIRST)
    assert f"the key of {node}" in refused("key-not-accepted", lambda: accepted.accept(second, nobody)).cause
    assert accepting_all(second, accepted).keys() == second.keys()


def test_an_acceptance_is_for_one_node_key_and_key_before() -> None:
    second = roster(member("BE"), member("PL", "lost"), after=FIRST)
    new, old = public_hex(key("lost")), public_hex(key("PL"))
    accepted = accepting_all(FIRST)
    for wrong in (
        acceptance_hash("PL", new, ""),
        acceptance_hash("BE", new, old),
        acceptance_hash("PL", old, new),
    ):
        refused("key-not-accepted", lambda wrong=wrong: accepted.accept(second, only(wrong)))
    assert accepted.accept(second, only(acceptance_hash("PL", new, old))).keys() == second.keys()


def test_a_key_that_was_given_up_never_comes_back() -> None:
    accepted = accepting_all(FIRST)
    second = roster(member("BE"), RENEWED, after=FIRST)
    accepted = accepting_all(second, accepted)
    for third in (
        roster(member("BE"), member("PL"), after=second),
        roster(member("BE"), RENEWED, member("PT", "PL"), after=second),
    ):
        refused("key-retired", lambda third=third: accepting_all(third, accepted))


def test_an_older_or_forked_roster_is_refused_and_the_same_again_changes_nothing() -> None:
    second = roster(*FIRST.members, after=FIRST)
    accepted = accepting_all(second, accepting_all(FIRST))
    assert accepted.accept(second, nobody) is accepted
    refused("roster-chain-broken", lambda: accepting_all(FIRST, accepted))
    forked = roster(*FIRST.members, member("PT"), after=FIRST)
    refused("roster-chain-broken", lambda: accepting_all(forked, accepted))


def test_only_the_accepted_roster_may_be_used() -> None:
    accepted = accepting_all(FIRST)
    accepted.require_accepted(FIRST)
    puppet = roster(member("BE"), member("PL"), member("PT"), after=FIRST)
    assert "the key of PT" in refused("key-not-accepted", lambda: accepted.require_accepted(puppet)).cause
    same_keys = roster(*FIRST.members, after=FIRST)
    refused("roster-not-accepted", lambda: accepted.require_accepted(same_keys))
    refused("key-not-accepted", lambda: AcceptedKeys().require_accepted(FIRST))


def test_accepted_keys_read_back() -> None:
    accepted = accepting_all(roster(member("BE"), RENEWED, after=FIRST), accepting_all(FIRST))
    for value in (AcceptedKeys(), accepted):
        assert AcceptedKeys.from_bytes(value.to_bytes()) == value


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_damaged_accepted_keys_never_pass_for_the_undamaged(position: int, mask: int) -> None:
    whole = accepting_all(FIRST)
    data = bytearray(whole.to_bytes())
    data[position % len(data)] ^= mask
    with contextlib.suppress(ConfigurationError):
        value = AcceptedKeys.from_bytes(bytes(data))
        assert value.to_bytes() == bytes(data)
        assert value != whole


def test_accepted_keys_that_contradict_themselves_are_refused() -> None:
    bad = AcceptedKeys(roster=roster(member("PL"), member("BE")))
    refused("bad-accepted-keys", lambda: AcceptedKeys.from_bytes(bad.to_bytes()))
    refused("bad-accepted-keys", lambda: AcceptedKeys.from_bytes(bad.to_bytes() + b"\n"))


def test_a_fingerprint_shows_the_whole_key() -> None:
    public = public_hex(key("PL"))
    assert fingerprint(public).replace(" ", "") == public
    assert len(fingerprint(public).split()) == 16


def test_a_change_cannot_be_edited() -> None:
    change = check_successor(None, FIRST)
    with pytest.raises(AttributeError):
        change.added = ()  # type: ignore[misc] - the point of the test
    assert replace(change, added=()).added == ()
    with pytest.raises(PeerError):
        parse(b"[]x")
