"""Handles: names that only their node can read, of what went out to one partner."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from hit_pair import Pair, pair
from safeborders_fed.links.handles import CANARIES, Handles
from safeborders_fed.node.hit_book import Tagging


@pytest.fixture
def found(tmp_path: Path) -> Pair:
    made = pair(tmp_path)
    made.tag()
    return made


def own(found: Pair, node: str = "BE", partner: str = "BG") -> Handles:
    return Handles(found.made[node].office, "2026", partner)


def test_a_node_reads_what_stands_behind_each_handle(found: Pair) -> None:
    office = found.made["BE"].office
    tagging = office.hits.tagging("x1", "BG")
    assert tagging is not None
    kinds: Counter[str] = Counter()
    for handle in found.tags["BE"].values():
        behind = own(found).behind(handle)
        assert behind is not None
        kinds["dummy" if behind.is_dummy else "canary" if behind.canary_of else "token"] += 1
    assert kinds == {"token": 3, "canary": CANARIES, "dummy": tagging.dummies}


def test_handles_of_a_node_are_distinct_and_mean_nothing_elsewhere(found: Pair) -> None:
    both = [*found.tags["BE"].values(), *found.tags["BG"].values()]
    assert len(set(both)) == len(both)
    assert not any(own(found, "BG", "BE").behind(handle) for handle in found.tags["BE"].values())


def test_what_was_never_given_is_nothing(found: Pair) -> None:
    names = own(found)
    assert not any(names.behind(os.urandom(16)) for _ in range(2000))
    assert not any(names.behind(bytes(length)) for length in (0, 15, 17, 32))


def test_what_went_out_to_nobody_yet_is_nothing(found: Pair) -> None:
    office, names = found.made["BE"].office, own(found)
    (token, *_) = office.book.tokens("2026")
    later = Tagging("x2", "BG", "2026", 2, 0, 5)
    rows = names.rows(later, [])
    assert not any(names.behind(row.handle) for row in rows)
    assert names.behind(next(row.handle for row in names.rows(later, [token]) if row not in rows)) is not None
    too_many = Tagging("x1", "BG", "2026", 1, 3, 10_000)
    assert any(names.behind(row.handle) is None for row in names.rows(too_many, []))


def test_both_states_hold_the_same_canaries(found: Pair) -> None:
    for mine, theirs in found.equal():
        one, other = (
            own(found).behind(bytes.fromhex(mine)),
            own(found, "BG", "BE").behind(bytes.fromhex(theirs)),
        )
        assert one is not None
        assert other is not None
        assert (one.token, one.canary_of) == (other.token, other.canary_of)
