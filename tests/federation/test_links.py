"""A whole exchange of links in one process: what is shared is found, nothing is invented, nothing is lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from link_attacks import asks_at, charged
from link_federation import Clock, CrashError, LinkFederation, federation
from safeborders_fed.links.handles import CANARIES
from safeborders_fed.study.link_messages import LinkAnswer, LinkAsk

STATES = ("BE", "BG", "GR")
SHARED_PHONE = "+32 2 555 12 12"


def planted(directory: Path, *states: str) -> LinkFederation:
    """Identifiers shared by two and by three states, with near misses beside them."""
    made = federation(directory, *(states or STATES))
    made["BE"].add(
        {"phone": SHARED_PHONE, "email": "boss@example.org", "handle": "telegram:ring_one"},
        {"phone": SHARED_PHONE, "email": "only.be@example.org"},
        {"phone": "+32 2 555 12 14", "victim_phone": "+40 21 555 0101"},
    )
    made["BG"].add(
        {"phone": "0032 2 555 12 12", "email": "bos@example.org", "handle": "telegram:ring_one"},
        {"phone": "+359 2 555 0001", "victim_phone": "+40 21 555 0101"},
    )
    if "GR" in made.nodes:
        made["GR"].add(
            {"phone": "+32 2 555 12 13", "email": "BOSS@example.org", "handle": "telegram:ring_one"}
        )
    return made


def open_hits(made: LinkFederation) -> dict[str, set[tuple[str, str]]]:
    """By pair what people see: type and handles of each hit; both states' views of a hit are equal."""
    found: dict[str, set[tuple[str, str]]] = {}
    for node in made.nodes.values():
        for row in node.office.hits.shown():
            pair = "-".join(sorted((node.name, row.partner)))
            handles = {node.name: row.own_handle, row.partner: row.their_handle}
            found.setdefault(pair, set()).add((row.kind, " ".join(handles[n] for n in sorted(handles))))
    return found


def kinds(made: LinkFederation) -> dict[str, list[str]]:
    return {pair: sorted(kind for kind, _ in hits) for pair, hits in open_hits(made).items()}


def test_every_shared_identifier_is_found_by_both_states_and_none_is_invented(tmp_path: Path) -> None:
    made = planted(tmp_path)
    made.offer_all()
    summary = made.exchange()
    assert (summary.offline, summary.refused, summary.liars, summary.troubles) == ((), (), {}, ())
    assert kinds(made) == {
        "BE-BG": ["handle", "phone"],
        "BE-GR": ["email", "handle"],
        "BG-GR": ["handle"],
    }
    shown = [hit for node in made.nodes.values() for hit in node.hits()]
    assert len(shown) == 2 * sum(map(len, open_hits(made).values()))  # each is seen at both ends


def test_all_canaries_are_reported_and_nobody_is_alarmed(tmp_path: Path) -> None:
    made = planted(tmp_path)
    made.offer_all()
    summary = made.exchange()
    assert (
        summary.hits
        == summary.verified
        == {
            "BE-BG": 2 + CANARIES,
            "BE-GR": 2 + CANARIES,
            "BG-GR": 1 + CANARIES,
        }
    )
    assert not any(node.office.book.alarms() for node in made.nodes.values())


def test_the_second_exchange_sends_new_identifiers_only(tmp_path: Path) -> None:
    made = planted(tmp_path)
    made.offer_all()
    first = made.exchange()
    before = kinds(made)
    made["GR"].add({"phone": "+359 2 555 0001"})
    made["GR"].offer()
    made.wire.passed.clear()
    second = made.exchange()
    assert second.exchange != first.exchange
    assert {node for node, _, answer in made.wire.asks("batch") if answer.said.kind == "chunk"} == {"GR"}
    assert set(second.points) == {"GR"}
    assert kinds(made) == {**before, "BG-GR": ["handle", "phone"]}
    assert second.hits == {"BE-BG": CANARIES, "BE-GR": CANARIES, "BG-GR": 1 + CANARIES}


def test_without_anything_new_an_exchange_changes_nothing(tmp_path: Path) -> None:
    made = planted(tmp_path)
    made.offer_all()
    made.exchange()
    before = open_hits(made)
    summary = made.exchange()
    assert (summary.points, summary.troubles, open_hits(made)) == ({}, (), before)


