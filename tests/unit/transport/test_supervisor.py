"""Keeping processes running: with real processes, ended by their numbers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from safeborders_fed.errors import ConfigurationError
from safeborders_fed.transport import status as status_module
from safeborders_fed.transport import supervisor

SERVICE = """
    import os, sys, time
    from pathlib import Path
    from safeborders_fed.errors import ConfigurationError, SafeBordersError
    from safeborders_fed.transport.supervisor import Supervisor

    home = Path(sys.argv[1])

    def steady():
        print("steady begins", flush=True)
        time.sleep(600)

    def wrong():
        while not (home / "go-wrong").exists():
            time.sleep(0.05)
        raise ConfigurationError("no-key", "there is no key", "make one")

    def watch():
        asked = (home / "again").exists()
        (home / "again").unlink(missing_ok=True)
        return {"steady"} if asked else set()

    try:
        sys.exit(Supervisor(home / "run", {"steady": steady, "wrong": wrong}, watch).run())
    except SafeBordersError as error:
        (home / "error").write_text(f"{error.code}: {error.cause}; {error.fix}")
        sys.exit(error.exit_code)
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    program = tmp_path / "service.py"
    program.write_text(textwrap.dedent(SERVICE), encoding="utf-8")
    process = subprocess.Popen([sys.executable, str(program), str(tmp_path)])
    try:
        wait_for(lambda: pid_of(tmp_path, "steady"))
        yield process, tmp_path
    finally:
        process.kill()
        process.wait(10)


def status(home: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads((home / "run" / "status.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {"processes": {}}
    return content


def pid_of(home: Path, name: str) -> int:
    number: int = status(home)["processes"].get(name, {}).get("pid", 0)
    return number


def wait_for(holds: Any, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] == "Z"


def test_a_child_that_was_killed_is_started_again(service: tuple[subprocess.Popen[bytes], Path]) -> None:
    _, home = service
    first = pid_of(home, "steady")
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: pid_of(home, "steady") not in {0, first})
    assert status(home)["processes"]["steady"]["starts"] == 2


def test_a_child_can_be_asked_to_start_anew(service: tuple[subprocess.Popen[bytes], Path]) -> None:
    _, home = service
    first = pid_of(home, "steady")
    (home / "again").touch()
    wait_for(lambda: pid_of(home, "steady") not in {0, first})


def test_children_die_with_a_supervisor_that_is_killed(service: tuple[subprocess.Popen[bytes], Path]) -> None:
    process, home = service
    children = [pid_of(home, name) for name in ("steady", "wrong")]
    process.kill()
    for child in children:
        wait_for(lambda child=child: is_gone(child))


def test_its_status_says_running_before_anybody_is_told_of_a_change(tmp_path: Path) -> None:
    seen: list[str] = []

    def watch() -> set[str]:
        seen.append(status_module.node_summary(tmp_path)["state"])
        os.kill(os.getpid(), signal.SIGTERM)
        return set()

    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    try:
        assert supervisor.Supervisor(tmp_path / "run", {}, watch).run() == 0
    finally:
        for number, handler in zip((signal.SIGTERM, signal.SIGINT), handlers, strict=True):
            signal.signal(number, handler)
    assert seen == ["starting"]


def test_all_stop_together_and_the_status_says_so(service: tuple[subprocess.Popen[bytes], Path]) -> None:
    process, home = service
    children = [pid_of(home, name) for name in ("steady", "wrong")]
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0
    assert all(map(is_gone, children))
    assert status(home)["state"] == "stopped"


def test_a_status_that_cannot_be_written_ends_no_service(
    service: tuple[subprocess.Popen[bytes], Path],
) -> None:
    process, home = service
    (home / "run" / "status.json.part").mkdir()  # as on a full disk, an error at each try
    first = pid_of(home, "steady")
    os.kill(first, signal.SIGKILL)
    log = home / "run" / "logs" / "steady.log"
    wait_for(lambda: log.read_text(encoding="utf-8").count("steady begins") == 2)
    assert process.poll() is None
    assert pid_of(home, "steady") == first  # the last word that could be written
    (home / "run" / "status.json.part").rmdir()
    wait_for(lambda: pid_of(home, "steady") not in {0, first})


def test_a_wrong_configuration_ends_the_service_with_its_code(
    service: tuple[subprocess.Popen[bytes], Path],
) -> None:
    process, home = service
    (home / "go-wrong").touch()
    assert process.wait(15) == 4
    assert (home / "error").read_text(encoding="utf-8") == "no-key: there is no key; make one"
    found = status_module.node_summary(home)
    assert found["state"] == "stopped"
    assert "[no-key]: there is no key" in found["text"]
    assert "Fix: make one" in found["text"]
    assert "no-key" in (home / "run" / "logs" / "wrong.log").read_text(encoding="utf-8")


def test_nobody_else_may_look_into_its_directory(
    service: tuple[subprocess.Popen[bytes], Path],
) -> None:
    _, home = service
    for name in ("run", "run/logs"):
        assert (home / name).stat().st_mode & 0o777 == 0o700


def test_two_services_do_not_share_a_directory(service: tuple[subprocess.Popen[bytes], Path]) -> None:
    _, home = service
    before = pid_of(home, "steady")
    prepared: list[bool] = []
    with pytest.raises(ConfigurationError, match="already"):
        supervisor.Supervisor(home / "run", {}, prepare=lambda: prepared.append(True)).run()
    assert not prepared, "the second service must not touch what the first one said of itself"
    assert pid_of(home, "steady") == before


def test_a_log_that_grew_is_rotated_and_a_bounded_number_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_LARGEST_LOG", 10)
    log = tmp_path / "a.log"
    for number in range(9):
        log.write_text(f"{number} and more than ten characters", encoding="utf-8")
        supervisor._rotate(log)
        assert log.read_text(encoding="utf-8") == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.log", *(f"a.log.{n}" for n in range(1, 6))]
    assert (tmp_path / "a.log.1").read_text(encoding="utf-8").startswith("8")
