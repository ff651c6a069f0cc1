"""Tags, hits and letters: what the coordinator does pair by pair.

Guarantees: a state is asked about one partner at a time, and both of a pair in the same moment, so that
neither learns of a hit before the other; what it signs about one partner is passed on to this partner only.
The coordinator sees no token, no case and no content of a letter. A hit that one of the two did not verify
is told again in the next exchange; one that both verified never again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from safeborders_fed.errors import PeerError
from safeborders_fed.links.board import Hit, check_tags
from safeborders_fed.links.calling import Caller, Heard
from safeborders_fed.links.exchange_files import LinkFiles
from safeborders_fed.study.link_messages import MOST_SAID, LinkAsk, Said, wrong_saying

MOST_HITS: Final = 2048
"""In one request, so that the checks of all of them fit into one signed text."""
MOST_LETTER_ROUNDS: Final = 8
MOST_LETTERS: Final = 2**22
"""Characters of letters in one request: a quarter of the largest header."""
Pair = tuple[str, str]


def tournament(nodes: tuple[str, ...]) -> Iterator[tuple[Pair, ...]]:
    """All pairs of nodes, in rounds in each of which a node meets one other."""
    ring: list[str | None] = [*sorted(nodes), *([None] if len(nodes) % 2 else [])]
    for _ in range(len(ring) - 1):
        met = zip(ring[: len(ring) // 2], reversed(ring[len(ring) // 2 :]), strict=True)
        yield tuple(
            (min(one, other), max(one, other)) for one, other in met if one is not None and other is not None
        )
        ring = [ring[0], ring[-1], *ring[1:-1]]


@dataclass
class MatchingRounds:
    """Tags, hits and letters of an exchange.

    Attributes:
        caller: Asks nodes.
        files: The epoch.
        nodes: The nodes that are there.
        everybody: All nodes of the epoch: letters from or to one that is away are carried all the same.
        tell: Told of each step that is done, and how much it was.
        tags_taken: Tags that came in this exchange, padding included.
        hits: Pair, as ``BE-BG``, to hits told in this exchange.
        verified: Likewise, of those the ones that both states verified.
        letters: Signed texts with letters that were taken from nodes.
    """

    caller: Caller
    files: LinkFiles
    nodes: tuple[str, ...]
    everybody: tuple[str, ...]
    tell: Callable[[str, int], None]
    tags_taken: int = 0
    hits: dict[str, int] = field(default_factory=dict)
    verified: dict[str, int] = field(default_factory=dict)
    letters: int = 0

    def tags(self) -> None:
        """Takes the new tags of all pairs, and earlier ones whose answers were lost.

        Raises:
            ConfigurationError: as ``Board``.
        """
        here, board = self.caller.exchange, self.files.board
        for pairs in tournament(self.nodes):
            ways = [way for pair in pairs for way in (pair, pair[::-1])]
            names = {way: {*board.owed(*way), *([] if board.has(here, *way) else [here])} for way in ways}
            while left := {way: min(names[way]) for way in ways if names[way]}:
                self._ask_for_tags(left)
                for way, name in left.items():
                    names[way].discard(name)
        self.tell("tags", self.tags_taken)

    def _ask_for_tags(self, exchanges: Mapping[Pair, str]) -> None:
        """Asks states, each about one partner, for their tags of an exchange."""
        asks = {}
        for (node, partner), exchange in exchanges.items():
            self.files.board.asked(exchange, node, partner)
            asks[node] = self.caller.asking("tags", {"partner": partner}, exchange=exchange)
        heard = self.caller.ask("tags", asks, "tags")
        for (node, partner), exchange in exchanges.items():
            if node not in heard:
                continue
            said, content, arrays = heard[node]
            try:
                new = check_tags(node, content, arrays, partner=partner, epoch=self.files.epoch)
                self.files.board.take(exchange, partner, said, new)
            except PeerError as error:
                self.caller.note(node, "tags", error)
            else:
                self.tags_taken += len(new.tags)

    def match(self) -> None:
        """Tells both states of each pair of their hits, and has them verify. Raises as ``tags``."""
        for pairs in tournament(self.nodes):
            left = {pair: self.files.board.open_hits(*pair) for pair in pairs}
            here = self.caller.exchange
            left = {
                pair: hits
                for pair, hits in left.items()
                if hits or all(self.files.board.has(here, *way) for way in (pair, pair[::-1]))
            }
            while left:
                part = {pair: hits[:MOST_HITS] for pair, hits in left.items()}
                left = {pair: hits[MOST_HITS:] for pair, hits in left.items() if len(hits) > MOST_HITS}
                self._verify(part, frozenset(left))
        self.tell("hits", sum(self.hits.values()))

    def _verify(self, part: Mapping[Pair, list[Hit]], more: frozenset[Pair]) -> None:
        contents = {}
        for (first, second), hits in part.items():
            last = (first, second) not in more
            contents[first] = _hits(second, hits, last=last)
            contents[second] = _hits(first, [Hit(*reversed(hit)) for hit in hits], last=last)
            name = f"{first}-{second}"
            self.hits[name] = self.hits.get(name, 0) + len(hits)
        asks = {node: self.caller.asking("hits", content) for node, content in contents.items()}
        checks = self.caller.ask("hits", asks, "checks")
        ready = [pair for pair in part if checks.keys() >= set(pair)]
        asks = {
            node: self.caller.asking("verify", contents[node], (checks[other].said,))
            for first, second in ready
            for node, other in ((first, second), (second, first))
        }
        verified = self.caller.ask("verify", asks, "verified")
        for first, second in ready:
            if verified.keys() >= {first, second}:
                self.files.board.settle(first, second, part[first, second])
                name = f"{first}-{second}"
                self.verified[name] = self.verified.get(name, 0) + len(part[first, second])

    def post(self) -> None:
        """Carries letters until none are left, a few rounds at most. Raises as ``tags``."""
        for _ in range(MOST_LETTER_ROUNDS):
            if not sum(self._carry(pairs) for pairs in tournament(self.everybody)):
                break
        self.tell("post", self.letters)

    def _carry(self, pairs: tuple[Pair, ...]) -> int:
        """Gives both of each pair the letters of the other, and takes theirs; how many were new."""
        given: dict[str, list[Said]] = {}
        asks: dict[str, LinkAsk] = {}
        for node, partner in (way for pair in pairs for way in (pair, pair[::-1])):
            if node not in self.nodes:
                continue
            given[node] = at_once(said for said in self.files.waiting(node) if said.node == partner)
            asks[node] = self.caller.asking("post", {"partner": partner}, tuple(given[node]))
        heard = self.caller.ask("post", asks, "letters")
        moved = 0
        for node, answer in heard.items():
            self.files.given(node, given[node])
            try:
                new = self._take(node, answer)
            except PeerError as error:
                self.caller.note(node, "post", error)
                continue
            self.letters += new
            moved += new + len(given[node])
        return moved

    def _take(self, node: str, answer: Heard) -> int:
        """Keeps the letters of an answer for their addressees; how many texts were new."""
        letters = answer.content.get("letters")
        if not isinstance(letters, list) or not all(isinstance(letter, dict) for letter in letters):
            raise wrong_saying(node, "letters that are none")
        addressees = sorted({str(letter.get("to")) for letter in letters})
        if not set(addressees) <= self.caller.keys.keys() - {node}:
            raise wrong_saying(node, "letters to somebody who takes no part")
        return sum(self.files.post(to, answer.said) for to in addressees)


def at_once(letters: Iterable[Said]) -> list[Said]:
    """The first of these texts, as many as one request takes; one at least. The others wait."""
    found: list[Said] = []
    size = 0
    for said in letters:
        size += len(said.text)
        if found and (size > MOST_LETTERS or len(found) == MOST_SAID):
            break
        found.append(said)
    return found


def _hits(partner: str, hits: list[Hit], *, last: bool) -> dict[str, Any]:
    rows = [[partner, own.hex(), theirs.hex()] for own, theirs in hits]
    return {"partner": partner, "hits": rows, "last": last}