def test_a_node_that_is_offline_is_named_and_new_tokens_wait_for_it(tmp_path: Path) -> None:
    made = planted(tmp_path)
    made.exchange()  # the keys of the epoch
    made.offer_all()
    made.wire.offline = {"GR"}
    made.wire.passed.clear()
    summary = made.exchange(wait_seconds=3600)
    assert (summary.offline, summary.points, summary.refused) == (("GR",), {}, ())
    assert not made.wire.asks("batch")  # nobody is asked for, or pays for, what cannot be answered
    assert (made.clock.at - Clock().at).total_seconds() > 3000  # it was waited for
    assert kinds(made) == {}
    made.wire.offline = set()
    assert set(made.exchange().points) == set(STATES)
    assert kinds(made)["BE-GR"] == ["email", "handle"]


def test_tags_whose_answer_was_lost_come_with_the_next_exchange(tmp_path: Path) -> None:
    made = planted(tmp_path, "BE", "BG")
    made.offer_all()

    def lose(node: str, ask: LinkAsk, answer: LinkAnswer) -> LinkAnswer:
        return replace(answer, exchange="lost") if (node, ask.step) == ("BE", "tags") else answer

    with made.lying(answer=lose):
        first = made.exchange()
    assert kinds(made) == {}
    second = made.exchange()
    assert second.exchange != first.exchange
    assert (second.points, second.troubles) == ({}, ())
    assert kinds(made) == {"BE-BG": ["handle", "phone"]}


def test_tokens_that_exist_are_compared_while_a_node_is_offline(tmp_path: Path) -> None:
    made = planted(tmp_path)
    made.offer_all()
    made.wire.crash_at = "tags"
    with pytest.raises(CrashError):
        made.exchange()
    made.wire.crash_at = None
    made.wire.offline = {"GR"}
    assert made.exchange().offline == ("GR",)
    assert kinds(made) == {"BE-BG": ["handle", "phone"]}
    made.wire.offline = set()
    assert made.exchange().troubles == ()
    assert kinds(made)["BG-GR"] == ["handle"]


def test_a_node_that_falls_silent_amid_the_batches_is_named_and_nothing_is_paid_twice(tmp_path: Path) -> None:
    made = planted(tmp_path)
    made.offer_all()

    def silent(node: str, ask: LinkAsk) -> LinkAsk:
        if node == "BE" and ask.said[0].node == "BG":
            made.wire.offline = {"GR"}
        return ask

    with made.lying(ask=asks_at("evaluate", None, silent)):
        summary = made.exchange()
    assert summary.offline == ("GR",)
    assert set(summary.points) == {"BE"}  # all had helped it before, and it got what they gave
    assert {(each.requester, each.by) for each in summary.refused} == {("BG", "GR")}
    made.wire.offline = set()
    assert set(made.exchange().points) == set(STATES)
    assert kinds(made)["BE-GR"] == ["email", "handle"]
    assert [charged(made, node) for node in STATES] == [charged(made, "BE")] * 3


def test_a_first_exchange_without_all_nodes_makes_no_keys_and_says_so(tmp_path: Path) -> None:
    made = planted(tmp_path)
    made.wire.offline = {"BG"}
    summary = made.exchange()
    assert (summary.offline, summary.tags) == (("BG",), 0)
    assert made.files.key_set() is None


@pytest.mark.parametrize("lose", ["before the question", "after it, answers lost"])
def test_a_coordinator_that_is_killed_at_any_question_goes_on_where_it_was(tmp_path: Path, lose: str) -> None:
    reference = _two(tmp_path / "reference")
    reference.exchange()
    expected, calls = kinds(reference), reference.wire.calls
    assert expected == {"BE-BG": ["phone"]}
    for number in range(calls):
        made = _two(tmp_path / f"killed-{number}")
        made.wire.crash_at, made.wire.lose_answers = number, lose != "before the question"
        with pytest.raises(CrashError):
            made.exchange()
        made.wire.crash_at = None
        summary = made.exchange()
        assert kinds(made) == expected, number
        assert (summary.exchange, summary.troubles) == (f"{made.files.epoch}-0001", ()), number
        for node in made.nodes:
            assert charged(made, node) == charged(reference, node), number
        assert not any(node.office.book.alarms() for node in made.nodes.values()), number


def _two(directory: Path) -> LinkFederation:
    directory.mkdir(parents=True)
    made = federation(directory, "BE", "BG")
    made["BE"].add({"phone": SHARED_PHONE})
    made["BG"].add({"phone": SHARED_PHONE}, {"phone": "+359 2 555 0001"})
    made.offer_all()
    return made
