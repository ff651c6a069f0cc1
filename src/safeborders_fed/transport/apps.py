"""The two halves as Flower apps. The same apps run in one process and under SuperLink and SuperNodes.

Guarantees: a Flower message carries one byte string, an encoded message of ``study.messages``, and nothing
else. The node's app sends only what its ``Participant`` lets out; an exception never becomes a reply.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from safeborders_fed.coordinator.federation import NOBODY, Federation
from safeborders_fed.errors import PeerError
from safeborders_fed.node.participant import Participant
from safeborders_fed.transport.pacing import at_once

_RECORD: Final = "safeborders"
_BYTES: Final = "message"
_ACTION: Final = "round"
_TYPE: Final = f"query.{_ACTION}"
_POLL_SECONDS: Final = 0.3


def pack(data: bytes) -> RecordDict:
    """A record that holds the bytes of one message."""
    return RecordDict({_RECORD: ConfigRecord({_BYTES: data})})


def unpack(content: RecordDict) -> bytes:
    """The bytes of the one message that a record holds.

    Raises:
        PeerError: ``malformed-record``.
    """
    record = content.get(_RECORD)
    data = record.get(_BYTES) if isinstance(record, ConfigRecord) and len(content) == 1 else None
    if not isinstance(data, bytes):
        raise PeerError(
            "malformed-record",
            "a Flower message does not hold one message of this protocol",
            "install the same version on both sides",
        )
    return data


def node_app(participant: Participant, pace: Callable[[float, float], None] = at_once) -> ClientApp:
    """The node's half: answers rounds.

    Args:
        participant: The node.
        pace: Told when a request arrived and the tick of its answer; returns when the answer may leave.
    """
    app = ClientApp()

    def answer(message: Message, context: Context) -> Message:
        del context
        received = time.monotonic()
        try:
            data = unpack(message.content)
        except PeerError:
            data = b""  # the participant refuses it as malformed, like any other bytes
        outgoing = participant.answer(data)
        pace(received, outgoing.tick)
        return Message(pack(outgoing.data), reply_to=message)

    app.query(_ACTION)(answer)
    return app


class FlowerFederation:
    """Carries requests over a Flower grid.

    Args:
        grid: In process or of a SuperLink.
        nodes: Node name to Flower's node id.
        timeout: Seconds after which a node counts as silent.
    """

    def __init__(self, grid: Grid, nodes: Mapping[str, int], timeout: float) -> None:
        self._grid = grid
        self._nodes = nodes
        self._timeout = timeout

    def ask(self, requests: Mapping[str, bytes], optional: Mapping[str, bytes] = NOBODY) -> dict[str, bytes]:
        """Sends each node its request; the replies by node, without those that failed or came too late."""
        names = {self._nodes[node]: node for node in [*requests, *optional]}
        messages = [
            Message(pack(data), dst_node_id=self._nodes[node], message_type=_TYPE, ttl=self._timeout)
            for node, data in [*requests.items(), *optional.items()]
        ]
        deadline = time.monotonic() + self._timeout
        waiting = set(self._grid.push_messages(messages))
        heard: set[str] = set()
        replies: dict[str, bytes] = {}
        while True:
            for reply in self._grid.pull_messages(waiting):
                waiting.discard(reply.metadata.reply_to_message_id)
                node = names.get(reply.metadata.src_node_id)
                if node is None:
                    continue
                heard.add(node)
                if node not in replies and reply.has_content():
                    with suppress(PeerError):  # the round loop counts the node as one that did not reply
                        replies[node] = unpack(reply.content)
            if heard >= requests.keys() or time.monotonic() >= deadline:
                return replies
            time.sleep(_POLL_SECONDS)

    def online(self) -> frozenset[str]:
        """The nodes that the grid knows."""
        known = set(self._grid.get_node_ids())
        return frozenset(name for name, node in self._nodes.items() if node in known)


def coordinator_app(
    run: Callable[[Federation], None], nodes: Mapping[str, int], timeout: float = 600.0
) -> ServerApp:
    """The coordinator's half: calls ``run`` with the federation that the grid reaches."""
    app = ServerApp()

    def main(grid: Grid, context: Context) -> None:
        del context
        run(FlowerFederation(grid, nodes, timeout))

    app.main()(main)
    return app


def empty_context(node: int) -> Context:
    """A context without configuration: nothing that matters comes from Flower's run configuration."""
    configuration: dict[str, Any] = {}
    return Context(
        run_id=1, node_id=node, node_config=configuration, state=RecordDict(), run_config=configuration
    )
