"""The coordinator's executor: takes tasks from SuperLink and does them with the installed package.

Guarantees: only a run that names the pinned bundle is done, and only its action and study are read from it;
what is done with a study comes from the coordinator's own directory. Each task has a process of its own, so
that one that fails leaves the service as it was.
In the first seconds of a service nodes that SuperLink counts as gone are waited for: a study that was cut off
does not fail because its nodes need some seconds to connect again.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import httpx
from flwr.app import Message
from flwr.common.constant import SubStatus
from flwr.common.serde import run_from_proto
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest, ObjectTree, PullObjectRequest
from flwr.proto.runtime_pb2 import (
    AcquireTaskRequest,
    PullAppMessagesRequest,
    PullTaskInputRequest,
    PushTaskOutputRequest,
)
from flwr.supercore.constant import TaskType
from flwr.supercore.heartbeat import HeartbeatSender, make_task_heartbeat_fn_http
from flwr.supercore.inflatable.inflatable_object import iterate_object_tree
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor, SuperExecAuthHttpInterceptor
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supercore.task_identity import TaskIdentity
from flwr.superlink.grid import HttpGrid

from safeborders_fed.coordinator.federation import Federation
from safeborders_fed.errors import PeerError, SafeBordersError
from safeborders_fed.transport.apps import FlowerFederation
from safeborders_fed.transport.bundle import bundle_hash
from safeborders_fed.transport.control import Registered
from safeborders_fed.transport.superlink import SuperLinkSettings
from safeborders_fed.transport.supervisor import die_with

LOG: Final = logging.getLogger(__name__)
_POLL_SECONDS: Final = 0.5
SECONDS_TO_COME_BACK: Final = 20.0
"""Nodes look for a coordinator that was away every few seconds, and are there again within 15."""
_MOST_BYTES: Final = 65 * 2**20
"""Of one reply: the largest that a node's executor lets out, and Flower's own parts of it."""

Work = Callable[[str, str, Federation], None]
"""Does an action on a study over a federation."""


class PatientGrid(HttpGrid):
    """Flower's grid, which asks again for a part that is still on its way instead of pausing for a second.

    What one node uploads, or does not upload, must not end a round of the others: a reply that cannot be put
    together is left out, so that its node counts as one that has not answered.
    """

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """The replies that are there and whole, each once."""
        response = self._runtime_client.PullMessages(PullAppMessagesRequest(message_ids=message_ids))
        replies = [self._complete(tree) for tree in response.message_object_trees]
        return [reply for reply in replies if reply is not None]

    def _complete(self, tree: ObjectTree) -> Message | None:
        try:
            message = self._put_together(tree)
        except httpx.TransportError:
            raise  # SuperLink is away: that says nothing of the node
        except httpx.HTTPStatusError as error:
            if error.response.status_code >= 500:
                raise
            LOG.warning("a reply is left out: SuperLink has not all of it")
            return None
        except Exception as error:  # noqa: BLE001 - a node may have sent anything
            LOG.warning("a reply is left out, for it is not whole: %s", type(error).__name__)
            return None
        message.metadata.__dict__["_message_id"] = tree.object_id
        return message

    def _put_together(self, tree: ObjectTree) -> Message:
        run, contents, size = self.run.run_id, {}, 0
        for part in iterate_object_tree(tree):
            if part.object_id not in contents:
                contents[part.object_id] = self._object(run, part.object_id)
                size += len(contents[part.object_id])
            if size > _MOST_BYTES:
                raise PeerError(
                    "too-large", "a reply is larger than any of this protocol", "look at the node"
                )
        self._runtime_client.ConfirmMessageReceived(
            ConfirmMessageReceivedRequest(node=self.node, run_id=run, message_object_id=tree.object_id)
        )
        message = inflate_object_from_contents(tree.object_id, contents)
        if not isinstance(message, Message):
            raise PeerError("malformed-record", "a reply is no message", "look at the node")
        return message

    def _object(self, run: int, identifier: str) -> bytes:
        request = PullObjectRequest(node=self.node, run_id=run, object_id=identifier)
        for attempt in range(9):
            found = self._runtime_client.PullObject(request)
            if found.object_available:
                content: bytes = found.object_content
                return content
            time.sleep(0.02 * 2**attempt)
        raise PeerError(
            "message-incomplete", "a reply was not uploaded completely", "the node is asked again"
        )


@dataclass(frozen=True)
class Runner:
    """Takes and does tasks.

    Attributes:
        settings: Where SuperLink is.
        deadline: Seconds after which a node counts as silent.
        work: Does an action.
        between: Called about twice a second.
    """

    settings: SuperLinkSettings
    deadline: float
    work: Work
    between: Callable[[], None]

    def run(self) -> None:
        """Takes tasks until the process is told to stop."""
        until = time.monotonic() + SECONDS_TO_COME_BACK
        client = self._client()
        while True:
            while _reap():
                pass
            try:
                self.between()
                response = client.AcquireTask(AcquireTaskRequest(supported_task_types=[TaskType.SERVER_APP]))
            except (httpx.HTTPError, PeerError) as error:
                LOG.info("SuperLink does not answer yet: %s", type(error).__name__)
                time.sleep(1.0)
                continue
            if response.HasField("task") and response.token:
                self._fork(response.token, until)
            time.sleep(_POLL_SECONDS)

    def _client(self) -> RuntimeHttpClient:
        secret = self.settings.secret.read_bytes()
        return RuntimeHttpClient.from_server_address(
            server_address=self.settings.address,
            insecure=False,
            root_certificates=self.settings.ca_certificate.read_bytes(),
            interceptors=[
                RuntimeVersionHttpInterceptor(component_name="SuperExec"),
                SuperExecAuthHttpInterceptor(
                    master_secret=secret, protected_methods=frozenset({"/flwr.proto.Runtime/AcquireTask"})
                ),
            ],
        )

    def _fork(self, token: str, until: float) -> None:
        parent = os.getpid()
        if os.fork():
            return
        code = 1
        try:
            die_with(parent)
            self._do(token, until)
            code = 0
        except BaseException:  # noqa: BLE001 - nothing may go on above this frame in a child
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _do(self, token: str, until: float) -> None:
        grid = PatientGrid(
            runtime_api_address=self.settings.address,
            root_certificates=self.settings.ca_certificate.read_bytes(),
            token=token,
        )
        client = grid._runtime_client  # noqa: SLF001 - Flower gives no other way to the task's own calls
        heartbeat = HeartbeatSender(make_task_heartbeat_fn_http(client))
        heartbeat.start()
        status, details = SubStatus.FAILED, "it ended unexpectedly"
        try:
            found = client.PullTaskInput(PullTaskInputRequest())
            TaskIdentity.task_id, TaskIdentity.run_id = found.task_id, found.run.run_id
            TaskIdentity.node_id = found.context.node_id
            run = run_from_proto(found.run)
            grid.set_run(run)
            if run.fab_hash != bundle_hash():
                raise PeerError("foreign-bundle", "a run names another app bundle", "it is not done")
            nodes = Registered(self.settings.directory)
            federation = FlowerFederation(grid, nodes, self.deadline, settled=until)
            action, study = (str(run.override_config.get(name, "")) for name in ("action", "study"))
            self.work(action, study, federation)
            status, details = SubStatus.COMPLETED, ""
        except SafeBordersError as error:
            LOG.error("%s", error)  # noqa: TRY400 - its text says all; the traceback says nothing more
            details = error.code
        finally:
            client.PushTaskOutput(PushTaskOutputRequest(sub_status=status, details=details))
            heartbeat.stop()
            grid.close()


def _reap() -> bool:
    """Whether a child that had ended was taken note of."""
    try:
        pid, _ = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return pid != 0
