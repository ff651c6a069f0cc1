"""How good a model is at a given epsilon: Adult over eight nodes, `make bench-utility`.

Ours is the real path: participants with ledgers and policies, integer contributions, discrete Gaussian noise,
masks, Flower's grid in process, retries reserved as by default. Parameters are the defaults, but for the
rounds: more of them where the federation is known to be large. Figures with the other number stand beside
them at n=4,000, and the epsilon that the peer needs is told for both. Peers in the same run: a pooled model
without privacy, each node alone without privacy, and DP-FedAvg (`dp_fedavg`), for which the best of several
configurations counts.

``--quick`` takes one seed.
"""

from __future__ import annotations

import json
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import dp_fedavg
from adult import Adult, People, analysis_table, load, split

from federation_of import CEREMONY, EIGHT, POLICY, approve, participant, run_study, study
from safeborders_fed.analyses.logistic import LogisticParameters, Rows
from safeborders_fed.analyses.registry import ANALYSES
from safeborders_fed.privacy import accounting
from safeborders_fed.simulation.peers import auc, fit_without_privacy, plain_scores, pooled

DELTA = 1e-5
SIZES: dict[int, int | None] = {1_000: 1_000, 4_000: 4_000, 39_000: None}
EPSILONS = {1_000: (1.0, 3.0), 4_000: (0.5, 1.0, 3.0, 8.0), 39_000: (1.0,)}
DEFAULT_ROUNDS = LogisticParameters.model_fields["rounds"].default
MANY_ROUNDS = 100
ROUNDS = {1_000: DEFAULT_ROUNDS, 4_000: DEFAULT_ROUNDS, 39_000: MANY_ROUNDS}
PEER_EPSILONS = {4_000: (1.0, 6.0, 8.0, 12.0), 39_000: (1.0,)}
LIMITS = {(4_000, 1.0): 0.888, (4_000, 3.0): 0.895, (39_000, 1.0): 0.904}
SEEDS = 4
OURS = "ours"
OURS_MANY = f"ours, {MANY_ROUNDS} rounds"
POOLED = "pooled, no privacy"
ALONE = "each node alone, no privacy, mean"
FEDAVG = "dp-fedavg, best configuration"


def area(rows: Rows, scores: np.ndarray) -> float:
    found = auc(rows.target, scores)
    if found is None:
        raise RuntimeError("the testing people have one label only")
    return found


def ours(people: People, seed: int, size: int, epsilon: float, rounds: int) -> float:
    """One study by the real path; the area on the testing people."""
    parts = split(people, seed, SIZES[size])
    manifest = study(
        id=f"adult-{size}-{seed}",
        analysis=Adult.name,
        parameters={"rounds": rounds},
        participants=EIGHT,
        trust="masked",
        rho=accounting.rho_for(epsilon, DELTA),
        delta=DELTA,
        max_victims=len(people.rows.target),
    )
    if manifest.epsilon > epsilon * (1 + 1e-9):
        raise RuntimeError(f"the manifest reserves epsilon {manifest.epsilon}, not {epsilon}")
    policy = POLICY.model_copy(update={"analyses": frozenset({Adult.name}), "delta": DELTA})
    with tempfile.TemporaryDirectory() as directory:
        nodes = [
            participant(Path(directory), node, analysis_table(chosen), policy=policy, ceremony=CEREMONY)
            for node, chosen in zip(EIGHT, parts.nodes, strict=True)
        ]
        for node in nodes:
            approve(node, manifest)
        outcome = run_study(manifest, nodes)
    testing = people.take(parts.testing)
    analysis = manifest.build_analysis()
    return area(testing, analysis.scores(outcome.release, testing.features))


def without_privacy(people: People, seed: int, size: int) -> tuple[float, float]:
    """Areas of the pooled model, and of the nodes' own models on average."""
    parts = split(people, seed, SIZES[size])
    testing = people.take(parts.testing)
    rows = [people.take(chosen) for chosen in parts.nodes]

    def area_of(training: Rows) -> float:
        return area(testing, plain_scores(fit_without_privacy(training), testing.features))

    alone = [area_of(part) for part in rows if len(set(part.target.tolist())) == 2]
    return area_of(pooled(rows)), float(np.mean(alone))


def fedavg(people: People, seeds: range, size: int, epsilon: float) -> tuple[list[float], str]:
    """Areas of the configuration of the peer that is best on average, and what it is."""
    areas: dict[dp_fedavg.Settings, list[float]] = {}
    for seed in seeds:
        parts = split(people, seed, SIZES[size])
        testing = people.take(parts.testing)
        rows = [people.take(chosen) for chosen in parts.nodes]
        for settings in dp_fedavg.CONFIGURATIONS:
            weights = dp_fedavg.fit(rows, people.questions, settings, epsilon=epsilon, delta=DELTA, seed=seed)
            areas.setdefault(settings, []).append(area(testing, plain_scores(weights, testing.features)))
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


def bench_ours(table: Table, people: People, seeds: range) -> None:
    path = f"8 nodes, masked, 1 colluder tolerated, 2 retries reserved, delta {DELTA:g}"
    many = dict.fromkeys(SIZES, MANY_ROUNDS)
    methods = {OURS: (ROUNDS, EPSILONS), OURS_MANY: (many, {4_000: (1.0, 3.0)})}
    for size in SIZES:
        plain = [without_privacy(people, seed, size) for seed in seeds]
        table.add(size, None, POOLED, [areas[0] for areas in plain], "logistic regression, ridge 1")
        table.add(size, None, ALONE, [areas[1] for areas in plain], "logistic regression, ridge 1")
        for method, (rounds, chosen) in methods.items():
            for epsilon in chosen.get(size, ()):
                values = [ours(people, seed, size, epsilon, rounds[size]) for seed in seeds]
                table.add(size, epsilon, method, values, f"{rounds[size]} rounds, {path}")


def bench_peer(table: Table, people: People, seeds: range) -> None:
    for size, epsilons in PEER_EPSILONS.items():
        for epsilon in epsilons:
            values, best = fedavg(people, seeds, size, epsilon)
            table.add(size, epsilon, FEDAVG, values, f"noise at each node, RDP, delta {DELTA:g}, {best}")
    reached = {epsilon: table.means[4_000, epsilon, FEDAVG] for epsilon in PEER_EPSILONS[4_000]}
    for method in (OURS, OURS_MANY):
        needed, found = epsilon_needed(reached, table.means[4_000, 1.0, method])
        bound = "" if found else "more than "
        print(f"n=4000: dp-fedavg needs epsilon {bound}{needed:.1f} for the area of {method} at epsilon 1")
        table.row(
            f"adult n=4000, the area of {method} at epsilon=1",
            FEDAVG,
            "epsilon",
            needed,
            f"{bound}this many times the epsilon of ours (asked: at least 6)",
        )


def main() -> None:
    seeds = range(1 if "--quick" in sys.argv[1:] else SEEDS)
    people = Adult.people = load()
    ANALYSES[Adult.name] = Adult
    table = Table()
    benches: list[Callable[[Table, People, range], None]] = [bench_ours, bench_peer]
    for bench in benches:
        bench(table, people, seeds)
    for row in table.rows:
        row["conditions"] = f"{row['conditions']}; {platform.machine()}"
    Path("bench").mkdir(exist_ok=True)
    Path("bench/utility.json").write_text(json.dumps(table.rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
