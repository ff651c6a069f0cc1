"""A study from its draft to its record at every node, and every way in which it can end otherwise."""

import json
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from federation_of import EIGHT
from safeborders_fed.coordinator import drafting, models
from safeborders_fed.coordinator.history import History
from safeborders_fed.coordinator.study_files import StudyFiles
from safeborders_fed.errors import ConfigurationError, PeerError, RefusedError, UsageError
from safeborders_fed.node.desk import Desk, Standing
from safeborders_fed.study import canonical, release_file, wire
from safeborders_fed.study.expected import expected
from safeborders_fed.study.key_files import load_key
from safeborders_fed.study.manifest import Manifest
from safeborders_fed.study.messages import Reason, Refusal, decode
from safeborders_fed.study.offering import Kept, Offered, Status, Why
from study_life import LOGISTIC, OPERATOR, TRENDS, DiedError, Life, later

ROUNDS = 6
"""Of the logistic study: counts, moments, three steps, evaluation."""


@pytest.fixture
def life(tmp_path: Path) -> Life:
    return Life.begin(tmp_path)


def last_words(life: Life, study: str = "study-1") -> dict[str, object]:
    rows = life.rows(study)
    words = [row for row in rows if row["kind"] in {"summary", "error"}]
    assert words[-1] is rows[-1]
    assert len(words) == sum(row["kind"] == "started" for row in rows)
    return rows[-1]


def die_at(life: Life, call: int) -> None:
    target = life.calls + call

    def before(number: int) -> None:
        if number == target:
            raise DiedError

    life.before = before


def test_a_study_lives_from_its_draft_to_its_record_at_every_node(life: Life) -> None:
    manifest = life.draft()
    assert life.files().state().state == "draft"
    life.publish(manifest)
    answers = life.offer()
    assert {node: answer.status for node, answer in answers.items() if isinstance(answer, Offered)} == (
        dict.fromkeys(EIGHT, Status.PENDING)
    )
    life.approve(manifest, but=("PT", "RO"))
    life.approve(manifest, but=tuple(node for node in EIGHT if node != "RO"), people=1)
    life.refuse(manifest, "PT", Why.COLUMNS)
    life.conduct()
    state = life.files().state()
    assert [change.state for change in state.changes] == ["draft", "published", "running", "finished"]
    assert (state.nodes["PT"].status, state.nodes["PT"].reason) == ("refused", "columns")
    assert (state.nodes["RO"].status, state.nodes["RO"].reason) == ("pending", "")
    rows = life.rows()
    rounds = [row for row in rows if row["kind"] == "round"]
    assert [row["round"] for row in rounds] == list(range(1, ROUNDS + 1))
    assert rounds[0]["missing"] == {"PT": "refused (columns)", "RO": "pending"}
    assert rounds[-1]["participants"] == [node for node in EIGHT if node not in {"PT", "RO"}]
    assert 0 < rounds[0]["epsilon_spent"] < rounds[-1]["epsilon_spent"] <= manifest.epsilon
    assert last_words(life)["kind"] == "summary"
    published = release_file.from_bytes(life.files().release.read_bytes())
    assert published.manifest_hash == manifest.hash()
    (model,) = models.listed(life.home)
    assert str(model.model.head.id) == state.model == "study-1-1"
    assert (model.model.arrays["weights"] == published.release.arrays["weights"]).all()
    assert model.status == "candidate"
    for node in EIGHT:
        assert life.reserved(node) == 0
        assert life.record(node).release() == life.files().release.read_bytes()
        assert life.spent(node) == (0 if node in {"PT", "RO"} else pytest.approx(rounds[-1]["rho_spent"]))
        life.nodes[node]._ledger.verify()
        verified = life.verify(node)
        assert (verified.rounds, verified.contributions) == (ROUNDS, 6 * ROUNDS)
        assert verified.own == (0 if node in {"PT", "RO"} else ROUNDS)


def test_tables_are_released_without_a_model(life: Life) -> None:
    life.ready(analysis="trends", parameters=TRENDS)
    life.conduct()
    assert life.files().state().state == "finished"
    assert life.files().state().model is None
    assert models.listed(life.home) == ()


