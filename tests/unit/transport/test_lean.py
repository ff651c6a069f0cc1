"""SuperLink's layers see the paths that they are made for; if they are others than expected, all paths."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import flwr.superlink.main as superlink
from flwr.server.superlink.linkstate.sql_linkstate import SqlLinkState
from flwr.supercore.corestate.sql_corestate import SqlCoreState
from starlette.middleware import Middleware

from safeborders_fed.transport import lean
from safeborders_fed.transport.short_way import ShortWay


class Layer:
    """Remembers what it saw."""

    def __init__(self, app: Any, seen: list[str]) -> None:
        self.app, self.seen = app, seen

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen.append(scope["path"])
        await self.app(scope, receive, send)


def test_flowers_layers_are_the_ones_that_were_looked_at() -> None:
    first, *made = lean.middleware(superlink._get_middleware())
    assert first.cls is ShortWay
    assert [layer.cls is lean.OnlyFor for layer in made] == [
        name != "/" for name in lean._NEEDED_FOR.values()
    ]
    kept = {layer.cls.__name__ for layer in made if layer.cls is not lean.OnlyFor}  # type: ignore[attr-defined]
    assert kept == {"BaseHTTPMiddleware", "ProtobufTranslationMiddleware"}


def test_a_layer_sees_its_paths_only() -> None:
    reached: list[str] = []
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        del receive, send
        reached.append(scope["path"])

    layer = lean.OnlyFor(app, "/v1/fleet/", Middleware(Layer, seen=seen))
    for path in ("/v1/fleet/pull-messages", "/v1/control/start-run"):
        asyncio.run(layer({"type": "http", "path": path}, None, None))
    assert reached == ["/v1/fleet/pull-messages", "/v1/control/start-run"]
    assert seen == ["/v1/fleet/pull-messages"]


def test_other_layers_are_left_alone() -> None:
    layers = superlink._get_middleware()
    assert lean.middleware(layers[1:]) == layers[1:]
    assert lean.middleware([*layers, Middleware(Layer, seen=[])])[0] is layers[0]


def test_tasks_that_died_are_looked_for_once_a_second_whoever_asks() -> None:
    now, done = 100.0, []
    look = lean.seldom(done.append, lambda: now)
    for now, who in ((100.0, "a"), (100.9, "b"), (101.0, "c"), (101.5, "d"), (130.0, "e")):  # noqa: B007
        look(who)
    assert done == ["a", "c", "e"]


def test_flowers_state_has_what_is_made_to_do_less() -> None:
    assert inspect.signature(SqlCoreState._cleanup_expired_task_tokens).parameters.keys() == {"self"}
    assert {"run_id", "bytes_sent", "bytes_recv"} < inspect.signature(
        SqlLinkState.store_traffic
    ).parameters.keys()
