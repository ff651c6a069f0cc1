"""National nodes on one machine: each with its own directory, keys, store and ledger, as in a real one.

Guarantees: a node's case data goes through intake and lies encrypted in its own store; nodes share nothing
but the process.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from safeborders_fed.analyses.registry import ANALYSES
from safeborders_fed.audit.log import AuditLog
from safeborders_fed.cases.contract import FIELDS, LINKS
from safeborders_fed.cases.countries import STATES
from safeborders_fed.cases.intake import ImportReport, import_file
from safeborders_fed.cases.keys import NodeKeys
from safeborders_fed.cases.mapping import Mapping, load_mapping
from safeborders_fed.cases.split import split_file
from safeborders_fed.cases.store import CaseStore
from safeborders_fed.cases.synthetic import generate
from safeborders_fed.errors import DataError
from safeborders_fed.links.desk import Desk
from safeborders_fed.node.ledger import Ledger
from safeborders_fed.node.participant import Participant
from safeborders_fed.node.policy import Policy
from safeborders_fed.node.settings import AUDIT_FILE, LEDGER_FILE, SETTINGS_FILE
from safeborders_fed.simulation import demo_links
from safeborders_fed.simulation.ceremony import Ceremony
from safeborders_fed.study.key_files import save_key

MAX_VICTIMS: Final = 2_000_000
SMALLEST_FEDERATION: Final = 3
_SETTINGS: Final = """\
# A node of the demonstration: for scoring and looking around, not for studies.
country = "{node}"
key_file = "../{node}.key"
signing_key_file = "../{node}.key.signing"
store = "cases"
"""
_NODE_NAME: Final = re.compile(r"^[A-Z][A-Z0-9]{1,15}$")


@dataclass(frozen=True)
class CaseFile:
    """A national case file that one node imports."""

    node: str
    path: Path
    mapping: Mapping


@dataclass(frozen=True)
class LocalNode:
    """One node with its imported cases.

    Attributes:
        report: What intake did.
        victims: How many victims the store holds.
        desk: Its half of links; None for a part of a file that is no state's.
    """

    name: str
    store: CaseStore
    participant: Participant
    ledger: Ledger
    report: ImportReport
    victims: int
    desk: Desk | None = None


def synthetic_files(directory: Path, seed: int, scale: float) -> tuple[list[CaseFile], dict[str, Any]]:
    """Eight synthetic national files, and the planted truth."""
    files = generate(directory, seed, scale)
    truth: dict[str, Any] = json.loads((directory / "truth.json").read_text(encoding="utf-8"))
    return [CaseFile(file.country, file.path, load_mapping(file.mapping)) for file in files], truth


def split_files(path: Path, mapping: Path, column: str, directory: Path) -> list[CaseFile]:
    """One file for each of the eight largest values of a column.

    Raises:
        DataError: ``too-few-nodes``, when the column has not values enough for a federation.
    """
    directory.mkdir(parents=True, exist_ok=True)
    pieces = split_file(path, load_mapping(mapping), column, directory)
    if len(pieces) < SMALLEST_FEDERATION:
        raise DataError(
            "too-few-nodes",
            f"column {column!r} of {path.name} has {len(pieces)} values that can be nodes; "
            f"a federation needs {SMALLEST_FEDERATION}",
            "choose a column with more values, such as the country of exploitation",
        )
    names = node_names([piece.value for piece in pieces])
    return [CaseFile(name, piece.path, piece.mapping) for name, piece in zip(names, pieces, strict=True)]


def node_names(values: list[str]) -> list[str]:
    """A node name for each value of a column: the value itself where it can be one, else its place."""
    names = [value.upper() for value in values]
    if all(_NODE_NAME.match(name) for name in names) and len(set(names)) == len(names):
        return names
    return [f"NODE{place}" for place in range(1, len(values) + 1)]


def policy(
    epsilon: float, delta: float, analyses: set[str], participants: int, *, least_victims: int = 0
) -> Policy:
    """The policy of a demonstration node: permits what the demonstration asks, and no epsilon beyond it."""
    return Policy(
        analyses=frozenset(analyses),
        columns=frozenset({LINKS.name, *(field.name for field in FIELDS if not field.identifying)}),
        purposes=frozenset(ANALYSES[name].made_for for name in analyses),
        populations=frozenset({"all"}),
        epsilon_per_study=epsilon,
        epsilon_per_year=epsilon,
        epsilon_lifetime=epsilon,
        delta=delta,
        minimum_participants=max(2, participants // 2 + 1),
        least_victims=least_victims,
        least_tolerated_colluders=1,
    )


def start_node(
    file: CaseFile,
    directory: Path,
    allowed: Policy,
    ceremony: Ceremony,
    progress: Callable[[str], None],
) -> LocalNode:
    """Sets a node up from nothing and imports its file.

    The key files lie beside the node's directory, not in it: whoever copies the store cannot read it. A
    state's node has settings, so that it can be used when the demonstration is over.
    """
    home = directory / file.node
    home.mkdir(parents=True)
    keys = NodeKeys.generate()
    keys.save(directory / f"{file.node}.key")
    store = CaseStore.create(home / "cases", keys, MAX_VICTIMS)
    report = import_file(file.path, file.mapping, store)
    progress(file.node)
    ledger = Ledger(home / LEDGER_FILE, allowed.caps())
    identity = ceremony.identities[file.node]
    if file.node in STATES:  # a part of any other file has no country to write down
        save_key(identity.signing_key, directory / f"{file.node}.key.signing")
        settings = _SETTINGS.format(node=file.node)
        (home / SETTINGS_FILE).write_text(settings, encoding="utf-8")
    audit_log = AuditLog(home / AUDIT_FILE, identity.signing_key, file.node)
    desk = demo_links.desk_of(file.node, home, store, ceremony, audit_log)
    participant = Participant(
        identity=identity,
        store=store,
        ledger=ledger,
        policy=allowed,
        approvers=ceremony.people[file.node].enrolled,
        audit_log=audit_log,
        links=desk,
    )
    victims = len(set(store.cases()["victim"].to_pylist()))
    return LocalNode(file.node, store, participant, ledger, report, victims, desk)
