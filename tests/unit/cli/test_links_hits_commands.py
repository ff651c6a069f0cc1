"""`safeborders node links hits|hit|approve-hit|decline|outcome|draft`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from hit_pair import Pair, open_pair
from safeborders_fed.cli.main import run
from safeborders_fed.links import office
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node import approvals, journal
from safeborders_fed.node.approvers import approvers_to_bytes
from safeborders_fed.node.creating import create_node
from safeborders_fed.node.settings import NodeSettings

WORDS = "correct horse battery"


class Desk:
    """The node BE of a pair, by its commands."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch, out: Any) -> None:
        self.found: Pair = open_pair(directory)
        self.node = self.found.made["BE"]
        self.home, self.out, self._directory = self.node.office.home, out, directory
        create_node(directory / "new", "BE", directory / "be.key", 1000)
        shutil.copy(directory / "new" / "node.toml", self.home)
        people = [person.enrolled for person in self.node.people]
        (self.home / "approvers.json").write_bytes(approvers_to_bytes(people))
        (directory / "words").write_text(WORDS)
        monkeypatch.setattr(office, "open_office", lambda _: self.node.office)
        keys = {directory / f"{person.name}.pem": person.key for person in self.node.people}
        monkeypatch.setattr(approvals, "load_approver_key", lambda path, _: keys[path])
        monkeypatch.setattr(journal, "now", self.found.clock)
        monkeypatch.setattr(NodeSettings, "open_store", lambda _: Names(self.cases))

    @property
    def hit(self) -> str:
        return self.found.row("BE").id

    @property
    def cases(self) -> tuple[str, ...]:
        return self.found.row("BE").cases

    def run(self, *words: object, code: int = 0) -> dict[str, Any]:
        """A command with ``--json``; what it says."""
        arguments = ["node", "links", *map(str, words), "--home", str(self.home), "--json"]
        assert run(arguments) == code
        content: dict[str, Any] = json.loads(self.out.readouterr().out)
        return content

    def text(self, *words: object) -> str:
        assert run(["node", "links", *map(str, words), "--home", str(self.home)]) == 0
        return str(self.out.readouterr().out)

    def person(self, number: int = 0) -> list[object]:
        name = self.node.people[number].name
        key = self._directory / f"{name}.pem"
        return ["--name", name, "--key", key, "--passphrase-file", self._directory / "words"]

    def exchanged(self) -> None:
        for node in ("BE", "BG"):
            self.found.sign(node)
        self.found.post()


class Names:
    """A store that knows which national case a pseudonym stands for."""

    def __init__(self, cases: tuple[str, ...]) -> None:
        self._cases = cases

    def latest_snapshot(self) -> str:
        return "s1"

    def raw_keys(self) -> dict[str, Any]:
        class Column(list[str]):
            def to_pylist(self) -> list[str]:
                return list(self)

        return {
            "case": Column([*self._cases, "0" * 32]),
            "case_id": Column([*(f"BE-2026/{at}" for at, _ in enumerate(self._cases)), "other"]),
        }


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Desk:
    found = Desk(tmp_path, monkeypatch, capsys)
    for person in found.node.people:
        (tmp_path / f"{person.name}.pem").write_text("")
        assert public_hex(person.key)
    return found


def test_hits_are_listed_in_plain_words(desk: Desk) -> None:
    text = desk.text("hits")
    assert "A hit is a lead, not evidence" in text
    assert desk.hit[:12] in text
    (shown,) = desk.run("hits")["hits"]
    assert (shown["hit"], shown["partner"], shown["state"]) == (desk.hit, "BG", "open")
    looks = [entry.details["hits"] for entry in desk.node.entries() if entry.operation.value == "view"]
    assert looks == [1, 1]


def test_no_hit_is_said(tmp_path: Path, desk: Desk) -> None:
    assert tmp_path.exists()
    desk.node.office.hits.db.execute("DELETE FROM hit")
    assert desk.text("hits") == "There is no hit.\n"


def test_one_hit_says_what_is_known_and_what_comes_next(desk: Desk) -> None:
    text = desk.text("hit", desk.hit[:12])
    for words in (
        f"Your case handle {desk.found.row('BE').own_handle}: there is a hit with BG",
        "strength class exact",
        "approve-hit",
        desk.cases[0],
    ):
        assert words in text
    assert desk.found.row("BG").own_handle not in text
    assert "BE-2026/0" not in text
    assert "is BE-2026/0 in the national file" in desk.text("hit", desk.hit[:12], "--national")


def test_a_hit_is_approved_by_two_people_who_give_it_in_full(desk: Desk) -> None:
    wrong = desk.run("approve-hit", desk.hit[:12], *desk.person(), "--hit-hash", desk.hit[:12], code=5)
    assert wrong["error"]["code"] == "another-hash"
    none = desk.run("approve-hit", desk.hit[:12], *desk.person(), code=2)
    assert none["error"]["code"] == "no-terminal"
    one = desk.run("approve-hit", desk.hit[:12], *desk.person(0), "--hit-hash", desk.hit)
    assert (one["state"], one["approved_by"]) == ("open", ["BE one"])
    two = desk.run("approve-hit", desk.hit[:12], *desk.person(1), "--hit-hash", desk.hit)
    assert (two["state"], two["approved_by"]) == ("approved-here", ["BE one", "BE two"])


