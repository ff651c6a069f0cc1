"""Small made-up federations for tests: analysis tables in memory, ledgers on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from safeborders_fed.analyses.base import PURPOSE_CATEGORIES
from safeborders_fed.audit.log import AuditLog
from safeborders_fed.cases.contract import FIELDS, Kind
from safeborders_fed.coordinator.rounds import Outcome, RoundDone, StudyRun
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node.caps import Caps
from safeborders_fed.node.door import Noise
from safeborders_fed.node.journal import now
from safeborders_fed.node.ledger import Ledger
from safeborders_fed.node.link_desk import LinkDesk
from safeborders_fed.node.participant import Participant
from safeborders_fed.node.policy import POPULATIONS, Policy
from safeborders_fed.node.studies import NodeStudies
from safeborders_fed.privacy.noise import discrete_gaussian
from safeborders_fed.simulation.ceremony import Ceremony, hold
from safeborders_fed.study.draft import Wish, draft
from safeborders_fed.study.manifest import Manifest
from safeborders_fed.study.state_changes import History, ServiceKey, StateName, first_change, next_change
from safeborders_fed.transport.in_process import run_in_process

ROOT = Path(__file__).resolve().parent.parent
NODES = ("BE", "BG", "FI", "GR")
ALL_COLUMNS = frozenset(field.name for field in FIELDS)
CAPS = Caps(study=10.0, year=20.0, lifetime=30.0)
POLICY = Policy(
    analyses=frozenset({"logistic", "trends", "typology"}),
    columns=ALL_COLUMNS | {"links"},
    purposes=frozenset(PURPOSE_CATEGORIES),
    populations=frozenset(POPULATIONS),
    epsilon_per_study=20.0,
    epsilon_per_year=30.0,
    epsilon_lifetime=50.0,
    delta=1e-6,
    minimum_participants=2,
    least_victims=0,
    least_tolerated_colluders=1,
)
EIGHT = ("BE", "BG", "FI", "GR", "IT", "PL", "PT", "RO")
SMALL = hold(NODES)
"""Keys and people of a federation of four."""
CEREMONY = hold(EIGHT)
"""Keys and people of a federation of eight."""
PUBLIC_KEYS = CEREMONY.roster.keys()
SIGNING_KEYS = {node: CEREMONY.identities[node].signing_key for node in EIGHT}
EXPIRES = datetime.now(UTC).date() + timedelta(days=30)
MAX_VICTIMS = 10_000
SERVICE_KEY = Ed25519PrivateKey.generate()
"""The coordinator's service key, for which the operator of each federation vouches."""
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def analysis_table(rows: int, seed: int, *, records_per_victim: int = 1) -> pa.Table:
    """Random records in the analysis schema."""
    rng = np.random.default_rng(seed)
    names = [f"{seed} {index // records_per_victim}".encode() for index in range(rows)]
    victims = [hashlib.sha256(name).hexdigest()[:32] for name in names]
    days = rng.integers(0, 8 * 365, rows)
    columns: dict[str, pa.Array] = {
        "victim": pa.array(victims),
        "case": pa.array([f"{index:032x}" for index in range(rows)]),
        "registration_date": pa.array((np.datetime64("2018-01-01") + days).astype("datetime64[D]")),
        "registration_precision": pa.array(["day"] * rows).dictionary_encode(),
    }
    for field in FIELDS:
        if field.kind == Kind.SINGLE:
            codes = rng.integers(-1, len(field.codes), rows)
            values = [None if code < 0 else field.codes[code] for code in codes]
            columns[field.name] = pa.array(values, pa.dictionary(pa.int16(), pa.string()))
        elif field.kind == Kind.MULTI:
            known = rng.random(rows) < 0.9
            present = rng.integers(0, 2 ** min(4, len(field.codes)), rows)
            columns[field.name] = pa.array(np.where(known, present, 0).astype(np.uint32))
            everything = np.uint32(2 ** len(field.codes) - 1)
            columns[f"{field.name}_known"] = pa.array(np.where(known, everything, 0).astype(np.uint32))
    return pa.table(columns)


