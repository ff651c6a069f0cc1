from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from safeborders_fed.errors import DefectError
from safeborders_fed.links import merkle
from safeborders_fed.links.merkle import Leaf, Opening, opening, root


def leaves(count: int) -> list[Leaf]:
    return [Leaf.salted(f"phone:+3200000{number:04}", f"BE-{number}") for number in range(count)]


def changed(found: Opening, **changes: object) -> Opening:
    return Opening.model_validate(found.model_dump() | changes)


@settings(max_examples=40, deadline=None)
@given(count=st.integers(1, 70), data=st.data())
def test_each_leaf_opens_at_its_place_and_nowhere_else(count: int, data: st.DataObject) -> None:
    batch = leaves(count)
    top = root(batch)
    index = data.draw(st.integers(0, count - 1))
    found = opening(batch, index)

    assert found.check(top)
    assert Opening.model_validate_json(found.model_dump_json()).check(top)
    for other in range(count + 1):
        assert changed(found, index=other).check(top) == (other == index)


def by_recursion(hashes: list[bytes]) -> bytes:
    """The tree as RFC 9162 defines it, with its prefixes."""
    if len(hashes) == 1:
        return hashes[0]
    half = 1
    while 2 * half < len(hashes):
        half *= 2
    return hashlib.sha256(b"\x01" + by_recursion(hashes[:half]) + by_recursion(hashes[half:])).digest()


@pytest.mark.parametrize("count", range(1, 20))
def test_the_tree_has_the_shape_of_the_rfc(count: int) -> None:
    hashes = [leaf.hash() for leaf in leaves(count)]

    assert merkle._subtree(hashes) == by_recursion(hashes)


@pytest.mark.parametrize("field", ["identifier", "case", "salt"])
def test_a_leaf_that_was_not_approved_does_not_open(field: str) -> None:
    batch = leaves(5)
    found = opening(batch, 3)
    other = found.leaf.model_copy(update={field: "0" * 64})

    assert not changed(found, leaf=other.model_dump()).check(root(batch))


def test_another_order_or_number_of_leaves_has_another_root() -> None:
    batch = leaves(5)
    roots = {root(batch), root(batch[::-1]), root(batch[:4]), root([*batch, batch[4]]), root([batch[0]])}

    assert len(roots) == 5


def test_where_identifier_ends_and_case_begins_is_fixed() -> None:
    salt = "00" * 32
    one, other = Leaf(salt=salt, identifier="ab", case="c"), Leaf(salt=salt, identifier="a", case="bc")

    assert one.hash() != other.hash()


def test_a_subtree_does_not_pass_for_the_whole() -> None:
    batch = leaves(4)
    whole = opening(batch, 0)

    assert not changed(whole, path=whole.path[:1], count=2).check(root(batch))
    assert not changed(whole, path=whole.path[:1]).check(root(batch))
    assert not changed(whole, count=3).check(root(batch))
    assert not changed(whole, path=[*whole.path, "00" * 32]).check(root(batch))
    assert not changed(opening(batch[:2], 0), count=4).check(root(batch))


def test_an_inner_node_does_not_pass_for_a_leaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second preimage: without prefixes, whoever words a leaf like an inner node opens it."""

    def attack() -> bool:
        batch = leaves(4)
        left = batch[0].hash() + batch[1].hash()
        right = merkle._inner(batch[2].hash(), batch[3].hash())

        class Crafted(Leaf):
            def hash(self) -> bytes:
                return hashlib.sha256(merkle._LEAF + left).digest()

        crafted = Crafted(salt="00" * 32, identifier="phone:+1", case="none")
        forged = Opening.model_construct(leaf=crafted, index=0, count=2, path=[right.hex()])
        top = merkle._top(
            merkle._subtree([leaf.hash() for leaf in batch]), 2
        )  # as if the count were not bound
        return forged.check(top)

    assert not attack()
    monkeypatch.setattr(merkle, "_LEAF", b"")
    monkeypatch.setattr(merkle, "_INNER", b"")
    assert attack(), "this attack works where leaves and nodes are hashed alike"


def test_equal_rows_look_different_and_a_root_cannot_be_guessed() -> None:
    one, other = Leaf.salted("phone:+32", "BE-1"), Leaf.salted("phone:+32", "BE-1")

    assert one.hash() != other.hash()
    assert root([one]) != root([other])
    assert len(bytes.fromhex(one.salt)) == merkle.SALT_BYTES == 32


def test_openings_are_strict() -> None:
    good = opening(leaves(3), 1).model_dump()
    for bad in (
        {"index": -1},
        {"count": 0},
        {"count": 2**33},
        {"path": ["00"]},
        {"path": ["00" * 32] * 33},
        {"leaf": {"salt": "00", "identifier": "a", "case": "b"}},
        {"more": 1},
    ):
        with pytest.raises(ValidationError):
            Opening.model_validate(good | bad)


def test_there_is_no_root_of_nothing_and_no_opening_of_no_leaf() -> None:
    attempts: tuple[Callable[[], object], ...] = (
        lambda: root([]),
        lambda: opening([], 0),
        lambda: opening(leaves(2), 2),
        lambda: opening(leaves(2), -1),
    )
    for attempt in attempts:
        with pytest.raises(DefectError, match="empty-batch"):
            attempt()
