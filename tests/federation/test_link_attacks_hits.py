"""Attacks on tags, hits and letters of links: by the coordinator, by a third state, by one of the pair."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from link_attacks import (
    alarms,
    asks_at,
    at_step,
    attack,
    case_references,
    content,
    lying_answer,
    require_no_reference,
)
from link_federation import LinkFederation, federation
from safeborders_fed.links.handles import CANARIES
from safeborders_fed.study.link_messages import LinkAnswer, LinkAsk, Said, to_rows

Hits = list[list[str]]


def planted(directory: Path, *states: str) -> LinkFederation:
    """Two telephone numbers and an e-mail address that BE and BG have in common; GR has none of them."""
    made = federation(directory, *(states or ("BE", "BG", "GR")))
    shared = [{"phone": "+32 2 555 12 12"}, {"phone": "+32 2 555 12 17"}, {"email": "boss@example.org"}]
    for state in ("BE", "BG"):
        made[state].add(*shared)
    if "GR" in made.nodes:
        made["GR"].add({"phone": "+30 210 555 1212"})
    made.offer_all()
    return made


def telling(change: Callable[[Hits], Hits], *nodes: str) -> Callable[[str, LinkAsk], LinkAsk]:
    """A coordinator that changes what it tells some nodes of their hits, in both steps alike."""

    def lie(node: str, ask: LinkAsk) -> LinkAsk:
        if (
            ask.step not in {"hits", "verify"}
            or node not in nodes
            or "BG" not in {node, ask.content["partner"]}
        ):
            return ask
        return replace(ask, content={**ask.content, "hits": change(ask.content["hits"])})

    return lie


def seen(made: LinkFederation) -> dict[str, int]:
    return {name: len(node.hits()) for name, node in made.nodes.items()}


@attack(
    "Hits left out",
    by="the coordinator",
    outcome=f"it cannot tell the {CANARIES} canaries of a pair and exchange from hits: who leaves out a "
    f"share p of them goes unnoticed with probability (1 - p)^{CANARIES}; else both states are alarmed",
)
def test_a_coordinator_that_leaves_hits_out_is_found_by_the_canaries(tmp_path: Path) -> None:
    made = planted(tmp_path, "BE", "BG")
    with made.lying(ask=telling(lambda hits: hits[: len(hits) // 2], "BE", "BG")):
        made.exchange()
    assert "canaries" in alarms(made, "BE")
    assert "canaries" in alarms(made, "BG")


@attack(
    "Hits told to one state only",
    by="the coordinator",
    outcome="the other state's checks are missing, so nobody sees a hit; canaries are missing: an alarm",
)
def test_a_hit_told_to_one_state_only_is_seen_by_nobody(tmp_path: Path) -> None:
    made = planted(tmp_path, "BE", "BG")
    with made.lying(ask=telling(lambda _: [], "BG")):
        made.exchange()
    assert seen(made) == {"BE": 0, "BG": 0}
    assert "canaries" in alarms(made, "BG")


@attack(
    "Tags swapped: equal ones told as unequal pairs",
    by="the coordinator",
    outcome="no check holds: no hit is open, no case reference passes, both states are alarmed",
)
def test_swapped_hits_are_opened_by_nobody(tmp_path: Path) -> None:
    made = planted(tmp_path, "BE", "BG")

    def lie(node: str, ask: LinkAsk) -> LinkAsk:
        if ask.step not in {"hits", "verify"}:
            return ask
        turn = 1 if node == "BE" else -1
        pairs = sorted(hit[1:][::turn] for hit in ask.content["hits"])  # BE's handle first
        pairs = [[own, pairs[at - 1][1]] for at, (own, _) in enumerate(pairs)]
        told = [[ask.content["partner"], *pair[::turn]] for pair in pairs]
        return replace(ask, content={**ask.content, "hits": told})

    with made.lying(ask=lie):
        made.exchange()
    assert seen(made) == {"BE": 0, "BG": 0}
    assert "check" in alarms(made, "BE")
    assert "check" in alarms(made, "BG")
    require_no_reference(made)


@attack(
    "Hits told twice: one handle with several of the other state",
    by="the coordinator",
    outcome="none of them counts, and both states are alarmed",
)
def test_duplicated_hits_count_for_nothing(tmp_path: Path) -> None:
    made = planted(tmp_path, "BE", "BG")

    def double(hits: Hits) -> Hits:
        return [*hits, *[[partner, own, hits[at - 1][2]] for at, (partner, own, _) in enumerate(hits)]]

    with made.lying(ask=telling(double, "BE", "BG")):
        made.exchange()
    assert seen(made) == {"BE": 0, "BG": 0}
    assert "twice" in alarms(made, "BE")


@attack(
    "Hits invented: on handles that were never given, on dummies, or between unequal tags",
    by="the coordinator",
    outcome="an invented handle gets no answer; for the others a check is given that says nothing and does "
    "not hold at the other state. No hit is open, no case reference passes, an alarm stands",
)
@pytest.mark.parametrize("how", ["a handle of nobody", "all pairs of handles"])
def test_an_invented_hit_discloses_nothing(tmp_path: Path, how: str) -> None:
    made = federation(tmp_path, "BE", "BG")
    made["BE"].add({"phone": "+32 2 555 12 12"})
    made["BG"].add({"phone": "+32 2 555 12 13"})
    made.offer_all()

    def lie(node: str, ask: LinkAsk) -> LinkAsk:
        if ask.step not in {"hits", "verify"}:
            return ask
        handles = {name: _handles(made, name) for name in ("BE", "BG")}
        other = "BG" if node == "BE" else "BE"
        pairs = list(zip(handles[node], handles[other], strict=False))
        if how == "a handle of nobody":
            pairs = [("ab" * 16, theirs) for _, theirs in pairs[:5]]
        return replace(ask, content={**ask.content, "hits": [[other, own, their] for own, their in pairs]})

    with made.lying(ask=lie):
        made.exchange()
    assert seen(made) == {"BE": 0, "BG": 0}
    expected = {"unknown"} if how == "a handle of nobody" else {"check", "dummy"}
    assert expected & alarms(made, "BE")
    require_no_reference(made)


def _handles(made: LinkFederation, node: str) -> list[str]:
    """All handles that a node gave in its tags."""
    (answer,) = [each for name, _, each in made.wire.asks("tags") if name == node]
    return [row.hex() for row in to_rows(answer.arrays["handles"])]


@attack(
    "A state's own checks sent back to it as those of the other",
    by="the coordinator",
    outcome="they are signed by itself and made for the other direction: no hit is open",
)
@pytest.mark.parametrize("renamed", [False, True])
def test_reflected_checks_open_nothing(tmp_path: Path, renamed: object) -> None:
    made = planted(tmp_path, "BE", "BG")
    said: dict[str, Said] = {}

    def note(node: str, _: LinkAsk, answer: LinkAnswer) -> LinkAnswer:
        said[node] = answer.said
        return answer

    def lie(node: str, ask: LinkAsk) -> LinkAsk:
        own = said[node]
        reflected = own.model_copy(update={"node": ask.content["partner"]}) if renamed else own
        return replace(ask, said=(reflected,))

    with made.lying(ask=asks_at("verify", None, lie), answer=at_step("hits", None, note)):
        made.exchange()
    assert seen(made) == {"BE": 0, "BG": 0}


@attack(
    "Checks withheld from both states, in every exchange",
    by="the coordinator",
    outcome="nobody sees a hit; from the third exchange on the missing canaries are an alarm",
)
def test_checks_that_never_come_are_an_alarm(tmp_path: Path) -> None:
    made = planted(tmp_path, "BE", "BG")
    with made.lying(ask=asks_at("verify", None, lambda _, ask: replace(ask, step="none"))):
        made.exchange()
        made.exchange()
        assert alarms(made, "BE") == set()
        made.exchange()
    assert seen(made) == {"BE": 0, "BG": 0}
    assert alarms(made, "BE") == alarms(made, "BG") == {"canaries"}


@attack(
    "A check of one hit moved to another",
    by="one of the two states, to learn whether it shares further identifiers",
    outcome="a check covers both handles and the token: none holds, and the other state is alarmed",
)
def test_a_check_holds_for_its_hit_only(tmp_path: Path) -> None:
    made = planted(tmp_path, "BE", "BG")

    def lie(node: str, _: LinkAsk, answer: LinkAnswer) -> LinkAnswer:
        checks = content(answer.said)["checks"]
        macs = [check["mac"] for check in checks.values()]
        moved = {handle: {**check, "mac": macs[at - 1]} for at, (handle, check) in enumerate(checks.items())}
        return lying_answer(made[node], answer, checks=moved)

    with made.lying(answer=at_step("hits", "BG", lie)):
        made.exchange()
    assert seen(made)["BE"] == 0
    assert "check" in alarms(made, "BE")
    require_no_reference(made)


@attack(
    "Tags of another pair",
    by="a third state, with what it could overhear, or signed by itself",
    outcome="refused and named: a tag is on the board only if one of the pair signed it for the other",
)
@pytest.mark.parametrize("how", ["passed on", "for another pair"])
def test_a_third_state_gets_no_tag_onto_the_board_of_another_pair(tmp_path: Path, how: str) -> None:
    made = planted(tmp_path)
    honest: dict[str, LinkAnswer] = {}

    def lie(node: str, ask: LinkAsk, answer: LinkAnswer) -> LinkAnswer:
        honest.setdefault(node, answer)
        if node != "GR":
            return answer
        if how == "passed on":
            return replace(honest["BE"], exchange=answer.exchange) if "BE" in honest else answer
        return lying_answer(made[node], answer, partner="BE" if ask.content["partner"] == "BG" else "BG")

    with made.lying(answer=at_step("tags", None, lie)):
        summary = made.exchange()
    assert {(each.node, each.code) for each in summary.wrong} == {("GR", "wrong-saying")}
    assert "BE-GR" not in summary.verified
    assert seen(made) == {"BE": 3, "BG": 3, "GR": 0}


@attack(
    "One tag many times, to multiply hits or to fill the board",
    by="a state",
    outcome="the whole message is refused, and the state is named",
)
def test_a_state_that_sends_a_tag_twice_is_named(tmp_path: Path) -> None:
    made = planted(tmp_path, "BE", "BG")

    def lie(node: str, _: LinkAsk, answer: LinkAnswer) -> LinkAnswer:
        tags = answer.arrays["tags"].copy()
        tags[1] = tags[0]
        return lying_answer(made[node], answer, tags=tags)

    with made.lying(answer=at_step("tags", "BE", lie)):
        summary = made.exchange()
    assert [(each.node, each.code) for each in summary.wrong] == [("BE", "repeated-tags")]
    assert summary.verified == {}
    assert seen(made) == {"BE": 0, "BG": 0}


def _approved(made: LinkFederation) -> None:
    """The people of both states approve all hits."""
    made.exchange()
    for state in ("BE", "BG"):
        made[state].approve_hits()


@attack(
    "Letters altered on the way",
    by="the coordinator",
    outcome="a letter is signed and sealed: what was changed is thrown away, an alarm stands, and the letter "
    "comes with the next exchange",
)
def test_an_altered_letter_changes_nothing(tmp_path: Path) -> None:
    made = planted(tmp_path, "BE", "BG")
    _approved(made)

    def lie(_: str, ask: LinkAsk) -> LinkAsk:
        said = [each.model_copy(update={"text": each.text.replace("a", "b")}) for each in ask.said]
        return replace(ask, said=tuple(said))

    with made.lying(ask=asks_at("post", None, lie)):
        made.exchange(letters_only=True)
    assert {row.state for row in made["BE"].hits()} == {"approved-here"}
    assert "letter" in alarms(made, "BE")
    made.exchange(letters_only=True)
    assert {row.state for row in made["BE"].hits()} == {"exchanged"}


@attack(
    "Letters replayed, or sent on to a third state",
    by="the coordinator",
    outcome="a letter counts once and opens under the key of its pair only",
)
def test_a_replayed_letter_counts_once_and_for_its_pair_only(tmp_path: Path) -> None:
    made = planted(tmp_path)
    _approved(made)
    kept: list[Said] = []

    def note(_: str, ask: LinkAsk) -> LinkAsk:
        kept.extend(ask.said)
        return ask

    with made.lying(ask=asks_at("post", None, note)):
        made.exchange(letters_only=True)
    before = {node: [(row.id, row.state) for row in made[node].hits()] for node in made.nodes}
    assert {state for _, state in before["BE"]} == {"exchanged"}
    received = _count(made, "BE", "link-received")

    def replay(_: str, ask: LinkAsk) -> LinkAsk:
        partner = ask.content["partner"]
        return replace(ask, said=tuple(said for said in kept if said.node == partner))

    with made.lying(ask=asks_at("post", None, replay)):
        made.exchange(letters_only=True)
    assert {node: [(row.id, row.state) for row in made[node].hits()] for node in made.nodes} == before
    assert _count(made, "BE", "link-received") == received
    assert not made["GR"].hits()


def _count(made: LinkFederation, node: str, operation: str) -> int:
    return sum(entry.operation == operation for entry in made[node].log())


@attack(
    "Everything that passes, read",
    by="the coordinator",
    outcome="no identifier, no case reference and no name of a person in a case passes in clear",
)
def test_nothing_that_passes_holds_a_case_or_an_identifier(tmp_path: Path) -> None:
    made = planted(tmp_path)
    _approved(made)
    made.exchange()
    assert {row.state for row in made["BE"].hits()} == {"exchanged"}  # records did pass, sealed
    secret = case_references(made) | {
        each.form for node in made.nodes.values() for each in node.office.identified()
    }
    passed: list[Any] = [ask.encode() + answer.encode() for _, ask, answer in made.wire.passed]
    kept = [path.read_bytes() for path in (made.directory / "coordinator").rglob("*") if path.is_file()]
    for data in passed + kept:
        assert not any(word.encode() in data for word in secret)
