"""The short way answers what Flower would answer, and refuses nothing and grants nothing by itself."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import flwr.superlink.main as superlink
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import FastAPI
from flwr.proto.fleet_pb2 import PullMessagesRequest, PullMessagesResponse
from flwr.proto.message_pb2 import PullObjectRequest
from flwr.proto.node_pb2 import Node
from flwr.proto.runtime_pb2 import GetNodesRequest
from flwr.supercore.primitives.asymmetric import public_key_to_bytes, sign_message
from flwr.supercore.protobuf.constants import PROTOBUF_MEDIA_TYPE
from flwr.supercore.protobuf.translation import PROTOBUF_REQUEST_TYPES
from flwr.superlink.servicer.fleet import fleet_handlers

from safeborders_fed.transport import lean, short_way

pytestmark = pytest.mark.filterwarnings("ignore:No path_separator:DeprecationWarning")  # of Flower's alembic
PULL = "/v1/fleet/pull-messages"


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1())


OTHER = new_key()


class Both:
    """One SuperLink database behind Flower's own layers, and behind the short way; and a node."""

    def __init__(self, apps: tuple[FastAPI, FastAPI]) -> None:
        self.long, self.short = apps
        self.state = self.long.state.linkstate_factory.state()
        self.key = new_key()
        self.node = self.add(self.key)

    def add(self, key: ec.EllipticCurvePrivateKey) -> int:
        node: int = self.state.create_node("noop", "noop", public_key_to_bytes(key.public_key()), 0)
        assert self.state.activate_node(node, 30)
        return node

    def post(self, app: FastAPI, path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://superlink") as client:
                return await client.post(path, content=body, headers=headers)

        return asyncio.run(ask())

    def answers(self, path: str, body: bytes, headers: dict[str, str]) -> list[tuple[int, bytes, str]]:
        replies = [self.post(app, path, body, headers) for app in (self.long, self.short)]
        return [(r.status_code, r.content, r.headers["content-type"]) for r in replies]


@pytest.fixture(scope="module")
def apps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FastAPI, FastAPI]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLWR_DATABASE", str(tmp_path_factory.mktemp("superlink") / "state.sqlite"))
        layers = superlink._get_middleware()
        long = superlink.create_app()
        patch.setattr(superlink, "_get_middleware", lambda: lean.middleware(layers))
        yield long, superlink.create_app()


@pytest.fixture
def both(apps: tuple[FastAPI, FastAPI]) -> Both:
    return Both(apps)


def headers(key: ec.EllipticCurvePrivateKey, age: float = 0.0) -> dict[str, str]:
    at = (datetime.now(UTC) - timedelta(seconds=age)).isoformat()
    return {
        "content-type": PROTOBUF_MEDIA_TYPE,
        "flwr-public-key": b64encode(public_key_to_bytes(key.public_key())).decode(),
        "flwr-signature": b64encode(sign_message(key, at.encode())).decode(),
        "flwr-timestamp": at,
    }


def pull(node: int) -> bytes:
    encoded: bytes = PullMessagesRequest(node=Node(node_id=node)).SerializeToString()
    return encoded


def fails(*_: object) -> Any:
    pytest.fail("it went the long way")


def test_a_node_is_answered_as_flower_answers_without_going_the_long_way(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    long, short = both.answers(PULL, pull(both.node), headers(both.key))
    assert long == short
    assert short[0] == 200
    assert PullMessagesResponse.FromString(short[1]) == PullMessagesResponse()
    monkeypatch.setattr(short_way, "_again", fails)
    assert both.post(both.short, PULL, pull(both.node), headers(both.key)).status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        lambda right, _: right | {"flwr-signature": headers(OTHER)["flwr-signature"]},
        lambda right, key: right | {"flwr-timestamp": headers(key, 1.0)["flwr-timestamp"]},
        lambda right, _: {name: value for name, value in right.items() if name != "flwr-signature"},
        lambda right, _: {name: value for name, value in right.items() if name != "flwr-public-key"},
        lambda _, key: headers(key, 3600.0),
        lambda _, key: headers(key, -3600.0),
        lambda *_: headers(OTHER),
    ],
    ids=["signature", "timestamp", "unsigned", "nameless", "stale", "early", "stranger"],
)
def test_who_flower_does_not_let_in_is_not_let_in(
    both: Both, wrong: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_handlers, "pull_messages", fails)
    long, short = both.answers(PULL, pull(both.node), wrong(headers(both.key), both.key))
    assert long == short
    assert short[0] == 401


