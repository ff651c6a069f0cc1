"""Enough different people have approved, or nothing happens; an approver's key stays secret."""

import hashlib
import os
import stat
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from safeborders_fed.errors import ConfigurationError, PeerError, RefusedError
from safeborders_fed.masking.signing import Purpose, public_hex, sign
from safeborders_fed.node.approvals import (
    Approval,
    Approver,
    Subject,
    accept_roster,
    approve,
    create_approver_key,
    load_approver_key,
    require_approvals,
)
from safeborders_fed.study import canonical
from safeborders_fed.study.accepted_keys import AcceptedKeys, acceptance_hash
from safeborders_fed.study.roster import FIRST_PREVIOUS, Member, Roster

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
STUDY = "ab" * 32
WORDS = "seven quiet rivers"


def key(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


def enrolled(name: str, key_name: str = "", role: Any = "approver") -> Approver:
    return Approver(name=name, role=role, public=public_hex(key(key_name or name)))


def approval(name: str, key_name: str = "", **changes: Any) -> Approval:
    facts: dict[str, Any] = {
        "name": name,
        "subject": "study",
        "subject_hash": STUDY,
        "signed_at": NOW - timedelta(hours=1),
        "expires": NOW + timedelta(days=30),
    }
    return approve(key(key_name or name), **(facts | changes))


ANNA, BOB, EVA = enrolled("Anna Nowak"), enrolled("Bob Maes"), enrolled("Eva Popa")
PEOPLE = [ANNA, BOB, EVA]


def require(*approvals: Approval, subject: Subject = "study", **changes: Any) -> tuple[Approval, ...]:
    facts: dict[str, Any] = {"subject_hash": STUDY, "approvers": PEOPLE, "needed": 2, "now": NOW}
    return require_approvals(approvals, subject=subject, **(facts | changes))


def missing(*approvals: Approval, **changes: Any) -> str:
    with pytest.raises(RefusedError) as caught:
        require(*approvals, **changes)
    assert caught.value.code == "not-enough-approvals"
    return caught.value.cause


def test_two_different_people_are_enough() -> None:
    both = approval("Anna Nowak"), approval("Bob Maes")
    assert require(*both) == both
    assert require(both[1], both[0], both[1]) == both[::-1]
    assert require(both[0], needed=1) == both[:1]


def test_the_refusal_says_who_approved_and_how_many_are_missing() -> None:
    assert "approved by nobody, 2 missing" in missing()
    assert "approved by Anna Nowak, 1 missing" in missing(approval("Anna Nowak"))
    assert "approved by Anna Nowak, Bob Maes, 1 missing" in missing(
        approval("Anna Nowak"), approval("Bob Maes"), needed=3
    )


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (approval("Bob Maes", expires=NOW), "expired"),
        (approval("Bob Maes", signed_at=NOW + timedelta(minutes=6)), "dated in the future"),
        (approval("Bob Maes", subject_hash="cd" * 32), "for another subject"),
        (approval("Bob Maes", subject="key-acceptance"), "for another subject"),
        (approval("Bob Maes", subject="reconciliation"), "for another subject"),
        (approval("Bob Maes", "stranger"), "unknown key"),
        (approval("Bob Maes", "Eva Popa"), "the key is enrolled under another name"),
        (approval("Bob Maes").model_copy(update={"signature": "0" * 128}), "bad signature"),
        (approval("Bob Maes").model_copy(update={"expires": NOW + timedelta(days=99)}), "bad signature"),
        (approval("Bob Maes").model_copy(update={"signed_at": NOW}), "bad signature"),
        (
            approval("Bob Maes", subject_hash="cd" * 32).model_copy(update={"subject_hash": STUDY}),
            "bad signature",
        ),
        (approval("Anna Nowak"), "this person has approved already"),
    ],
)
def test_what_does_not_count_is_named_with_the_reason(second: Approval, why: str) -> None:
    cause = missing(approval("Anna Nowak"), second)
    assert "approved by Anna Nowak, 1 missing" in cause
    assert f"{second.name}: {why}" in cause


