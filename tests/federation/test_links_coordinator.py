"""The coordinator's commands for links, and what its service does with them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from link_attacks import at_step, lying_answer
from link_federation import LinkFederation, federation
from safeborders_fed.cli import main
from safeborders_fed.coordinator.home import CoordinatorHome, create_home
from safeborders_fed.links import conducting
from safeborders_fed.links.exchange_files import LinkFiles, Wish
from safeborders_fed.study.link_messages import say
from safeborders_fed.transport import control
from safeborders_fed.transport.coordinator_service import CoordinatorService

SHARED = {"phone": "+32 2 555 12 12"}


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LinkFederation:
    """Two states with one number in common, a coordinator, and a service that runs in this process."""
    found = federation(tmp_path, "BE", "BG")
    home = create_home(tmp_path / "coordinator", operator="Ana", key_file=tmp_path / "ana")
    for node in found.nodes.values():
        node.add(SHARED)
        node.offer()
    roster = SimpleNamespace(roster=found.ceremony.roster)
    monkeypatch.setattr(conducting, "current_roster", lambda _: roster)
    service = CoordinatorService(home, lambda _: None)

    def start(_: CoordinatorHome, action: str, study: str) -> None:
        service._work(action, study, found.wire)

    monkeypatch.setattr(control, "start", start)
    return found


def links(made: LinkFederation, capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    """Runs a command; what it printed last, as JSON."""
    capsys.readouterr()
    home = str(made.directory / "coordinator")
    assert main.run(["coordinator", "links", *words, "--home", home, "--json"]) == code
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def entries(made: LinkFederation) -> list[dict[str, Any]]:
    """The coordinator's audit log about links."""
    lines = (made.directory / "coordinator" / "audit.jsonl").read_bytes().splitlines()
    return [entry for entry in map(json.loads, lines) if entry["operation"] == "link-exchange"]


