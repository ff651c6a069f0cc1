"""A node's link to the federation: Flower's SuperNode protocol, and nothing of Flower's that runs code.

The process that runs this holds the node's transport key and no case data. It pulls messages of Flower's
fleet protocol with Flower's own client, hands their bytes to the executor (``transport.executor``) and sends
the replies.

Guarantees:

- The app bundle of a run is never fetched, let alone run. A run that names another bundle than the pinned one
  gets an error without the executor hearing of it.
- What is sent is what the executor let out, an error with a fixed text and an incident number, or Flower's
  own bookkeeping. No exception text leaves.
- It reconnects by itself, with patience: a coordinator that is away is asked again every few seconds, and a
  message in hand is not given up meanwhile (``transport.patience``).
- If the executor dies over a message, the message is handed to the next one: nodes answer the same attempt
  with the same bytes, so nothing is lost or charged twice.
- What was asked again while the answer was being made gets that answer at once: impatience at the other
  end must not make a queue here.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeVar, cast

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Error, Message
from flwr.app.message import remove_content_from_message
from flwr.common.constant import ErrorCode
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.fleet_pb2 import (
    ActivateNodeRequest,
    DeactivateNodeRequest,
    PullMessagesRequest,
    PushMessagesRequest,
)
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.message_pb2 import (
    ConfirmMessageReceivedRequest,
    ObjectTree,
    PullObjectRequest,
    PushObjectRequest,
)
from flwr.proto.node_pb2 import Node
from flwr.proto.run_pb2 import GetRunRequest
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    iterate_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.interceptors.http.runtime_version import RuntimeVersionHttpInterceptor
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supercore.task_identity import TaskIdentity
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from safeborders_fed.errors import PeerError
from safeborders_fed.study.wire import PROTOCOL
from safeborders_fed.transport.apps import pack, unpack
from safeborders_fed.transport.bundle import bundle_hash
from safeborders_fed.transport.pace import Pace
from safeborders_fed.transport.patience import patiently

LOG: Final = logging.getLogger(__name__)

HEARTBEAT_SECONDS: Final = 8.0
HEARTBEAT_INTERVAL: Final = 10.0
"""What SuperLink is told, the shortest that it takes.

