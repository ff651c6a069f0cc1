"""What every simulated schedule starts from: a small study that all nodes have approved.

Keys, people, ledgers and audit logs are made once for each kind of study and copied for each schedule.

Guarantees: nothing here depends on a seed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field as Limit

from safeborders_fed.analyses.base import UNIT, Analysis, Arrays, Parameters, Release, Setting, Stage
from safeborders_fed.analyses.registry import ANALYSES
from safeborders_fed.audit.log import AuditLog
from safeborders_fed.cases.store import CaseStore
from safeborders_fed.node.approvals import Approval
from safeborders_fed.node.caps import Caps
from safeborders_fed.node.ledger import Ledger
from safeborders_fed.node.participant import Participant
from safeborders_fed.node.policy import Policy
from safeborders_fed.privacy.bounded_sum import BoundedSum, BoundedSumBuilder
from safeborders_fed.simulation.ceremony import Ceremony, hold
from safeborders_fed.study.draft import Wish, draft
from safeborders_fed.study.manifest import Manifest

if TYPE_CHECKING:
    from safeborders_fed.cases.contract import Field
    from safeborders_fed.cases.encoding import Victims

MAX_VICTIMS: Final = 100
_NAMES: Final = ("BE", "BG", "FI", "GR", "IT")
_DAYS: Final = 30
_CAPS: Final = Caps(study=10.0, year=50.0, lifetime=100.0)
"""Wide: a policy's own caps take longer to compute than a schedule."""
KINDS: Final[tuple[tuple[str, int, int], ...]] = (
    ("masked", 5, 2),
    ("masked", 5, 6),
    ("masked", 4, 3),
    ("local", 4, 6),
    ("local", 3, 5),
)
"""Trust mode, nodes and rounds of the studies that schedules choose from. To lose charges, come back and be
noticed takes five rounds; a study of four masked nodes needs all of them to begin."""


class CountingParameters(Parameters):
    """What a manifest says of a study of counts.

    Attributes:
        rounds: Rounds.
    """

    rounds: int = Limit(default=3, ge=1, le=20)


