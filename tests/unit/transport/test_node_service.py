"""What the node's supervisor looks at while the service runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from safeborders_fed.node.settings import create_node
from safeborders_fed.transport.node_service import NodeService
from safeborders_fed.transport.status import LINK_FILE, write_json


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
