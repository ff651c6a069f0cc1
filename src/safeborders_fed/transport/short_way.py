"""The short way through SuperLink, for the requests that a study is made of.

Flower 1.41 sends each request through layers of middleware, dependencies that are resolved each time, and
half a dozen changes of thread, and gives each of some ten statements to its database a transaction of its
own. For the requests that are sent a hundred times a round, this calls what is behind all that: Flower's own
check of who asks, then Flower's own handler, in one transaction.

Guarantees:

- Who a node or a task is, Flower's own functions decide, upon each request, before its handler is called.
- A request that is anything but well-formed, known and granted leaves no trace here (its transaction is
  rolled back) and goes the long way: what is refused, and how, is Flower's alone.
- All other paths, those of administration above all, go the long way.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from fastapi import HTTPException, Request
from flwr.supercore.constant import TASK_TOKEN_HEADER
from flwr.supercore.dependencies.task import authenticate_task
from flwr.supercore.dependencies.version import VersionDependency
from flwr.supercore.error import FlowerError
from flwr.supercore.protobuf.constants import PROTOBUF_MEDIA_TYPE
from flwr.supercore.protobuf.translation import PROTOBUF_REQUEST_TYPES, ProtobufTranslationMiddleware
from flwr.superlink.dependencies.linkstate import get_linkstate
from flwr.superlink.routers.fleet.node_auth import authenticate_node
from flwr.superlink.servicer.fleet import fleet_handlers as fleet
from flwr.superlink.servicer.runtime import runtime_handlers as runtime

LOG: Final = logging.getLogger(__name__)

_Message = MutableMapping[str, Any]
_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_App = Callable[[_Scope, _Receive, _Send], Awaitable[None]]
_FLEET: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "/v1/fleet/pull-messages": lambda asked, state: fleet.pull_messages(asked, state, state.object_store),
    "/v1/fleet/push-messages": fleet.push_messages,
    "/v1/fleet/pull-object": fleet.pull_object,
    "/v1/fleet/push-object": fleet.push_object,
    "/v1/fleet/confirm-message-received": lambda asked, state: fleet.confirm_message_received(
        asked, state, state.object_store
    ),
    "/v1/fleet/send-node-heartbeat": fleet.send_node_heartbeat,
}
_RUNTIME: Final[dict[str, Callable[[Any, Any, Any], Any]]] = {
    "/v1/runtime/pull-messages": runtime.pull_messages,
    "/v1/runtime/push-messages": runtime.push_messages,
    "/v1/runtime/pull-object": runtime.pull_object,
    "/v1/runtime/push-object": runtime.push_object,
    "/v1/runtime/confirm-message-received": runtime.confirm_message_received,
    "/v1/runtime/get-nodes": runtime.get_nodes,
}
PATHS: Final = frozenset({*_FLEET, *_RUNTIME})


class ShortWay:
    """SuperLink's outermost layer: answers what it can itself, and passes on the rest.

    Args:
        app: All of SuperLink.
    """

    def __init__(self, app: _App) -> None:
        self._app = app
        self._require_version = VersionDependency(
            component_name="SuperLink", connection_name="Caller <-> SuperLink Runtime API"
        )

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Answers one request."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] not in PATHS:
            await self._app(scope, receive, send)
            return
        messages = [await receive()]
        while messages[-1].get("more_body", False):
            messages.append(await receive())
        if messages[-1]["type"] == "http.disconnect":
            return  # half a request is none
        # Not in another thread: it takes a millisecond or two, nearly all of it with the interpreter's lock.
        answer = self._answer(scope, b"".join(message.get("body", b"") for message in messages))
        if answer is None:
            await self._app(scope, _again(messages, receive), send)
            return
        headers = [
            (b"content-type", PROTOBUF_MEDIA_TYPE.encode()),
            (b"content-length", str(len(answer)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def _answer(self, scope: _Scope, body: bytes) -> bytes | None:
        """The answer to a request; none if it is to go the long way."""
        path = scope["path"]
        request = Request({**scope, "state": {}})
        try:
            ProtobufTranslationMiddleware._check_request_media_type(request)  # noqa: SLF001 - Flower's own check
            asked = ProtobufTranslationMiddleware._parse_request(  # noqa: SLF001 - likewise
                body, PROTOBUF_REQUEST_TYPES["POST", path]
            )
            request.state.protobuf_request = asked
            state: Any = get_linkstate(request)
            with state.session():
                answer = self._handle(path, request, asked, state)
        except (FlowerError, HTTPException):
            return None
        except Exception as error:  # noqa: BLE001 - the long way deals with all errors
            LOG.warning("%s goes the long way: %s", path, type(error).__name__)
            return None
        encoded: bytes = answer.SerializeToString()
        return encoded

    def _handle(self, path: str, request: Request, asked: Any, state: Any) -> Any:
        if path in _FLEET:
            authenticate_node(request)
            return _FLEET[path](asked, state)
        self._require_version(request)
        task = authenticate_task(request, request.headers.get(TASK_TOKEN_HEADER), state)
        return _RUNTIME[path](asked, state, task)


def _again(messages: list[_Message], receive: _Receive) -> _Receive:
    """Receives once more what was received, then goes on."""
    left = list(messages)

    async def again() -> _Message:
        return left.pop(0) if left else await receive()

    return again
