"""A study of one round on made-up records: whether this installation can do what a real one asks of it.

Everything is the real thing (intake, encrypted store, keys, approvals, ledger, noise, masks, audit log,
messages over Flower's in-process grid) but the people and the records.

Guarantees: nothing of a real node is touched: keys, ledgers and stores are made in a temporary directory that
is gone afterwards. The result is checked: each ledger charged what the manifest says, and the release holds
the number of made-up victims within its own error.
"""

from __future__ import annotations

import math
import secrets
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from safeborders_fed.cases.encoding import merge
from safeborders_fed.coordinator.rounds import Outcome, StudyRun
from safeborders_fed.errors import DefectError
from safeborders_fed.privacy import accounting
from safeborders_fed.simulation.ceremony import Ceremony, hold
from safeborders_fed.simulation.nodes import MAX_VICTIMS, LocalNode, policy, start_node, synthetic_files
from safeborders_fed.study.checkup import Finding, ok, warning
from safeborders_fed.study.draft import Wish, draft
from safeborders_fed.study.manifest import Manifest
from safeborders_fed.transport.in_process import run_in_process

NODES: Final = 3
SLOW_SECONDS: Final = 10.0
_SCALE: Final = 0.05
_EPSILON: Final = 50.0
_DELTA: Final = 1e-6
_ERRORS: Final = 8.0
_SHARE: Final = 0.02
"""Tables are made non-negative, which shifts a total a little."""


@dataclass(frozen=True)
class DryRound:
    """What came of it.

    Attributes:
        nodes: Who took part.
        seconds: Duration of the round, without the preparations.
    """

    nodes: tuple[str, ...]
    seconds: float


def dry_round(first: str | None = None) -> DryRound:
    """Runs it.

    Args:
        first: A state that is to be among the nodes.

    Raises:
        DefectError: ``dry-round-wrong``, when the result is not what it must be.
        SafeBordersError: whatever a real study could end with.
    """
    with tempfile.TemporaryDirectory(prefix="safeborders-") as name:
        directory = Path(name)
        files, _ = synthetic_files(directory / "files", secrets.randbelow(2**31), _SCALE)
        chosen = sorted(files, key=lambda file: file.node != first)[:NODES]
        ceremony = hold([file.node for file in chosen])
        allowed = policy(_EPSILON, _DELTA, {"trends"}, NODES)
        nodes = [start_node(file, directory / "nodes", allowed, ceremony, lambda _: None) for file in chosen]
        manifest = _manifest(ceremony)
        for node in nodes:
            node.participant.approve(manifest, ceremony.approvals(node.name, manifest))
        began = time.monotonic()
        outcome = _run(manifest, ceremony, nodes)
        seconds = time.monotonic() - began
        _check(manifest, outcome, nodes)
        for node in nodes:
            node.ledger.close()
    return DryRound(manifest.participants, seconds)


def _manifest(ceremony: Ceremony) -> Manifest:
    return draft(
        Wish(
            id="dry-round",
            purpose="See whether this installation works.",
            legal_basis="None needed: made-up records.",
            analysis="trends",
            parameters={"first_year": 2018, "last_year": 2025},
            participants=tuple(ceremony.identities),
            roster_hash=ceremony.roster.hash(),
            rho=accounting.rho_for(_EPSILON, _DELTA) * (1 - 1e-9),
            delta=_DELTA,
            expires=(datetime.now(UTC) + timedelta(days=1)).date(),
            max_victims=MAX_VICTIMS,
            minimum_participants=NODES,
            retries=0,
        )
    )


def _run(manifest: Manifest, ceremony: Ceremony, nodes: list[LocalNode]) -> Outcome:
    outcomes: list[Outcome] = []
    run_in_process(
        [node.participant for node in nodes],
        lambda federation: outcomes.append(StudyRun(manifest, federation, ceremony.roster.keys()).run()),
    )
    if not outcomes:
        raise _wrong("it did not end")
    return outcomes[0]


def _check(manifest: Manifest, outcome: Outcome, nodes: list[LocalNode]) -> None:
    """Compares charges and the published total with what must be."""
    for node in nodes:
        node.ledger.verify()
        spent = node.ledger.totals(study=manifest.id).spent
        if not math.isclose(spent, outcome.rho_spent, rel_tol=1e-9):
            raise _wrong(f"{node.name} charged rho {spent:.6g} and not {outcome.rho_spent:.6g}")
    analysis = manifest.build_analysis()
    truth = sum(
        len(analysis.prepare(merge(node.store.cases(), analysis.fields()), node.name)) for node in nodes
    )
    total = float(outcome.release.arrays["table"].sum())
    tolerance = _ERRORS * outcome.release.facts["standard_errors"]["total"] + _SHARE * truth
    if not abs(total - truth) <= tolerance:
        raise _wrong(f"its total is {total:.1f}, and {truth} made-up victims were counted")


def _wrong(what: str) -> DefectError:
    return DefectError("dry-round-wrong", f"the dry round went wrong: {what}", "report this")


def finding(first: str | None = None) -> list[Finding]:
    """The line about it."""
    done = dry_round(first)
    text = f"one round of {' '.join(done.nodes)} on made-up records took {done.seconds:.2f} s and was right"
    if done.seconds > SLOW_SECONDS:
        return [warning("dry-round", text, "look at what else runs here; studies will be slow")]
    return [ok("dry-round", text)]
