"""The deployed apps: configured by the environment alone, and closed when it says nothing."""

import json
import runpy
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from federation_of import CEREMONY, NODES, ROOT, SMALL, analysis_table, approve, participant, study
from safeborders_fed.errors import ConfigurationError
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node.approvers import approvers_to_bytes
from safeborders_fed.node.creating import create_node
from safeborders_fed.node.settings import NodeSettings
from safeborders_fed.study.accepted_keys import AcceptedKeys
from safeborders_fed.study.key_files import load_key
from safeborders_fed.study.messages import Reason, Refusal, Round, decode
from safeborders_fed.study.roster import Member, Roster
from safeborders_fed.transport.apps import FlowerFederation, empty_context, node_app
from safeborders_fed.transport.in_process import InProcessGrid

POLICY = """
[policy]
analyses = ["logistic"]
columns = ["sex", "age_band", "trafficking_status"]
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


def test_a_coordinator_app_runs_the_study_of_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = [participant(tmp_path, node, analysis_table(60, seed)) for seed, node in enumerate(NODES)]
    manifest = study()
    for node in nodes:
        approve(node, manifest)
    directory = tmp_path / "study"
    directory.mkdir()
    (directory / "manifest.json").write_bytes(manifest.canonical())
    (directory / "roster.json").write_bytes(SMALL.roster.canonical())
    (directory / "nodes.json").write_text(
        json.dumps({"BE": [2], "BG": [3], "FI": [4], "GR": [5]}), encoding="utf-8"
    )
    monkeypatch.setenv("SAFEBORDERS_STUDY", str(directory))
    app = runpy.run_path(str(ROOT / "coordinator" / "server_app.py"))["app"]
    grid = InProcessGrid({number: node_app(node) for number, node in enumerate(nodes, start=2)})
    app(grid=grid, context=empty_context(1))
    release = json.loads((directory / "release.json").read_text(encoding="utf-8"))
    assert release["manifest"] == manifest.hash()
    assert any(release["weights"])


def test_a_node_app_refuses_what_was_not_approved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "be"
    create_node(home, "BE", tmp_path / "be.key", 1000)
    with (home / "node.toml").open("a", encoding="utf-8") as file:
        file.write(POLICY)
    key = load_key(home.parent / "be.key.signing")
    today = datetime.now(UTC).date()
    member = Member(
        node="BE",
        public=public_hex(key),
        valid_from=today,
        valid_until=today + timedelta(days=9),
        renewal=None,
    )
    roster = Roster(schema_version=1, version=1, previous="0" * 64, members=(member,))
    (home / "accepted-keys.json").write_bytes(AcceptedKeys(roster=roster).to_bytes())
    (home / "approvers.json").write_bytes(approvers_to_bytes(CEREMONY.people["BE"].enrolled))
    monkeypatch.setenv("SAFEBORDERS_HOME", str(home))
    app = runpy.run_path(str(ROOT / "node" / "client_app.py"))["app"]
    request = Round("s", "0" * 64, "statistics", 0, 0, ("BE", "BG"), (), {}, {}).encode()
    replies = FlowerFederation(InProcessGrid({2: app}), {"BE": [2]}, 10.0).ask({"BE": request})
    assert decode(replies["BE"]) == Refusal("BE", Reason.NOT_APPROVED)


def test_a_node_without_a_policy_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_node(tmp_path / "be", "BE", tmp_path / "be.key", 1000)
    monkeypatch.setenv("SAFEBORDERS_HOME", str(tmp_path / "be"))
    with pytest.raises(ConfigurationError, match=r"no \[policy\]"):
        runpy.run_path(str(ROOT / "node" / "client_app.py"))


@pytest.mark.parametrize(
    ("missing", "code"), [("accepted-keys.json", "no-roster"), ("approvers.json", "no-approvers")]
)
def test_a_node_without_roster_or_approvers_does_not_start(tmp_path: Path, missing: str, code: str) -> None:
    home = tmp_path / "be"
    create_node(home, "BE", tmp_path / "be.key", 1000)
    with (home / "node.toml").open("a", encoding="utf-8") as file:
        file.write(POLICY)
    if missing == "approvers.json":
        (home / "accepted-keys.json").write_bytes(AcceptedKeys(roster=CEREMONY.roster).to_bytes())
    with pytest.raises(ConfigurationError) as caught:
        NodeSettings.load(home).open_participant()
    assert caught.value.code == code


@pytest.mark.parametrize("line", ["epsilon_per_study = 0.0", "analyses = []", "permit_everything = true"])
def test_a_wrong_policy_is_refused(tmp_path: Path, line: str) -> None:
    create_node(tmp_path / "be", "BE", tmp_path / "be.key", 1000)
    key = line.split(" = ", maxsplit=1)[0]
    kept = "\n".join(entry for entry in POLICY.splitlines() if not entry.startswith(key))
    with (tmp_path / "be" / "node.toml").open("a", encoding="utf-8") as file:
        file.write(f"{kept}\n{line}\n")
    with pytest.raises(ConfigurationError, match=key):
        NodeSettings.load(tmp_path / "be")


@pytest.mark.parametrize("app", ["node/client_app.py", "coordinator/server_app.py"])
def test_without_its_environment_an_app_says_what_to_set(app: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SAFEBORDERS_HOME", raising=False)
    monkeypatch.delenv("SAFEBORDERS_STUDY", raising=False)
    with pytest.raises(ConfigurationError, match="SAFEBORDERS_"):
        runpy.run_path(str(ROOT / app))
