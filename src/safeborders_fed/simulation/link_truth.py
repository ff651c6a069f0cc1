"""Hits and networks beside the planted truth, which only a process that sees all data can know.

Three questions:

- **Equal identifiers.** All normal forms of all files, compared in the open: does every form that stands in
  two files have its verified hit, and every hit such a form? Both must be so, whatever was planted.
- **Planted identifiers.** Of those that both states of a pair wrote without a typing error, and of the
  misspelt ones: how many have a hit between the very cases that hold them (recall). Hits between cases that
  share nothing planted are false matches: a near miss or two people's common form.
- **Networks.** Over all nodes, the components that own files and hits make, beside the planted networks of
  the cases that hold a shared identifier.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

import networkx as nx  # type: ignore[import-untyped]  # the package ships no types

from safeborders_fed.links.own_files import leads, own_files

if TYPE_CHECKING:
    from safeborders_fed.links.network import Network
    from safeborders_fed.links.office import Office

Place = tuple[str, str]
"""A state and the pseudonym of one of its cases."""


@dataclass(frozen=True, slots=True)
class Recall:
    """Planted identifiers of one type, one for each pair of states.

    Attributes:
        planted: How many.
        found: How many have a hit between the cases that hold them.
    """

    planted: int = 0
    found: int = 0


@dataclass(frozen=True)
class Recovered:
    """Hits and networks beside the truth.

    Attributes:
        equal: Normal forms that stand in the files of both states of a pair.
        missed: Those without a hit.
        invented: Hits on what is equal in no two files.
        right: By type, planted identifiers that both states wrote without an error.
        misspelt: By type, those that one of the two misspelt.
        false: By type, pairs of cases with a hit that share nothing planted.
        near_misses: Near misses that were planted.
        networks: Planted networks.
        findable: Those with an identifier that two states wrote without an error.
        whole: Those of which all cases with such an identifier are in one component.
        partly: Those of which some are joined, and not all.
        joined: Components that hold cases of two planted networks or more.
        unplanted: Components over two states that hold no planted case.
        sizes: Cases of each recovered component that reaches two states, the largest first.
    """

    equal: int
    missed: int
    invented: int
    right: Mapping[str, Recall]
    misspelt: Mapping[str, Recall]
    false: Mapping[str, int]
    near_misses: int
    networks: int
    findable: int
    whole: int
    partly: int
    joined: int
    unplanted: int
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Planted:
    """Where planted identifiers stand.

    Attributes:
        entries: Of each planted identifier: type, and by state the cases that hold it, without those where
            it was misspelt and with them.
        networks: Of each planted network, the places of its identifiers by identifier.
    """

    entries: list[tuple[str, dict[str, set[str]], dict[str, set[str]]]] = field(default_factory=list)
    networks: list[list[dict[str, set[str]]]] = field(default_factory=list)


def planted_cases(offices: Mapping[str, Office], truth: Mapping[str, Any]) -> Planted:
    """Where the planted identifiers stand, as pseudonyms."""
    names = {node: _pseudonyms(office) for node, office in offices.items()}
    found = Planted()
    for network in truth["networks"]:
        of_network = []
        for identifier in network["identifiers"]:
            right: dict[str, set[str]] = defaultdict(set)
            held: dict[str, set[str]] = defaultdict(set)
            for entry in identifier["written"]:
                state = entry["country"]
                cases = names[state].get(entry["case_id"], set())
                held[state] |= cases
                if not entry["typing_error"]:
                    right[state] |= cases
            found.entries.append((identifier["type"], dict(right), dict(held)))
            of_network.append(dict(right))
        found.networks.append(of_network)
    return found


def all_planted(offices: Mapping[str, Office], truth: Mapping[str, Any]) -> dict[str, set[str]]:
    """By state, the cases that hold anything planted, near misses included."""
    names = {node: _pseudonyms(office) for node, office in offices.items()}
    found: dict[str, set[str]] = {node: set() for node in offices}
    written = [
        entry
        for network in truth["networks"]
        for identifier in network["identifiers"]
        for entry in identifier["written"]
    ]
    for entry in (*written, *truth["near_misses"]):
        found[entry["country"]] |= names[entry["country"]].get(entry["case_id"], set())
    return found


def _pseudonyms(office: Office) -> dict[str, set[str]]:
    """National id of a case to its pseudonyms."""
    keys = office.store.raw_keys()
    found: dict[str, set[str]] = defaultdict(set)
    for case, national in zip(keys["case"].to_pylist(), keys["case_id"].to_pylist(), strict=True):
        found[national].add(case)
    return found


def compare(offices: Mapping[str, Office], truth: Mapping[str, Any]) -> Recovered:
    """Everything that was found beside the truth."""
    planted = planted_cases(offices, truth)
    equal, matched = _equal(offices), _matched(offices)
    between = _between(offices)
    right, misspelt = _recall(planted, between)
    parts = _components(offices)
    findable, whole, partly = _recovered(planted, parts)
    owner = _owners(planted)
    held = [{owner[place] for place in part if place in owner} for part in parts]
    return Recovered(
        equal=len(equal),
        missed=len(equal - matched),
        invented=len(matched - equal),
        right=right,
        misspelt=misspelt,
        false=_false(planted, between),
        near_misses=len(truth["near_misses"]),
        networks=len(planted.networks),
        findable=findable,
        whole=whole,
        partly=partly,
        joined=sum(len(each) > 1 for each in held),
        unplanted=sum(not each for each in held),
        sizes=tuple(sorted(map(len, parts), reverse=True)),
    )


Match = tuple[str, str, str, str]
"""Two states in order, type and form."""


def _equal(offices: Mapping[str, Office]) -> set[Match]:
    """What a comparison of all files in the open finds."""
    forms = {
        node: {(each.kind, each.form) for each in office.identified()} for node, office in offices.items()
    }
    return {
        (one, other, *form)
        for one, other in combinations(sorted(forms), 2)
        for form in forms[one] & forms[other]
    }


def _matched(offices: Mapping[str, Office]) -> set[Match]:
    """What the states found, each hit as both of them know it."""
    seen: set[Match] = set()
    for node, office in offices.items():
        form_of = {each.digest: each.form for each in office.identified()}
        for row in office.hits.shown():
            one, other = sorted((node, row.partner))
            # A hit on what is in no file has no form, and counts as invented by its digest.
            seen.add((one, other, row.kind, form_of.get(row.digest, row.digest.hex())))
    return seen


Between = dict[tuple[str, str, str], set[tuple[str, str]]]
"""Two states in order and a type, to pairs of cases that a hit joins."""


def _between(offices: Mapping[str, Office]) -> Between:
    found: Between = defaultdict(set)
    cases = {(node, row.id): row for node, office in offices.items() for row in office.hits.shown()}
    for (node, name), row in cases.items():
        there = cases.get((row.partner, name))
        if node < row.partner and there is not None:
            found[node, row.partner, row.kind] |= {(one, other) for one in row.cases for other in there.cases}
    return found


def _recall(planted: Planted, between: Between) -> tuple[dict[str, Recall], dict[str, Recall]]:
    """By type: identifiers written right on both sides of a pair, and those misspelt on one side."""
    right: dict[str, list[bool]] = defaultdict(list)
    misspelt: dict[str, list[bool]] = defaultdict(list)
    for kind, sure, held in planted.entries:
        for one, other in combinations(sorted(held), 2):
            into = right if sure.get(one) and sure.get(other) else misspelt
            pairs = between.get((one, other, kind), set())
            hit = any((a, b) in pairs for a in held[one] for b in held[other])
            into[kind].append(hit)
    return _counted(right), _counted(misspelt)


def _counted(found: Mapping[str, list[bool]]) -> dict[str, Recall]:
    return {kind: Recall(len(each), sum(each)) for kind, each in sorted(found.items())}


def _false(planted: Planted, between: Between) -> dict[str, int]:
    """By type, pairs of cases with a hit that share nothing planted of this type."""
    true: Between = defaultdict(set)
    for kind, _, held in planted.entries:
        for one, other in combinations(sorted(held), 2):
            true[one, other, kind] |= {(a, b) for a in held[one] for b in held[other]}
    counts: Counter[str] = Counter()
    for key, pairs in between.items():
        counts[key[2]] += len(pairs - true[key])
    return {kind: count for kind, count in sorted(counts.items()) if count}


def _components(offices: Mapping[str, Office]) -> list[set[Place]]:
    """Components over all nodes that reach two states: own files and approved hits at each, joined."""
    graph = nx.Graph()
    for node, office in offices.items():
        for network in own_files(office).networks(leads(office)):
            places = list(_places(node, network))
            graph.add_nodes_from(places)
            graph.add_edges_from((places[0], place) for place in places[1:])
    parts = [set(part) for part in nx.connected_components(graph)]
    return [part for part in parts if len({state for state, _ in part}) > 1]


def _places(node: str, network: Network) -> Iterator[Place]:
    for key in sorted(network.graph):
        if key.sort == "case":
            yield node, key.name
        elif key.sort == "foreign":
            yield key.of, key.name


def _recovered(planted: Planted, parts: list[set[Place]]) -> tuple[int, int, int]:
    """Planted networks that can be found, those that are whole in one component, and those in part."""
    part_of = {place: at for at, part in enumerate(parts) for place in part}
    findable = whole = partly = 0
    for identifiers in planted.networks:
        # An identifier that only one state wrote right joins no states: its cases cannot be found by it.
        places = {
            (state, case)
            for right in identifiers
            if sum(map(bool, right.values())) > 1
            for state, cases in right.items()
            for case in cases
        }
        findable += bool(places)
        within = [part_of[place] for place in places if place in part_of]
        if places and len(within) == len(places) and len(set(within)) == 1:
            whole += 1
        elif within:
            partly += 1
    return findable, whole, partly


def _owners(planted: Planted) -> dict[Place, int]:
    """Which planted network a case belongs to."""
    return {
        (state, case): number
        for number, identifiers in enumerate(planted.networks)
        for right in identifiers
        for state, cases in right.items()
        for case in cases
    }