def test_a_launch_without_a_quorum_spends_nothing_and_can_be_repeated(life: Life) -> None:
    manifest = life.draft()
    life.publish(manifest)
    life.offer()
    life.approve(manifest, but=EIGHT[4:])
    life.conduct()
    assert life.files().state().state == "published"
    word = last_words(life)
    assert (word["kind"], word["code"], word["resumable"]) == ("error", "too-few-approvals", True)
    assert "PL: pending" in str(word["cause"])
    assert all(life.spent(node) == life.reserved(node) == 0 for node in EIGHT)
    life.approve(manifest)
    life.conduct()
    assert life.files().state().state == "finished"
    assert last_words(life)["kind"] == "summary"


def test_asking_again_is_never_the_same_message(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link answers the same bytes as before with the answer of before."""
    life.publish(life.draft())
    seen: list[dict[str, bytes]] = []
    ask = Life.ask

    def watched(self: Life, requests: dict[str, bytes], *more: dict[str, bytes]) -> dict[str, bytes]:
        seen.append(dict(requests))
        return ask(self, requests, *more)

    monkeypatch.setattr(Life, "ask", watched)
    life.offer()
    life.offer()
    assert len({requests["GR"] for requests in seen}) == 2


def held_for_a_while(life: Life) -> Callable[[], None]:
    """Another process holds the study, as an offer does, longer than who only looks; it lets go by itself."""
    holding = life.files().lock()
    holding.__enter__()
    timer = threading.Timer(1.0, holding.__exit__, (None, None, None))
    timer.start()
    return timer.join


def test_a_launch_waits_for_the_offer_that_is_on_its_way(life: Life) -> None:
    life.ready()
    let_go = held_for_a_while(life)
    life.conduct()
    let_go()
    assert life.files().state().state == "finished"


def test_who_withdraws_during_an_offer_leaves_no_wish_that_nobody_finds(life: Life) -> None:
    life.ready()
    let_go = held_for_a_while(life)
    assert drafting.withdraw(life.home, life.files().study, by=OPERATOR, why="A mistake.")
    let_go()
    assert life.files().state().state == "withdrawn"


def test_an_approval_that_the_node_could_not_act_on_does_not_count(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its people have approved, but its policy, budget or roster would refuse."""
    life.ready()
    taken = Desk.standing

    def standing(desk: Desk, manifest: Manifest) -> Standing:
        found = taken(desk, manifest)
        return replace(found, reason=Why.ROSTER) if desk.node in EIGHT[:4] else found

    monkeypatch.setattr(Desk, "standing", standing)
    life.conduct()
    assert life.files().state().state == "published"
    assert last_words(life)["code"] == "too-few-approvals"
    assert "BE: approved, but roster" in str(last_words(life)["cause"])


def test_a_study_that_too_few_join_stays_published(life: Life) -> None:
    life.ready()
    calls = life.calls

    def before(number: int) -> None:
        if number == calls + 1:  # all have said that they approved; then four fall silent
            life.silent = set(EIGHT[:4])

    life.before = before
    life.conduct()
    assert life.files().state().state == "published"
    assert last_words(life)["code"] == "too-few-joined"
    assert all(life.spent(node) == 0 for node in EIGHT)
    life.silent = set()
    life.conduct()
    assert life.files().state().state == "finished"
    assert [change.state for change in life.files().state().changes][1:] == [
        "published",
        "running",
        "published",
        "running",
        "finished",
    ]


def test_a_study_that_loses_its_nodes_fails_and_its_reservations_end(life: Life) -> None:
    life.ready()
    calls = life.calls

    def before(number: int) -> None:
        if number == calls + 6:  # offer, join, witness, begin, then two rounds
            life.silent = set(EIGHT[:4])

    life.before = before
    life.conduct()
    state = life.files().state()
    assert state.state == "failed"
    word = last_words(life)
    assert (word["code"], word["resumable"]) == ("too-few-nodes", False)
    assert "BE: no-reply" in str(word["cause"])
    assert not life.files().release.exists()
    assert all((life.reserved(node) > 0) == (node in EIGHT[:4]) for node in EIGHT)
    life.silent = set()
    life.conduct()
    assert last_words(life)["code"] == "too-few-nodes"
    for node in EIGHT:
        assert life.reserved(node) == 0
        outcome = life.record(node).outcome()
        assert outcome is not None
        assert outcome.outcome == "failed"


def test_a_node_that_falls_silent_is_missing_with_a_reason_and_gets_the_record_later(life: Life) -> None:
    manifest = life.ready()
    calls = life.calls

    def before(number: int) -> None:
        if number == calls + 6:
            life.silent = {"FI"}

    life.before = before
    life.conduct()
    state = life.files().state()
    assert state.state == "finished"
    rounds = [row for row in life.rows() if row["kind"] == "round"]
    assert rounds[1]["missing"] == {}
    assert rounds[2]["missing"] == {"FI": "no-reply"}
    assert rounds[2]["attempts"] == 4
    assert "FI" not in state.delivered
    assert life.rows()[-2]["undelivered"] == {"FI": "offline"}
    assert life.reserved("FI") > 0
    life.silent = set()
    calls = life.calls
    life.conduct()
    assert life.files().state().delivered == EIGHT
    assert life.record("FI").release() == life.files().release.read_bytes()
    assert life.reserved("FI") == 0
    assert life.verify("FI").failed == 1
    assert life.verify("FI").own < life.verify("BE").own == ROUNDS
    assert manifest.id == "study-1"
    assert last_words(life)["kind"] == "summary"


@pytest.mark.parametrize("call", range(4 + ROUNDS + 2))
def test_a_coordinator_killed_at_any_message_goes_on_and_publishes_once(life: Life, call: int) -> None:
    life.ready()
    die_at(life, call)
    with pytest.raises(DiedError):
        life.conduct()
    assert life.files().state().state in {"published", "running", "finished"}
    assert not life.files().is_held()
    life.before = lambda _: None
    first = life.files().release.read_bytes() if life.files().release.exists() else None
    life.conduct()
    assert life.files().state().state == "finished"
    assert life.rows()[-1]["kind"] == "summary"
    assert len(models.listed(life.home)) == 1
    assert first in {None, life.files().release.read_bytes()}
    attempts = History(life.files().history).attempts()
    assert attempts == ROUNDS
    for node in EIGHT:
        assert len(life.nodes[node]._ledger.answers("study-1")) == ROUNDS
        assert life.record(node).release() == life.files().release.read_bytes()


@pytest.mark.parametrize("name", ["release.json", "heads.json", "state.json"])
def test_a_full_disk_at_the_coordinator_ends_the_run_and_not_the_study(
    life: Life, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    life.ready()
    write, full = StudyFiles.write, [True]

    def writing(self: StudyFiles, target: str, content: bytes) -> None:
        if full[0] and target == name and (name != "state.json" or b'"finished"' in content):
            full[0] = False
            raise ConfigurationError("coordinator-unwritable", "the disk is full", "free space")
        write(self, target, content)

    monkeypatch.setattr(StudyFiles, "write", writing)
    life.conduct()
    assert not full[0]
    life.conduct()
    assert life.files().state().state == "finished"
    assert last_words(life)["kind"] == "summary"
    assert len(models.listed(life.home)) == 1


def test_a_defect_at_the_coordinator_leaves_a_study_that_can_be_resumed(life: Life) -> None:
    life.ready()
    calls = life.calls

    def before(number: int) -> None:
        if number == calls + 5:
            raise ValueError("a defect")

    life.before = before
    with pytest.raises(ValueError, match="a defect"):
        life.conduct()
    assert life.files().state().state == "running"
    word = last_words(life)
    assert (word["code"], word["resumable"]) == ("coordinator-defect", True)
    assert "a defect" not in str(word["cause"])
    life.before = lambda _: None
    life.conduct()
    assert life.files().state().state == "finished"
    assert life.files().state().error is None


@pytest.mark.parametrize("restarted", ["FI", "all"])
def test_nodes_restarted_between_approval_and_launch_take_the_study_on(life: Life, restarted: str) -> None:
    life.ready()
    for node in EIGHT if restarted == "all" else (restarted,):
        life.start(node)
    life.conduct()
    assert life.files().state().state == "finished"


def test_a_draft_and_a_published_study_can_be_withdrawn(life: Life) -> None:
    life.draft("study-2")
    assert drafting.withdraw(life.home, "study-2", by=OPERATOR, why="not needed")
    assert life.files("study-2").state().state == "withdrawn"
    life.conduct("study-2")  # nobody was told of it, so nobody is told of its end
    assert life.calls == 0
    life.ready()
    assert drafting.withdraw(life.home, "study-1", by=OPERATOR, why="not needed")
    life.conduct()
    word = last_words(life)
    assert (word["code"], word["cause"]) == ("study-withdrawn", "study 'study-1' was withdrawn: not needed")
    outcome = life.record("BG").outcome()
    assert outcome is not None
    assert outcome.outcome == "withdrawn"
    with pytest.raises(RefusedError, match="cannot become withdrawn"):
        drafting.withdraw(life.home, "study-1", by=OPERATOR, why="again")


def test_a_running_study_is_withdrawn_after_its_round_and_nodes_are_released(life: Life) -> None:
    life.ready()
    calls = life.calls

    def before(number: int) -> None:
        if number == calls + 5:
            assert not drafting.withdraw(life.home, "study-1", by=OPERATOR, why="the law changed")

    life.before = before
    life.conduct()
    state = life.files().state()
    assert state.state == "withdrawn"
    assert (state.changes[-1].by, state.changes[-1].why) == (OPERATOR, "the law changed")
    assert [row["round"] for row in life.rows() if row["kind"] == "round"] == [1, 2]
    assert all(life.reserved(node) == 0 for node in EIGHT)
    assert not life.files().release.exists()


def test_a_study_whose_last_day_is_past_fails_at_its_launch(life: Life) -> None:
    life.ready()
    life.time = later(40)
    life.conduct()
    assert life.files().state().state == "failed"
    assert last_words(life)["code"] == "study-expired"
    assert all(life.spent(node) == 0 for node in EIGHT)


def test_a_study_whose_answers_would_come_after_the_deadline_is_not_begun(life: Life) -> None:
    life.ready(tick_seconds=life.home.deadline_seconds)
    life.conduct()
    assert life.files().state().state == "published"
    assert last_words(life)["code"] == "deadline-too-short"
    assert all(life.reserved(node) == 0 for node in EIGHT)


def test_a_study_that_is_being_worked_on_is_not_worked_on_twice(life: Life) -> None:
    life.ready()
    with life.files().lock():
        assert life.files().is_held()
        with pytest.raises(RefusedError, match="being worked on"):
            life.conduct()
    assert not life.files().is_held()


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (lambda life: life.conduct(), "not-published"),
        (lambda life: life.offer(), "not-published"),
        (lambda life: life.conduct("unknown"), "unknown-study"),
        (lambda life: life.conduct("../etc"), "unknown-study"),
        (lambda life: life.draft(), "study-exists"),
        (lambda life: drafting.withdraw(life.home, "study-1", by="x", why=" "), "reason-missing"),
    ],
)
def test_what_does_not_fit_the_state_is_refused(life: Life, act: Callable[[Life], None], code: str) -> None:
    life.draft()
    with pytest.raises((RefusedError, UsageError)) as error:
        act(life)
    assert error.value.code == code


