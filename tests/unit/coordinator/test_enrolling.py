"""Enrolling, renewing and revoking nodes at the coordinator."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from enrolment_samples import NOW, Site, code_of, federation, later
from safeborders_fed.coordinator import enrolment, members
from safeborders_fed.coordinator.enrolment import Terms, enrol, revoke
from safeborders_fed.coordinator.home import CoordinatorHome, create_home
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node.enrolment import renew
from safeborders_fed.study import durable
from safeborders_fed.study.accepted_keys import check_successor
from safeborders_fed.study.enrolment import EnrolmentRequest, request
from safeborders_fed.study.key_files import load_key, load_transport_key, new_transport_key, transport_public


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return federation(tmp_path, "BG", "FI")


def new_request(country: str = "GR", **options: Any) -> EnrolmentRequest:
    return request(country, Ed25519PrivateKey.generate(), new_transport_key(), NOW, **options)


def state(home: CoordinatorHome) -> dict[str, bytes]:
    names = ("members", "rosters", "bundles")
    return {str(path): path.read_bytes() for name in names for path in (home.path / name).rglob("*.json")}


def test_enrolling_a_state_changes_nobody_elses_files(site: Site) -> None:
    before = state(site.home)
    done = site.enrol("GR")
    after = state(site.home)
    assert {path: after[path] for path in before} == before
    assert {Path(path).name for path in after.keys() - before.keys()} == {"0003.json", "GR.json"}
    assert (done.kind, done.version) == ("new", 3)
    change = check_successor(members.rosters(site.home)[1].roster, enrolment.current_roster(site.home).roster)
    assert [entry.node for entry in change.to_accept] == ["GR"]
    assert site.bundle("GR").address == "localhost:9443"
    found = enrolment.members(site.home)["GR"]
    own = load_transport_key(site.node("GR").transport_key_path)
    assert found.transport_on(NOW.date()) == (transport_public(own),)


@pytest.mark.parametrize(
    ("fingerprint", "code"),
    [(None, "fingerprint-missing"), ("0" * 64, "wrong-fingerprint"), ("", "wrong-fingerprint")],
)
def test_nobody_is_enrolled_without_a_fingerprint(site: Site, fingerprint: str | None, code: str) -> None:
    before = state(site.home)
    terms = site.terms(fingerprint=fingerprint)
    assert code_of(enrol, site.home, new_request(), terms, NOW) == code
    lost = request("BG", Ed25519PrivateKey.generate(), new_transport_key(), later(1))
    terms = site.terms(fingerprint=fingerprint, lost_key=True)
    assert code_of(enrol, site.home, lost, terms, later(1)) == code
    assert state(site.home) == before


def test_requests_that_cannot_be_carried_out_are_refused_and_change_nothing(site: Site) -> None:
    before = state(site.home)
    own = load_key(site.node("BG").signing_key_path)
    way = load_transport_key(site.node("BG").transport_key_path)
    stranger = Ed25519PrivateKey.generate()
    again = request("BG", Ed25519PrivateKey.generate(), new_transport_key(), later(1))
    cases = [
        (again, {}, "already-enrolled"),
        (request("BG", own, new_transport_key(), later(1)), {}, "already-enrolled"),
        (request("BG", own, way, later(1)), {"lost_key": True}, "already-enrolled"),
        (request("BG", own, way, later(1), previous=own), {}, "nothing-to-renew"),
        (request("BG", stranger, way, later(1), previous=stranger), {}, "not-the-enrolled-key"),
        (request("BG", stranger, way, later(-1), previous=own), {}, "request-superseded"),
        (request("BG", stranger, way, later(1), previous=own, accepted_version=2), {}, None),
        (request("GR", own, new_transport_key(), NOW), {}, "key-enrolled-elsewhere"),
        (request("GR", stranger, way, NOW), {}, "key-enrolled-elsewhere"),
        (request("GR", stranger, new_transport_key(), NOW, previous=own), {}, "not-enrolled-yet"),
        (new_request(), {"lost_key": True}, "not-enrolled-yet"),
        (request("BG", stranger, way, later(1), previous=own, accepted_version=40), {}, "renewal-too-old"),
        (request("GR", stranger, new_transport_key(), later(-40)), {}, "request-expired"),
        (request("GR", stranger, new_transport_key(), later(3)), {}, "request-from-the-future"),
    ]
    for asked, options, code in cases:
        if code is not None:
            terms = site.terms(fingerprint=asked.fingerprint(), **options)
            assert code_of(enrol, site.home, asked, terms, later(1)) == code
    assert state(site.home) == before


def test_only_an_operator_with_their_own_key_enrols(site: Site) -> None:
    asked = new_request()
    for by, code in (("Eve", "not-an-operator"), ("Olga", "not-your-key")):
        terms = Terms(by, Ed25519PrivateKey.generate(), asked.fingerprint())
        assert code_of(enrol, site.home, asked, terms, NOW) == code
    code = code_of(revoke, site.home, "BG", "Left.", by="Olga", key=Ed25519PrivateKey.generate(), now=NOW)
    assert code == "not-your-key"


def test_a_coordinator_without_a_network_enrols_nobody(tmp_path: Path) -> None:
    home = create_home(tmp_path / "c", operator="Olga", key_file=tmp_path / "olga")
    asked = new_request()
    terms = Terms("Olga", load_key(tmp_path / "olga"), asked.fingerprint())
    assert code_of(enrol, home, asked, terms, NOW) == "no-network"
    assert code_of(enrolment.current_roster, home) == "nobody-enrolled"


def test_the_same_request_again_writes_the_bundle_again_and_no_roster(site: Site) -> None:
    asked = EnrolmentRequest.from_bytes((site.directory / "BG/requests/BG-request.json").read_bytes())
    done = enrol(site.home, asked, site.terms(), later(1))
    assert (done.kind, done.version, done.roster) == ("again", 2, None)
    assert site.bundle("BG").issued == later(1)


def test_a_renewal_needs_no_fingerprint_and_both_transport_keys_open_for_the_overlap(site: Site) -> None:
    old = enrolment.transport_keys(site.home, NOW.date())["BG"]
    written = renew(site.node("BG"), later(1))
    done = enrol(site.home, written.request, site.terms(), later(1))
    assert (done.kind, done.version) == ("renewal", 3)
    change = check_successor(members.rosters(site.home)[1].roster, members.rosters(site.home)[2].roster)
    assert ([entry.node for entry in change.renewed], change.to_accept) == (["BG"], ())
    new = written.request.transport
    for day, keys in ((1, (new, *old)), (15, (new, *old)), (16, (new,))):
        assert enrolment.transport_keys(site.home, later(day).date())["BG"] == keys
    # The first request again, by whoever kept a copy: its key was given up.
    first = EnrolmentRequest.from_bytes((site.directory / "BG/requests/BG-request.json").read_bytes())
    terms = site.terms(fingerprint=first.fingerprint(), lost_key=True)
    assert code_of(enrol, site.home, first, terms, later(2)) == "request-superseded"
    copied = request("BG", load_key(site.node("BG").signing_key_path), new_transport_key(), later(2))
    terms = site.terms(fingerprint=copied.fingerprint(), lost_key=True)
    assert code_of(enrol, site.home, copied, terms, later(2)) == "key-retired"


def test_a_transport_key_alone_is_renewed_without_a_new_roster(site: Site) -> None:
    written = renew(site.node("BG"), later(1), signing=False)
    done = enrol(site.home, written.request, site.terms(overlap_days=0), later(1))
    assert (done.kind, done.version, done.roster) == ("renewal", 2, None)
    assert enrolment.transport_keys(site.home, later(2).date())["BG"] == (written.request.transport,)
    assert site.bundle("BG").transport[0] == written.request.transport


def test_a_lost_key_is_replaced_and_the_old_ways_in_are_shut_at_once(site: Site) -> None:
    asked = request("BG", Ed25519PrivateKey.generate(), new_transport_key(), later(1))
    terms = site.terms(fingerprint=asked.fingerprint(), lost_key=True)
    done = enrol(site.home, asked, terms, later(1))
    assert (done.kind, done.version) == ("lost-key", 3)
    change = check_successor(members.rosters(site.home)[1].roster, members.rosters(site.home)[2].roster)
    assert [entry.node for entry in change.replaced] == ["BG"]
    assert enrolment.transport_keys(site.home, later(1).date())["BG"] == (asked.transport,)


def test_a_revoked_state_is_locked_out_and_its_key_never_comes_back(site: Site) -> None:
    key = site.terms().key
    done = revoke(site.home, "BG", "Its machine was stolen.", by="Olga", key=key, now=later(1))
    assert (done.kind, done.version) == ("revoked", 3)
    assert set(enrolment.transport_keys(site.home, later(1).date())) == {"FI"}
    assert set(enrolment.current_roster(site.home).roster.keys()) == {"FI"}
    found = enrolment.members(site.home)["BG"]
    assert (found.revoked, found.reason) == (later(1).date(), "Its machine was stolen.")
    again = {"by": "Olga", "key": key, "now": later(2)}
    assert code_of(revoke, site.home, "BG", "Again.", **again) == "revoked-already"
    assert code_of(revoke, site.home, "PL", "Unknown.", **again) == "not-enrolled-yet"
    assert code_of(revoke, site.home, "FI", " ", **again) == "reason-missing"
    asked = request("BG", load_key(site.node("BG").signing_key_path), new_transport_key(), later(2))
    terms = site.terms(fingerprint=asked.fingerprint())
    assert code_of(enrol, site.home, asked, terms, later(2)) == "key-retired"
    renewed = renew(site.node("BG"), later(2)).request
    assert code_of(enrol, site.home, renewed, site.terms(), later(2)) == "not-enrolled-yet"
    fresh = request("BG", Ed25519PrivateKey.generate(), new_transport_key(), later(2))
    assert enrol(site.home, fresh, site.terms(fingerprint=fresh.fingerprint()), later(2)).kind == "new"


def test_the_last_member_is_locked_out_although_no_roster_can_be_without_it(tmp_path: Path) -> None:
    site = federation(tmp_path, "BG")
    key = site.terms().key
    assert code_of(revoke, site.home, "BG", "Left.", by="Olga", key=key, now=NOW) == "last-member"
    assert enrolment.transport_keys(site.home, NOW.date()) == {}
    site.enrol("FI")
    done = revoke(site.home, "BG", "Left.", by="Olga", key=key, now=NOW)
    assert set(enrolment.current_roster(site.home).roster.keys()) == {"FI"}
    assert done.member.reason == "Left."


@pytest.mark.parametrize("crash_at", [1, 2, 3])
def test_after_a_crash_between_two_files_the_same_command_goes_on(
    site: Site, monkeypatch: pytest.MonkeyPatch, crash_at: int
) -> None:
    asked = new_request()
    terms = site.terms(fingerprint=asked.fingerprint())
    left = [crash_at]
    with monkeypatch.context() as patch:
        for name in ("create", "replace"):
            patch.setattr(durable, name, _crashing(getattr(durable, name), left))
        with pytest.raises(KeyboardInterrupt):
            enrol(site.home, asked, terms, NOW)
    done = enrol(site.home, asked, terms, NOW + timedelta(minutes=1))
    assert done.version == 3
    assert len(members.rosters(site.home)) == 3
    assert site.bundle("GR").roster == enrolment.current_roster(site.home)
    assert enrolment.members(site.home)["GR"].public == asked.public


def _crashing(write: Any, left: list[int]) -> Any:
    def call(path: Path, content: bytes) -> None:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        write(path, content)

    return call


def test_one_process_at_a_time_enrols(site: Site) -> None:
    with members.exclusively(site.home):
        assert code_of(enrol, site.home, new_request(), site.terms(fingerprint=""), NOW) == "enrolment-busy"


def test_damaged_files_are_named(site: Site) -> None:
    path = site.home.path / "members" / "BG.json"
    kept = path.read_bytes()
    for data in (b"{}", kept.replace(b"BG", b"FI"), kept + b" "):
        path.write_bytes(data)
        assert code_of(enrolment.members, site.home) == "bad-member"
    path.write_bytes(kept)
    (site.home.path / "rosters" / "0001.json").write_bytes(site.roster(2))
    assert code_of(enrolment.current_roster, site.home) == "bad-roster-chain"


def test_the_coordinator_says_what_ends(site: Site) -> None:
    names = [entry.what for entry in enrolment.expiries(site.home)]
    assert names[:2] == ["the server certificate", "the coordinator's certificate authority"]
    assert names[2:] == ["the key of BG", "the key of FI"]
    assert public_hex(load_key(site.node("BG").signing_key_path)) == enrolment.members(site.home)["BG"].public
