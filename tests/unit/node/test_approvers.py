"""The people enrolled at a node."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from enrolment_samples import NOW, PEOPLE, WORDS, code_of, federation
from safeborders_fed.audit.chain import verify
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node.approvals import create_approver_key, load_approver_key, require_approvals
from safeborders_fed.node.approvers import add, can_approve, enrolled, revoke
from safeborders_fed.node.changes import alone
from safeborders_fed.node.creating import create_node
from safeborders_fed.node.rosters import accept, review
from safeborders_fed.node.settings import NodeSettings
from safeborders_fed.study.key_files import load_key

TODAY = NOW.date()


def fresh() -> str:
    return public_hex(Ed25519PrivateKey.generate())


@pytest.fixture
def settings(tmp_path: Path) -> NodeSettings:
    return create_node(tmp_path / "BG", "BG", tmp_path / "BG.key", 1000)


def enrol(settings: NodeSettings, name: str, public: str, role: str = "approver") -> int:
    return add(settings, name=name, role=role, public=public, by="IT", today=TODAY).approvers


def test_people_are_enrolled_and_the_log_says_by_whom(settings: NodeSettings) -> None:
    assert enrolled(settings) == ()
    keys = [fresh() for _ in range(3)]
    assert [
        enrol(settings, name, key) for name, key in zip(("Anna", "Boris", "Vera"), keys, strict=True)
    ] == [
        1,
        2,
        3,
    ]
    assert enrol(settings, "Dora", fresh(), "auditor") == 3
    assert [person.name for person in settings.approvers()] == ["Anna", "Boris", "Vera", "Dora"]
    verified = verify(settings.audit_path, [public_hex(load_key(settings.signing_key_path))])
    assert verified.entries == 4
    log = settings.audit_path.read_text(encoding="utf-8")
    assert "auditor Dora enrolled" in log
    assert log.count('"who":"IT"') == 4
    assert not list((settings.home / "notices").iterdir())


def test_nobody_and_no_key_is_enrolled_twice(settings: NodeSettings) -> None:
    anna = fresh()
    enrol(settings, "Anna Nowak", anna)
    before = (settings.home / "approvers.json").read_bytes()
    for name, public, code in (
        ("Anna Nowak", fresh(), "enrolled-already"),
        ("anna  nowak", fresh(), "enrolled-already"),
        ("Boris", anna, "enrolled-already"),
        ("", fresh(), "bad-approver"),
        ("Bo\nris", fresh(), "bad-approver"),
        ("Boris", "abc", "bad-approver"),
    ):
        assert code_of(enrol, settings, name, public) == code
    assert (settings.home / "approvers.json").read_bytes() == before


def test_a_revoked_key_counts_no_more_and_never_comes_back(tmp_path: Path) -> None:
    site = federation(tmp_path, "BG", "FI")
    settings = site.node("BG")
    site.enrol("GR")
    roster = site.roster(3)
    approvals = site.approvals("BG", roster)
    done = revoke(settings, name="Anna", reason="Left the service.", by="IT", today=TODAY)
    assert (done.approvers, done.warning is not None) == (1, True)
    with pytest.raises(Exception, match="the key is revoked"):
        accept(settings, review(settings, [roster]), approvals, NOW)
    anna = public_hex(load_approver_key(site.person("BG", "Anna"), WORDS))
    assert code_of(enrol, settings, "Anna", anna) == "key-revoked"
    assert enrol(settings, "Anna", fresh()) == 2
    assert "Left the service." in site.log("BG")
    assert can_approve(settings.approvers()) == 2


def test_a_new_key_of_somebody_revoked_counts(tmp_path: Path) -> None:
    site = federation(tmp_path, "BG")
    settings = site.node("BG")
    revoke(settings, name="Anna", reason="Lost her key.", by="IT", today=TODAY)
    site.person("BG", "Anna").unlink()
    enrol(settings, "Anna", create_approver_key(site.person("BG", "Anna"), WORDS))
    site.enrol("FI")
    approvals = site.approvals("BG", site.roster(2))
    counted = require_approvals(
        approvals,
        subject="key-acceptance",
        subject_hash=approvals[0].subject_hash,
        approvers=settings.approvers(),
        needed=2,
        now=NOW,
    )
    assert {approval.name for approval in counted} == set(PEOPLE)


@pytest.mark.parametrize("reason", ["", "  ", "a\nb", "x" * 1001])
def test_revoking_needs_a_reason_and_somebody(settings: NodeSettings, reason: str) -> None:
    enrol(settings, "Anna", fresh())
    arguments = {"name": "Anna", "reason": reason, "by": "IT", "today": TODAY}
    assert code_of(revoke, settings, **arguments) == "reason-missing"
    assert code_of(revoke, settings, **arguments | {"reason": "Left.", "name": "Eve"}) == "not-enrolled"


def test_when_two_can_approve_it_says_that_nobody_may_be_away(settings: NodeSettings) -> None:
    done = [
        add(settings, name=name, role="approver", public=fresh(), by="IT", today=TODAY)
        for name in ("Anna", "Boris", "Vera")
    ]
    assert [change.warning is None for change in done] == [False, False, True]


def test_two_commands_never_change_the_list_at_once(settings: NodeSettings) -> None:
    @alone
    def other(settings: NodeSettings) -> str:
        return code_of(enrol, settings, "Anna", fresh())

    assert other(settings) == "node-busy"
    assert enrol(settings, "Anna", fresh()) == 1
