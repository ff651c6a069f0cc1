"""Intervals of trend tables hold the truth as often as they say, after fit, projection and suppression."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from safeborders_fed.analyses.consistency import Consistency, Kept, margin
from safeborders_fed.reporting.disclosure import disclose
from safeborders_fed.reporting.noisy_tables import Axis, NoisyTable
from safeborders_fed.study.table_file import NORMAL_95, Rules
from table_samples import counts, release

SIZES = (6, 10, 12)
DEVIATION = 6.0
MEASURED: list[tuple[Kept, float]] = [
    ((0, 1), DEVIATION),
    ((1, 2), DEVIATION),
    ((0,), 2 * DEVIATION),
    ((1,), 2 * DEVIATION),
    ((2,), 2 * DEVIATION),
]
AXES = tuple(
    Axis(name, tuple(f"{name}{at}" for at in range(n))) for name, n in zip("abc", SIZES, strict=True)
)
DRAWS = 150
ERRORS = 7.0
"""Standard errors of a mean of independent draws that a figure may miss by.

Student's t with 149 degrees of freedom exceeds 7 with a chance of 4e-11: over the two figures of a draw's
coverage, both ways, the false-alarm rate is below 1e-9.
"""


def truth() -> np.ndarray:
    """Few large cells, most of them small or empty."""
    draw = np.random.default_rng(3)
    return draw.poisson(draw.gamma(0.08, 70, SIZES)).astype(float)


def coverage(real: float) -> Iterator[tuple[float, float]]:
    """For each draw: coverage of large counts before rounding, and of published ones."""
    draw = np.random.default_rng(8)
    full, rules = truth(), Rules(base=3, threshold=6)
    problem = Consistency(SIZES, MEASURED)
    for _ in range(DRAWS):
        noisy = []
        for kept, deviation in MEASURED:
            exact = margin(full, (0, 1, 2), kept)
            noisy.append(exact + draw.normal(0, real * deviation, exact.shape))
        tables, _ = problem.published(problem.estimate(noisy))
        made = []
        for kept, values in tables.items():
            own = tuple(AXES[axis] for axis in kept)
            made.append(
                NoisyTable(
                    " x ".join(axis.name for axis in own) or "total", own, values, problem.deviation(kept)
                )
            )
        large, published = [], []
        for table, shown in zip(
            made, disclose(replace(release(counts(0)), tables=tuple(made)), rules), strict=True
        ):
            exact = margin(full, (0, 1, 2), tuple(map(AXES.index, table.axes)))
            error = np.abs(table.counts - exact)[exact >= shown.floor]
            large += (error <= NORMAL_95 * table.deviation).tolist()
            for value, cell in zip(exact.ravel(), shown.cells, strict=True):
                if cell is not None:
                    low, high = shown.interval(cell)
                    published.append(low <= value <= high)
        yield float(np.mean(large)), float(np.mean(published))


@pytest.mark.parametrize("real", [1.0, 1 / 0.7])
def test_intervals_hold_the_truth_and_fail_with_standard_errors_that_are_too_small(real: float) -> None:
    """94 to 96% before rounding, of counts that are large in truth; at least 95% of published ones."""
    large, published = np.array(list(coverage(real))).T
    slack = ERRORS * large.std(ddof=1) / DRAWS**0.5
    assert slack < 0.02
    assert (0.94 - slack <= large.mean() <= 0.96 + slack) == (real == 1)
    least = 0.95 - ERRORS * published.std(ddof=1) / DRAWS**0.5
    assert (published.mean() >= least) == (real == 1)
