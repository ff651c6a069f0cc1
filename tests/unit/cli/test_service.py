"""Status of services: what is found, and how long it is waited for."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from safeborders_fed.cli.main import run
from safeborders_fed.cli.service import waited_for
from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.transport.status import coordinator_summary, write_json


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def looks(states: list[str]) -> Any:
    return lambda: {"state": states.pop(0) if len(states) > 1 else states[0]}


@pytest.mark.parametrize(
    ("states", "wait", "found", "waited"),
    [
        (["ready"], 30.0, "ready", 0.0),
        (["stopped"], 0.0, "stopped", 0.0),
        (["stopped", "starting", "ready"], 30.0, "ready", 1.0),
        (["starting"], 3.0, "starting", 3.0),
    ],
)
def test_a_service_is_waited_for_until_it_is_ready(
    states: list[str], wait: float, found: str, waited: float
) -> None:
    clock = Clock()
    state = waited_for(looks(states), wait, clock=lambda: clock.now, sleep=clock.sleep)["state"]
    assert (state, clock.now) == (found, waited)


@pytest.fixture
def home(tmp_path: Path) -> CoordinatorHome:
    arguments = ["coordinator", "init", "--operator", "Olga", "--address", "localhost:19443"]
    files = ["--key-file", tmp_path / "olga.key", "--ca-key-file", tmp_path / "ca.key"]
    assert run([*arguments, *map(str, files), "--home", str(tmp_path / "coordinator")]) == 0
    made = CoordinatorHome.load(tmp_path / "coordinator")
    (made.path / "run").mkdir()
    return made


def test_a_coordinator_without_its_gate_is_not_ready(home: CoordinatorHome) -> None:
    run_directory = home.path / "run"
    processes = {name: {"pid": os.getpid(), "starts": 1} for name in ("superlink", "gate", "executor")}
    service = {"state": "running", "pid": os.getpid(), "processes": processes}
    write_json(run_directory / "status.json", service)
    write_json(run_directory / "executor.json", {"nodes": ["BG"], "pid": os.getpid()})
    assert coordinator_summary(home)["state"] == "ready"
    processes["gate"]["pid"] = 0
    write_json(run_directory / "status.json", service)
    found = coordinator_summary(home)
    assert found["state"] == "starting"
    assert "gate.log" in found["text"]


def test_status_says_what_a_service_ended_over_until_it_is_started_again(
    home: CoordinatorHome, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = {"exit_code": 4, "code": "port-taken", "cause": "another program listens", "fix": "stop it"}
    write_json(home.path / "run" / "failure.json", parts)
    capsys.readouterr()
    assert run(["coordinator", "status", "--home", str(home.path)]) == 6
    printed = capsys.readouterr().out
    assert "[port-taken]: another program listens" in printed
    assert "Fix: stop it" in printed
    (home.path / "run" / "failure.json").unlink()
    assert run(["coordinator", "status", "--home", str(home.path), "--json"]) == 6
    assert json.loads(capsys.readouterr().out)["text"] == "the service is not running"