def test_an_operator_signs_exactly_the_draft_with_their_own_key(life: Life) -> None:
    manifest = life.draft()
    key = load_key(life.key_file)
    for by, digest, code in (
        (OPERATOR, "0" * 64, "another-hash"),
        ("Eve", manifest.hash(), "not-an-operator"),
    ):
        with pytest.raises(RefusedError) as error:
            drafting.publish(life.home, "study-1", by=by, key=key, manifest_hash=digest)
        assert error.value.code == code
    life.publish(manifest)
    with pytest.raises(RefusedError, match="cannot become published"):
        life.publish(manifest)


def test_a_published_study_or_roster_altered_on_the_disk_is_not_conducted(life: Life) -> None:
    life.ready()
    path = life.files().path / "roster.json"
    path.write_bytes(path.read_bytes().replace(b'"version":1', b'"version":2'))
    life.conduct()
    assert life.files().state().state == "published"
    assert last_words(life)["kind"] == "error"
    path = life.files().path / "published.json"
    path.write_bytes(path.read_bytes().replace(b'"a test"', b'"a fest"'))
    with pytest.raises(PeerError, match="does not verify"):
        life.offer()
    life.conduct()
    assert last_words(life)["code"] == "bad-signature"


def test_the_expected_error_of_tables_is_known_before_anybody_is_asked(life: Life) -> None:
    manifest = life.draft(analysis="trends", parameters=TRENDS)
    found = {figure.what: figure.value for figure in expected(manifest).figures}
    assert {f"95% margin of a count by {name}, in victims" for name in ("total", "year x form")} <= set(found)
    assert all(np.isfinite(value) and value > 0 for value in found.values())
    assert life.calls == 0


