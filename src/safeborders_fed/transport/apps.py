"""The two halves as Flower apps. The same apps run in one process and under SuperLink and SuperNodes.

Guarantees: a Flower message carries one byte string, an encoded message of ``study.messages``, and nothing
else. The node's app sends only what its ``Participant`` lets out; an exception never becomes a reply.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid, ServerApp

from safeborders_fed.coordinator.federation import NOBODY, Federation
from safeborders_fed.errors import PeerError
from safeborders_fed.node.participant import Participant
from safeborders_fed.transport.pacing import at_once

LOG: Final = logging.getLogger(__name__)
_POLL_SECONDS: Final = 0.15
_SECONDS_BETWEEN_LOOKS: Final = 2.0
_SECONDS_TO_ASK_AGAIN: Final = 15.0
_GRACE_SECONDS: Final = 5.0
_RECORD: Final = "safeborders"
_BYTES: Final = "message"
_ACTION: Final = "round"
_TYPE: Final = f"query.{_ACTION}"


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

    A request that a node took and lost (its process was killed, or its connection broke over it) is sent
    again when the node is there: nodes answer the same request with the same bytes. A node that SuperLink
    counts as gone is not waited for, but for the first seconds of a service: after a coordinator was away,
    nodes that it still counts as connected, or counts as gone, are about to connect again.

    Args:
        grid: In process or of a SuperLink.
        nodes: Node name to Flower's numbers of it, the newest last: two while its key is renewed. It
            may change meanwhile.
        deadline: Seconds after which a node counts as silent.
        clock: Seconds of a clock that only goes forward.
        sleep: Waits so many seconds.
        settled: Time of the clock from which on nodes that are gone are gone.
    """

    def __init__(
        self,
        grid: Grid,
        nodes: Mapping[str, Sequence[int]],
        deadline: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        settled: float = -math.inf,
    ) -> None:
        self._grid = grid
        self._nodes = nodes
        self._deadline = deadline
        self._patience = min(_SECONDS_TO_ASK_AGAIN, deadline / 2)
        self._clock = clock
        self._sleep = sleep
        self._settled = settled

    def online(self) -> frozenset[str]:
        """Names of the nodes that SuperLink counts as connected."""
        there = set(self._grid.get_node_ids())
        return frozenset(node for node, numbers in self._nodes.items() if there & set(numbers))

    def ask(self, requests: Mapping[str, bytes], optional: Mapping[str, bytes] = NOBODY) -> dict[str, bytes]:
        """Sends each node its request; the replies by node, without those that failed or came too late.

        Args:
            requests: Node to request. All of them are waited for until the deadline.
            optional: Likewise, but nobody waits for these.
        """
        waiting = {**requests, **optional}
        sent = self._send(waiting)
        replies: dict[str, bytes] = {}
        began = looked = self._clock()
        asked = dict.fromkeys(waiting, began)
        while True:
            for node, data, gone in self._pull(sent):
                if gone and self._clock() < self._settled:
                    asked[node] = -math.inf  # to be asked as soon as it is there
                    continue
                if waiting.pop(node, None) is None or data is None:
                    continue  # a second answer to what was asked again, or none
                replies[node] = data
            now = self._clock()
            if not waiting.keys() & requests.keys() or now - began >= self._deadline:
                return replies
            if now - looked >= _SECONDS_BETWEEN_LOOKS:
                looked = now
                there = self.online()
                if now > max(began + _GRACE_SECONDS, self._settled):
                    waiting = {node: data for node, data in waiting.items() if node in there}
                again = {n: d for n, d in waiting.items() if n in there and now - asked[n] >= self._patience}
                asked |= dict.fromkeys(again, now)
                sent |= self._send(again)
            self._sleep(_POLL_SECONDS)

    def _send(self, requests: Mapping[str, bytes]) -> dict[str, str]:
        """Sends; identifier of each message to the node it is for."""
        if not requests:
            return {}
        there, nodes = set(self._grid.get_node_ids()), dict(self._nodes.items())
        names = [node for node in requests if node in nodes]
        messages = [
            Message(
                pack(requests[node]),
                dst_node_id=_newest(nodes[node], there),
                message_type=_TYPE,
                ttl=self._deadline,
            )
            for node in names
        ]
        identifiers = self._grid.push_messages(messages) if messages else []
        return {identifier: node for identifier, node in zip(identifiers, names, strict=True) if identifier}

    def _pull(self, sent: dict[str, str]) -> Iterator[tuple[str, bytes | None, bool]]:
        """Replies that have come, each once; None for one that is no message of this protocol.

        The third is whether it is SuperLink's, about a node that it counts as gone.
        """
        if not sent:
            return
        for reply in self._grid.pull_messages(list(sent)):
            node = sent.pop(reply.metadata.reply_to_message_id, None)
            if node is None:
                continue
            if reply.has_error():
                LOG.warning("%s: %s", node, reply.error.reason)
                yield node, None, reply.error.code == ErrorCode.NODE_UNAVAILABLE
                continue
            try:
                yield node, unpack(reply.content), False
            except PeerError:
                yield node, None, False  # the round loop counts the node as one that did not reply


def _newest(numbers: Sequence[int], there: set[int]) -> int:
    """The newest number of a node that is connected, or the newest."""
    return next((number for number in reversed(numbers) if number in there), numbers[-1])


def coordinator_app(
    run: Callable[[Federation], None], nodes: Mapping[str, Sequence[int]], deadline: float = 600.0
) -> ServerApp:
    """The coordinator's half: calls ``run`` with the federation that the grid reaches."""
    app = ServerApp()

    def main(grid: Grid, context: Context) -> None:
        del context
        run(FlowerFederation(grid, nodes, deadline))

    app.main()(main)
    return app


def empty_context(node: int) -> Context:
    """A context without configuration: nothing that matters comes from Flower's run configuration."""
    configuration: dict[str, Any] = {}
    return Context(
        run_id=1, node_id=node, node_config=configuration, state=RecordDict(), run_config=configuration
    )
