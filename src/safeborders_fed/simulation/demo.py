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
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from safeborders_fed.analyses.detection import Detection
from safeborders_fed.analyses.newton import NewtonParameters
from safeborders_fed.analyses.typology import Typology
from safeborders_fed.cases.encoding import target_fields
from safeborders_fed.coordinator.rounds import Outcome, RoundDone, StudyRun
from safeborders_fed.errors import DataError, UsageError
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node import population
from safeborders_fed.privacy import accounting
from safeborders_fed.simulation import demo_links, demo_studies, membership, typology_truth
from safeborders_fed.simulation.ceremony import Ceremony, hold
from safeborders_fed.simulation.evaluation import Comparison, compare
from safeborders_fed.simulation.nodes import (
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
from safeborders_fed.transport.in_process import run_in_process

DEFAULT_ROUNDS: Final[int] = NewtonParameters.model_fields["rounds"].default
LEAST_VICTIMS: Final = 100
"""What the nodes' policy asks for in files of full size."""
_MOST_FOR_COUNTING: Final = 0.1
"""Of the budget: with less, nothing is tested."""


if TYPE_CHECKING:
    from safeborders_fed.reporting.card_facts import MembershipTest
    from safeborders_fed.simulation.demo_links import Linked
    from safeborders_fed.simulation.typology_truth import Recovery


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
        epsilon: What all studies may cost together, at ``delta``.
        rounds: Gradient rounds of the detection study.
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
    rounds: int = DEFAULT_ROUNDS
    trust: Literal["masked", "local"] = "masked"
    target: str | None = None
    cases: Path | None = None
    mapping: Path | None = None
    node_column: str | None = None


@dataclass(frozen=True)
class StudyDone:
    """A finished study; ``approvals`` says how many people of each state approved it."""

    manifest: Manifest
    outcome: Outcome
    approvals: dict[str, int]


@dataclass
class Result:
    """All that the demonstration found."""

    options: Options
    target: str
    nodes: list[LocalNode]
    training: StudyDone
    typologies: StudyDone
    tables: StudyDone
    comparison: Comparison
    membership: MembershipTest | None
    recovery: Recovery | None
    recovery_without_privacy: Recovery | None
    truth: dict[str, Any] | None
    linked: Linked | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def studies(self) -> tuple[StudyDone, ...]:
        """All studies, in the order in which they ran."""
        return (self.training, self.typologies, self.tables)

    @property
    def rho(self) -> float:
        """What all studies cost a node together, and the count that each node has drawn of its victims."""
        counted = max(node.ledger.counts.spent() for node in self.nodes)
        return counted + sum(done.outcome.rho_spent for done in self.studies)

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
        target_fields(options.target)  # refuses an unknown one before anything is made
    files, truth = _files(options, progress, seconds)
    rho = accounting.rho_for(options.epsilon, options.delta)
    least_victims, counting = _least_victims(options, rho)
    allowed = policy(
        options.epsilon,
        options.delta,
        {"logistic", "typology", "trends"},
        len(files),
        least_victims=least_victims,
    )
    with _timed(seconds, "import"):
        progress.begin("import", len(files))
        ceremony = hold([file.node for file in files])
        nodes = [
            start_node(file, options.out / "nodes", allowed, ceremony, progress.advance) for file in files
        ]
    linked = None
    if truth is not None:
        with _timed(seconds, "links"):
            linked = demo_links.run(nodes, ceremony, options.out, truth, progress)
    target = options.target or demo_studies.default_target(files)
    asked = {
        "train": ("demo-detection", "logistic", demo_studies.detection(options, target, files)),
        "typologies": ("demo-typologies", "typology", demo_studies.typologies(files)),
        "tables": ("demo-trends", "trends", demo_studies.trends(files, links=linked is not None)),
    }
    done: dict[str, StudyDone] = {}
    for step, (name, analysis, wanted) in asked.items():
        with _timed(seconds, step):
            wish = demo_studies.wish(
                options, name, wanted, analysis=analysis, roster=ceremony.roster, rho=rho - counting
            )
            done[step] = _study(wish, nodes, ceremony, progress, step)
    with _timed(seconds, "compare"):
        comparison, attacked, recovery, exact = _judge(done, nodes, truth)
    return Result(
        options=options,
        target=target,
        nodes=nodes,
        training=done["train"],
        typologies=done["typologies"],
        tables=done["tables"],
        comparison=comparison,
        membership=attacked,
        recovery=recovery,
        recovery_without_privacy=exact,
        truth=truth,
        linked=linked,
        seconds=seconds,
    )


def _least_victims(options: Options, rho: float) -> tuple[int, float]:
    """What the nodes' policy asks for, and the rho of the count that tests it; nothing where it cannot pass.

    The smallest synthetic file of full size has some hundreds of victims; of others nothing is known.
    """
    is_full = options.cases is None and options.scale >= 1
    counting = population.cost(LEAST_VICTIMS)
    return (LEAST_VICTIMS, counting) if is_full and counting <= _MOST_FOR_COUNTING * rho else (0, 0.0)


def _judge(
    done: dict[str, StudyDone], nodes: list[LocalNode], truth: dict[str, Any] | None
) -> tuple[Comparison, MembershipTest | None, Recovery | None, Recovery | None]:
    """What only one process that sees all data can know of the releases."""
    tables = {node.name: node.store.cases() for node in nodes}
    training = done["train"]
    analysis, release = training.manifest.build_analysis(), training.outcome.release
    if not isinstance(analysis, Detection):
        raise UsageError("not-a-model", "the training study makes no model", "choose analysis logistic")
    epsilon, delta = training.manifest.epsilon, training.manifest.delta
    attacked = membership.of_release(analysis, release, tables, epsilon=epsilon, delta=delta)
    comparison = compare(analysis, release, tables)
    typologies = done["typologies"].manifest.build_analysis()
    if truth is None or not isinstance(typologies, Typology):
        return comparison, attacked, None, None
    keys = {node.name: node.store.raw_keys() for node in nodes}
    releases = (done["typologies"].outcome.release, typology_truth.without_privacy(typologies, tables))
    found, exact = (typology_truth.compare(typologies, release, tables, keys, truth) for release in releases)
    return comparison, attacked, found, exact


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


def _study(
    wish: Wish, nodes: list[LocalNode], ceremony: Ceremony, progress: Progress, step: str
) -> StudyDone:
    """Drafts a study, has every node approve it, runs it and ends it."""
    manifest = draft(wish)
    published = publish(manifest, ceremony.operator)
    approvals: dict[str, int] = {}
    for node in nodes:
        received = receive(published, public_hex(ceremony.operator))
        signed = ceremony.approvals(node.name, received)
        node.participant.approve(received, signed)
        approvals[node.name] = len(signed)
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
    return StudyDone(manifest, outcomes[0], approvals)


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