@pytest.fixture
def finished(life: Life) -> Life:
    life.ready()
    life.conduct()
    return life


def published(life: Life, change: Callable[[dict[str, Any]], None]) -> None:
    """Puts another release in place of the one that BE keeps."""
    path = life.studies("BE").directory("study-1") / "release.json"
    content = json.loads(path.read_bytes())
    change(content)
    path.write_bytes(canonical.serialise(content))


def test_a_published_number_that_the_nodes_did_not_produce_is_found(finished: Life) -> None:
    def change(content: dict[str, Any]) -> None:
        content["arrays"]["weights"]["values"][0] += 0.001

    assert finished.verify("BE").own == ROUNDS
    published(finished, change)
    with pytest.raises(PeerError, match=r"arrays\.weights") as error:
        finished.verify("BE")
    assert error.value.code == "release-differs"


def test_a_release_of_another_study_is_found(finished: Life) -> None:
    published(finished, lambda content: content.update(study="study-2"))
    with pytest.raises(PeerError, match="another study"):
        finished.verify("BE")


def test_a_contribution_of_this_node_that_its_ledger_lacks_is_found(finished: Life) -> None:
    ledger = finished.nodes["BE"]._ledger
    ledger._db.execute("DELETE FROM contribution WHERE attempt = 2")
    with pytest.raises(PeerError, match="never charged"):
        finished.verify("BE")


