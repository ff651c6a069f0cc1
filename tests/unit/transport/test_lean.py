"""SuperLink's layers see the paths that they are made for; if they are others than expected, all paths."""

from __future__ import annotations

import asyncio
from typing import Any

import flwr.superlink.main as superlink
from starlette.middleware import Middleware

from safeborders_fed.transport import lean


class Layer:
    """Remembers what it saw."""

    def __init__(self, app: Any, seen: list[str]) -> None:
        self.app, self.seen = app, seen

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen.append(scope["path"])
        await self.app(scope, receive, send)


def test_flowers_layers_are_the_ones_that_were_looked_at() -> None:
    made = lean.middleware(superlink._get_middleware())
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