def test_who_is_not_enrolled_signs_nothing(desk: Desk) -> None:
    words = desk.person()
    words[1] = "Somebody else"
    said = desk.run("approve-hit", desk.hit[:12], *words, "--hit-hash", desk.hit, code=5)
    assert said["error"]["code"] == "not-a-prosecutor"


def test_a_paper_that_does_not_count_is_said_to_who_signed_it(desk: Desk) -> None:
    desk.run("decline", desk.hit[:12], *desk.person(), "--reason", "case-closed")
    said = desk.run("approve-hit", desk.hit[:12], *desk.person(), "--hit-hash", desk.hit, code=5)
    assert said["error"]["code"] == "hit-state"


def test_an_alarm_must_be_seen(desk: Desk) -> None:
    desk.node.office.hits.change(desk.hit, alarm=True)
    said = desk.run("approve-hit", desk.hit[:12], *desk.person(), "--hit-hash", desk.hit, code=5)
    assert said["error"]["code"] == "hit-alarm"
    words = [*desk.person(), "--hit-hash", desk.hit, "--despite-alarm"]
    assert desk.run("approve-hit", desk.hit[:12], *words)["approved_by"] == ["BE one"]
    assert "ALARM" in desk.text("hit", desk.hit[:12])


def test_a_hit_is_declined_for_a_reason_of_the_list(desk: Desk) -> None:
    said = desk.run("decline", desk.hit[:12], *desk.person(), "--reason", "no time", code=2)
    assert said["error"]["code"] == "unknown-reason"
    done = desk.run("decline", desk.hit[:12], *desk.person(), "--reason", "case-closed")
    assert (done["state"], done["reason"]) == ("declined", "case-closed")


def test_words_that_are_none_are_refused(desk: Desk) -> None:
    urgency = desk.run("approve-hit", desk.hit[:12], *desk.person(), "--urgency", "now", code=2)
    assert urgency["error"]["code"] == "unknown-urgency"
    what = desk.run("outcome", desk.hit[:12], *desk.person(), "--what", "arrested", code=2)
    assert what["error"]["code"] == "unknown-outcome"
    assert desk.run("hit", "00000000", code=2)["error"]["code"] == "unknown-hit"
    kind = desk.run("draft", desk.hit[:12], "--out", desk.home / "x", "--kind", "letter", code=2)
    assert kind["error"]["code"] == "unknown-draft"


def test_an_outcome_is_said_and_a_draft_written(desk: Desk, tmp_path: Path) -> None:
    early = desk.run("draft", desk.hit[:12], "--out", tmp_path / "draft.txt", code=5)
    assert early["error"]["code"] == "no-record"
    desk.exchanged()
    text = desk.text("hit", desk.hit[:12])
    assert "National Unit for Organised Crime" in text
    assert "draft" in text
    done = desk.run("draft", desk.hit[:12], "--out", tmp_path / "draft.txt", "--kind", "eio")
    assert done["check"]
    assert "BE-2026/0" in (tmp_path / "draft.txt").read_text()
    assert "It was not sent" in desk.text("draft", desk.hit[:12], "--out", tmp_path / "siena.txt")
    said = desk.run("outcome", desk.hit[:12], *desk.person(), "--what", "confirmed")
    assert (said["state"], said["outcome"]) == ("confirmed", "confirmed")


def test_without_a_contact_point_nobody_approves(desk: Desk) -> None:
    (desk.home / "contact.toml").unlink()
    said = desk.run("approve-hit", desk.hit[:12], *desk.person(), "--hit-hash", desk.hit, code=4)
    assert said["error"]["code"] == "no-contact"
    assert desk.run("hit", desk.hit[:12])["approved_by"] == []


def test_an_error_is_said_once(desk: Desk) -> None:
    words = ["outcome", desk.hit[:12], *desk.person(), "--what", "confirmed", "--home", desk.home]
    assert run(["node", "links", *map(str, words)]) == 5
    printed = desk.out.readouterr()
    assert (printed.err.count("does not become"), printed.out) == (1, "")


def test_a_directory_that_is_no_nodes_is_no_defect(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["node", "links", "hits", "--home", str(tmp_path / "none"), "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "settings-missing"


def test_why_a_record_does_not_go_out_is_said(desk: Desk) -> None:
    for node in ("BE", "BG"):
        desk.found.sign(node)
    (desk.home / "contact.toml").unlink()
    desk.found.post()
    assert "NOTHING IS SENT YET (no-contact)" in desk.text("hit", desk.hit[:12])
