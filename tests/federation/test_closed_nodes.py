"""A node outside its opening hours: what its coordinator is told, and what goes on."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from federation_of import CEREMONY, EIGHT, POLICY, analysis_table, participant, study
from safeborders_fed.coordinator.federation import NOBODY, reply_of
from safeborders_fed.coordinator.rounds import StudyRun
from safeborders_fed.errors import PeerError
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node.opening_hours import DAYS
from safeborders_fed.node.participant import Participant
from safeborders_fed.node.studies import NodeStudies
from safeborders_fed.study.manifest import Manifest
from safeborders_fed.study.messages import Reason, Refusal
from safeborders_fed.study.publication import publish

OPERATOR = public_hex(CEREMONY.operator)


def closed() -> dict[str, Any]:
    """Hours that are not now, in any zone."""
    day = DAYS[(datetime.now(UTC).weekday() + 3) % 7]
    return {"opening_hours": (f"{day} 00:00-24:00",), "time_zone": "UTC"}


class Federation:
    """Nodes that are asked directly."""

    def __init__(self, directory: Path, manifest: Manifest) -> None:
        self.directory = directory
        self.nodes = {node: self.node(node, {}) for node in EIGHT}
        for node in EIGHT:
            studies = NodeStudies(directory / node, (OPERATOR,))
            studies.keep(publish(manifest, CEREMONY.operator))
            for approval in CEREMONY.people[node].approve("study", manifest.hash()):
                studies.add_approval(manifest.id, approval)

    def node(self, name: str, policy: dict[str, Any]) -> Participant:
        return participant(
            self.directory,
            name,
            analysis_table(60, EIGHT.index(name)),
            policy=POLICY.model_copy(update=policy),
            ceremony=CEREMONY,
            studies=NodeStudies(self.directory / name, (OPERATOR,)),
        )

    def restart(self, name: str, policy: dict[str, Any]) -> None:
        self.nodes[name]._ledger.close()
        self.nodes[name]._audit_log.close()
        self.nodes[name] = self.node(name, policy)

    def ask(self, requests: Mapping[str, bytes], optional: Mapping[str, bytes] = NOBODY) -> dict[str, bytes]:
        return {node: self.nodes[node].answer(data).data for node, data in {**requests, **optional}.items()}

    def online(self) -> frozenset[str]:
        return frozenset(self.nodes)


def test_a_closed_node_is_left_out_and_the_others_go_on(tmp_path: Path) -> None:
    manifest = study(participants=EIGHT)
    federation = Federation(tmp_path, manifest)
    federation.restart("FI", closed())
    seen: list[tuple[str, ...]] = []
    StudyRun(manifest, federation, CEREMONY.roster.keys(), lambda done: seen.append(done.participants)).run()
    assert set(seen) == {tuple(node for node in EIGHT if node != "FI")}


def test_too_many_closed_nodes_are_named_to_the_operator_in_plain_words(tmp_path: Path) -> None:
    manifest = study(participants=EIGHT)
    federation = Federation(tmp_path, manifest)
    for node in EIGHT[:6]:
        federation.restart(node, closed())
    with pytest.raises(PeerError) as caught:
        StudyRun(manifest, federation, CEREMONY.roster.keys()).run()
    assert caught.value.code == "too-few-joined"
    assert "BG: closed, outside its opening hours; FI: closed, outside" in caught.value.cause
    assert "nothing was spent" in caught.value.fix


def test_a_node_that_closes_and_restarts_in_the_middle_finishes_the_study(tmp_path: Path) -> None:
    manifest = study(
        participants=EIGHT,
        parameters={"target": "actual_victim", "features": ["sex"], "rounds": 8},
        retries=2,
    )
    federation = Federation(tmp_path, manifest)
    seen: list[tuple[str, ...]] = []

    def watch(done: Any) -> None:
        seen.append(done.participants)
        if done.number == 2:
            federation.restart("FI", closed())

    StudyRun(manifest, federation, CEREMONY.roster.keys(), watch).run()
    assert "FI" not in seen[3]
    assert "FI" in seen[-1]


def test_one_refusal_for_the_hour_says_what_it_means_and_when_to_ask() -> None:
    with pytest.raises(PeerError) as caught:
        reply_of("GR", {"GR": Refusal("GR", Reason.CLOSED).encode()})
    assert caught.value.code == "closed"
    assert "GR is closed, outside its opening hours" in caught.value.cause
    assert "launch the study then" in caught.value.fix
