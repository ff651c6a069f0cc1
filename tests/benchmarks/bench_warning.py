"""False alarms and finds of early warning, beside a z-test on the last difference without correction.

Made-up series (`warning_worlds`) of 5 to 300 victims a quarter, privacy noise of 6 victims a cell. False
alarms: share of reports without a planted change that raise any warning. Found: share of reports in which
a corridor that doubles from 60 is named within two quarters; named besides: how many others were, on
average. Both methods see the same series. A minute and a half; `bench_warning.py 200` makes fewer
reports.
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
from warning_worlds import SIGMA, counts, table

CASES = (*((past, 100, 300) for past in (8, 12, 16, 20)), (12, 30, 30), (20, 30, 30))
"""Past quarters, and fewest and most series."""
METHODS = ("ours", "z-test")
REPORTS = 1_000


def ours(values: np.ndarray) -> set[int]:
    return {int(entry.key[0][1].split()[1]) for entry in warnings_of([table(values)]).raised}


def naive(values: np.ndarray) -> set[int]:
    """The last difference against privacy noise and Poisson counts, two-sided, each series at 5%."""
    spread = np.sqrt(2 * SIGMA**2 + values[:, -1] + values[:, -2])
    score = np.abs(values[:, -1] - values[:, -2]) / spread
    return set(np.flatnonzero(score > norm.isf(ALPHA / 2)).tolist())


def rates(past: int, fewest: int, most: int, reports: int) -> dict[tuple[str, str], int]:
    draw = np.random.default_rng(1000 + past + most)
    found = {
        (method, figure): 0 for method in METHODS for figure in ("false alarms", "found", "named besides")
    }
    for _ in range(reports):
        quiet = counts(draw, series=int(draw.integers(fewest, most + 1)), periods=past + 1)
        size = int(draw.integers(fewest, most + 1))
        loud = counts(draw, series=size, periods=past + 2, planted=60.0, doubles_at=past)
        for method, raised in (("ours", ours), ("z-test", naive)):
            named = raised(loud[:, :-1]) | raised(loud)
            found[method, "false alarms"] += bool(raised(quiet))
            found[method, "found"] += 0 in named
            found[method, "named besides"] += len(named - {0})
    return found


def main() -> None:
    reports = int(sys.argv[1]) if len(sys.argv) > 1 else REPORTS
    rows = []
    for past, fewest, most in CASES:
        for (method, figure), count in rates(past, fewest, most, reports).items():
            value = count / reports
            shown = f"{value:.2f} a find"
            if figure != "named besides":
                interval = binomtest(count, reports).proportion_ci(method="exact")
                shown = f"{value:6.1%}  [{interval.low:.1%}, {interval.high:.1%}]"
            print(
                f"{past:2} past quarters, {fewest}-{most} series  {method:7} {figure:13} {shown}", flush=True
            )
            size = f"{fewest}-{most} series, {reports} reports"
            case = f"{past} past quarters, {size}, noise {SIGMA:g}, alpha {ALPHA}"
            rows.append(
                {
                    "case": case,
                    "method": method,
                    "figure": figure,
                    "value": value,
                    "conditions": f"simulated series; {platform.machine()}",
                }
            )
    Path("bench").mkdir(exist_ok=True)
    Path("bench/warning.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
