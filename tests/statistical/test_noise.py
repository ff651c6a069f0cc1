"""The noise has the distribution it claims. False alarms: at most 1e-9 a test, by exact test statistics."""

import math

import numpy as np
import pytest
from scipy.stats import chi2

from safeborders_fed.errors import ConfigurationError
from safeborders_fed.privacy.noise import discrete_gaussian

FALSE_ALARM = 1e-9


def fits(samples: np.ndarray, scale: float) -> bool:
    """Chi-square test against the discrete Gaussian of that scale, cells of at least 25 expected."""
    reach = int(12 * scale) + 2
    support = np.arange(-reach, reach + 1)
    weights = np.exp(-(support.astype(float) ** 2) / (2 * scale**2))
    expected = weights / weights.sum() * len(samples)
    clipped = np.clip(samples, -reach, reach)
    observed = np.bincount(clipped + reach, minlength=len(support)).astype(float)
    cells: list[list[float]] = [[0.0, 0.0]]
    for seen, wanted in zip(observed, expected, strict=True):
        cells[-1][0] += seen
        cells[-1][1] += wanted
        if cells[-1][1] >= 25:
            cells.append([0.0, 0.0])
    last = cells.pop()
    cells[-1][0] += last[0]
    cells[-1][1] += last[1]
    statistic = sum((seen - wanted) ** 2 / wanted for seen, wanted in cells)
    return bool(chi2.sf(statistic, len(cells) - 1) > FALSE_ALARM)


@pytest.mark.parametrize("scale", [2.0, 3.7, 25.0])
def test_noise_is_the_discrete_gaussian_of_its_scale_and_no_smaller(scale: float) -> None:
    samples = discrete_gaussian(scale, 20_000)
    assert fits(samples, scale)
    assert not fits(samples, scale / 0.7), "noise that is 30% too small would not be noticed"


def test_noise_of_a_large_scale_has_its_variance_and_no_smaller() -> None:
    """The sum of squares over scale^2 is chi-square: at these scales the lattice does not matter."""
    scale, size = 1.2345e7, 4_000
    squares = float(np.sum((discrete_gaussian(scale, size).astype(float) / scale) ** 2))

    def likely(total: float) -> bool:
        return bool(chi2.ppf(FALSE_ALARM / 2, size) < total < chi2.isf(FALSE_ALARM / 2, size))

    assert likely(squares)
    assert not likely(squares * 0.7**2)


def test_samples_are_fresh_and_independent_of_numpys_seed() -> None:
    np.random.seed(1)  # noqa: NPY002 - shows that the global generator plays no part
    first = discrete_gaussian(1000.0, 50)
    np.random.seed(1)  # noqa: NPY002
    second = discrete_gaussian(1000.0, 50)
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("scale", [1.9, 0.0, -5.0, math.nan, math.inf, 2.0**57])
def test_a_scale_out_of_range_is_refused(scale: float) -> None:
    with pytest.raises(ConfigurationError, match="noise scale"):
        discrete_gaussian(scale, 1)