def history_of(
    manifest: Manifest,
    *states: StateName,
    operator: Ed25519PrivateKey | None = None,
    key: Ed25519PrivateKey = SERVICE_KEY,
) -> History:
    """What the coordinator signs of a study that was drafted, published, and whatever follows.

    The same states give the same changes, so that a longer history continues a shorter one.
    """
    vouching = SMALL.operator if operator is None else operator
    words = {"at": LONG_AGO, "by": "Ana Ruiz", "why": "a test"}
    changes = [first_change(key, study=manifest.id, manifest_hash=manifest.hash(), **words)]  # type: ignore[arg-type]
    for state in ("published", *states):
        changes.append(next_change(key, changes[-1], state, **words))  # type: ignore[arg-type]
    certificate = ServiceKey.certify(public_hex(key), by="Ana Ruiz", operator=vouching, at=LONG_AGO)
    return History(keys=(certificate,), changes=tuple(changes))


@dataclass
class MemoryStore:
    """What a participant needs of a case store, in memory."""

    table: pa.Table
    max_victims: int = MAX_VICTIMS

    def latest_snapshot(self) -> str | None:
        return "snapshot-1"

    def cases(self, snapshot: str | None = None) -> pa.Table:
        del snapshot
        return self.table


def approve(node: Participant, manifest: Manifest) -> None:
    """The node's two approvers approve a study."""
    node.approve(manifest, ceremony_of(manifest).approvals(node.node, manifest))


def ceremony_of(manifest: Manifest) -> Ceremony:
    """The ceremony whose roster a study is for."""
    return SMALL if manifest.roster_hash == SMALL.roster.hash() else CEREMONY


def participant(
    directory: Path,
    node: str,
    table: pa.Table,
    *,
    policy: Policy = POLICY,
    noise: Noise = discrete_gaussian,
    ceremony: Ceremony = SMALL,
    studies: NodeStudies | None = None,
    share_reviews: bool = False,
    links: LinkDesk | None = None,
    clock: Callable[[], datetime] = now,
) -> Participant:
    ledger = Ledger(directory / f"{node}.ledger.sqlite", policy.caps(), clock)
    return Participant(
        identity=ceremony.identities[node],
        store=MemoryStore(table),
        ledger=ledger,
        policy=policy,
        approvers=ceremony.people[node].enrolled,
        audit_log=AuditLog(directory / f"{node}.audit.jsonl", ceremony.identities[node].signing_key, node),
        noise=noise,
        studies=studies,
        share_reviews=share_reviews,
        links=links,
        clock=clock,
    )


def run_study(
    manifest: Manifest, nodes: list[Participant], watch: Callable[[RoundDone], None] | None = None
) -> Outcome:
    """Runs a study over Flower's in-process grid."""
    outcomes: list[Outcome] = []
    run_in_process(
        nodes,
        lambda federation: outcomes.append(
            StudyRun(manifest, federation, ceremony_of(manifest).roster.keys(), watch).run()
        ),
    )
    return outcomes[0]


def study(**changes: object) -> Manifest:
    """A small logistic study of the three nodes, with some terms changed."""
    terms: dict[str, object] = {
        "id": "study-1",
        "purpose": "a test",
        "legal_basis": "none",
        "analysis": "logistic",
        "parameters": {"target": "actual_victim", "features": ["sex", "age_band"], "rounds": 4},
        "participants": NODES,
        "roster_hash": (CEREMONY if changes.get("participants") == EIGHT else SMALL).roster.hash(),
        "trust": "local",
        "rho": 0.5,
        "delta": 1e-6,
        "expires": EXPIRES,
        "max_victims": MAX_VICTIMS,
    }
    return draft(Wish(**{**terms, **changes}))  # type: ignore[arg-type] - tests pass wrong values too
