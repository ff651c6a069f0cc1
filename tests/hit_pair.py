"""Two states with tokens, and a coordinator between them that tests let lie, lose and repeat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from link_offices import Clock, LinkNode, Person, Row, make_keys, nodes, run
from safeborders_fed.links.deciding import take_papers
from safeborders_fed.links.hits import publish
from safeborders_fed.node.approvals import approve
from safeborders_fed.node.hit_book import HitRow
from safeborders_fed.node.hit_papers import Act, HitPaper, HitPapers, subject_hash
from safeborders_fed.study.link_messages import LinkAnswer, LinkAsk, Said, to_rows

CONTACT = """
[contact]
unit = "National Unit for Organised Crime"
email = "unit@police.example"
phone = "+32 2 555 01 00"
"""
Hits = list[list[str]]


def case(number: int) -> str:
    """A case pseudonym."""
    return f"{number:032x}"


def rows(state: int, numbers: Sequence[int]) -> list[Row]:
    """Telephone numbers, each in a case of its own."""
    return [
        (f"{number:032x}", case(state * 10**6 + number), "phone", "Exploiter", f"+40 7{number:08d}")
        for number in numbers
    ]


@dataclass
class Pair:
    """BE and BG with a coordinator.

    Attributes:
        made: The nodes.
        clock: Their clock.
        sent: Every answer that left a node, in order.
        waiting: Letters that the coordinator holds for each node.
    """

    made: dict[str, LinkNode]
    clock: Clock
    sent: list[tuple[str, LinkAnswer]] = field(default_factory=list)
    waiting: dict[str, list[Said]] = field(default_factory=lambda: {"BE": [], "BG": []})
    tags: dict[str, dict[bytes, bytes]] = field(default_factory=lambda: {"BE": {}, "BG": {}})

    def ask(
        self, node: str, step: str, exchange: str = "x1", said: Sequence[Said] = (), **content: Any
    ) -> LinkAnswer:
        """One step at a node."""
        ask = LinkAsk(exchange, step, tuple(said), {"partner": other(node), **content})
        answer = self.made[node].desk.answer(ask)
        self.sent.append((node, answer))
        return answer

    def tag(self, exchange: str = "x1") -> None:
        """Both send their tags."""
        for node in self.made:
            answer = self.ask(node, "tags", exchange)
            arrays = answer.arrays
            self.tags[node] |= dict(zip(to_rows(arrays["tags"]), to_rows(arrays["handles"]), strict=True))

    def equal(self) -> list[tuple[str, str]]:
        """Handles at BE and BG of equal tags."""
        both = self.tags["BE"].keys() & self.tags["BG"].keys()
        return sorted((self.tags["BE"][tag].hex(), self.tags["BG"][tag].hex()) for tag in both)

    def tell(
        self,
        equal: Sequence[tuple[str, str]],
        exchange: str = "x1",
        change: Callable[[str, Said], Said | None] = lambda _, said: said,
    ) -> dict[str, LinkAnswer]:
        """Tells both of hits and has them verify; ``change`` may alter or drop what one said."""
        hits = {"BE": told("BG", equal), "BG": told("BE", [(theirs, own) for own, theirs in equal])}
        checks = {node: self.ask(node, "hits", exchange, hits=hits[node]) for node in self.made}
        for node in self.made:
            said = change(other(node), checks[other(node)].said)
            self.ask(node, "verify", exchange, () if said is None else (said,), hits=hits[node])
        return checks

    def post(self, rounds: int = 4, exchange: str = "x1") -> None:
        """Carries letters."""
        for _ in range(rounds):
            for node in self.made:
                said, self.waiting[node] = self.waiting[node], []
                answer = self.ask(node, "post", exchange, said).said
                if "sealed" in answer.text:
                    self.waiting[other(node)].append(answer)

    def book(self, node: str) -> list[HitRow]:
        """What a node shows of hits."""
        return self.made[node].office.hits.shown()

    def row(self, node: str) -> HitRow:
        """The one hit of a node."""
        (row,) = self.book(node)
        return row

    def sign(
        self, node: str, act: Act = "approve", word: str = "routine", people: int = 2, **paper: Any
    ) -> None:
        """People of a node sign about its one hit."""
        office, hit = self.made[node].office, self.row(node).id
        publish(office)
        for person in self.made[node].people[:people]:
            HitPapers(office.home).leave(signed(person, hit, act, word, self.clock, **paper))

    def take(self, node: str) -> None:
        """A node takes up what its people signed."""
        take_papers(self.made[node].office)

    def left(self) -> bytes:
        """All bytes that left the two nodes."""
        return b"".join(answer.encode() for _, answer in self.sent)

    def logged(self, node: str) -> list[str]:
        """Operations in a node's audit log."""
        return [entry.operation.value for entry in self.made[node].entries()]

    def alarms(self, node: str) -> list[str]:
        """Kinds of alarms about hits at a node."""
        return sorted(
            kind.removeprefix("hits-")
            for _, kind, _ in self.made[node].office.book.alarms()
            if kind.startswith("hits-")
        )


def signed(
    person: Person, hit: str, act: Act, word: str, clock: Clock, *, days: int = 90, **paper: Any
) -> HitPaper:
    """A paper about a hit."""
    approval = approve(
        person.key,
        name=person.name,
        subject="link-hit",
        subject_hash=subject_hash(hit, act, word),
        signed_at=clock(),
        expires=clock() + timedelta(days=days),
    )
    return HitPaper(hit=hit, act=act, word=word, approval=approval, **paper)


def other(node: str) -> str:
    """The other of the two."""
    return "BG" if node == "BE" else "BE"


def told(partner: str, handles: Sequence[tuple[str, str]]) -> Hits:
    """Hits as the coordinator tells them."""
    return [[partner, own, theirs] for own, theirs in handles]


def pair(
    directory: Path, be: Sequence[int] = (11, 12, 13), bg: Sequence[int] = (13, 14), **terms: Any
) -> Pair:
    """Two states with tokens for these telephone numbers, and contact points."""
    clock = Clock()
    made = nodes(directory, ("BE", "BG"), clock, **{"partners": ["BE", "BG"], **terms})
    made["BE"].cases.rows = rows(1, [number * 7_919_001 % 10**8 for number in be])
    made["BG"].cases.rows = rows(2, [number * 7_919_001 % 10**8 for number in bg])
    make_keys(made)
    for name, node in made.items():
        (node.office.home / "contact.toml").write_text(CONTACT, encoding="utf-8")
        if node.cases.rows:
            node.prepared()
            run(made, name)
    return Pair(made, clock)


def open_pair(directory: Path, **terms: Any) -> Pair:
    """Two states with one open hit."""
    found = pair(directory, **terms)
    found.tag()
    found.tell(found.equal())
    return found
