"""The demonstration: a whole federation on one machine, from national files to a report.

Guarantees: the path is the real one (intake, encrypted stores, manifests, policy, ledger, door, serialised
messages over Flower's grid); only the network is missing, and the comparison with models without privacy is
possible only because one process sees all data.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from safeborders_fed.analyses.logistic import Logistic
from safeborders_fed.cases.contract import features
from safeborders_fed.cases.encoding import target_field
from safeborders_fed.coordinator.rounds import Outcome, RoundDone, StudyRun
from safeborders_fed.errors import DataError, UsageError
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.privacy import accounting
from safeborders_fed.simulation.ceremony import Ceremony, hold
from safeborders_fed.simulation.evaluation import Comparison, compare
from safeborders_fed.simulation.nodes import (
    MAX_VICTIMS,
    CaseFile,
    LocalNode,
    policy,
    split_files,
    start_node,
    synthetic_files,
)
from safeborders_fed.study.draft import Wish, draft
from safeborders_fed.study.manifest import Manifest
from safeborders_fed.study.publication import publish, receive
from safeborders_fed.study.roster import Roster
from safeborders_fed.transport.in_process import run_in_process

HELD_OUT_PERCENT: Final = 25
TRAINING_SHARE: Final = 0.75
"""Share of rho that training gets; the tables get the rest."""


class Progress(Protocol):
    """Told how far the demonstration is."""

    def begin(self, step: str, total: int) -> None:
        """A step of so many parts begins."""
        ...

    def advance(self, text: str) -> None:
        """A part of the step is done."""
        ...


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to demonstrate.

    Attributes:
        out: Directory that is made; it must be empty or absent.
        seed: Seed of the synthetic files.
        scale: Size of the synthetic files, 1 for the full size.
        epsilon: What training and tables may cost together, at ``delta``.
        rounds: Rounds of gradient descent.
        trust: ``masked`` (sums only are seen, noise is shared) or ``local`` (each node adds all of it).
        target: Label to learn; by default actual victims, or sexual exploitation where a mapping gives every
            row the same trafficking status.
        cases: A case file instead of the synthetic ones, with ``mapping`` and ``node_column``.
    """

    out: Path
    seed: int = 100
    scale: float = 1.0
    epsilon: float = 3.0
    delta: float = 1e-6
    rounds: int = 40
    trust: Literal["masked", "local"] = "masked"
    target: str | None = None
    cases: Path | None = None
    mapping: Path | None = None
    node_column: str | None = None


@dataclass(frozen=True)
class StudyDone:
    """A finished study."""

    manifest: Manifest
    outcome: Outcome


@dataclass
class Result:
    """All that the demonstration found."""

    options: Options
    target: str
    nodes: list[LocalNode]
    training: StudyDone
    tables: StudyDone
    comparison: Comparison
    truth: dict[str, Any] | None
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def rho(self) -> float:
        """What both studies cost together."""
        return self.training.outcome.rho_spent + self.tables.outcome.rho_spent

    @property
    def epsilon(self) -> float:
        """``rho`` as epsilon at delta."""
        return accounting.epsilon(self.rho, self.options.delta)


def run(options: Options, progress: Progress) -> Result:
    """Runs the demonstration; writing its results is up to ``simulation.demo_output``.

    Raises:
        UsageError: ``out-not-empty`` or ``incomplete-options``.
        SafeBordersError: whatever the real path refuses.
    """
    seconds: dict[str, float] = {}
    if options.target is not None:
        target_field(options.target)  # refuses an unknown one before anything is made
    files, truth = _files(options, progress, seconds)
    allowed = policy(options.epsilon, options.delta, {"logistic", "trends"}, len(files))
    with _timed(seconds, "import"):
        progress.begin("import", len(files))
        ceremony = hold([file.node for file in files])
        nodes = [
            start_node(file, options.out / "nodes", allowed, ceremony, progress.advance) for file in files
        ]
    target = options.target or _default_target(files)
    rho = accounting.rho_for(options.epsilon, options.delta)
    with _timed(seconds, "train"):
        wish = _training_wish(options, target, files, ceremony.roster, rho * TRAINING_SHARE)
        training = _study(wish, nodes, ceremony, progress, "train")
    with _timed(seconds, "tables"):
        wish = _tables_wish(options, files, ceremony.roster, rho * (1 - TRAINING_SHARE) * (1 - 1e-9))
        tables = _study(wish, nodes, ceremony, progress, "tables")
    with _timed(seconds, "compare"):
        analysis = training.manifest.build_analysis()
        if not isinstance(analysis, Logistic):
            raise UsageError("not-a-model", "the training study makes no model", "choose analysis logistic")
        comparison = compare(
            analysis, training.outcome.release, {node.name: node.store.cases() for node in nodes}
        )
    return Result(options, target, nodes, training, tables, comparison, truth, seconds)


