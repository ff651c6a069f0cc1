"""People answer hits: who counts, until when, and what is shown of it."""

from __future__ import annotations

import os
import pwd
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hit_pair import CONTACT, Pair, open_pair, pair, signed
from link_offices import Person
from safeborders_fed.errors import ConfigurationError, RefusedError, UsageError
from safeborders_fed.links import drafts, hits, outcomes, stop_list
from safeborders_fed.links.approving import require_prosecutor
from safeborders_fed.links.deciding import REASONS
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node.hit_book import HitRow
from safeborders_fed.node.hit_papers import HitPaper, HitPapers


@pytest.fixture
def found(tmp_path: Path) -> Pair:
    return open_pair(tmp_path)


def leave(found: Pair, *papers: HitPaper, node: str = "BE") -> None:
    hits.publish(found.made[node].office)
    for paper in papers:
        HitPapers(found.made[node].office.home).leave(paper)
    found.take(node)


def shown(found: Pair, node: str = "BE") -> dict[str, Any]:
    return hits.view(found.made[node].office, found.row(node))


def exchanged(found: Pair) -> None:
    for node in found.made:
        found.sign(node)
    found.post()


def test_so_many_people_must_sign_as_the_policy_says(found: Pair) -> None:
    one, two = found.made["BE"].people
    hit = found.row("BE").id
    leave(found, signed(one, hit, "approve", "routine", found.clock))
    leave(found, signed(one, hit, "approve", "urgent", found.clock))  # the same person again
    assert (found.row("BE").state, found.row("BE").urgency) == ("open", "urgent")
    assert shown(found)["approved_by"] == ["BE one"]
    leave(found, signed(two, hit, "approve", "routine", found.clock))
    assert (found.row("BE").state, found.row("BE").urgency) == ("approved-here", "urgent")


@pytest.mark.parametrize("wrong", ["stranger", "other hit", "act", "word", "unsigned", "expired", "partner"])
def test_a_paper_that_does_not_count_changes_nothing_and_is_logged(found: Pair, wrong: str) -> None:
    one, hit = found.made["BE"].people[0], found.row("BE").id
    paper = signed(one, hit, "decline", "coincidence", found.clock)
    paper = {
        "stranger": lambda: signed(Person("BE one"), hit, "decline", "coincidence", found.clock),
        "other hit": lambda: paper.model_copy(update={"hit": "ab" * 32}),
        "act": lambda: signed(one, hit, "approve", "routine", found.clock).model_copy(
            update={"act": "decline", "word": "coincidence"}
        ),
        "word": lambda: paper.model_copy(update={"word": "case-closed"}),
        "unsigned": lambda: paper.model_copy(update={"approval": None}),
        "expired": lambda: signed(one, hit, "decline", "coincidence", found.clock, days=1),
        "partner": lambda: signed(found.made["BG"].people[0], hit, "decline", "coincidence", found.clock),
    }[wrong]()
    if wrong == "expired":
        found.clock.forward(days=2)
    before = found.row("BE")
    leave(found, paper)
    assert found.row("BE") == before
    found.made["BE"].office.hits.settle(found.made["BE"].log)
    assert found.made["BE"].entries()[-1].why.startswith("a paper about a hit does not count")
    assert not list((found.made["BE"].office.home / "hits" / "papers").iterdir())


def test_a_person_enrolled_after_the_keys_of_the_year_does_not_count(found: Pair) -> None:
    late = Person("BE late")
    office = found.made["BE"].office
    office.approvers = [*office.approvers, late.enrolled]
    leave(found, signed(late, found.row("BE").id, "decline", "coincidence", found.clock))
    assert found.row("BE").state == "open"


def test_who_has_approved_with_enough_others_cannot_decline(found: Pair) -> None:
    found.sign("BE")
    found.take("BE")
    found.sign("BE", "decline", "coincidence")
    found.take("BE")
    assert found.row("BE").state == "approved-here"


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_a_reason_is_one_of_the_list(found: Pair, reason: str) -> None:
    found.sign("BE", "decline", reason, people=1)
    found.take("BE")
    assert (found.row("BE").state, found.row("BE").reason) == ("declined", reason)
    found.post()
    assert reason.encode() not in found.left()


def test_another_reason_is_refused(found: Pair) -> None:
    found.sign("BE", "decline", "no-time")
    found.take("BE")
    assert found.row("BE").state == "open"


