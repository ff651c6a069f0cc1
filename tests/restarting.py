"""A federation of eight whose nodes and coordinator can be cut off and started again, for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from federation_of import CEREMONY, EIGHT, PUBLIC_KEYS, analysis_table, approve, participant, study
from safeborders_fed.coordinator.federation import NOBODY
from safeborders_fed.coordinator.history import History
from safeborders_fed.coordinator.rounds import Outcome, RoundDone, StudyRun
from safeborders_fed.node.participant import Participant

MASKED = study(
    participants=EIGHT,
    trust="masked",
    parameters={"target": "actual_victim", "features": ["sex"], "rounds": 3},
)
ROUNDS = 6


class CutOffError(Exception):
    """The coordinator dies."""


class Carrier:
    """Carries messages; ``at`` may raise before the n-th call is delivered, ``after`` before it returns."""

    def __init__(self, nodes: Mapping[str, Participant]) -> None:
        self.nodes = dict(nodes)
        self.calls: list[Mapping[str, bytes]] = []
        self.silent: set[str] = set()
        self.before: Callable[[int], None] = lambda _: None
        self.after: Callable[[int], None] = lambda _: None

    def online(self) -> frozenset[str]:
        return frozenset(self.nodes) - self.silent

    def ask(self, requests: Mapping[str, bytes], optional: Mapping[str, bytes] = NOBODY) -> dict[str, bytes]:
        self.before(len(self.calls))
        self.calls.append(requests)
        replies = {
            node: self.nodes[node].answer(data).data
            for node, data in [*requests.items(), *optional.items()]
            if node not in self.silent
        }
        self.after(len(self.calls) - 1)
        return replies


def cut_at(number: int) -> Callable[[int], None]:
    def cut(call: int) -> None:
        if call == number:
            raise CutOffError

    return cut


def make(directory: Path, node: str) -> Participant:
    table = analysis_table(40, EIGHT.index(node))
    found = participant(directory, node, table, ceremony=CEREMONY)
    approve(found, MASKED)
    return found


def restart(directory: Path, node: Participant) -> Participant:
    node._ledger.close()
    node._audit_log.close()
    return make(directory, node.node)


def run(carrier: Carrier, directory: Path, watched: list[RoundDone] | None = None) -> Outcome:
    told = [] if watched is None else watched
    return StudyRun(MASKED, carrier, PUBLIC_KEYS, told.append, history=History(directory)).run()


def spent(node: Participant) -> float:
    return node._ledger.totals().spent
