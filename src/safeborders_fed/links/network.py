"""Networks at one node: its own cases joined by shared identifiers, and with hits in other states.

Own cases are joined by their victims (one victim in two cases) and by identifiers in normal form that stand
in both. A hit that both states approved joins the own cases that hold its identifier with the other state.

Guarantees:

- Nothing but pseudonyms: a node of the graph is a pseudonym of the case store, a keyed digest of an
  identifier, or what the other state calls its case or hit. No name, identifier or national key can be in it,
  since none is in what it is made of.
- Forms of one value are one identifier, so that two readings of a name do not pass for two links.
- Weak links are never alone. A form is weak if it is one of several readings, or too common to mean one thing
  (``links.normalise``). A weak form joins nothing by itself; two cases are joined by weak forms only if they
  share such forms of **two different types** of identifier, as a company's name and a swapped date of birth:
  two weak forms of one type may be two readings of one value. Such a join is an edge of its own between these
  two cases, so that a third that shares one of the two forms is not drawn in. A weak hit joins nothing: what
  it would have to agree with lies in another state. A weak form that stands in more than ``MOST_WEAK`` cases
  is taken for no link at all.
- A cut point is what a network falls apart without: into parts that hold a case here or elsewhere each. The
  identifier that holds a network together is the cut point whose loss leaves the smallest largest part.
- People are not ranked in small networks: below ``LEAST_RANKED`` nodes a victim, or an identifier of a
  person, is a cut point among others, in the order of its pseudonym, without a figure, and never the one that
  holds the network together. In few nodes such an order says where files were kept, not who matters.
- The same input gives the same networks in the same order, whatever order it comes in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final, Literal

import networkx as nx  # type: ignore[import-untyped]  # the package ships no types

LEAST_RANKED: Final = 30
MOST_WEAK: Final = 50
WEAK: Final = "weak"
PERSON: Final = "person"
Graph = Any
"""``networkx.Graph`` of keys, which is typed in no package."""
Sort = Literal["case", "victim", "identifier", "foreign"]


@dataclass(frozen=True, order=True, slots=True)
class Key:
    """A node of a network.

    Attributes:
        sort: What it is.
        name: Its pseudonym; of what is in another state, that of the case, or the handle of the hit.
        of: Type of an identifier; the other state; empty for what is this state's own.
    """

    sort: Sort
    name: str
    of: str = ""

    @property
    def is_person(self) -> bool:
        """Whether it stands for one person."""
        return self.sort == "victim" or (self.sort == "identifier" and self.of == PERSON)

    @property
    def is_end(self) -> bool:
        """Whether it is something that can be joined: a case of this state, or of another."""
        return self.sort in ("case", "foreign")


@dataclass(frozen=True, slots=True)
class Mark:
    """One form of an identifier in one case.

    Attributes:
        kind: Type of the identifier.
        digest: Of the form, hexadecimal.
        strength: ``exact``, ``strong`` or ``weak``.
        case: Pseudonym of the case.
        value: Tells the values of the files apart: forms of one value have the same.
    """

    kind: str
    digest: str
    strength: str
    case: str
    value: int


@dataclass(frozen=True, slots=True)
class Lead:
    """A hit that both states approved.

    Attributes:
        partner: The other state.
        handle: The hit's own handle, hexadecimal.
        kind: Type of the identifier.
        digest: Of the form here, hexadecimal.
        strength: ``exact``, ``strong`` or ``weak``.
        cases: What the other state calls its cases, once its record is here.
    """

    partner: str
    handle: str
    kind: str
    digest: str
    strength: str
    cases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cut:
    """What a network falls apart without.

    Attributes:
        key: The node.
        parts: How many cases, here and elsewhere, each part has then, largest first; empty where that is
            not said.
    """

    key: Key
    parts: tuple[int, ...]


@dataclass(frozen=True)
class Network:
    """One component.

    Attributes:
        number: From 1; larger networks first.
        graph: Its nodes and edges; an edge has ``weak``, the types that join two cases, or nothing.
        cuts: Cut points that are no people, those that matter most first; then people.
        bridges: Edges without which it falls apart, in order.
        held_by: The identifier that holds it together; None if no single one does.
        hits: Handles of the hits that reach into it.
    """

    number: int
    graph: Graph
    cuts: tuple[Cut, ...]
    bridges: tuple[tuple[Key, Key], ...]
    held_by: Key | None
    hits: frozenset[str]

    def of(self, sort: Sort) -> tuple[Key, ...]:
        """Its nodes of one sort, in order."""
        return tuple(sorted(key for key in self.graph if key.sort == sort))

    @property
    def partners(self) -> tuple[str, ...]:
        """The other states that it reaches."""
        return tuple(sorted({key.of for key in self.of("foreign")}))

    @property
    def ranks_people(self) -> bool:
        """Whether it is large enough for figures beside people."""
        return len(self.graph) >= LEAST_RANKED


def networks(
    marks: Iterable[Mark], leads: Iterable[Lead], victims: Iterable[tuple[str, str]]
) -> tuple[Network, ...]:
    """All networks: components in which an identifier joins two cases, or a case with a hit.

    Args:
        marks: The forms of identifiers in the node's own cases.
        leads: Hits that both states approved.
        victims: Pairs of victim and case.
    """
    marks, leads = set(marks), set(leads)
    whole = _identifiers(marks)
    graph = _graph(marks, leads, set(victims), whole)
    reaching: dict[Key, set[str]] = defaultdict(set)
    for lead in leads:
        if lead.strength != WEAK and _form(lead) in whole:
            reaching[whole[_form(lead)]].add(lead.handle)
    found = [part for part in nx.connected_components(graph) if _is_joined(graph, part)]
    found.sort(key=lambda part: (-len(part), min(part)))
    return tuple(
        _network(number, graph, part, frozenset().union(*(reaching.get(key, set()) for key in part)))
        for number, part in enumerate(found, start=1)
    )


def _graph(marks: set[Mark], leads: set[Lead], victims: set[tuple[str, str]], whole: dict[Key, Key]) -> Graph:
    """The whole graph, nodes and edges in order."""
    edges: dict[tuple[Key, Key], str] = {}
    for identifier, ends in _ends(marks, leads, whole).items():
        if len(ends) > 1:  # what stands in one place joins nothing
            edges |= {(end, identifier): "" for end in ends}
    edges |= _weak_edges(marks)
    edges |= {(Key("case", case), Key("victim", victim)): "" for victim, case in victims}
    graph = nx.Graph()
    graph.add_nodes_from(sorted({key for edge in edges for key in edge}))
    for (one, other), kinds in sorted(edges.items()):
        graph.add_edge(one, other, weak=kinds)
    return graph


def _ends(marks: set[Mark], leads: set[Lead], whole: dict[Key, Key]) -> dict[Key, set[Key]]:
    """Where each identifier stands by its firm forms, of which those of one value are one."""
    found: dict[Key, set[Key]] = defaultdict(set)
    for mark in marks:
        if mark.strength != WEAK:
            found[whole[_form(mark)]].add(Key("case", mark.case))
    for lead in sorted(leads, key=lambda lead: (not lead.cases, lead.partner, lead.handle)):
        identifier = whole.get(_form(lead))
        if lead.strength == WEAK or identifier is None:
            continue
        known = [Key("foreign", case, lead.partner) for case in lead.cases]
        # Two hits on forms of one value, without a record, may be one case there: they count as one.
        seen = any(end.of == lead.partner for end in found[identifier])
        found[identifier].update(known or ([] if seen else [Key("foreign", lead.handle, lead.partner)]))
    return found


def _form(of: Mark | Lead) -> Key:
    return Key("identifier", of.digest, of.kind)


def _identifiers(marks: set[Mark]) -> dict[Key, Key]:
    """For each firm form the one that stands for all firm forms of the same value, over all files."""
    values: dict[int, set[Key]] = defaultdict(set)
    for mark in marks:
        if mark.strength != WEAK:
            values[mark.value].add(_form(mark))
    alike = nx.Graph()
    for forms in values.values():
        first, *others = sorted(forms)
        alike.add_node(first)
        alike.add_edges_from((first, other) for other in others)
    return {form: min(same) for same in nx.connected_components(alike) for form in same}


def _weak_edges(marks: set[Mark]) -> dict[tuple[Key, Key], str]:
    """Pairs of cases that share forms, weak in one of them at least, of two types or more."""
    firm: dict[Key, set[Key]] = defaultdict(set)
    weak: dict[Key, set[Key]] = defaultdict(set)
    for mark in marks:
        (weak if mark.strength == WEAK else firm)[_form(mark)].add(Key("case", mark.case))
    shared: dict[tuple[Key, Key], set[str]] = defaultdict(set)
    for form, cases in weak.items():
        sure = firm[form]
        if not 1 < len(cases | sure) <= MOST_WEAK:
            continue
        for pair in combinations(sorted(cases | sure), 2):
            if not sure.issuperset(pair):
                shared[pair].add(form.of)
    return {pair: " and ".join(sorted(kinds)) for pair, kinds in shared.items() if len(kinds) > 1}


def _is_joined(graph: Graph, part: set[Key]) -> bool:
    """Whether anything but a file of this state itself joins it."""
    return any(key.sort == "identifier" for key in part) or any(
        kinds for _, _, kinds in graph.subgraph(part).edges(data="weak")
    )


def _network(number: int, whole: Graph, part: set[Key], hits: frozenset[str]) -> Network:
    graph = nx.Graph()
    graph.add_nodes_from(sorted(part))
    edges = ((*_in_order(one, other), kinds) for one, other, kinds in whole.subgraph(part).edges(data="weak"))
    for one, other, kinds in sorted(edges):
        graph.add_edge(one, other, weak=kinds)
    cuts = _cuts(graph)
    held_by = next((cut.key for cut in cuts if cut.key.sort == "identifier" and cut.parts), None)
    bridges = sorted(_in_order(one, other) for one, other in nx.bridges(_without_leaves(graph)))
    return Network(number, graph, cuts, tuple(bridges), held_by, hits)


def _in_order(one: Key, other: Key) -> tuple[Key, Key]:
    return (one, other) if one < other else (other, one)


def _without_leaves(graph: Graph) -> Graph:
    """Without victims of one case: no network falls apart for want of them, nor at the case that has them."""
    return graph.subgraph([key for key in graph if key.sort != "victim" or graph.degree(key) > 1])


def _cuts(graph: Graph) -> tuple[Cut, ...]:
    """Cut points in order: what is no person by the largest part that is left, then people."""
    core = _without_leaves(graph)
    ranks_people = len(graph) >= LEAST_RANKED
    found = []
    for key in sorted(nx.articulation_points(core)):
        parts = _parts(core, key)
        if len(parts) > 1:
            found.append(Cut(key, parts if ranks_people or not key.is_person else ()))
    return tuple(sorted(found, key=_rank))


def _parts(core: Graph, key: Key) -> tuple[int, ...]:
    """Cases of each part that is left without a node, largest first."""
    left = core.subgraph([other for other in core if other != key])
    sizes = (sum(other.is_end for other in part) for part in nx.connected_components(left))
    return tuple(sorted(filter(None, sizes), reverse=True))


def _rank(cut: Cut) -> tuple[bool, int, Key]:
    return not cut.parts, cut.parts[0] if cut.parts else 0, cut.key


def graphml(found: Sequence[Network]) -> bytes:
    """All networks as GraphML, for tools of analysts: pseudonyms, types and states, and nothing else."""
    graph = nx.Graph()
    for network in found:
        names = {key: f"n{network.number}.{at}" for at, key in enumerate(network.graph)}
        bridges = set(network.bridges)
        cuts = {cut.key for cut in network.cuts}
        for key, name in names.items():
            graph.add_node(
                name,
                network=network.number,
                sort=key.sort,
                pseudonym=key.name,
                of=key.of,
                cut_point=key in cuts,
            )
        for one, other, kinds in network.graph.edges(data="weak"):
            bridge = _in_order(one, other) in bridges
            graph.add_edge(names[one], names[other], bridge=bridge, weak=kinds)
    return ("\n".join(nx.generate_graphml(graph)) + "\n").encode("utf-8")
