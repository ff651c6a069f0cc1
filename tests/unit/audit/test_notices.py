"""What a command did while the service held the audit log is logged, once."""

import json
from pathlib import Path

import pytest

from audit_samples import KEY, NEXT_KEY, PUBLIC, open_log
from safeborders_fed.audit import notices
from safeborders_fed.audit.chain import Operation, verify
from safeborders_fed.audit.log import AuditLog, Event


def taken_up(directory: Path) -> AuditLog:
    log = open_log(directory / "audit.jsonl")
    notices.take_up(directory, log, KEY)
    return log


EVENT = Event(Operation.EXPORT, "user jan", "backup of the node", {"file": "b.tar"})


def logged(log: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def test_with_nobody_at_the_log_it_is_logged_at_once(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    assert notices.record(tmp_path, KEY, "PL", EVENT, lambda: taken_up(tmp_path))
    (entry,) = logged(log)
    assert (entry["operation"], entry["who"], entry["why"]) == ("export", "user jan", "backup of the node")
    assert list((tmp_path / "notices").iterdir()) == []
    verify(log, PUBLIC)


def test_a_busy_log_is_left_alone_and_its_writer_takes_the_note_up(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    with open_log(path) as log:
        assert not notices.record(tmp_path, KEY, "PL", EVENT, lambda: taken_up(tmp_path))
        assert logged(path) == []
        assert notices.take_up(tmp_path, log, KEY) == 1
        assert notices.take_up(tmp_path, log, KEY) == 0
    (entry,) = logged(path)
    assert entry["details"]["file"] == "b.tar"  # type: ignore[index]
    assert "done_at" in entry["details"]  # type: ignore[operator]


def test_a_note_taken_up_again_after_a_crash_is_logged_once(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    notices.leave(tmp_path, KEY, "PL", EVENT)
    (note,) = (tmp_path / "notices").iterdir()
    content = note.read_bytes()
    with open_log(path) as log:
        notices.take_up(tmp_path, log, KEY)
    note.write_bytes(content)  # as if the crash came before it was removed
    with open_log(path) as log:
        notices.take_up(tmp_path, log, KEY)
    assert len(logged(path)) == 1


def test_a_note_of_another_key_is_not_logged_as_if_it_were_ours(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    notices.leave(tmp_path, NEXT_KEY, "PL", EVENT)
    (tmp_path / "notices" / "0.json").write_text("{}")
    with open_log(path) as log:
        notices.take_up(tmp_path, log, KEY)
    assert [entry["operation"] for entry in logged(path)] == ["reconcile", "reconcile"]
    assert all(name.name.endswith(".refused") for name in (tmp_path / "notices").iterdir())


def test_the_directory_of_the_first_note_is_on_the_disk_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr("safeborders_fed.study.durable.sync_directory", synced.append)
    notices.leave(tmp_path, KEY, "PL", EVENT)
    assert synced == [tmp_path, tmp_path / "notices"]
