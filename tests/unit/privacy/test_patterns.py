"""Packed ones multiply as the ones themselves do, to the last bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.sparse import csr_array

from safeborders_fed.privacy import products
from safeborders_fed.privacy.bounded_sum import BoundedSumBuilder
from safeborders_fed.privacy.patterns import Patterns
from safeborders_fed.privacy.products import Indicators, Scaled

ONES = hnp.arrays(np.int64, st.tuples(st.integers(1, 40), st.integers(1, 25)), elements=st.integers(0, 1))


@settings(deadline=None)
@given(ONES, st.integers(0, 2**32 - 1))
def test_packed_products_are_those_of_the_ones(ones: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    packed = Patterns(csr_array(ones))
    table, base = rng.integers(-(2**40), 2**40, (ones.shape[1], 3)), rng.integers(-(2**40), 2**40, 3)
    assert (packed.apply(table.astype(float), base.astype(float)) == ones @ table + base).all()
    assert (packed.apply(table[:, 0].astype(float), 5.0) == ones @ table[:, 0] + 5).all()
    right = rng.integers(-(2**30), 2**30, (ones.shape[0], 3))
    found = packed.combine(right.astype(float))
    assert (found[:-1] == ones.T @ right).all()
    assert (found[-1] == right.sum(axis=0)).all()


def one_hot(count: int, widths: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.concatenate(
        [np.eye(width, dtype=np.int64)[rng.integers(0, width, count)] for width in widths], 1
    )


def test_packing_pays() -> None:
    """One-hot fields of eight values: two of them show 64 patterns, so half the additions remain."""
    ones = csr_array(one_hot(4000, (8,) * 12))
    packed = Patterns(ones)
    assert packed._which.nnz + packed._what.nnz < 0.6 * ones.nnz


@pytest.mark.parametrize("count", [0, 1, 16, 17, 100])
def test_parts_are_all_rows_in_order(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_CHUNK", 16)
    ones = one_hot(count, (3, 4))
    whole = Indicators(ones)
    assert whole.parts is whole.parts
    assert sum(part.shape[0] for part in whole.parts) == count
    assert max((part.shape[0] for part in whole.parts), default=0) <= 16
    found = [part.matrix.toarray() for part in whole.parts]
    assert (np.concatenate([*found, np.zeros((0, 7), np.int64)]) == ones).all()


def test_scaled_parts_add_up_to_the_whole() -> None:
    rng = np.random.default_rng(2)
    ones = one_hot(500, (3, 4, 5))
    on, off = rng.integers(-(2**20), 2**20, 12), rng.integers(-(2**20), 2**20, 12)
    right = rng.integers(-(2**30), 2**30, (500, 4))
    whole, part = Scaled(Indicators(ones), on, off, constant=7), Indicators(ones).parts[0]
    packed = Scaled(part, on, off, constant=7)
    dense = np.column_stack([np.where(ones, on, off), np.full(500, 7)])
    expected = dense.astype(object).T @ right.astype(object)
    for factor in (whole, packed):
        assert (factor.squares() == (dense**2).sum(axis=1)).all()
        assert (factor.combine(right) == expected).all()
        assert (factor.combine(right.astype(float)) == expected).all()


def test_a_right_factor_in_floats_counts_as_what_it_truncates_to() -> None:
    rng = np.random.default_rng(3)
    ones, right = Indicators(one_hot(50, (4,))), rng.normal(0, 900, (50, 2))
    right[7] = [np.nan, 1.0]
    right[8] = [np.inf, 1.0]
    right[9] = [1e300, 1.0]
    kept = np.where(np.abs(np.nan_to_num(right, posinf=1e300)) < 1e6, right, 0.0)
    kept[7:10] = 0.0
    sums = []
    for given_right in (right.copy(), np.trunc(kept).astype(np.int64)):
        builder = BoundedSumBuilder(dimension=8, bound=2**20, max_victims=50)
        builder.add_products([(ones, given_right)])
        sums.append((builder.finish().values.tolist(), builder.over_bound))
    assert sums[0][0] == sums[1][0]
    assert (sums[0][1], sums[1][1]) == (3, 0)