def test_a_run_is_followed_to_its_summary_and_stands_in_the_audit_log(
    made: LinkFederation, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = links(made, capsys, "run", "--by", "Ana")["summary"]
    assert (summary["points"], summary["offline"], summary["troubles"]) == ({"BE": 64, "BG": 64}, [], [])
    assert len(made["BE"].hits()) == len(made["BG"].hits()) == 1
    begun, ended = entries(made)
    assert (begun["who"], ended["who"]) == ("Ana", "Ana")
    assert ended["details"]["points"] == 128
    assert ended["details"]["exchange"] == f"{made.files.epoch}-0001"
    rows = [row["kind"] for row in made.files.progress()]
    assert (rows[0], rows[-1]) == ("started", "summary")


def test_the_steps_are_told_to_people_as_they_come(
    made: LinkFederation, capsys: pytest.CaptureFixture[str]
) -> None:
    home = str(made.directory / "coordinator")
    assert main.run(["coordinator", "links", "run", "--home", home]) == 0
    printed = capsys.readouterr()
    assert "2 states are there" in printed.err
    assert "128 identifiers have tokens" in printed.err
    assert "equal ones verified by both states (canaries included)" in printed.out


def test_status_shows_pairs_and_what_went_wrong(
    made: LinkFederation, capsys: pytest.CaptureFixture[str]
) -> None:
    assert links(made, capsys, "status") == {"schema_version": 1, "epochs": []}
    lie = at_step("take", "BE", lambda _, __, answer: lying_answer(made["BE"], answer, blamed=["BG"]))
    with made.lying(answer=lie):
        links(made, capsys, "run")
    (epoch,) = links(made, capsys, "status")["epochs"]
    assert (epoch["nodes"], epoch["done"], epoch["running"]) == (["BE", "BG"], True, False)
    assert epoch["pairs"]["BE-BG"]["first"] == 64
    assert list(epoch["summary"]["liars"]) == ["BE"]
    assert entries(made)[-1]["details"]["wrong"] == "BE"
    assert main.run(["coordinator", "links", "status", "--home", str(made.directory / "coordinator")]) == 0
    assert "BE: it blamed another state for shares that are right" in capsys.readouterr().out


def test_who_is_offline_is_named(made: LinkFederation, capsys: pytest.CaptureFixture[str]) -> None:
    made.wire.offline = {"BG"}
    home = str(made.directory / "coordinator")
    assert main.run(["coordinator", "links", "run", "--home", home]) == 0
    assert "Offline: BG. New tokens wait for all states." in capsys.readouterr().out


def test_what_stops_an_exchange_is_the_error_of_the_command_and_is_logged(
    made: LinkFederation, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(home: CoordinatorHome, _: str, study: str) -> None:
        with pytest.raises(Exception, match="keys"):
            conducting.conduct(home, study, made.wire)

    monkeypatch.setattr(control, "start", start)
    lie = at_step("pin", "BE", lambda _, __, answer: lying_answer(made["BE"], answer, keys="ab" * 32))
    with made.lying(answer=lie):
        error = links(made, capsys, "run", code=6)["error"]
    assert error["code"] == "different-keys"
    assert entries(made)[-1]["details"]["code"] == "different-keys"


def test_an_epoch_is_forgotten_on_request_only_and_between_exchanges(
    made: LinkFederation, capsys: pytest.CaptureFixture[str]
) -> None:
    links(made, capsys, "run")
    epoch = made.files.epoch
    with LinkFiles(made.directory / "coordinator", epoch).lock():
        assert links(made, capsys, "forget", epoch, code=5)["error"]["code"] == "exchange-running"
        assert links(made, capsys, "run", code=5)["error"]["code"] == "exchange-running"
    assert made.files.board.counts()
    links(made, capsys, "forget", epoch, "--by", "Ana")
    assert made.files.board.counts() == {}
    assert not list((made.files.path / "letters").glob("*"))
    assert entries(made)[-1]["who"] == "Ana"
    assert links(made, capsys, "forget", "1999", code=2)["error"]["code"] == "no-epoch"


def test_after_its_board_is_forgotten_an_epoch_goes_on_with_new_tags_only(
    made: LinkFederation, capsys: pytest.CaptureFixture[str]
) -> None:
    links(made, capsys, "run")
    links(made, capsys, "forget", made.files.epoch)
    summary = links(made, capsys, "run")["summary"]
    assert summary["troubles"] == []
    assert summary["exchange"].endswith("-0002")


def test_letters_alone_bring_no_new_tokens(made: LinkFederation, capsys: pytest.CaptureFixture[str]) -> None:
    links(made, capsys, "run")
    for node in made.nodes.values():
        node.approve_hits()
        node.add({"email": "new@example.org"})
        node.offer()
    made.wire.passed.clear()
    links(made, capsys, "run", "--letters")
    assert {ask.step for _, ask, _ in made.wire.passed} == {"commit", "post"}
    assert {row.state for node in made.nodes.values() for row in node.hits()} == {"exchanged"}
    links(made, capsys, "run", "--letters")
    given = [(node, said.hash) for node, ask, _ in made.wire.asks("post") for said in ask.said]
    assert len(set(given)) == len(given)  # each text once, however often its state says it


def test_a_text_with_letters_is_handed_over_once(made: LinkFederation) -> None:
    said = say("BE", made["BE"].office.key, "letters", {"letters": []})
    assert made.files.post("BG", said)
    assert not made.files.post("BG", said)
    assert made.files.waiting("BG") == (said,)
    made.files.given("BG", [said])
    assert not made.files.post("BG", said)  # it comes again when an answer was lost
    assert made.files.waiting("BG") == ()


def test_a_wish_and_a_state_that_are_damaged_are_said_to_be(made: LinkFederation) -> None:
    made.files.ask_for(Wish(by="Ana"))
    (made.files.path / "wish.json").write_bytes(b"{}x")
    with pytest.raises(Exception, match=r"wish\.json is damaged"):
        made.files.wish()


def test_a_line_of_progress_that_a_crash_cut_off_is_dropped(made: LinkFederation) -> None:
    made.files.tell({"kind": "started"})
    with (made.files.path / "progress.jsonl").open("ab") as file:
        file.write(b'{"kind": "tok')
    made.files.tell({"kind": "summary"})
    assert made.files.progress() == [{"kind": "started"}, {"kind": "summary"}]


def test_keys_of_another_year_than_this_are_not_made(
    made: LinkFederation, capsys: pytest.CaptureFixture[str]
) -> None:
    error = links(made, capsys, "run", "--epoch", "1999", code=2)["error"]
    assert error["code"] == "no-epoch"
    assert links(made, capsys, "status")["epochs"] == []


def test_a_node_that_is_switched_off_is_named_once_in_plain_words(
    made: LinkFederation, capsys: pytest.CaptureFixture[str]
) -> None:
    links(made, capsys, "run")
    made["BG"].office.switch.turn_off("Ana", "a test", made.clock())
    home = str(made.directory / "coordinator")
    assert main.run(["coordinator", "links", "run", "--home", home]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("BG ")]
    assert len(said) == 1
    assert "links are switched off there" in said[0]
