"""The life of a hit between two nodes, and what a lying coordinator gets out of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hit_pair import Pair, case, open_pair, other, pair, signed, told
from link_offices import Person
from safeborders_fed.links import hit_records, stop_list
from safeborders_fed.links.handles import CANARIES, Handles
from safeborders_fed.links.hits import view
from safeborders_fed.links.pairs import bucket
from safeborders_fed.node.hit_letters import HitLetters
from safeborders_fed.study import canonical
from safeborders_fed.study.link_messages import Said


def references(found: Pair) -> list[bytes]:
    """Every case pseudonym of both nodes, as text and as bytes."""
    cases = {row[1] for node in found.made.values() for row in node.cases.rows}
    return [text.encode() for text in cases] + [bytes.fromhex(text) for text in cases]


def test_a_hit_from_tags_to_outcome(tmp_path: Path) -> None:
    found = pair(tmp_path)
    found.tag()
    assert len(found.equal()) == 1 + CANARIES
    assert found.book("BE") == []
    found.tell(found.equal())
    for node in ("BE", "BG"):
        assert found.row(node).state == "open"
        assert len(found.row(node).cases) == 1
        found.sign(node)
    assert found.row("BE").id == found.row("BG").id
    assert not any(each in found.left() for each in references(found))
    found.post()
    for node in ("BE", "BG"):
        row = found.row(node)
        assert row.state == "exchanged"
        assert found.row(other(node)).cases[0].encode() in (row.record or b"")
    # Sealed, so the coordinator has none of it.
    assert not any(each in found.left() for each in references(found))
    found.sign("BE", "outcome", "confirmed", people=1)
    found.post(exchange="x2")
    assert found.row("BE").state == "confirmed"
    assert found.row("BG").partner_outcome == "confirmed"
    assert found.alarms("BE") == found.alarms("BG") == []
    for operation in ("link-tag", "link-hit", "link-decision", "link-record", "link-received"):
        assert operation in found.logged("BE"), operation
    assert "link-outcome" in found.logged("BE")


def test_tags_are_filled_up_to_a_bucket_and_are_the_same_when_asked_again(tmp_path: Path) -> None:
    found = pair(tmp_path)
    first = found.ask("BE", "tags")
    again = found.ask("BE", "tags")
    assert len(first.arrays["tags"]) == bucket(3 + CANARIES)
    assert first.encode() == again.encode()
    later = found.ask("BE", "tags", "x2")
    assert not {*map(bytes, first.arrays["tags"])} & {*map(bytes, later.arrays["tags"])}
    assert found.made["BE"].office.hits.tagging("x2", "BG").fresh == 0  # type: ignore[union-attr]


def test_tags_are_in_an_order_that_says_nothing(tmp_path: Path) -> None:
    found = pair(tmp_path, be=range(1, 40))
    rows = [bytes(row) for row in found.ask("BE", "tags").arrays["tags"]]
    assert rows == sorted(rows)


@pytest.mark.parametrize("what", ["token", "canary", "dummy", "foreign"])
def test_an_invented_hit_discloses_nothing(tmp_path: Path, what: str) -> None:
    found = pair(tmp_path)
    found.tag()
    true = dict(found.equal())
    alone = [handle.hex() for handle in found.tags["BE"].values() if handle.hex() not in true]
    theirs = [handle.hex() for handle in found.tags["BG"].values() if handle.hex() not in true.values()]
    own = {"canary": next(iter(true)), "foreign": "0" * 32}.get(what) or _of_kind(found, alone, what)
    checks = found.tell([(own, theirs[0])])
    assert found.book("BE") == found.book("BG") == []
    assert not any(each in found.left() for each in references(found))
    expected = {"foreign": "unknown", "dummy": "dummy"}.get(what, "check")
    assert expected in found.alarms("BE") or expected in found.alarms("BG")
    if what != "foreign":  # the answer does not tell which handles mean something
        assert own in checks["BE"].said.text


def _of_kind(found: Pair, handles: list[str], what: str) -> str:
    office = found.made["BE"].office
    own = Handles(office, "2026", "BG")
    found_behind = ((name, own.behind(bytes.fromhex(name))) for name in handles)
    return next(name for name, behind in found_behind if behind and behind.is_dummy == (what == "dummy"))


def test_swapped_hits_open_nothing(tmp_path: Path) -> None:
    found = pair(tmp_path, be=(1, 2, 3, 4), bg=(3, 4, 5))
    found.tag()
    equal = found.equal()
    found.tell([(own, equal[at - 1][1]) for at, (own, _) in enumerate(equal)])
    assert found.book("BE") == found.book("BG") == []
    assert "check" in found.alarms("BE")
    assert "check" in found.alarms("BG")


def test_a_hit_told_twice_counts_for_none(tmp_path: Path) -> None:
    found = pair(tmp_path)
    found.tag()
    found.tell([*found.equal(), *found.equal()])
    assert found.book("BE") == found.book("BG") == []
    assert "twice" in found.alarms("BE")


def test_told_again_in_another_exchange_a_hit_stays_one(tmp_path: Path) -> None:
    found = open_pair(tmp_path)
    before = found.row("BE")
    found.tell(found.equal(), "x2")
    assert found.row("BE") == before


def test_what_one_state_did_not_check_does_not_open(tmp_path: Path) -> None:
    found = pair(tmp_path)
    found.tag()
    found.tell(found.equal(), change=lambda _, __: None)
    assert found.book("BE") == found.book("BG") == []
    found.tell(found.equal())
    assert [found.row(node).state for node in found.made] == ["open", "open"]


def test_checks_of_another_are_refused(tmp_path: Path) -> None:
    found = pair(tmp_path)
    found.tag()
    equal = found.equal()
    own = found.ask("BE", "hits", hits=told("BG", equal)).said
    found.ask("BE", "verify", said=(own,), hits=told("BG", equal))  # one's own sent back
    assert found.book("BE") == []


def test_a_coordinator_that_drops_hits_is_noticed(tmp_path: Path) -> None:
    found = pair(tmp_path)
    found.tag()
    found.tell(found.equal()[: CANARIES // 2])
    assert "canaries" in found.alarms("BE")
    assert "canaries" in found.alarms("BG")


def test_one_approves_and_the_other_declines(tmp_path: Path) -> None:
    found = open_pair(tmp_path)
    found.sign("BE")
    found.sign("BG", "decline", "victim-safety", people=1)
    found.post()
    assert (found.row("BE").state, found.row("BE").reason) == ("declined", "partner")
    assert (found.row("BG").state, found.row("BG").reason) == ("declined", "victim-safety")
    assert found.row("BE").record is None
    assert found.row("BG").record is None
    assert "link-record" not in found.logged("BE")
    assert "link-record" not in found.logged("BG")
    text = (found.made["BE"].office.home / "audit.jsonl").read_text()
    assert "victim-safety" not in text


def test_one_signature_of_two_sends_nothing(tmp_path: Path) -> None:
    found = open_pair(tmp_path)
    found.sign("BE", people=1)
    found.sign("BG")
    found.post()
    assert found.row("BE").state == "open"
    assert found.row("BG").state == "approved-here"
    assert found.row("BG").record is None


def test_letters_that_are_lost_come_again(tmp_path: Path) -> None:
    found = open_pair(tmp_path)
    for node in found.made:
        found.sign(node)
    for number in range(8):
        found.post(1, exchange=f"y{number}")
        if number % 2 == 0:
            found.waiting = {"BE": [], "BG": []}
    assert [found.row(node).state for node in found.made] == ["exchanged", "exchanged"]


def test_letters_that_are_replayed_count_once(tmp_path: Path) -> None:
    found = open_pair(tmp_path)
    for node in found.made:
        found.sign(node)
    found.post()
    before = [found.row(node) for node in found.made]
    old = [answer.said for node, answer in found.sent if node == "BG" and answer.step == "post"]
    for said in old:
        found.ask("BE", "post", "x9", (said,))
    assert [found.row(node) for node in found.made] == before
    assert found.logged("BE").count("link-received") == 2
    assert found.alarms("BE") == []


def test_an_altered_letter_changes_nothing_and_is_an_alarm(tmp_path: Path) -> None:
    found = open_pair(tmp_path)
    found.sign("BG")
    said = found.ask("BG", "post").said
    mark = said.text.index('"sealed":"') + 40
    altered = said.text[:mark] + ("0" if said.text[mark] != "0" else "1") + said.text[mark + 1 :]
    found.ask("BE", "post", said=(said.model_copy(update={"text": altered}),))
    resigned = found.made["BG"].office.said("letters", json.loads(altered))  # the seal catches it, too
    found.ask("BE", "post", said=(resigned,))
    assert found.alarms("BE") == ["letter"]
    assert not found.row("BE").partner_approved


def test_a_letter_about_an_unknown_hit_is_refused(tmp_path: Path) -> None:
    found = pair(tmp_path)
    found.tag()
    equal = found.equal()
    checks = found.ask("BE", "hits", hits=told("BG", equal)).said
    reversed_ = [(their, own) for own, their in equal]
    found.ask("BG", "hits", hits=told("BE", reversed_))
    found.ask("BG", "verify", said=(checks,), hits=told("BE", reversed_))  # only BG opens it
    found.made["BE"].office.hits.drop_found([found.row("BG").id])
    found.sign("BG")
    found.post()
    assert found.alarms("BE") == ["canaries", "letter"] or found.alarms("BE") == ["letter"]
    assert found.book("BE") == []
    assert found.row("BG").state == "approved-here"


def test_the_partners_yes_is_shown_to_nobody_before_the_own(tmp_path: Path) -> None:
    found = open_pair(tmp_path)
    before = view(found.made["BE"].office, found.row("BE"))
    found.sign("BG")
    found.post()
    assert found.row("BE").partner_approved
    assert view(found.made["BE"].office, found.row("BE")) == before


def test_a_node_without_a_contact_point_waits(tmp_path: Path) -> None:
    found = open_pair(tmp_path)
    (found.made["BE"].office.home / "contact.toml").unlink()
    for node in found.made:
        found.sign(node)
    found.post()
    assert (found.row("BE").state, found.row("BE").reason) == ("approved-both", "no-contact")
    assert found.row("BG").record is None


def test_a_case_that_was_erased_is_not_named(tmp_path: Path) -> None:
    found = open_pair(tmp_path)
    for node in found.made:
        found.sign(node)
        found.take(node)
    found.made["BE"].cases.rows = []
    found.post()
    assert found.row("BE").state == "expired"
    assert found.row("BG").record is None
    assert "link-record" not in found.logged("BE")


def test_a_refuted_hit_is_tagged_for_nobody_any_more(tmp_path: Path) -> None:
    found = open_pair(tmp_path)
    for node in found.made:
        found.sign(node)
    found.post()
    found.sign("BE", "outcome", "refuted", people=1)
    found.post(exchange="x2")
    office = found.made["BE"].office
    (entry,) = stop_list.stopped(office)
    assert office.vault.digest(entry.kind, entry.form) == found.row("BE").digest
    assert found.row("BG").partner_outcome == "refuted"
    assert case(1) not in str(stop_list.stopped(office))


def test_said_by_the_node_itself_is_no_letter(tmp_path: Path) -> None:
    found = open_pair(tmp_path)
    found.sign("BE")
    own: Said = found.ask("BE", "post").said
    found.ask("BE", "post", said=(own,))
    assert not found.row("BE").partner_approved


@pytest.mark.parametrize("missing", ["theirs", "own"])
def test_a_record_is_sealed_for_signatures_and_not_for_a_state_in_the_book(
    tmp_path: Path, missing: str
) -> None:
    found = open_pair(tmp_path)
    if missing == "theirs":
        found.sign("BE")
        found.take("BE")
    office = found.made["BE"].office
    office.hits.change(found.row("BE").id, state="approved-both", partner_approved=missing == "own")
    found.post()
    assert found.row("BE").sent_at is None
    assert "link-record" not in found.logged("BE")
    assert found.row("BG").record is None


def test_a_partner_that_invents_prosecutors_gets_nothing(tmp_path: Path) -> None:
    found = open_pair(tmp_path)
    row, invented = found.row("BG"), Person("BG one")
    paper = signed(invented, row.id, "approve", "routine", found.clock).approval
    assert paper is not None
    content = {"approvals": [canonical.parse(paper.to_bytes())]}
    box = HitLetters(found.made["BG"].office.hits)
    box.put_out("2026", "BE", row.id, "approval", canonical.serialise(content))
    found.sign("BE")
    found.post()
    assert (found.row("BE").state, found.row("BE").partner_approved) == ("approved-here", False)
    assert found.alarms("BE") == ["letter"]
    assert "link-record" not in found.logged("BE")


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("record", {"record": {}}),
        ("outcome", {"outcome": "confirmed"}),
        ("label", {"label": {}}),
        ("approval", {"approvals": []}),
        ("decline", {"reason": "text"}),
        ("nothing", {}),
    ],
)
def test_a_letter_that_may_not_come_changes_nothing(
    tmp_path: Path, kind: str, content: dict[str, object]
) -> None:
    found = open_pair(tmp_path)
    before = found.row("BE")
    box = HitLetters(found.made["BG"].office.hits)
    box.put_out("2026", "BE", before.id, kind, canonical.serialise(content))
    found.post()
    assert found.row("BE") == before
    assert found.alarms("BE") == ["letter"]
    assert not box.waiting("2026", "BE")  # it does not come again for ever


def test_a_record_about_something_else_is_not_kept(tmp_path: Path) -> None:
    found = open_pair(tmp_path)
    for node in found.made:
        found.sign(node)
        found.take(node)
    office, row = found.made["BG"].office, found.row("BG")
    office.hits.change(row.id, kind="email")  # as a node would that lies about the type
    found.post()
    assert found.row("BE").record is None
    assert "letter" in found.alarms("BE")


def test_what_is_on_the_stop_list_is_not_tagged(tmp_path: Path) -> None:
    found = pair(tmp_path)
    office = found.made["BE"].office
    first = next(office.identified())
    stop_list.add(
        office, [stop_list.Stopped(kind="phone", form=first.form, reason="hotline")], who="IT", why="hotline"
    )
    found.tag()
    tagging = office.hits.tagging("x1", "BG")
    assert tagging is not None
    assert tagging.fresh == 2
    assert first.digest not in {row.digest for row in office.book.tagged("2026", "BG")}


def test_a_yes_has_the_size_of_a_no(tmp_path: Path) -> None:
    sizes = set()
    for act, word in (("approve", "routine"), ("decline", "coincidence")):
        directory = tmp_path / act
        directory.mkdir()
        found = open_pair(directory)
        found.sign("BE", act, word)  # type: ignore[arg-type]
        answer = found.ask("BE", "post")
        (letter,) = json.loads(answer.said.text)["letters"]
        sizes.add(len(letter["sealed"]))
    assert len(sizes) == 1


def sent_record(found: Pair, **changes: object) -> None:
    """BG sends a record as a node would that does not keep to the order."""
    row = found.row("BG")
    facts = {"state": "BG", "cases": ["ab" * 16], "kind": "phone", "strength": "exact", "urgency": "routine"}
    office = found.made["BG"].office
    terms, today = hit_records.Terms.load(office.home), found.clock().date()
    record = hit_records.make(terms, hit=row.id, today=today, **{**facts, **changes})  # type: ignore[arg-type]
    content = canonical.serialise({"record": record.content()})
    HitLetters(office.hits).put_out("2026", "BE", row.id, "record", content)


@pytest.mark.parametrize("approved", [False, True])
def test_a_record_that_comes_too_early_is_not_kept(tmp_path: Path, *, approved: bool) -> None:
    found = open_pair(tmp_path)
    if approved:
        found.sign("BE")
    sent_record(found)
    found.post()
    assert found.row("BE").record is None
    assert found.alarms("BE") == ["letter"]


@pytest.mark.parametrize("own_sent", [True, False])
def test_a_second_record_does_not_take_the_place_of_the_first(tmp_path: Path, *, own_sent: bool) -> None:
    found = open_pair(tmp_path)
    if not own_sent:
        (found.made["BE"].office.home / "contact.toml").unlink()
    for node in found.made:
        found.sign(node)
    found.post()
    first = found.row("BE").record
    sent_record(found)
    found.post(exchange="x2")
    assert found.row("BE").record == first
    assert found.alarms("BE") == ["letter"]


def test_a_record_in_the_name_of_a_third_state_is_not_kept(tmp_path: Path) -> None:
    found = open_pair(tmp_path)
    found.sign("BE")
    found.sign("BG")
    found.take("BG")
    sent_record(found, state="RO")
    found.post()
    assert b'"state":"BG"' in (found.row("BE").record or b'"state":"BG"')
    assert found.alarms("BE") == ["letter"]


def test_letters_of_an_epoch_whose_keys_are_gone_hold_up_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = open_pair(tmp_path)
    found.sign("BE")
    found.take("BE")
    monkeypatch.setattr(type(found.made["BE"].office), "key_set", lambda *_: None)
    assert json.loads(found.ask("BE", "post").said.text)["letters"] == []
    found.sign("BE", "decline", "coincidence")
    found.ask("BE", "post", "x2")
    assert found.row("BE").state == "approved-here"