def test_a_node_cannot_speak_for_another(both: Both) -> None:
    other = both.add(new_key())
    long, short = both.answers(PULL, pull(other), headers(both.key))
    assert long == short
    assert short[0] == 401


def test_a_revoked_node_is_refused_at_once(both: Both) -> None:
    assert both.post(both.short, PULL, pull(both.node), headers(both.key)).status_code == 200
    both.state.delete_node("noop", both.node)
    long, short = both.answers(PULL, pull(both.node), headers(both.key))
    assert long == short
    assert short[0] == 401


@pytest.mark.parametrize("path", ["/v1/runtime/get-nodes", "/v1/runtime/pull-messages"])
@pytest.mark.parametrize("token", [None, "made-up"])
def test_a_task_needs_its_token(both: Both, path: str, token: str | None) -> None:
    given = {"content-type": PROTOBUF_MEDIA_TYPE} | ({} if token is None else {"flwr-task-token": token})
    long, short = both.answers(path, GetNodesRequest().SerializeToString(), given)
    assert long == short
    assert short[0] in {401, 403, 409, 426}


@pytest.mark.parametrize("body", [b"\xff\xff", b""])
@pytest.mark.parametrize("kind", [PROTOBUF_MEDIA_TYPE, "text/plain"])
def test_what_is_malformed_gets_flowers_own_answer(both: Both, body: bytes, kind: str) -> None:
    long, short = both.answers(PULL, body, headers(both.key) | {"content-type": kind})
    assert long == short
    assert short[0] >= 400


def test_another_kind_of_body_is_refused_however_well_formed(both: Both) -> None:
    long, short = both.answers(PULL, pull(both.node), headers(both.key) | {"content-type": "text/plain"})
    assert long == short
    assert short[0] == 415


def test_a_handler_that_fails_leaves_no_trace_and_flowers_own_answer(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(asked: Any, state: Any) -> None:
        del asked
        state.create_node("noop", "noop", b"half done", 0)
        raise RuntimeError

    monkeypatch.setitem(short_way._FLEET, "/v1/fleet/pull-object", half)
    request = PullObjectRequest(node=Node(node_id=both.node), run_id=1, object_id="0" * 64)
    long, short = both.answers("/v1/fleet/pull-object", request.SerializeToString(), headers(both.key))
    assert long == short
    assert short[0] >= 400
    assert both.state.get_node_id_by_public_key(b"half done") is None


def test_administration_goes_the_long_way() -> None:
    assert all(path.startswith(("/v1/fleet/", "/v1/runtime/")) for path in short_way.PATHS)
    assert {("POST", path) for path in short_way.PATHS} <= set(PROTOBUF_REQUEST_TYPES)
    reached: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        del receive, send
        reached.append(scope["path"])

    way = short_way.ShortWay(app)
    for method, path in (("POST", "/v1/control/start-run"), ("GET", PULL), ("POST", "/health")):
        asyncio.run(way({"type": "http", "method": method, "path": path}, None, None))  # type: ignore[arg-type]
    assert reached == ["/v1/control/start-run", PULL, "/health"]


def test_half_a_request_is_none(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_handlers, "pull_messages", fails)
    given = [(name.encode(), value.encode()) for name, value in headers(both.key).items()]
    scope = {"type": "http", "method": "POST", "path": PULL, "headers": given, "app": both.short}
    came = [
        {"type": "http.request", "body": pull(both.node), "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Any:
        return came.pop(0)

    asyncio.run(short_way.ShortWay(fails)(scope, receive, fails))
