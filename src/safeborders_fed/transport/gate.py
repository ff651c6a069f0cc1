"""The gate: the only part of a coordinator that others can reach.

TLS is outside, SuperLink on loopback behind it. A SuperLink serves nodes and its own administration on one
port, and whoever reaches that port may start runs. So it listens on loopback, and this gate passes on what
nodes need and nothing else.

Guarantees:

- Only ``POST`` to the paths in ``FLEET`` is passed on; everything else is 404 without a look at its body.
- Who a node is, SuperLink checks on each request by its key. The gate holds no key of a node.
- A body of more than ``LARGEST_BODY`` bytes is refused before more of it is read; connections are bounded,
  and so is what the bodies of all requests take together, since nobody has been asked who they are yet.
- A request that does not come in time is given up, and one that is cut off is not passed on.
- TLS 1.3 only. A renewed certificate is taken up without a restart, and connections that stand are kept.
- While SuperLink is away it answers 503, upon which nodes try again.
- It says what time it has, by which nodes check their clocks. Its versions it says only where SuperLink has
  accepted a node's signature.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpcore
import uvicorn

from safeborders_fed.study.machine import versions
from safeborders_fed.transport.impatient import Impatient
from safeborders_fed.transport.network_findings import versions_header

LOG: Final = logging.getLogger(__name__)

FLEET: Final = frozenset(
    f"/v1/fleet/{name}"
    for name in (
        "activate-node",
        "deactivate-node",
        "send-node-heartbeat",
        "pull-messages",
        "push-messages",
        "pull-object",
        "push-object",
        "confirm-message-received",
        "get-run",
    )
)
"""What a node of this software asks of SuperLink. Registering nodes and fetching code are not among it."""
LARGEST_BODY: Final = 64 * 2**20
LARGEST_TOGETHER: Final = 256 * 2**20
"""What all bodies may take beyond ``_ALWAYS`` each: large ones must not crowd out ordinary ones."""
_ALWAYS: Final = 2**20
_SECONDS_FOR_A_BODY: Final = 120.0
_CONNECTIONS: Final = 512
_PASSED_ON: Final = frozenset(
    {
        b"content-type",
        b"accept",
        b"flwr-public-key",
        b"flwr-signature",
        b"flwr-timestamp",
        b"flwr-package-name",
        b"flwr-package-version",
        b"flwr-component-name",
    }
)
_ANSWERED: Final = frozenset({b"content-type", b"flwr-version-incompatibility-message"})
VERSIONS: Final = "safeborders-versions"
"""Header of the answer to a node's heartbeat."""
_HEARTBEAT: Final = b"/v1/fleet/send-node-heartbeat"
_SECONDS_BETWEEN_LOOKS: Final = 5.0

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class GateSettings:
    """Where the gate listens and what it leads to.

    Attributes:
        host: Address to listen on.
        port: Port to listen on.
        superlink_port: SuperLink's port on 127.0.0.1.
        ca_certificate: Certificate by which SuperLink is known.
        certificate: Certificate (chain) shown to nodes, PEM.
        key: Its private key, PEM.
    """

    host: str
    port: int
    superlink_port: int
    ca_certificate: Path
    certificate: Path
    key: Path


