"""A study from its draft to its record at every node, and every way in which it can end otherwise."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from federation_of import EIGHT
from safeborders_fed.coordinator import drafting, models
from safeborders_fed.coordinator.history import History
from safeborders_fed.coordinator.study_files import StudyFiles
from safeborders_fed.errors import ConfigurationError, PeerError, RefusedError, UsageError
from safeborders_fed.study import release_file
from safeborders_fed.study.key_files import load_key
from safeborders_fed.study.offering import Offered, Status, Why
from study_life import OPERATOR, TRENDS, DiedError, Life, later

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
    assert manifest.id == "study-1"
    assert last_words(life)["kind"] == "summary"


@pytest.mark.parametrize("call", range(4 + ROUNDS + 1))
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


def test_the_expected_error_of_tables_is_known_before_anybody_is_asked(life: Life) -> None:
    manifest = life.draft(analysis="trends", parameters=TRENDS)
    found = drafting.expected_errors(manifest)
    assert {f"95% margin of a count by {name}, in victims" for name in ("total", "year x form")} <= set(found)
    assert all(np.isfinite(value) and value > 0 for value in found.values())
    assert life.calls == 0