def test_papers_of_another_form_are_passed_over(found: Pair) -> None:
    hits.publish(found.made["BE"].office)
    box = found.made["BE"].office.home / "hits" / "papers"
    (box / "nonsense.json").write_bytes(b'{"hit": 1}')
    (box / "link.json").symlink_to("/etc/passwd")
    found.take("BE")
    assert found.row("BE").state == "open"


def test_who_looked_is_logged_by_the_name_that_the_machine_has(found: Pair) -> None:
    leave(found, HitPaper(hit=found.row("BE").id, act="view"))
    found.made["BE"].office.hits.settle(found.made["BE"].log)
    entry = found.made["BE"].entries()[-1]
    assert (entry.operation.value, entry.who) == ("view", pwd.getpwuid(os.geteuid()).pw_name)


def test_a_hit_is_overdue_and_then_expires(found: Pair) -> None:
    days = found.made["BE"].office.policy.days_to_answer
    assert not shown(found)["overdue"]
    found.clock.forward(days=days, seconds=1)
    assert shown(found)["overdue"]
    found.clock.forward(days=(outcomes.PATIENCE - 1) * days)
    hits.publish(found.made["BE"].office)
    assert found.row("BE").state == "expired"
    assert shown(found)["due"] is None
    found.sign("BG")
    found.post()  # the yes of the other state comes too late
    assert (found.row("BE").state, found.alarms("BE")) == ("expired", [])


def test_an_exchanged_hit_waits_for_its_outcome_and_its_record_goes_when_it_may_not_be_used(
    found: Pair,
) -> None:
    exchanged(found)
    assert shown(found)["record"]["state"] == "BG"
    found.clock.forward(days=15)
    assert shown(found)["overdue"]
    found.sign("BE", "outcome", "followed-up", people=1)
    found.take("BE")
    assert not shown(found)["overdue"]
    found.clock.forward(days=180)
    hits.publish(found.made["BE"].office)
    assert (found.row("BE").state, found.row("BE").record) == ("expired", None)
    assert shown(found)["record"] is None


def test_a_confirmed_hit_stays_and_its_record_goes(found: Pair) -> None:
    exchanged(found)
    found.sign("BE", "outcome", "confirmed", people=1)
    found.take("BE")
    found.clock.forward(days=200)
    hits.publish(found.made["BE"].office)
    assert (found.row("BE").state, found.row("BE").record) == ("confirmed", None)


def test_an_outcome_needs_an_exchange(found: Pair) -> None:
    found.sign("BE", "outcome", "confirmed", people=1)
    found.take("BE")
    assert found.row("BE").state == "open"


def test_what_is_overdue_comes_first() -> None:
    def one(name: str, due: str | None, *, overdue: bool = False) -> dict[str, Any]:
        return {"hit": name, "opened": "2026-11-02", "due": due, "overdue": overdue}

    listed = [one("c", None), one("b", "2026-12-01"), one("a", "2026-11-03", overdue=True)]
    assert [each["hit"] for each in hits.in_order(listed)] == ["a", "b", "c"]


def test_a_hit_on_the_stop_list_is_declined_at_once(tmp_path: Path) -> None:
    found = pair(tmp_path)
    found.tag()
    office = found.made["BE"].office
    forms = [stop_list.Stopped(kind="phone", form=row.form, reason="hotline") for row in office.identified()]
    stop_list.add(office, forms, who="operator", why="hotlines")
    found.tell(found.equal())
    assert (found.row("BE").state, found.row("BE").reason) == ("declined", "stop-list")
    found.post()
    assert (found.row("BG").state, found.row("BG").reason) == ("declined", "partner")


def test_a_flood_of_hits_is_an_alarm_and_must_be_seen_before_anything_is_disclosed(tmp_path: Path) -> None:
    found = pair(tmp_path, range(1, 30), range(1, 30), alarm_hits=5)
    found.tag()
    found.tell(found.equal())
    assert "flood" in found.alarms("BE")
    row = found.book("BE")[0]
    assert row.alarm
    people = found.made["BE"].people
    leave(found, *(signed(one, row.id, "approve", "routine", found.clock) for one in people))
    assert found.made["BE"].office.hits.hit(row.id).state == "open"
    seen = [signed(one, row.id, "approve", "routine", found.clock, seen_alarm=True) for one in people]
    leave(found, *seen)
    assert found.made["BE"].office.hits.hit(row.id).state == "approved-here"


