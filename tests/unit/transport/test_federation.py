"""Asking nodes over a grid that loses, delays and forgets: by a clock of its own."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Error, Message
from flwr.common.constant import ErrorCode
from flwr.supercore.task_identity import TaskIdentity

from safeborders_fed.transport.apps import FlowerFederation, pack, unpack
from safeborders_fed.transport.control import NODES_FILE, Registered
from safeborders_fed.transport.status import write_json

NODES = {"BE": [11], "BG": [21, 22], "FI": [31]}


class FakeGrid:
    """Replies when told to: number of a node to the time of its reply, or None for never."""

    def __init__(self, delays: dict[int, float | None]) -> None:
        TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1
        self.delays = delays
        self.online: set[int] = set(delays)
        self.now = 0.0
        self.asked: list[tuple[float, int]] = []
        self.ready: dict[str, tuple[float, Message]] = {}
        self.fails: set[int] = set()
        self.unavailable: set[int] = set()

    def get_node_ids(self) -> list[int]:
        return sorted(self.online)

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        identifiers = []
        for message in messages:
            node = message.metadata.dst_node_id
            identifier = f"m{len(self.asked)}"
            self.asked.append((self.now, node))
            message.metadata.__dict__["_message_id"] = identifier
            delay = self.delays[node]
            if delay is not None:
                code = ErrorCode.NODE_UNAVAILABLE if node in self.unavailable else 1
                error = Error(code, "no text of ours")
                failed = node in self.fails | self.unavailable
                content: Any = error if failed else pack(unpack(message.content)[::-1])
                self.ready[identifier] = (self.now + delay, Message(content, reply_to=message))
            identifiers.append(identifier)
        return identifiers

    def pull_messages(self, identifiers: Iterable[str]) -> list[Message]:
        found = [i for i in identifiers if i in self.ready and self.ready[i][0] <= self.now]
        return [self.ready.pop(i)[1] for i in found]

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def federation(grid: FakeGrid, deadline: float = 60.0) -> FlowerFederation:
    return FlowerFederation(grid, NODES, deadline, clock=lambda: grid.now, sleep=grid.sleep)  # type: ignore[arg-type]


def test_it_returns_when_all_have_answered() -> None:
    grid = FakeGrid({11: 1.0, 22: 2.0, 31: 0.0})
    assert federation(grid).ask({"BE": b"ab", "BG": b"cd", "FI": b"ef"}) == {
        "BE": b"ba",
        "BG": b"dc",
        "FI": b"fe",
    }
    assert 2.0 <= grid.now < 2.5


def test_nobody_waits_for_optional_ones_and_they_are_there_if_they_were_quick() -> None:
    grid = FakeGrid({11: 2.0, 22: 1.0, 31: 9.0})
    assert federation(grid).ask({"BE": b"ab"}, {"BG": b"cd", "FI": b"ef"}) == {"BE": b"ba", "BG": b"dc"}
    assert grid.now < 2.5


def test_it_does_not_wait_beyond_the_deadline() -> None:
    grid = FakeGrid({11: 1.0, 31: None})
    assert federation(grid, 30.0).ask({"BE": b"ab", "FI": b"x"}) == {"BE": b"ba"}
    assert 30.0 <= grid.now < 31.0


def test_a_node_that_is_gone_is_not_waited_for() -> None:
    grid = FakeGrid({11: 1.0, 31: None})
    grid.online = {11}
    assert federation(grid).ask({"BE": b"ab", "FI": b"x"}) == {"BE": b"ba"}
    assert grid.now < 10.0


@pytest.mark.parametrize(("deadline", "patience"), [(60.0, 15.0), (8.0, 4.0)])
def test_a_request_that_was_lost_with_its_process_is_sent_again(deadline: float, patience: float) -> None:
    grid = FakeGrid({11: 1.0, 31: None})

    def sleep(seconds: float) -> None:
        grid.now += seconds
        if grid.now > patience / 2:
            grid.delays[31] = 0.5  # its executor is back

    found = FlowerFederation(grid, NODES, deadline, clock=lambda: grid.now, sleep=sleep)  # type: ignore[arg-type]
    assert found.ask({"BE": b"ab", "FI": b"xy"}) == {"BE": b"ba", "FI": b"yx"}
    assert patience < grid.now < patience + 3


def test_late_answers_to_earlier_requests_never_appear() -> None:
    grid = FakeGrid({11: 40.0, 31: 1.0})
    asked = federation(grid, 30.0)
    assert asked.ask({"BE": b"first", "FI": b"x"}) == {"FI": b"x"}
    grid.delays[11] = 25.0
    grid.now = 39.0
    assert asked.ask({"BE": b"second"}) == {"BE": b"dnoces"}


def test_a_renewed_key_is_asked_at_whichever_number_is_there() -> None:
    grid = FakeGrid({21: 1.0, 22: 1.0})
    federation(grid).ask({"BG": b"x"})
    grid.online = {21}
    federation(grid).ask({"BG": b"x"})
    grid.online = set()
    federation(grid, 1.0).ask({"BG": b"x"})
    assert [node for _, node in grid.asked] == [22, 21, 22]


def test_a_key_that_is_renewed_while_a_study_runs_is_asked_at_its_new_number(tmp_path: Path) -> None:
    write_json(tmp_path / NODES_FILE, {"BG": [21]})
    grid = FakeGrid({21: 1.0, 22: 1.0})
    running = FlowerFederation(grid, Registered(tmp_path), 60.0, clock=lambda: grid.now, sleep=grid.sleep)  # type: ignore[arg-type]
    running.ask({"BG": b"x"})
    write_json(tmp_path / NODES_FILE, {"BG": [21, 22]})
    grid.online = {22}
    assert running.online() == {"BG"}
    assert running.ask({"BG": b"ab"}) == {"BG": b"ba"}
    assert [node for _, node in grid.asked] == [21, 22]


def test_an_error_or_foreign_bytes_count_as_no_answer() -> None:
    grid = FakeGrid({11: 1.0, 31: 1.0})
    grid.fails = {31}
    assert federation(grid).ask({"BE": b"ab", "FI": b"x"}) == {"BE": b"ba"}
    assert grid.now < 5


def test_who_is_online() -> None:
    grid = FakeGrid({11: None, 21: None, 31: None})
    grid.online = {11, 21}
    assert federation(grid).online() == {"BE", "BG"}


@pytest.mark.parametrize("nodes", [{}, {"XX": b"x"}])
def test_nobody_to_ask_is_no_wait(nodes: dict[str, bytes]) -> None:
    grid = FakeGrid({})
    assert federation(grid, 1.0).ask(nodes) == {}


@pytest.mark.parametrize("counted", [{11}, {11, 31}])
def test_in_the_first_seconds_of_a_service_a_node_that_is_gone_is_waited_for(counted: set[int]) -> None:
    """SuperLink may know that FI is gone, or notice it only when FI is asked."""
    grid = FakeGrid({11: 1.0, 31: 0.2})
    grid.unavailable = {31}
    grid.online = set(counted)

    def sleep(seconds: float) -> None:
        grid.now += seconds
        if grid.now > 1.0:
            grid.online = {11}
        if grid.now > 12.0:
            grid.online, grid.unavailable = {11, 31}, set()

    terms = {"clock": lambda: grid.now, "sleep": sleep}
    settling = FlowerFederation(grid, NODES, 60.0, settled=20.0, **terms)  # type: ignore[arg-type]
    assert settling.ask({"BE": b"ab", "FI": b"xy"}) == {"BE": b"ba", "FI": b"yx"}
    assert 12.0 < grid.now < 16.0


def test_a_service_that_has_settled_waits_for_no_node_that_is_gone() -> None:
    grid = FakeGrid({11: 1.0, 31: 0.2})
    grid.unavailable = {31}
    found = FlowerFederation(
        grid,  # type: ignore[arg-type]
        NODES,
        60.0,
        clock=lambda: grid.now,
        sleep=grid.sleep,
        settled=0.0,
    )
    assert found.ask({"BE": b"ab", "FI": b"xy"}) == {"BE": b"ba"}
    assert grid.now < 2.0
    grid.online = {11}
    grid.delays[31] = None
    settling = FlowerFederation(
        grid,  # type: ignore[arg-type]
        NODES,
        60.0,
        clock=lambda: grid.now,
        sleep=grid.sleep,
        settled=20.0,
    )
    assert settling.ask({"BE": b"ab", "FI": b"xy"}) == {"BE": b"ba"}
    assert 20.0 < grid.now < 24.0
