"""Asking nodes for a step of an exchange, and believing nothing that is not signed.

Guarantees: an answer counts only if it is of the node that was asked, to this exchange and step, of a kind
that the step permits, and signed under the node's key in the roster. Whatever else a node does is kept with
its name: it was silent, it refused, or it said something wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from safeborders_fed.coordinator.federation import NO_REPLY, Federation, reply_of
from safeborders_fed.errors import PeerError
from safeborders_fed.study.link_messages import LinkAnswer, LinkAsk, Said, Words, wrong_saying
from safeborders_fed.study.messages import Reason

NOTHING: Final[Mapping[str, Any]] = {}
_NO: Final = frozenset(reason.value for reason in Reason)


class Heard(NamedTuple):
    """A checked answer: what the node signed, its content, and the arrays beside it, still unchecked."""

    said: Said
    content: dict[str, Any]
    arrays: dict[str, Words]


class Trouble(NamedTuple):
    """What a node did instead of its step.

    Attributes:
        node: Which.
        step: The step that it was asked for.
        code: ``no-reply``, a reason of ``study.messages`` for a node that refuses, or what was wrong.
        cause: In words.
    """

    node: str
    step: str
    code: str
    cause: str

    @property
    def is_wrong(self) -> bool:
        """Whether the node said something that it must not say, and not just nothing."""
        return self.code != NO_REPLY and self.code not in _NO


@dataclass
class Caller:
    """Asks the nodes of an exchange.

    Attributes:
        federation: Carries messages.
        keys: Node to its key in the roster.
        exchange: The exchange.
        troubles: All that nodes did instead of their steps.
    """

    federation: Federation
    keys: Mapping[str, str]
    exchange: str
    troubles: list[Trouble] = field(default_factory=list)

    def ask(self, step: str, asks: Mapping[str, LinkAsk], *kinds: str) -> dict[str, Heard]:
        """Answers by node, of those that answered as the step wants it.

        Args:
            step: The step.
            asks: What each node is asked.
            kinds: Kinds of sayings that the step permits.
        """
        known = {node: ask.encode() for node, ask in asks.items() if node in self.keys}
        replies = self.federation.ask(known) if known else {}
        found = {}
        for node, ask in asks.items():
            try:
                found[node] = self._heard(node, ask, replies, kinds)
            except PeerError as error:
                self.note(node, step, error)
        return found

    def note(self, node: str, step: str, error: PeerError) -> None:
        """Keeps what a node did instead of its step."""
        self.troubles.append(Trouble(node, step, error.code, error.cause))

    def asking(
        self,
        step: str,
        content: Mapping[str, Any] = NOTHING,
        said: tuple[Said, ...] = (),
        arrays: Mapping[str, Words] | None = None,
        exchange: str | None = None,
    ) -> LinkAsk:
        """A request of this exchange, or of an earlier one."""
        return LinkAsk(exchange or self.exchange, step, said, dict(content), dict(arrays or {}))

    def code_of(self, node: str, step: str) -> str:
        """What a node last did instead of a step."""
        codes = [trouble.code for trouble in self.troubles if (trouble.node, trouble.step) == (node, step)]
        return codes[-1] if codes else ""

    def _heard(self, node: str, ask: LinkAsk, replies: Mapping[str, bytes], kinds: tuple[str, ...]) -> Heard:
        if node not in self.keys:
            raise PeerError(
                NO_REPLY, f"{node} is in the roster no more", "go on without it in the next epoch"
            )
        message = reply_of(node, replies)
        if not isinstance(message, LinkAnswer) or (message.exchange, message.step) != (
            ask.exchange,
            ask.step,
        ):
            raise wrong_saying(node, "the answer to another question")
        said = message.said
        if said.node != node:
            raise wrong_saying(node, f"what {said.node} says")
        if said.kind not in kinds:
            raise wrong_saying(node, f"a {said.kind!r} instead of {' or '.join(kinds)}")
        return Heard(said, said.content(self.keys[node], said.kind), message.arrays)
