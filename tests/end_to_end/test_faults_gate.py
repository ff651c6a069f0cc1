"""Strangers at the coordinator's gate, while a study runs."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Self

import books
import httpx
import pytest
import strangers
from fault_federation import FaultFederation
from fault_table import Table
from loopback import memory

from safeborders_fed.transport.control import registered

pytestmark = pytest.mark.slow


class Peak:
    """How much more memory (PSS, MiB) a process has at most within a block than before it."""

    def __init__(self, process: int) -> None:
        self._process = process
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._before = memory([process])
        self.growth = 0.0

    def _look(self) -> None:
        while not self._over.wait(0.01):
            self.growth = max(self.growth, memory([self._process]) - self._before)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def test_strangers_at_the_gate(made: FaultFederation, table: Table, tmp_path: Path) -> None:
    study = "strangers"
    made.begin(study, rounds=22, retries=2, tick=1.0)
    address = f"127.0.0.1:{made.port}"
    ca = made.coordinator.home / "pki" / "ca.crt"
    made.wait_round(study, 1)

    with table.row(
        "A run submitted by a stranger from outside the gate",
        "Flower's own client asks the gate to start a run, with our app bundle; all other paths by hand.",
    ) as row:
        runs = made.coordinator.text().count("Created run")
        with pytest.raises(httpx.HTTPStatusError) as refused:
            strangers.start_run(address, ca.read_bytes())
        assert refused.value.response.status_code == 404
        for path in ("/v1/control/list-runs", "/v1/runtime/acquire-task", "/v1/fleet/register-node", "/"):
            for method in ("POST", "GET"):
                head = f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"
                assert strangers.request(made.port, ca, head.encode()) == b"HTTP/1.1 404 Not Found"
        assert made.coordinator.text().count("Created run") == runs
        row.outcome = "404 for every path that is not for nodes; SuperLink creates no run."

    with table.row(
        "A stranger with a key that nobody enrolled",
        "It signs as nodes do, and asks to become active; then it asks for messages under BG's number.",
    ) as row:
        for number, status in ((None, 412), (registered(made.coordinator.home / "run")["BG"][0], 401)):
            with pytest.raises(httpx.HTTPStatusError) as refused:
                strangers.knock(address, ca.read_bytes(), tmp_path, number)
            assert refused.value.response.status_code == status
        row.outcome = "412 (unknown key) and 401 (not the key of that number), from SuperLink."

    with table.row(
        "50 connections that send garbage", "64 KiB of random bytes each, half of them within TLS."
    ) as row:
        strangers.garbage(made.port, ca, 50)
        assert "Invalid HTTP request received" in made.coordinator.text()
        row.outcome = "Each is ended; the rounds go on."

    with table.row(
        "A request of 2 GiB", "Once with its length in its head, once in chunks without a word of its length."
    ) as row:
        gate = made.coordinator.pid("gate")
        head = b"POST /v1/fleet/push-object HTTP/1.1\r\nhost: x\r\ncontent-length: 2147483648\r\n\r\n"
        with Peak(gate) as said:
            assert b" 413 " in strangers.request(made.port, ca, head)
        with Peak(gate) as chunked:
            answer, sent = strangers.stream(made.port, ca, 2 * 2**30)
        assert answer == b"" or b" 413 " in answer
        assert made.coordinator.pid("gate") == gate
        assert sent <= 80 * 2**20
        assert said.growth < 8
        assert chunked.growth < 160
        row.outcome = (
            f"413: at once by its head ({said.growth:.0f} MiB more memory at most), or after "
            f"{sent / 2**20:.0f} MiB ({chunked.growth:.0f} MiB more at most)."
        )

    with table.row(
        "600 connections that begin a request and fall silent",
        "More than the gate lets stand; the links of nodes are made to connect anew meanwhile.",
    ) as row:
        with strangers.Idlers(made.port, ca, 600) as idlers:
            at = made.rounds(study)
            for node in ("BG", "IT"):
                made.nodes[node].kill("link")
            made.wait_round(study, at + 2, 30)
            assert idlers.are_gone(30)
        assert "connections ended by the gate" in made.coordinator.text()
        row.outcome = "Nodes connect and rounds go on; what is silent for 15 seconds is ended."

    assert made.finish(study).state == "finished"
    books.check(made, study)