def test_a_clock_a_little_behind_is_forgiven() -> None:
    soon = approval("Bob Maes", signed_at=NOW + timedelta(minutes=4))
    assert len(require(approval("Anna Nowak"), soon)) == 2


def test_a_revoked_key_and_an_auditor_do_not_count() -> None:
    both = approval("Anna Nowak"), approval("Bob Maes")
    assert "Bob Maes: the key is revoked" in missing(*both, revoked=[BOB.public])
    auditor = enrolled("Bob Maes", role="auditor")
    assert "Bob Maes: enrolled as auditor" in missing(*both, approvers=[ANNA, auditor])
    assert "Bob Maes: enrolled as auditor" in missing(*both, approvers=[ANNA, BOB, auditor])


@pytest.mark.parametrize("name", ["Anna Nowak", "anna  nowak", " ANNA NOWAK", "Anna\u00a0Nowak"])
def test_one_person_with_two_keys_counts_once(name: str) -> None:
    people = [ANNA, enrolled(name, "second key of Anna")]
    assert "1 missing" in missing(
        approval("Anna Nowak"), approval(name, "second key of Anna"), approvers=people
    )


def test_one_key_under_two_names_counts_once() -> None:
    people = [ANNA, enrolled("Bob Maes", "Anna Nowak")]
    assert "1 missing" in missing(
        approval("Anna Nowak"), approval("Bob Maes", "Anna Nowak"), approvers=people
    )


def test_people_joined_by_a_third_entry_count_once_in_any_order() -> None:
    shared = enrolled("Bob Maes", "Anna Nowak")
    both = approval("Anna Nowak"), approval("Bob Maes")
    for people in ([ANNA, BOB, shared], [shared, BOB, ANNA], [BOB, ANNA, shared]):
        assert "1 missing" in missing(*both, approvers=people)


def test_a_revoked_key_still_tells_that_two_keys_are_one_person() -> None:
    shared = enrolled("Bob Maes", "third")
    people = [ANNA, enrolled("Anna Nowak", "third"), shared, BOB]
    assert "1 missing" in missing(
        approval("Anna Nowak"), approval("Bob Maes"), approvers=people, revoked=[shared.public]
    )


def test_a_rule_of_no_people_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="bad-approval-policy"):
        require(needed=0)


def test_a_reconciliation_has_signatures_of_its_own_purpose() -> None:
    both = [approval(name, subject="reconciliation") for name in ("Anna Nowak", "Bob Maes")]
    assert len(require(*both, subject="reconciliation")) == 2
    part = canonical.serialise(both[1].model_dump(mode="json", exclude={"signature"}))
    wrong = both[1].model_copy(update={"signature": sign(key("Bob Maes"), Purpose.APPROVAL, part)})
    assert "bad signature" in missing(both[0], wrong, subject="reconciliation")


def test_an_approval_reads_back_in_utc() -> None:
    warsaw = timezone(timedelta(hours=2))
    value = approval("Anna Nowak", signed_at=datetime(2026, 5, 1, 13, tzinfo=warsaw))
    assert value.signed_at.utcoffset() == timedelta(0)
    assert Approval.from_bytes(value.to_bytes()) == value
    assert require(Approval.from_bytes(value.to_bytes()), needed=1) == (value,)


@pytest.mark.parametrize(
    ("old", "new", "code", "cause"),
    [
        (b'"subject":"study"', b'"subject":"lunch"', "bad-approval", "subject:"),
        (b"+00:00", b"", "not-canonical", ""),
        (b'"name":"Anna Nowak"', b'"name":""', "bad-approval", "name:"),
        (b"T11:00:00Z", b"T11:00:00", "bad-approval", "signed_at:"),
        (b"T11:00:00Z", b"T13:00:00+02:00", "not-canonical", "UTC"),
    ],
)
def test_a_malformed_approval_is_refused(old: bytes, new: bytes, code: str, cause: str) -> None:
    data = approval("Anna Nowak").to_bytes()
    altered = data.replace(old, new) if old in data else data + b" "
    with pytest.raises(PeerError) as caught:
        Approval.from_bytes(altered)
    assert caught.value.code == code
    assert cause in caught.value.cause


