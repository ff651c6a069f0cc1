"""Made-up series of quarters, calm ones and such that change, as a signed document shows them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from safeborders_fed.reporting.noisy_tables import Axis, NoisyTable, TableRelease
from safeborders_fed.reporting.table_release import Origin, document
from safeborders_fed.study.table_file import Rules, TableFile
from table_samples import TODAY, release

QUARTERS = tuple(f"{2022 + at // 4}-Q{at % 4 + 1}" for at in range(14))
STEADY = (60, 63, 58, 62, 61, 59, 64, 60, 62, 58, 61, 60, 63, 60)
RISING = (*STEADY[:-1], 240)
FALLING = (*STEADY[:-1], 4)
EMERGING = (3, 4, 2, 3, 4, 3, 2, 4, 3, 2, 4, 3, 90, 120)
CALM = tuple(
    tuple(count + 17 * at + (at * place) % 3 for place, count in enumerate(STEADY)) for at in range(9)
)


def table(
    *series: tuple[float, ...], deviation: float = 2.0, quarters: tuple[str, ...] = QUARTERS
) -> NoisyTable:
    """Series by quarter, with quarters that nobody knows."""
    axes = (
        Axis("quarter", (*quarters, "Other")),
        Axis("citizenship", tuple(f"C{at}" for at in range(len(series)))),
    )
    counts = np.array([[*each, 30.0] for each in series], dtype=np.float64).T
    return NoisyTable("quarter x citizenship", axes, np.ascontiguousarray(counts), deviation)


def followed(*tables: NoisyTable) -> TableRelease:
    """A release of these tables alone."""
    return replace(release(np.ones((1, 4, 4))), tables=tables)


def made(*tables: NoisyTable, rate: float | None = 0.05, rules: Rules | None = None) -> TableFile:
    return document(followed(*tables), rules or Rules(), Origin("b" * 64, 1, TODAY), (), rate)
