"""The coordinator's audit log: all that changes something is in it, signed, whoever is killed when."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from enrolment_samples import NOW, Site
from federation_of import CEREMONY, EIGHT, study
from model_samples import Operators
from safeborders_fed.audit.chain import verify
from safeborders_fed.audit.log import AuditLog
from safeborders_fed.coordinator import drafting, enrolment, models, pki, recording
from safeborders_fed.coordinator.founding import give_service_key
from safeborders_fed.coordinator.home import CoordinatorHome, add_operator, create_home
from safeborders_fed.coordinator.service_key import beside, certificates
from safeborders_fed.coordinator.study_files import StudyFiles
from safeborders_fed.coordinator.study_state import StudyState
from safeborders_fed.errors import ConfigurationError, RefusedError, UsageError
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.study import durable
from safeborders_fed.study.key_files import load_certificate_key, load_key
from safeborders_fed.study.offering import Why
from study_life import OPERATOR, Life

DAY = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path) -> CoordinatorHome:
    return create_home(tmp_path / "c", operator="Ana", key_file=tmp_path / "ana")


def entries(home: CoordinatorHome) -> list[dict[str, Any]]:
    lines = (home.path / "audit.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def whole(home: CoordinatorHome) -> int:
    """Entries of the log, after it was verified with public keys alone."""
    keys = [entry.public for entry in CoordinatorHome.load(home.path).service_keys]
    return verify(home.path / "audit.jsonl", keys).entries


def drafted(home: CoordinatorHome) -> StudyState:
    return StudyState.drafted(study(), home.service_key(), at=DAY, by="Ana")


def test_a_new_coordinator_has_a_service_key_outside_its_directory_that_its_operator_vouches_for(
    home: CoordinatorHome, tmp_path: Path
) -> None:
    path = beside(home.path)
    assert path == tmp_path / "c.service-key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert home.service_keys[0].public == public_hex(load_key(path))
    (certificate,) = certificates(home.path)
    assert certificate.public == home.service_keys[0].public
    assert certificate.is_vouched_for([home.operators[0].public])
    assert [entry["why"] for entry in entries(home)] == ["the coordinator was made"]
    assert not any(b"PRIVATE" in file.read_bytes() for file in home.path.rglob("*") if file.is_file())


def test_each_change_of_a_study_is_logged_and_a_study_lives_in_the_log_from_draft_to_end(
    tmp_path: Path,
) -> None:
    life = Life.begin(tmp_path)
    manifest = life.ready()
    life.refuse(manifest, "GR", Why.LEGAL_BASIS)
    life.conduct()
    logged = entries(life.home)
    states = [entry for entry in logged if entry["operation"] == "study-state"]
    assert [entry["details"]["state"] for entry in states] == ["draft", "published", "running", "finished"]
    assert [entry["who"] for entry in states] == [OPERATOR, OPERATOR, *["coordinator service"] * 2]
    hashes = [change.hash() for change in life.files().state().changes]
    assert [entry["details"]["hash"] for entry in states] == hashes
    approved = {entry["who"] for entry in logged if entry["operation"] == "approve"}
    assert approved == {"BE", "BG", "FI", "IT", "PL", "PT", "RO"}
    (refused,) = [entry for entry in logged if entry["operation"] == "refuse"]
    assert (refused["who"], refused["details"]["reason"]) == ("GR", "legal-basis")
    assert whole(life.home) == len(logged)


def test_answers_are_logged_when_they_change_and_not_at_each_offer(tmp_path: Path) -> None:
    life = Life.begin(tmp_path)
    life.ready()
    before = len(entries(life.home))
    life.offer()
    after = len(entries(life.home))
    assert after == before + 8
    life.offer()
    assert len(entries(life.home)) == after


def test_a_change_is_noted_before_it_is_made_and_logged_though_the_process_was_killed(
    home: CoordinatorHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = StudyFiles(home, "study-1")
    files.path.mkdir(parents=True)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(recording, "log", killed)
    with pytest.raises(KeyboardInterrupt):
        files.save(drafted(home))
    monkeypatch.undo()
    assert files.state().state == "draft"
    assert len(entries(home)) == 1
    recording.take_up(home)
    assert [entry["operation"] for entry in entries(home)][1:] == ["study-state"]
    recording.take_up(home)
    assert whole(home) == 2


def test_no_state_is_written_whose_note_cannot_be(
    home: CoordinatorHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = StudyFiles(home, "study-1")
    files.path.mkdir(parents=True)

    def full(path: Path, content: bytes) -> None:
        if "notices" in path.parts:
            raise OSError(28, "No space left on device")
        whole_file(path, content)

    whole_file = durable.replace
    monkeypatch.setattr(durable, "replace", full)
    with pytest.raises(ConfigurationError, match="no note can be left"):
        files.save(drafted(home))
    assert not (files.path / "state.json").exists()


def test_who_finds_the_log_busy_leaves_a_note_for_the_next(
    home: CoordinatorHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    with AuditLog(home.path / "audit.jsonl", home.service_key(), recording.NAME):
        add_operator(home, "Bo", home.path.parent / "bo")
    assert len(entries(home)) == 1
    recording.take_up(home)
    assert entries(home)[-1]["details"]["name"] == "Bo"


def test_operators_certificates_states_and_models_are_in_the_log(tmp_path: Path) -> None:
    site = Site(tmp_path).found()
    site.enrol("BE")
    site.enrol("BG")
    terms = site.terms()
    enrolment.issue_bundle(site.home, "BE", by="Olga", key=terms.key, now=NOW)
    enrolment.revoke(site.home, "BG", "a test", by="Olga", key=terms.key, now=NOW)
    pki.issue_server_certificate(site.home, load_certificate_key(tmp_path / "ca.key"), NOW)
    logged = entries(site.home)
    assert [entry["why"] for entry in logged] == [
        "the coordinator was made",
        "nodes can reach it",
        "a new server certificate",
        *["a state is enrolled"] * 2,
        "it gets a new bundle",
        "it is revoked: a test",
        "a new server certificate",
    ]
    assert {entry["who"] for entry in logged if entry["operation"] == "enrol"} == {"Olga"}
    assert whole(site.home) == len(logged)


def test_each_signature_under_a_model_is_in_the_log(tmp_path: Path) -> None:
    operators = Operators.enrol(tmp_path)
    model = operators.store()
    operators.sign(model, "Ana", "Bo")
    key = load_key(operators.keys["Bo"])
    models.withdraw(operators.home, "detection", by="Bo", key=key, today=DAY.date(), reason="it is wrong")
    logged = [(entry["operation"], entry["who"]) for entry in entries(operators.home)][2:]
    assert logged == [("release", "Ana"), ("release", "Bo"), ("withdraw", "Bo")]


def without_service_key(home: CoordinatorHome) -> CoordinatorHome:
    """The same coordinator as one that was made before there were service keys."""
    file = home.path / "coordinator.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text[: text.index("[[service_keys]]")], encoding="utf-8")
    for name in ("service-keys.json", "audit.jsonl"):
        (home.path / name).unlink()
    beside(home.path).unlink()
    return CoordinatorHome.load(home.path)


def test_a_coordinator_made_earlier_is_told_how_to_get_a_service_key_and_goes_on_with_it(
    home: CoordinatorHome, tmp_path: Path
) -> None:
    old = without_service_key(home)
    for attempt in (old.service_key, lambda: add_operator(old, "Bo", tmp_path / "bo")):
        with pytest.raises(ConfigurationError, match="service-key --by NAME") as error:
            attempt()
        assert error.value.code == "no-service-key"
    assert not (tmp_path / "bo").exists()
    operator = load_key(tmp_path / "ana")
    made = give_service_key(old, None, by="Ana", operator=operator, now=DAY)
    assert made.service_keys[0].key_file == beside(home.path)
    add_operator(made, "Bo", tmp_path / "bo")
    assert whole(made) == 2


def test_only_an_operator_with_their_own_key_vouches_for_a_service_key(
    home: CoordinatorHome, tmp_path: Path
) -> None:
    add_operator(home, "Bo", tmp_path / "bo")
    for name, file, code in (("Eve", "ana", "not-an-operator"), ("Ana", "bo", "not-your-key")):
        with pytest.raises(RefusedError) as error:
            give_service_key(
                CoordinatorHome.load(home.path), None, by=name, operator=load_key(tmp_path / file), now=DAY
            )
        assert error.value.code == code
    both = give_service_key(
        CoordinatorHome.load(home.path), None, by="Bo", operator=load_key(tmp_path / "bo"), now=DAY
    )
    assert [entry.by for entry in certificates(home.path)] == ["Ana", "Bo"]
    assert len(both.service_keys) == 1
    again = give_service_key(both, None, by="Bo", operator=load_key(tmp_path / "bo"), now=NOW)
    assert [entry.by for entry in certificates(again.path)] == ["Ana", "Bo"]


def test_a_new_service_key_takes_the_log_over_with_a_signature_of_the_one_before(
    home: CoordinatorHome, tmp_path: Path
) -> None:
    made = give_service_key(home, tmp_path / "new", by="Ana", operator=load_key(tmp_path / "ana"), now=DAY)
    assert [entry.key_file.name for entry in made.service_keys] == ["c.service-key", "new"]
    assert made.service_key().private_bytes_raw() == load_key(tmp_path / "new").private_bytes_raw()
    assert whole(made) == 3
    assert "old_audit_signature" in entries(made)[1]["details"]
    add_operator(made, "Bo", tmp_path / "bo")
    assert whole(made) == 4


def test_if_the_service_key_is_lost_the_log_is_moved_aside_and_the_next_begins_with_its_hash(
    home: CoordinatorHome, tmp_path: Path
) -> None:
    before = (home.path / "audit.jsonl").read_bytes()
    beside(home.path).unlink()
    with pytest.raises(ConfigurationError):
        add_operator(home, "Bo", tmp_path / "bo")
    made = give_service_key(home, tmp_path / "new", by="Ana", operator=load_key(tmp_path / "ana"), now=DAY)
    (aside,) = home.path.glob("audit.until-*.jsonl")
    assert aside.read_bytes() == before
    logged = entries(made)
    assert {"service key was lost" in entry["why"] for entry in logged} == {True, False}
    assert verify(home.path / "audit.jsonl", [made.service_keys[-1].public]).entries == len(logged)


@pytest.mark.parametrize("lost", [False, True])
def test_a_log_that_was_altered_is_not_moved_aside_as_if_a_key_had_been_lost(
    home: CoordinatorHome, tmp_path: Path, *, lost: bool
) -> None:
    if lost:
        beside(home.path).unlink()
    path = home.path / "audit.jsonl"
    path.write_bytes(path.read_bytes().replace(b"the coordinator was made", b"the coordinator was MADE"))
    with pytest.raises(ConfigurationError) as error:
        give_service_key(home, tmp_path / "new", by="Ana", operator=load_key(tmp_path / "ana"), now=DAY)
    assert error.value.code == "audit-log-altered"
    assert not list(home.path.glob("audit.until-*"))


@pytest.mark.parametrize(
    ("place", "code"), [("c/inside", "key-file-inside-home"), ("ana", "key-file-exists")]
)
def test_a_service_key_is_a_new_file_outside_the_directory(
    home: CoordinatorHome, tmp_path: Path, place: str, code: str
) -> None:
    with pytest.raises(ConfigurationError) as error:
        give_service_key(home, tmp_path / place, by="Ana", operator=load_key(tmp_path / "ana"), now=DAY)
    assert error.value.code == code
    with pytest.raises(ConfigurationError) as error:
        create_home(
            tmp_path / "d",
            operator="Ana",
            key_file=tmp_path / "other",
            service_key_file=tmp_path / place.replace("c/", "d/"),
        )
    assert error.value.code == code


def test_another_key_in_the_service_keys_file_signs_nothing(home: CoordinatorHome, tmp_path: Path) -> None:
    beside(home.path).write_bytes((tmp_path / "ana").read_bytes())
    with pytest.raises(ConfigurationError) as error:
        home.service_key()
    assert error.value.code == "another-service-key"


def test_a_run_whose_end_cannot_be_signed_stops_before_it_asks_anybody(tmp_path: Path) -> None:
    life = Life.begin(tmp_path)
    life.ready()
    calls, path = life.calls, beside(life.home.path)
    away = path.rename(tmp_path / "away")
    life.conduct()
    state = life.files().state()
    assert state.error is not None
    assert (state.state, state.error.code, life.calls) == ("published", "key-file-missing", calls)
    away.rename(path)
    life.conduct()
    assert life.files().state().state == "finished"


def test_a_run_that_loses_the_key_under_way_can_be_resumed_to_a_signed_end(tmp_path: Path) -> None:
    life = Life.begin(tmp_path)
    life.ready()
    path, away = beside(life.home.path), tmp_path / "away"

    def before(call: int) -> None:
        if call == life.calls and path.exists() and call > 5:
            path.rename(away)

    life.before = before
    life.conduct()
    state = life.files().state()
    assert state.error is not None
    assert (state.state, state.error.code) == ("running", "key-file-missing")
    life.before = lambda _: None
    away.rename(path)
    life.conduct()
    assert life.files().state().state == "finished"
    life.files().told(life.files().state()).check(
        "study-1", state.manifest_hash, [life.home.operators[0].public]
    )


def test_a_study_is_offered_to_nobody_while_no_operator_vouches_for_what_signed_it(tmp_path: Path) -> None:
    life = Life.begin(tmp_path)
    life.ready()
    calls = life.calls
    (life.home.path / "service-keys.json").unlink()
    with pytest.raises(ConfigurationError) as error:
        life.offer()
    assert error.value.code == "no-certificate"
    life.conduct()
    assert (life.calls, life.files().state().state) == (calls, "published")
    give_service_key(life.home, None, by=OPERATOR, operator=load_key(life.key_file), now=DAY)
    life.conduct()
    assert life.files().state().state == "finished"


def test_states_are_told_that_a_study_failed_and_not_what_each_of_them_did(tmp_path: Path) -> None:
    life = Life.begin(tmp_path)
    life.ready()

    def before(call: int) -> None:
        life.silent |= set(EIGHT[:5]) if call > 6 else set()

    life.before = before
    life.conduct()
    state = life.files().state()
    assert state.error is not None
    assert state.state == "failed"
    assert state.changes[-1].why == state.error.code == "too-few-nodes"
    assert EIGHT[0] in state.error.cause


@pytest.mark.parametrize("by", ["", "x" * 201])
def test_a_study_is_withdrawn_by_somebody_who_has_a_name(tmp_path: Path, by: str) -> None:
    life = Life.begin(tmp_path)
    life.draft()
    with pytest.raises(UsageError) as error:
        drafting.withdraw(life.home, "study-1", by=by, why="a test")
    assert error.value.code == "bad-words"


def test_a_forged_review_is_not_passed_on_and_is_logged(tmp_path: Path) -> None:
    life = Life.begin(tmp_path)
    manifest = life.ready()
    for node, signer in (("FI", "FI"), ("GR", "BE")):
        offers = life.nodes[node]._offers
        assert offers is not None
        offers._sharing = CEREMONY.identities[signer].signing_key
    life.offer()
    assert set(life.files().state().reviews) == {"FI"}
    (entry,) = [row for row in entries(life.home) if row["operation"] == "refuse-request"]
    assert (entry["who"], "not signed by GR" in entry["why"]) == ("GR", True)
    life.offer()
    assert set(life.studies("BE").reviews(manifest.id)) == {"FI"}
    assert life.studies("FI").reviews(manifest.id) == {}
