"""False alarms and finds of early warning, beside a z-test on the last difference without correction.

Made-up series (`warning_worlds`) of 5 to 300 victims a quarter, privacy noise of 6 victims a cell. False
alarms: share of reports without a planted change that raise any warning. Found: share of reports in which
a corridor that doubles from 60 is named within two quarters; named besides: how many others were, on
average. Both methods see the same series. Then corridors of which most are empty, false alarms in worlds that
the model does not know, and what an oracle finds at the same rate: it knows level, trend, wave and variance
of the corridor, and the exact distribution. Three minutes; `bench_warning.py 100` makes fewer reports.
"""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path

import numpy as np
from scipy.stats import binomtest, nbinom, norm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from safeborders_fed.reporting.early_warning import ALPHA, RISES, warnings_of
from warning_worlds import OFF_MODEL, SIGMA, USUAL, World, counts, table

SPARSE = World(sparse=True)
CASES = (
    *((past, 100, 300, USUAL) for past in (8, 12, 16, 20)),
    *((past, 30, 30, USUAL) for past in (8, 12, 16, 20)),
    *((past, 1369, 1369, SPARSE) for past in (8, 16)),
)
"""Past quarters, fewest and most series, and the world."""
METHODS = ("ours", "z-test")
REPORTS = 200
REACH = 40
"""Victims beyond which noise is not looked at."""
FEWER = 4
"""Of worlds of many series, one report in so many."""


def ours(values: np.ndarray) -> set[int]:
    return {int(entry.key[0][1].split()[1]) for entry in warnings_of([table(values)]).raised}


def naive(values: np.ndarray) -> set[int]:
    """The last difference against privacy noise and Poisson counts, two-sided, each series at 5%."""
    spread = np.sqrt(2 * SIGMA**2 + values[:, -1] + values[:, -2])
    score = np.abs(values[:, -1] - values[:, -2]) / spread
    return set(np.flatnonzero(score > norm.isf(ALPHA / 2)).tolist())


def rates(past: int, fewest: int, most: int, world: World, reports: int) -> dict[tuple[str, str], int]:
    draw = np.random.default_rng(1000 + past + most)
    found = {
        (method, figure): 0 for method in METHODS for figure in ("false alarms", "found", "named besides")
    }
    for _ in range(reports):
        size = int(draw.integers(fewest, most + 1))
        quiet = counts(draw, series=size, periods=past + 1, world=world)
        size = int(draw.integers(fewest, most + 1))
        loud = counts(draw, series=size, periods=past + 2, planted=60.0, doubles_at=past, world=world)
        for method, raised in (("ours", ours), ("z-test", naive)):
            named = raised(loud[:, :-1]) | raised(loud)
            found[method, "false alarms"] += bool(raised(quiet))
            found[method, "found"] += 0 in named
            found[method, "named besides"] += len(named - {0})
    return found


def off_model(world: World, past: int, reports: int) -> int:
    draw = np.random.default_rng(past)
    sizes = (int(draw.integers(100, 301)) for _ in range(reports))
    return sum(bool(ours(counts(draw, series=size, periods=past + 1, world=world))) for size in sizes)


def oracle(draw: np.random.Generator, fewest: int, most: int) -> bool:
    """Whether an oracle finds a doubling from 60, with plain Bonferroni over series and windows."""
    rate = ALPHA * RISES / int(draw.integers(fewest, most + 1))
    spread, wave = 1 + draw.lognormal(np.log(0.5), 0.8), draw.uniform(0, 0.25)
    phase = 0.0 if draw.random() < 0.5 else draw.uniform(0, 2 * np.pi)
    means = 60 * (1 + wave * np.cos(np.pi / 2 * np.arange(3) + phase))
    seen = draw.poisson(draw.gamma(means * [1, 2, 2] / (spread - 1), spread - 1))
    seen = seen + np.rint(draw.normal(0, SIGMA, 3))
    noise = norm.pdf(np.arange(-REACH, REACH + 1) / SIGMA) / SIGMA
    single = [
        np.convolve(nbinom.pmf(np.arange(900), mean / (spread - 1), 1 / spread), noise) for mean in means
    ]
    pairs = [np.convolve(single[at], single[at + 1]) for at in (0, 1)]
    found = (seen[at] + REACH >= _least(single[at], rate / 3) for at in (1, 2))
    both = (seen[at : at + 2].sum() + 2 * REACH >= _least(pairs[at], rate * 2 / 3) for at in (0, 1))
    return any(found) or any(both)


def _least(chances: np.ndarray, rate: float) -> int:
    """The smallest count that is reached with at most this chance."""
    return int(np.argmax(np.cumsum(chances[::-1])[::-1] <= rate))


def row(case: str, method: str, figure: str, count: int, reports: int) -> dict[str, object]:
    """One row of the file of results, printed as well."""
    shown = f"{count / reports:.2f} a find"
    if figure != "named besides":
        interval = binomtest(count, reports).proportion_ci(method="exact")
        shown = f"{count / reports:6.1%}  [{interval.low:.1%}, {interval.high:.1%}]"
    print(f"{case}  {method:7} {figure:13} {shown}", flush=True)
    return {
        "case": f"{case}, {reports} reports, noise {SIGMA:g}, alpha {ALPHA}",
        "method": method,
        "figure": figure,
        "value": count / reports,
        "conditions": f"simulated series; {platform.machine()}",
    }


def main() -> None:
    reports = int(sys.argv[1]) if len(sys.argv) > 1 else REPORTS
    rows = []
    for past, fewest, most, world in CASES:
        made = reports // FEWER if world == SPARSE else reports
        case = f"{past} past quarters, {fewest}-{most} series"
        for (method, figure), count in rates(past, fewest, most, world, made).items():
            rows.append(row(case, method, figure, count, made))
    for name, world in OFF_MODEL.items():
        for past in (8, 16):
            count = off_model(world, past, reports)
            rows.append(row(f"{name}, {past} past quarters", "ours", "false alarms", count, reports))
    for fewest, most in ((100, 300), (30, 30)):
        draw = np.random.default_rng(most)
        count = sum(oracle(draw, fewest, most) for _ in range(reports))
        rows.append(row(f"{fewest}-{most} series", "oracle", "found", count, reports))
    Path("bench").mkdir(exist_ok=True)
    Path("bench/warning.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
