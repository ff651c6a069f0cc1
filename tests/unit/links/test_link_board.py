"""The board: equality within one pair, nothing counted twice, nothing lost."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from safeborders_fed.errors import ConfigurationError, PeerError
from safeborders_fed.links.board import Board, Count, Hit, Tags, check_tags
from safeborders_fed.study.link_messages import Said, Words, array_hash, say, to_words

KEY = Ed25519PrivateKey.generate()


def rows(*numbers: int) -> Words:
    return to_words([number.to_bytes(16, "big") for number in numbers], 16)


def said(node: str) -> Said:
    return say(node, KEY, "tags", {})


def content(tags: Words, handles: Words, **changes: object) -> dict[str, object]:
    facts = {"epoch": "2026", "partner": "BG", "count": len(tags)}
    return {**facts, "tags": array_hash(tags), "handles": array_hash(handles), **changes}


def put(board: Board, node: str, partner: str, tags: dict[int, int], number: int = 1) -> None:
    new = Tags(rows(*tags), rows(*tags.values()))
    board.take(f"2026-{number:04}", partner, said(node), new)


def test_equal_tags_of_a_pair_are_found_by_their_handles(tmp_path: Path) -> None:
    board = Board(tmp_path)
    put(board, "BE", "BG", {1: 11, 2: 12, 3: 13})
    put(board, "BG", "BE", {3: 23, 4: 24, 1: 21})
    hits = board.open_hits("BE", "BG")
    assert [(int.from_bytes(a, "big"), int.from_bytes(b, "big")) for a, b in hits] == [(11, 21), (13, 23)]


def test_tags_of_two_pairs_are_never_compared(tmp_path: Path) -> None:
    board = Board(tmp_path)
    put(board, "BE", "BG", {1: 11})
    put(board, "GR", "BG", {1: 31})
    put(board, "BG", "GR", {2: 22})
    for pair in (("BE", "BG"), ("BG", "GR"), ("BE", "GR")):
        assert board.open_hits(*pair) == []


def test_what_both_have_verified_is_not_told_again_but_later_ones_are(tmp_path: Path) -> None:
    board = Board(tmp_path)
    put(board, "BE", "BG", {1: 11})
    put(board, "BG", "BE", {1: 21, 2: 22})
    first = board.open_hits("BE", "BG")
    board.settle("BE", "BG", first)
    assert board.open_hits("BE", "BG") == []
    put(board, "BE", "BG", {2: 12}, number=2)
    assert board.open_hits("BE", "BG") == [Hit((12).to_bytes(16, "big"), (22).to_bytes(16, "big"))]
    assert board.counts() == {"BE-BG": Count(2, 2, 1)}


@pytest.mark.parametrize(
    ("tags", "handles"),
    [((5, 5), (1, 2)), ((5, 6), (1, 1)), ((1, 6), (3, 4)), ((5, 6), (11, 3))],
    ids=["a tag twice", "a handle twice", "a tag of before", "a handle of before"],
)
def test_a_message_that_repeats_a_tag_or_handle_is_refused_whole(
    tmp_path: Path, tags: tuple[int, ...], handles: tuple[int, ...]
) -> None:
    board = Board(tmp_path)
    put(board, "BE", "BG", {1: 11})
    with pytest.raises(PeerError) as caught:
        board.take("2026-0002", "BG", said("BE"), Tags(rows(*tags), rows(*handles)))
    assert caught.value.code == "repeated-tags"
    assert "BE" in caught.value.cause
    assert board.counts()["BE-BG"].first == 1
    assert not board.has("2026-0002", "BE", "BG")


def test_one_tag_may_stand_for_two_partners(tmp_path: Path) -> None:
    board = Board(tmp_path)
    put(board, "BE", "BG", {1: 11})
    put(board, "BE", "GR", {1: 11})
    assert board.has("2026-0001", "BE", "GR")


def test_tags_whose_answer_was_lost_are_owed_until_they_come(tmp_path: Path) -> None:
    board = Board(tmp_path)
    board.asked("2026-0001", "BE", "BG")
    board.asked("2026-0002", "BE", "BG")
    assert board.owed("BE", "BG") == ("2026-0001", "2026-0002")
    put(board, "BE", "BG", {1: 11}, number=2)
    assert (board.owed("BE", "BG"), board.owed("BG", "BE")) == (("2026-0001",), ())
    board.asked("2026-0002", "BE", "BG")  # killed after the tags were kept, before the note was removed
    assert board.owed("BE", "BG") == ("2026-0001",)


@pytest.mark.parametrize(
    "changes",
    [
        {"partner": "GR"},
        {"epoch": "2025"},
        {"count": 3},
        {"count": True},
        {"tags": "0" * 64},
        {"handles": "0" * 64},
    ],
    ids=str,
)
def test_tags_that_differ_from_what_is_signed_are_refused(changes: dict[str, object]) -> None:
    tags, handles = rows(1), rows(2)
    arrays = {"tags": tags, "handles": handles}
    signed = content(tags, handles)
    found = check_tags("BE", signed, arrays, partner="BG", epoch="2026")
    assert len(found.tags) == 1
    with pytest.raises(PeerError, match="BE"):
        check_tags("BE", {**signed, **changes}, arrays, partner="BG", epoch="2026")


def test_tags_of_another_width_are_refused() -> None:
    tags = np.zeros((1, 4), dtype=np.uint64)
    signed = content(tags, tags)
    with pytest.raises(PeerError, match="BE"):
        check_tags("BE", signed, {"tags": tags, "handles": tags}, partner="BG", epoch="2026")


def test_a_damaged_board_is_said_to_be_damaged(tmp_path: Path) -> None:
    board = Board(tmp_path)
    put(board, "BE", "BG", {1: 11})
    next(tmp_path.rglob("*.npz")).write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(ConfigurationError) as caught:
        board.open_hits("BE", "BG")
    assert caught.value.code == "board-damaged"


def test_nothing_is_left_of_a_forgotten_board(tmp_path: Path) -> None:
    board = Board(tmp_path / "board")
    put(board, "BE", "BG", {1: 11})
    board.forget()
    assert list(tmp_path.iterdir()) == []
    board.forget()


def test_four_hundred_thousand_tags_a_side_are_compared_in_seconds(tmp_path: Path) -> None:
    board, rng = Board(tmp_path), np.random.default_rng(3)
    count, shared = 400_000, 1_000
    tags = rng.integers(0, 2**63, (2 * count - shared, 2), dtype=np.uint64)
    handles = rng.integers(0, 2**63, (2, count, 2), dtype=np.uint64)
    began = time.process_time()
    board.take("2026-0001", "BG", said("BE"), Tags(tags[:count], handles[0]))
    board.take("2026-0001", "BE", said("BG"), Tags(tags[count - shared :], handles[1]))
    assert len(board.open_hits("BE", "BG")) == shared
    assert time.process_time() - began < 5
