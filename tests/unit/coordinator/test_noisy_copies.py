"""Noisy measurements go to one analyst, when operators have signed for this one, and are in the log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from model_samples import TODAY, Operators
from safeborders_fed.cli import main
from safeborders_fed.coordinator import noisy_copies, table_releases
from safeborders_fed.coordinator.noisy_copies import Approved, Wanted
from safeborders_fed.errors import PeerError, RefusedError, SafeBordersError, UsageError
from safeborders_fed.reporting import exports
from safeborders_fed.reporting.table_release import Origin, document
from safeborders_fed.study import canonical, table_statement
from safeborders_fed.study.key_files import load_key
from safeborders_fed.study.table_file import Loaded, Rules
from table_samples import counts, release

WANTED = Wanted("trends-one-1", "Dr Vesna Marin", "Replication of the yearly report.")


@pytest.fixture
def operators(tmp_path: Path) -> Operators:
    return Operators.enrol(tmp_path)


@pytest.fixture
def made(operators: Operators) -> Loaded:
    """Tables that are released."""
    found = _store(operators)
    for name in ("Ana", "Bo"):
        _release(operators, found, name)
    return found


def _store(operators: Operators) -> Loaded:
    of = release(counts(4))
    data = document(of, Rules(), Origin("b" * 64, 1, TODAY)).to_bytes()
    return table_releases.store(operators.home, data, exports.noisy_measurements(of, "trends-one-1"))


def _release(operators: Operators, found: Loaded, name: str) -> None:
    terms = {"sha256": found.sha256, "by": name, "reason": "For the report."}
    key = load_key(operators.keys[name])
    table_releases.release(operators.home, found.tables.id, key=key, today=TODAY, **terms)


def _approve(operators: Operators, name: str, wanted: Wanted = WANTED) -> Approved:
    return noisy_copies.approve(
        operators.home, wanted, by=name, key=load_key(operators.keys[name]), today=TODAY
    )


def _code(error: pytest.ExceptionInfo[SafeBordersError]) -> str:
    return error.value.code


def test_two_operators_hand_over_what_was_signed(operators: Operators, made: Loaded) -> None:
    first = _approve(operators, "Ana")
    assert (first.missing, first.copy) == (1, None)
    second = _approve(operators, "Bo")
    assert second.copy is not None
    assert canonical.sha256(second.copy.noisy) == made.file.exports["trends-one-1.noisy.json"]
    approval = table_statement.parse_noisy(second.copy.approval)
    approval.check([operators.public("Ana"), operators.public("Bo")], 2)
    assert approval.statement.reader == WANTED.reader
    assert list(operators.home.released.glob("*noisy*")) == []


@pytest.mark.usefixtures("made")
def test_an_approval_is_for_one_analyst(operators: Operators) -> None:
    _approve(operators, "Ana")
    other = _approve(operators, "Bo", Wanted("trends-one-1", "Somebody else", WANTED.reason))
    assert (other.missing, other.copy) == (1, None)


@pytest.mark.usefixtures("made")
def test_all_sign_the_same_reason_and_each_once(operators: Operators) -> None:
    _approve(operators, "Ana")
    with pytest.raises(RefusedError, match="signed-already"):
        _approve(operators, "Ana")
    with pytest.raises(RefusedError, match="another-statement"):
        _approve(operators, "Bo", Wanted("trends-one-1", WANTED.reader, "Curiosity."))


@pytest.mark.usefixtures("made")
def test_what_all_have_signed_can_be_written_again(operators: Operators) -> None:
    _approve(operators, "Ana")
    assert _approve(operators, "Bo").copy == _approve(operators, "Ana").copy


@pytest.mark.usefixtures("made")
def test_a_signature_under_a_copy_is_none_under_tables_or_their_release(operators: Operators) -> None:
    _approve(operators, "Ana")
    data = noisy_copies.Copy(b"", _approve(operators, "Bo").copy.approval).approval  # type: ignore[union-attr]
    with pytest.raises(PeerError, match="bad-statement"):
        table_statement.parse(data)
    content = canonical.parse(data)
    del content["statement"]["reader"]
    with pytest.raises(PeerError, match="bad-signature"):
        table_statement.parse(canonical.serialise(content)).check((), 0)


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (Wanted("trends-two", WANTED.reader, WANTED.reason), "unknown-tables"),
        (Wanted("trends-one-1", " ", WANTED.reason), "bad-name"),
        (Wanted("trends-one-1", "x" * 201, WANTED.reason), "bad-name"),
        (Wanted("trends-one-1", "two\nlines", WANTED.reason), "bad-name"),
        (Wanted("trends-one-1", WANTED.reader, " "), "reason-missing"),
        (Wanted("trends-one-1", WANTED.reader, "x" * 2001), "reason-missing"),
    ],
)
@pytest.mark.usefixtures("made")
def test_what_is_asked_wrongly_is_refused(operators: Operators, wanted: Wanted, code: str) -> None:
    with pytest.raises(UsageError) as error:
        _approve(operators, "Ana", wanted)
    assert _code(error) == code


def test_nothing_is_handed_over_of_tables_that_nobody_has(operators: Operators) -> None:
    found = _store(operators)
    with pytest.raises(RefusedError, match="not-released-yet"):
        _approve(operators, "Ana")
    for name in ("Ana", "Bo"):
        _release(operators, found, name)
    _approve(operators, "Ana")
    key = load_key(operators.keys["Bo"])
    table_releases.withdraw(operators.home, "trends-one-1", by="Bo", key=key, today=TODAY, reason="Wrong.")
    with pytest.raises(RefusedError, match="tables-withdrawn"):
        _approve(operators, "Bo")


@pytest.mark.usefixtures("made")
def test_other_bytes_than_were_signed_go_to_nobody(operators: Operators) -> None:
    path = operators.home.path / "tables" / "trends-one-1.noisy.json"
    path.write_bytes(path.read_bytes().replace(b"discrete", b"d").replace(b"private by noise", b"exact"))
    with pytest.raises(PeerError, match="noisy-altered"):
        _approve(operators, "Ana")


@pytest.mark.usefixtures("made")
def test_an_altered_approval_is_refused(operators: Operators) -> None:
    _approve(operators, "Ana")
    (path,) = (operators.home.path / "tables").glob("*.approval.json")
    path.write_bytes(path.read_bytes().replace(b"Marin", b"Mallo"))
    with pytest.raises(PeerError, match="bad-signature"):
        _approve(operators, "Bo")


@pytest.mark.usefixtures("made")
def test_a_stranger_signs_nothing(operators: Operators) -> None:
    key = load_key(operators.keys["Ana"])
    for name, code in (("Bo", "not-your-key"), ("Eve", "not-an-operator")):
        with pytest.raises(RefusedError) as error:
            noisy_copies.approve(operators.home, WANTED, by=name, key=key, today=TODAY)
        assert _code(error) == code


@pytest.mark.usefixtures("made")
def test_each_signature_and_handing_over_is_in_the_audit_log(operators: Operators) -> None:
    _approve(operators, "Ana")
    _approve(operators, "Bo")
    lines = (operators.home.path / "audit.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines][-2:]
    said = [(entry["operation"], entry["who"], entry["details"]["handed_over"]) for entry in entries]
    assert said == [("export", "Ana", False), ("export", "Bo", True)]
    assert {entry["details"]["reader"] for entry in entries} == {WANTED.reader}
    assert {entry["why"] for entry in entries} == {WANTED.reason}


def test_the_command_writes_new_files_when_all_have_signed(
    operators: Operators, made: Loaded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "marin.json"

    def run(name: str) -> int:
        who = ("--by", name, "--key-file", str(operators.keys[name]), "--home", str(operators.home.path))
        said = ("--for", WANTED.reader, "--reason", WANTED.reason, "--out", str(out))
        return main.run(["coordinator", "tables", "noisy", "trends-one-1", *who, *said])

    assert run("Ana") == 0
    assert "1 more must sign before Dr Vesna Marin" in capsys.readouterr().out
    assert not out.exists()
    assert run("Bo") == 0
    assert "not rounded and not suppressed" in capsys.readouterr().out
    assert canonical.sha256(out.read_bytes()) == made.file.exports["trends-one-1.noisy.json"]
    assert table_statement.parse_noisy((tmp_path / "marin.json.approval.json").read_bytes())
    assert run("Bo") == UsageError.exit_code
    assert "out-exists" in capsys.readouterr().err
