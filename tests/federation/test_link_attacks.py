"""Attacks on keys and tokens of links: each is tried, and what comes of it is required."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from link_attacks import (
    alarms,
    asks_at,
    at_step,
    attack,
    charged,
    content,
    lying_answer,
    require_no_reference,
    resaid,
)
from link_federation import LinkFederation, federation
from safeborders_fed.links import oprf, ristretto
from safeborders_fed.study.link_messages import (
    LinkAnswer,
    LinkAsk,
    Words,
    array_hash,
    to_rows,
    to_words,
)

SHARED = "+32 2 555 12 12"
IDENTITY = bytes(32)


def planted(directory: Path, *states: str, **changes: Any) -> LinkFederation:
    """Two states with one telephone number in common, a third without it; all is approved."""
    made = federation(directory, *(states or ("BE", "BG", "GR")), **changes)
    for node in made.nodes.values():
        node.add({"phone": SHARED if node.name != "GR" else "+30 210 555 1212"})
        node.offer()
    return made


def hits(made: LinkFederation, node: str) -> int:
    return len(made[node].office.hits.shown())


def _other_length(points: Words) -> Words:
    return points[:, :2].copy()


def _not_on_the_group(points: Words) -> Words:
    return np.full_like(points, 2**64 - 1)


def _with_identity(points: Words) -> Words:
    return np.concatenate([points[:-1], to_words([IDENTITY], 32)])


def _repeated(points: Words) -> Words:
    return np.concatenate([points[:-1], points[:1]])


def _too_few(points: Words) -> Words:
    return points[:-1]


_BAD_POINTS = [_not_on_the_group, _with_identity, _repeated]


@attack(
    "Points not on the group, the identity among them, or one point twice",
    by="a state, in a batch that its prosecutors approved",
    outcome="every other state answers `malformed`; nothing is charged or computed with a key",
)
@pytest.mark.parametrize("change", _BAD_POINTS)
def test_points_that_are_none_are_refused_before_any_key_is_used(tmp_path: Path, change: Any) -> None:
    made = planted(tmp_path)

    def lie(node: str, _: LinkAsk, answer: LinkAnswer) -> LinkAnswer:
        if answer.said.kind != "chunk":
            return answer
        return lying_answer(made[node], answer, points=change(answer.arrays["points"]))

    with made.lying(answer=at_step("batch", "BE", lie)):
        summary = made.exchange()
    refused = {(each.requester, each.by, each.reason) for each in summary.refused}
    assert {("BE", "BG", "malformed"), ("BE", "GR", "malformed")} <= refused
    assert charged(made, "BG") == 2 * 64  # for BG and GR, not for BE
    assert "BE" not in summary.points


@attack(
    "Points or shares altered, shortened or of another length on the way",
    by="the coordinator",
    outcome="they are not those that were signed: `malformed`, nothing is charged or kept",
)
@pytest.mark.parametrize("change", [_other_length, _too_few, _with_identity])
@pytest.mark.parametrize("step", ["evaluate", "take"])
def test_arrays_altered_on_the_way_are_not_those_that_were_signed(
    tmp_path: Path, step: str, change: Any
) -> None:
    made = planted(tmp_path)

    def lie(_: str, ask: LinkAsk) -> LinkAsk:
        return replace(ask, arrays={name: change(array) for name, array in ask.arrays.items()})

    with made.lying(ask=asks_at(step, None, lie)):
        summary = made.exchange()
    assert (summary.points, summary.liars, hits(made, "BE")) == ({}, {}, 0)
    if step == "evaluate":
        assert {each.reason for each in summary.refused} == {"malformed"}
        assert [charged(made, node) for node in made.nodes] == [0, 0, 0]
    assert all(not node.office.book.tokens(made.files.epoch) for node in made.nodes.values())


@attack(
    "Shares under another key than the published one",
    by="a state that helps",
    outcome="the proof does not hold: no token of the chunk is kept, and requester and coordinator name it",
)
def test_a_node_that_answers_with_a_wrong_key_is_found_and_named(tmp_path: Path) -> None:
    made = planted(tmp_path)
    wrong = ristretto.random_scalar()

    def lie(node: str, ask: LinkAsk, answer: LinkAnswer) -> LinkAnswer:
        points = to_rows(ask.arrays["points"])
        shares = oprf.evaluate(wrong, points)
        proof = oprf.prove(wrong, ristretto.base(wrong), points, shares)
        array = to_words(shares, 32)
        said = resaid(made[node], answer.said, shares=array_hash(array), proof=proof.hex())
        return replace(answer, said=said, arrays={"shares": array})

    with made.lying(answer=at_step("evaluate", "GR", lie)):
        summary = made.exchange()
    assert set(summary.liars) == {"GR"}
    assert summary.points == {}
    assert "liar" in alarms(made, "BE")
    assert not made["BE"].office.book.tokens(made.files.epoch)
    assert set(made.exchange().points) == {"BE", "BG", "GR"}  # the same batch, when all are honest again


@attack(
    "Another state blamed for shares that are right",
    by="a state that asks",
    outcome="the coordinator checks the proof itself and names the accuser",
)
def test_who_blames_another_falsely_is_named(tmp_path: Path) -> None:
    made = planted(tmp_path)

    def lie(node: str, _: LinkAsk, answer: LinkAnswer) -> LinkAnswer:
        return lying_answer(made[node], answer, blamed=["BG"])

    with made.lying(answer=at_step("take", "BE", lie)):
        summary = made.exchange()
    assert set(summary.liars) == {"BE"}


@attack(
    "A chunk replayed: the same again, or another one under its number",
    by="the coordinator or a state",
    outcome="the same chunk gets the stored bytes and costs nothing; another one is `replayed`",
)
def test_a_replayed_chunk_gets_the_same_bytes_and_another_one_nothing(tmp_path: Path) -> None:
    made = planted(tmp_path)
    made.exchange()
    node, ask, first = next(each for each in made.wire.asks("evaluate") if each[1].said[0].node == "BE")
    before = charged(made, node)
    again = made[node].participant.answer(ask.encode()).data
    assert again == first.encode()
    points = to_words([ristretto.base(ristretto.random_scalar()) for _ in ask.arrays["points"]], 32)
    said = resaid(made["BE"], ask.said[0], points=array_hash(points))
    answer = made.wire._one(node, replace(ask, said=(said,), arrays={"points": points}).encode())
    refusal = made.wire.passed[-1][2]
    assert content(refusal.said)["reason"] == "replayed"
    assert answer == refusal.encode()
    assert charged(made, node) == before


@attack(
    "More points than the quota",
    by="a state",
    outcome="`quota` at every state beyond its monthly number; tokens of before are kept",
)
def test_beyond_its_quota_a_state_gets_no_tokens(tmp_path: Path) -> None:
    made = planted(tmp_path, monthly=64, first_load=0)
    assert set(made.exchange().points) == {"BE", "BG", "GR"}
    made["BE"].add({"phone": "+32 2 555 12 13"})
    made["BE"].offer()
    summary = made.exchange()
    assert {(each.requester, each.reason) for each in summary.refused} == {("BE", "quota")}
    assert summary.points == {}
    assert len(made["BE"].office.book.tokens(made.files.epoch)) == 1
    assert hits(made, "BE") == hits(made, "BG") == 1


@attack(
    "Ten thousand telephone numbers in sequence, to find out which are in other states' files",
    by="a state, with its prosecutors' approval",
    outcome="its own people are warned before they sign; beyond quota and first load every other state says "
    "`quota`; each point stands in the log of every state",
)
def test_ten_thousand_sequential_numbers_meet_an_alarm_and_the_quota(tmp_path: Path) -> None:
    made = federation(tmp_path, "BE", "BG", monthly=1000, first_load=3000)
    made["BE"].add(
        *({"phone": f"+32 470 {number // 100:04d} {number % 100:02d}"} for number in range(10_000))
    )
    prepared = made["BE"].prepare()
    assert any("follow each other" in said for said in prepared.alarms)
    made["BE"].approve(prepared)
    summary = made.exchange()
    assert {each.reason for each in summary.refused} == {"quota"}
    assert summary.points.get("BE", 0) <= 4000
    assert charged(made, "BG") <= 4000


@attack(
    "The approval of another batch, or of too few prosecutors",
    by="a state",
    outcome="`not-approved`: an approval names one batch by its hash",
)
@pytest.mark.parametrize("forgery", ["another batch", "one person", "people of another state"])
def test_an_approval_counts_for_its_batch_only(tmp_path: Path, forgery: str) -> None:
    made = planted(tmp_path)

    def lie(node: str, _: LinkAsk, answer: LinkAnswer) -> LinkAnswer:
        if answer.said.kind != "chunk":
            return answer
        signed = content(answer.said)["approvals"]
        if forgery == "another batch":
            forged = [each.model_dump(mode="json") for each in made[node].approvals("ab" * 32)]
        elif forgery == "one person":
            forged = [signed[0], signed[0]]
        else:
            batch = signed[0]["subject_hash"]
            forged = [each.model_dump(mode="json") for each in made["GR"].approvals(batch)]
        return lying_answer(made[node], answer, approvals=forged)

    with made.lying(answer=at_step("batch", "BE", lie)):
        summary = made.exchange()
    reasons = {each.reason for each in summary.refused if each.requester == "BE"}
    assert reasons == {"not-approved"}
    assert "BE" not in summary.points


@attack(
    "A batch that lasts over the end of the year",
    by="anybody",
    outcome="`epoch`; its identifiers are asked for anew under the new year's keys, and found",
)
def test_an_epoch_that_changes_amid_a_batch_ends_it(tmp_path: Path) -> None:
    made = planted(tmp_path, "BE", "BG")
    old = made.files.epoch

    def later(_: str, ask: LinkAsk) -> LinkAsk:
        made.clock.at = datetime(int(old) + 1, 1, 1, 0, 0, 1, tzinfo=UTC)
        return ask

    with made.lying(ask=asks_at("evaluate", None, later)):
        summary = made.exchange()
    assert {each.reason for each in summary.refused} == {"epoch"}
    assert summary.points == {}
    made.exchange()  # the new year's keys; the batches of the old year end
    made.offer_all()
    made.exchange()
    assert hits(made, "BE") == hits(made, "BG") == 1
    assert {row.epoch for row in made["BE"].office.hits.shown()} == {str(int(old) + 1)}


@attack(
    "The same identifier in many cases, or in many spellings",
    by="anybody",
    outcome="one point, one token, one tag for each partner: how often it occurs does not show",
)
def test_an_identifier_that_occurs_often_is_sent_once(tmp_path: Path) -> None:
    made = federation(tmp_path, "BE", "BG")
    made["BE"].add({"phone": SHARED}, {"phone": "0032 25551212"}, {"phone": SHARED})
    made["BG"].add({"phone": SHARED})
    made.offer_all()
    made.exchange()
    assert len(made["BE"].office.book.tokens(made.files.epoch)) == 1
    assert hits(made, "BE") == hits(made, "BG") == 1


@attack(
    "A state that is offline for as long as is waited",
    by="nobody",
    outcome="it is named; no new tokens; what was tagged before is compared all the same",
)
def test_a_state_that_is_away_keeps_nobody_from_comparing(tmp_path: Path) -> None:
    made = planted(tmp_path)
    made.exchange()
    made["BG"].add({"phone": "+30 210 555 1212"})
    made["BG"].offer()
    made.wire.offline = {"BE"}
    summary = made.exchange(wait_seconds=600)
    assert (summary.offline, summary.points) == (("BE",), {})
    assert set(summary.verified) == {"BG-GR"}
    require_no_reference(made)
