"""Links between services over Flower and the gate: keys, tokens, a hit at both ends, records, by commands."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any

import pytest
from loopback import Loopback, safeborders, wait_for

from link_federation import CONTACT, HEADER, MAPPING
from safeborders_fed.links.exchange_files import epochs

pytestmark = pytest.mark.slow
STATES = ("BE", "BG", "RO")
PROSECUTORS = ("Petra", "Paulo")
TERMS = """
[links]
types = ["phone", "email"]
owners = ["Exploiter", "Recruiter"]
purposes = ["investigation"]
partners = [{partners}]
monthly = 20000
first_load = 40000
alarm_hits = 100
"""
SHARED = "+32 2 555 12 12"
MANY = 5_000
"""Numbers at one state, so that a message has as many points as a chunk can hold."""


class Linked(Loopback):
    """A federation whose nodes take part in links.

    Attributes:
        shared: Numbers that stand in files of BE and of BG.
        many: Numbers at BE.
    """

    shared: tuple[str, ...] = (SHARED,)
    many = MANY

    def prepare_links(self) -> None:
        """Policies, prosecutors and cases, before the services start."""
        for place, node in enumerate(self.nodes):
            home = self.nodes[node].home
            partners = ", ".join(f'"{other}"' for other in self.nodes if other != node)
            with (home / "node.toml").open("a", encoding="utf-8") as settings:
                settings.write(TERMS.format(partners=partners))
            (home / "contact.toml").write_text(CONTACT.format(node.lower()), encoding="utf-8")
            for name in PROSECUTORS:
                words = ("--passphrase-file", self.keys / "passphrase")
                made = safeborders("node", "approver", "create-key", self.key(node, name), *words)
                public = ("--public", made["public_key"], "--role", "prosecutor")
                self.node_command(node, "approver", "add", "--name", name, *public, "--by", "IT")
            self._cases(node, place)

    def _cases(self, node: str, place: int) -> None:
        numbers = list(self.shared) if node != "RO" else []
        count = self.many if node == "BE" else 50
        numbers += [f"+32 4{70 + place} {17 * at % 1_000_000:06d}" for at in range(1, count)]
        file, mapping = self.root / f"{node}.csv", self.root / "register.toml"
        with file.open("w", encoding="utf-8", newline="") as opened:
            writer = csv.DictWriter(opened, HEADER, restval="")
            writer.writeheader()
            for at, number in enumerate(numbers):
                row = {"case": f"case-{at}", "victim": f"person-{at}", "day": "2025-03-05", "phone": number}
                writer.writerow(row)
        mapping.write_text(MAPPING, encoding="utf-8")
        self.node_command(node, "import", file, "--mapping", mapping)

    def signed(self, node: str, name: str) -> tuple[object, ...]:
        key = ("--key", self.key(node, name), "--passphrase-file", self.keys / "passphrase")
        return "--name", name, *key

    def offer(self, node: str) -> None:
        terms = ("--purpose", "investigation", "--legal-basis", "Act 1")
        batch = self.node_command(node, "links", "prepare", *terms)["batch"]
        for name in PROSECUTORS:
            self.node_command(node, "links", "approve", batch, *self.signed(node, name))

    def hits(self, node: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.node_command(node, "links", "hits")["hits"]
        return found


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Linked]:
    made = Linked(tmp_path_factory.mktemp("links") / "federation", STATES, port=24643, deadline=60.0)
    try:
        made.found()
        made.prepare_links()
        made.start()
        yield made
    finally:
        made.stop()


def test_a_shared_number_is_a_hit_in_both_states_and_records_are_exchanged(linked: Linked) -> None:
    for node in linked.nodes:
        linked.offer(node)
    summary = linked.coordinator_command("links", "run")["summary"]
    assert (summary["offline"], summary["refused"], summary["troubles"]) == ([], [], [])
    assert summary["points"]["BE"] >= MANY
    assert [len(linked.hits(node)) for node in STATES] == [1, 1, 0]
    for node in ("BE", "BG"):
        (hit,) = linked.hits(node)
        for name in PROSECUTORS:
            words = ("--hit-hash", hit["hit"], *linked.signed(node, name))
            linked.node_command(node, "links", "approve-hit", hit["hit"], *words)
    linked.coordinator_command("links", "run", "--letters")
    records = {}
    for node in ("BE", "BG"):
        (hit,) = linked.hits(node)
        assert hit["state"] == "exchanged"
        records[node] = hit["record"]
    assert (records["BE"]["state"], records["BG"]["state"]) == ("BG", "BE")


def test_a_service_that_is_killed_amid_an_exchange_goes_on_when_it_is_run_again(linked: Linked) -> None:
    (files,) = epochs(linked.coordinator.home)
    before, rows = files.state().number, len(files.progress())
    linked.coordinator_command("links", "run", "--detach")
    wait_for(lambda: len(files.progress()) > rows, 30, "the beginning of an exchange")
    linked.coordinator.kill_all()
    linked.coordinator.start()
    linked.coordinator.wait_ready()
    summary = linked.coordinator_command("links", "run")["summary"]
    assert files.state().number in {before + 1, before + 2}  # it may have ended before it was killed
    assert summary["troubles"] == []


def test_a_node_that_is_down_is_named_and_found_again(linked: Linked) -> None:
    linked.nodes["RO"].stop()
    assert linked.coordinator_command("links", "run")["summary"]["offline"] == ["RO"]
    linked.nodes["RO"].start()
    linked.nodes["RO"].wait_ready()
    assert linked.coordinator_command("links", "run")["summary"]["offline"] == []


def test_a_node_that_is_switched_off_answers_nothing(linked: Linked) -> None:
    linked.node_command("RO", "links", "off", "--reason", "a test")
    summary = linked.coordinator_command("links", "run")["summary"]
    assert {each["node"] for each in summary["troubles"]} == {"RO"}
    linked.node_command("RO", "links", "on", "--reason", "a test")
    assert linked.coordinator_command("links", "run")["summary"]["troubles"] == []
