"""What a national file holds of a person: only what its mapping can express, and not all of that.

Guarantees: a recorded value is exactly what an import of the national file yields: a value without a
national code is never recorded, a cell that lists values makes the others absent, an open cell makes all
of them unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.cases.contract import FIELDS, MINOR_BANDS, Field, Kind, field
from safeborders_fed.cases.mapping import Mapping
from safeborders_fed.cases.sources import MultiSource, SingleSource
from safeborders_fed.cases.synthetic.parameters import COUNTRIES, mapping_of, position, stream, table
from safeborders_fed.cases.synthetic.population import Population

UNKNOWN_VALUE: Final = -1
STATUS: Final = "trafficking_status"


@dataclass(frozen=True)
class Recorded:
    """What the files hold; one entry for each person.

    Attributes:
        singles: contract field to int16 positions in its codes, -1 for not known.
        multis: contract field to int8, shape (persons, codes): 1 present, 0 absent, -1 not known.
    """

    singles: dict[str, NDArray[np.int16]]
    multis: dict[str, NDArray[np.int8]]


def record(seed: int, population: Population) -> Recorded:
    """What the eight states record of ``population``. The trafficking status is not part of it."""
    rng = stream(seed, 4)
    mappings = [mapping_of(country) for country in COUNTRIES]
    singles: dict[str, NDArray[np.int16]] = {}
    multis: dict[str, NDArray[np.int8]] = {}
    for entry in FIELDS:
        if entry.kind == Kind.SINGLE and entry.name != STATUS:
            singles[entry.name] = _single(rng, entry, population, mappings)
        elif entry.kind == Kind.MULTI:
            multis[entry.name] = _multi(rng, entry, population, mappings)
    return Recorded(singles, multis)


def expressible(mapping: Mapping, name: str) -> frozenset[str]:
    """Contract codes that a state's file can hold in the field ``name``."""
    source = mapping.fields.get(name)
    if isinstance(source, MultiSource) and source.flags:
        return frozenset(flag.value for flag in source.flags)
    if isinstance(source, SingleSource) and source.number:
        return frozenset(code for code in field(name).codes if code not in {"0--17", "18+"})
    if isinstance(source, SingleSource | MultiSource):
        return frozenset(source.values.values()) or frozenset(field(name).codes)
    return frozenset()


def _missing(rng: np.random.Generator, name: str, country: str, size: int) -> NDArray[np.bool_]:
    habits = table("habits")
    return np.asarray(rng.random(size) < habits["missing"][name] * habits["states"][country]["care"])


def _single(
    rng: np.random.Generator, entry: Field, population: Population, mappings: list[Mapping]
) -> NDArray[np.int16]:
    values = population.singles[entry.name].copy()
    for index, (country, mapping) in enumerate(zip(COUNTRIES, mappings, strict=True)):
        rows = population.state == index
        source = mapping.fields.get(entry.name)
        if isinstance(source, SingleSource) and source.constant is not None:
            values[rows] = position(entry.name, source.constant)
            continue
        codes = expressible(mapping, entry.name)
        own = values[rows]
        if entry.name == "age_band" and "0--17" in codes:
            coarse = rng.random(len(own)) < table("habits")["rates"]["coarse_age"]
            own[coarse] = _coarse()[own[coarse]]
        held = np.array([code in codes for code in entry.codes])
        own[~held[own] | _missing(rng, entry.name, country, len(own))] = UNKNOWN_VALUE
        values[rows] = own
    return values


def _coarse() -> NDArray[np.int16]:
    """For each age band, the band that says minor or adult only."""
    coarse = [
        position("age_band", "0--17" if code in MINOR_BANDS else "18+") for code in field("age_band").codes
    ]
    return np.array(coarse, dtype=np.int16)


def _multi(
    rng: np.random.Generator, entry: Field, population: Population, mappings: list[Mapping]
) -> NDArray[np.int8]:
    values = population.multis[entry.name].astype(np.int8)
    for index, (country, mapping) in enumerate(zip(COUNTRIES, mappings, strict=True)):
        rows = population.state == index
        codes = expressible(mapping, entry.name)
        held = np.array([code in codes for code in entry.codes])
        own = values[rows]
        own[:, ~held] = 0
        source = mapping.fields.get(entry.name)
        if isinstance(source, MultiSource) and source.flags:
            own[:, ~held] = UNKNOWN_VALUE
            own[rng.random(own.shape) < table("habits")["rates"]["flag_missing"]] = UNKNOWN_VALUE
        elif not isinstance(source, MultiSource) or not source.complete:
            own[own == 0] = UNKNOWN_VALUE
        empty = ~(own == 1).any(axis=1) & (not (isinstance(source, MultiSource) and source.flags))
        own[empty | _missing(rng, entry.name, country, len(own))] = UNKNOWN_VALUE
        values[rows] = own
    return values


def forget(rng: np.random.Generator, recorded: Recorded, rows: NDArray[Any], share: float) -> Recorded:
    """The records of ``rows`` as a second case holds them: some fields are left open, none differs."""
    singles = {name: column[rows].copy() for name, column in recorded.singles.items()}
    multis = {name: column[rows].copy() for name, column in recorded.multis.items()}
    for column in (*singles.values(), *multis.values()):
        column[rng.random(len(rows)) < share] = UNKNOWN_VALUE
    return Recorded(singles, multis)
