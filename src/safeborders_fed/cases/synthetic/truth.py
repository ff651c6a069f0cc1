"""The planted truth, as it is written beside the files so that every result can be scored.

Guarantees: it names victims and cases by the keys of the national files, and counts what intake must
accept and reject. ``docs/synthetic-data.md`` describes the schema. Nothing in the files refers to it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from safeborders_fed.cases.contract import FIELDS, field
from safeborders_fed.cases.synthetic.features import feature_names, parameters_of
from safeborders_fed.cases.synthetic.networks import Entry, Links, NearMiss
from safeborders_fed.cases.synthetic.parameters import COUNTRIES, GROUPS, mapping_of, table, typologies, years
from safeborders_fed.cases.synthetic.population import Population, corridor_of
from safeborders_fed.cases.synthetic.registry import Rows
from safeborders_fed.cases.synthetic.signal import Decisions, area_under_curve

SCHEMA_VERSION: Final = 1


@dataclass(frozen=True)
class World:
    """Everything that was drawn for one seed.

    Attributes:
        seed: The seed.
        scale: Factor on all numbers of persons.
        population: Who was referred.
        decisions: What became of each.
        links: All identifiers.
        rows: The rows of each state's file.
        spoilt: For each state, rows to be quarantined by reason.
    """

    seed: int
    scale: float
    population: Population
    decisions: Decisions
    links: Links
    rows: dict[str, Rows]
    spoilt: dict[str, Counter[str]]


def truth_of(world: World) -> dict[str, Any]:
    """The truth as plain values for JSON."""
    return {
        "schema_version": SCHEMA_VERSION,
        "seed": world.seed,
        "scale": world.scale,
        "note": "Synthetic. Every person, number and name in these files is invented.",
        "states": {country: _state(world, country) for country in COUNTRIES},
        "typologies": _typologies(world),
        "detection": _detection(world),
        "corridor": _corridor(world),
        "networks": _networks(world),
        "near_misses": [_near_miss(world, miss) for miss in world.links.near_misses],
        "persons": {country: _persons(world, country) for country in COUNTRIES},
    }


def _of(world: World, country: str) -> Any:
    return world.population.state == COUNTRIES.index(country)


def _state(world: World, country: str) -> dict[str, Any]:
    population, decisions, own = world.population, world.decisions, _of(world, country)
    victims, rows = own & decisions.victim, world.rows[country]
    recorded = mapping_of(country).fields
    return {
        "file": table("habits")["states"][country]["file"],
        "rows": len(rows.person) + world.spoilt[country].total(),
        "accepted": len(rows.person),
        "quarantined": dict(sorted(world.spoilt[country].items())),
        "persons": int(own.sum()),
        "victims": int(victims.sum()),
        "actual": int((victims & decisions.determined).sum()),
        "possible": int((own & ~decisions.determined).sum()),
        "not_victims": int((own & ~decisions.victim).sum()),
        "minors_among_victims": int((victims & population.minor).sum()),
        "victims_by_form": {
            form: int((population.group[victims] == g).sum()) for g, form in enumerate(GROUPS)
        },
        "victims_by_year": {str(year): int((population.year[victims] == year).sum()) for year in years()},
        "not_recorded": [entry.name for entry in FIELDS if entry.name not in recorded],
    }


def _persons(world: World, country: str) -> dict[str, list[Any]]:
    """One list per attribute, persons in the order of their first case."""
    rows = world.rows[country]
    first = ~rows.second
    person = rows.person[first]
    names = np.array(typologies(), dtype=object)
    return {
        "victim_id": rows.victim_id[first].tolist(),
        "typology": names[world.population.typology[person]].tolist(),
        "probability": [round(value, 6) for value in world.decisions.probability[person].tolist()],
        "actual": world.decisions.actual[person].tolist(),
        "minor": world.population.minor[person].tolist(),
        "corridor": world.population.corridor[person].tolist(),
    }


def _typologies(world: World) -> dict[str, Any]:
    victims = world.decisions.victim
    return {
        name: {
            "label": table("typologies")["typologies"][name]["label"],
            "parameters": {
                feature: {
                    code: round(float(value), 4)
                    for code, value in zip(field(feature).codes, parameters_of(feature)[index], strict=True)
                    if value > 0
                }
                for feature in feature_names()
            },
            "victims": {
                country: {
                    str(year): int(
                        (
                            victims
                            & _of(world, country)
                            & (world.population.typology == index)
                            & (world.population.year == year)
                        ).sum()
                    )
                    for year in years()
                }
                for country in COUNTRIES
            },
        }
        for index, name in enumerate(typologies())
    }


def _detection(world: World) -> dict[str, Any]:
    decisions = world.decisions

    def area(chosen: Any) -> float:
        return round(area_under_curve(decisions.probability[chosen], decisions.actual[chosen]), 4)

    return {
        "positive": "ActualVictimOfTrafficking",
        "negative": "NotAVictimOfTrafficking",
        "given": "the features as the files record them, and the state",
        "bayes_auc": area(decisions.determined),
        "bayes_auc_by_state": {c: area(decisions.determined & _of(world, c)) for c in COUNTRIES},
    }


def _corridor(world: World) -> dict[str, Any]:
    population, decisions = world.population, world.decisions
    corridor = corridor_of(world.seed, world.scale)
    victims = population.corridor & decisions.victim
    same = _of(world, corridor.state) & (
        population.singles["citizenship"] == field("citizenship").codes.index(corridor.citizenship)
    )
    before = same & decisions.victim & (population.year < min(map(int, corridor.expected_by_year)))
    return asdict(corridor) | {
        "persons_by_year": _by_year(population, population.corridor),
        "victims_by_year": _by_year(population, victims),
        "victims_before": _by_year(population, before),
    }


def _by_year(population: Population, chosen: Any) -> dict[str, int]:
    return {str(year): int((chosen & (population.year == year)).sum()) for year in years()}


def _networks(world: World) -> list[dict[str, Any]]:
    return [
        {
            "typology": network.typology,
            "victims": {
                country: [_keys(world, person)["victim_id"] for person in members]
                for country, members in network.members.items()
            },
            "identifiers": [
                {
                    "type": kind,
                    "canonical": canonical,
                    "written": [
                        _entry(world, entry)
                        for entry in network.entries
                        if entry.identifier.canonical == canonical
                    ],
                }
                for kind, canonical in dict.fromkeys(
                    (entry.identifier.type, entry.identifier.canonical) for entry in network.entries
                )
            ],
        }
        for network in world.links.networks
    ]


def _near_miss(world: World, miss: NearMiss) -> dict[str, Any]:
    kind = miss.resembles.type
    return {
        "type": kind,
        "reason": "namesake" if kind == "person" else "one_digit_apart",
        "resembles": miss.resembles.canonical,
        "canonical": miss.entry.identifier.canonical,
        **_entry(world, miss.entry),
    }


def _entry(world: World, entry: Entry) -> dict[str, Any]:
    return _keys(world, entry.person) | {"text": "|".join(entry.texts), "typing_error": entry.error}


def _keys(world: World, person: int) -> dict[str, str]:
    country = COUNTRIES[world.population.state[person]]
    rows = world.rows[country]
    row = int(np.flatnonzero((rows.person == person) & ~rows.second)[0])
    return {"country": country, "victim_id": rows.victim_id[row], "case_id": rows.case_id[row]}
