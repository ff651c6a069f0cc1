"""New tokens: the coordinator carries each node's chunks to all nodes, and their shares back.

Guarantees: a chunk goes to all nodes of the epoch with the very arrays that its node signed, and its shares
go back only if all nodes gave theirs. Nobody is asked for a share twice with other arrays. Who refuses, and
why, and who gave a wrong share, is named: if a requester blames a node, the coordinator checks the proof for
itself, so that a false accusation falls back on whoever made it. When a node is silent, new tokens wait.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from safeborders_fed.coordinator.federation import NO_REPLY
from safeborders_fed.errors import DataError, PeerError
from safeborders_fed.links import oprf
from safeborders_fed.links.calling import Caller, Heard
from safeborders_fed.links.key_set import KeySet
from safeborders_fed.study.link_messages import Words, array_hash, to_rows, wrong_saying

MOST_POINTS: Final = 8192
"""In one chunk: eight arrays of shares of it are two million bytes."""
REASONS: Final = (
    "off",
    "not-approved",
    "policy",
    "quota",
    "replayed",
    "malformed",
    "epoch",
    "version",
    "unavailable",
)
_WORDS: Final = 4


class Refused(NamedTuple):
    """A node did not help with a chunk of another one.

    Attributes:
        requester: Whose chunk.
        by: The node.
        reason: One of ``REASONS``, or what it did instead of answering.
    """

    requester: str
    by: str
    reason: str


@dataclass
class BatchRounds:
    """The batches of an exchange.

    Attributes:
        caller: Asks nodes.
        epoch: The epoch.
        nodes: All its nodes.
        key_set: What they have pinned; None before, when no batch is carried.
        tell: Told after each round of chunks.
        points: Node to how many points of its were answered by all.
        refused: Who did not help whom.
        liars: Node to the node whose proof or accusation was false, in words.
    """

    caller: Caller
    epoch: str
    nodes: tuple[str, ...]
    key_set: KeySet | None
    tell: Callable[[Mapping[str, int]], None]
    points: dict[str, int] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)
    liars: dict[str, str] = field(default_factory=dict)
    _taken: set[str] = field(default_factory=set)

    def run(self) -> None:
        """Carries chunks until no node has one that can be answered."""
        left = set(self.nodes)
        while left:
            chunks = self._chunks(sorted(left))
            left &= chunks.keys()
            answered = {}
            for node, chunk in chunks.items():
                shares = self._evaluate(node, chunk) if self._all_there() else None
                if shares is None:
                    left.discard(node)
                else:
                    answered[node] = shares
            left -= self._hand_over(chunks, answered)
            if answered:
                self.tell(self.points)
            if not self._all_there():
                return

    def _all_there(self) -> bool:
        silent = {trouble.node for trouble in self.caller.troubles if trouble.code == NO_REPLY}
        return not silent & set(self.nodes)

    def _chunks(self, nodes: list[str]) -> dict[str, Heard]:
        """The next chunk of each node that has one."""
        heard = self.caller.ask(
            "batch", dict.fromkeys(nodes, self.caller.asking("batch")), "chunk", "nothing"
        )
        found = {}
        for node, answer in heard.items():
            if answer.said.kind == "nothing":
                continue
            try:
                self._check_chunk(node, answer)
                found[node] = answer
            except PeerError as error:
                self.caller.note(node, "batch", error)
        return found

    def _check_chunk(self, node: str, answer: Heard) -> None:
        if answer.content.get("epoch") != self.epoch:
            raise wrong_saying(node, "a chunk of another epoch")
        points = _only(node, answer, "points")
        if not 0 < len(points) <= MOST_POINTS or answer.content.get("count") != len(points):
            raise wrong_saying(node, "a chunk of another size than it signed, or too large")
        if answer.said.hash in self._taken:
            raise wrong_saying(node, "a chunk that it has taken already")

    def _evaluate(self, requester: str, chunk: Heard) -> dict[str, Heard] | None:
        """The shares of all nodes, or None."""
        ask = self.caller.asking("evaluate", said=(chunk.said,), arrays=chunk.arrays)
        heard = self.caller.ask("evaluate", dict.fromkeys(self.nodes, ask), "shares", "refused")
        found = {}
        for node in self.nodes:
            reason = ""
            if node not in heard:
                reason = self.caller.code_of(node, "evaluate")
            else:
                try:
                    reason = _check_share(node, heard[node], chunk)
                except PeerError as error:
                    self.caller.note(node, "evaluate", error)
                    reason = error.code
            if reason:
                self.refused.append(Refused(requester, node, reason))
            else:
                found[node] = heard[node]
        return found if len(found) == len(self.nodes) else None

    def _hand_over(self, chunks: Mapping[str, Heard], answered: Mapping[str, dict[str, Heard]]) -> set[str]:
        """Gives each requester the shares of its chunk; the requesters that did not take them."""
        asks = {
            node: self.caller.asking(
                "take",
                said=tuple(shares[each].said for each in self.nodes),
                arrays={f"shares-{each}": shares[each].arrays["shares"] for each in self.nodes},
            )
            for node, shares in answered.items()
        }
        heard, failed = self.caller.ask("take", asks, "taken"), set()
        for node in asks:
            answer, chunk = heard.get(node), chunks[node]
            if answer is None or answer.content.get("chunk") != chunk.said.hash:
                failed.add(node)
            elif answer.content.get("blamed") != []:
                self._judge(node, answer.content, chunk, answered[node])
                failed.add(node)
            else:
                self._taken.add(chunk.said.hash)
                self.points[node] = self.points.get(node, 0) + len(chunk.arrays["points"])
        return failed

    def _judge(
        self, requester: str, content: Mapping[str, Any], chunk: Heard, shares: Mapping[str, Heard]
    ) -> None:
        """Names who gave a share that is not under its key, or who says so falsely."""
        points = to_rows(chunk.arrays["points"])
        kind = str(chunk.content.get("type"))
        blamed = content.get("blamed")
        for node in blamed if isinstance(blamed, list) else [requester]:
            answer = shares.get(node) if isinstance(node, str) else None
            if answer is not None and not _holds(self.key_set, node, kind, points, answer):
                self.liars[node] = f"its shares for {requester} are not under the key that it published"
            else:
                self.liars[requester] = "it blamed another state for shares that are right"


def _holds(key_set: KeySet | None, node: str, kind: str, points: list[bytes], answer: Heard) -> bool:
    if key_set is None:
        return False
    try:
        proof = bytes.fromhex(str(answer.content.get("proof")))
        public = key_set.public(node, kind)
        return oprf.verify(public, points, to_rows(answer.arrays["shares"]), proof)
    except (DataError, ValueError):
        return False


def _check_share(node: str, answer: Heard, chunk: Heard) -> str:
    """Why a node did not help; empty if it did.

    Raises:
        PeerError: ``wrong-saying``.
    """
    if answer.content.get("chunk") != chunk.said.hash:
        raise wrong_saying(node, "shares of another chunk")
    if answer.said.kind == "refused":
        reason = answer.content.get("reason")
        if reason not in REASONS:
            raise wrong_saying(node, "a refusal for a reason that is none")
        return str(reason)
    if _only(node, answer, "shares").shape != chunk.arrays["points"].shape:
        raise wrong_saying(node, "shares of another number than the points")
    return ""


def _only(node: str, answer: Heard, name: str) -> Words:
    """The one array of an answer, if it is points, and those whose hash the node signed.

    Raises:
        PeerError: ``wrong-saying``.
    """
    if answer.arrays.keys() != {name}:
        raise wrong_saying(node, f"no {name}, or more than {name}")
    array = answer.arrays[name]
    if array.shape[1] != _WORDS or array_hash(array) != answer.content.get(name):
        raise wrong_saying(node, f"other {name} than it signed")
    return array
