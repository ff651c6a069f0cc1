"""How often intervals of trend tables hold the truth, `make bench-coverage`: before rounding, and published.

Made-up victims of five worlds are counted; exact discrete Gaussian noise (of the sum of all shares at epsilon
1, delta 1e-6, eight nodes, one tolerated colluder; in one world the whole noise at each node), the fit, the
projection, rounding and suppression follow. Figures are those of the total, of margins by one dimension, of
tables by several, and apart of those of several that are nearly empty (fewer than a tenth of the cells reach
the floor in truth).

- ``large``: value ± 1.96 standard errors, of counts whose truth is at least the floor of their table, whether
  they are published or not. Noise has no part in the choice. Asked of all sorts
  together: 94 to 96%; of each: at least 94%, since the projection makes errors smaller than their standard
  errors where many cells of a table are small.
- ``shown``: the same, of counts that came out at the floor or above. Noise chose them: the truth of some
  is far below. Asked of all sorts together: 94 to 96%.
- ``shown, down to zero``: likewise, with the published intervals' rule that a lower end below the floor is
  zero. Asked: at least 95%.
- ``published``: interval and suppression as ``disclose`` gives them. Asked: at least 95%.

Errors of one draw depend on each other, so ± is 3 standard errors of a ratio of sums over independent draws,
and at least what as many independent counts would have. A figure misses what is asked when it does so by more
than that. Three minutes.
"""

from __future__ import annotations

import json
import math
import platform
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import bench_tables
import numpy as np
from numpy.typing import NDArray

from safeborders_fed.analyses import trend_axes, trend_choice
from safeborders_fed.analyses.base import UNIT
from safeborders_fed.analyses.consistency import Consistency, Kept
from safeborders_fed.analyses.trend_choice import CATALOGUE, Choice, TableName
from safeborders_fed.privacy import accounting
from safeborders_fed.privacy.noise import discrete_gaussian
from safeborders_fed.reporting.disclosure import disclose
from safeborders_fed.reporting.noisy_tables import Axis, NoisyTable, TableRelease
from safeborders_fed.study.table_file import NORMAL_95, Rules

Floats = NDArray[np.float64]
STATES: Final = ("BE", "BG", "FI", "GR", "IT", "PL", "PT", "RO")
RULES: Final = Rules()
NEARLY_EMPTY: Final = 0.1
WAYS: Final = ("large", "shown", "shown, down to zero", "published")
ALL: Final = "all"


