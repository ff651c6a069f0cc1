"""SuperLink with less work a request: middleware that looks at one group of paths sees those paths only.

Flower 1.41 sends each request through ten layers of middleware, seven of which do nothing for requests of
nodes: they look at the path, or at a plugin that is not there, and pass the request on. A layer costs about
half a millisecond of the one thread that serves all nodes. What a study's rounds are made of does not see
them at all (``short_way``). Tasks that have died are looked for with each request, which writes to the
database each time; once a second will do, since they are given up after a minute of silence. Bytes are
counted for nobody.

Guarantees: what a layer does for the paths it is made for is left as it is; authentication of nodes and of
the control API are among them. If Flower's layers are not those that were looked at, all are left as they
are, and all requests go through them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import flwr.superlink.main as superlink
from flwr.server.superlink.linkstate.sql_linkstate import SqlLinkState
from flwr.supercore.corestate.sql_corestate import SqlCoreState
from starlette.middleware import Middleware

from safeborders_fed.transport.short_way import ShortWay

LOG: Final = logging.getLogger(__name__)
_SECONDS_BETWEEN: Final = 1.0
_CONTROL: Final = "/v1/control/"
_NEEDED_FOR: Final = {
    "ControlSensitiveResponseMiddleware": _CONTROL,
    "BaseHTTPMiddleware": "/",  # turns Flower's errors into answers
    "ControlAuthenticationMiddleware": _CONTROL,
    "ControlLicenseMiddleware": _CONTROL,
    "ProtobufTranslationMiddleware": "/",
    "RuntimeTracingMiddleware": "/v1/runtime/",
    "ControlEventLogMiddleware": _CONTROL,
    "NodeAuthMiddleware": "/v1/fleet/",
    "FleetEventLogMiddleware": _CONTROL,  # SuperLink is started without event logs; none of its paths is here
}

_App = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]


class OnlyFor:
    """A layer of middleware that sees only requests whose path begins with a prefix.

    Args:
        app: What comes behind the layer.
        prefix: The prefix.
        layer: The layer and what it is made with.
    """

    def __init__(self, app: _App, prefix: str, layer: Middleware) -> None:
        self._app = app
        self._prefix = prefix
        self._layer = layer.cls(app, *layer.args, **layer.kwargs)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Passes a request to the layer, or around it."""
        seen = scope["type"] != "http" or scope["path"].startswith(self._prefix)
        await (self._layer if seen else self._app)(scope, receive, send)


def middleware(layers: list[Middleware]) -> list[Middleware]:
    """The same layers, each only for the paths that it is made for."""
    names = [getattr(layer.cls, "__name__", "") for layer in layers]
    if names != list(_NEEDED_FOR):
        LOG.warning("Flower's middleware is not the one that was looked at; all of it sees all requests")
        return layers
    known = [
        layer if prefix == "/" else Middleware(OnlyFor, prefix=prefix, layer=layer)
        for layer, prefix in zip(layers, _NEEDED_FOR.values(), strict=True)
    ]
    return [Middleware(ShortWay), *known]


def seldom(
    function: Callable[[Any], None], clock: Callable[[], float] = time.monotonic
) -> Callable[[Any], None]:
    """A method that does nothing if it was called less than a second ago, on whatever object."""
    last = -_SECONDS_BETWEEN

    def wrapper(self: Any) -> None:
        nonlocal last
        if clock() - last >= _SECONDS_BETWEEN:
            last = clock()
            function(self)

    return wrapper


def slim_down() -> None:
    """Has SuperLinks that are made in this process do less."""
    made = superlink._get_middleware  # noqa: SLF001 - Flower has no public way to it
    superlink._get_middleware = lambda: middleware(made())  # noqa: SLF001 - likewise
    look = seldom(SqlCoreState._cleanup_expired_task_tokens)  # noqa: SLF001 - likewise
    SqlCoreState._cleanup_expired_task_tokens = look  # type: ignore[method-assign, assignment]  # noqa: SLF001
    SqlLinkState.store_traffic = lambda *_, **__: None  # type: ignore[method-assign]
