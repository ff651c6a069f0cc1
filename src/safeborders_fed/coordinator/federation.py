"""Asking nodes: what carries messages, and what a reply may be."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Protocol

from safeborders_fed.errors import PeerError
from safeborders_fed.study.messages import Message, Reason, Refusal, decode
from safeborders_fed.study.sums import wrong_reply

NOBODY: Final[Mapping[str, bytes]] = MappingProxyType({})
"""No requests."""
NO_REPLY: Final = "no-reply"


class Federation(Protocol):
    """Whatever carries messages to nodes and back."""

    def ask(self, requests: Mapping[str, bytes], optional: Mapping[str, bytes] = NOBODY) -> dict[str, bytes]:
        """Sends each node its request and returns the replies that came before the deadline.

        A late reply to an earlier call never appears.

        Args:
            requests: Node to its request: it returns when all of these have replied, or at the deadline.
            optional: Requests to further nodes. Their replies are among those returned if they came by then;
                nobody waits for them.
        """
        ...

    def online(self) -> frozenset[str]:
        """The nodes that seem to be connected: those that a further request is worth sending to."""
        ...


def reply_of(node: str, replies: Mapping[str, bytes]) -> Message:
    """The message that a node replied.

    Raises:
        PeerError: ``no-reply``, the reason of its refusal, ``wrong-reply``, or that of malformed bytes.
    """
    if node not in replies:
        raise PeerError(NO_REPLY, f"{node} did not reply in time", "look at the node")
    message = decode(replies[node])
    if isinstance(message, Refusal):
        if message.node != node:
            raise wrong_reply(node)
        if message.reason is Reason.CLOSED:
            raise PeerError(
                message.reason.value,
                f"{node} is {in_words(message.reason)}: it takes on no study now, and those under way go on",
                "ask the node's team when it is open, and launch the study then; nothing was spent",
            )
        raise PeerError(message.reason.value, f"{node} refused: {message.reason}", "ask the node's team")
    return message


def in_words(code: str) -> str:
    """A reason or code as an operator is told it among others."""
    return "closed, outside its opening hours" if code == Reason.CLOSED else code
