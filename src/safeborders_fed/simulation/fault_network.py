"""The network between a simulated coordinator and its nodes: it loses, doubles, delays and mixes messages.

Guarantees: what a node is sent was sent by the coordinator, unchanged; a reply reaches the coordinator within
the call that asked for it, or never, as the interface of a federation promises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from safeborders_fed.coordinator.federation import NOBODY
from safeborders_fed.simulation.fault_nodes import SimulatedNode


@dataclass(frozen=True)
class Letter:
    """A message on its way to a node, sent in a call of ``ask``."""

    call: int
    node: str
    data: bytes


class SimulatedFederation:
    """Carries messages, badly.

    Args:
        nodes: All nodes.
        random: Decides what becomes of each message.
        rate: How often a fault is drawn for a message, while there are faults left.
        fault: Told what goes wrong; whether there are faults left for it.
        between: Called between deliveries: anything may happen there.
        delivered: Called with a node, a request and the answer that leaves it.
    """

    def __init__(
        self,
        nodes: Mapping[str, SimulatedNode],
        random: Random,
        *,
        rate: float,
        fault: Callable[[str], bool],
        between: Callable[[], None],
        delivered: Callable[[SimulatedNode, bytes, bytes], None],
    ) -> None:
        self._nodes = nodes
        self._random = random
        self._rate = rate
        self._fault = fault
        self._between = between
        self._delivered = delivered
        self._late: list[Letter] = []
        self._call = 0

    def online(self) -> frozenset[str]:
        """The nodes that are up, as far as anybody can tell."""
        wrong = self._chance()
        return frozenset(name for name, node in self._nodes.items() if node.is_up != wrong)

    def ask(self, requests: Mapping[str, bytes], optional: Mapping[str, bytes] = NOBODY) -> dict[str, bytes]:
        """Delivers requests, and what is left of earlier ones; the replies that come in time."""
        self._call += 1
        letters = [Letter(self._call, node, data) for node, data in [*requests.items(), *optional.items()]]
        replies: dict[str, bytes] = {}
        for letter in self._arriving(letters):
            self._between()
            node = self._nodes[letter.node]
            answer = node.answer(letter.data)
            if answer is None:
                continue
            self._delivered(node, letter.data, answer)
            if letter.call == self._call and not self._lost(f"the reply of {letter.node} is lost"):
                replies.setdefault(letter.node, answer)
        self._between()
        return replies

    def _arriving(self, letters: list[Letter]) -> list[Letter]:
        """The letters that arrive in this call, in the order in which they do."""
        arriving: list[Letter] = []
        late: list[Letter] = []
        for letter in self._late:
            (arriving if self._random.random() < 0.5 else late).append(letter)
        for letter in letters:
            if self._lost(f"the request to {letter.node} is lost"):
                continue
            if self._lost(f"the request to {letter.node} is late"):
                late.append(letter)
                continue
            arriving.append(letter)
            if self._lost(f"the request to {letter.node} comes twice"):
                (arriving if self._random.random() < 0.5 else late).append(letter)
        self._late = late
        self._random.shuffle(arriving)
        return arriving

    def _chance(self) -> bool:
        return self._random.random() < self._rate

    def _lost(self, what: str) -> bool:
        return self._chance() and self._fault(what)
