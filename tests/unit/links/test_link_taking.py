"""A node takes tokens only with every proof, loses nothing in a crash, and ends what cannot go on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from link_offices import (
    Clock,
    LinkNode,
    evaluated,
    make_keys,
    next_chunk,
    nodes,
    phones,
    run,
    spread,
    taken,
)
from safeborders_fed.audit.chain import Operation
from safeborders_fed.errors import PeerError
from safeborders_fed.links import oprf
from safeborders_fed.study.link_messages import LinkAnswer, say


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def made(tmp_path: Path, clock: Clock) -> dict[str, LinkNode]:
    made = nodes(tmp_path, clock=clock)
    make_keys(made)
    made["RO"].cases.rows = phones(spread(70))
    return made


def answers(made: dict[str, LinkNode]) -> list[LinkAnswer]:
    chunk = next_chunk(made["RO"])
    return [evaluated(node, chunk) for node in made.values()]


def test_tokens_are_those_of_all_shares_together(made: dict[str, LinkNode]) -> None:
    made["RO"].prepared()
    run(made, "RO")
    shares = [node.office.secrets("2026").secret("phone") for node in made.values()]
    each = next(iter(made["RO"].office.identified()))
    data = oprf.token_input("2026", "phone", each.form)
    blinded = oprf.blind(data)
    product = oprf.combine([oprf.evaluate(share, [blinded.point]) for share in shares])
    token = oprf.finalize(data, blinded.scalar, product[0])[:32]
    (found,) = [row for row in made["RO"].office.book.tokens("2026") if row.digest == each.digest]
    assert found.token == token


def test_one_node_less_gives_no_token(made: dict[str, LinkNode]) -> None:
    made["RO"].prepared()
    with pytest.raises(PeerError, match="not one of each node"):
        taken(made["RO"], answers(made)[1:])
    assert made["RO"].office.book.tokens("2026") == []


def test_shares_that_were_changed_on_the_way_blame_nobody(made: dict[str, LinkNode]) -> None:
    made["RO"].prepared()
    given = answers(made)
    given[0].arrays["shares"][0, 0] ^= 1
    with pytest.raises(PeerError, match="not those that it signed"):
        taken(made["RO"], given)
    assert made["RO"].office.book.alarms() == []


def test_a_proof_that_is_none_is_a_lie(made: dict[str, LinkNode]) -> None:
    made["RO"].prepared()
    given = answers(made)
    node = made[given[1].said.node].office
    for proof in ("", "zz", "00" * 64, "ab"):
        content = {**json.loads(given[1].said.text), "proof": proof}
        lie = LinkAnswer("e1", "evaluate", say(node.node, node.key, "shares", content), given[1].arrays)
        said = json.loads(taken(made["RO"], [given[0], lie, given[2]]).said.text)
        assert said["blamed"] == [node.node]
    assert made["RO"].office.book.tokens("2026") == []
    assert json.loads(taken(made["RO"], given).said.text)["blamed"] == []
    assert len(made["RO"].office.book.tokens("2026")) == 70


def test_shares_of_another_chunk_or_of_nobodys_are_refused(made: dict[str, LinkNode]) -> None:
    made["RO"].prepared()
    given = answers(made)
    with pytest.raises(PeerError, match="did not send"):
        taken(made["BE"], given)


def test_taking_twice_changes_nothing(made: dict[str, LinkNode]) -> None:
    made["RO"].prepared()
    given = answers(made)
    taken(made["RO"], given)
    before = made["RO"].office.book.tokens("2026")
    assert json.loads(taken(made["RO"], given).said.text)["blamed"] == []
    assert made["RO"].office.book.tokens("2026") == before
    assert next_chunk(made["RO"]).said.kind == "nothing"


class _DiedError(BaseException):
    """The process was killed here."""


def _dying(function: Callable[..., object], at: list[int]) -> Callable[..., object]:
    """The function, which dies before or after it has done its work when the countdown ends."""

    def call(*args: object, **kwargs: object) -> object:
        for after in (False, True):
            at[0] -= 1
            if at[0] == 0:
                if after:
                    function(*args, **kwargs)
                raise _DiedError
        return function(*args, **kwargs)

    return call


WRITES = (
    ("office.book", "charge"),
    ("office.book", "logged"),
    ("office.book.batches", "send"),
    ("office.book.batches", "take"),
    ("office.audit_log", "append_if_new"),
)


@pytest.mark.parametrize("kill", range(1, 42))
def test_killed_at_any_write_nothing_is_lost_doubled_or_paid_for_twice(
    tmp_path: Path, kill: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = nodes(tmp_path, ("BG", "RO"))
    make_keys(made)
    made["RO"].cases.rows = [*phones(spread(40)), ("v", "c", "email", "Exploiter", "a@example.org")]
    made["RO"].prepared()
    at = [kill]
    with monkeypatch.context() as patch:
        for node in made.values():
            for owner, name in WRITES:
                target = node
                for part in owner.split("."):
                    target = getattr(target, part)
                patch.setattr(target, name, _dying(getattr(target, name), at))
        try:
            run(made, "RO")
            died = False
        except _DiedError:
            died = True
    made = {name: node.reopened() for name, node in made.items()}
    run(made, "RO")
    assert len(made["RO"].office.book.tokens("2026")) == 41
    assert made["RO"].office.book.batches.all()[0].outcome == "done"
    for node in made.values():
        assert sum(points for _, _, points in node.office.book.charged("2026")) == 128
        operations = [each.operation for each in node.entries()]
        assert operations.count(Operation.LINK_ANSWER) == 2
    assert died == (kill <= _writes_of_a_run())


def _writes_of_a_run() -> int:
    """Two chunks: logged, sent, charged, logged and struck off at two nodes each, taken, and logged."""
    return 2 * 2 * (2 + 2 * 3 + 2)


def test_an_epoch_change_mid_batch_ends_it_and_nothing_is_lost(
    made: dict[str, LinkNode], clock: Clock
) -> None:
    made["RO"].cases.rows = [*phones(spread(40)), ("v", "c", "email", "Exploiter", "a@example.org")]
    made["RO"].prepared()
    given = answers(made)
    taken(made["RO"], given)
    second = next_chunk(made["RO"])
    clock.at = clock.at.replace(year=2027, month=1, day=1)
    refused = evaluated(made["BG"], second)
    assert json.loads(refused.said.text)["reason"] == "epoch"
    assert next_chunk(made["RO"]).said.kind == "nothing"
    make_keys(made, "2027")
    assert next_chunk(made["RO"]).said.kind == "nothing"
    assert made["RO"].office.book.batches.all()[0].outcome == "epoch"
    made["RO"].prepared()
    run(made, "RO")
    assert len(made["RO"].office.book.tokens("2027")) == 41


def test_a_prosecutor_who_is_revoked_before_a_chunk_is_sent_counts_no_more(made: dict[str, LinkNode]) -> None:
    made["RO"].prepared()
    made["RO"].office.approvers = [made["RO"].people[0].enrolled]
    assert next_chunk(made["RO"]).said.kind == "nothing"


def test_a_batch_past_its_last_moment_is_ended(made: dict[str, LinkNode], clock: Clock) -> None:
    made["RO"].prepared()
    clock.forward(days=30)
    assert next_chunk(made["RO"]).said.kind == "nothing"
    assert made["RO"].office.book.batches.all()[0].outcome == "expired"
    made["RO"].prepared()  # the same identifiers are new again
    assert run(made, "RO") == 1
