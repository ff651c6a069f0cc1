"""The audit log keeps everything, once, through crashes, and never goes on after an alteration."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_samples import KEY, NEXT_KEY, PUBLIC, altered_at, clock, events, open_log, write
from safeborders_fed.audit import tail
from safeborders_fed.audit.chain import EMPTY, Operation, verify
from safeborders_fed.audit.log import AuditLog
from safeborders_fed.errors import ConfigurationError, DefectError, UsageError
from safeborders_fed.study import canonical

WHY = "study trends-2026"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def test_entries_are_numbered_chained_and_say_who_what_when_and_why(path: Path) -> None:
    with open_log(path) as log:
        assert log.head() == EMPTY
        log.append(Operation.START, who="service", why="boot")
        head = log.append(Operation.IMPORT, who="Jan", why="monthly", details={"rows": 7, "new": True})
    first, second = (json.loads(line) for line in path.read_bytes().splitlines())
    assert first["previous"] == "0" * 64
    assert second["previous"] == canonical.sha256(path.read_bytes().splitlines()[0])
    assert second | {"signature": "", "previous": ""} == {
        "number": 2,
        "at": "2026-05-01T12:00:00.000000+00:00",
        "node": "PL",
        "operation": "import",
        "who": "Jan",
        "why": "monthly",
        "details": {"rows": 7, "new": True},
        "previous": "",
        "signature": "",
    }
    assert verify(path, PUBLIC, {head.number: head.hash}).head == head.hash
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_batch_has_one_signature_at_its_end(path: Path) -> None:
    write(path, 3, 1, 2)
    signed = [bool(json.loads(line)["signature"]) for line in path.read_bytes().splitlines()]
    assert signed == [False, False, True, True, False, True]
    assert verify(path, PUBLIC).entries == 6


def test_the_log_goes_on_where_it_ended(path: Path) -> None:
    first = write(path, 2)
    second = write(path, 1)
    assert (first.number, second.number) == (2, 3)
    assert verify(path, PUBLIC, {2: first.hash, 3: second.hash}).entries == 3


def test_a_log_of_another_node_is_refused(path: Path) -> None:
    write(path, 1)
    with pytest.raises(ConfigurationError, match="it is of node PL"):
        AuditLog(path, KEY, "RO", clock)


def test_a_key_change_that_cannot_be_written_changes_no_key(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_log(path) as log, monkeypatch.context() as patch:
        log.append_many(events(1))
        patch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
        with pytest.raises(ConfigurationError, match="No space left"):
            log.change_key(NEXT_KEY, who="two people", why="yearly renewal")
    open_log(path).close()
    assert verify(path, PUBLIC).entries == 1


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_crash_at_any_byte_of_a_batch_loses_that_batch_only(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("crash") / "audit.jsonl"
    before = write(path, 2, 1)
    kept = path.stat().st_size
    write(path, data.draw(st.integers(1, 4)))
    torn = path.read_bytes()[: data.draw(st.integers(kept, path.stat().st_size - 1))]
    path.write_bytes(torn)
    with open_log(path) as log:
        head = log.head()
    lines = path.read_bytes().splitlines()
    aside = path.with_name("audit.jsonl.torn")
    if len(torn) == kept:
        assert head == before
        assert not aside.exists()
    else:
        note = json.loads(lines[-1])
        assert head.number == before.number + 1
        assert (note["operation"], note["details"]["bytes"]) == ("reconcile", len(torn) - kept)
        assert aside.read_bytes() == torn[kept:]
        assert aside.stat().st_mode & 0o777 == 0o600
    assert verify(path, PUBLIC, {before.number: before.hash, head.number: head.hash}).entries == head.number


def test_a_last_line_that_is_not_json_is_moved_aside(path: Path) -> None:
    write(path, 2)
    with path.open("ab") as file:
        file.write(b"\0" * 50 + b"\n")
    with open_log(path) as log:
        assert log.head().number == 3
    assert verify(path, PUBLIC).entries == 3


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [(b"Jan", b"Eva", 4), (b"Jan", b"Eva", 5), (b'"number":5', b'"number":7', 5), (b"{", b"[", 3)],
)
def test_opening_forgives_nothing_else(path: Path, old: bytes, new: bytes, line: int) -> None:
    write(path, 1, 1, 1, 1, 1)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[line - 1] = lines[line - 1].replace(old, new)
    path.write_bytes(b"".join(lines))
    with pytest.raises(ConfigurationError, match="audit-log-altered"):
        open_log(path)
    assert path.read_bytes() == b"".join(lines)


def test_unsigned_entries_more_than_a_batch_are_no_crash(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "LARGEST_BATCH", 3)
    write(path, 1, 5)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:5]))
    with pytest.raises(ConfigurationError, match="not signed"):
        open_log(path)


def test_there_is_one_writer(path: Path) -> None:
    with open_log(path), pytest.raises(ConfigurationError) as caught:
        open_log(path)
    assert caught.value.code == "audit-log-busy"
    open_log(path).close()


def test_nothing_is_written_after_another_hand_wrote(path: Path) -> None:
    with open_log(path) as log:
        log.append_many(events(2))
        path.write_bytes(path.read_bytes()[:-10])
        for code in ("audit-log-altered", "audit-log-unwritable"):
            with pytest.raises(ConfigurationError, match=code):
                log.append(Operation.START, who="service", why="boot again")


def test_nothing_is_written_into_a_file_that_was_taken_away(path: Path) -> None:
    with open_log(path) as log:
        log.append_many(events(2))
        path.unlink()
        with pytest.raises(ConfigurationError, match="audit-log-altered"):
            log.append(Operation.START, who="service", why="boot again")


def test_nothing_is_written_after_a_failed_write(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_log(path) as log:
        log.append_many(events(1))
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left")))
            with pytest.raises(ConfigurationError, match="No space left"):
                log.append_many(events(1))
        with pytest.raises(ConfigurationError, match="a write failed before"):
            log.append_many(events(1))


def test_a_closed_log_writes_nothing(path: Path) -> None:
    log = open_log(path)
    log.close()
    log.close()
    with pytest.raises(ConfigurationError, match="audit-log-unwritable"):
        log.append(Operation.START, who="service", why="boot again")


def test_a_directory_that_is_missing_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="audit-log-unwritable"):
        open_log(tmp_path / "missing" / "audit.jsonl")


@pytest.mark.parametrize(
    ("who", "why", "details"),
    [
        ("", "w", {}),
        ("w" * 201, "w", {}),
        ("w", "w" * 2001, {}),
        ("w", "w", {"a": float("nan")}),
        ("w", "w", {"a": "secret" * 20_000}),
        ("w", "\ud800", {}),
        ("w", "w", {"a": 10**5000}),
        ("w", "w", {"a": None}),
    ],
)
def test_an_entry_that_would_not_read_back_is_refused_and_spoils_nothing(
    path: Path, who: str, why: str, details: dict[str, str]
) -> None:
    with open_log(path) as log:
        with pytest.raises(UsageError) as caught:
            log.append(Operation.VIEW, who=who, why=why, details=details)
        assert "secret" not in str(caught.value)
        log.append(Operation.VIEW, who="Jan\u2028\n", why="żółć", details={"a": 1.0, "b": True})
    assert verify(path, PUBLIC).entries == 1


def test_reserved_details_and_empty_batches_are_defects(path: Path) -> None:
    with open_log(path) as log:
        for name in ("key", "new_audit_key", "old_audit_signature"):
            with pytest.raises(DefectError):
                log.append(Operation.VIEW, who="w", why="w", details={name: "x"})
            with pytest.raises(DefectError):
                log.append_if_new("k", Operation.VIEW, who="w", why="w", details={name: "x"})
        for count in (0, 1001):
            with pytest.raises(DefectError):
                log.append_many(events(count))
        assert log.head() == EMPTY


def test_an_entry_with_a_key_is_written_once_also_after_opening_again(path: Path) -> None:
    for _ in range(2):
        with open_log(path) as log:
            for _ in range(2):
                log.append_if_new("s/1/1", Operation.CONTRIBUTE, who="service", why=WHY, details={"round": 1})
            log.append_if_new("s/1/2", Operation.CONTRIBUTE, who="service", why=WHY)
    assert [json.loads(line)["details"]["key"] for line in path.read_bytes().splitlines()] == [
        "s/1/1",
        "s/1/2",
    ]


def test_a_key_whose_entry_was_torn_is_written_again(path: Path) -> None:
    with open_log(path) as log:
        log.append_if_new("a", Operation.CONTRIBUTE, who="service", why=WHY)
        log.append_if_new("b", Operation.CONTRIBUTE, who="service", why=WHY)
    path.write_bytes(path.read_bytes()[:-1])
    with open_log(path) as log:
        log.append_if_new("a", Operation.CONTRIBUTE, who="service", why=WHY)
        log.append_if_new("b", Operation.CONTRIBUTE, who="service", why=WHY)
    keys = [json.loads(line)["details"].get("key") for line in path.read_bytes().splitlines()]
    assert keys == ["a", None, "b"]


def test_keys_of_the_last_ten_thousand_entries_are_known_when_only_the_end_is_read(path: Path) -> None:
    with open_log(path) as log:
        log.append_if_new("old", Operation.CONTRIBUTE, who="service", why=WHY)
        log.append_many(events(1000))
        log.append_many(events(999))
        log.append_if_new("recent", Operation.CONTRIBUTE, who="service", why=WHY)
        for _ in range(10):
            log.append_many(events(999))
        head = log.head()
    for _ in range(2):
        with open_log(path) as log:
            assert log.head().number >= head.number
            assert log.append_if_new("recent", Operation.VIEW, who="w", why="w") == log.head()
            log.append_if_new("old", Operation.VIEW, who="w", why="w")
    assert verify(path, PUBLIC, {head.number: head.hash}).entries == head.number + 1


@pytest.mark.parametrize(("line", "found"), [(14, False), (15, True), (17, True)])
def test_opening_reads_the_end_and_verification_everything(
    path: Path, monkeypatch: pytest.MonkeyPatch, line: int, *, found: bool
) -> None:
    monkeypatch.setattr(tail, "KEYS_KEPT", 3)
    monkeypatch.setattr(tail, "LARGEST_BATCH", 3)
    monkeypatch.setattr(tail, "_BLOCK", 100)
    write(path, *[1] * 20)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[line - 1] = b"?" * (len(lines[line - 1]) - 1) + b"\n"
    path.write_bytes(b"".join(lines))
    if found:
        with pytest.raises(ConfigurationError, match="audit-log-altered"):
            open_log(path)
    else:
        open_log(path).close()
    assert altered_at(path) == line


_WRITER = """
import sys
from pathlib import Path
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from safeborders_fed.audit.log import AuditLog, Event, Operation
log = AuditLog(Path(sys.argv[1]), Ed25519PrivateKey.from_private_bytes(b"k" * 32), "PL")
while True:
    head = log.append_many([Event(Operation.VIEW, "Jan", "case", {"text": "x" * 1000})] * 20)
    print(head.number, head.hash, flush=True)
"""


def test_what_was_acknowledged_before_a_kill_is_there(path: Path) -> None:
    anchors: dict[int, str] = {}
    for _ in range(2):
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.1)
            process.send_signal(signal.SIGKILL)
            complete = [line.split() for line in process.stdout.read().splitlines(keepends=True)]
        anchors |= {int(line[0]): line[1] for line in complete if len(line) == 2 and len(line[1]) == 64}
    open_log(path).close()
    assert anchors
    assert verify(path, PUBLIC, anchors).entries >= max(anchors)