@dataclass(frozen=True)
class World:
    """Victims, and the tables that a study measures of them.

    Attributes:
        axes: All dimensions.
        measured: Dimensions of each measured table, and its share of the precision.
        people: int64, shape (axes, victims): where each stands.
        draws: How often noise is drawn.
        holders: Shares of noise that are certainly in what an adversary sees.
    """

    axes: tuple[Axis, ...]
    measured: tuple[tuple[Kept, float], ...]
    people: NDArray[np.int64]
    draws: int
    holders: int = bench_tables.NODES - bench_tables.COLLUDERS

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many codes each dimension has."""
        return tuple(len(axis.codes) for axis in self.axes)

    def counts(self, kept: Kept) -> Floats:
        """The true table by these dimensions."""
        shape = [self.sizes[axis] for axis in kept]
        if not kept:
            return np.array(float(self.people.shape[1]))
        places = np.ravel_multi_index([self.people[axis] for axis in kept], shape)
        return np.bincount(places, minlength=math.prod(shape)).reshape(shape).astype(np.float64)


def profiles(choice: Choice, victims: int, seed: int) -> NDArray[np.int64]:
    """Victims of 25 profiles: a few routes hold most, and one of five victims fits none. Periods grow."""
    rng = np.random.default_rng(seed)
    number = 25
    profile = rng.choice(number, victims, p=rng.dirichlet(np.full(number, 0.7)))
    places = []
    for axis in choice.axes:
        codes = len(axis.codes)
        if axis.name in {"year", "quarter"}:
            chances = np.append(np.linspace(1, 1.8, codes - 1), 0.1)
            places.append(rng.choice(codes, victims, p=chances / chances.sum()))
            continue
        usual = rng.dirichlet(np.full(codes, 0.08 if codes > 20 else 0.4), number)
        chances = 0.8 * usual + 0.2 * rng.dirichlet(np.full(codes, 0.5))
        reached = chances.cumsum(axis=1)[profile] / chances.sum(axis=1)[profile][:, None]
        places.append((rng.random(victims)[:, None] > reached).sum(axis=1))
    return np.stack(places).astype(np.int64)


def of_choice(tables: Sequence[TableName], period: Any, victims: int, draws: int) -> World:
    """A study of tables of the catalogue."""
    choice = trend_choice.choose(tables, (), period, STATES)
    axes = tuple(Axis(axis.name, axis.codes) for axis in choice.axes)
    return World(axes, choice.measured, profiles(choice, victims, 1), draws)


def worlds() -> dict[str, World]:
    """All of them."""
    axes = tuple(
        Axis(name, tuple(f"{name}{at}" for at in range(size)))
        for name, size in zip(("year", "form", "route"), bench_tables.SIZES, strict=True)
    )
    shares, people = tuple(bench_tables.SHARES.items()), bench_tables.victims()
    every = tuple(CATALOGUE)
    few: tuple[TableName, ...] = ("forms", "corridors", "ages-sexes", "coverage")
    return {
        "year x form x route, 12,000 victims": World(axes, shares, people, 60),
        "the same, whole noise at each node": World(axes, shares, people, 20, holders=1),
        "full catalogue by year, 12,000 victims": of_choice(
            every, trend_axes.year_axis(2019, 2025), 12_000, 60
        ),
        "four tables by year, 3,000 victims": of_choice(few, trend_axes.year_axis(2021, 2025), 3_000, 150),
        "full catalogue by 40 quarters, 12,000 victims": of_choice(
            every, trend_axes.quarter_axis((2016, 1), (2025, 4)), 12_000, 12
        ),
    }


def releases(world: World) -> Iterator[TableRelease]:
    """What a study of this world releases, draw after draw."""
    weights = [math.floor(UNIT * math.sqrt(share) * (1 - 2**-40)) for _, share in world.measured]
    exact = [world.counts(kept) for kept, _ in world.measured]
    rho = accounting.rho_for(bench_tables.EPSILON, bench_tables.DELTA)
    cells = sum(table.size for table in exact)
    scale = accounting.scale_for(rho=rho, bound=UNIT, holders=world.holders, dimension=cells)
    noise = scale * math.sqrt(bench_tables.NODES)
    kept = [kept for kept, _ in world.measured]
    problem = Consistency(world.sizes, [(own, noise / w) for own, w in zip(kept, weights, strict=True)])
    for _ in range(world.draws):
        noisy = [
            table + discrete_gaussian(noise, table.size).reshape(table.shape) / weight
            for table, weight in zip(exact, weights, strict=True)
        ]
        found, _ = problem.published(problem.estimate(noisy))
        tables = []
        for own, counts in found.items():
            axes = tuple(world.axes[axis] for axis in own)
            name = " x ".join(axis.name for axis in axes) or "total"
            tables.append(NoisyTable(name, axes, counts, problem.deviation(own)))
        yield TableRelease("bench", "a" * 64, "all", STATES, tuple(tables), 1.0, 1e-6, rho)


def sort_of(truth: Floats, floor: int) -> str:
    """What a row of the figures is about."""
    if truth.ndim < 2:
        return "margins by one dimension" if truth.ndim else "total"
    nearly_empty = (truth >= floor).mean() < NEARLY_EMPTY
    return "nearly empty tables" if nearly_empty else "tables of several dimensions"


def covered(truth: Floats, table: NoisyTable, cells: Sequence[int | None]) -> dict[str, tuple[int, int]]:
    """For each way: how many counts there are, and how many intervals hold the truth."""
    floor, reach = RULES.floor(table.deviation), NORMAL_95 * table.deviation
    low, high = table.counts - reach, table.counts + reach
    within = (low <= truth) & (truth <= high)
    down = (np.where(low < floor, 0, low) <= truth) & (truth <= high)
    shown = np.array([cell is not None for cell in cells]).reshape(truth.shape)
    came_out = np.floor(table.counts / RULES.base + 0.5) * RULES.base >= floor
    value = np.array([0 if cell is None else cell for cell in cells]).reshape(truth.shape)
    margin_ = RULES.margin(table.deviation)
    bottom = np.where(value - margin_ < floor, 0, value - margin_)
    published = (bottom <= truth) & (truth <= value + margin_)
    chosen = {
        "large": (truth >= floor, within),
        "shown": (came_out, within),
        "shown, down to zero": (came_out, down),
        "published": (shown, published),
    }
    return {way: (int(of.sum()), int((of & held).sum())) for way, (of, held) in chosen.items()}


def simulated(world: World) -> dict[tuple[str, str], NDArray[np.int64]]:
    """By sort and way, for each draw how many counts there are and how many are covered."""
    found: dict[tuple[str, str], list[NDArray[np.int64]]] = defaultdict(list)
    truths: dict[str, Floats] = {}
    for release in releases(world):
        draw: dict[tuple[str, str], NDArray[np.int64]] = defaultdict(lambda: np.zeros(2, np.int64))
        for table, shown in zip(release.tables, disclose(release, RULES), strict=True):
            if table.name not in truths:
                truths[table.name] = world.counts(tuple(map(world.axes.index, table.axes)))
            truth = truths[table.name]
            for way, pair in covered(truth, table, shown.cells).items():
                for sort in (sort_of(truth, shown.floor), ALL):
                    draw[sort, way] += pair
        for key, pair in draw.items():
            found[key].append(pair)
    return {key: np.array(pairs) for key, pairs in found.items()}


def judged(way: str, sort: str, share: float, error: float) -> str:
    """``met``, ``MISSED``, or nothing where nothing is asked."""
    if way == "shown" and sort != ALL:
        return ""
    before = way in {"large", "shown"}
    least, most = 0.94 if before else 0.95, 0.96 if before and sort == ALL else 1.0
    return "met" if least - error <= share <= most + error else "MISSED"


def rows_of(name: str, world: World) -> Iterator[dict[str, Any]]:
    """The figures of a world."""
    found = simulated(world)
    for sort, way in sorted(found, key=lambda key: (key[0], WAYS.index(key[1]))):
        pairs = found[sort, way]
        number, held = pairs.sum(axis=0)
        if not number:
            continue
        share = float(held / number)
        spread = ((pairs[:, 1] - share * pairs[:, 0]) ** 2).sum() * world.draws / (world.draws - 1)
        error = 3 * max(math.sqrt(spread) / number, math.sqrt(0.95 * 0.05 / number))
        yield {
            "case": f"{name}: {sort}",
            "method": way,
            "figure": "coverage",
            "value": share,
            "plus_minus": float(error),
            "asked": judged(way, sort, share, error),
            "conditions": f"epsilon 1, delta 1e-06, 8 nodes, {world.holders} shares of noise held by others, "
            f"{number / world.draws:.0f} counts in each of {world.draws} draws, rounding to 5, threshold 10, "
            f"noise up to 100%; {platform.machine()}",
        }


def main() -> None:
    rows = []
    for name, world in worlds().items():
        for row in rows_of(name, world):
            rows.append(row)
            told = f"{row['value']:.3f} ± {row['plus_minus']:.3f}  {row['asked']}"
            print(f"{row['case']:76} {row['method']:20} {told}", flush=True)
    met = all(row["asked"] != "MISSED" for row in rows)
    print(f"asked: {'met' if met else 'MISSED'}")
    Path("bench").mkdir(exist_ok=True)
    Path("bench/coverage.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