def test_a_charged_contribution_that_the_record_lacks_is_found(finished: Life) -> None:
    ledger = finished.nodes["BE"]._ledger
    ledger._db.execute(
        "INSERT INTO contribution SELECT study, round, 99, request_hash, rho, stored, x'00' "
        "FROM contribution WHERE attempt = 2"
    )
    with pytest.raises(PeerError, match="attempts 99 were charged"):
        finished.verify("BE")


def test_a_record_that_lacks_a_part_is_not_verified(finished: Life) -> None:
    (finished.studies("BE").directory("study-1") / "release.json").unlink()
    with pytest.raises(UsageError, match="whole record"):
        finished.verify("BE")


def test_a_study_is_verified_with_the_keys_of_then(finished: Life) -> None:
    (finished.studies("BE").directory("study-1") / "keys.json").unlink()
    with pytest.raises(UsageError, match="did not take part"):
        finished.verify("BE")


def older(data: bytes, minor: int) -> bytes:
    return data[:4] + minor.to_bytes(2, "little") + data[6:]


def with_version(life: Life, monkeypatch: pytest.MonkeyPatch, node: str, minor: int) -> None:
    """One node runs another minor version than everybody else, who run 5."""
    monkeypatch.setattr(wire, "MINOR", 5)
    answer = life.nodes[node].answer

    def answering(data: bytes) -> SimpleNamespace:
        wire.MINOR = minor
        try:
            return SimpleNamespace(data=answer(data).data)
        finally:
            wire.MINOR = 5

    monkeypatch.setattr(life.nodes[node], "answer", answering)


@pytest.mark.parametrize("minor", [4, 6])
def test_a_node_one_minor_version_apart_takes_part_and_masks_cancel(
    life: Life, monkeypatch: pytest.MonkeyPatch, minor: int
) -> None:
    life.ready()
    with_version(life, monkeypatch, "FI", minor)
    life.conduct()
    assert life.files().state().state == "finished"
    rounds = [row for row in life.rows() if row["kind"] == "round"]
    assert rounds[-1]["participants"] == list(EIGHT)
    assert life.verify("BE").contributions == 8 * ROUNDS


