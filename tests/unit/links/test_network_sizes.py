"""Labels and size classes across states: convergence, and what a letter can hold."""

import itertools
import random
from typing import Any

import networkx as nx
import pytest

from safeborders_fed.errors import PeerError
from safeborders_fed.links import network_sizes
from safeborders_fed.links.network import Lead, Mark, Network, networks
from safeborders_fed.links.network_sizes import Standing, Word, size_of

EPOCH = "2026"


class State:
    """One node with pieces, each of so many cases that share an identifier, and hits between pieces."""

    def __init__(self, name: str) -> None:
        self.name, self.key = name, name.encode() * 8
        self.marks: list[Mark] = []
        self.leads: list[Lead] = []
        self.hits: dict[str, str] = {}
        self.heard: dict[str, Word] = {}

    def piece(self, name: str, cases: int) -> None:
        self.marks += [
            Mark("phone", f"{name}-in", "exact", f"{self.name}-{name}-{at}", hash(name))
            for at in range(cases)
        ]

    def hit(self, other: "State", mine: str, theirs: str) -> None:
        name = f"{self.name}{mine}-{other.name}{theirs}"
        for one, two, own, far in ((self, other, mine, theirs), (other, self, theirs, mine)):
            one.marks.append(Mark("email", name, "exact", f"{one.name}-{own}-0", hash(name)))
            one.leads.append(Lead(two.name, name, "email", name, "exact", (f"{two.name}-{far}-0",)))
            one.hits[name] = two.name

    def pieces(self) -> tuple[Network, ...]:
        return networks(self.marks, self.leads, [])

    def standings(self) -> dict[str, Standing]:
        return {
            case.name: network_sizes.standing(piece, self.heard, key=self.key, epoch=EPOCH)
            for piece in self.pieces()
            if piece.hits
            for case in piece.of("case")
        }


def exchange(states: dict[str, State]) -> None:
    sent = {
        state.name: network_sizes.words(state.pieces(), state.heard, key=state.key, epoch=EPOCH)
        for state in states.values()
    }
    for sender, words in sent.items():
        for hit, word in words.items():
            to = states[states[sender].hits[hit]]
            to.heard[hit] = network_sizes.read(sender, word.model_dump())


def random_world(seed: int) -> tuple[dict[str, State], nx.Graph]:
    draw = random.Random(seed)
    states = {name: State(name) for name in ("BE", "BG", "FI", "GR", "IT")}
    pieces = [(name, f"p{at}") for name in states for at in range(3)]
    between = nx.Graph()
    between.add_nodes_from(pieces)
    for name, piece in pieces:
        states[name].piece(piece, draw.randint(1, 4))
    while between.number_of_edges() < 14:
        (one, mine), (two, theirs) = draw.sample(pieces, 2)
        if one != two and not between.has_edge((one, mine), (two, theirs)):
            between.add_edge((one, mine), (two, theirs))
            states[one].hit(states[two], mine, theirs)
    return states, between


@pytest.mark.parametrize("seed", range(4))
def test_after_diameter_exchanges_all_pieces_of_a_network_say_the_same(seed: int) -> None:
    states, between = random_world(seed)
    parts = list(nx.connected_components(between))
    for _ in range(max(nx.diameter(between.subgraph(part)) for part in parts)):
        exchange(states)
    said = {name: state.standings() for name, state in states.items()}
    labels = []
    for part in parts:
        found = {said[name][f"{name}-{piece}-0"] for name, piece in part if between.degree((name, piece))}
        assert len(found) <= 1
        labels += [each.label for each in found]
    assert len(set(labels)) == len(labels)  # two networks never say the same
    before = said
    exchange(states)
    assert {name: state.standings() for name, state in states.items()} == before


def test_a_chain_takes_as_many_exchanges_as_it_has_hits() -> None:
    states = {name: State(name) for name in ("BE", "BG", "FI", "GR")}
    for state in states.values():
        state.piece("p", 1)
    names = list(states)
    for one, two in itertools.pairwise(names):
        states[one].hit(states[two], "p", "p")
    labels = []
    for _ in range(4):
        labels.append({next(iter(state.standings().values())).label for state in states.values()})
        exchange(states)
    assert len(labels[0]) == 4
    assert len(labels[3]) == 1


def test_the_size_is_the_class_of_the_largest_view_and_never_more_than_there_is() -> None:
    states = {name: State(name) for name in ("BE", "BG")}
    states["BE"].piece("p", 12)
    states["BG"].piece("p", 2)
    states["BE"].hit(states["BG"], "p", "p")
    assert states["BG"].standings()["BG-p-0"].size == "2-3"
    exchange(states)
    assert states["BG"].standings()["BG-p-0"].size == "11-30"


@pytest.mark.parametrize(
    ("cases", "size"),
    [(2, "2-3"), (3, "2-3"), (4, "4-10"), (10, "4-10"), (11, "11-30"), (30, "11-30"), (31, "more")],
)
def test_size_classes(cases: int, size: str) -> None:
    assert size_of(cases) == size


def test_a_label_is_of_its_epoch_and_its_nodes_secret() -> None:
    state = State("BE")
    state.piece("p", 2)
    (piece,) = state.pieces()
    labels = {
        network_sizes.standing(piece, {}, key=key, epoch=epoch).label
        for key in (b"a" * 32, b"b" * 32)
        for epoch in ("2026", "2027")
    }
    assert len(labels) == 4


WORD: dict[str, Any] = {"label": "b" * 32, "size": "2-3"}


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        "word",
        {"label": "b" * 32},
        {**WORD, "label": "B" * 32},
        {**WORD, "label": "b" * 31},
        {**WORD, "size": "7"},
        {**WORD, "size": 7},
        {**WORD, "cases": 7},
    ],
)
def test_what_is_no_word_is_refused_and_not_shown(content: Any) -> None:
    with pytest.raises(PeerError) as refused:
        network_sizes.read("BG", content)
    assert refused.value.code == "bad-label"
    assert "7" not in str(refused.value)