After twice as long without one, a node counts as gone.
"""
_LONGEST_WAIT: Final = 5.0
_MOST_BYTES: Final = 64 * 2**20
Request = TypeVar("Request")
Reply = TypeVar("Reply")


class Executor(Protocol):
    """Whoever answers: in another process (``transport.executor.ExecutorClient``)."""

    def answer(self, data: bytes, meanwhile: Callable[[], None]) -> bytes:
        """The bytes that may leave in answer; ``meanwhile`` is called now and then.

        Raises:
            PeerError: ``executor-failed``, when no executor answered within its limits.
        """
        ...


@dataclass(frozen=True)
class LinkSettings:
    """How a node reaches its coordinator.

    Attributes:
        node: Name of the node.
        address: ``host:port`` of the gate.
        ca_certificate: PEM by which the gate is known.
        key: The node's transport key.
        state: File that remembers Flower's number of this node.
        bundles: Hashes of app bundles besides the one of this version.
    """

    node: str
    address: str
    ca_certificate: bytes
    key: ec.EllipticCurvePrivateKey
    state: Path
    bundles: frozenset[str] = frozenset()


class Link:
    """One connection to SuperLink.

    Args:
        settings: Where to and as whom.
        executor: Who answers.
        tell: Told when the state of the connection changes: a word and a sentence.
    """

    def __init__(self, settings: LinkSettings, executor: Executor, tell: Callable[[str, str], None]) -> None:
        self._settings = settings
        self._executor = executor
        self._tell = tell
        self._public = public_key_to_bytes(settings.key.public_key())
        self._pinned = settings.bundles | {bundle_hash()}
        self._runs: dict[int, bool] = {}
        self._given: tuple[bytes, bytes] | None = None
        self._node: Node | None = None
        self._beat = 0.0
        self._stopped: Callable[[], bool] = lambda: False
        self._client = FleetHttpClient.from_server_address(
            settings.address,
            insecure=False,
            root_certificates=settings.ca_certificate,
            interceptors=[
                RuntimeVersionHttpInterceptor(component_name="SuperNode"),
                NodeAuthHttpInterceptor(settings.key, settings.key.public_key()),
            ],
        )

    def run(self, stopped: Callable[[], bool]) -> None:
        """Serves until told to stop."""
        self._stopped = stopped
        waits = 0
        while not stopped():
            try:
                self._activate()
                waits = 0
                self._serve(stopped)
            except (httpx.TransportError, httpx.HTTPStatusError, PeerError) as error:
                self._tell("disconnected", _explain(error))
                waits += 1
                _sleep(min(0.5 * 2**waits, _LONGEST_WAIT), stopped)
        self._deactivate()

    def _activate(self) -> None:
        """Takes the node's place. One that a killed process left is given up first, or it would be taken."""
        left = self._remembered()
        if left is not None:
            try:
                self._client.DeactivateNode(DeactivateNodeRequest(node_id=left))
            except httpx.HTTPStatusError as error:
                LOG.info("nothing to give up: status %d", error.response.status_code)
        request = ActivateNodeRequest(public_key=self._public, heartbeat_interval=HEARTBEAT_INTERVAL)
        self._node = Node(node_id=self._client.ActivateNode(request).node_id)
        self._beat = time.monotonic()
        self._remember(self._number())
        self._tell("connected", f"connected to {self._settings.address}")

    def _deactivate(self) -> None:
        if self._node is None:
            return
        try:
            self._client.DeactivateNode(DeactivateNodeRequest(node_id=self._node.node_id))
            self._settings.state.unlink(missing_ok=True)
        except httpx.HTTPError as error:
            LOG.info("could not sign off: %s", type(error).__name__)

    def _remembered(self) -> int | None:
        try:
            return int(self._settings.state.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None

    def _remember(self, node: int) -> None:
        part = self._settings.state.with_suffix(".part")
        part.write_text(str(node), encoding="ascii")
        part.replace(self._settings.state)

    def _serve(self, stopped: Callable[[], bool]) -> None:
        """Answers messages; looks for the next one when it may be expected, patiently when there are none."""
        pace = Pace()
        while not stopped():
            self._heartbeat()
            response = self._client.PullMessages(PullMessagesRequest(node=self._node))
            if response.messages_list:
                pace.came(time.monotonic())
                message = message_from_proto(response.messages_list[0])
                self._answer(message, response.message_object_trees[0])
                pace.answered(time.monotonic())
            else:
                self._given = None  # nothing was waiting: what comes from now on was asked anew
            _sleep(pace.pause(time.monotonic()), stopped)

    def _number(self) -> int:
        if self._node is None:
            raise PeerError("not-active", "this node is not active at SuperLink", "it connects again")
        number: int = self._node.node_id
        return number

    def _heartbeat(self) -> None:
        if time.monotonic() - self._beat < HEARTBEAT_SECONDS:
            return
        request = SendNodeHeartbeatRequest(node=self._node, heartbeat_interval=HEARTBEAT_INTERVAL)
        if not self._client.SendNodeHeartbeat(request).success:
            raise PeerError("not-active", "SuperLink does not know this node as active", "it connects again")
        self._beat = time.monotonic()

    def _meanwhile(self) -> None:
        """While the executor works: a lost heartbeat is no reason to lose its answer."""
        try:
            self._heartbeat()
        except (httpx.HTTPError, PeerError) as error:
            LOG.info("no heartbeat: %s", type(error).__name__)

    def _answer(self, message: Message, tree: ObjectTree) -> None:
        run = message.metadata.run_id
        try:
            pulled = self._pull(message, tree)
        except httpx.HTTPStatusError as error:
            LOG.warning("a message of run %d is gone: status %d", run, error.response.status_code)
            return
        TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = run, self._number(), 1
        try:
            self._push(self._reply(pulled))
        except httpx.HTTPStatusError as error:  # the run may have ended meanwhile
            LOG.warning("run %d takes no reply: status %d", run, error.response.status_code)

    def _patiently(self, call: Callable[[Request], Reply], request: Request) -> Reply:
        """A call over a message in hand, which must not be lost because the coordinator is starting again."""
        return patiently(lambda: call(request), self._stopped)

    def _pull(self, message: Message, tree: ObjectTree) -> Message:
        run = message.metadata.run_id
        contents: dict[str, bytes] = {}
        for part in iterate_object_tree(tree):
            if part.object_id in contents:
                continue
            contents[part.object_id] = self._object(run, part.object_id)
            if sum(map(len, contents.values())) > _MOST_BYTES:
                raise PeerError("too-large", "a message is larger than any of this protocol", "report it")
        received = ConfirmMessageReceivedRequest(
            node=self._node, run_id=run, message_object_id=tree.object_id
        )
        self._patiently(self._client.ConfirmMessageReceived, received)
        pulled = cast("Message", inflate_object_from_contents(tree.object_id, contents))
        pulled.metadata.__dict__["_message_id"] = tree.object_id
        return pulled

    def _object(self, run: int, identifier: str) -> bytes:
        """One part of a message; the sender may still be uploading it."""
        request = PullObjectRequest(node=self._node, run_id=run, object_id=identifier)
        for attempt in range(8):
            found = self._patiently(self._client.PullObject, request)
            if found.object_available:
                content: bytes = found.object_content
                return content
            time.sleep(0.05 * 2**attempt)
        raise PeerError("message-incomplete", "a message was not uploaded completely", "it is asked again")

    def _reply(self, message: Message) -> Message:
        if not self._is_pinned(message.metadata.run_id):
            text = f"not the app bundle of protocol {PROTOCOL}, which this node speaks"
            return Message(Error(ErrorCode.INVALID_FAB, text), reply_to=message)
        try:
            data = unpack(message.content) if message.has_content() else b""
        except PeerError:
            data = b""  # refused as malformed, like any other bytes
        try:
            return Message(pack(self._answer_to(data)), reply_to=message)
        except PeerError as error:
            incident = secrets.token_hex(4)
            LOG.error("incident %s: %s", incident, error)  # noqa: TRY400 - its text says all
            text = f"executor-failed, incident {incident}"
            return Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, text), reply_to=message)

    def _answer_to(self, data: bytes) -> bytes:
        """The executor's answer, or the one that it has just given to the same bytes."""
        if self._given is None or self._given[0] != data:
            self._given = None
            self._given = (data, self._executor.answer(data, self._meanwhile))
        return self._given[1]

    def _is_pinned(self, run: int) -> bool:
        if run not in self._runs:
            request = GetRunRequest(node=self._node, run_id=run)
            found = self._patiently(self._client.GetRun, request).run
            self._runs[run] = found.fab_hash in self._pinned
            if not self._runs[run]:
                LOG.error(
                    "refused: run %d names app bundle %s, which is not that of protocol %d: the coordinator "
                    "has another version of this software (see `safeborders node doctor`), or a stranger "
                    "started the run",
                    run,
                    found.fab_hash,
                    PROTOCOL,
                )
        return self._runs[run]

    def _push(self, reply: Message) -> None:
        run = reply.metadata.run_id
        with no_object_id_recompute():
            reply.metadata.__dict__["_message_id"] = reply.object_id
            tree = get_object_tree(reply)
            objects = get_all_nested_objects(reply)
            bare = remove_content_from_message(reply) if reply.has_content() else reply
            response = self._patiently(
                self._client.PushMessages,
                PushMessagesRequest(
                    node=self._node,
                    messages_list=[message_to_proto(bare)],
                    message_object_trees=[tree],
                ),
            )
            for identifier in response.objects_to_push:
                self._patiently(
                    self._client.PushObject,
                    PushObjectRequest(
                        node=self._node,
                        run_id=run,
                        object_id=identifier,
                        object_content=objects[identifier].deflate(),
                        session_id=response.session_id,
                    ),
                )


def _sleep(seconds: float, stopped: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and not stopped():
        time.sleep(min(left, 0.5))


def _explain(error: Exception) -> str:
    """What a failed connection means to the people at the node."""
    if isinstance(error, httpx.HTTPStatusError):
        status = error.response.status_code
        known: dict[int, str] = {
            401: "the coordinator does not know this node's transport key (not enrolled yet, or revoked), or "
            "this machine's clock is off: run `safeborders node doctor`",
            404: "the address is not that of a coordinator's gate: compare it with the enrolment bundle",
            412: "the coordinator does not know this node's transport key (not enrolled yet, or revoked), or "
            "another machine is connected with the same key: run `safeborders node doctor`",
            503: "the coordinator is starting or stopped; trying again",
        }
        if status >= 500 or status not in known:
            return known.get(status, f"the coordinator answered with status {status}; trying again")
        return known[status]
    text = str(error)
    if "certificate" in text.lower():
        return f"the coordinator's certificate is not accepted ({text}): run `safeborders node doctor`"
    return f"the coordinator cannot be reached ({text or type(error).__name__}); trying again"
