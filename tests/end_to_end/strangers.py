"""What somebody may send to the gate who has no business there."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from flwr.proto.control_pb2 import StartRunRequest
from flwr.proto.fab_pb2 import Fab
from flwr.proto.fleet_pb2 import PullMessagesRequest
from flwr.proto.node_pb2 import Node
from flwr.supercore.control import ControlHttpClient

from safeborders_fed.study.key_files import new_transport_key
from safeborders_fed.transport.bundle import bundle, bundle_hash
from safeborders_fed.transport.fleet import Link, LinkSettings

SECONDS = 20.0


class Nobody:
    """An executor that is never asked."""

    def answer(self, data: bytes, meanwhile: object) -> bytes:
        raise AssertionError((data, meanwhile))


def start_run(address: str, ca: bytes, fab: Fab | None = None) -> int:
    """Tries to start a run through Flower's control API; Flower's number of it."""
    client = ControlHttpClient.from_server_address(
        address, insecure=False, root_certificates=ca, interceptors=[]
    )
    wanted = Fab(hash_str=bundle_hash(), content=bundle()) if fab is None else fab
    try:
        number: int = client.StartRun(StartRunRequest(fab=wanted)).run_id
    finally:
        client.close()
    return number


def knock(address: str, ca: bytes, directory: Path, number: int | None = None) -> None:
    """Tries to become active with a key that nobody enrolled, or to pull messages of another's number."""
    settings = LinkSettings("BG", address, ca, new_transport_key(), directory / "stranger")
    link = Link(settings, Nobody(), lambda _, __: None)
    try:
        if number is None:
            link._activate()
        link._client.PullMessages(PullMessagesRequest(node=Node(node_id=number or 0)))
    finally:
        link._client.close()


def tls(port: int, ca: Path) -> ssl.SSLSocket:
    """A connection to the gate."""
    context = ssl.create_default_context(cafile=str(ca))
    plain = socket.create_connection(("127.0.0.1", port), SECONDS)
    return context.wrap_socket(plain, server_hostname="127.0.0.1")


def request(port: int, ca: Path, head: bytes, body: bytes = b"") -> bytes:
    """Sends bytes over TLS; the first line of what comes back."""
    with tls(port, ca) as connection:
        connection.sendall(head + body)
        return connection.recv(2**16).split(b"\r\n", 1)[0]


def garbage(port: int, ca: Path, count: int) -> None:
    """Connections at the same time that send random bytes, half of them within TLS."""

    def send(number: int) -> None:
        with contextlib.suppress(OSError):
            if number % 2:
                with tls(port, ca) as connection:
                    connection.sendall(os.urandom(2**16))
                    connection.recv(1)
            else:
                with socket.create_connection(("127.0.0.1", port), SECONDS) as plain:
                    plain.sendall(os.urandom(2**16))
                    plain.recv(1)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * SECONDS)
        assert not thread.is_alive(), "a connection with garbage was left standing"


def stream(port: int, ca: Path, size: int) -> tuple[bytes, int]:
    """Sends a body in chunks until it is refused; the first line of the answer, and the bytes sent."""
    head = b"POST /v1/fleet/push-object HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    block = bytes(2**20)
    chunk = f"{len(block):x}\r\n".encode() + block + b"\r\n"
    sent = 0
    with tls(port, ca) as connection:
        connection.sendall(head)
        with contextlib.suppress(OSError):
            while sent < size:
                connection.sendall(chunk)
                sent += len(block)
        with contextlib.suppress(OSError):
            return connection.recv(2**16).split(b"\r\n", 1)[0], sent
    return b"", sent


class Idlers:
    """Many connections that say a little and then no more.

    Args:
        port: Of the gate.
        ca: By which it is known.
        count: How many.
    """

    def __init__(self, port: int, ca: Path, count: int) -> None:
        self._port, self._ca, self._count = port, ca, count
        self._open: list[ssl.SSLSocket] = []

    def __enter__(self) -> Self:
        for _ in range(self._count):
            connection = tls(self._port, self._ca)
            self._open.append(connection)
            connection.sendall(b"POST /v1/fleet/pull-messages HTTP/1.1\r\nx: ")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in self._open:
            connection.close()

    def are_gone(self, seconds: float) -> bool:
        """Whether the gate ends all of them within a time."""
        end = time.monotonic() + seconds
        for connection in self._open:
            connection.settimeout(max(0.01, end - time.monotonic()))
            try:
                if connection.recv(1):
                    return False
            except TimeoutError:
                return False
            except OSError:
                continue
        return True
