"""The gate lets fleet paths through and nothing else, and never more than it was made for."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import httpcore
import pytest

from certificates import authority
from safeborders_fed.study import wire
from safeborders_fed.transport import gate
from safeborders_fed.transport.gate import FLEET, LARGEST_BODY, Gate, GateSettings


class Upstream:
    """Stands where SuperLink is, and remembers what reaches it."""

    def __init__(self, error: Exception | None = None) -> None:
        self.seen: list[tuple[bytes, dict[bytes, bytes], bytes]] = []
        self.error = error

    async def request(
        self, method: str, url: httpcore.URL, *, headers: Any, content: bytes, extensions: Any
    ) -> httpcore.Response:
        del extensions
        assert method == "POST"
        if self.error is not None:
            raise self.error
        self.seen.append((url.target, dict(headers), content))
        answered = [(b"Content-Type", b"application/protobuf"), (b"Set-Cookie", b"no")]
        response = httpcore.Response(200, headers=answered, content=b"answer")
        response.read()
        return response


@pytest.fixture
def made(tmp_path: Path) -> tuple[Gate, Upstream]:
    pki = authority(tmp_path)
    built = Gate(GateSettings("127.0.0.1", 1, 9092, pki.ca, pki.certificate, pki.key))
    upstream = Upstream()
    built._upstream = upstream  # type: ignore[assignment] - a stand-in
    return built, upstream


def ask(
    built: Gate,
    path: str,
    *,
    method: str = "POST",
    headers: list[tuple[bytes, bytes]] | None = None,
    parts: tuple[bytes, ...] = (b"body",),
    query: bytes = b"",
) -> tuple[int, dict[bytes, bytes], bytes]:
    """One request through the gate: status, headers, body."""
    sent: list[MutableMapping[str, Any]] = []
    waiting = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    waiting[-1]["more_body"] = False

    async def receive() -> MutableMapping[str, Any]:
        return waiting.pop(0)

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "raw_path": path.encode(),
        "query_string": query,
        "headers": headers or [],
    }
    asyncio.run(built(scope, receive, send))
    start, body = sent
    return start["status"], dict(start["headers"]), body["body"]


def test_fleet_paths_are_passed_on(made: tuple[Gate, Upstream]) -> None:
    built, upstream = made
    for path in FLEET:
        assert ask(built, path)[0] == 200
    assert {target for target, _, _ in upstream.seen} == {path.encode() for path in FLEET}


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/docs",
        "/health",
        "/openapi.json",
        "/v1/control/start-run",
        "/v1/control/list-nodes",
        "/v1/runtime/acquire-task",
        "/v1/fleet/register-node",
        "/v1/fleet/get-fab",
        "/v1/fleet/",
        "/v1/fleet/pull-messages/",
        "/v1/fleet/../control/start-run",
        "/v1/fleet/%2e%2e/control/start-run",
        "//v1/fleet/pull-messages",
        "/V1/fleet/pull-messages",
    ],
)
def test_everything_else_is_not_there(made: tuple[Gate, Upstream], path: str) -> None:
    built, upstream = made
    assert ask(built, path)[0] == 404
    assert upstream.seen == []


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS", "CONNECT", "post"])
def test_other_methods_are_not_there(made: tuple[Gate, Upstream], method: str) -> None:
    assert ask(made[0], "/v1/fleet/pull-messages", method=method)[0] == 404


def test_a_query_is_not_there(made: tuple[Gate, Upstream]) -> None:
    assert ask(made[0], "/v1/fleet/pull-messages", query=b"x=1")[0] == 404


def test_only_headers_that_fleet_needs_are_passed_on_both_ways(made: tuple[Gate, Upstream]) -> None:
    built, upstream = made
    headers = [
        (b"flwr-signature", b"s"),
        (b"content-type", b"application/protobuf"),
        (b"flwr-task-token", b"stolen"),
        (b"flwr-superexec-signature", b"forged"),
        (b"authorization", b"Bearer x"),
        (b"transfer-encoding", b"chunked"),
    ]
    status, answered, body = ask(built, "/v1/fleet/push-object", headers=headers, parts=(b"a", b"b"))
    assert (status, body) == (200, b"answer")
    assert answered == {b"Content-Type": b"application/protobuf", b"content-length": b"6"}
    (_, passed, content) = upstream.seen[0]
    assert content == b"ab"
    assert set(passed) == {b"flwr-signature", b"content-type", b"host", b"content-length"}


def test_a_body_that_says_it_is_too_large_is_not_read(made: tuple[Gate, Upstream]) -> None:
    built, upstream = made
    headers = [(b"content-length", str(2 * 2**30).encode())]
    assert ask(built, "/v1/fleet/push-object", headers=headers)[0] == 413
    assert ask(built, "/v1/fleet/push-object", headers=[(b"content-length", b"-1")])[0] == 413
    assert upstream.seen == []


def test_a_body_that_turns_out_too_large_is_cut(
    made: tuple[Gate, Upstream], monkeypatch: pytest.MonkeyPatch
) -> None:
    built, upstream = made
    monkeypatch.setattr(gate, "LARGEST_BODY", 10)
    assert LARGEST_BODY > 10
    assert ask(built, "/v1/fleet/push-object", parts=(b"12345", b"67890", b"1"))[0] == 413
    assert ask(built, "/v1/fleet/push-object", parts=(b"12345", b"67890"))[0] == 200
    assert len(upstream.seen) == 1


def test_bodies_are_put_off_when_all_of_them_would_be_too_much(
    made: tuple[Gate, Upstream], monkeypatch: pytest.MonkeyPatch
) -> None:
    built, upstream = made
    monkeypatch.setattr(gate, "MOST_HELD", 10)
    for _ in range(3):  # what was put off, or passed on, counts no more
        status, headers, _ = ask(built, "/v1/fleet/push-object", parts=(b"123456", b"789012"))
        assert (status, headers[b"connection"]) == (503, b"close")
        assert ask(built, "/v1/fleet/push-object", parts=(b"12345", b"67890"))[0] == 200
    assert len(upstream.seen) == 3


@pytest.mark.parametrize(
    "error", [httpcore.ConnectError("x"), httpcore.ReadTimeout("x"), httpcore.RemoteProtocolError("x")]
)
def test_nodes_are_told_to_try_again_while_superlink_is_away(
    made: tuple[Gate, Upstream], error: Exception
) -> None:
    made[1].error = error
    assert ask(made[0], "/v1/fleet/pull-messages") == (503, {b"content-length": b"0"}, b"")


def test_versions_are_told_to_nodes_whose_signature_was_accepted_only(
    made: tuple[Gate, Upstream], monkeypatch: pytest.MonkeyPatch
) -> None:
    built, upstream = made
    heartbeat = "/v1/fleet/send-node-heartbeat"
    _, headers, _ = ask(built, heartbeat)
    told = headers[gate.VERSIONS.encode()].decode()
    assert f"protocol={wire.PROTOCOL}.{wire.MINOR}" in told.split()
    assert gate.VERSIONS.encode() not in ask(built, "/v1/fleet/pull-messages")[1]
    assert gate.VERSIONS.encode() not in ask(built, "/")[1]

    async def refused(*_: object, **__: object) -> httpcore.Response:
        response = httpcore.Response(401, content=b"")
        response.read()
        return response

    monkeypatch.setattr(upstream, "request", refused)
    status, headers, _ = ask(built, heartbeat)
    assert status == 401
    assert gate.VERSIONS.encode() not in headers


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_is_1_3_or_nothing(tmp_path: Path, newest: ssl.TLSVersion) -> None:
    pki = authority(tmp_path)
    context = ssl.create_default_context(cafile=str(pki.ca))
    context.maximum_version = newest
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(down, up, server_hostname="127.0.0.1")
    server = gate.server_context(pki.certificate, pki.key).wrap_bio(up, down, server_side=True)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    if newest == ssl.TLSVersion.TLSv1_2:
        with pytest.raises(ssl.SSLError, match="UNSUPPORTED_PROTOCOL"):
            server.do_handshake()
        return
    with pytest.raises(ssl.SSLWantReadError):
        server.do_handshake()
    client.do_handshake()
    server.do_handshake()
    assert server.version() == "TLSv1.3"
