"""What a node does with a chunk of another state: the bad ones are refused by name, the good are paid for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from link_offices import Clock, LinkNode, evaluated, make_keys, next_chunk, nodes, phones, run, spread, taken
from safeborders_fed.audit.chain import Operation
from safeborders_fed.errors import PeerError
from safeborders_fed.links import forms_base, ristretto
from safeborders_fed.links.batch_statement import Chunk
from safeborders_fed.links.evaluating import REASONS
from safeborders_fed.study.link_messages import LinkAnswer, LinkAsk, Words, array_hash, say, to_rows, to_words


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def made(tmp_path: Path, clock: Clock) -> dict[str, LinkNode]:
    made = nodes(tmp_path, clock=clock)
    make_keys(made)
    made["RO"].cases.rows = phones(spread(70))
    return made


def chunk_of(made: dict[str, LinkNode]) -> LinkAnswer:
    made["RO"].prepared()
    return next_chunk(made["RO"])


def changed(node: LinkNode, chunk: LinkAnswer, points: Words | None = None, **fields: Any) -> LinkAnswer:
    """A chunk as its own state would sign it with other fields or points."""
    points = chunk.arrays["points"] if points is None else points
    content = {**json.loads(chunk.said.text), "points": array_hash(points), "count": len(points), **fields}
    said = say(node.office.node, node.office.key, "chunk", content)
    return LinkAnswer(chunk.exchange, chunk.step, said, {"points": points})


def reason(answer: LinkAnswer) -> str:
    assert answer.said.kind == "refused"
    assert not answer.arrays
    return str(json.loads(answer.said.text)["reason"])


def charged(node: LinkNode) -> int:
    book = node.office.book
    return sum(points for period in ("2026-11", "2026") for _, _, points in book.charged(period))


def test_an_answer_is_charged_and_stands_in_the_log_with_the_prosecutors(made: dict[str, LinkNode]) -> None:
    chunk = chunk_of(made)
    answer = evaluated(made["BG"], chunk)
    assert answer.said.kind == "shares"
    assert charged(made["BG"]) == 128
    (entry,) = [each for each in made["BG"].entries() if each.operation == Operation.LINK_ANSWER]
    assert entry.who == "RO"
    assert entry.why == "investigation: order 7/2026"
    assert entry.details["points"] == 128
    assert entry.details["prosecutors"] == "RO one, RO two"
    assert made["BG"].cases.reads == 0, "a node that helps looked at its own cases"


def replaced(points: Words, row: bytes) -> Words:
    rows = to_rows(points)
    rows[3] = row
    return to_words(rows, 32)


BAD_POINTS: dict[str, Callable[[Words], Words]] = {
    "not on the group": lambda points: replaced(points, b"\x02" + bytes(31)),
    "not canonical": lambda points: replaced(points, b"\xff" * 32),
    "the identity": lambda points: replaced(points, bytes(32)),
    "twice in the chunk": lambda points: replaced(points, to_rows(points)[4]),
    "too short": lambda points: points[:, :3].copy(),
    "too long": lambda points: np.hstack([points, points[:, :1]]),
}


@pytest.mark.parametrize("what", sorted(BAD_POINTS))
def test_points_that_are_none_are_refused_and_cost_nothing(made: dict[str, LinkNode], what: str) -> None:
    chunk = chunk_of(made)
    bad = changed(made["RO"], chunk, BAD_POINTS[what](chunk.arrays["points"]))
    assert reason(evaluated(made["BG"], bad)) == "malformed"
    assert charged(made["BG"]) == 0
    assert evaluated(made["BG"], chunk).said.kind == "shares"


def test_points_that_were_swapped_on_the_way_or_left_out_are_refused(made: dict[str, LinkNode]) -> None:
    chunk = chunk_of(made)
    swapped = {"points": chunk.arrays["points"][::-1].copy()}
    ask = LinkAsk("e1", "evaluate", (chunk.said,), {}, swapped)
    assert reason(made["BG"].desk.answer(ask)) == "malformed"
    assert reason(made["BG"].desk.answer(LinkAsk("e1", "evaluate", (chunk.said,)))) == "malformed"


def test_more_or_fewer_points_than_said_are_refused(made: dict[str, LinkNode]) -> None:
    chunk = chunk_of(made)
    for count in (127, 129, 0, -1, 10**9):
        assert reason(evaluated(made["BG"], changed(made["RO"], chunk, count=count))) == "malformed"


def test_a_point_of_an_earlier_chunk_of_the_batch_is_refused(made: dict[str, LinkNode]) -> None:
    made["RO"].cases.rows = phones(spread(40)) + [
        ("v", "c", "email", "Exploiter", f"{number}@example.org") for number in range(40)
    ]
    chunk = chunk_of(made)
    assert evaluated(made["BG"], chunk).said.kind == "shares"
    again = {"type": "phone", "number": 1}
    assert reason(evaluated(made["BG"], changed(made["RO"], chunk, **again))) == "malformed"
    assert charged(made["BG"]) == 64


def test_more_points_than_were_approved_are_refused(made: dict[str, LinkNode]) -> None:
    chunk = chunk_of(made)
    assert evaluated(made["BG"], chunk).said.kind == "shares"
    fresh = to_words([ristretto.base(ristretto.random_scalar()) for _ in range(64)], 32)
    assert reason(evaluated(made["BG"], changed(made["RO"], chunk, fresh, number=1))) == "malformed"


def test_the_same_chunk_again_gets_the_same_bytes_and_is_not_charged(made: dict[str, LinkNode]) -> None:
    chunk = chunk_of(made)
    first = evaluated(made["BG"], chunk)
    made["BG"] = made["BG"].reopened()
    again = evaluated(made["BG"], chunk, exchange="e2")
    assert again.said == first.said
    assert np.array_equal(again.arrays["shares"], first.arrays["shares"])
    assert charged(made["BG"]) == 128


def test_another_chunk_under_an_answered_number_is_refused(made: dict[str, LinkNode]) -> None:
    chunk = chunk_of(made)
    evaluated(made["BG"], chunk)
    fresh = to_words([ristretto.base(ristretto.random_scalar()) for _ in range(128)], 32)
    assert reason(evaluated(made["BG"], changed(made["RO"], chunk, fresh))) == "replayed"


def test_a_batch_that_is_done_is_not_answered_again_and_what_was_sent_is_dropped(
    made: dict[str, LinkNode], clock: Clock
) -> None:
    chunk = chunk_of(made)
    assert run(made, "RO") == 1
    made["RO"].cases.rows = phones(spread(10, start=500))
    clock.forward(days=1)
    made["RO"].prepared()
    assert run(made, "RO") == 1
    assert reason(evaluated(made["BG"], chunk)) == "replayed"
    kept = made["BG"].office.book.points_of("RO", json_batch(chunk))
    assert kept == []


def json_batch(chunk: LinkAnswer) -> str:
    return Chunk.of(chunk.said.text).batch.hash()


def test_quotas_hold_by_month_and_the_first_load_counts_once(tmp_path: Path, clock: Clock) -> None:
    made = nodes(tmp_path, clock=clock, monthly=64, first_load=128)
    make_keys(made)
    made["RO"].cases.rows = phones(spread(100))  # 128 points: the first load
    made["RO"].prepared()
    assert run(made, "RO") == 1
    made["RO"].cases.rows += phones(spread(20, start=200))  # 64: this month's
    made["RO"].prepared()
    assert run(made, "RO") == 1
    made["RO"].cases.rows += phones(spread(5, start=300))
    made["RO"].prepared()
    chunk = next_chunk(made["RO"])
    assert reason(evaluated(made["BG"], chunk)) == "quota"
    clock.forward(days=20)  # another month
    made["RO"].office.book.batches.end(json_batch(chunk), "expired")
    clock.forward(days=20)
    made["RO"].prepared()
    assert run(made, "RO") == 1
    assert charged(made["BG"]) == 128 + 64  # of the year and of November
    assert made["BG"].office.book.months("RO", "phone") == {"2026-11": 64, "2026-12": 64}


def test_too_many_batches_at_once_are_refused(tmp_path: Path, clock: Clock) -> None:
    made = nodes(tmp_path, clock=clock, batches_at_once=1)
    make_keys(made)
    made["RO"].cases.rows = [*phones(spread(20)), ("v", "c", "email", "Exploiter", "a@example.org")]
    first = made["RO"].prepared()
    assert evaluated(made["BG"], next_chunk(made["RO"])).said.kind == "shares"
    made["RO"].office.book.batches.end(first, "stopped")  # one of its two chunks never comes
    clock.forward(minutes=1)
    made["RO"].prepared()
    assert reason(evaluated(made["BG"], next_chunk(made["RO"]))) == "quota"
    clock.forward(days=29, hours=23, minutes=59)  # the first has expired, the second has not
    assert evaluated(made["BG"], next_chunk(made["RO"])).said.kind == "shares"


def test_an_approval_for_another_batch_does_not_count(made: dict[str, LinkNode]) -> None:
    ro = made["RO"]
    batch = ro.prepared()
    chunk = next_chunk(ro)
    ro.sign(batch, of="ab" * 32)
    papers = [json.loads(paper) for paper in ro.office.book.batches.approvals(batch)]
    assert reason(evaluated(made["BG"], changed(ro, chunk, approvals=papers))) == "not-approved"


def test_too_few_strange_or_expired_approvals_do_not_count(made: dict[str, LinkNode], clock: Clock) -> None:
    chunk = chunk_of(made)
    papers = json.loads(chunk.said.text)["approvals"]
    for wrong in ([], papers[:1], [papers[0], papers[0]]):
        assert reason(evaluated(made["BG"], changed(made["RO"], chunk, approvals=wrong))) == "not-approved"
    stranger = made["BE"]
    stranger.cases.rows = phones(spread(3))
    batch = json_batch(chunk)
    stranger.sign(made["BE"].prepared(), of=batch)
    foreign = [
        json.loads(paper)
        for own in stranger.office.book.batches.all()
        for paper in stranger.office.book.batches.approvals(own.id)
    ]
    assert reason(evaluated(made["BG"], changed(made["RO"], chunk, approvals=foreign))) == "not-approved"
    clock.forward(days=31)
    assert reason(evaluated(made["BG"], chunk)) == "not-approved"


def test_a_batch_of_other_counts_than_were_approved_is_refused(made: dict[str, LinkNode]) -> None:
    chunk = chunk_of(made)
    batch = json.loads(chunk.said.text)["batch"]
    larger = {**batch, "counts": {"phone": 4096}}
    assert reason(evaluated(made["BG"], changed(made["RO"], chunk, batch=larger))) == "not-approved"


def test_policy_decides_on_state_type_and_purpose(tmp_path: Path) -> None:
    for terms in ({"partners": ["BE"]}, {"types": ["email"]}, {"purposes": ["prosecution"]}):
        directory = tmp_path / next(iter(terms))
        directory.mkdir()
        made = nodes(directory)
        make_keys(made)
        made["RO"].cases.rows = phones(spread(3))
        chunk = chunk_of(made)
        bg = made["BG"].office
        bg.policy = bg.policy.model_copy(update={name: frozenset(words) for name, words in terms.items()})
        assert reason(evaluated(made["BG"], chunk)) == "policy"
        (entry,) = [each for each in made["BG"].entries() if each.operation == Operation.LINK_REFUSE]
        assert entry.details["reason"] == "policy"
        assert entry.details["prosecutors"] == "RO one, RO two"


def test_a_chunk_that_another_node_or_nobody_signed_is_refused(made: dict[str, LinkNode]) -> None:
    chunk = chunk_of(made)
    forged = chunk.said.model_copy(update={"text": chunk.said.text.replace("order 7", "order 8")})
    assert reason(evaluated(made["BG"], LinkAnswer("e1", "batch", forged, chunk.arrays))) == "malformed"
    other = changed(made["BE"], chunk)  # BE shows RO's batch as its own
    assert reason(evaluated(made["BG"], other)) in {"policy", "not-approved"}
    with pytest.raises(PeerError):
        made["BG"].desk.answer(LinkAsk("e1", "evaluate"))


def test_a_chunk_of_other_keys_or_another_epoch_is_refused(made: dict[str, LinkNode], clock: Clock) -> None:
    chunk = chunk_of(made)
    assert reason(evaluated(made["BG"], changed(made["RO"], chunk, key_set="cd" * 32))) == "epoch"
    clock.at = clock.at.replace(year=2027, month=1, day=1)
    assert reason(evaluated(made["BG"], chunk)) == "epoch"


def test_a_batch_of_other_normal_forms_is_refused(
    made: dict[str, LinkNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(forms_base, "VERSION", "999")
        chunk = chunk_of(made)
    assert reason(evaluated(made["BG"], chunk)) == "version"
    assert charged(made["BG"]) == 0


def test_the_kill_switch_holds_at_the_next_message(made: dict[str, LinkNode], clock: Clock) -> None:
    chunk = chunk_of(made)
    switch = made["BG"].office.switch
    switch.turn_off("Ana", "an order of the court", clock())
    assert reason(evaluated(made["BG"], chunk)) == "off"
    assert charged(made["BG"]) == 0
    switch.turn_on("the order was lifted")
    assert evaluated(made["BG"], chunk).said.kind == "shares"


def test_a_switch_that_cannot_be_seen_is_off(made: dict[str, LinkNode]) -> None:
    chunk = chunk_of(made)
    bg = made["BG"].office
    (bg.home / "links").rename(bg.home / "elsewhere")
    (bg.home / "links").write_text("not a directory", encoding="utf-8")
    assert reason(evaluated(made["BG"], chunk)) == "off"


def test_a_state_that_asks_for_far_more_than_before_is_noticed(tmp_path: Path, clock: Clock) -> None:
    made = nodes(tmp_path, clock=clock, monthly=20_000, first_load=0)
    make_keys(made)
    made["RO"].cases.rows = phones(spread(100))
    made["RO"].prepared()
    assert run(made, "RO") == 1
    assert made["BG"].office.book.alarms() == []
    clock.forward(days=30)
    made["RO"].cases.rows += phones(range(20_000_000, 20_000_600))
    made["RO"].prepared()
    assert run(made, "RO") == 1
    (alarm,) = made["BG"].office.book.alarms()
    assert alarm[1] == "volume"
    assert "RO has asked for 1,024 points of type phone in 2026-12" in alarm[2]
    (entry,) = [each for each in made["BG"].entries() if each.operation == Operation.LINK_ALARM]
    assert entry.details["requester"] == "RO"


def test_a_charge_that_a_crash_kept_from_the_log_is_logged_at_the_next_start(
    made: dict[str, LinkNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    chunk = chunk_of(made)

    def die() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(made["BG"].office, "record_charges", die)
    with pytest.raises(KeyboardInterrupt):
        evaluated(made["BG"], chunk)
    made["BG"] = made["BG"].reopened()
    operations = [each.operation for each in made["BG"].entries()]
    assert operations.count(Operation.LINK_ANSWER) == 1
    evaluated(made["BG"], chunk)
    operations = [each.operation for each in made["BG"].entries()]
    assert operations.count(Operation.LINK_ANSWER) == 1


def test_shares_of_a_node_whose_share_is_not_its_published_key_are_found_and_it_is_named(
    made: dict[str, LinkNode],
) -> None:
    chunk = chunk_of(made)
    held = made["BG"].office.secrets("2026")
    held.scalars["phone"] = ristretto.random_scalar()  # type: ignore[index]
    answers = [evaluated(node, chunk) for node in made.values()]
    said = json.loads(taken(made["RO"], answers).said.text)
    assert said["blamed"] == ["BG"]
    assert made["RO"].office.book.tokens("2026") == []
    (alarm,) = [each for each in made["RO"].office.book.alarms() if each[1] == "liar"]
    assert alarm[2].startswith("BG answered with shares that are not of its published key")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from(["epoch", "key_set", "batch", "approvals", "number", "type", "count", "points", "other"]),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_node_signs_is_answered_with_a_reason(
    made: dict[str, LinkNode], value: object, field: str
) -> None:
    ro = made["RO"]
    if not ro.office.book.batches.all():
        ro.prepared()
    chunk = next_chunk(ro)
    content = {**json.loads(chunk.said.text), field: value}
    said = say("RO", ro.office.key, "chunk", content)
    if said == chunk.said or (field == "number" and isinstance(value, int)):
        return  # a chunk as it may be
    assert reason(evaluated(made["BG"], LinkAnswer("e1", "batch", said, chunk.arrays))) in set(
        REASONS.values()
    )
    assert charged(made["BG"]) == 0


@pytest.mark.parametrize("on", [True, False])
def test_what_no_node_signed_cannot_fill_the_log(
    made: dict[str, LinkNode], clock: Clock, *, on: bool
) -> None:
    chunk = chunk_of(made)
    if not on:
        made["BG"].office.switch.turn_off("Ana", "an order", clock())
    for number in range(20):
        forged = chunk.said.model_copy(update={"text": f'{{"number":{number}}}'})
        said = reason(evaluated(made["BG"], LinkAnswer("e1", "batch", forged, chunk.arrays)))
        assert said == ("malformed" if on else "off")
    (entry,) = [each for each in made["BG"].entries() if each.operation == Operation.LINK_REFUSE]
    assert entry.who == "unknown"
