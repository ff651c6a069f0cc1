"""The warm executor: one long-lived process at a node that alone opens its cases, ledger and keys.

It listens on a socket in the node's own directory. The link (``transport.fleet``), which has the network,
passes the bytes of one message at a time and gets the bytes that the door let out.

Guarantees: a frame is a length and so many bytes, bounded on both sides; one message is answered at a time;
memory is limited by the operating system, the time of an answer by the link; study keys live in this process
only.
"""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from safeborders_fed.errors import PeerError
from safeborders_fed.node.door import Outgoing
from safeborders_fed.transport.pacing import wait_for_tick

LOG: Final = logging.getLogger(__name__)
LARGEST_FRAME: Final = 64 * 2**20
_LENGTH: Final = struct.Struct("<I")
BEAT_SECONDS: Final = 2.0
_SECONDS_FOR_ANOTHER: Final = 30.0
_SECONDS_TO_DIE: Final = 0.5
"""A process that is being ended still listens for a moment: it must not be asked a second time."""


class Answers(Protocol):
    """A participant, as far as the executor sees it."""

    def answer(self, data: bytes) -> Outgoing:
        """What may leave in answer to a request."""
        ...


def limit_memory(mebibytes: int) -> None:
    """Lets this process have no more memory than this: a message that wants more fails here, not the machine.

    Args:
        mebibytes: The limit; 0 for none.
    """
    if mebibytes:
        resource.setrlimit(resource.RLIMIT_DATA, (mebibytes * 2**20, mebibytes * 2**20))


def serve(
    path: Path,
    participant: Answers,
    idle: Callable[[float], bool],
    pace: Callable[[float, float], None] = wait_for_tick,
) -> None:
    """Answers the frames that come in on a socket, until ``idle`` says to stop.

    Args:
        path: Where the socket is made, in a directory that only this user may enter.
        participant: Who answers.
        idle: Called every two seconds without a message, with the seconds since the last; true ends it.
        pace: Told when a request arrived and the tick of its answer; returns when the answer may leave.
    """
    quiet = _Quiet(idle)
    with _listen(path) as listener:
        while True:
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                if quiet.ends():
                    return
                continue
            with connection, contextlib.suppress(OSError, EOFError):
                if not _serve_one(connection, participant, quiet, pace):
                    return


class _Quiet:
    """How long no message has come."""

    def __init__(self, idle: Callable[[float], bool]) -> None:
        self._idle = idle
        self._since = time.monotonic()

    def broken(self) -> None:
        """A message came."""
        self._since = time.monotonic()

    def ends(self) -> bool:
        """Whether the service is to end."""
        return self._idle(time.monotonic() - self._since)


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    listener.listen(1)
    listener.settimeout(BEAT_SECONDS)
    return listener


def _serve_one(
    connection: socket.socket,
    participant: Answers,
    quiet: _Quiet,
    pace: Callable[[float, float], None],
) -> bool:
    """Serves one link until it is gone; false when the service is to end."""
    while True:
        connection.settimeout(BEAT_SECONDS)
        try:
            head = connection.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            if quiet.ends():
                return False
            continue
        if not head:
            return True
        connection.settimeout(None)
        data = receive(connection)
        received = time.monotonic()
        outgoing = participant.answer(data)
        quiet.broken()
        pace(received, outgoing.tick)
        send(connection, outgoing.data)


def send(connection: socket.socket, data: bytes) -> None:
    """Sends one frame."""
    if len(data) > LARGEST_FRAME:
        raise PeerError("too-large", "a message is larger than any of this protocol", "report this")
    connection.sendall(_LENGTH.pack(len(data)) + data)


def receive(connection: socket.socket) -> bytes:
    """Receives one frame.

    Raises:
        EOFError: the other end is gone.
        PeerError: ``too-large``.
    """
    (length,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size))
    if length > LARGEST_FRAME:
        raise PeerError("too-large", "a message is larger than any of this protocol", "report this")
    return _exactly(connection, length)


def _exactly(connection: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        part = connection.recv(min(length - len(data), 2**20))
        if not part:
            raise EOFError
        data += part
    return bytes(data)


class ExecutorClient:
    """The link's end of the socket.

    Args:
        path: Where the executor listens.
        seconds: Longest time for one answer.
        overdue: Called when an answer takes longer: the executor is to be ended and started anew.
    """

    def __init__(self, path: Path, seconds: float, overdue: Callable[[], None]) -> None:
        self._path = path
        self._seconds = seconds
        self._overdue = overdue
        self._connection: socket.socket | None = None

    def answer(self, data: bytes, meanwhile: Callable[[], None]) -> bytes:
        """The executor's answer. If it dies over the message, the next one is given the same once more.

        Raises:
            PeerError: ``executor-failed``.
        """
        for _ in range(2):
            try:
                return self._ask(data, meanwhile)
            except (OSError, EOFError) as error:
                LOG.warning("the executor went away over a message: %s", type(error).__name__)
                self._drop()
                time.sleep(_SECONDS_TO_DIE)
        raise PeerError(
            "executor-failed",
            "the executor died twice over one message",
            "look at the executor's log in run/logs; its limits are in node.toml",
        )

    def _ask(self, data: bytes, meanwhile: Callable[[], None]) -> bytes:
        connection = self._connected(meanwhile)
        send(connection, data)
        end = time.monotonic() + self._seconds
        while True:
            connection.settimeout(BEAT_SECONDS)
            try:
                connection.recv(1, socket.MSG_PEEK)
            except TimeoutError:
                meanwhile()
                if time.monotonic() > end:
                    self._overdue()
                    self._drop()
                    raise PeerError(
                        "executor-failed",
                        f"an answer took longer than {self._seconds:g} seconds",
                        "raise [limits] seconds_per_message in node.toml, or look at the executor's log",
                    ) from None
                continue
            connection.settimeout(None)
            return receive(connection)

    def _connected(self, meanwhile: Callable[[], None]) -> socket.socket:
        """The connection; waits a while for an executor that is just starting."""
        if self._connection is not None:
            return self._connection
        end = time.monotonic() + _SECONDS_FOR_ANOTHER
        while True:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.connect(str(self._path))
            except OSError:
                connection.close()
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
                meanwhile()
                continue
            self._connection = connection
            return connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
