"""Where Flower starts the two halves: configured by the environment of the process, never by Flower's run.

Guarantees: a run configuration or app bundle that a coordinator pushes decides nothing here. Missing
configuration is a refusal that says what to set.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp

from safeborders_fed.coordinator.federation import Federation
from safeborders_fed.coordinator.rounds import StudyRun
from safeborders_fed.errors import ConfigurationError
from safeborders_fed.links.desk import open_desk
from safeborders_fed.node.settings import NodeSettings
from safeborders_fed.study import manifest, roster
from safeborders_fed.transport.apps import coordinator_app, node_app
from safeborders_fed.transport.pacing import wait_for_tick

HOME: Final = "SAFEBORDERS_HOME"
STUDY: Final = "SAFEBORDERS_STUDY"
MANIFEST_FILE: Final = "manifest.json"
ROSTER_FILE: Final = "roster.json"
NODES_FILE: Final = "nodes.json"
RELEASE_FILE: Final = "release.json"
HEADS_FILE: Final = "heads.json"


def _directory(variable: str, what: str) -> Path:
    value = os.environ.get(variable)
    if not value or not Path(value).is_dir():
        raise ConfigurationError(
            "environment-missing",
            f"the environment variable {variable} does not name a directory",
            f"set it to {what} where the service is started",
        )
    return Path(value)


def node() -> ClientApp:
    """The node's half for the node whose directory ``SAFEBORDERS_HOME`` names."""
    settings = NodeSettings.load(_directory(HOME, "the directory that `safeborders node init` made"))
    return node_app(settings.open_participant(open_desk), wait_for_tick)


def coordinator() -> ServerApp:
    """The coordinator's half for the study whose directory ``SAFEBORDERS_STUDY`` names.

    The directory holds ``manifest.json`` and ``roster.json`` (canonical) and ``nodes.json`` (node name to
    Flower's numbers of it); ``release.json`` and ``heads.json``, the nodes' ledger heads, are written there.
    """
    directory = _directory(STUDY, "the directory of the study")
    study = manifest.parse((directory / MANIFEST_FILE).read_bytes())
    listed = json.loads((directory / NODES_FILE).read_bytes())
    nodes = {str(name): [int(number) for number in numbers] for name, numbers in listed.items()}

    members = roster.parse((directory / ROSTER_FILE).read_bytes())
    if members.hash() != study.roster_hash:
        raise ConfigurationError(
            "wrong-roster",
            f"study {study.id!r} is for another roster",
            "put the roster of the study beside it",
        )

    def run(federation: Federation) -> None:
        outcome = StudyRun(study, federation, members.keys()).run()
        release = outcome.release
        arrays = {name: array.tolist() for name, array in release.arrays.items()}
        content = {
            "study": study.id,
            "manifest": study.hash(),
            "kind": release.kind,
            **release.facts,
            **arrays,
        }
        _write(directory / HEADS_FILE, {node: head.model_dump() for node, head in outcome.heads.items()})
        _write(directory / RELEASE_FILE, content)

    return coordinator_app(run, nodes)


def _write(path: Path, content: dict[str, Any]) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(content, ensure_ascii=False, allow_nan=False), encoding="utf-8")
    part.replace(path)
