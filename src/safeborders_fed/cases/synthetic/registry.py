"""Cases: which rows a national file has, with their keys and dates.

Guarantees: keys are invented and say so (SYN, СИН, ΣΥΝ); no row repeats the pair of case and victim of
another; all dates lie in the years that the files cover.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.cases.synthetic.parameters import COUNTRIES, stream, table, years
from safeborders_fed.cases.synthetic.population import Population


@dataclass(frozen=True)
class Rows:
    """The rows of one national file in order of registration; arrays have one entry each.

    Attributes:
        person: int64: position in the population.
        second: bool: the second case of that person.
        date: datetime64[D].
        victim_id: object (str).
        case_id: object (str).
    """

    person: NDArray[np.int64]
    second: NDArray[np.bool_]
    date: NDArray[np.datetime64]
    victim_id: NDArray[Any]
    case_id: NDArray[Any]


def rows_of(seed: int, country: str, population: Population) -> Rows:
    """The rows of one state's file."""
    index = COUNTRIES.index(country)
    rng = stream(seed, 7, index)
    persons = np.flatnonzero(population.state == index)
    twice = rng.random(len(persons)) < table("calibration")["assumptions"]["second_case"]
    first = _days(population.year[persons]) + rng.integers(0, 365, len(persons))
    later = np.minimum(
        first[twice] + rng.integers(10, 300, twice.sum()), np.datetime64(f"{years()[-1]}-12-31")
    )
    numbers = rng.permutation(len(persons)) + 1
    person = np.concatenate([persons, persons[twice]])
    date = np.concatenate([first, later])
    second = np.arange(len(person)) >= len(persons)
    number = np.concatenate([numbers, numbers[twice]])
    order = np.lexsort((number, second, date))
    habits = table("habits")["states"][country]
    victim_id = np.array([habits["victim_id"].format(n) for n in number[order]], dtype=object)
    case_id = _case_ids(rng, habits["case_id"], date[order], second[order])
    return Rows(person[order], second[order], date[order], victim_id, case_id)


def _days(year: NDArray[np.int16]) -> NDArray[np.datetime64]:
    """The first of January of each year."""
    first = np.array(
        [f"{number}-01-01" for number in range(years()[0], years()[-1] + 1)], dtype="datetime64[D]"
    )
    return np.asarray(first[year - years()[0]])


def _case_ids(
    rng: np.random.Generator, pattern: str, date: NDArray[np.datetime64], second: NDArray[np.bool_]
) -> NDArray[Any]:
    """Case numbers, counted within the year; a case may hold several persons, never one person twice."""
    year = date.astype("datetime64[Y]").astype(int) + 1970
    joins = (rng.random(len(date)) < table("habits")["rates"]["shared_case"]) & ~second
    joins[1:] &= year[1:] == year[:-1]
    joins[:1] = False
    case = np.cumsum(~joins)
    starts = {int(when): int(case[year == when][0]) for when in np.unique(year)}
    ids = [
        pattern.format(number - starts[when] + 1, year=when)
        for number, when in zip(case.tolist(), year.tolist(), strict=True)
    ]
    return np.array(ids, dtype=object)
