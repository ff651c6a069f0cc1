"""How good a model is at a given epsilon, `make bench-utility`: Adult over eight nodes, and a fixed suite.

Ours is the real path: participants with ledgers and policies, integer contributions, discrete Gaussian noise,
masks, Flower's grid in process, retries reserved as by default. Parameters are the defaults, but where more
rounds are said. Peers in the same run: a pooled model without privacy, each node alone without privacy, and
on Adult DP-FedAvg (`dp_fedavg`), for which the best of several configurations counts.

``--quick`` takes one seed of Adult; ``--adult`` and ``--suite`` take one of the two parts.
"""

from __future__ import annotations

import json
import platform
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import dp_fedavg
from adult import People, load, split
from problems import NODES, UNEQUAL, Problem, suite
from rows_analysis import RowsAnalysis, analysis_table, take

from federation_of import CEREMONY, EIGHT, POLICY, approve, participant, run_study, study
from safeborders_fed.analyses.learner import Rows
from safeborders_fed.analyses.newton import NewtonParameters
from safeborders_fed.analyses.registry import ANALYSES
from safeborders_fed.privacy import accounting
from safeborders_fed.simulation.peers import auc, fit_without_privacy, plain_scores, pooled

DELTA = 1e-5
SIZES: dict[int, int | None] = {1_000: 1_000, 4_000: 4_000, 39_000: None}
EPSILONS = {1_000: (1.0, 3.0), 4_000: (0.5, 1.0, 3.0, 8.0), 39_000: (1.0,)}
ROUNDS = NewtonParameters.model_fields["rounds"].default
MANY_ROUNDS = 100
PEER_EPSILONS = {4_000: (1.0, 6.0, 8.0, 12.0), 39_000: (1.0,)}
LIMITS = {(4_000, 1.0): 0.888, (4_000, 3.0): 0.895, (39_000, 1.0): 0.904}
SEEDS = 4
SUITE_SEED = 1000
OURS = "ours"
OURS_MANY = f"ours, {MANY_ROUNDS} rounds"
POOLED = "pooled, no privacy"
ALONE = "each node alone, no privacy, mean"
FEDAVG = "dp-fedavg, best configuration"
PATH = f"8 nodes, masked, 1 colluder tolerated, 2 retries reserved, delta {DELTA:g}"


def area(rows: Rows, scores: NDArray[np.float64]) -> float:
    found = auc(rows.target, scores)
    if found is None:
        raise RuntimeError("the testing people have one label only")
    return found


def ours(rows: Rows, parts: list[NDArray[np.int64]], testing: Rows, epsilon: float, rounds: int) -> float:
    """One study by the real path; the area on the testing people."""
    RowsAnalysis.rows = rows
    manifest = study(
        id="utility",
        analysis=RowsAnalysis.name,
        parameters={"rounds": rounds},
        participants=EIGHT,
        trust="masked",
        rho=accounting.rho_for(epsilon, DELTA),
        delta=DELTA,
        max_victims=len(rows.target),
    )
    if manifest.epsilon > epsilon * (1 + 1e-9):
        raise RuntimeError(f"the manifest reserves epsilon {manifest.epsilon}, not {epsilon}")
    policy = POLICY.model_copy(update={"analyses": frozenset({RowsAnalysis.name}), "delta": DELTA})
    with tempfile.TemporaryDirectory() as directory:
        nodes = [
            participant(Path(directory), node, analysis_table(chosen), policy=policy, ceremony=CEREMONY)
            for node, chosen in zip(EIGHT, parts, strict=True)
        ]
        for node in nodes:
            approve(node, manifest)
        outcome = run_study(manifest, nodes)
    analysis = manifest.build_analysis()
    return area(testing, analysis.learner.margins(outcome.release.arrays, testing.features))


def area_without_privacy(training: Rows, testing: Rows) -> float:
    return area(testing, plain_scores(fit_without_privacy(training), testing))


