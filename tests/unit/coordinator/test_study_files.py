"""A study's files at the coordinator: states in one direction, whole lines, one run at a time."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from safeborders_fed.cli import watching
from safeborders_fed.coordinator.following import follow
from safeborders_fed.coordinator.home import CoordinatorHome, create_home
from safeborders_fed.coordinator.study_files import StudyFiles
from safeborders_fed.coordinator.study_state import StudyState
from safeborders_fed.errors import ConfigurationError, PeerError, RefusedError, UsageError
from safeborders_fed.study.state_changes import NEXT, TERMINAL, first_change

NOW = datetime(2026, 5, 1, tzinfo=UTC)
KEY = Ed25519PrivateKey.generate()


def state(name: Any = "draft") -> StudyState:
    drafted = first_change(KEY, study="study-1", manifest_hash="ab" * 32, at=NOW, by="Ana", why="a test")
    change = drafted.model_copy(update={"state": name})
    return StudyState(study="study-1", manifest_hash="ab" * 32, changes=(change,))


@pytest.fixture
def home(tmp_path: Path) -> CoordinatorHome:
    return create_home(tmp_path / "c", operator="Ana", key_file=tmp_path / "key")


@pytest.fixture
def files(home: CoordinatorHome) -> StudyFiles:
    found = StudyFiles(home, "study-1")
    found.path.mkdir(parents=True)
    found.save(state())
    return found


@pytest.mark.parametrize("before", list(NEXT))
@pytest.mark.parametrize("after", list(NEXT))
def test_states_follow_each_other_in_one_direction(before: Any, after: Any) -> None:
    if after in NEXT[before]:
        found = state(before).changed(after, KEY, at=NOW, by="Bo", why="because")
        assert (found.state, found.changes[-1].by, len(found.changes)) == (after, "Bo", 2)
        return
    with pytest.raises(RefusedError, match=f"cannot become {after}"):
        state(before).changed(after, KEY, at=NOW, by="Bo", why="because")


def test_nothing_follows_an_end() -> None:
    assert all(not NEXT[name] for name in TERMINAL)
    assert "withdrawn" in NEXT["draft"] & NEXT["published"] & NEXT["running"]


def test_a_state_comes_back_as_it_was_and_a_damaged_one_is_named(files: StudyFiles) -> None:
    assert files.state() == state()
    (files.path / "state.json").write_bytes(b'{"state":"finished"}')
    with pytest.raises(ConfigurationError, match="damaged"):
        files.state()


def test_a_line_that_a_crash_cut_off_is_dropped(files: StudyFiles) -> None:
    assert files.progress() == []
    files.tell({"kind": "started"})
    path = files.path / "progress.jsonl"
    path.write_bytes(path.read_bytes() + b'{"kind":"rou')
    assert files.progress() == [{"kind": "started"}]
    files.tell({"kind": "round"})
    assert files.progress() == [{"kind": "started"}, {"kind": "round"}]
    assert path.read_bytes().endswith(b"\n")


def test_a_full_disk_is_named(files: StudyFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    for write in (lambda: files.tell({"kind": "round"}), lambda: files.save(state("running"))):
        with pytest.raises(ConfigurationError, match="No space left"):
            write()
    monkeypatch.undo()
    assert files.state() == state()


def test_a_study_is_held_by_one_at_a_time(files: StudyFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    assert not files.is_held()
    with files.lock():
        assert files.is_held()
        with pytest.raises(RefusedError, match="being worked on"), files.lock():
            pass
    assert not files.is_held()
    with pytest.raises(UsageError, match="no study"):
        StudyFiles(files._home, "unknown").is_held()


class Clock:
    """Does a step of the run at each wait of whoever follows it."""

    def __init__(self, steps: Iterator[None]) -> None:
        self.steps = steps
        self.waits = 0

    def __call__(self, seconds: float) -> None:
        assert 0 < seconds <= 1
        self.waits += 1
        next(self.steps, None)


def told(files: StudyFiles, *kinds: str) -> Iterator[None]:
    """A run that says one thing at each step."""
    with files.lock():
        for kind in kinds:
            files.tell({"kind": kind})
            yield


def test_rows_are_shown_as_they_come_up_to_the_last_word(files: StudyFiles) -> None:
    clock = Clock(told(files, "started", "round", "round", "summary"))
    rows = [row["kind"] for row in follow(files, clock, after=0)]
    assert rows == ["started", "round", "round", "summary"]
    assert clock.waits == 4
    again = Clock(iter(()))
    assert [row["kind"] for row in follow(files, again)] == rows
    assert again.waits == 0


def test_only_the_last_run_is_shown(files: StudyFiles) -> None:
    for kind in ("started", "round", "error", "started", "offered", "summary"):
        files.tell({"kind": kind})
    assert [row["kind"] for row in follow(files, Clock(iter(())))] == ["started", "offered", "summary"]


def test_a_run_that_is_gone_without_a_last_word_is_named(files: StudyFiles) -> None:
    clock = Clock(told(files, "started", "round"))
    with pytest.raises(PeerError) as error:
        list(follow(files, clock, after=0))
    assert error.value.code == "run-interrupted"
    assert "study resume study-1" in error.value.fix


def test_a_run_that_takes_up_what_another_left_is_followed(files: StudyFiles) -> None:
    def two_runs() -> Iterator[None]:
        yield from told(files, "started", "round")
        yield from (None for _ in range(60))  # the service starts again
        yield from told(files, "started", "round", "summary")

    clock = Clock(two_runs())
    rows = [row["kind"] for row in follow(files, clock, after=0)]
    assert rows == ["started", "round", "started", "round", "summary"]


def test_a_run_that_never_starts_is_not_waited_for_forever(files: StudyFiles) -> None:
    clock = Clock(iter(()))
    with pytest.raises(PeerError) as error:
        list(follow(files, clock, after=0))
    assert error.value.code == "run-not-started"
    assert clock.waits <= 90


ROW: dict[str, Any] = {
    "kind": "round",
    "study": "study-1",
    "round": 17,
    "rounds": 40,
    "nodes": list("ABCDEFGH"),
    "participants": list("ABCDEFG"),
    "missing": {"H": "no-reply"},
    "seconds": 41.2,
    "round_seconds": 2.4,
    "epsilon_spent": 0.6,
    "epsilon_total": 1.0,
}


def test_a_round_is_one_line() -> None:
    assert watching.line(ROW) == (
        "round 17/40 · 7 of 8 states (missing: H: no-reply) · 00:41 elapsed · about 00:55 left · "
        "epsilon 0.6 of 1"
    )


def test_a_live_line_cannot_steer_the_terminal(
    files: StudyFiles, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    for row in (
        {"kind": "started", "study": "study-1", "rounds": 40, "nodes": list("AB")},
        {**ROW, "missing": {"H": "\x1b[2Jgone"}},
        {**ROW, "kind": "delivered", "delivered": ["A"], "undelivered": {"B": "offline"}},
        {**ROW, "kind": "summary", "attempts": 41, "delta": 1e-6, "release": "r.json", "model": "study-1-1"},
    ):
        files.tell(row)
    watching.watch(files, after=None, as_json=False)
    read = capsys.readouterr()
    assert "\x1b[2J" not in read.err
    assert "40 rounds in 41 attempts" in read.out
    assert "models show study-1-1" in read.out
