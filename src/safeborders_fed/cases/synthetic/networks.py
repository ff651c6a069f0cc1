"""Planted cross-border networks, near-misses, and the identifiers of everybody else.

Guarantees: each identifier of a network stands in the files of at least two states, once or more in
each; a typing error is made in one state only, and is named in the truth. A near-miss belongs to another
person than the identifier it resembles. No other identifier stands in two cases.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Final

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.cases.synthetic.identifiers import Identifier, Maker, mistype, write
from safeborders_fed.cases.synthetic.parameters import COUNTRIES, mapping_of, table, typologies
from safeborders_fed.cases.synthetic.population import Population

Pools = dict[str, list[list[int]]]
MOST_MEMBERS: Final = 3
"""Victims of one network in one state."""


@dataclass(frozen=True)
class Entry:
    """One identifier as one file holds it.

    Attributes:
        person: Position in the population.
        identifier: What it is.
        texts: What the cells say.
        error: The typing error made: ``digit``, ``letter``, ``day_month``, or empty.
    """

    person: int
    identifier: Identifier
    texts: tuple[str, ...]
    error: str = ""


@dataclass(frozen=True)
class Network:
    """One cross-border network: its members by state and what they share."""

    typology: str
    members: dict[str, tuple[int, ...]]
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class NearMiss:
    """An identifier that resembles another one and is not it."""

    resembles: Identifier
    entry: Entry


@dataclass
class Links:
    """All identifiers of all files."""

    networks: list[Network] = field(default_factory=list)
    near_misses: list[NearMiss] = field(default_factory=list)
    background: list[Entry] = field(default_factory=list)

    def entries(self) -> list[Entry]:
        """Everything that is written into the files."""
        planted = [entry for network in self.networks for entry in network.entries]
        return planted + [miss.entry for miss in self.near_misses] + self.background


def plant(seed: int, scale: float, population: Population, eligible: NDArray[np.bool_]) -> Links:
    """Networks among the ``eligible`` persons (bool, shape (persons,)), near-misses and background."""
    random = Random(f"links {seed}")
    maker = Maker(random)
    wanted = max(4, round(random.randint(24, 36) * min(1.0, scale)))
    pools = _pools(random, population, eligible)
    links = Links()
    for _ in range(wanted):
        links.networks.append(_network(random, maker, pools))
        links.near_misses.append(_near_miss(random, maker, pools, links.networks[-1]))
    taken = {(entry.person, entry.identifier.type) for entry in links.entries()}
    links.background = _background(random, maker, population, taken)
    return links


def _pools(random: Random, population: Population, eligible: NDArray[np.bool_]) -> Pools:
    """For each state and typology, eligible persons in random order; who is used is taken off the end."""
    pools: Pools = {}
    for index, country in enumerate(COUNTRIES):
        pools[country] = []
        for typology in range(len(typologies())):
            chosen = eligible & (population.state == index) & (population.typology == typology)
            pools[country].append(random.sample(np.flatnonzero(chosen).tolist(), int(chosen.sum())))
    return pools


def _take(pool: list[list[int]], typology: int, count: int) -> tuple[int, ...]:
    """Up to ``count`` persons of the typology, or one of the commonest typology where there is none left."""
    chosen = [pool[typology].pop() for _ in range(min(count, len(pool[typology])))]
    return tuple(chosen or [max(pool, key=len).pop()])


def kinds_of(country: str) -> tuple[str, ...]:
    """Types of identifiers that a state's file holds."""
    return tuple(entry.type for entry in mapping_of(country).identifiers)


def _network(random: Random, maker: Maker, pools: Pools) -> Network:
    states = random.sample(COUNTRIES, random.choice([2, 2, 2, 3]))
    typology = random.randrange(len(typologies()))
    members = {
        country: _take(pools[country], typology, random.randint(1, MOST_MEMBERS)) for country in states
    }
    common = sorted(set(kinds_of(states[0])).intersection(*map(kinds_of, states)))
    entries: list[Entry] = []
    for kind in random.sample(common, min(len(common), random.choice([1, 1, 2, 3]))):
        identifier = maker.make(kind, random.choice(states))
        wrong = random.choice(states) if random.random() < table("habits")["rates"]["typing_error"] else ""
        for country in states:
            holders = random.sample(members[country], random.randint(1, len(members[country])))
            entries += (
                _entry(random, identifier, country, holder, wrong=country == wrong) for holder in holders
            )
    return Network(typologies()[typology], members, tuple(entries))


def _entry(random: Random, identifier: Identifier, country: str, person: int, *, wrong: bool) -> Entry:
    texts = write(random, identifier, country)
    if not wrong:
        return Entry(person, identifier, texts)
    mistyped, error = mistype(random, identifier, texts)
    return Entry(person, identifier, mistyped, error)


def _near_miss(random: Random, maker: Maker, pools: Pools, network: Network) -> NearMiss:
    """A near-miss of one identifier of the network, in a state that may or may not belong to it."""
    original = random.choice(network.entries).identifier
    country = random.choice([country for country in COUNTRIES if original.type in kinds_of(country)])
    holder = _take(pools[country], random.randrange(len(typologies())), 1)[0]
    return NearMiss(original, _entry(random, maker.near(original), country, holder, wrong=False))


def _background(
    random: Random, maker: Maker, population: Population, taken: set[tuple[int, str]]
) -> list[Entry]:
    rate = table("habits")["rates"]["identifier"]
    kinds = [kinds_of(country) for country in COUNTRIES]
    entries = []
    for person, state in enumerate(population.state.tolist()):
        for kind in kinds[state]:
            if random.random() < rate and (person, kind) not in taken:
                identifier = maker.make(kind, _home(random, state))
                entries.append(_entry(random, identifier, COUNTRIES[state], person, wrong=False))
    return entries


def _home(random: Random, state: int) -> str:
    """Where an identifier of nobody in particular comes from: mostly the state itself."""
    return COUNTRIES[state] if random.random() < 0.8 else random.choice(COUNTRIES)