def area_alone(parts: list[Rows], testing: Rows) -> float:
    """Mean area of the nodes' own models; who has one label only cannot tell anybody from anybody: .5."""
    areas = [
        area_without_privacy(part, testing) if 0 < part.target.sum() < len(part.target) else 0.5
        for part in parts
    ]
    return float(np.mean(areas))


def fedavg(people: People, seeds: range, size: int, epsilon: float) -> tuple[list[float], str]:
    """Areas of the configuration of the peer that is best on average, and what it is."""
    areas: dict[dp_fedavg.Settings, list[float]] = {}
    for seed in seeds:
        parts = split(people, seed, SIZES[size])
        testing = take(people.rows, parts.testing)
        rows = [take(people.rows, chosen) for chosen in parts.nodes]
        for settings in dp_fedavg.CONFIGURATIONS:
            weights = dp_fedavg.fit(rows, people.questions, settings, epsilon=epsilon, delta=DELTA, seed=seed)
            areas.setdefault(settings, []).append(area(testing, plain_scores(weights, testing)))
    best = max(areas, key=lambda settings: np.mean(areas[settings]))
    return areas[best], str(best)


def epsilon_needed(reached: dict[float, float], wanted: float) -> tuple[float, bool]:
    """The least epsilon, by interpolation, at which the peer is as good as wanted; False if none tried is."""
    grid = sorted(reached)
    areas = np.maximum.accumulate([reached[epsilon] for epsilon in grid])
    if areas[-1] < wanted:
        return grid[-1], False
    return float(np.interp(wanted, areas, grid)), True


class Table:
    """Prints figures as they come, and keeps them as rows."""

    def __init__(self) -> None:
        self.rows: list[dict[str, str | float]] = []
        self.means: dict[tuple[int, float | None, str], float] = {}

    def add(
        self, size: int, epsilon: float | None, method: str, values: list[float], conditions: str
    ) -> None:
        """A figure on Adult."""
        mean, deviation = float(np.mean(values)), float(np.std(values))
        self.means[size, epsilon, method] = mean
        case = f"adult n={size}" + ("" if epsilon is None else f" epsilon={epsilon:g}")
        limit = LIMITS.get((size, epsilon)) if method == OURS and epsilon is not None else None
        asked = "" if limit is None else f"   asked {limit}: {'met' if mean >= limit else 'MISSED'}"
        beside = self.means.get((size, None, POOLED), mean)
        print(f"{case:26} {method:34} {mean:.4f} ± {deviation:.4f}   {mean - beside:+.4f} to pooled{asked}")
        sys.stdout.flush()
        spread = f"{mean:.4f} ± {deviation:.4f} over {len(values)} seeds"
        self.row(case, method, "auc", mean, f"{spread}; {conditions}")

    def row(self, case: str, method: str, figure: str, value: float, conditions: str) -> None:
        self.rows.append(
            {"case": case, "method": method, "figure": figure, "value": value, "conditions": conditions}
        )


def bench_adult(table: Table, people: People, seeds: range) -> None:
    methods = {OURS: (ROUNDS, EPSILONS), OURS_MANY: (MANY_ROUNDS, {4_000: (3.0,), 39_000: (1.0,)})}
    for size, count in SIZES.items():
        splits = [split(people, seed, count) for seed in seeds]
        testing = [take(people.rows, parts.testing) for parts in splits]
        training = [[take(people.rows, chosen) for chosen in parts.nodes] for parts in splits]
        pairs = list(zip(training, testing, strict=True))
        plain = [area_without_privacy(pooled(parts), tested) for parts, tested in pairs]
        table.add(size, None, POOLED, plain, "logistic regression, ridge 1")
        alone = [area_alone(parts, tested) for parts, tested in pairs]
        table.add(size, None, ALONE, alone, "logistic regression, ridge 1")
        for method, (rounds, chosen) in methods.items():
            for epsilon in chosen.get(size, ()):
                values = [
                    ours(people.rows, parts.nodes, tested, epsilon, rounds)
                    for parts, tested in zip(splits, testing, strict=True)
                ]
                table.add(size, epsilon, method, values, f"{rounds} gradient rounds, {PATH}")


