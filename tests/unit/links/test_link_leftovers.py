"""What outlives its reason: tokens of erased cases, records that may no longer be used, rosters that grew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hit_pair import Pair, open_pair, pair, told
from link_offices import evaluated, make_keys, next_chunk, nodes, phones, spread, taken
from safeborders_fed.errors import ConfigurationError, RefusedError
from safeborders_fed.links import controls, hits
from safeborders_fed.links.key_set import KeySet
from safeborders_fed.links.letter_kinds import receive
from safeborders_fed.links.letters import seal
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node.door import Door
from safeborders_fed.study import canonical
from safeborders_fed.study.link_messages import LinkAsk, Said


def shared(found: Pair, node: str) -> int:
    """Where the row of the shared telephone number stands."""
    numbers = {row[4] for row in found.made["BE" if node == "BG" else "BG"].cases.rows}
    (at,) = (at for at, row in enumerate(found.made[node].cases.rows) if row[4] in numbers)
    return at


def erase(found: Pair, node: str) -> None:
    del found.made[node].cases.rows[shared(found, node)]


def became_a_victims(found: Pair, node: str) -> None:
    rows = found.made[node].cases.rows
    rows.append(("ee" * 16, "ff" * 16, "phone", "Victim", rows[shared(found, node)][4]))


@pytest.mark.parametrize("change", [erase, became_a_victims])
def test_what_was_erased_or_is_a_victims_now_is_tagged_for_nobody(tmp_path: Path, change: Any) -> None:
    found = pair(tmp_path)
    change(found, "BE")
    found.tag()
    equal = found.equal()
    assert len(equal) == 16, "of the canaries, and of nothing else"
    assert found.made["BE"].office.hits.tagging("x1", "BG").fresh == 2


@pytest.mark.parametrize("change", [erase, became_a_victims])
def test_what_was_erased_after_it_was_tagged_makes_no_hit_at_either_state(
    tmp_path: Path, change: Any
) -> None:
    found = pair(tmp_path)
    found.tag()
    change(found, "BE")
    checks = found.tell(found.equal(), "x2")
    assert found.book("BE") == found.book("BG") == []
    assert checks["BE"].said.text.count("mac") == 16
    assert "check" not in found.alarms("BE") + found.alarms("BG")


def test_no_record_names_a_case_whose_identifier_has_become_a_victims(tmp_path: Path) -> None:
    found = open_pair(tmp_path)
    became_a_victims(found, "BE")
    for node in found.made:
        found.sign(node)
    found.post()
    assert (found.row("BE").state, found.row("BE").sent_at) == ("expired", None)


def test_a_hit_names_no_case_that_was_erased_since(tmp_path: Path) -> None:
    found = open_pair(tmp_path)
    (erased,) = found.row("BE").cases
    erase(found, "BE")
    found.post(exchange="x2")
    assert (found.row("BE").state, found.row("BE").cases) == ("open", ())
    shown = [path.read_text() for path in (found.made["BE"].office.home / "hits").glob("*.json")]
    assert shown
    assert not any(erased in text for text in shown)


def test_nothing_of_a_record_is_left_once_it_may_not_be_used(tmp_path: Path) -> None:
    found = open_pair(tmp_path)
    for node in found.made:
        found.sign(node)
    found.post()
    office = found.made["BE"].office
    (theirs,) = found.row("BG").cases
    assert theirs.encode() in found.row("BE").record
    found.clock.forward(days=200)
    hits.publish(office)
    office.hits.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert theirs.encode() not in office.hits.path.read_bytes()


def test_one_signature_of_the_other_state_is_not_enough_where_two_must_sign(tmp_path: Path) -> None:
    found = open_pair(tmp_path)
    office = found.made["BG"].office
    office.policy = office.policy.model_copy(update={"approvals_needed": 1})
    found.sign("BG", people=1)
    found.sign("BE")
    found.post()
    assert (found.row("BE").state, found.row("BE").partner_approved) == ("approved-here", False)
    assert (found.row("BG").record, "letter" in found.alarms("BE")) == (None, True)


@pytest.mark.parametrize("plain", [b"[]", b"1", b'"have"', b"null"])
def test_a_letter_that_is_no_object_is_an_alarm_and_holds_up_nothing(tmp_path: Path, plain: bytes) -> None:
    found = open_pair(tmp_path)
    office = found.made["BG"].office
    key = office.pair("2026", "BE")._letter
    sealed = seal(key, "x1", "BG", "BE", plain).hex()
    said: Said = office.said(
        "letters", {"exchange": "x1", "letters": [{"to": "BE", "epoch": "2026", "sealed": sealed}]}
    )
    assert found.ask("BE", "post", "x1", [said]).said.kind == "letters"
    assert found.alarms("BE") == ["letter"]


def test_a_state_that_joins_the_roster_during_the_year_stops_no_tokens(tmp_path: Path) -> None:
    made = nodes(tmp_path)
    make_keys(made)
    made["RO"].cases.rows = phones(spread(3))
    made["RO"].prepared()
    chunk = next_chunk(made["RO"])
    answers = [evaluated(node, chunk) for node in made.values()]
    joined = {"GR": public_hex(made["BE"].people[0].key)}
    made["RO"].office.accepted = {**made["RO"].office.accepted, **joined}
    taken(made["RO"], answers)
    assert made["RO"].office.book.count("2026") == 3


def test_a_reported_canary_writes_what_a_reported_hit_writes(tmp_path: Path) -> None:
    found = pair(tmp_path)
    found.tag()
    office, written = found.made["BE"].office, []
    for own, theirs in found.equal():
        before = office.hits.db.total_changes
        found.ask("BE", "hits", hits=told("BG", [(own, theirs)]))
        written.append(office.hits.db.total_changes - before)
    assert written == [1] * 17
    for own, theirs in found.equal():
        found.ask("BE", "hits", "x2", hits=told("BG", [(own, theirs)]))
    found.tell(found.equal())
    assert len(found.book("BE")) == len(found.book("BG")) == 1


def test_answers_whose_time_could_tell_of_files_leave_at_whole_seconds(tmp_path: Path) -> None:
    found = open_pair(tmp_path)
    found.post()
    ticks = {answer.step: Door.link(answer).tick for _, answer in found.sent}
    assert ticks == {"tags": 1.0, "hits": 1.0, "verify": 1.0, "post": 1.0}


def test_tags_of_an_exchange_of_last_year_are_those_that_were_sent_then(tmp_path: Path) -> None:
    found = pair(tmp_path)
    found.tag("x1")
    before = found.ask("BE", "tags", "x1")
    equal = found.equal()
    found.clock.at = found.clock.at.replace(year=2027)
    make_keys(found.made, "2027")
    again = found.ask("BE", "tags", "x1")
    assert (again.said, len(again.arrays["tags"])) == (before.said, 64)  # and not 64 less what was new
    found.tell(equal)  # an exchange that goes on over the end of the year
    assert (len(found.book("BE")), len(found.book("BG"))) == (1, 1)
    assert found.alarms("BE") == found.alarms("BG") == []
    controls.destroy(found.made["BE"].office, "2026", who="Ana", reason="over", early=False)
    with pytest.raises((RefusedError, ConfigurationError)):
        found.ask("BE", "tags", "x1")


def test_a_states_own_signatures_sent_back_to_it_are_not_those_of_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = open_pair(tmp_path)
    people = {each.name: public_hex(each.key) for each in found.made["BE"].people}
    monkeypatch.setattr(KeySet, "prosecutors", lambda *_: people)  # BG gave the keys of BE as its own
    hit = found.row("BE")
    found.sign("BE")
    found.take("BE")
    office = found.made["BE"].office
    papers = [canonical.parse(data) for data in office.hits.approvals(hit.id, "own")]
    with pytest.raises(RefusedError, match="not-enough-approvals"):
        receive(office, found.row("BE"), "approval", {"approvals": papers})
    assert found.row("BE").state == "approved-here"


def test_unknown_handles_are_told_from_erased_ones(tmp_path: Path) -> None:
    found = pair(tmp_path)
    found.tag()
    found.made["BE"].desk.answer(
        LinkAsk("x1", "hits", (), {"partner": "BG", "hits": told("BG", [("ab" * 16, "cd" * 16)])})
    )
    assert found.alarms("BE") == ["unknown"]
