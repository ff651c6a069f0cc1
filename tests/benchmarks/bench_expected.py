"""How far the foretold loss of a model to noise is from the true one, over the studies it was fitted to.

Made-up problems of the fixed suite's kinds in one process, normal noise (`noisy_model`). Logistic regression
against the pooled model without privacy, the network against itself without noise. Prints the share of
studies whose loss lies within the brackets that `study draft` prints, by share of positives, size and
epsilon. Three minutes; one kind alone: `bench_expected.py logistic`.
"""

from __future__ import annotations

import json
import platform
import sys
from collections import defaultdict
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from problems import Problem
from rows_analysis import take

from noisy_model import noisy_model
from safeborders_fed.analyses.expectation import loss_of_area
from safeborders_fed.analyses.gradient_rounds import GradientParameters
from safeborders_fed.analyses.learner import Learner, Rows
from safeborders_fed.analyses.network import Network
from safeborders_fed.analyses.newton import Newton
from safeborders_fed.simulation.peers import auc, fit_without_privacy, plain_scores

COLUMNS = (30, 100, 250)
EPSILONS = (0.5, 1.0, 3.0, 8.0)
NO_NOISE = 1000.0
"""Epsilon at which noise is nothing."""
GRIDS = {
    "logistic": (
        *product((1_000, 3_000, 9_000, 30_000), COLUMNS, (0.02, 0.1, 0.5), (False, True), (1,)),
        *product((3_000, 9_000), COLUMNS, (0.02, 0.1, 0.5), (False, True), (2, 3)),
    ),
    "neural": tuple(product((3_000, 9_000, 30_000), COLUMNS, (0.1, 0.5), (False, True), (1,))),
}


def learner_of(kind: str, columns: int) -> Learner[Any]:
    if kind == "logistic":
        return Newton(columns, rounds=22, clip=0.5)
    return Network(columns, hidden=(16,), parameters=GradientParameters())


def area_without_noise(kind: str, learner: Learner[Any], training: Rows, testing: Rows) -> float | None:
    if kind == "logistic":
        return auc(testing.target, plain_scores(fit_without_privacy(training), testing))
    model, _ = noisy_model(learner, training, NO_NOISE, 0)
    return auc(testing.target, learner.margins(model, testing.features))


def studies(kind: str) -> Iterator[tuple[Problem, float, float, float, bool]]:
    """Problem, epsilon, loss, loss foretold, and whether the one is within the brackets of the other."""
    for size, columns, rate, correlated, seed in GRIDS[kind]:
        problem = Problem(size, columns, rate, correlated)
        rows = problem.make(seed)
        training = take(rows, np.arange(size))
        testing = take(rows, np.arange(size, len(rows.target)))
        learner = learner_of(kind, columns)
        without = area_without_noise(kind, learner, training, testing)
        for epsilon in EPSILONS:
            model, noise = noisy_model(learner, training, epsilon, seed + 7)
            area = auc(testing.target, learner.margins(model, testing.features))
            deviation = learner.remaining_noise(noise)
            if without is None or area is None or deviation is None:
                raise RuntimeError("the testing people have one label only, or the rule does not hold")
            told = loss_of_area(deviation=deviation, columns=columns, training=size, positives=rate)
            loss = without - area
            yield problem, epsilon, loss, told.value, told.contains(loss)


def main() -> None:
    rows = []
    for kind in sys.argv[1:] or GRIDS:
        within: dict[str, list[bool]] = defaultdict(list)
        for problem, epsilon, loss, told, held in studies(kind):
            for group in ("all", f"rate={problem.rate:g}", f"n={problem.size}", f"epsilon={epsilon:g}"):
                within[group].append(held)
            case = f"{kind} {problem} epsilon={epsilon:g}"
            conditions = f"foretold {told:.4f}; in one process, normal noise; {platform.machine()}"
            rows.append(
                {"case": case, "method": "ours", "figure": "loss", "value": loss, "conditions": conditions}
            )
        for group, found in within.items():
            print(
                f"{kind:9} {group:13} {np.mean(found):4.0%} of {len(found)} within the brackets", flush=True
            )
    Path("bench").mkdir(exist_ok=True)
    Path("bench/expected.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
