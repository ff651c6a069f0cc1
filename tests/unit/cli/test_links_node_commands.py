"""`safeborders node links` on a real node: batches, switch, stop-list, epochs, audit."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from safeborders_fed.audit.chain import verify
from safeborders_fed.cases.intake import import_file
from safeborders_fed.cli.main import run
from safeborders_fed.errors import ConfigurationError, DataError, PeerError, RefusedError, UsageError
from safeborders_fed.links.desk import Desk, open_desk
from safeborders_fed.links.office import open_office
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node.approvals import Approver, accept_roster, create_approver_key
from safeborders_fed.node.approvers import approvers_to_bytes
from safeborders_fed.node.creating import create_node
from safeborders_fed.node.settings import NodeSettings
from safeborders_fed.simulation.ceremony import hold
from safeborders_fed.study.accepted_keys import AcceptedKeys, check_successor
from safeborders_fed.study.key_files import load_key, save_key
from safeborders_fed.study.link_messages import LinkAnswer, LinkAsk
from safeborders_fed.study.messages import Reason, Refusal, decode
from store_samples import mapping, row, write

TERMS = """
[policy]
analyses = ["logistic"]
columns = ["sex"]
epsilon_per_study = 1.0
epsilon_per_year = 2.0
epsilon_lifetime = 3.0
delta = 1e-6
minimum_participants = 2
purposes = ["statistics"]
populations = ["all"]
least_victims = 0
least_tolerated_colluders = 1
[links]
types = ["phone"]
owners = ["Exploiter"]
purposes = ["investigation"]
partners = ["BE"]
monthly = 1000
first_load = 1000
"""
WORDS = "correct horse battery"
BASIS = ["--purpose", "investigation", "--legal-basis", "order 7/2026"]


class Node:
    """A node whose people use its commands."""

    def __init__(self, directory: Path, out: Any) -> None:
        self.directory, self.home, self._out = directory, directory / "ro", out
        settings = create_node(self.home, "RO", directory / "ro.key", 1000)
        with (self.home / "node.toml").open("a", encoding="utf-8") as file:
            file.write(TERMS)
        ceremony = hold(["BE", "RO"])
        settings.signing_key_path.unlink()
        save_key(ceremony.identities["RO"].signing_key, settings.signing_key_path)
        people = ceremony.people["RO"]
        signed = [
            approval
            for change in check_successor(None, ceremony.roster).to_accept
            for approval in people.approve("key-acceptance", change.acceptance)
        ]
        accepted = accept_roster(
            AcceptedKeys(), ceremony.roster, signed, approvers=people.enrolled, now=datetime.now(UTC)
        )
        (self.home / "accepted-keys.json").write_bytes(accepted.to_bytes())
        (directory / "words").write_text(WORDS, encoding="utf-8")
        enrolled = list(people.enrolled)
        for name in ("Petra", "Paulo"):
            public = create_approver_key(directory / f"{name}.pem", WORDS)
            enrolled.append(Approver(name=name, role="prosecutor", public=public))
        create_approver_key(directory / "Eve.pem", WORDS)
        (self.home / "approvers.json").write_bytes(approvers_to_bytes(enrolled))
        file = write(directory / "register.csv", [row(number) for number in (123_456, 555_555)])
        import_file(file, mapping(), settings.open_store())
        self.settings = NodeSettings.load(self.home)

    def run(self, *words: object, code: int = 0) -> dict[str, Any]:
        arguments = ["node", "links", *map(str, words), "--home", str(self.home), "--json"]
        assert run(arguments) == code
        content: dict[str, Any] = json.loads(self._out.readouterr().out)
        return content

    def text(self, *words: object) -> str:
        assert run(["node", "links", *map(str, words), "--home", str(self.home)]) == 0
        return str(self._out.readouterr().out)

    def approve(self, batch: str, name: str, code: int = 0) -> dict[str, Any]:
        key = ["--key", self.directory / f"{name}.pem", "--passphrase-file", self.directory / "words"]
        return self.run("approve", batch, "--name", name, *key, code=code)

    def logged(self) -> list[tuple[str, str]]:
        self.settings.open_audit_log().close()
        verify(self.settings.audit_path, [public_hex(load_key(self.settings.signing_key_path))])
        lines = self.settings.audit_path.read_bytes().splitlines()
        return [(json.loads(line)["operation"], json.loads(line)["who"]) for line in lines]


@pytest.fixture
def node(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Node:
    return Node(tmp_path, capsys)


def test_a_batch_from_its_making_to_its_audit(node: Node) -> None:
    done = node.run("prepare", *BASIS)
    batch = done["batch"]
    assert done["identifiers"] == {"phone": 2}
    shown = node.text("show", batch[:8])
    assert "2 identifiers of this node, sent as 64 points" in shown
    assert "Approvals: 0 of 2 (nobody)" in shown
    assert node.approve(batch[:12], "Petra")["missing"] == 1
    assert node.approve(batch, "Petra")["missing"] == 1, "one person counted twice"
    assert node.approve(batch, "Paulo")["missing"] == 0
    (stated,) = node.run("status")["batches"]
    assert (stated["state"], stated["approved_by"]) == ("under way", ["Petra", "Paulo"])
    found = node.run("audit", batch)
    assert found["holds"]
    assert len(found["leaves"]) == 2
    assert all("40700" in leaf["identifier"] and leaf["case"] for leaf in found["leaves"])
    logged = node.logged()
    assert [who for operation, who in logged if operation == "approve"] == ["Petra", "Petra", "Paulo"]
    assert "view" in [operation for operation, _ in logged]
    assert node.run("stop", batch, "--reason", "a mistake")["stopped"]
    assert not node.run("stop", batch, "--reason", "a mistake")["stopped"]
    assert node.run("status")["batches"][0]["state"] == "stopped"


def test_who_is_no_prosecutor_here_approves_nothing(node: Node) -> None:
    batch = node.run("prepare", *BASIS)["batch"]
    error = node.approve(batch, "Eve", code=RefusedError.exit_code)["error"]
    assert error["code"] == "not-a-prosecutor"
    assert node.run("status")["batches"][0]["approved_by"] == []
    error = node.approve("ab" * 32, "Petra", code=UsageError.exit_code)["error"]
    assert error["code"] == "unknown-batch"


def test_the_switch_turns_while_the_service_runs_and_is_on_record(node: Node) -> None:
    participant = node.settings.open_participant(open_desk)
    year = f"{datetime.now(UTC):%Y}"
    commit = LinkAsk("e1", "commit", (), {"epoch": year}).encode()
    assert isinstance(decode(participant.answer(commit).data), LinkAnswer)
    node.run("off", "--reason", "an order of the court")
    answer = decode(participant.answer(commit).data)
    assert isinstance(answer, Refusal)
    assert answer.reason == Reason.POLICY
    assert "LINKS ARE OFF" in node.text("status")
    assert "an order of the court" in node.text("status")
    assert node.run("prepare", *BASIS, code=RefusedError.exit_code)["error"]["code"] == "link-off"
    node.run("on", "--reason", "the order was lifted")
    assert isinstance(decode(participant.answer(commit).data), LinkAnswer)
    participant.audit_log.close()
    assert [operation for operation, _ in node.logged()].count("link-switch") == 2


def test_off_works_though_the_cases_do_not_open(node: Node) -> None:
    node.settings.key_path.rename(node.directory / "gone.key")
    node.run("off", "--reason", "the key file is lost")
    assert not (node.home / "links" / "off.json").stat().st_mode & 0o077


def test_a_node_without_a_table_of_links_answers_nothing(node: Node) -> None:
    text = (node.home / "node.toml").read_text(encoding="utf-8")
    (node.home / "node.toml").write_text(text.split("\n[links]")[0], encoding="utf-8")
    assert node.run("status", code=4)["error"]["code"] == "no-links"
    settings = NodeSettings.load(node.home)
    participant = settings.open_participant(open_desk)
    answer = decode(participant.answer(LinkAsk("e1", "batch").encode()).data)
    assert isinstance(answer, Refusal)
    participant.audit_log.close()
    assert not (node.home / "links.sqlite").exists()


def test_the_stop_list_leaves_out(node: Node) -> None:
    added = node.run("stop-list", "--type", "phone", "--value", "+40 700 123456", "--reason", "a taxi")
    assert added["added"] >= 1
    assert node.run("prepare", *BASIS)["identifiers"] == {"phone": 1}
    error = node.run("stop-list", "--type", "phone", "--reason", "x", code=UsageError.exit_code)["error"]
    assert error["code"] == "stop-list"


def test_an_epoch_is_destroyed_for_good_and_in_its_own_year_only_on_purpose(node: Node) -> None:
    participant = node.settings.open_participant(open_desk)
    year = f"{datetime.now(UTC):%Y}"
    commit = LinkAsk("e1", "commit", (), {"epoch": year}).encode()
    participant.answer(commit)
    assert (node.home / "links" / f"epoch-{year}.sealed").exists()
    words = ["destroy", year, "--reason", "over"]
    assert node.run(*words, code=RefusedError.exit_code)["error"]["code"] == "epoch-not-over"
    assert "destroy every copy" in node.text(*words, "--early")
    assert not (node.home / "links" / f"epoch-{year}.sealed").exists()
    assert isinstance(decode(participant.answer(commit).data), Refusal)
    participant.audit_log.close()
    assert [operation for operation, _ in node.logged()].count("link-keys") == 1


def test_a_step_that_is_none_is_refused(node: Node) -> None:
    desk = Desk(open_office(node.settings))
    with pytest.raises(PeerError, match="surprise"):
        desk.answer(LinkAsk("e1", "surprise"))


def test_too_few_prosecutors_are_said_before_a_batch_is_prepared(node: Node) -> None:
    path = node.home / "approvers.json"
    people = [person for person in node.settings.approvers() if person.name != "Paulo"]
    path.write_bytes(approvers_to_bytes(people))
    error = node.run("prepare", *BASIS, code=ConfigurationError.exit_code)["error"]
    assert error["code"] == "no-prosecutors"
    assert node.run("status")["batches"] == []


def test_a_short_number_needs_no_place_on_the_stop_list_and_that_is_said(node: Node) -> None:
    words = ["--type", "phone", "--value", "116 006", "--reason", "hotline"]
    error = node.run("stop-list", *words, code=DataError.exit_code)["error"]
    assert error["code"] == "no-normal-form"
    assert "short or emergency number" in error["fix"]
