"""False alarms and finds of early warning, beside a z-test on the last difference without correction.

Made-up series (`warning_worlds`) of 5 to 300 victims a quarter, privacy noise of 6 victims a cell. False
alarms: share of reports without a planted change that raise any warning. Found: share of reports in which
a corridor that doubles from 60 is named within two quarters; named besides: how many others were, on
average. Both methods see the same series. Then corridors of which most are empty, and false alarms in worlds
that the model does not know. Three minutes; `bench_warning.py 100` makes fewer reports.
"""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path

import numpy as np
from scipy.stats import binomtest, norm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from safeborders_fed.reporting.early_warning import ALPHA, warnings_of
from warning_worlds import OFF_MODEL, SIGMA, USUAL, World, counts, table

SPARSE = World(sparse=True)
CASES = (
    *((past, 100, 300, USUAL) for past in (8, 12, 16, 20)),
    *((past, 30, 30, USUAL) for past in (8, 12, 16, 20)),
    *((past, 1369, 1369, SPARSE) for past in (8, 16)),
)
"""Past quarters, fewest and most series, and the world."""
METHODS = ("ours", "z-test")
REPORTS = 400
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
    Path("bench").mkdir(exist_ok=True)
    Path("bench/warning.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