def bench_peer(table: Table, people: People, seeds: range) -> None:
    for size, epsilons in PEER_EPSILONS.items():
        for epsilon in epsilons:
            values, best = fedavg(people, seeds, size, epsilon)
            table.add(size, epsilon, FEDAVG, values, f"noise at each node, RDP, delta {DELTA:g}, {best}")
    reached = {epsilon: table.means[4_000, epsilon, FEDAVG] for epsilon in PEER_EPSILONS[4_000]}
    needed, found = epsilon_needed(reached, table.means[4_000, 1.0, OURS])
    bound = "" if found else "more than "
    print(f"n=4000: dp-fedavg needs epsilon {bound}{needed:.1f} for the area of ours at epsilon 1")
    table.row(
        "adult n=4000, the area of ours at epsilon=1",
        FEDAVG,
        "epsilon",
        needed,
        f"{bound}this many times the epsilon of ours (asked: at least 6)",
    )


def verdict(problem: Problem, epsilon: float, behind: float, ahead: float) -> str:
    """What was asked of a case of the suite, and whether it is met.

    Args:
        problem: The case.
        epsilon: Of the study.
        behind: By how much ours is behind the pooled model.
        ahead: By how much it is ahead of the better of the two means of the nodes alone.
    """
    asked = []
    if epsilon == 8:
        asked.append(("within .030", behind <= 0.03))
    else:
        if problem.size == 40_000:
            asked.append(("within .006", behind <= 0.006))
        if problem.size == 4_000 and problem.columns <= 100:
            asked.append(("within .012", behind <= 0.012))
        asked.append(("ahead of alone", ahead > 0))
    return ", ".join(f"{what} {'met' if met else 'MISSED'}" for what, met in asked)


def bench_suite(table: Table) -> None:
    print(f"suite, {ROUNDS} gradient rounds and 2 before them: area of ours less that of pooled / alone")
    missed = total = 0
    for problem in suite():
        rows = problem.make(SUITE_SEED)
        everybody = np.arange(problem.size)
        testing = take(rows, np.arange(problem.size, len(rows.target)))
        equal, unequal = problem.nodes(np.full(NODES, 1 / NODES)), problem.nodes(UNEQUAL)
        plain = area_without_privacy(take(rows, everybody), testing)
        alone = [area_alone([take(rows, part) for part in parts], testing) for parts in (equal, unequal)]
        table.row(str(problem), POOLED, "auc", plain, "ridge 1")
        for name, value in zip(("equal", "unequal"), alone, strict=True):
            table.row(str(problem), f"{ALONE}, {name} nodes", "auc", value, "ridge 1")
        for epsilon in (3.0,) if problem.size == 1_000 else (3.0, 8.0):
            found = ours(rows, unequal, testing, epsilon, ROUNDS)
            told = verdict(problem, epsilon, plain - found, found - max(alone))
            missed, total = missed + told.count("MISSED"), total + told.count(",") + 1
            print(
                f"{problem!s:48} epsilon {epsilon:g}  pooled {plain:.3f}  alone {alone[0]:.3f} {alone[1]:.3f}"
                f"  ours {found:.3f} ({found - plain:+.4f})  {told}",
                flush=True,
            )
            table.row(f"{problem} epsilon={epsilon:g}", OURS, "auc", found, f"{told}; {PATH}")
    print(f"suite: {total - missed} of {total} met")


def main() -> None:
    chosen = set(sys.argv[1:])
    seeds = range(1 if "--quick" in chosen else SEEDS)
    ANALYSES[RowsAnalysis.name] = RowsAnalysis
    table = Table()
    if "--adult" not in chosen:
        bench_suite(table)
    if "--suite" not in chosen:
        people = load()
        bench_adult(table, people, seeds)
        bench_peer(table, people, seeds)
    for row in table.rows:
        row["conditions"] = f"{row['conditions']}; {platform.machine()}"
    Path("bench").mkdir(exist_ok=True)
    Path("bench/utility.json").write_text(json.dumps(table.rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