class Counting(Analysis[CountingParameters, NDArray[np.int64], tuple[NDArray[np.float64], ...]]):
    """Rounds whose question depends on the answers before, as those of a model do; quick to answer."""

    name = "counting"
    made_for = "evaluation"
    parameters_type = CountingParameters
    dimension: Final = 4

    def fields(self) -> tuple[Field, ...]:
        """None."""
        return ()

    def stages(self) -> tuple[Stage, ...]:
        """Rounds of one kind."""
        return (Stage("counts", self.parameters.rounds, self.dimension, UNIT, 1.0),)

    def expects(self, stage: str) -> dict[str, tuple[int, ...]]:
        """What was learnt so far."""
        del stage
        return {"so_far": (self.dimension,)}

    def prepare(self, victims: Victims, node: str) -> NDArray[np.int64]:
        """Rows that tell the nodes apart, int64, shape (n, 4)."""
        rows = np.full((max(1, len(victims.years)), self.dimension), UNIT // 4, np.int64)
        rows[:, 0] -= sum(node.encode())
        return rows

    def contribute(
        self, prepared: NDArray[np.int64], stage: Stage, broadcast: Arrays, max_victims: int
    ) -> BoundedSum:
        """The sum of the rows, turned by the broadcast."""
        builder = BoundedSumBuilder(dimension=stage.dimension, bound=stage.bound, max_victims=max_victims)
        builder.add_rows(np.roll(prepared, int(abs(broadcast["so_far"]).sum()) % self.dimension, axis=1))
        return builder.finish()

    def start(self, setting: Setting) -> tuple[NDArray[np.float64], ...]:
        """Nothing known."""
        del setting
        return ()

    def broadcast(self, state: tuple[NDArray[np.float64], ...]) -> Arrays:
        """The last sum."""
        return {"so_far": state[-1] if state else np.zeros(self.dimension)}

    def advance(
        self, state: tuple[NDArray[np.float64], ...], total: NDArray[np.int64], noise: float
    ) -> tuple[NDArray[np.float64], ...]:
        """Keeps the sum."""
        del noise
        return (*state, total.astype(np.float64))

    def result(self, state: tuple[NDArray[np.float64], ...]) -> Release:
        """All sums."""
        return Release(self.name, {}, {"sums": np.stack(state)})


@cache
def table() -> pa.Table:
    """Two victims, the same at every node."""
    days = np.array(["2024-01-01", "2024-02-01"], "datetime64[D]")
    return pa.table(
        {
            "victim": ["v1", "v2"],
            "case": ["c1", "c2"],
            "registration_date": pa.array(days),
            "registration_precision": pa.array(["day", "day"]).dictionary_encode(),
        }
    )


class _Cases(CaseStore):
    """What a participant needs of a case store, in memory."""

    def __init__(self) -> None:
        self.max_victims = MAX_VICTIMS

    def latest_snapshot(self) -> str | None:
        return "snapshot-1"

    def cases(self, snapshot: str | None = None) -> pa.Table:
        del snapshot
        return table()


@dataclass(frozen=True)
class Prepared:
    """A study that all nodes have approved, before its first round.

    Attributes:
        manifest: The study.
        ceremony: Keys and people.
        approvals: Each node's.
        policy: Of every node.
        caps: Of every ledger.
        files: Node to the bytes of its ledger and of its audit log.
        epoch: When it begins.
    """

    manifest: Manifest
    ceremony: Ceremony
    approvals: Mapping[str, list[Approval]] = field(repr=False)
    policy: Policy
    caps: Caps
    files: Mapping[str, tuple[bytes, bytes]] = field(repr=False)
    epoch: datetime

    def open(
        self, node: str, directory: Path, parts: Mapping[str, Any]
    ) -> tuple[Participant, Ledger, AuditLog]:
        """A node's process on its directory; ``parts`` are its clock and noise."""
        identity, clock = self.ceremony.identities[node], parts["clock"]
        ledger = Ledger(ledger_file(directory, node), self.caps, clock)
        try:
            log = AuditLog(audit_file(directory, node), identity.signing_key, node, clock)
        except BaseException:
            ledger.close()
            raise
        try:
            participant = Participant(
                identity=identity,
                store=_Cases(),
                ledger=ledger,
                policy=self.policy,
                approvers=self.ceremony.people[node].enrolled,
                audit_log=log,
                **parts,
            )
        except BaseException:
            log.close()
            ledger.close()
            raise
        return participant, ledger, log


def ledger_file(directory: Path, node: str) -> Path:
    """Where a node's ledger lies."""
    return directory / f"{node}.ledger.sqlite"


def audit_file(directory: Path, node: str) -> Path:
    """Where a node's audit log lies."""
    return directory / f"{node}.audit.jsonl"


@contextmanager
def with_counting() -> Iterator[None]:
    """The registry knows the analysis."""
    with mock.patch.dict(ANALYSES, {Counting.name: Counting}):
        yield


@cache
def prepared(trust: str, count: int, rounds: int) -> Prepared:
    """The study of so many nodes and rounds in this trust mode."""
    nodes = _NAMES[:count]
    ceremony = hold(nodes)
    epoch = datetime.now(UTC) + timedelta(seconds=1)
    with with_counting():
        manifest = draft(_wish(trust, rounds, ceremony, epoch))
    policy = Policy(
        analyses=frozenset({Counting.name}),
        columns=frozenset({"sex"}),
        purposes=frozenset({Counting.made_for}),
        populations=frozenset({"all"}),
        epsilon_per_study=10.0,
        epsilon_per_year=10.0,
        epsilon_lifetime=10.0,
        delta=1e-6,
        minimum_participants=2,
        least_victims=0,  # invariants know to the last bit what each study spends
        least_tolerated_colluders=1,
    )
    approvals = {node: ceremony.approvals(node, manifest) for node in nodes}
    empty = Prepared(manifest, ceremony, approvals, policy, _CAPS, {}, epoch)
    files = {}
    with tempfile.TemporaryDirectory() as name, with_counting():
        directory = Path(name)
        for node in nodes:
            participant, ledger, log = empty.open(node, directory, {"clock": lambda: epoch})
            participant.approve(manifest, approvals[node])
            ledger.close()
            log.close()
            files[node] = ledger_file(directory, node).read_bytes(), audit_file(directory, node).read_bytes()
    return Prepared(manifest, ceremony, approvals, policy, _CAPS, files, epoch)


def _wish(trust: str, rounds: int, ceremony: Ceremony, epoch: datetime) -> Wish:
    return Wish(
        id="simulated",
        purpose="a schedule of faults",
        legal_basis="none: no person's data are processed",
        analysis=Counting.name,
        parameters={"rounds": rounds},
        participants=tuple(ceremony.identities),
        roster_hash=ceremony.roster.hash(),
        rho=1.0,
        delta=1e-6,
        expires=(epoch + timedelta(days=_DAYS)).date(),
        max_victims=MAX_VICTIMS,
        trust="masked" if trust == "masked" else "local",
        tolerated_colluders=1 if trust == "masked" else 0,
        retries=3,
    )
