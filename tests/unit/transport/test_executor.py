"""The socket between link and executor."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from safeborders_fed.errors import PeerError
from safeborders_fed.node.door import _SEAL, Outgoing
from safeborders_fed.transport import executor
from safeborders_fed.transport.executor import ExecutorClient
from safeborders_fed.transport.pacing import at_once


class Echo:
    """Answers with the same bytes and a tick."""

    def __init__(self, before: Callable[[], None] = lambda: None) -> None:
        self.before = before

    def answer(self, data: bytes) -> Outgoing:
        self.before()
        return Outgoing(_SEAL, data[::-1], 7.0)


@contextmanager
def serving(path: Path, participant: Echo, pace: Callable[[float, float], None] = at_once) -> Iterator[None]:
    ended = threading.Event()
    thread = threading.Thread(
        target=executor.serve, args=(path, participant, lambda _: ended.is_set(), pace), daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(10)
    assert not thread.is_alive()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(executor, "_SECONDS_FOR_ANOTHER", 1.0)


def nothing() -> None:
    """Nobody is told."""


def test_messages_go_both_ways_and_large_ones_too(tmp_path: Path) -> None:
    large = os.urandom(3 * 2**20)
    with serving(tmp_path / "s", Echo()):
        client = ExecutorClient(tmp_path / "s", 5.0, nothing)
        assert [client.answer(data, nothing) for data in (b"abc", b"", large)] == [b"cba", b"", large[::-1]]
        client._drop()


def test_only_its_user_can_reach_the_socket(tmp_path: Path) -> None:
    with serving(tmp_path / "s", Echo()):
        ExecutorClient(tmp_path / "s", 5.0, nothing)._connected(nothing).close()
        assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600


def test_answers_leave_at_ticks(tmp_path: Path) -> None:
    paced: list[float] = []
    with serving(tmp_path / "s", Echo(), lambda _, tick: paced.append(tick)):
        client = ExecutorClient(tmp_path / "s", 5.0, nothing)
        client.answer(b"x", nothing)
        client._drop()
    assert paced == [7.0]


def test_a_message_whose_executor_died_is_handed_to_the_next(tmp_path: Path) -> None:
    path = tmp_path / "s"
    first = executor._listen(path)
    client = ExecutorClient(path, 5.0, nothing)

    def die() -> None:
        connection, _ = first.accept()
        executor.receive(connection)
        path.unlink()
        connection.close()  # in the middle of a message
        first.close()

    thread = threading.Thread(target=die)
    thread.start()
    ended = threading.Event()

    def next_one() -> None:
        thread.join()
        executor.serve(path, Echo(), lambda _: ended.is_set(), at_once)

    following = threading.Thread(target=next_one)
    following.start()
    assert client.answer(b"abc", nothing) == b"cba"
    ended.set()
    client._drop()
    following.join(5)


def test_one_that_listens_a_moment_longer_than_it_lives_is_not_asked_twice(tmp_path: Path) -> None:
    ready = threading.Event()

    def die_slowly() -> None:
        listener = executor._listen(tmp_path / "s")
        ready.set()
        connection, _ = listener.accept()
        executor.receive(connection)
        connection.close()
        time.sleep(0.15)  # whoever connects now is queued, and reset when the process is gone
        listener.close()

    dying = threading.Thread(target=die_slowly)
    dying.start()
    ready.wait(5)

    def next_one() -> None:
        dying.join(5)
        with serving(tmp_path / "s", Echo()):
            answered.wait(5)

    answered = threading.Event()
    following = threading.Thread(target=next_one)
    following.start()
    client = ExecutorClient(tmp_path / "s", 5.0, nothing)
    try:
        assert client.answer(b"abc", nothing) == b"cba"
    finally:
        answered.set()
        client._drop()
        following.join(10)


def test_an_executor_that_dies_twice_is_an_error_without_a_text_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "s"
    listener = executor._listen(path)
    listener.settimeout(5)

    def die_twice() -> None:
        for _ in range(2):
            connection, _ = listener.accept()
            executor.receive(connection)
            connection.close()

    thread = threading.Thread(target=die_twice)
    thread.start()
    with pytest.raises(PeerError, match="died twice"):
        ExecutorClient(path, 5.0, nothing).answer(b"abc", nothing)
    thread.join(5)
    listener.close()


def test_an_answer_that_takes_too_long_is_given_up_and_told(tmp_path: Path) -> None:
    release = threading.Event()
    told: list[int] = []
    beats: list[int] = []
    with serving(tmp_path / "s", Echo(lambda: release.wait(5))):
        client = ExecutorClient(tmp_path / "s", 0.2, lambda: told.append(1))
        with pytest.raises(PeerError, match="longer than"):
            client.answer(b"x", lambda: beats.append(1))
        release.set()
    assert told == [1]
    assert len(beats) >= 2  # heartbeats went on while it waited


def test_without_an_executor_the_link_waits_a_while(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(PeerError, match="executor"):
        ExecutorClient(tmp_path / "none", 5.0, nothing).answer(b"x", nothing)
    assert time.monotonic() - began >= 1.0


def test_a_frame_that_claims_to_be_too_large_is_refused_unread() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(struct.pack("<I", executor.LARGEST_FRAME + 1))
        with pytest.raises(PeerError, match="larger"):
            executor.receive(ours)
        with pytest.raises(PeerError, match="larger"):
            executor.send(ours, bytes(executor.LARGEST_FRAME + 1))