def _files(
    options: Options, progress: Progress, seconds: dict[str, float]
) -> tuple[list[CaseFile], dict[str, Any] | None]:
    if options.out.exists() and any(options.out.iterdir()):
        raise UsageError(
            "out-not-empty", f"the directory {options.out} is not empty", "name another one with --out"
        )
    given = [options.cases, options.mapping, options.node_column]
    if any(item is not None for item in given) and not all(item is not None for item in given):
        raise UsageError(
            "incomplete-options",
            "--cases, --mapping and --node-column belong together",
            "give all three, or none for the synthetic files",
        )
    directory = options.out / "files"
    directory.mkdir(parents=True, exist_ok=True)
    with _timed(seconds, "files"):
        progress.begin("files", 1)
        if options.cases is not None and options.mapping is not None and options.node_column is not None:
            files = split_files(options.cases, options.mapping, options.node_column, directory)
            progress.advance(options.cases.name)
            return files, None
        made = synthetic_files(directory, options.seed, options.scale)
        progress.advance(f"seed {options.seed}")
        return made


def _default_target(files: list[CaseFile]) -> str:
    """By the mappings, which are public: a constant status cannot be learnt."""
    for file in files:
        status = file.mapping.fields.get("trafficking_status")
        if status is None or getattr(status, "constant", None) is not None:
            return "form:SexualExploitation"
    return "actual_victim"


def _mapped_features(files: list[CaseFile], target: str) -> list[str]:
    """Features that at least one mapping fills from a column, without the field of the target.

    The country of exploitation is left out: it is the node itself in most files.
    """
    filled = {
        name
        for file in files
        for name, source in file.mapping.fields.items()
        if getattr(source, "constant", None) is None
    }
    without = {target_field(target).name, "country_of_exploitation"}
    return [entry.name for entry in features() if entry.name in filled - without]


def _expiry() -> Any:
    return (datetime.now(UTC) + timedelta(days=1)).date()


def _training_wish(options: Options, target: str, files: list[CaseFile], roster: Roster, rho: float) -> Wish:
    return Wish(
        id="demo-detection",
        purpose="Show that a detection model can be trained without any case record leaving its state.",
        legal_basis="None needed: demonstration on one machine.",
        analysis="logistic",
        parameters={
            "target": target,
            "features": _mapped_features(files, target),
            "rounds": options.rounds,
            "held_out": HELD_OUT_PERCENT,
        },
        participants=tuple(roster.keys()),
        roster_hash=roster.hash(),
        trust=options.trust,
        rho=rho,
        delta=options.delta,
        expires=_expiry(),
        max_victims=MAX_VICTIMS,
    )


def _tables_wish(options: Options, files: list[CaseFile], roster: Roster, rho: float) -> Wish:
    return Wish(
        id="demo-trends",
        purpose="Show trend tables over all states with honest error margins.",
        legal_basis="None needed: demonstration on one machine.",
        analysis="trends",
        parameters={
            "first_year": min(file.mapping.period.first for file in files),
            "last_year": max(file.mapping.period.last for file in files),
        },
        participants=tuple(roster.keys()),
        roster_hash=roster.hash(),
        trust=options.trust,
        rho=rho,
        delta=options.delta,
        expires=_expiry(),
        max_victims=MAX_VICTIMS,
        retries=0,
    )


def _study(
    wish: Wish, nodes: list[LocalNode], ceremony: Ceremony, progress: Progress, step: str
) -> StudyDone:
    """Drafts a study, has every node approve it, runs it and ends it."""
    manifest = draft(wish)
    published = publish(manifest, ceremony.operator)
    for node in nodes:
        received = receive(published, public_hex(ceremony.operator))
        node.participant.approve(received, ceremony.approvals(node.name, received))
    progress.begin(step, sum(stage.rounds for stage in manifest.stages))

    def watch(done: RoundDone) -> None:
        spent = accounting.epsilon(done.rho_spent, manifest.delta)
        progress.advance(
            f"round {done.number}/{done.rounds} · {len(done.participants)} of {len(nodes)} states · "
            f"epsilon {spent:.2f} of {manifest.epsilon:.2f}"
        )

    outcomes: list[Outcome] = []
    run_in_process(
        [node.participant for node in nodes],
        lambda federation: outcomes.append(
            StudyRun(manifest, federation, ceremony.roster.keys(), watch).run()
        ),
    )
    for node in nodes:
        node.participant.end(manifest.id)
    if not outcomes:
        raise DataError("study-without-end", f"study {manifest.id!r} gave no result", "run it again")
    return StudyDone(manifest, outcomes[0])


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    began = time.monotonic()
    try:
        yield
    finally:
        seconds[step] = time.monotonic() - began


def peak_memory_mib() -> float:
    """Largest resident memory of this process so far, MiB (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
