"""Made-up series of victims by period, for early warning: nothing in here was measured on anything.

Unless a world says otherwise: log-uniform rates from 5 to 300 a period; overdispersion (variance / mean)
1 + lognormal(log .5, .8): median 1.5, 5% above 2.9; a yearly wave of up to 25%, half of them in one phase;
yearly growth of 2% with a spread of 6%; discrete privacy noise; never below zero, as after consistency.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from safeborders_fed.reporting.noisy_tables import Axis, NoisyTable

SIGMA = 6.0
"""Standard error of a cell: of corridors alone at epsilon 1 a quarter it is 5.5 (docs/early-warning.md)."""
QUARTERS = 4


@dataclass(frozen=True)
class World:
    """How series behave.

    Attributes:
        dispersion: Variance / mean of all series; none for the usual spread.
        bursts: Share of series whose variance is six times their mean.
        wave: Yearly waves are at most this.
        growth: Spread of yearly growth between series.
        wander: Standard deviation of each level, with a correlation of .5 between quarters.
        shock: Standard deviation of what all series share in a quarter.
        sparse: Few of the series hold most victims, most are nearly empty: 3,000 victims a period in all.
    """

    dispersion: float | None = None
    bursts: float = 0.0
    wave: float = 0.25
    growth: float = 0.06
    wander: float = 0.0
    shock: float = 0.0
    sparse: bool = False


USUAL = World()
OFF_MODEL = {
    "one series in ten in bursts, the others 1.5": World(dispersion=1.5, bursts=0.1),
    "levels wander by 15%": World(wander=0.15),
    "growth differs by 15%": World(growth=0.15),
    "variance four times the mean": World(dispersion=4.0),
    "waves of up to 60%": World(wave=0.6),
    "shared shocks of 5%": World(shock=0.05),
}
"""What the model of no change does not know."""


def counts(
    draw: np.random.Generator,
    *,
    series: int,
    periods: int,
    sigma: float = SIGMA,
    planted: float | None = None,
    doubles_at: int | None = None,
    world: World = USUAL,
) -> np.ndarray:
    """Counts, (series, periods); the first series has the rate ``planted``, is steady, and doubles."""
    rate = np.exp(draw.uniform(np.log(5), np.log(300), series))
    if world.sparse:
        rate = draw.gamma(0.1, 1.0, series) + 1e-4
        rate *= 3_000 / rate.sum()
    dispersion = 1 + draw.lognormal(np.log(0.5), 0.8, series)
    if world.dispersion is not None:
        dispersion[:] = world.dispersion
    dispersion[draw.random(series) < world.bursts] = 6.0
    wave = draw.uniform(0, world.wave, series)
    phase = np.where(draw.random(series) < 0.5, 0, draw.uniform(0, 2 * np.pi, series))
    growth = draw.normal(0.02, world.growth, series) / QUARTERS
    if planted is not None:
        rate[0], growth[0] = planted, 0.0
    at = np.arange(periods)
    mean = rate[:, None] * (1 + wave[:, None] * np.cos(2 * np.pi * at / QUARTERS + phase[:, None]))
    mean *= np.exp(growth[:, None] * (at - periods / 2))
    mean *= np.exp(_wandering(draw, world.wander, mean.shape) + draw.normal(0, world.shock, periods))
    if doubles_at is not None:
        mean[0, doubles_at:] *= 2
    excess = (dispersion - 1)[:, None]
    victims = draw.poisson(draw.gamma(mean / excess, excess))
    return np.maximum(victims + np.rint(draw.normal(0, sigma, mean.shape)), 0.0)


def _wandering(draw: np.random.Generator, spread: float, shape: tuple[int, int]) -> np.ndarray:
    steps = draw.normal(0, spread, shape)
    for at in range(1, shape[1]):
        steps[:, at] = 0.5 * steps[:, at - 1] + np.sqrt(0.75) * steps[:, at]
    return steps


def quarters(number: int, first: int = 2015) -> tuple[str, ...]:
    return tuple(f"{first + at // 4}-Q{at % 4 + 1}" for at in range(number))


def table(values: np.ndarray, *, sigma: float = SIGMA, axis: str = "corridor") -> NoisyTable:
    """The table of these series, quarters down."""
    names = tuple(f"{axis} {at:03}" for at in range(len(values)))
    axes = (Axis("period", quarters(values.shape[1])), Axis(axis, names))
    return NoisyTable(f"period x {axis}", axes, np.ascontiguousarray(values.T), sigma)
