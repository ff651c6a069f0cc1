"""Connections that bring nothing make way, and those of nodes do not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from safeborders_fed.transport import connections
from safeborders_fed.transport.connections import KNOWN, Connection

REQUEST = b"POST /%s HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nok"


async def app(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    scope[KNOWN] = scope["path"] == "/node"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@contextlib.asynccontextmanager
async def listening() -> AsyncIterator[int]:
    config = uvicorn.Config(app, port=0, http=Connection, ws="none", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await task


async def answer(reader: asyncio.StreamReader) -> bytes:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    return head + await reader.readexactly(2)


async def ended(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), 5) == b""


@pytest.mark.parametrize("beginning", [b"", b"POST / HTTP/1.1\r\nhost: x\r\n", REQUEST[:-1] % b"node"])
def test_a_request_that_does_not_come_ends_its_connection(
    beginning: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.3)

    async def slow() -> None:
        async with listening() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(beginning)
            await ended(reader)
            writer.close()

    asyncio.run(slow())


def test_dripping_does_not_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.4)

    async def drip() -> int:
        async with listening() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(REQUEST % b"node")  # also not after a request that was a node's
            await answer(reader)
            sent = 0
            with contextlib.suppress(ConnectionError):
                while not reader.at_eof() and sent < 100:
                    writer.write(b"POST / HTTP/1.1\r\n" if not sent else b"a")
                    await writer.drain()
                    sent += 1
                    await asyncio.sleep(0.05)
            writer.close()
        return sent

    assert 3 < asyncio.run(drip()) < 40


def test_a_connection_may_rest_between_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)

    async def rest() -> None:
        async with listening() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for _ in range(3):
                writer.write(REQUEST % b"node")
                assert (await answer(reader)).endswith(b"ok")
                await asyncio.sleep(0.4)
            writer.close()

    asyncio.run(rest())


def test_strangers_make_way_for_others_and_nodes_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST", 3)

    async def crowd() -> None:
        async with listening() as port:
            node, to_node = await asyncio.open_connection("127.0.0.1", port)
            to_node.write(REQUEST % b"node")
            await answer(node)
            strangers = []
            for _ in range(4):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(REQUEST % b"stranger")
                await answer(reader)
                strangers.append((reader, writer))
            for reader, _ in strangers[:2]:
                await ended(reader)
            for reader, writer in [(node, to_node), *strangers[2:]]:
                writer.write(REQUEST % b"stranger")
                assert (await answer(reader)).endswith(b"ok")
            for writer in [to_node, *(writer for _, writer in strangers)]:
                writer.close()

    asyncio.run(crowd())


def test_what_was_ended_is_told_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    record = connections._Record()
    for second in range(100):
        record.add("for lack of room", float(second))
    assert [entry.getMessage() for entry in caplog.records] == [
        "connections ended by the gate: 1 for lack of room",
        "connections ended by the gate: 60 for lack of room",
    ]
