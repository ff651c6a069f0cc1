"""Any alteration of an audit log is found, with its place, by public keys and anchors alone."""

import random
from pathlib import Path

import pytest

from audit_samples import KEY, NEXT_KEY, PUBLIC, altered_at, events, open_log, write
from safeborders_fed.audit.chain import Entry, Head, Operation, verify
from safeborders_fed.errors import ConfigurationError
from safeborders_fed.masking.signing import Purpose, public_hex, sign
from safeborders_fed.study import canonical


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def test_an_empty_log_verifies_and_an_anchor_shows_that_it_was_emptied(path: Path) -> None:
    head = write(path, 2)
    path.write_bytes(b"")
    assert verify(path, PUBLIC).entries == 0
    assert altered_at(path, {head.number: head.hash}) == 1


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
        log.append(Operation.START, who="service", why="boot again")
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


def _with_two_keys(path: Path) -> Head:
    with open_log(path) as log:
        log.append_many(events(3))
        log.change_key(NEXT_KEY, who="two people", why="yearly renewal")
        log.append_many(events(2))
        return log.head()


def test_a_renewed_key_goes_on_and_both_keys_are_needed_in_order(path: Path) -> None:
    _with_two_keys(path)
    with open_log(path, NEXT_KEY) as log:
        log.append(Operation.START, who="service", why="boot again")
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
