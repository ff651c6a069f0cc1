"""The detection signal: which referrals turn out to be actual victims.

Guarantees: whether a referral is an actual victim depends on nothing but the state and what its file
records, by known probabilities. So ``Decisions.probability`` is the exact posterior given the *recorded*
features and the state, and ranking by it is the Bayes optimum. Intercepts keep the share of actual victims
about the same in all forms of exploitation and ages, so the signal leaves the published proportions alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.cases.contract import MINOR_BANDS, Kind, field
from safeborders_fed.cases.synthetic.parameters import COUNTRIES, position, stream, table, years
from safeborders_fed.cases.synthetic.population import Population, rates
from safeborders_fed.cases.synthetic.recording import STATUS, Recorded
from safeborders_fed.cases.synthetic.sampling import Floats, shifted

_MAIN_FORMS: Final = (
    ("SexualExploitation",),
    ("ForcedLabour", "ChildLabour"),
    ("ForcedBegging", "ForcedCriminality", "Servitude", "ForcedMarriage"),
)
"""Forms of exploitation as published; the first that is recorded counts."""
_ROUNDS: Final = 4
"""Rounds of fitting the intercepts in turn; the shares then hold to a tenth of a percent."""


@dataclass(frozen=True)
class Decisions:
    """What became of each referral; arrays have one entry a person.

    Attributes:
        probability: float64: of being an actual victim, given what is recorded.
        actual: bool: whether it is one, known to the truth alone while the case is open.
        status: int16: recorded trafficking status, position in the contract's codes.
    """

    probability: Floats
    actual: NDArray[np.bool_]
    status: NDArray[np.int16]

    @property
    def determined(self) -> NDArray[np.bool_]:
        """bool: whether the case is decided either way."""
        return np.asarray(self.status != position(STATUS, "PossibleVictimOfTrafficking"))

    @property
    def victim(self) -> NDArray[np.bool_]:
        """bool: actual or possible, as GLOTIP counts victims."""
        return np.asarray(self.status != position(STATUS, "NotAVictimOfTrafficking"))


def decide(seed: int, population: Population, recorded: Recorded) -> Decisions:
    """Draw what became of each referral."""
    rng = stream(seed, 5)
    tables, shares = table("signal"), rates(seed)
    score = tables["strength"] * _standard(linear_part(seed, population, recorded))
    score += tables["strength_of_combinations"] * _standard(combined_part(recorded))
    probability = _centred(score, population.state, recorded_cell(recorded), shares.actual)
    actual = rng.random(len(population)) < probability
    age = (population.year - years()[0]) / (len(years()) - 1)
    opens = shares.possible[population.state] * (0.6 + 0.8 * age)
    still_open = rng.random(len(population)) < opens
    status = np.where(
        still_open,
        position(STATUS, "PossibleVictimOfTrafficking"),
        np.where(
            actual,
            position(STATUS, "ActualVictimOfTrafficking"),
            position(STATUS, "NotAVictimOfTrafficking"),
        ),
    )
    return Decisions(probability, actual, status.astype(np.int16))


def _centred(score: Floats, state: NDArray[np.int16], cell: NDArray[np.int64], shares: Floats) -> Floats:
    """Probabilities from log-odds ``score`` plus an intercept of each state and of each cell."""
    probability = 1 / (1 + np.exp(-score))
    wanted = shares[state]
    for _ in range(_ROUNDS):
        for grouping in (cell, state):
            for number in np.unique(grouping):
                rows = grouping == number
                probability[rows] = shifted(probability[rows], wanted[rows].mean())
    return np.asarray(probability, dtype=np.float64)


def recorded_cell(recorded: Recorded) -> NDArray[np.int64]:
    """A number for each (form, minor or adult) as recorded, "not known" included; int64, shape (persons,)."""
    form = np.zeros(len(recorded.singles["age_band"]), dtype=np.int64)
    for number, codes in enumerate(_MAIN_FORMS, 1):
        for code in codes:
            form[_recorded_as(recorded, "forms_of_exploitation", code) & (form == 0)] = number
    age = recorded.singles["age_band"]
    minor = np.isin(age, [position("age_band", band) for band in MINOR_BANDS])
    return np.asarray(form * 3 + np.where(age < 0, 2, minor), dtype=np.int64)


def linear_part(seed: int, population: Population, recorded: Recorded) -> Floats:
    """The weighted sum of what is recorded, float64, shape (persons,)."""
    rng = stream(seed, 6)
    tables = table("signal")
    total = np.zeros(len(population))
    for name, weights in tables["weights"].items():
        entry = field(name)
        base = np.array([weights.get(code, 0.0) for code in entry.codes])
        base += rng.normal(0, tables["jitter_by_seed"], base.shape)
        local = base + rng.normal(0, tables["jitter_by_state"], (len(COUNTRIES), len(base)))
        if entry.kind == Kind.SINGLE:
            values = recorded.singles[name]
            total += np.where(values >= 0, local[population.state, values], 0.0)
        else:
            total += ((recorded.multis[name] == 1) * local[population.state]).sum(axis=1)
    return total


def combined_part(recorded: Recorded) -> Floats:
    """The weighted sum of combinations that are recorded, float64, shape (persons,)."""
    minor = np.isin(recorded.singles["age_band"], [position("age_band", band) for band in MINOR_BANDS])
    total = np.zeros(len(minor))
    for entry in table("signal")["combinations"]:
        holds = minor.copy() if entry.get("minor", False) else np.ones(len(minor), dtype=bool)
        for name, code in entry["values"].items():
            holds &= _recorded_as(recorded, name, code)
        total += entry["weight"] * holds
    return total


def _recorded_as(recorded: Recorded, name: str, code: str) -> NDArray[np.bool_]:
    index = position(name, code)
    if name in recorded.singles:
        return np.asarray(recorded.singles[name] == index)
    return np.asarray(recorded.multis[name][:, index] == 1)


def _standard(values: Floats) -> Floats:
    return np.asarray((values - values.mean()) / values.std(), dtype=np.float64)


def area_under_curve(score: NDArray[Any], label: NDArray[np.bool_]) -> float:
    """Probability that a random positive scores above a random negative; ties count half."""
    order, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    del order
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    positives = int(label.sum())
    negatives = len(label) - positives
    return float((ranks[label].sum() - positives * (positives + 1) / 2) / (positives * negatives))
