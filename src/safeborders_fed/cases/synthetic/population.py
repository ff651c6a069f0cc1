"""Persons as they really are: who was referred where and when, and by which typology.

Guarantees: for each state, the expected shares of minors, of the published forms of exploitation, of the
sexes among minors and adults, and of the years are those of ``calibration.toml``. The result depends on
the seed and the scale alone. The emerging corridor replaces persons; it adds none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.cases.synthetic.features import draw_features
from safeborders_fed.cases.synthetic.parameters import (
    COUNTRIES,
    GROUPS,
    position,
    stream,
    table,
    typologies,
    year_profile,
    years,
)
from safeborders_fed.cases.synthetic.people import draw_people, draw_places
from safeborders_fed.cases.synthetic.sampling import SKEW_OF_STATES, Floats, pick


@dataclass(frozen=True)
class Population:
    """All referred persons of all states; arrays have one entry each.

    Attributes:
        state: int16: position in ``COUNTRIES``.
        year: int16: calendar year of registration.
        minor: bool.
        group: int16: position in ``GROUPS``.
        typology: int16: position in ``typologies()``.
        corridor: bool: belongs to the emerging corridor.
        singles: contract field to int16 positions in its codes.
        multis: contract field to bool, shape (persons, codes).
    """

    state: NDArray[np.int16]
    year: NDArray[np.int16]
    minor: NDArray[np.bool_]
    group: NDArray[np.int16]
    typology: NDArray[np.int16]
    corridor: NDArray[np.bool_]
    singles: dict[str, NDArray[np.int16]]
    multis: dict[str, NDArray[np.bool_]]

    def __len__(self) -> int:
        return len(self.state)


@dataclass(frozen=True)
class Corridor:
    """The emerging corridor of one seed."""

    citizenship: str
    state: str
    typology: str
    expected_by_year: dict[str, int]


@dataclass(frozen=True)
class Rates:
    """Shares of one seed, float64, one entry a state.

    Attributes:
        actual: Of referrals with a decision, the share found to be victims.
        possible: Of all referrals, the share without a decision.
    """

    actual: Floats
    possible: Floats


def rates(seed: int) -> Rates:
    """Shares of actual and possible victims of each state."""
    rng = stream(seed, 1)
    assumed = table("calibration")["assumptions"]
    spread = rng.uniform(-1, 1, (2, len(COUNTRIES)))
    return Rates(
        assumed["actual_among_determined"] + assumed["actual_spread"] * spread[0],
        assumed["possible"] + assumed["possible_spread"] * spread[1],
    )


def corridor_of(seed: int, scale: float) -> Corridor:
    """The corridor that this seed plants, with its expected persons a year."""
    habits = table("habits")["corridor"]
    chosen = habits["candidates"][stream(seed, 2).integers(len(habits["candidates"]))]
    expected = {year: max(1, round(count * scale)) for year, count in habits["expected_by_year"].items()}
    return Corridor(chosen["citizenship"], chosen["state"], chosen["typology"], expected)


def draw_population(seed: int, scale: float) -> Population:
    """All persons referred in the eight states."""
    rng = stream(seed, 3)
    state, year, minor, group = _frame(rng, rates(seed), scale)
    typology = _typology(rng, state, year, minor, group)
    corridor = corridor_of(seed, scale)
    planted = _plant(rng, corridor, state, year)
    typology[planted] = typologies().index(corridor.typology)
    group[planted] = _groups_of_typologies()[typology[planted]]
    singles, multis = draw_features(rng, state, typology)
    singles |= draw_people(rng, state, minor, group, typology)
    singles |= draw_places(rng, state, typology)
    singles["citizenship"][planted] = position("citizenship", corridor.citizenship)
    singles["country_of_exploitation"][planted] = position("country_of_exploitation", corridor.state)
    return Population(state, year, minor, group, typology, planted, singles, multis)


def _frame(rng: np.random.Generator, shares: Rates, scale: float) -> tuple[NDArray[Any], ...]:
    """State, year, minor and form of each person."""
    parts = []
    for index, country in enumerate(COUNTRIES):
        published = table("calibration")["states"][country]
        victims = sum(published["victims_by_year"]) * scale
        share = shares.possible[index] + (1 - shares.possible[index]) * shares.actual[index]
        size = max(8, round(victims / share))
        year = np.sort(rng.choice(years(), size, p=year_profile(country)))
        minors = published["minors"] / (published["minors"] + published["adults"])
        minor = rng.permutation(size) < round(minors * size)
        group = pick(rng, forms_by_age(country)[minor.astype(int)])
        parts.append((np.full(size, index), year, minor, group))
    state, year, minor, group = (np.concatenate(column) for column in zip(*parts, strict=True))
    return state.astype(np.int16), year.astype(np.int16), minor, group


def forms_by_age(country: str) -> Floats:
    """Shares of the published forms, float64, shape (adult or minor, groups)."""
    published = table("calibration")["states"][country]
    share = published["minors"] / (published["minors"] + published["adults"])
    total, minors = (
        np.array([published[key][group] for group in GROUPS], dtype=np.float64)
        for key in ("forms", "forms_of_minors")
    )
    total /= total.sum()
    minors = (minors + 0.5) / (minors + 0.5).sum()
    adults = np.maximum(total - share * minors, 0.01)
    return np.stack([adults / adults.sum(), minors])


def _typology(
    rng: np.random.Generator,
    state: NDArray[np.int16],
    year: NDArray[np.int16],
    minor: NDArray[np.bool_],
    group: NDArray[np.int16],
) -> NDArray[np.int16]:
    names = typologies()
    tables = table("typologies")
    mix = np.zeros((len(GROUPS), 2, len(names)))
    for g, form in enumerate(GROUPS):
        for a, age in enumerate(("adults", "minors")):
            for name, odds in tables["mix"][form][age].items():
                mix[g, a, names.index(name)] = odds
    tilt = np.exp(rng.normal(0, SKEW_OF_STATES, (len(COUNTRIES), len(names))))
    trend = np.array([tables["typologies"][name]["trend"] for name in names])
    growth = trend ** (year[:, None] - np.mean(years()))
    return pick(rng, mix[group, minor.astype(int)] * tilt[state] * growth)


def _plant(
    rng: np.random.Generator, corridor: Corridor, state: NDArray[np.int16], year: NDArray[np.int16]
) -> NDArray[np.bool_]:
    """Which persons the corridor replaces."""
    planted = np.zeros(len(state), dtype=bool)
    for when, expected in corridor.expected_by_year.items():
        candidates = np.flatnonzero((state == COUNTRIES.index(corridor.state)) & (year == int(when)))
        count = min(rng.poisson(expected), len(candidates) // 2)
        planted[rng.choice(candidates, count, replace=False)] = True
    return planted


def _groups_of_typologies() -> NDArray[np.int16]:
    """The published form that each typology counts under when nothing else is known."""
    mix = table("typologies")["mix"]
    best = [
        max(range(len(GROUPS)), key=lambda g: mix[GROUPS[g]]["adults"].get(name, 0)) for name in typologies()
    ]
    return np.array(best, dtype=np.int16)
