"""No victim adds more than the bound to a sum, whatever their row holds."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from safeborders_fed.errors import ConfigurationError, DefectError
from safeborders_fed.privacy.bounded_sum import BoundedSum, BoundedSumBuilder, quantise


def build(rows: np.ndarray, bound: int) -> tuple[BoundedSum, int]:
    builder = BoundedSumBuilder(dimension=rows.shape[1], bound=bound, max_victims=1000)
    builder.add_rows(rows)
    return builder.finish(), builder.over_bound


ROWS = hnp.arrays(
    np.int64,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.integers(-(2**63), 2**63 - 1) | st.integers(-30, 30),
)


@given(ROWS, st.integers(1, 2**30))
def test_exactly_the_rows_within_the_bound_are_added(rows: np.ndarray, bound: int) -> None:
    total, over = build(rows, bound)
    kept = [row for row in rows.tolist() if sum(value * value for value in row) <= bound**2]
    expected = [sum(column) for column in zip(*kept, strict=True)] or [0] * rows.shape[1]
    assert total.values.tolist() == expected
    assert over == len(rows) - len(kept)


@given(ROWS, st.integers(1, 2**30), st.integers(0, 5))
def test_leaving_one_victim_out_moves_the_sum_by_at_most_the_bound(
    rows: np.ndarray, bound: int, out: int
) -> None:
    whole, _ = build(rows, bound)
    without, _ = build(np.delete(rows, out % len(rows), axis=0), bound)
    moved = [int(a) - int(b) for a, b in zip(whole.values, without.values, strict=True)]
    assert sum(value * value for value in moved) <= bound**2


def test_a_row_one_unit_too_long_counts_as_zero_and_one_at_the_bound_counts() -> None:
    total, over = build(np.array([[3, 4, 0], [3, 4, 1]]), 5)
    assert total.values.tolist() == [3, 4, 0]
    assert over == 1


def test_squares_that_would_wrap_in_64_bits_do_not_slip_through() -> None:
    """2^32 squared is 0 modulo 2^64: a check of squares alone would let it pass."""
    total, over = build(np.array([[2**32, 0], [-(2**63), 0]]), 2**20)
    assert total.values.tolist() == [0, 0]
    assert over == 2


def test_wide_vectors_at_a_large_bound_use_the_wide_check() -> None:
    row = np.full((1, 16), 2**30 // 4, dtype=np.int64)
    total, over = build(np.concatenate([row, row + 1]), 2**30)
    assert over == 1
    assert total.values.tolist() == row[0].tolist()


@given(
    hnp.arrays(np.int64, st.tuples(st.integers(1, 8), st.just(3)), elements=st.integers(-2, 9)),
    st.lists(st.integers(-5, 5), min_size=3, max_size=3),
    st.integers(5, 12),
)
def test_cells_are_the_same_as_the_dense_rows_they_stand_for(
    cells: np.ndarray, amounts: list[int], bound: int
) -> None:
    builder = BoundedSumBuilder(dimension=9, bound=bound, max_victims=100)
    builder.add_cells(cells, np.array(amounts, dtype=np.int64))
    expected = np.zeros(9, dtype=np.int64)
    for row in cells.tolist():
        used = [cell for cell in row if cell != -1]
        bad = any(not 0 <= cell < 9 for cell in used) or len(set(used)) != len(used)
        norm = math.sqrt(sum(a * a for a, cell in zip(amounts, row, strict=True) if cell >= 0))
        if bad or norm > bound:
            continue
        for amount, cell in zip(amounts, row, strict=True):
            if cell >= 0:
                expected[cell] += amount
    assert builder.finish().values.tolist() == expected.tolist()


def test_two_amounts_of_one_victim_at_one_cell_are_refused() -> None:
    """Each alone is within the bound, both together at one cell are not."""
    builder = BoundedSumBuilder(dimension=4, bound=5, max_victims=10)
    builder.add_cells(np.array([[2, 2], [1, 2]]), np.array([3, 4]))
    assert builder.finish().values.tolist() == [0, 3, 4, 0]
    assert builder.over_bound == 1


@given(
    hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=5),
        elements=st.floats(allow_nan=True, allow_infinity=True),
    )
)
def test_quantising_truncates_and_turns_bad_rows_to_zero(rows: np.ndarray) -> None:
    found = quantise(rows.copy())
    for row, integers in zip(rows, found, strict=True):
        if all(math.isfinite(value) and abs(value) < 2**31 for value in row):
            assert integers.tolist() == [math.trunc(value) for value in row]
        else:
            assert not integers.any()


def test_only_the_builder_makes_a_bounded_sum() -> None:
    with pytest.raises(DefectError, match="without its checks"):
        BoundedSum(object(), np.zeros(3, dtype=np.int64), 1)


def test_a_finished_sum_cannot_be_changed() -> None:
    total, _ = build(np.array([[1, 2]]), 5)
    with pytest.raises(ValueError, match="read-only"):
        total.values[0] = 7


@pytest.mark.parametrize(
    ("dimension", "bound", "victims"), [(0, 5, 5), (3, 0, 5), (3, 2**31, 5), (3, 2**30, 2**32), (3, 5, 0)]
)
def test_sums_that_could_wrap_are_refused_beforehand(dimension: int, bound: int, victims: int) -> None:
    with pytest.raises(ConfigurationError, match="62 bits"):
        BoundedSumBuilder(dimension=dimension, bound=bound, max_victims=victims)


def test_more_victims_than_the_public_cap_are_a_defect() -> None:
    builder = BoundedSumBuilder(dimension=2, bound=5, max_victims=3)
    with pytest.raises(DefectError, match="public cap"):
        builder.add_rows(np.zeros((4, 2), dtype=np.int64))


@pytest.mark.parametrize("rows", [np.zeros((2, 3)), np.zeros((2, 2), dtype=np.int64), np.zeros(3, np.int64)])
def test_rows_of_another_shape_or_type_are_a_defect(rows: np.ndarray) -> None:
    builder = BoundedSumBuilder(dimension=3, bound=5, max_victims=3)
    with pytest.raises(DefectError, match="do not fit"):
        builder.add_rows(rows)


def test_its_text_does_not_show_the_values() -> None:
    total, _ = build(np.array([[123456, 7]]), 2**20)
    assert "123456" not in repr(total)
