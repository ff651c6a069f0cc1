"""Least squares over margins: compared with a dense solver, and with simulated noise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from safeborders_fed.analyses.tables import Kept, LeastSquares, Measurement
from safeborders_fed.errors import ConfigurationError

SIZES = (3, 4, 2)
MARGINS: list[Kept] = [(0, 1), (0, 2), (1, 2), (0,), (1,), (2,), ()]


def margin(table: np.ndarray, kept: Kept) -> np.ndarray:
    return table.sum(axis=tuple(axis for axis in range(table.ndim) if axis not in kept))


def matrix(kept: Kept) -> np.ndarray:
    """The linear map from the full table to a margin, one unit table at a time."""
    cells = int(np.prod(SIZES))
    columns = [margin(unit.reshape(SIZES), kept).ravel() for unit in np.eye(cells)]
    return np.stack(columns, axis=1)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(MARGINS), unique=True, max_size=5), st.integers(0, 1000))
def test_estimate_and_errors_are_those_of_the_dense_problem(margins: list[Kept], seed: int) -> None:
    rng = np.random.default_rng(seed)
    measured: list[tuple[Kept, float]] = [((0, 1, 2), 1.7), *((kept, 0.5 + rng.random()) for kept in margins)]
    noisy = [
        Measurement(kept, rng.normal(10, 3, [SIZES[axis] for axis in kept]), deviation)
        for kept, deviation in measured
    ]
    stacked = np.concatenate([matrix(entry.kept) / entry.deviation for entry in noisy])
    right = np.concatenate([np.ravel(entry.counts) / entry.deviation for entry in noisy])
    expected = np.linalg.lstsq(stacked, right, rcond=None)[0]
    problem = LeastSquares(SIZES, measured)
    found = problem.estimate(noisy)
    assert found.ravel() == pytest.approx(expected, abs=1e-9)
    covariance = np.linalg.inv(stacked.T @ stacked)
    for kept in [(0, 1, 2), *MARGINS]:
        spread = matrix(kept) @ covariance @ matrix(kept).T
        assert problem.deviation(kept) == pytest.approx(np.sqrt(spread[0, 0]), rel=1e-9)
    constrained = nnls(stacked, right - stacked @ np.full(24, 9.0))[0]
    shifted = problem.non_negative(found - 9.0, tolerance=1e-6)
    assert shifted.ravel() == pytest.approx(constrained, abs=1e-3)


def test_without_the_full_table_there_is_no_estimate() -> None:
    with pytest.raises(ConfigurationError, match="full table"):
        LeastSquares(SIZES, [((0, 1), 1.0)])


def test_non_negative_leaves_a_table_alone_that_is_so_already() -> None:
    problem = LeastSquares(SIZES, [((0, 1, 2), 1.0), ((0,), 1.0)])
    table = np.arange(24.0).reshape(SIZES)
    assert problem.non_negative(table) == pytest.approx(table)
