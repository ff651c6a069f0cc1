"""Made-up series of victims by period, for early warning: nothing in here was measured on anything.

Log-uniform rates from 5 to 300 a period; overdispersion (variance / mean) 1 + lognormal(log .5, .8): median
1.5, 5% above 2.9; a yearly wave of up to 25%, half of them in one phase; yearly growth of 2% with a spread of
6%; discrete privacy noise; never below zero, as after consistency.
"""

from __future__ import annotations

import numpy as np

from safeborders_fed.reporting.noisy_tables import Axis, NoisyTable

SIGMA = 6.0
"""Standard error of a cell at epsilon 1 a quarter, in victims: the middle of the 5 to 7 of several tables."""
QUARTERS = 4


def counts(
    draw: np.random.Generator,
    *,
    series: int,
    periods: int,
    sigma: float = SIGMA,
    planted: float | None = None,
    doubles_at: int | None = None,
) -> np.ndarray:
    """Counts, (series, periods); the first series has the rate ``planted``, is steady, and doubles."""
    rate = np.exp(draw.uniform(np.log(5), np.log(300), series))
    dispersion = 1 + draw.lognormal(np.log(0.5), 0.8, series)
    wave = draw.uniform(0, 0.25, series)
    phase = np.where(draw.random(series) < 0.5, 0, draw.uniform(0, 2 * np.pi, series))
    growth = draw.normal(0.02, 0.06, series) / QUARTERS
    if planted is not None:
        rate[0], growth[0] = planted, 0.0
    at = np.arange(periods)
    mean = rate[:, None] * (1 + wave[:, None] * np.cos(2 * np.pi * at / QUARTERS + phase[:, None]))
    mean *= np.exp(growth[:, None] * (at - periods / 2))
    if doubles_at is not None:
        mean[0, doubles_at:] *= 2
    excess = (dispersion - 1)[:, None]
    victims = draw.poisson(draw.gamma(mean / excess, excess))
    return np.maximum(victims + np.rint(draw.normal(0, sigma, mean.shape)), 0.0)


def quarters(number: int, first: int = 2015) -> tuple[str, ...]:
    return tuple(f"{first + at // 4}-Q{at % 4 + 1}" for at in range(number))


def table(values: np.ndarray, *, sigma: float = SIGMA, axis: str = "corridor") -> NoisyTable:
    """The table of these series, quarters down."""
    names = tuple(f"{axis} {at:03}" for at in range(len(values)))
    axes = (Axis("period", quarters(values.shape[1])), Axis(axis, names))
    return NoisyTable(f"period x {axis}", axes, np.ascontiguousarray(values.T), sigma)
