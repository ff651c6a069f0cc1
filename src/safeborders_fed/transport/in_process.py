"""Flower's grid in one process, without ray: for the demo, tests and simulations.

Guarantees: every message is serialised to Flower's wire bytes and read back in both directions, so nothing
passes here that could not pass between countries, and no object is shared between the two halves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import count

from flwr.app import Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.message_pb2 import Message as WireMessage
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from safeborders_fed.coordinator.federation import Federation
from safeborders_fed.node.participant import Participant
from safeborders_fed.transport.apps import coordinator_app, empty_context, node_app


def _over_the_wire(message: Message, identifier: str) -> Message:
    wire = message_to_proto(message)
    wire.metadata.message_id = identifier
    received: Message = message_from_proto(WireMessage.FromString(wire.SerializeToString()))
    return received


class InProcessGrid(Grid):
    """Calls node apps directly.

    Args:
        apps: Flower's node id to the node's app.
    """

    def __init__(self, apps: Mapping[int, ClientApp]) -> None:
        # A message asks for the identity of the task that makes it; a SuperLink would have set it.
        TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1
        self._apps = apps
        self._contexts = {node: empty_context(node) for node in apps}
        self._replies: dict[str, Message] = {}
        self._numbers = count(1)
        self._run = Run.create_empty(1)

    def set_run(self, run: Run) -> None:
        """Keeps Flower's description of the run."""
        self._run = run

    @property
    def run(self) -> Run:
        """Flower's description of the run."""
        return self._run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """A message to a node."""
        return Message(
            content, dst_node_id=dst_node_id, message_type=message_type, group_id=group_id, ttl=ttl
        )

    def get_node_ids(self) -> Iterable[int]:
        """All nodes: in one process none is offline."""
        return list(self._apps)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Delivers messages and keeps the replies; the identifiers to pull them by."""
        identifiers = []
        for message in messages:
            identifier = f"message-{next(self._numbers)}"
            node = message.metadata.dst_node_id
            received = _over_the_wire(message, identifier)
            reply = self._apps[node](message=received, context=self._contexts[node])
            self._replies[identifier] = _over_the_wire(reply, f"{identifier}-reply")
            identifiers.append(identifier)
        return identifiers

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """The replies that are there, each once."""
        return [self._replies.pop(identifier) for identifier in message_ids if identifier in self._replies]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Delivers messages; the replies to them."""
        del timeout  # nothing waits in one process
        return self.pull_messages(self.push_messages(messages))


def run_in_process(participants: Iterable[Participant], run: Callable[[Federation], None]) -> None:
    """Runs the coordinator's half ``run`` against node halves, all as Flower apps, in this process."""
    by_id = dict(enumerate(participants, start=2))  # Flower's SuperLink itself is node 1
    grid = InProcessGrid({node: node_app(participant) for node, participant in by_id.items()})
    names = {participant.node: [node] for node, participant in by_id.items()}
    coordinator_app(run, names)(grid=grid, context=empty_context(1))