@pytest.mark.parametrize(("minor", "side"), [(3, "the other side"), (7, "this side")])
def test_a_node_further_apart_is_told_with_both_versions_and_who_must_upgrade(
    life: Life, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, minor: int, side: str
) -> None:
    life.ready()
    with_version(life, monkeypatch, "FI", minor)
    life.conduct()
    assert life.files().state().state == "finished"
    word = life.files().state().nodes["FI"]
    assert (word.status, word.reason) == ("no-answer", "wrong-protocol")
    theirs, ours = f"{wire.PROTOCOL}.{minor}", f"{wire.PROTOCOL}.5"
    assert f"the other side speaks protocol {theirs}, this side {ours}: {side} is too old" in word.advice
    assert f"install on {side} the version that the newer one has" in word.advice
    assert f"the other side speaks protocol {ours}, this side {theirs}" in caplog.text  # at the node
    assert life.spent("FI") == 0


def test_a_node_that_does_not_understand_says_so_with_a_word_of_the_list(life: Life) -> None:
    request = life.draft().canonical()  # any bytes
    data = older(Refusal("BE", Reason.BUDGET).encode(), 9)
    assert decode(life.nodes["BE"].answer(data).data) == Refusal("BE", Reason.VERSION)
    assert decode(life.nodes["BE"].answer(request).data) == Refusal("BE", Reason.MALFORMED)


def test_a_study_starts_from_a_released_model_and_is_verified_with_it(finished: Life) -> None:
    (known,) = models.listed(finished.home)
    warm = finished.ready(study="study-2", parameters={**LOGISTIC, "warm_start": known.model.sha256})
    finished.conduct(warm.id)
    assert finished.files(warm.id).state().model == "study-2-1"
    with pytest.raises(UsageError, match="does not hold"):
        finished.verify("BE", warm.id)
    (finished.directory / "BE" / "models").mkdir()
    name = "study-1-1.safetensors"
    shutil.copy(finished.home.models / name, finished.directory / "BE" / "models" / name)
    assert finished.verify("BE", warm.id).own == ROUNDS


def test_a_study_whose_starting_model_is_not_here_asks_nobody(life: Life) -> None:
    life.ready(parameters={**LOGISTIC, "warm_start": "0" * 64})
    life.conduct()
    assert life.files().state().state == "published"
    assert last_words(life)["code"] == "no-warm-start"
    assert all(life.reserved(node) == 0 for node in EIGHT)


@pytest.mark.parametrize(
    "wrong",
    [
        Offered(study="study-1", node="BG", manifest_hash="", status=Status.REJECTED, reason=Why.MALFORMED),
        Offered(study="study-1", node="BE", manifest_hash="0" * 64, status=Status.APPROVED),
        Kept(study="study-1", node="BE", part=0),
        Refusal("BE", Reason.MALFORMED),
    ],
)
def test_a_wrong_answer_to_an_offer_is_no_approval(
    life: Life, monkeypatch: pytest.MonkeyPatch, wrong: Offered | Kept | Refusal
) -> None:
    life.ready()
    monkeypatch.setattr(life.nodes["BE"], "answer", lambda _: SimpleNamespace(data=wrong.encode()))
    assert isinstance(life.offer()["BE"], str)
    assert life.files().state().nodes["BE"].status == "no-answer"


def test_a_node_that_confirms_another_part_does_not_count_as_having_the_record(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    life.ready()
    answer = life.nodes["BE"].answer

    def answering(data: bytes) -> SimpleNamespace:
        given = Kept(study="study-1", node="BE", part=7).encode() if b'"outcome":"finished"' in data else None
        return SimpleNamespace(data=given or answer(data).data)

    monkeypatch.setattr(life.nodes["BE"], "answer", answering)
    life.conduct()
    assert life.files().state().delivered == EIGHT[1:]
    assert life.rows()[-2]["undelivered"] == {"BE": "wrong-reply"}
    assert last_words(life)["kind"] == "summary"


def test_an_expired_draft_is_not_published(life: Life) -> None:
    manifest = life.draft()
    with pytest.raises(RefusedError, match="has expired"):
        drafting.publish(
            life.home,
            manifest.id,
            by=OPERATOR,
            key=load_key(life.key_file),
            manifest_hash=manifest.hash(),
            clock=later(40),
        )
