"""What the logistic analysis costs a node and a federation, `make bench-detection`.

- Clipping, quantising, checking and summing at eight nodes beside a step of plain gradient descent (numpy,
  float64, dense) on the same rows pooled, in turns; asked: at most 3 times.
- Eight nodes, 39,000 records, 100 gradient rounds in one process, beyond start-up; asked: 5 s and 600 MiB.
- A node of 10,000 and of 1,000,000 records, 100 gradient rounds; asked: within 1.3 times linear, under 2 GiB.

Each of the latter runs in a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from scipy.special import expit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from problems import Problem
from rows_analysis import RowsAnalysis, analysis_table, take

from federation_of import CEREMONY, EIGHT, POLICY, approve, participant, run_study, study
from safeborders_fed.analyses.learner import Rows
from safeborders_fed.analyses.newton import GRADIENT, Newton
from safeborders_fed.analyses.registry import ANALYSES
from safeborders_fed.coordinator.rounds import RoundDone
from safeborders_fed.privacy import accounting

COLUMNS = 100
RECORDS = 39_000
ROUNDS = 100
TURNS = 30
MANY, FEW = 1_000_000, 10_000


def made(records: int) -> Rows:
    return take(Problem(records, COLUMNS, 0.1, correlated=True).make(1), np.arange(records))


def broadcast(rows: Rows) -> dict[str, np.ndarray]:
    centre = np.asarray(rows.features.matrix.mean(axis=0)).ravel()
    return {"weights": np.random.default_rng(0).normal(0, 0.5, COLUMNS + 1), "centre": centre}


def step_beside_plain() -> dict[str, float]:
    """Medians in seconds: ours over eight nodes, and the plain step over all rows."""
    rows = made(RECORDS)
    parts = [take(rows, chosen) for chosen in np.array_split(np.arange(RECORDS), len(EIGHT))]
    learner = Newton(COLUMNS, rounds=ROUNDS, clip=0.5)
    stage = next(stage for stage in learner.stages() if stage.name == GRADIENT)
    sent, dense, target = broadcast(rows), rows.dense(), rows.target.astype(np.float64)
    weights = np.zeros(COLUMNS)
    ours, plain = [], []
    for _ in range(TURNS):
        began = time.perf_counter()
        for part in parts:
            learner.contribute(part, stage, sent, RECORDS)
        ours.append(time.perf_counter() - began)
        began = time.perf_counter()
        weights = weights - 0.1 * (dense.T @ (expit(dense @ weights) - target)) / RECORDS
        plain.append(time.perf_counter() - began)
    return {"ours": median(ours), "plain": median(plain)}


def federation() -> dict[str, float]:
    """One study by the real path, and the memory of the process."""
    RowsAnalysis.rows = made(RECORDS)
    ANALYSES[RowsAnalysis.name] = RowsAnalysis
    manifest = study(
        analysis=RowsAnalysis.name,
        parameters={"rounds": ROUNDS},
        participants=EIGHT,
        trust="masked",
        rho=accounting.rho_for(3.0, 1e-6),
        max_victims=RECORDS,
    )
    policy = POLICY.model_copy(update={"analyses": frozenset({RowsAnalysis.name})})
    rounds: list[RoundDone] = []
    with tempfile.TemporaryDirectory() as directory:
        parts = np.array_split(np.arange(RECORDS), len(EIGHT))
        nodes = [
            participant(Path(directory), node, analysis_table(chosen), policy=policy, ceremony=CEREMONY)
            for node, chosen in zip(EIGHT, parts, strict=True)
        ]
        for node in nodes:
            approve(node, manifest)
        run_study(manifest, nodes, rounds.append)
    gradients = rounds[2:]  # the first two read the cases
    return {
        "seconds": sum(done.seconds for done in rounds),
        "gradient seconds": sum(done.seconds for done in gradients),
        "mib": peak_mib(),
    }


def node(records: int) -> dict[str, float]:
    """Contributions of one node to a study of so many rounds."""
    rows = made(records)
    learner = Newton(COLUMNS, rounds=ROUNDS, clip=0.5)
    sent = broadcast(rows)
    made_mib = peak_mib()
    began = time.perf_counter()
    for stage in learner.stages():
        for _ in range(stage.rounds):
            learner.contribute(rows, stage, sent, records)
    return {"seconds": time.perf_counter() - began, "mib": peak_mib(), "mib before": made_mib}


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


PARTS: dict[str, Any] = {"federation": federation, "few": lambda: node(FEW), "many": lambda: node(MANY)}


def apart(part: str) -> dict[str, float]:
    """A part in a process of its own."""
    done = subprocess.run([sys.executable, __file__, part], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    step = step_beside_plain()
    whole, few, many = (apart(part) for part in ("federation", "few", "many"))
    ratio = step["ours"] / step["plain"]
    linear = many["seconds"] / (few["seconds"] * MANY / FEW)
    conditions = f"{COLUMNS} columns, {platform.machine()}, {os.cpu_count()} cores"
    rows = []

    def tell(case: str, figure: str, value: float, asked: str, *, met: bool) -> None:
        print(f"{case:58} {value:9.3f} {figure:8} asked {asked}: {'met' if met else 'MISSED'}")
        rows.append(
            {"case": case, "method": "ours", "figure": figure, "value": value, "conditions": conditions}
        )

    print(
        f"a step: ours {1000 * step['ours']:.1f} ms over 8 nodes, plain {1000 * step['plain']:.1f} ms pooled"
    )
    tell("a step of 8 nodes beside a plain one", "ratio", ratio, "at most 3", met=ratio <= 3)
    seconds = whole["seconds"]
    tell(f"8 nodes, {RECORDS:,} records, {ROUNDS} rounds", "seconds", seconds, "at most 5", met=seconds <= 5)
    tell(f"8 nodes, {RECORDS:,} records", "mib", whole["mib"], "at most 600", met=whole["mib"] <= 600)
    tell(f"{MANY:,} records beside {FEW:,}, of linear", "ratio", linear, "at most 1.3", met=linear <= 1.3)
    tell(f"{MANY:,} records, {ROUNDS} rounds", "seconds", many["seconds"], "(told)", met=True)
    tell(f"{MANY:,} records", "mib", many["mib"], "under 2048", met=many["mib"] < 2048)
    Path("bench").mkdir(exist_ok=True)
    Path("bench/detection.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(PARTS[sys.argv[1]]()))
    else:
        main()
