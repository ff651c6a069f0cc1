"""Rows that are products are added exactly, and only within the bound."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safeborders_fed.errors import DefectError
from safeborders_fed.privacy.bounded_sum import BoundedSum, BoundedSumBuilder
from safeborders_fed.privacy.products import LARGEST_ENTRY, Dense, Factor, Indicators, Scaled

BOUND = 2**12
LARGE = st.integers(-(2**63), 2**63 - 1)
SMALL = st.integers(-60, 60)


@st.composite
def blocks_of(draw: st.DrawFn) -> list[tuple[Factor, np.ndarray, np.ndarray]]:
    """Blocks with their left rows written out."""
    victims = draw(st.integers(1, 5))
    blocks: list[tuple[Factor, np.ndarray, np.ndarray]] = []
    for kind in draw(st.lists(st.sampled_from(["ones", "scaled", "dense"]), min_size=1, max_size=3)):
        columns, across = draw(st.integers(1, 4)), draw(st.integers(1, 3))
        right = np.array(
            [draw(st.lists(SMALL | LARGE, min_size=across, max_size=across)) for _ in range(victims)],
            dtype=np.int64,
        )
        ones = np.array(
            [draw(st.lists(st.integers(0, 1), min_size=columns, max_size=columns)) for _ in range(victims)]
        )
        left: Factor = Indicators(ones)
        written = ones
        if kind == "scaled":
            on, off = (
                np.array(draw(st.lists(SMALL, min_size=columns, max_size=columns)), dtype=np.int64)
                for _ in range(2)
            )
            constant = draw(SMALL)
            left = Scaled(Indicators(ones), on, off, constant=constant)
            written = np.column_stack([np.where(ones == 1, on, off), np.full(victims, constant)])
        if kind == "dense":
            written = np.array(
                [draw(st.lists(SMALL | LARGE, min_size=columns, max_size=columns)) for _ in range(victims)],
                dtype=np.int64,
            )
            left = Dense(written)
        blocks.append((left, right, written))
    return blocks


def added(blocks: list[tuple[Factor, np.ndarray, np.ndarray]]) -> tuple[BoundedSum, int]:
    dimension = sum(written.shape[1] * right.shape[1] for _, right, written in blocks)
    builder = BoundedSumBuilder(dimension=dimension, bound=BOUND, max_victims=1000)
    builder.add_products([(left, right) for left, right, _ in blocks])
    return builder.finish(), builder.over_bound


def written_out(blocks: list[tuple[Factor, np.ndarray, np.ndarray]]) -> list[list[int]]:
    """Each victim's whole row in Python's integers."""
    victims = len(blocks[0][1])
    return [
        [
            int(one) * int(other)
            for _, right, written in blocks
            for one in written[victim]
            for other in right[victim]
        ]
        for victim in range(victims)
    ]


def is_dense_too_large(blocks: list[tuple[Factor, np.ndarray, np.ndarray]], victim: int) -> bool:
    return any(
        isinstance(left, Dense) and max(abs(int(value)) for value in written[victim]) > LARGEST_ENTRY
        for left, _, written in blocks
    )


@given(blocks_of())
def test_no_row_beyond_the_bound_is_added_and_the_rest_is_exact(
    blocks: list[tuple[Factor, np.ndarray, np.ndarray]],
) -> None:
    total, _ = added(blocks)
    rows = written_out(blocks)
    surely, never = [], []
    for victim, row in enumerate(rows):
        sides = [
            (sum(int(v) ** 2 for v in written[victim]), sum(int(v) ** 2 for v in right[victim]))
            for _, right, written in blocks
        ]
        plain = all(along <= BOUND**2 and across <= BOUND**2 for along, across in sides)
        if sum(value * value for value in row) > BOUND**2 or is_dense_too_large(blocks, victim):
            never.append(victim)
        elif plain:
            surely.append(victim)
    undecided = [v for v in range(len(rows)) if v not in {*surely, *never}]
    # A row that is zero although one of its sides is huge may count or not: it adds nothing either way.
    assert all(value == 0 or abs(value) <= BOUND for v in undecided for value in rows[v])
    expected = [sum(column) for column in zip(*(rows[v] for v in surely), strict=True)] if surely else None
    if not undecided:
        assert total.values.tolist() == (expected or [0] * total.values.size)


@given(blocks_of(), st.integers(0, 4))
def test_leaving_one_victim_out_moves_the_sum_by_at_most_the_bound(
    blocks: list[tuple[Factor, np.ndarray, np.ndarray]], out: int
) -> None:
    whole, _ = added(blocks)
    keep = np.arange(len(blocks[0][1])) != out % len(blocks[0][1])
    fewer = [(rebuilt(left, written, keep), right[keep], written[keep]) for left, right, written in blocks]
    without, _ = added(fewer)
    moved = [int(a) - int(b) for a, b in zip(whole.values, without.values, strict=True)]
    assert sum(value * value for value in moved) <= BOUND**2


def rebuilt(left: Factor, written: np.ndarray, keep: np.ndarray) -> Factor:
    if isinstance(left, Dense):
        return Dense(written[keep])
    if isinstance(left, Scaled):
        ones = left._indicators.matrix.toarray()[keep]
        return Scaled(Indicators(ones), left._step + left._off, left._off, constant=left._constant)
    assert isinstance(left, Indicators)
    return Indicators(written[keep])


def test_a_product_one_unit_too_long_counts_as_zero() -> None:
    builder = BoundedSumBuilder(dimension=2, bound=5, max_victims=3)
    ones = Indicators(np.array([[1, 0], [1, 1], [1, 1]]))
    builder.add_products([(ones, np.array([[5], [3], [4]]))])
    assert builder.finish().values.tolist() == [8, 3]
    assert builder.over_bound == 1


def test_what_is_no_indicator_is_refused() -> None:
    with pytest.raises(DefectError, match="another value"):
        Indicators(np.array([[0, 2]]))


def test_scaled_entries_that_could_wrap_are_refused() -> None:
    with pytest.raises(DefectError, match="exceed"):
        Scaled(Indicators(np.array([[1]])), np.array([LARGEST_ENTRY + 1]), np.array([0]), constant=0)


def test_products_that_do_not_fit_the_dimension_are_refused() -> None:
    builder = BoundedSumBuilder(dimension=3, bound=5, max_victims=3)
    with pytest.raises(DefectError, match="do not fit"):
        builder.add_products([(Indicators(np.array([[1, 0]])), np.array([[1]]))])
