"""Asking nodes: what counts as an answer, and what becomes of everything else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from safeborders_fed.coordinator.federation import NOBODY
from safeborders_fed.links.calling import Caller
from safeborders_fed.links.matching_rounds import tournament
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.study.link_messages import LinkAnswer, say
from safeborders_fed.study.messages import Reason, Refusal

KEY = Ed25519PrivateKey.generate()
OTHER = Ed25519PrivateKey.generate()
HONEST = LinkAnswer("2026-0001", "tags", say("BE", KEY, "tags", {"count": 1}))


@dataclass
class Replies:
    """Replies to whatever is asked."""

    replies: Mapping[str, bytes]

    def ask(self, requests: Mapping[str, bytes], optional: Mapping[str, bytes] = NOBODY) -> dict[str, bytes]:
        del optional
        return {node: self.replies[node] for node in requests if node in self.replies}

    def online(self) -> frozenset[str]:
        return frozenset(self.replies)


def ask(reply: bytes | None) -> tuple[Caller, bool]:
    """A caller that asked BE for its tags, and whether the answer counts."""
    federation = Replies({} if reply is None else {"BE": reply})
    caller = Caller(federation, {"BE": public_hex(KEY), "BG": public_hex(OTHER)}, "2026-0001")
    heard = caller.ask("tags", {"BE": caller.asking("tags", {"partner": "BG"})}, "tags")
    return caller, "BE" in heard


def test_an_honest_answer_counts() -> None:
    caller, counts = ask(HONEST.encode())
    assert counts
    assert caller.troubles == []


@pytest.mark.parametrize(
    "answer",
    [
        replace(HONEST, exchange="2026-0002"),
        replace(HONEST, step="hits"),
        replace(HONEST, said=say("BG", OTHER, "tags", {"count": 1})),
        replace(HONEST, said=say("BG", KEY, "tags", {"count": 1})),
        replace(HONEST, said=say("BE", OTHER, "tags", {"count": 1})),
        replace(HONEST, said=say("BE", KEY, "checks", {"count": 1})),
        replace(HONEST, said=HONEST.said.model_copy(update={"text": '{"count":2}'})),
        replace(HONEST, said=HONEST.said.model_copy(update={"kind": "chunk"})),
    ],
    ids=[
        "exchange",
        "step",
        "of another node",
        "as another node",
        "under another key",
        "kind",
        "altered",
        "renamed",
    ],
)
def test_what_is_not_a_signed_answer_to_the_question_is_wrong_and_named(answer: LinkAnswer) -> None:
    caller, counts = ask(answer.encode())
    assert not counts
    (trouble,) = caller.troubles
    assert (trouble.node, trouble.step, trouble.is_wrong) == ("BE", "tags", True)


@pytest.mark.parametrize(
    ("reply", "code", "wrong"),
    [
        (None, "no-reply", False),
        (Refusal("BE", Reason.UNAVAILABLE).encode(), "unavailable", False),
        (b"nothing of this protocol", "malformed-message", True),
        (Refusal("BG", Reason.UNAVAILABLE).encode(), "wrong-reply", True),
    ],
)
def test_silence_and_a_refusal_are_told_from_lies(reply: bytes | None, code: str, wrong: object) -> None:
    caller, counts = ask(reply)
    assert not counts
    assert [(trouble.code, trouble.is_wrong) for trouble in caller.troubles] == [(code, wrong)]


def test_who_is_in_the_roster_no_more_is_not_asked_and_counts_as_away() -> None:
    federation = Replies({"BE": HONEST.encode()})
    caller = Caller(federation, {"BG": public_hex(OTHER)}, "2026-0001")
    assert caller.ask("tags", {"BE": caller.asking("tags", {"partner": "BG"})}, "tags") == {}
    assert [(trouble.node, trouble.code) for trouble in caller.troubles] == [("BE", "no-reply")]


@pytest.mark.parametrize("count", [2, 3, 7, 8])
def test_every_pair_meets_once_and_nobody_twice_in_a_round(count: int) -> None:
    nodes = tuple(f"{chr(65 + number)}X" for number in range(count))
    rounds = list(tournament(nodes))
    pairs = [pair for each in rounds for pair in each]
    assert len(set(pairs)) == len(pairs) == count * (count - 1) // 2
    assert all(first < second for first, second in pairs)
    assert all(len({node for pair in each for node in pair}) == 2 * len(each) for each in rounds)
