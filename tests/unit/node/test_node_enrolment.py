"""A node's enrolment: its bundle, rosters that its people accept, its own keys over time."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from enrolment_samples import NOW, PEOPLE, WORDS, Site, code_of, federation, later
from safeborders_fed.audit.chain import verify
from safeborders_fed.coordinator.enrolment import enrol, revoke
from safeborders_fed.coordinator.home import add_operator
from safeborders_fed.errors import PeerError
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node.approvals import load_approver_key
from safeborders_fed.node.enrolment import accept_bundle, renew, write_request
from safeborders_fed.node.expiries import expiries, log_warnings
from safeborders_fed.node.identity import Identity
from safeborders_fed.node.rosters import accept, review, sign
from safeborders_fed.study import durable
from safeborders_fed.study.enrolment import EnrolmentBundle
from safeborders_fed.study.handshake import Head
from safeborders_fed.study.key_files import load_key, load_transport_key, transport_public
from safeborders_fed.study.roster import Member, Roster, SignedRoster
from safeborders_fed.study.validity import warnings


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return federation(tmp_path, "BG", "FI")


def take(site: Site, bundle: EnrolmentBundle, country: str = "BG", **options: Any) -> Any:
    arguments = {"fingerprint": bundle.signer, "by": "IT", "now": NOW} | options
    return accept_bundle(site.node(country), bundle, **arguments)


def publics(site: Site, country: str = "BG") -> list[str]:
    return [public_hex(load_key(site.node(country).signing_key_path))]


def test_an_enrolled_node_knows_its_coordinator_and_is_in_the_roster(site: Site) -> None:
    settings = site.node("BG")
    assert settings.enrolment().address == "localhost:9443"
    accepted = settings.accepted_keys()
    identity = Identity.from_accepted("BG", load_key(settings.signing_key_path), accepted, NOW.date())
    assert set(identity.accepted) == {"BG", "FI"}
    log = site.log("BG")
    assert "enrolment bundle accepted" in log
    assert '"who":"Anna, Boris"' in log
    assert "version 2 of the roster accepted" in log
    verify(settings.audit_path, publics(site))
    assert (settings.home / "rosters" / "0002.json").read_bytes() == site.roster(2)
    assert (settings.home / "rosters" / "0002.approvals.json").exists()
    found = expiries(settings)
    assert len(found) == 3
    assert [entry.level for entry in warnings(found, later(360).date())] == ["urgent", "urgent"]


def test_a_node_that_was_never_enrolled_says_so(tmp_path: Path) -> None:
    site = Site(tmp_path).found()
    settings = site.node("BG")
    assert code_of(settings.enrolment) == "not-enrolled"
    assert code_of(renew, settings, NOW) == "not-enrolled-yet"
    site.enrol("BG")
    assert code_of(review, settings, [site.roster(1)]) == "not-enrolled"


def test_bundles_that_must_not_be_accepted_change_nothing(site: Site, tmp_path: Path) -> None:
    settings = site.node("BG")
    before = (settings.home / "coordinator.json").read_bytes()
    bundle = site.bundle("BG")
    assert code_of(take, site, site.bundle("FI")) == "bundle-for-another-node"
    other = federation(tmp_path / "other", "BG")
    assert code_of(take, site, other.bundle("BG")) == "bundle-for-another-key"
    key = site.terms().key
    older = bundle.model_copy(update={"issued": later(-1)}).signed(key)
    assert code_of(take, site, older) == "bundle-superseded"
    assert (settings.home / "coordinator.json").read_bytes() == before


def test_a_first_bundle_needs_the_operators_fingerprint_as_a_person_heard_it(tmp_path: Path) -> None:
    site = Site(tmp_path).found()
    site.enrol("BG")
    bundle = site.bundle("BG")
    assert code_of(take, site, bundle, fingerprint=None) == "fingerprint-missing"
    assert code_of(take, site, bundle, fingerprint="ab" * 32) == "wrong-fingerprint"
    # A stranger signs a bundle of the right form: only the fingerprint tells.
    stranger = Ed25519PrivateKey.generate()
    named = bundle.operators[0].model_copy(update={"public": public_hex(stranger)})
    roster = SignedRoster.sign(bundle.roster.roster, stranger)
    forged = bundle.model_copy(update={"operators": (named,), "roster": roster}).signed(stranger)
    forged = EnrolmentBundle.from_bytes(forged.to_bytes())
    assert code_of(take, site, forged, fingerprint=site.operator) == "wrong-fingerprint"
    assert not (site.node("BG").home / "coordinator.json").exists()
    take(site, bundle)


def test_another_coordinator_needs_two_people_besides_the_fingerprint(site: Site) -> None:
    settings = site.node("BG")
    add_operator(site.home, "Petra", site.directory / "petra")
    site.enrol("GR", later(1))
    petra = load_key(site.directory / "petra")
    bundle = site.bundle("BG").model_copy(
        update={"operators": site.bundle("GR").operators, "issued": later(1)}
    )
    bundle = EnrolmentBundle.from_bytes(bundle.signed(petra).to_bytes())
    by_petra = {"fingerprint": public_hex(petra), "now": later(1)}
    assert code_of(take, site, bundle, **by_petra) == "not-enough-approvals"
    assert code_of(take, site, bundle, now=later(1), fingerprint=site.operator) == "wrong-fingerprint"
    # Its roster cannot be accepted before it, even if it only renewed keys.
    asked = review(settings, [bundle.to_bytes()])
    assert asked.coordinator is not None
    assert code_of(accept, settings, asked, [], later(1)) == "coordinator-not-accepted"
    approvals = site.approvals("BG", bundle.to_bytes(), now=later(1))
    assert code_of(take, site, bundle, **by_petra, approvals=approvals[:1]) == "not-enough-approvals"
    take(site, bundle, **by_petra, approvals=approvals)
    assert len(settings.enrolment().operators) == 2
    assert "another coordinator accepted" in site.log("BG")
    # The approvals were for replacing the coordinator before it: they are worth nothing now.
    back = site.bundle("BG")
    assert code_of(take, site, back, now=later(2), approvals=approvals) == "not-enough-approvals"


def test_a_roster_needs_two_people_for_each_new_member(site: Site) -> None:
    site.enrol("GR")
    settings = site.node("BG")
    before = (settings.home / "accepted-keys.json").read_bytes()
    roster = site.roster(3)
    asked = review(settings, [roster])
    assert [entry.node for entry in asked.to_accept] == ["GR"]
    approvals = site.approvals("BG", roster)
    for given in ([], approvals[:1], approvals[:1] * 2, site.approvals("FI", roster)):
        assert code_of(accept, settings, asked, given, NOW) == "key-not-accepted"
    assert code_of(accept, settings, asked, approvals, later(31)) == "key-not-accepted"
    assert (settings.home / "accepted-keys.json").read_bytes() == before
    done = accept(settings, asked, approvals, NOW)
    assert (done.people, done.logged) == (PEOPLE, True)
    assert code_of(accept, settings, review(settings, [roster]), [], NOW) == "nothing-to-accept"
    assert set(settings.accepted_keys().keys()) == {"BG", "FI", "GR"}


def test_versions_are_accepted_in_order_one_after_another_or_together(site: Site) -> None:
    for country in ("GR", "IT", "PL"):
        site.enrol(country)
    settings = site.node("BG")
    assert code_of(review, settings, [site.roster(4)]) == "roster-version-skipped"
    assert code_of(review, settings, [site.roster(3), site.roster(5)]) == "roster-version-skipped"
    assert review(settings, [site.roster(1), site.roster(2)]).steps == ()
    site.accept("BG", 4, 3)
    site.accept("BG", 5)
    assert settings.accepted_keys().roster == SignedRoster.model_validate_json(site.roster(5)).roster


def forged(site: Site, change: Any, key: Ed25519PrivateKey | None = None) -> bytes:
    """The next version as a dishonest operator would sign it."""
    last = SignedRoster.model_validate_json(site.roster(2)).roster
    members = {member.node: member for member in last.members}
    change(members)
    roster = Roster(
        schema_version=1,
        version=3,
        previous=last.hash(),
        members=tuple(members[name] for name in sorted(members)),
    )
    return SignedRoster.sign(roster, key or site.terms().key).to_bytes()


def puppet(name: str) -> Member:
    return Member(
        node=name,
        public=public_hex(Ed25519PrivateKey.generate()),
        valid_from=NOW.date(),
        valid_until=later(9).date(),
        renewal=None,
    )


def test_a_coordinator_cannot_fill_the_roster_with_puppets(site: Site) -> None:
    settings = site.node("BG")

    def add(members: dict[str, Member]) -> None:
        members.update({name: puppet(name) for name in ("GR", "IT", "PL", "PT", "RO")})

    asked = review(settings, [forged(site, add)])
    assert len(asked.to_accept) == 5
    approvals = site.approvals("BG", forged(site, add))  # other puppets than those that are asked for
    for given in ([], approvals):
        assert code_of(accept, settings, asked, given, NOW) == "key-not-accepted"
    strangers = forged(site, lambda members: members.update(NODE1=puppet("NODE1")))
    assert code_of(review, settings, [strangers]) == "unknown-state"
    own = forged(site, lambda members: members.update(BG=puppet("BG")))
    assert code_of(review, settings, [own]) == "own-key-differs"
    swapped = forged(site, lambda members: members.update(FI=puppet("FI")))
    assert code_of(accept, settings, review(settings, [swapped]), [], NOW) == "key-not-accepted"


def test_a_roster_that_no_pinned_operator_signed_or_a_second_one_is_refused(site: Site) -> None:
    settings = site.node("BG")
    stranger = forged(site, lambda members: members.update(GR=puppet("GR")), Ed25519PrivateKey.generate())
    assert code_of(review, settings, [stranger]) == "wrong-roster-signer"
    site.enrol("GR")
    site.accept("BG", 3)
    second = forged(site, lambda members: members.update(IT=puppet("IT")))
    assert code_of(review, settings, [second]) == "roster-forked"
    altered = site.roster(3).replace(b'"node":"GR"', b'"node":"IT"')
    assert code_of(review, settings, [altered]) == "bad-signature"
    for data in (b"", b"{}", b"[1]", b"\xff"):
        assert code_of(review, settings, [data]) in {"bad-roster", "not-canonical"}


def test_only_an_enrolled_approver_signs_and_only_what_needs_it(site: Site) -> None:
    settings = site.node("BG")
    site.enrol("GR")
    asked = review(settings, [site.roster(3)])
    anna = load_approver_key(site.person("BG", "Anna"), WORDS)
    for name, key in (("Boris", anna), ("Anna", Ed25519PrivateKey.generate()), ("Eve", anna)):
        assert code_of(sign, settings, asked, name=name, key=key, now=NOW) == "not-an-approver"
    nothing = review(settings, [site.roster(2)])
    assert code_of(sign, settings, nothing, name="Anna", key=anna, now=NOW) == "nothing-to-accept"


def test_a_revoked_state_is_dropped_by_two_people(site: Site) -> None:
    revoke(site.home, "FI", "Left.", by="Olga", key=site.terms().key, now=NOW)
    site.accept("BG", 3)
    assert set(site.node("BG").accepted_keys().keys()) == {"BG"}
    assert len(site.node("BG").accepted_keys().retired) == 1


def test_while_a_service_holds_the_log_the_entry_waits_for_it(site: Site) -> None:
    settings = site.node("BG")
    site.enrol("GR")
    before = site.log("BG")
    with settings.open_audit_log():
        done = site.accept("BG", 3)
        assert not done.logged
        assert set(settings.accepted_keys().keys()) == {"BG", "FI", "GR"}
        assert site.log("BG") == before
    settings.open_audit_log().close()
    log = site.log("BG")
    assert log.count("version 3 of the roster accepted") == 1
    settings.open_audit_log().close()
    assert site.log("BG") == log
    verify(settings.audit_path, publics(site))


def test_a_waiting_note_that_was_altered_is_logged_as_such(site: Site) -> None:
    settings = site.node("BG")
    site.enrol("GR")
    with settings.open_audit_log():
        site.accept("BG", 3)
    (waiting,) = (settings.home / "notices").glob("*.json")
    waiting.write_bytes(waiting.read_bytes().replace(b"Anna", b"Eve?"))
    settings.open_audit_log().close()
    assert "Eve?" not in site.log("BG")
    assert "is not signed by this node" in site.log("BG")


@pytest.mark.parametrize("crash_at", range(1, 5))
def test_after_a_crash_the_same_acceptance_goes_on_and_is_logged_once(
    site: Site, monkeypatch: pytest.MonkeyPatch, crash_at: int
) -> None:
    settings = site.node("BG")
    site.enrol("GR")
    approvals = site.approvals("BG", site.roster(3))
    left = [crash_at]
    replace = durable.replace

    def crashing(path: Path, content: bytes, *, shared: bool = False) -> None:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        replace(path, content, shared=shared)

    with monkeypatch.context() as patch:
        patch.setattr(durable, "replace", crashing)
        with pytest.raises(KeyboardInterrupt):
            accept(settings, review(settings, [site.roster(3)]), approvals, NOW)
    accept(settings, review(settings, [site.roster(3)]), approvals, NOW)
    assert site.log("BG").count("version 3 of the roster accepted") == 1
    verify(settings.audit_path, publics(site))


def renewed(site: Site, country: str = "BG", **options: Any) -> EnrolmentBundle:
    """The coordinator has carried out a renewal of this node."""
    written = renew(site.node(country), later(1), **options)
    enrol(site.home, written.request, site.terms(), later(1))
    return site.bundle(country)


def test_a_renewed_key_takes_over_everywhere_without_people(site: Site) -> None:
    settings = site.node("BG")
    old, old_way = load_key(settings.signing_key_path), load_transport_key(settings.transport_key_path)
    bundle = renewed(site)
    assert public_hex(load_key(settings.signing_key_path)) == public_hex(old)
    done = take(site, bundle, fingerprint=None)
    assert done.new_transport_key
    assert site.accept("FI", 3).people == ()
    acceptance = site.accept("BG", 3)
    assert (acceptance.people, acceptance.logged) == ((), True)
    new = load_key(settings.signing_key_path)
    assert public_hex(new) == settings.accepted_keys().keys()["BG"] != public_hex(old)
    way = load_transport_key(settings.transport_key_path)
    assert transport_public(way) == bundle.transport[0] != transport_public(old_way)
    verify(settings.audit_path, [public_hex(old), public_hex(new)])
    names = sorted(path.name for path in site.directory.glob("BG.key*"))
    assert len(names) == 5
    assert {path.stat().st_mode & 0o777 for path in site.directory.glob("BG.key*")} == {0o600}
    identity = Identity.from_accepted("BG", new, settings.accepted_keys(), later(1).date())
    assert identity.retired == (public_hex(old),)
    # To FI it is another node's old key, with which nobody can sign heads of FI's ledger.
    fi = site.node("FI")
    other = Identity.from_accepted("FI", load_key(fi.signing_key_path), fi.accepted_keys(), later(1).date())
    with pytest.raises(PeerError, match="does not verify"):
        other.check_own(Head(entries=2**52, value="a" * 64).signed(old, "FI"))
    identity.check_own(Head(entries=5, value="a" * 64).signed(old, "BG"))
    # And once more, a year later.
    enrol(site.home, renew(settings, later(300)).request, site.terms(), later(300))
    take(site, site.bundle("BG"), fingerprint=None)
    site.accept("BG", 4)
    third = load_key(settings.signing_key_path)
    verify(settings.audit_path, [public_hex(key) for key in (old, new, third)])


def test_a_renewal_that_is_repeated_asks_for_the_same_new_keys(site: Site) -> None:
    first, second = renew(site.node("BG"), later(1)), renew(site.node("BG"), later(2))
    assert first.request.public == second.request.public
    assert first.request.transport == second.request.transport
    assert code_of(renew, site.node("BG"), NOW, signing=False, transport=False) == "nothing-chosen"
    assert code_of(write_request, site.node("BG"), NOW) == "enrolled-already"


def test_a_renewed_key_waits_for_a_running_service_and_takes_over_when_it_opens_its_log(site: Site) -> None:
    settings = site.node("BG")
    old = load_key(settings.signing_key_path)
    renewed(site)
    with settings.open_audit_log():
        assert not site.accept("BG", 3).logged
        assert public_hex(load_key(settings.signing_key_path)) == public_hex(old)
    settings.open_audit_log().close()
    new = load_key(settings.signing_key_path)
    assert public_hex(new) != public_hex(old)
    verify(settings.audit_path, [public_hex(old), public_hex(new)])


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_crash_while_the_log_is_handed_over_is_made_good(
    site: Site, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    settings = site.node("BG")
    old = load_key(settings.signing_key_path)
    renewed(site)
    name = "safeborders_fed.node.own_keys." + ("take_over" if where == "before" else "sync_directory")

    def crash(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(name, crash)
        with pytest.raises(KeyboardInterrupt):
            site.accept("BG", 3)
    settings.open_audit_log().close()
    new = load_key(settings.signing_key_path)
    assert public_hex(new) == settings.accepted_keys().keys()["BG"]
    verify(settings.audit_path, [public_hex(old), public_hex(new)])


def test_a_lost_key_is_replaced_by_people_everywhere_and_the_log_goes_on_in_a_new_file(site: Site) -> None:
    settings = site.node("BG")
    assert code_of(renew, settings, later(1), lost_key=True) == "signing-key-in-use"
    old = load_key(settings.signing_key_path)
    settings.signing_key_path.unlink()
    assert code_of(renew, settings, later(1)) == "key-file-missing"
    request = renew(settings, later(1), lost_key=True).request
    terms = site.terms(fingerprint=request.fingerprint(), lost_key=True)
    enrol(site.home, request, terms, later(1))
    take(site, site.bundle("BG"), fingerprint=None)
    assert code_of(accept, site.node("FI"), review(site.node("FI"), [site.roster(3)]), [], NOW) == (
        "key-not-accepted"
    )
    assert site.accept("FI", 3).people == PEOPLE
    assert site.accept("BG", 3).people == PEOPLE
    new = load_key(settings.signing_key_path)
    assert public_hex(new) == request.public
    (aside,) = settings.home.glob("audit.until-*.jsonl")
    verify(aside, [public_hex(old)])
    verify(settings.audit_path, [public_hex(new)])
    assert aside.name in site.log("BG")
    assert "version 3 of the roster accepted" in site.log("BG")


def test_a_node_without_a_transport_key_gets_one_with_its_request(tmp_path: Path) -> None:
    site = Site(tmp_path).found()
    settings = site.node("BG")
    settings.transport_key_path.unlink()
    request = write_request(settings, NOW).request
    assert transport_public(load_transport_key(settings.transport_key_path)) == request.transport
    text = (settings.home / "node.toml").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("transport_key_file")]
    (settings.home / "node.toml").write_text("\n".join(lines), encoding="utf-8")
    assert code_of(write_request, site.node("BG"), NOW) == "no-transport-key"


def test_a_damaged_bundle_is_named(site: Site) -> None:
    settings = site.node("BG")
    path = settings.home / "coordinator.json"
    path.write_bytes(path.read_bytes().replace(b"localhost:9443", b"elsewhere:9443"))
    assert code_of(settings.enrolment) == "bad-enrolment"


def test_the_log_says_once_at_each_threshold_what_ends(site: Site) -> None:
    settings = site.node("BG")
    with settings.open_audit_log() as log:
        for day in range(290, 380):
            log_warnings(settings, log, later(day).date())
    text = site.log("BG")
    assert text.count('"operation":"expiry"') == 8
    assert text.count("the key of FI ends in 30 days") == 1
    assert text.count("the key of FI ended on") == 1


POLICY = """
[policy]
analyses = ["trends"]
columns = ["sex"]
epsilon_per_study = 1.0
epsilon_per_year = 2.0
epsilon_lifetime = 8.0
delta = 1e-6
minimum_participants = 2
purposes = ["victim-identification", "modus-operandi", "statistics", "early-warning", "evaluation"]
populations = ["all", "minors"]
least_victims = 0
least_tolerated_colluders = 1
"""


def test_an_enrolled_node_takes_part_before_and_after_its_key_was_renewed(site: Site) -> None:
    with (site.directory / "BG" / "node.toml").open("a", encoding="utf-8") as file:
        file.write(POLICY)
    first = site.node("BG").open_participant()
    assert first.node == "BG"
    first._audit_log.close()
    written = renew(site.node("BG"), NOW + timedelta(minutes=1))
    enrol(site.home, written.request, site.terms(), NOW + timedelta(minutes=1))
    with site.node("BG").open_audit_log():  # a service runs
        site.accept("BG", 3)
    second = site.node("BG").open_participant()
    assert public_hex(second._identity.signing_key) == written.request.public
    assert len(second._identity.retired) == 1
    second._audit_log.close()
