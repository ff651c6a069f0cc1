"""Several tables by least squares: compared with a dense solver, and with simulated noise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safeborders_fed.analyses.consistency import TOLERANCE, Consistency, Kept, margin, subsets
from safeborders_fed.errors import ConfigurationError

SIZES = (3, 2, 4, 1, 2)
TABLES: list[Kept] = [kept for kept in subsets(range(5)) if len(kept) <= 3]
Measured = list[tuple[Kept, float]]


def matrix(kept: Kept) -> np.ndarray:
    """The linear map from the full cross to a table, one unit cross at a time."""
    axes = tuple(range(len(SIZES)))
    units = np.eye(int(np.prod(SIZES)))
    return np.stack([margin(unit.reshape(SIZES), axes, kept).ravel() for unit in units], axis=1)


def shape(kept: Kept) -> list[int]:
    return [SIZES[axis] for axis in kept]


def problem(chosen: list[Kept], seed: int) -> tuple[Measured, list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    measured = [(kept, 0.5 + 2 * rng.random()) for kept in chosen]
    return measured, [rng.normal(10, 3, shape(kept)) for kept in chosen]


choices = st.lists(st.sampled_from(TABLES), unique=True, min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(choices, st.integers(0, 1000))
def test_estimate_and_errors_are_those_of_the_dense_problem(chosen: list[Kept], seed: int) -> None:
    measured, noisy = problem(chosen, seed)
    stacked = np.concatenate([matrix(kept) / deviation for kept, deviation in measured])
    pairs = zip(noisy, measured, strict=True)
    right = np.concatenate([np.ravel(counts) / deviation for counts, (_, deviation) in pairs])
    cross = np.linalg.lstsq(stacked, right, rcond=None)[0]
    found = Consistency(SIZES, measured)
    covariance = np.linalg.pinv(stacked.T @ stacked)
    for (kept, _), table in zip(measured, found.estimate(noisy), strict=True):
        assert table.ravel() == pytest.approx(matrix(kept) @ cross, abs=1e-8)
        for part in subsets(kept):
            spread = np.diag(matrix(part) @ covariance @ matrix(part).T)
            assert found.deviation(part) == pytest.approx(np.sqrt(spread[0]), rel=1e-6)
            assert spread == pytest.approx(spread[0], rel=1e-6)


@settings(max_examples=60, deadline=None)
@given(choices, st.integers(0, 1000), st.floats(-20, 5))
def test_published_tables_are_consistent_and_not_negative(
    chosen: list[Kept], seed: int, shift: float
) -> None:
    measured, noisy = problem(chosen, seed)
    found = Consistency(SIZES, measured)
    tables, disagreement = found.published(found.estimate([counts + shift for counts in noisy]))
    assert disagreement <= TOLERANCE
    assert {part for kept in chosen for part in subsets(kept)} == set(tables)
    for kept, table in tables.items():
        assert table.min() >= 0
        for part in subsets(kept):
            assert margin(table, kept, part) == pytest.approx(tables[part], abs=2 * TOLERANCE)


def test_tables_that_are_consistent_and_not_negative_stay_as_they_are() -> None:
    cross = np.random.default_rng(1).poisson(4, SIZES).astype(float)
    chosen: list[Kept] = [(0, 1), (1, 2), (2, 4), (2,)]
    exact = [margin(cross, (0, 1, 2, 3, 4), kept) for kept in chosen]
    found = Consistency(SIZES, [(kept, 1.0 + len(kept)) for kept in chosen])
    estimate = found.estimate(exact)
    tables, disagreement = found.published(estimate)
    assert disagreement < 1e-9
    for kept, counts, table in zip(chosen, exact, estimate, strict=True):
        assert table == pytest.approx(counts)
        assert tables[kept] == pytest.approx(counts)


def test_a_large_table_that_is_nearly_empty_does_not_lift_the_totals() -> None:
    rng = np.random.default_rng(2)
    sizes = (8, 40, 40)
    large = np.zeros((40, 40))
    large[:5, :5] = rng.poisson(40, (5, 5))
    small = np.zeros((8, 40))
    small[:, :5] = rng.multinomial(1, [1 / 8] * 8, 5).T * large[:5].sum(axis=1)
    measured: Measured = [((0, 1), 6.0), ((1, 2), 6.0), ((0,), 6.0), ((2,), 6.0)]
    exact = [small, large, small.sum(axis=1), large.sum(axis=0)]
    found = Consistency(sizes, measured)
    errors = []
    for _ in range(30):
        noisy = [counts + rng.normal(0, 6.0, counts.shape) for counts in exact]
        tables, _ = found.published(found.estimate(noisy))
        errors.append((float(tables[()]) - large.sum()) / found.deviation(()))
    # A mean of 30 normal errors of deviation 1 exceeds 6.2 / sqrt(30) with a chance below 1e-9.
    assert abs(np.mean(errors)) < 6.2 / np.sqrt(30)


def test_what_no_table_holds_has_no_error() -> None:
    with pytest.raises(ConfigurationError, match="no measured table"):
        Consistency(SIZES, [((0, 1), 1.0)]).deviation((0, 2))
    with pytest.raises(ConfigurationError, match="no table"):
        Consistency(SIZES, [])