class _RefusedError(Exception):
    """A request is answered with a status, and its connection closed."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class _GoneError(Exception):
    """Whoever asked is gone."""


class Gate:
    """The gate as an ASGI application."""

    def __init__(self, settings: GateSettings) -> None:
        context = ssl.create_default_context(cafile=str(settings.ca_certificate))
        self._upstream = httpcore.AsyncConnectionPool(
            ssl_context=context, max_connections=64, keepalive_expiry=60.0, retries=1
        )
        self._origin = f"https://127.0.0.1:{settings.superlink_port}".encode()
        self._held = 0
        self._versions = (VERSIONS.encode("ascii"), versions_header(versions()).encode("ascii"))

    async def __call__(self, scope: MutableMapping[str, Any], receive: _Receive, send: _Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            return
        if scope["method"] != "POST" or scope["raw_path"] not in _RAW_FLEET or scope["query_string"]:
            await _answer(send, 404, closing=True)
            return
        share = _Share(self)
        try:
            async with asyncio.timeout(_SECONDS_FOR_A_BODY):
                body = await _body(scope["headers"], receive, share)
            status, headers, content = await self._ask(scope["raw_path"], scope["headers"], body)
        except _RefusedError as refused:
            await _answer(send, refused.status, closing=True)
        except TimeoutError:
            await _answer(send, 408, closing=True)
        except _GoneError:
            return
        else:
            await _answer(send, status, headers, content)
        finally:
            share.give_back()

    def take(self, size: int) -> None:
        """Takes so many bytes of what all bodies may have together.

        Raises:
            _RefusedError: 503, when so much is not left.
        """
        if self._held + size > LARGEST_TOGETHER:
            raise _RefusedError(503)
        self._held += size

    def give_back(self, size: int) -> None:
        """Gives them back."""
        self._held -= size

    async def _ask(self, path: bytes, headers: _Headers, body: bytes) -> tuple[int, _Headers, bytes]:
        kept = [(name, value) for name, value in headers if name in _PASSED_ON]
        kept += [(b"host", b"127.0.0.1"), (b"content-length", str(len(body)).encode())]
        try:
            reply = await self._upstream.request(
                "POST",
                httpcore.URL(self._origin + path),
                headers=kept,
                content=body,
                extensions={"timeout": {"connect": 2.0, "read": 60.0, "write": 60.0, "pool": 30.0}},
            )
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            LOG.warning("SuperLink does not answer: %s", type(error).__name__)
            return 503, [], b""
        answered = [(name, value) for name, value in reply.headers if name.lower() in _ANSWERED]
        if path == _HEARTBEAT and reply.status == 200:
            answered.append(self._versions)
        return reply.status, answered, reply.content

    async def close(self) -> None:
        """Closes the connections to SuperLink."""
        await self._upstream.aclose()


_RAW_FLEET: Final = frozenset(path.encode() for path in FLEET)


class _Share:
    """What one body has taken of the memory for all."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._taken = 0

    def grow_to(self, size: int) -> None:
        """Has room for a body of so many bytes, or raises as ``Gate.take``."""
        more = size - _ALWAYS - self._taken
        if more > 0:
            self._gate.take(more)
            self._taken += more

    def give_back(self) -> None:
        """The body is needed no more."""
        self._gate.give_back(self._taken)


async def _body(headers: _Headers, receive: _Receive, share: _Share) -> bytes:
    for name, value in headers:
        if name == b"content-length" and (not value.isdigit() or int(value) > LARGEST_BODY):
            raise _RefusedError(413)
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _GoneError
        part = message.get("body", b"")
        if len(body) + len(part) > LARGEST_BODY:
            raise _RefusedError(413)
        share.grow_to(len(body) + len(part))
        body += part
        more = message.get("more_body", False)
    return bytes(body)


async def _answer(
    send: _Send,
    status: int,
    headers: Iterable[tuple[bytes, bytes]] = (),
    body: bytes = b"",
    *,
    closing: bool = False,
) -> None:
    length = (b"content-length", str(len(body)).encode())
    end = [(b"connection", b"close")] if closing else []
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length, *end]})
    await send({"type": "http.response.body", "body": body})


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.3 with this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificate, key)
    return context


@contextlib.asynccontextmanager
async def _following(context: ssl.SSLContext, certificate: Path, key: Path) -> AsyncIterator[None]:
    """Takes up a renewed certificate: new connections are shown it."""

    async def look() -> None:
        seen = _stamp(certificate, key)
        while True:
            await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)
            stamp = _stamp(certificate, key)
            if stamp == seen:
                continue
            try:
                context.load_cert_chain(certificate, key)
            except (OSError, ssl.SSLError) as error:  # half of a change: the other half follows
                LOG.warning("the renewed certificate cannot be used yet: %s", error)
                continue
            seen = stamp
            LOG.info("the renewed certificate is in use")

    task = asyncio.create_task(look())
    try:
        yield
    finally:
        task.cancel()


def _stamp(*files: Path) -> tuple[int, ...]:
    with contextlib.suppress(OSError):
        return tuple(file.stat().st_mtime_ns for file in files)
    return ()


def configuration(app: Gate, host: str, port: int) -> uvicorn.Config:
    """How the gate is served."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=Impatient,  # bounds the size of headers, and the time for them
        ws="none",
        h11_max_incomplete_event_size=64 * 1024,
        loop="asyncio",
        lifespan="off",
        access_log=False,
        log_config=None,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=75,
        server_header=False,
        date_header=True,
    )


def serve(settings: GateSettings) -> None:
    """Runs the gate until the process is told to stop."""
    gate = Gate(settings)
    config = configuration(gate, settings.host, settings.port)
    config.load()
    context = server_context(settings.certificate, settings.key)
    config.ssl = context
    server = uvicorn.Server(config)

    async def run() -> None:
        async with _following(context, settings.certificate, settings.key):
            await server.serve()
        await gate.close()

    asyncio.run(run())
