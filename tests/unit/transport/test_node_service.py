"""The node's service beside the commands of the node's people."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from safeborders_fed.errors import ConfigurationError
from safeborders_fed.node.creating import create_node
from safeborders_fed.node.settings import NodeSettings
from safeborders_fed.transport import node_service
from safeborders_fed.transport.node_service import NodeService, patiently
from safeborders_fed.transport.status import LINK_FILE, write_json

BUSY = ConfigurationError("audit-log-busy", "another process writes it", "wait")
CHANGING = ConfigurationError("store-busy", "a change of the case store takes place", "wait")
POLICY = """
[policy]
analyses = ["trends"]
columns = ["sex"]
epsilon_per_study = 1.0
epsilon_per_year = 2.0
epsilon_lifetime = 3.0
delta = 1e-6
minimum_participants = 2
purposes = ["victim-identification", "modus-operandi", "statistics", "early-warning", "evaluation"]
populations = ["all", "minors"]
least_victims = 0
least_tolerated_colluders = 1
"""


def opening(errors: list[ConfigurationError]) -> Any:
    def open_it() -> str:
        if errors:
            raise errors.pop(0)
        return "participant"

    return open_it


def test_a_command_that_writes_the_log_does_not_end_the_service() -> None:
    waited: list[float] = []
    assert patiently(opening([BUSY, CHANGING]), waited.append) == "participant"
    assert waited == [1.0, 1.0]


def test_a_log_that_stays_busy_and_any_other_error_do() -> None:
    waited: list[float] = []
    with pytest.raises(ConfigurationError, match="another process"):
        patiently(opening([BUSY] * 100), waited.append)
    assert len(waited) == 60
    with pytest.raises(ConfigurationError, match="none"):
        patiently(opening([ConfigurationError("no-roster", "none", "accept one")]), waited.append)
    assert len(waited) == 60


@pytest.fixture
def service(tmp_path: Path) -> tuple[NodeService, list[str]]:
    create_node(tmp_path / "be", "BE", tmp_path / "be.key", 1000)
    (tmp_path / "be" / "run").mkdir()
    told: list[str] = []
    return NodeService(tmp_path / "be", told.append), told


def test_a_mistake_in_the_settings_does_not_stop_what_runs(service: tuple[NodeService, list[str]]) -> None:
    node, told = service
    write_json(node.directory / LINK_FILE, {"stamp": [0, 0]})
    assert node._watch() == {"link"}
    path = node.home / "node.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text[: len(text) // 2] + "\n[policy", encoding="utf-8")  # half of it is saved
    told.clear()
    assert node._watch() == set()
    assert node._watch() == set()
    (said,) = told
    assert "node.toml" in said
    path.write_text(text, encoding="utf-8")
    assert node._watch() == {"link"}


def test_a_process_that_answers_nothing_keeps_the_retention_periods(
    service: tuple[NodeService, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    node, _ = service
    with (node.home / "node.toml").open("a", encoding="utf-8") as file:
        file.write(POLICY)
    children: dict[str, Callable[[], None]] = {}

    class Remembering:
        def __init__(self, _: Path, found: dict[str, Callable[[], None]], *__: object) -> None:
            children.update(found)

        def run(self) -> int:
            return 0

    kept: list[Path] = []
    monkeypatch.setattr(NodeSettings, "enrolment", lambda _: None)
    monkeypatch.setattr(node_service, "Supervisor", Remembering)
    monkeypatch.setattr(node_service.keeper, "keep", kept.append)
    assert node.run() == 0
    children["keeper"]()
    assert kept == [node.home]
