"""``safeborders node links network``: what it prints, writes and refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from link_federation import LinkFederation, federation
from safeborders_fed.cli.main import run
from safeborders_fed.links import office


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LinkFederation:
    """A node with two cases that share a telephone, and one that shares nothing."""
    made = federation(tmp_path, "BE", "BG")
    made["BG"].add({"phone": "088 1234567"}, {"phone": "+359 88 1234567"}, {"phone": "088 7654321"})
    monkeypatch.setattr(office, "open_office", lambda _: made["BG"].office)
    return made


def words(made: LinkFederation, *more: object) -> list[str]:
    home = made["BG"].office.home
    return ["node", "links", "network", "--home", str(home), "--by", "Eva", *map(str, more)]


def printed(capsys: Any) -> Any:
    return json.loads(capsys.readouterr().out)


def test_it_lists_networks_with_what_holds_them_together(node: LinkFederation, capsys: Any) -> None:
    assert run(words(node, "--json")) == 0
    (row,) = printed(capsys)["networks"]
    assert (row["cases"], row["identifiers"], row["elsewhere"], row["states"]) == (2, 1, 0, "-")
    assert row["held by"].startswith("phone ")
    assert run(words(node)) == 0
    text = capsys.readouterr().out
    assert "a lead, not evidence" in text
    assert "1234567" not in text


def test_it_writes_a_page_and_a_graph(node: LinkFederation, tmp_path: Path, capsys: Any) -> None:
    assert run(words(node, "--out", tmp_path / "out", "--graphml", "--json")) == 0
    assert [Path(name).name for name in printed(capsys)["files"]] == ["networks.html", "networks.graphml"]
    assert run(words(node, "--out", tmp_path / "out", "--json")) == 2
    assert printed(capsys)["error"]["code"] == "out-exists"


def test_a_graph_needs_a_directory(node: LinkFederation, capsys: Any) -> None:
    assert run(words(node, "--graphml", "--json")) == 2
    assert printed(capsys)["error"]["code"] == "no-directory"
    assert not [entry for entry in node["BG"].log() if entry.who == "Eva"]  # refused before anybody looked


def test_without_networks_it_says_so(node: LinkFederation, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr(office, "open_office", lambda _: node["BE"].office)
    assert run(words(node)) == 0
    assert "No identifier joins two cases here" in capsys.readouterr().out
