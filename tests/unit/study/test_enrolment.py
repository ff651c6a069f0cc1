"""The two documents of enrolment: every byte counts."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from enrolment_samples import NOW, Site, code_of, federation
from safeborders_fed.errors import SafeBordersError
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.study import canonical
from safeborders_fed.study.enrolment import EnrolmentBundle, EnrolmentRequest, request
from safeborders_fed.study.fingerprints import require_fingerprint
from safeborders_fed.study.key_files import new_transport_key, transport_public
from safeborders_fed.study.roster import Member, is_renewal

KEY, TRANSPORT = Ed25519PrivateKey.generate(), new_transport_key()
FIRST = request("BG", KEY, TRANSPORT, NOW)
RENEWAL = request("BG", Ed25519PrivateKey.generate(), TRANSPORT, NOW, previous=KEY, accepted_version=8)


@pytest.mark.parametrize("made", [FIRST, RENEWAL])
def test_a_request_is_read_back(made: EnrolmentRequest) -> None:
    assert EnrolmentRequest.from_bytes(made.to_bytes()) == made


@pytest.mark.parametrize("made", [FIRST, RENEWAL])
def test_a_request_with_one_byte_altered_is_refused(made: EnrolmentRequest) -> None:
    data, generator = made.to_bytes(), random.Random(5)
    for _ in range(300):
        place, other = generator.randrange(len(data)), generator.randrange(1, 256)
        altered = data[:place] + bytes([data[place] ^ other]) + data[place + 1 :]
        with pytest.raises(SafeBordersError) as caught:
            EnrolmentRequest.from_bytes(altered)
        assert caught.value.code in {"bad-request", "request-altered", "unknown-state"}


@pytest.mark.parametrize(
    "changes",
    [
        {"country": "BE"},
        {"public": public_hex(Ed25519PrivateKey.generate())},
        {"transport": transport_public(new_transport_key())},
        {"created": (NOW + timedelta(days=1)).isoformat().replace("+00:00", "Z")},
        {
            "previous_signature": "0" * 128,
            "renews": {"previous": "0" * 64, "first_version": 1, "signatures": []},
        },
    ],
)
def test_a_request_by_somebody_who_lacks_a_key_is_refused(changes: dict[str, Any]) -> None:
    content = json.loads(FIRST.to_bytes()) | changes
    assert code_of(EnrolmentRequest.from_bytes, canonical.serialise(content)) == "request-altered"


@pytest.mark.parametrize(
    "changes",
    [
        {"more": 1},
        {"country": "b"},
        {"previous_signature": "0" * 128},
        {"transport": "ssh-ed25519 AAAA"},
        {"schema_version": 2},
        {"created": "yesterday"},
        {"created": NOW.isoformat()},
        {"public": "x" * 64},
    ],
)
def test_a_document_that_is_no_request_is_named_as_such(changes: dict[str, Any]) -> None:
    content = json.loads(FIRST.to_bytes()) | changes
    assert code_of(EnrolmentRequest.from_bytes, canonical.serialise(content)) == "bad-request"
    for data in (b"", b"{}", b"[]", b"\xff", b"{" * 5000, b"0" * 2_000_000, FIRST.to_bytes() + b"\n"):
        assert code_of(EnrolmentRequest.from_bytes, data) == "bad-request"


def test_only_the_eight_states_can_ask() -> None:
    for country in ("DE", "XX", "NODE1"):
        data = request(country, KEY, TRANSPORT, NOW).to_bytes()
        assert code_of(EnrolmentRequest.from_bytes, data) == "unknown-state"


def test_a_transport_key_on_another_curve_is_refused() -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(ValueError, match="transport"):
        request("BG", KEY, other, NOW)


def test_a_request_is_good_for_thirty_days() -> None:
    FIRST.require_recent(NOW + timedelta(days=30))
    assert code_of(FIRST.require_recent, NOW + timedelta(days=30, seconds=1)) == "request-expired"
    FIRST.require_recent(NOW - timedelta(minutes=4))
    assert code_of(FIRST.require_recent, NOW - timedelta(minutes=6)) == "request-from-the-future"


def test_a_renewal_is_signed_for_the_versions_that_may_come_next() -> None:
    renews = RENEWAL.renews
    assert renews is not None
    assert renews.signature_for(8) is None
    assert renews.signature_for(25) is None
    for version in (9, 24):
        member = Member(
            node="BG",
            public=RENEWAL.public,
            valid_from=NOW.date(),
            valid_until=NOW.date(),
            renewal=renews.signature_for(version),
        )
        assert is_renewal(member, public_hex(KEY), version)
        assert not is_renewal(member, public_hex(KEY), version + 1)


def test_a_fingerprint_may_be_typed_in_groups_and_no_message_gives_it_away() -> None:
    expected = FIRST.fingerprint()
    groups = " ".join(expected[at : at + 4] for at in range(0, 64, 4))
    for typed in (expected, groups, groups.upper(), groups.replace(" ", ":"), f" {groups}\n"):
        require_fingerprint(typed, expected, "the request")
    for typed in ("", expected[:-1], expected[:-1] + "g", expected + "0", "é", "yes"):
        with pytest.raises(SafeBordersError) as caught:
            require_fingerprint(typed, expected, "the request")
        assert caught.value.code == "wrong-fingerprint"
        assert expected[:8] not in str(caught.value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return federation(tmp_path_factory.mktemp("site"), "BG", "FI")


def test_a_bundle_with_one_byte_altered_is_refused(site: Site) -> None:
    data, generator = site.bundle("BG").to_bytes(), random.Random(6)
    for _ in range(300):
        place, other = generator.randrange(len(data)), generator.randrange(1, 256)
        altered = data[:place] + bytes([data[place] ^ other]) + data[place + 1 :]
        with pytest.raises(SafeBordersError) as caught:
            EnrolmentBundle.from_bytes(altered)
        assert caught.value.code in {"bad-bundle", "bundle-altered"}


def test_a_bundle_needs_a_signer_whom_it_names_and_a_roster_of_theirs(site: Site) -> None:
    bundle, stranger = site.bundle("BG"), Ed25519PrivateKey.generate()
    assert code_of(EnrolmentBundle.from_bytes, bundle.signed(stranger).to_bytes()) == "bad-bundle"
    others = bundle.model_copy(
        update={"operators": (bundle.operators[0].model_copy(update={"public": public_hex(stranger)}),)}
    )
    assert code_of(EnrolmentBundle.from_bytes, others.signed(stranger).to_bytes()) == "wrong-roster-signer"
    leaf = (site.home.path / "pki" / "server.crt").read_text(encoding="ascii")
    wrong = bundle.model_copy(update={"ca_certificate": leaf}).signed(site.terms().key)
    assert code_of(EnrolmentBundle.from_bytes, wrong.to_bytes()) == "bad-bundle"


def test_nothing_secret_is_in_either_document(site: Site) -> None:
    for data in (site.bundle("BG").to_bytes(), FIRST.to_bytes()):
        assert b"PRIVATE" not in data
