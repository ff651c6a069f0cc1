"""A whole federation in one process, seen through the eyes of a privacy audit's adversary.

The adversary is the coordinator together with the tolerated colluders, and knows every victim but one: it
reads every contribution, also those it then claims not to have got, and the colluders' noise.

Guarantees:

- Participants, doors, ledgers, masks, messages and the round loop are those of the product. The honest nodes
  get nothing that a node in service does not have: what is audited is what runs.
- Victims are made up from a seed. Noise, masks, keys and the canaries' coins never are.
- The coordinator invents a drop-out in each of the first attempts of the last stage, until the fewest nodes
  are left that the manifest permits: so paid retries and the smallest number of noise shares are audited too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from safeborders_fed.analyses.base import PURPOSE_CATEGORIES
from safeborders_fed.audit.log import AuditLog
from safeborders_fed.cases.contract import FIELDS
from safeborders_fed.cases.store import CaseStore
from safeborders_fed.coordinator.federation import NOBODY, Federation
from safeborders_fed.coordinator.rounds import Outcome, StudyRun
from safeborders_fed.errors import DefectError
from safeborders_fed.node.ledger import Ledger
from safeborders_fed.node.participant import Participant
from safeborders_fed.node.policy import POPULATIONS, Policy
from safeborders_fed.privacy.noise import discrete_gaussian
from safeborders_fed.simulation.audit_victims import Canary, known_victims, make_canaries
from safeborders_fed.simulation.ceremony import Ceremony, hold
from safeborders_fed.study.draft import Wish, draft
from safeborders_fed.study.manifest import Manifest
from safeborders_fed.study.messages import Contribution, Round, decode
from safeborders_fed.transport.in_process import run_in_process

NODES: Final = ("BE", "BG", "FI", "GR", "IT", "PL", "PT", "RO")
COLLUDERS: Final = ("BE", "BG")
"""Two, so that it shows that each of them may subtract its share; a missing share also shows sooner."""
HONEST: Final = tuple(node for node in NODES if node not in COLLUDERS)
WITHHELD: Final = ("PL", "PT", "RO")
_CANARIES_PER_NODE: Final = 16
_MAX_VICTIMS: Final = 1000
_LOOSE: Final = 1000.0
"""Caps of the made-up policies: no policy is audited here."""


@dataclass(frozen=True)
class Terms:
    """The study that is audited.

    Attributes:
        analysis: Name of the analysis.
        parameters: Its parameters.
        trust: Trust mode.
        rho: What the study may cost, retries included.
        delta: At which costs are shown.
    """

    analysis: str
    parameters: dict[str, Any]
    trust: Literal["masked", "local"]
    rho: float
    delta: float


@dataclass(frozen=True)
class Attempt:
    """What left the nodes in one attempt.

    Attributes:
        request: The attempt.
        vectors: Node to contribution.
        charged: Node to the rho that its ledger charged meanwhile.
    """

    request: Round
    vectors: dict[str, NDArray[np.uint64]]
    charged: dict[str, float]


@dataclass(frozen=True)
class View:
    """What the adversary has, and what the audit knows besides.

    Attributes:
        manifest: The study.
        attempts: All attempts, also those that were tried again.
        known: Node to the table of the victims that the adversary knows.
        canaries: The victims it does not know of.
        colluders_noise: For each attempt the colluders' noise, added up: int64, shape (dimension,).
        outcome: What the coordinator published.
    """

    manifest: Manifest
    attempts: tuple[Attempt, ...]
    known: dict[str, pa.Table]
    canaries: tuple[Canary, ...]
    colluders_noise: tuple[NDArray[np.int64], ...]
    outcome: Outcome


def observe(terms: Terms, seed: int, directory: Path) -> View:
    """Runs one study and returns what the adversary saw.

    Args:
        terms: The study.
        seed: Of the made-up victims.
        directory: An empty directory for the nodes' ledgers.

    Raises:
        DefectError: ``audit-incomplete``, when a node did not contribute.
        SafeBordersError: whatever ends a study.
    """
    rng = np.random.default_rng(seed)
    known = {node: known_victims(rng, node) for node in NODES}
    canaries = make_canaries(rng, HONEST, _CANARIES_PER_NODE)
    ceremony = hold(NODES)
    manifest = _manifest(terms, ceremony.roster.hash())
    recorders = {node: _Recorder() for node in COLLUDERS}
    policy = _policy(terms)
    nodes: list[_Node] = []
    with ExitStack() as closing:
        for node in NODES:
            present = [canary.table for canary in canaries if canary.node == node and canary.present]
            store = _Tables(pa.concat_tables([known[node], *present]))
            ledger = Ledger(directory / f"{node}.sqlite", policy.caps())
            closing.callback(ledger.close)
            log = AuditLog(directory / f"{node}.jsonl", ceremony.identities[node].signing_key, node)
            parts: dict[str, Any] = {
                "identity": ceremony.identities[node],
                "store": store,
                "ledger": ledger,
                "policy": policy,
                "approvers": ceremony.people[node].enrolled,
                "audit_log": closing.enter_context(log),
            }
            if node in recorders:  # an honest node keeps the sampler that it would have in service
                parts["noise"] = recorders[node]
            nodes.append((Participant(**parts), ledger))
        attempts, outcome = _run(manifest, nodes, ceremony)
    noises = zip(*(recorder.drawn for recorder in recorders.values()), strict=True)
    colluders_noise = tuple(np.sum(parts, axis=0) for parts in noises)
    return View(manifest, attempts, known, canaries, colluders_noise, outcome)


_Node = tuple[Participant, Ledger]


def _run(
    manifest: Manifest, nodes: Sequence[_Node], ceremony: Ceremony
) -> tuple[tuple[Attempt, ...], Outcome]:
    watched: list[_Watched] = []
    outcomes: list[Outcome] = []
    ledgers = {participant.node: ledger for participant, ledger in nodes}

    def run(federation: Federation) -> None:
        watched.append(_Watched(federation, ledgers, manifest))
        outcomes.append(StudyRun(manifest, watched[0], ceremony.roster.keys()).run())

    for participant, _ in nodes:
        participant.approve(manifest, ceremony.approvals(participant.node, manifest))
    run_in_process([participant for participant, _ in nodes], run)
    return tuple(watched[0].attempts), outcomes[0]


@dataclass
class _Recorder:
    """A colluder's sampler: the product's own, but it keeps what it drew."""

    drawn: list[NDArray[np.int64]] = field(default_factory=list)

    def __call__(self, scale: float, size: int) -> NDArray[np.int64]:
        self.drawn.append(discrete_gaussian(scale, size))
        return self.drawn[-1]


class _Watched:
    """Passes messages on, reads all of them, and holds some replies back from the coordinator."""

    def __init__(self, federation: Federation, ledgers: Mapping[str, Ledger], manifest: Manifest) -> None:
        self.attempts: list[Attempt] = []
        self._federation = federation
        self._ledgers = ledgers
        self._study = manifest.id
        self._last_stage = manifest.stages[-1].name
        self._withhold = list(WITHHELD)

    def online(self) -> frozenset[str]:
        """Nobody comes back: what is held back here stays so."""
        return frozenset()

    def ask(self, requests: Mapping[str, bytes], optional: Mapping[str, bytes] = NOBODY) -> dict[str, bytes]:
        """Asks all nodes."""
        request = decode(next(iter(requests.values())))
        before = self._spent(requests)
        replies = self._federation.ask(requests, optional)
        if isinstance(request, Round):
            after = self._spent(requests)
            charged = {node: after[node] - before[node] for node in requests}
            self.attempts.append(Attempt(request, _vectors(requests, replies), charged))
            if request.stage == self._last_stage and self._withhold:
                del replies[self._withhold.pop()]
        return replies

    def _spent(self, nodes: Iterable[str]) -> dict[str, float]:
        return {node: self._ledgers[node].totals(study=self._study).spent for node in nodes}


def _vectors(nodes: Iterable[str], replies: Mapping[str, bytes]) -> dict[str, NDArray[np.uint64]]:
    vectors = {}
    for node in nodes:
        reply = decode(replies[node]) if node in replies else None
        if not isinstance(reply, Contribution):
            raise DefectError("audit-incomplete", f"node {node} did not contribute ({reply})", "report this")
        vectors[node] = reply.vector
    return vectors


class _Tables(CaseStore):
    """What a participant needs of a case store, in memory."""

    def __init__(self, table: pa.Table) -> None:
        self.max_victims = _MAX_VICTIMS
        self._table = table

    def latest_snapshot(self) -> str | None:
        return "made-up"

    def cases(self, snapshot: str | None = None) -> pa.Table:
        del snapshot
        return self._table


def _manifest(terms: Terms, roster_hash: str) -> Manifest:
    return draft(
        Wish(
            id="privacy-audit",
            purpose="privacy audit on made-up victims",
            legal_basis="none: no person's data are processed",
            analysis=terms.analysis,
            parameters=terms.parameters,
            participants=NODES,
            roster_hash=roster_hash,
            rho=terms.rho,
            delta=terms.delta,
            expires=datetime.now(UTC).date() + timedelta(days=2),
            max_victims=_MAX_VICTIMS,
            trust=terms.trust,
            retries=len(WITHHELD),
            tolerated_colluders=len(COLLUDERS),
            minimum_participants=len(NODES) - len(WITHHELD),
        )
    )


def _policy(terms: Terms) -> Policy:
    return Policy(
        analyses=frozenset({terms.analysis}),
        columns=frozenset(entry.name for entry in FIELDS),
        purposes=frozenset(PURPOSE_CATEGORIES),
        populations=frozenset(POPULATIONS),
        epsilon_per_study=_LOOSE,
        epsilon_per_year=_LOOSE,
        epsilon_lifetime=_LOOSE,
        delta=terms.delta,
        minimum_participants=2,
        least_victims=0,  # the mechanism under audit is the study's alone
        least_tolerated_colluders=1,
    )
