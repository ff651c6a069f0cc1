"""How far a published trend table is from the truth, `make bench-tables`: year x form x route, 3,200 cells.

12,000 made-up victims over eight nodes, epsilon 1 at delta 1e-6 for the one release, one tolerated colluder.
Rows, bounds, discrete Gaussian shares and sums are those of the real path (builder, sampler, accounting);
masks cancel and are left out. Beside it, in the same run on the same victims: the whole noise at each node
(trust mode local), and the cross alone without margins. Means over ``RUNS`` draws of noise. Half a minute.
"""

from __future__ import annotations

import json
import math
import platform
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.analyses.base import UNIT
from safeborders_fed.analyses.consistency import Consistency, Kept, margin
from safeborders_fed.privacy import accounting
from safeborders_fed.privacy.bounded_sum import BoundedSumBuilder
from safeborders_fed.privacy.noise import discrete_gaussian

EPSILON: Final = 1.0
DELTA: Final = 1e-6
NODES: Final = 8
COLLUDERS: Final = 1
VICTIMS: Final = 12_000
SIZES: Final = (10, 8, 40)
CROSS: Final[Kept] = (0, 1, 2)
SHARES: Final[dict[Kept, float]] = {CROSS: 0.5, (0, 1): 0.15, (0, 2): 0.1, (0,): 0.15, (1,): 0.05, (2,): 0.05}
ALONE: Final[dict[Kept, float]] = {CROSS: 1.0}
RUNS: Final = 20
LARGEST_CELL: Final = 1.7
LARGEST_YEAR: Final = 10.5


def victims() -> NDArray[np.int64]:
    """Year, form and route of each victim: few routes hold most, years grow."""
    rng = np.random.default_rng(0)
    routes = rng.dirichlet(np.full(SIZES[2], 0.3))
    forms = rng.dirichlet(np.full(SIZES[1], 0.7))
    years = np.linspace(1, 2.2, SIZES[0])
    chances = (years / years.sum(), forms, routes)
    return np.stack(
        [rng.choice(size, VICTIMS, p=chance) for size, chance in zip(SIZES, chances, strict=True)]
    )


class Study:
    """One way to measure the tables, with exact sums over all nodes."""

    def __init__(self, shares: dict[Kept, float], people: NDArray[np.int64]) -> None:
        self.kept = list(shares)
        self.shapes = [tuple(SIZES[axis] for axis in kept) for kept in self.kept]
        self.weights = np.array(
            [math.floor(UNIT * math.sqrt(share) * (1 - 1e-9)) for share in shares.values()]
        )
        cells, start = [], 0
        for kept, shape in zip(self.kept, self.shapes, strict=True):
            cells.append(start + np.ravel_multi_index(tuple(people[axis] for axis in kept), shape))
            start += math.prod(shape)
        self.dimension = start
        rows = np.stack(cells, axis=1)
        self.total = np.zeros(start, np.int64)
        for part in np.array_split(rows, NODES):
            builder = BoundedSumBuilder(dimension=start, bound=UNIT, max_victims=VICTIMS)
            builder.add_cells(part, self.weights)
            self.total += builder.finish().values

    def published(self, holders: int) -> tuple[dict[Kept, NDArray[np.float64]], Consistency]:
        """The tables of one run in which so many shares are certainly in what an adversary sees."""
        rho = accounting.rho_for(EPSILON, DELTA)
        scale = accounting.scale_for(rho=rho, bound=UNIT, holders=holders, dimension=self.dimension)
        noisy = self.total + sum(discrete_gaussian(scale, self.dimension) for _ in range(NODES))
        counts, start = [], 0
        for shape, weight in zip(self.shapes, self.weights, strict=True):
            length = math.prod(shape)
            counts.append((noisy[start : start + length] / weight).reshape(shape))
            start += length
        deviations = scale * math.sqrt(NODES) / self.weights
        problem = Consistency(SIZES, list(zip(self.kept, deviations.tolist(), strict=True)))
        return problem.published(problem.estimate(counts))[0], problem


def measured(study: Study, holders: int, truth: NDArray[np.float64]) -> dict[str, Any]:
    """Mean absolute errors over all runs."""
    parts: dict[str, Kept] = {"cell": CROSS, "year x form": (0, 1), "year": (0,), "total": ()}
    errors: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(RUNS):
        tables, problem = study.published(holders)
        for name, kept in parts.items():
            errors[name].append(float(np.abs(tables[kept] - margin(truth, CROSS, kept)).mean()))
    return {
        **{f"mean absolute error, {name}": float(np.mean(found)) for name, found in errors.items()},
        **{f"standard error, {name}": problem.deviation(kept) for name, kept in parts.items()},
    }


def main() -> None:
    people = victims()
    truth = np.zeros(SIZES)
    np.add.at(truth, tuple(people), 1)
    ours = Study(SHARES, people)
    masked = NODES - COLLUDERS
    ways = {
        "ours: masked sum, margins, consistent": (ours, masked),
        "masked sum, the cross alone": (Study(ALONE, people), masked),
        "whole noise at each node, margins, consistent": (ours, 1),
    }
    rows = []
    for name, (study, holders) in ways.items():
        found = measured(study, holders, truth)
        rows.append({"what": name, **found})
        told = "  ".join(f"{key.split(', ')[1]} {value:.2f}" for key, value in found.items() if "mean" in key)
        print(f"{name:48} {told}", flush=True)
    cell, year = (rows[0][f"mean absolute error, {name}"] for name in ("cell", "year"))
    met = cell <= LARGEST_CELL and year <= LARGEST_YEAR
    print(f"asked: cell {LARGEST_CELL}, year {LARGEST_YEAR}: {'met' if met else 'MISSED'}")
    result = {
        "conditions": f"epsilon {EPSILON:g}, delta {DELTA:g}, {NODES} nodes, {COLLUDERS} colluder tolerated, "
        f"{VICTIMS:,} victims, {math.prod(SIZES):,} cells, {RUNS} runs; {platform.machine()}",
        "met": met,
        "rows": rows,
    }
    Path("bench").mkdir(exist_ok=True)
    Path("bench/tables.json").write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
