"""Eight nodes and a coordinator, each in a directory of its own, that can be stopped and started again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from federation_of import CEREMONY, EIGHT, EXPIRES, MAX_VICTIMS, analysis_table, participant
from safeborders_fed.coordinator import drafting
from safeborders_fed.coordinator.federation import NOBODY
from safeborders_fed.coordinator.home import CoordinatorHome, create_home
from safeborders_fed.coordinator.studies import conduct, offer
from safeborders_fed.coordinator.study_files import StudyFiles
from safeborders_fed.node.participant import Participant
from safeborders_fed.node.records import Record
from safeborders_fed.node.refusals import refuse
from safeborders_fed.node.studies import NodeStudies
from safeborders_fed.node.verifying import Verified, verify
from safeborders_fed.study.draft import Wish
from safeborders_fed.study.key_files import load_key
from safeborders_fed.study.manifest import Manifest
from safeborders_fed.study.offering import Offered, Why
from safeborders_fed.study.roster import SignedRoster

OPERATOR = "Ana Ruiz"
TRENDS = {"first_year": 2018, "last_year": 2025}
LOGISTIC = {"target": "actual_victim", "features": ["sex"], "rounds": 3}


class DiedError(BaseException):
    """The coordinator's process is killed: nothing in it catches that."""


def wish(study: str = "study-1", **changes: object) -> Wish:
    terms: dict[str, object] = {
        "id": study,
        "purpose": "a test",
        "legal_basis": "none",
        "analysis": "logistic",
        "parameters": LOGISTIC,
        "participants": EIGHT,
        "roster_hash": CEREMONY.roster.hash(),
        "trust": "masked",
        "rho": 0.5,
        "delta": 1e-6,
        "expires": EXPIRES,
        "max_victims": MAX_VICTIMS,
    }
    return Wish(**{**terms, **changes})  # type: ignore[arg-type] - tests pass wrong values too


@dataclass
class Life:
    """A federation. ``before`` is called with the number of each call before it is delivered."""

    directory: Path
    home: CoordinatorHome
    nodes: dict[str, Participant] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    calls: int = 0
    before: Callable[[int], None] = lambda _: None
    time: Callable[[], datetime] = lambda: datetime.now(UTC)

    @classmethod
    def begin(cls, directory: Path) -> Life:
        key_file = directory / "ana.key"
        home = create_home(
            directory / "coordinator", operator=OPERATOR, key_file=key_file, release_signatures=1
        )
        life = cls(directory, home)
        for node in EIGHT:
            life.start(node)
        return life

    @property
    def key_file(self) -> Path:
        return self.directory / "ana.key"

    def start(self, node: str) -> None:
        if node in self.nodes:
            self.nodes[node]._ledger.close()
            self.nodes[node]._audit_log.close()
        (self.directory / node).mkdir(exist_ok=True)
        self.nodes[node] = participant(
            self.directory / node,
            node,
            analysis_table(40, EIGHT.index(node)),
            ceremony=CEREMONY,
            studies=self.studies(node),
            clock=self.now,
        )

    def now(self) -> datetime:
        return self.time()

    def studies(self, node: str) -> NodeStudies:
        return NodeStudies(self.directory / node, (self.home.operators[0].public,))

    def record(self, node: str, study: str = "study-1") -> Record:
        return Record(self.studies(node).directory(study))

    def verify(self, node: str, study: str = "study-1") -> Verified:
        return verify(
            self.studies(node),
            self.nodes[node]._ledger,
            study,
            node=node,
            accepted=CEREMONY.roster.keys(),
            roster_hash=CEREMONY.roster.hash(),
            models=self.directory / node / "models",
        )

    def roster(self) -> SignedRoster:
        return SignedRoster.sign(CEREMONY.roster, load_key(self.key_file))

    def online(self) -> frozenset[str]:
        return frozenset(self.nodes) - self.silent

    def ask(self, requests: Mapping[str, bytes], optional: Mapping[str, bytes] = NOBODY) -> dict[str, bytes]:
        self.before(self.calls)
        self.calls += 1
        return {
            node: self.nodes[node].answer(data).data
            for node, data in [*requests.items(), *optional.items()]
            if node not in self.silent
        }

    def draft(self, study: str = "study-1", **changes: object) -> Manifest:
        return drafting.draft(self.home, wish(study, **changes), self.roster(), by=OPERATOR)

    def publish(self, manifest: Manifest) -> None:
        drafting.publish(
            self.home, manifest.id, by=OPERATOR, key=load_key(self.key_file), manifest_hash=manifest.hash()
        )

    def offer(self, study: str = "study-1") -> dict[str, Offered | str]:
        return offer(self.home, study, self, self.time)

    def conduct(self, study: str = "study-1") -> None:
        conduct(self.home, study, self, self.time)

    def files(self, study: str = "study-1") -> StudyFiles:
        return StudyFiles(self.home, study)

    def approve(self, manifest: Manifest, *, but: tuple[str, ...] = (), people: int = 2) -> None:
        for node in EIGHT:
            if node not in but:
                for approval in CEREMONY.approvals(node, manifest)[:people]:
                    self.studies(node).add_approval(manifest.id, approval)

    def refuse(self, manifest: Manifest, node: str, reason: Why) -> None:
        people = CEREMONY.people[node]
        self.studies(node).add_refusal(
            refuse(
                people._keys[0],
                study=manifest.id,
                manifest_hash=manifest.hash(),
                reason=reason,
                name=people.enrolled[0].name,
                signed_at=datetime.now(UTC),
            )
        )

    def ready(self, **changes: object) -> Manifest:
        """A study that all eight have approved."""
        manifest = self.draft(**changes)
        self.publish(manifest)
        self.offer(manifest.id)
        self.approve(manifest)
        return manifest

    def rows(self, study: str = "study-1") -> list[dict[str, object]]:
        return self.files(study).progress()

    def spent(self, node: str) -> float:
        return self.nodes[node]._ledger.totals().spent

    def reserved(self, node: str) -> float:
        return self.nodes[node]._ledger.totals().reserved


def later(days: int) -> Callable[[], datetime]:
    return lambda: datetime.now(UTC) + timedelta(days=days)