def test_a_purpose_that_the_policy_does_not_permit_sends_nothing(found: Pair) -> None:
    path = found.made["BE"].office.home / "contact.toml"
    path.write_text('purpose = "prosecution"\n' + CONTACT)
    exchanged(found)
    assert (found.row("BE").state, found.row("BE").reason) == ("approved-both", "purpose-not-permitted")
    assert found.row("BG").record is None


def test_a_contact_point_that_is_an_identifier_of_the_case_sends_nothing(found: Pair) -> None:
    office = found.made["BE"].office
    number = next(row[4] for row in found.made["BE"].cases.rows if row[1] in found.row("BE").cases)
    (office.home / "contact.toml").write_text(CONTACT.replace("+32 2 555 01 00", number))
    exchanged(found)
    assert found.row("BE").reason == "identifier-in-record"
    assert found.row("BG").record is None


def test_a_view_holds_nothing_of_the_other_state_before_both_approved(found: Pair) -> None:
    other = found.row("BG")
    for _ in range(2):
        text = str(shown(found))
        assert other.own_handle not in text
        assert not any(case in text for case in other.cases)
        assert CONTACT.split('"')[1] not in text
        found.sign("BE")
        found.post()


def test_a_view_holds_no_identifier_and_no_digest(found: Pair) -> None:
    exchanged(found)
    office = found.made["BE"].office
    text = (office.home / "hits" / f"{found.row('BE').id}.json").read_text()
    assert found.row("BE").digest.hex() not in text
    assert not any(each.form in text for each in office.identified())
    assert not any(each.victim in text for each in office.identified())


def test_files_of_hits_are_those_of_the_book(found: Pair) -> None:
    office = found.made["BE"].office
    hits.publish(office)
    stray = office.home / "hits" / ("00" * 32 + ".json")
    stray.write_text("{}")
    hits.publish(office)
    assert [view["hit"] for view in HitPapers(office.home).views()] == [found.row("BE").id]
    assert HitPapers(office.home).view(found.row("BE").id[:12])["state"] == "open"
    with pytest.raises(UsageError, match="unknown-hit"):
        HitPapers(office.home).view("ab")


def test_a_draft_needs_the_other_states_record(found: Pair) -> None:
    with pytest.raises(RefusedError, match="no-record"):
        drafts.text("siena", "BE", shown(found), {})


@pytest.mark.parametrize("kind", ["siena", "eio"])
def test_a_draft_holds_known_facts_and_leaves_the_rest_open(found: Pair, kind: drafts.Kind) -> None:
    exchanged(found)
    (own,) = found.row("BE").cases
    text = drafts.text(kind, "BE", shown(found), {own: "BE-2026/17"})
    assert text.startswith("DRAFT, NOT SENT")
    assert "BE-2026/17" in text
    assert found.row("BG").cases[0] in text
    assert "a lead, not evidence" in text
    assert drafts.OPEN in text
    assert all(each in text for each in drafts.TO_CHECK)
    assert "H1: not to be disclosed in judicial proceedings" in text
    if kind == "eio":
        assert all(f"SECTION {letter}: {heading}" in text for letter, heading in drafts.SECTIONS.items())


def test_a_draft_is_written_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "draft.txt"
    drafts.write(path, "text")
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigurationError, match="draft-exists"):
        drafts.write(path, "other")
    assert path.read_text() == "text"
    with pytest.raises(ConfigurationError, match="draft-unwritable"):
        drafts.write(tmp_path / "none" / "draft.txt", "text")


def test_only_a_prosecutor_signs_about_hits() -> None:
    person = Person("BE one")
    require_prosecutor([person.enrolled], "BE one", public_hex(person.key))
    approver = person.enrolled.model_copy(update={"role": "approver"})
    for people, name in (([approver], "BE one"), ([], "BE one"), ([person.enrolled], "BE two")):
        with pytest.raises(RefusedError, match="not-a-prosecutor"):
            require_prosecutor(people, name, public_hex(person.key))


def test_clocks(found: Pair) -> None:
    def row(state: str) -> HitRow:
        return replace(found.row("BE"), state=state)

    now = found.clock()
    fresh = outcomes.clock(row("open"), 14, now)
    assert (fresh.due, fresh.overdue, fresh.days_open) == (now + timedelta(days=14), False, 0)
    late = outcomes.clock(row("open"), 14, now + timedelta(days=15))
    assert (late.overdue, late.days_open) == (True, 15)
    for state in ("approved-here", "approved-both", "declined", "confirmed", "refuted", "expired"):
        assert outcomes.clock(row(state), 14, now + timedelta(days=99)).due is None
