"""The audit log keeps everything, once, through crashes, and any alteration is found and placed."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from safeborders_fed.errors import ConfigurationError, DefectError, UsageError
from safeborders_fed.masking.signing import Purpose, public_hex, sign
from safeborders_fed.node import audit_tail
from safeborders_fed.node.audit_chain import EMPTY, Entry, Head, Operation, verify
from safeborders_fed.node.audit_log import AuditLog, Event
from safeborders_fed.study import canonical

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
NEXT_KEY = Ed25519PrivateKey.from_private_bytes(b"n" * 32)
PUBLIC = [public_hex(KEY)]
WHY = "study trends-2026"


def clock() -> datetime:
    return datetime(2026, 5, 1, 12, tzinfo=UTC)


def open_log(path: Path, key: Ed25519PrivateKey = KEY) -> AuditLog:
    return AuditLog(path, key, "PL", clock)


def events(count: int) -> list[Event]:
    return [Event(Operation.VIEW, "Jan Nowak", f"case {number}", {"row": number}) for number in range(count)]


def write(path: Path, *batches: int) -> Head:
    with open_log(path) as log:
        for count in batches:
            log.append_many(events(count))
        return log.head()


def place(error: ConfigurationError) -> int:
    assert error.code == "audit-log-altered"
    found = re.search(r"at entry (\d+) \(line (\d+)\)", error.cause)
    assert found, error.cause
    assert found[1] == found[2]
    return int(found[1])


def altered_at(path: Path, anchors: dict[int, str] | None = None, keys: list[str] = PUBLIC) -> int:
    with pytest.raises(ConfigurationError) as caught:
        verify(path, keys, anchors)
    return place(caught.value)


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


def test_an_empty_log_verifies_and_an_anchor_shows_that_it_was_emptied(path: Path) -> None:
    head = write(path, 2)
    path.write_bytes(b"")
    assert verify(path, PUBLIC).entries == 0
    assert altered_at(path, {head.number: head.hash}) == 1


def test_the_log_goes_on_where_it_ended(path: Path) -> None:
    first = write(path, 2)
    second = write(path, 1)
    assert (first.number, second.number) == (2, 3)
    assert verify(path, PUBLIC, {2: first.hash, 3: second.hash}).entries == 3


def _flip(lines: list[bytes], rng: random.Random) -> tuple[bytes, int]:
    data = bytearray(b"".join(lines))
    position = rng.randrange(len(data))
    data[position] ^= 1 << rng.randrange(8)
    return bytes(data), b"".join(lines)[:position].count(b"\n") + 1


def _remove(lines: list[bytes], rng: random.Random) -> tuple[bytes, int]:
    index = rng.randrange(len(lines))
    return b"".join(lines[:index] + lines[index + 1 :]), index + 1


def _swap(lines: list[bytes], rng: random.Random) -> tuple[bytes, int]:
    index = rng.randrange(len(lines) - 1)
    swapped = [*lines[:index], lines[index + 1], lines[index], *lines[index + 2 :]]
    return b"".join(swapped), index + 1


def _cut(lines: list[bytes], rng: random.Random) -> tuple[bytes, int]:
    data = b"".join(lines)
    kept = data[: rng.randrange(len(data))]
    return kept, kept.count(b"\n") + 1


@pytest.mark.parametrize("tamper", [_flip, _remove, _swap, _cut])
def test_tampering_is_found_and_placed(path: Path, tmp_path: Path, tamper: object) -> None:
    rng = random.Random(5)
    head = write(path, *[rng.choice([1, 1, 2, 5, 9]) for _ in range(60)])
    lines = path.read_bytes().splitlines(keepends=True)
    assert 150 < len(lines) < 300
    altered = tmp_path / "altered"
    for _ in range(300):
        data, line = tamper(lines, rng)  # type: ignore[operator] - one of the four above
        altered.write_bytes(data)
        assert altered_at(altered, {head.number: head.hash}) == line


def _rechained(path: Path, number: int) -> list[bytes]:
    """The log with one entry rewritten and all hashes after it made to fit; signatures as they were."""
    lines, previous = [], "0" * 64
    for line in path.read_bytes().splitlines():
        entry = Entry.model_validate_json(line)
        update = {"previous": previous} | ({"who": "nobody"} if entry.number == number else {})
        lines.append(entry.model_copy(update=update).line() + b"\n")
        previous = canonical.sha256(lines[-1][:-1])
    return lines


def test_a_chain_rebuilt_without_the_key_fails_at_the_first_signature_behind_the_change(path: Path) -> None:
    write(path, 1, 1, 4, 1, 1)
    path.write_bytes(b"".join(_rechained(path, 4)))
    assert altered_at(path) == 6
    with pytest.raises(ConfigurationError, match="audit-log-altered"):
        open_log(path)


def test_what_is_appended_to_an_altered_log_does_not_cover_the_alteration(path: Path) -> None:
    write(path, *[1] * 9)
    lines = path.read_bytes().splitlines(keepends=True)
    with open_log(path) as log:
        lines[3] = lines[3].replace(b"Jan Nowak", b"Eva Nowak")
        path.write_bytes(b"".join(lines))
        log.append(Operation.STOP, who="service", why="shutdown")
    assert altered_at(path) == 4


def test_a_tail_cut_off_at_a_signature_is_found_by_an_anchor_only(path: Path) -> None:
    head = write(path, 2, 2, 2)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:4]))
    assert verify(path, PUBLIC).entries == 4
    assert altered_at(path, {head.number: head.hash}) == 5


def test_a_log_rewritten_with_the_key_is_found_by_an_anchor(path: Path) -> None:
    head = write(path, 1, 1)
    path.unlink()
    with open_log(path) as log:
        log.append(Operation.START, who="somebody else", why="boot")
        log.append_many(events(3))
    assert verify(path, PUBLIC).entries == 4
    assert altered_at(path, {head.number: head.hash}) == 2


def test_another_key_does_not_verify_and_cannot_go_on(path: Path) -> None:
    write(path, 2, 1)
    assert altered_at(path, keys=[public_hex(NEXT_KEY)]) == 2
    with pytest.raises(ConfigurationError, match="not by this node's key"):
        open_log(path, NEXT_KEY)


def test_a_log_of_another_node_is_refused(path: Path) -> None:
    write(path, 1)
    with pytest.raises(ConfigurationError, match="it is of node PL"):
        AuditLog(path, KEY, "RO", clock)


def _with_two_keys(path: Path) -> Head:
    with open_log(path) as log:
        log.append_many(events(3))
        log.change_key(NEXT_KEY, who="two people", why="yearly renewal")
        log.append_many(events(2))
        return log.head()


def test_a_renewed_key_goes_on_and_both_keys_are_needed_in_order(path: Path) -> None:
    _with_two_keys(path)
    with open_log(path, NEXT_KEY) as log:
        log.append(Operation.STOP, who="service", why="shutdown")
    both = [public_hex(KEY), public_hex(NEXT_KEY)]
    assert verify(path, both).entries == 7
    assert altered_at(path, keys=both[::-1]) == 3
    with pytest.raises(ConfigurationError) as caught:
        verify(path, PUBLIC)
    assert caught.value.code == "audit-key-unknown"


def test_who_has_the_new_key_only_cannot_rewrite_what_the_old_one_signed(path: Path) -> None:
    _with_two_keys(path)
    lines = [Entry.model_validate_json(line) for line in _rechained(path, 2)]
    last = lines[-1]
    forged = last.model_copy(update={"signature": sign(NEXT_KEY, Purpose.AUDIT_ENTRY, last.signed_part())})
    path.write_bytes(b"".join(entry.line() + b"\n" for entry in [*lines[:-1], forged]))
    assert altered_at(path, keys=[public_hex(KEY), public_hex(NEXT_KEY)]) == 3


def test_a_key_that_the_old_one_did_not_sign_for_cannot_go_on(path: Path) -> None:
    write(path, 3)
    entries = [Entry.model_validate_json(line) for line in path.read_bytes().splitlines()]
    details = {"new_audit_key": public_hex(NEXT_KEY), "old_audit_signature": "0" * 128}
    forged = entries[-1].model_copy(
        update={"number": 4, "details": details, "previous": canonical.sha256(entries[-1].line())}
    )
    forged = forged.model_copy(
        update={"signature": sign(NEXT_KEY, Purpose.AUDIT_ENTRY, forged.signed_part())}
    )
    path.write_bytes(path.read_bytes() + forged.line() + b"\n")
    assert altered_at(path, keys=[public_hex(KEY), public_hex(NEXT_KEY)]) == 4


def test_an_entry_of_another_node_does_not_fit_in(path: Path) -> None:
    write(path, 1)
    first = Entry.model_validate_json(path.read_bytes())
    other = first.model_copy(
        update={"number": 2, "node": "RO", "previous": canonical.sha256(first.line()), "signature": ""}
    )
    other = other.model_copy(update={"signature": sign(KEY, Purpose.AUDIT_ENTRY, other.signed_part())})
    path.write_bytes(path.read_bytes() + other.line() + b"\n")
    assert altered_at(path) == 2


def test_two_altered_entries_in_a_row_are_placed_at_the_first_that_does_not_fit(path: Path) -> None:
    write(path, 6)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b"Jan", b"Eva")
    lines[3] = b"{}\n"
    path.write_bytes(b"".join(lines))
    assert altered_at(path) == 3


def test_a_first_entry_that_follows_on_another_is_refused(path: Path) -> None:
    write(path, 1)
    path.write_bytes(path.read_bytes().replace(b"0" * 64, b"1" * 64))
    assert altered_at(path) == 1


def test_a_log_that_ends_between_the_entries_of_a_batch_is_cut(path: Path) -> None:
    write(path, 2, 4)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:4]))
    assert altered_at(path) == 5


def test_who_stole_an_earlier_key_cannot_end_the_log_with_it(path: Path) -> None:
    _with_two_keys(path)
    path.unlink()
    write(path, 2)
    assert altered_at(path, keys=[public_hex(KEY), public_hex(NEXT_KEY)]) == 3


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


def test_verification_without_keys_is_refused(path: Path) -> None:
    write(path, 1)
    with pytest.raises(ConfigurationError, match="audit-key-unknown"):
        verify(path, [])


def test_a_missing_log_is_an_error(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="audit-log-unreadable"):
        verify(path, PUBLIC)


def test_an_overlong_line_is_refused_without_reading_it_whole(path: Path) -> None:
    write(path, 1)
    with path.open("ab") as file:
        file.write(b"x" * 1_000_000)
    assert altered_at(path) == 2


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
    monkeypatch.setattr(audit_tail, "LARGEST_BATCH", 3)
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
                log.append(Operation.STOP, who="service", why="shutdown")


def test_nothing_is_written_into_a_file_that_was_taken_away(path: Path) -> None:
    with open_log(path) as log:
        log.append_many(events(2))
        path.unlink()
        with pytest.raises(ConfigurationError, match="audit-log-altered"):
            log.append(Operation.STOP, who="service", why="shutdown")


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
        log.append(Operation.STOP, who="service", why="shutdown")


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
    monkeypatch.setattr(audit_tail, "KEYS_KEPT", 3)
    monkeypatch.setattr(audit_tail, "LARGEST_BATCH", 3)
    monkeypatch.setattr(audit_tail, "_BLOCK", 100)
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
from safeborders_fed.node.audit_log import AuditLog, Event, Operation
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