def test_an_approval_that_would_never_count_is_not_signed() -> None:
    with pytest.raises(RefusedError, match="approval-expired"):
        approval("Anna Nowak", expires=NOW - timedelta(hours=1))


def test_a_roster_is_accepted_by_two_people_for_each_new_key() -> None:
    members = tuple(
        Member(
            node=node,
            public=public_hex(key(node)),
            valid_from=NOW.date(),
            valid_until=NOW.date(),
            renewal=None,
        )
        for node in ("BE", "PL")
    )
    roster = Roster(schema_version=1, version=1, previous=FIRST_PREVIOUS, members=members)
    approvals = [
        approval(
            person.name,
            subject="key-acceptance",
            subject_hash=acceptance_hash(member.node, member.public, ""),
        )
        for member in members
        for person in (ANNA, BOB)
    ]
    accepted = accept_roster(AcceptedKeys(), roster, approvals, approvers=PEOPLE, now=NOW)
    assert accepted.keys() == roster.keys()
    for changes in ({"revoked": [BOB.public]}, {"now": NOW + timedelta(days=31)}, {"approvers": [ANNA]}):
        with pytest.raises(RefusedError, match="key-not-accepted"):
            accept_roster(AcceptedKeys(), roster, approvals, **({"approvers": PEOPLE, "now": NOW} | changes))
    with pytest.raises(RefusedError) as caught:
        accept_roster(AcceptedKeys(), roster, approvals[:3], approvers=PEOPLE, now=NOW)
    assert "the key of PL" in caught.value.cause
    assert "approved by Anna Nowak, 1 missing" in caught.value.cause


def test_a_key_opens_with_its_passphrase_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "anna.pem"
    mask = os.umask(0)
    try:
        public = create_approver_key(path, WORDS)
    finally:
        os.umask(mask)
    assert public_hex(load_approver_key(path, WORDS)) == public
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")


def code_of(call: Any, *arguments: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        call(*arguments)
    for part in (WORDS, "wrong passphrase"):
        assert part not in str(caught.value)
    assert caught.value.__cause__ is None or isinstance(caught.value.__cause__, OSError)
    return caught.value.code


@pytest.mark.parametrize("passphrase", ["", "short", "elevenchars", " " * 20, "word       "])
def test_a_short_passphrase_is_refused_and_writes_nothing(tmp_path: Path, passphrase: str) -> None:
    assert code_of(create_approver_key, tmp_path / "key.pem", passphrase) == "passphrase-too-short"
    assert list(tmp_path.iterdir()) == []


def test_an_existing_key_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "anna.pem"
    create_approver_key(path, WORDS)
    before = path.read_bytes()
    assert code_of(create_approver_key, path, WORDS) == "key-file-exists"
    assert path.read_bytes() == before
    assert code_of(create_approver_key, tmp_path / "no" / "key.pem", WORDS) == "key-file-unwritable"


def test_a_key_that_cannot_be_used_is_refused_by_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "anna.pem"
    assert code_of(load_approver_key, path, WORDS) == "key-file-missing"
    create_approver_key(path, WORDS)
    assert code_of(load_approver_key, path, "wrong passphrase") == "approver-key-unopened"
    assert code_of(load_approver_key, path, "") == "approver-key-unopened"
    path.chmod(0o640)
    assert code_of(load_approver_key, path, WORDS) == "key-file-open-to-others"
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:80] + b"\n-----END ENCRYPTED PRIVATE KEY-----\n")
    assert code_of(load_approver_key, path, WORDS) == "approver-key-unopened"


def test_a_key_of_another_kind_or_without_a_passphrase_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pem"
    path.touch(mode=0o600)
    sealed = BestAvailableEncryption(WORDS.encode())
    other = X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed)
    bare = key("Anna").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for pem in (other, bare, b"", b"\xff\x00"):
        path.write_bytes(pem)
        assert code_of(load_approver_key, path, WORDS) == "approver-key-malformed"
