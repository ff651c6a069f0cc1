"""The audit log for other systems: complete, in order, and without its writer's lock."""

import json
from pathlib import Path

import pytest

from audit_samples import PUBLIC, events, open_log, write
from safeborders_fed.audit import export
from safeborders_fed.audit.chain import verify
from safeborders_fed.audit.export import lines_after
from safeborders_fed.cli.main import run
from safeborders_fed.errors import ConfigurationError, UsageError
from safeborders_fed.node.creating import create_node


def numbers(path: Path, since: int) -> list[int]:
    return [json.loads(line)["number"] for line in lines_after(path, since)]


@pytest.mark.parametrize("near", [256, 4096, 1 << 20])
def test_the_lines_after_a_number_are_found_wherever_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, near: int
) -> None:
    monkeypatch.setattr(export, "_NEAR", near)
    write(tmp_path / "log", 7, 1, 30, 12)
    for since in range(51):
        assert numbers(tmp_path / "log", since) == list(range(since + 1, 51)), since


def test_a_copy_of_all_lines_can_itself_be_verified(tmp_path: Path) -> None:
    head = write(tmp_path / "log", 3, 4)
    parts = [*list(lines_after(tmp_path / "log", 0))[:5], *lines_after(tmp_path / "log", 5)]
    (tmp_path / "copy").write_bytes(b"".join(line + b"\n" for line in parts))
    assert verify(tmp_path / "copy", PUBLIC).head == head.hash


def test_the_writer_goes_on_and_what_it_has_not_signed_is_not_given(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with open_log(path) as log:
        log.append_many(events(3))
        reading = lines_after(path, 0)
        next(reading)
        log.append_many(events(2))
        assert len(list(reading)) == 2, "what was there when the reading began"
        assert numbers(path, 3) == [4, 5]
        signed = path.read_bytes()
        with path.open("ab") as torn:
            torn.write(b'{"at":')
        assert numbers(path, 3) == [4, 5]
        path.write_bytes(signed)


def test_a_number_that_the_log_lacks_says_that_it_was_put_back(tmp_path: Path) -> None:
    write(tmp_path / "log", 3)
    with pytest.raises(UsageError, match="restored from a backup"):
        list(lines_after(tmp_path / "log", 4))


def test_lines_that_do_not_follow_are_not_passed_on_as_if_they_did(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, 20_000 // 100, 5)
    changed = path.read_bytes().replace(b"case 60", b"case 61", 1)
    path.write_bytes(changed)
    with pytest.raises(ConfigurationError, match="audit-log-altered"):
        list(lines_after(path, 0))


def test_the_command_keeps_where_it_was(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    home = tmp_path / "pl"
    create_node(home, "PL", tmp_path / "pl.key", 1000)
    write(home / "audit.jsonl", 4)
    command = ["node", "audit", "export", "--home", str(home), "--state", str(tmp_path / "state")]
    assert run(command) == 0
    first = capfdbinary.readouterr().out.splitlines()
    assert [json.loads(line)["number"] for line in first] == [1, 2, 3, 4]
    assert run(command) == 0
    assert capfdbinary.readouterr().out == b""
    write(home / "audit.jsonl", 2)
    assert run(command) == 0
    assert len(capfdbinary.readouterr().out.splitlines()) == 2
    (tmp_path / "state").write_text("many")
    assert run(command) == ConfigurationError.exit_code


def test_verify_needs_public_keys_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head = write(tmp_path / "log", 4)
    anchor = f"{head.number}:{head.hash}"
    assert run(["node", "audit", "verify", str(tmp_path / "log"), "--key", PUBLIC[0]]) == 0
    assert anchor in capsys.readouterr().out
    cut = (tmp_path / "log").read_bytes().splitlines(keepends=True)
    write(tmp_path / "short", 1)
    assert len(cut) == 4
    command = ["node", "audit", "verify", str(tmp_path / "short"), "--key", PUBLIC[0], "--anchor", anchor]
    assert run(command) == ConfigurationError.exit_code, "a log that was cut off"
    assert run([*command[:-1], "nonsense"]) == UsageError.exit_code
