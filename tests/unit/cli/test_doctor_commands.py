"""`safeborders node doctor` and `safeborders coordinator doctor`: form, exit code, and what they never do."""

from __future__ import annotations

import json
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from enrolment_samples import Site, federation
from safeborders_fed.cli.main import run
from safeborders_fed.errors import ConfigurationError
from safeborders_fed.simulation import dry_round
from safeborders_fed.study.checkup import LEVELS, ok


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dry_round, "finding", lambda _=None: [ok("dry-round", "not here")])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return federation(tmp_path_factory.mktemp("site"), "BE", "BG")


def doctor(
    kind: str, home: Path, capsys: pytest.CaptureFixture[str], *options: str
) -> tuple[int, dict[str, Any]]:
    code = run([kind, "doctor", "--home", str(home), "--json", *options])
    printed = capsys.readouterr()
    assert printed.out.count("\n") == 1, "one object"
    return code, json.loads(printed.out)


@pytest.mark.parametrize("kind", ["node", "coordinator"])
def test_json_is_one_object_with_checks_and_a_summary(
    site: Site, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    home = site.directory / ("BE" if kind == "node" else "coordinator")
    code, said = doctor(kind, home, capsys, "--offline")
    assert said["schema_version"] == 1
    assert said["summary"]["exit_code"] == code
    assert all(set(line) == {"name", "level", "text", "fix", "exit_code"} for line in said["checks"])
    counts = {level: sum(line["level"] == level for line in said["checks"]) for level in LEVELS}
    assert {level: said["summary"][level] for level in LEVELS} == counts
    assert all(line["fix"] for line in said["checks"] if line["level"] in {"warning", "failed"})
    assert all((line["exit_code"] > 0) == (line["level"] == "failed") for line in said["checks"])


def test_what_fails_here_decides_the_exit_code(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """The node has no policy (4), no cases (3), and nobody listens at the coordinator (6)."""
    code, said = doctor("node", site.directory / "BE", capsys)
    assert {line["exit_code"] for line in said["checks"]} >= {3, 4, 6}
    assert code == ConfigurationError.exit_code


def test_warnings_alone_are_no_failure(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = doctor("coordinator", site.directory / "coordinator", capsys, "--offline")
    assert said["summary"]["warning"] > 0
    assert code == 0


def test_offline_asks_nobody(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr("socket.getaddrinfo", nobody)
    monkeypatch.setattr("socket.create_connection", nobody)
    for kind, home in (("node", "BE"), ("coordinator", "coordinator")):
        _, said = doctor(kind, site.directory / home, capsys, "--offline")
        levels = {line["name"]: line["level"] for line in said["checks"]}
        assert levels["tls"] == levels["port"] == levels["proxy"] == "skipped"


def test_people_get_a_line_each_with_what_to_do(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["node", "doctor", "--home", str(site.directory / "BE"), "--offline"]) == 4
    text = capsys.readouterr().out
    assert "failed   policy" in text
    assert "Fix: decide what it permits" in text
    assert text.rstrip().splitlines()[-1].startswith("node BE: ")


@pytest.mark.parametrize("kind", ["node", "coordinator"])
def test_a_directory_that_is_not_there_gives_lines_and_no_traceback(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = doctor(kind, tmp_path / "nowhere", capsys)
    assert code == ConfigurationError.exit_code
    assert said["checks"][0]["level"] == "failed"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("garbage", [b"", b"\xff\xfe\x00", b"{}", b"[]", b"-----BEGIN PRIVATE KEY-----\n"])
def test_garbage_in_every_file_gives_lines_and_no_traceback(
    site: Site, garbage: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half made, half lost: each file of a node in turn holds something else."""
    settings = site.node("BE")
    kept = {path: path.read_bytes() for path in settings.home.rglob("*") if path.is_file()}
    (settings.home / "run").mkdir(exist_ok=True)
    extra = [
        settings.home / "run" / name for name in ("status.json", "link.json", "executor.json", "flower-node")
    ]
    for path in [*kept, *extra]:
        before = kept.get(path)
        path.write_bytes(garbage)
        code, said = doctor("node", settings.home, capsys, "--offline")
        assert code == ConfigurationError.exit_code, (
            path,
            [x for x in said["checks"] if x["exit_code"] == 1],
        )
        if before is None:
            path.unlink()
        else:
            path.write_bytes(before)


def test_no_secret_reaches_the_output(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    for kind, home in (("node", "BE"), ("coordinator", "coordinator")):
        run([kind, "doctor", "--home", str(site.directory / home), "--json"])
        printed = capsys.readouterr()
        for path in site.directory.iterdir():
            if path.is_file() and stat.S_IMODE(path.stat().st_mode) == 0o600:
                words = [word.strip('",') for word in path.read_text("ascii").split()]
                secrets = [word for word in words if len(word) > 30]
                assert not any(word in printed.out + printed.err for word in secrets), path


def test_a_network_that_hangs_does_not_hold_it_up(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Name resolution has no timeout of its own."""
    never = threading.Event()
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: never.wait())
    began = time.monotonic()
    for kind, home in (("node", "BE"), ("coordinator", "coordinator")):
        doctor(kind, site.directory / home, capsys)
    assert time.monotonic() - began < 15
    never.set()
