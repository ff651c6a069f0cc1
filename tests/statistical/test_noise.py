"""The noise has the distribution it claims. False alarms: at most 1e-9 a test (chi-square statistics)."""

import math
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import opendp.prelude as dp
import pytest
from scipy.stats import chi2, chi2_contingency

from safeborders_fed.errors import ConfigurationError
from safeborders_fed.privacy.noise import Sampler, _floor_of_exp, _scaled_exp, discrete_gaussian

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


@pytest.mark.parametrize("scale", [2.0, 3.7, 15.999, 16.0, 25.0, 700.3])
def test_noise_is_the_discrete_gaussian_of_its_scale_and_no_smaller(scale: float) -> None:
    samples = discrete_gaussian(scale, 200_000)
    assert fits(samples, scale)
    assert not fits(samples, scale / 0.7), "noise that is 30% too small would not be noticed"


def test_noise_of_a_large_scale_has_its_variance_and_no_smaller() -> None:
    """The sum of squares over scale^2 is chi-square: at these scales the lattice does not matter."""
    scale, size = 1.2345e7, 100_000
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


@pytest.mark.parametrize("scale", [1.9, 0.0, -5.0, math.nan, math.inf, 2.0**57 * 1.01])
def test_a_scale_out_of_range_is_refused(scale: float) -> None:
    with pytest.raises(ConfigurationError, match="noise scale"):
        discrete_gaussian(scale, 1)


def test_it_agrees_with_opendps_exact_sampler() -> None:
    """Two samples of one distribution: chi-square of homogeneity over cells of two grid units."""
    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64")
    theirs = np.array(dp.m.make_gaussian(*space, scale=5.5)([0] * 40_000))
    ours = discrete_gaussian(5.5, 40_000)
    edges = np.arange(-17, 19, 2)
    counts = np.stack([np.histogram(np.clip(sample, -17, 17), edges)[0] for sample in (ours, theirs)])
    assert chi2_contingency(counts).pvalue > FALSE_ALARM
    wider = np.histogram(np.clip(discrete_gaussian(5.5 / 0.7, 40_000), -17, 17), edges)[0]
    assert chi2_contingency(np.stack([wider, counts[1]])).pvalue < FALSE_ALARM


def test_the_tail_beyond_five_scales_is_there() -> None:
    """P(|x| > 5 scale) = 5.7e-7: among 40 million samples about 23, never none (probability 1e-10)."""
    beyond = sum(int((np.abs(discrete_gaussian(64.0, 2_000_000)) > 320).sum()) for _ in range(20))
    assert 1 <= beyond <= 70


class Bits:
    """A source of words that a test has written."""

    def __init__(self, words: list[int]) -> None:
        self._words: Iterator[int] = iter(words)

    def __call__(self, size: int) -> np.ndarray:
        return np.array([next(self._words) for _ in range(size)], dtype=np.uint64)


ALL = 2**64 - 1


@pytest.mark.parametrize("scale", [2.0, 9.25, 100.0, 1e12])
@pytest.mark.parametrize("number", [0, 1, 5, -2])
def test_a_word_on_a_threshold_is_decided_by_further_bits(scale: float, number: int) -> None:
    """The threshold lies between its floor and the next word: low further bits are below it."""
    sampler = Sampler(scale)
    number %= len(sampler._thresholds)
    word = int(sampler._thresholds[number])
    assert sampler._bins(np.array([word], dtype=np.uint64), Bits([0])).tolist() == [number]
    assert sampler._bins(np.array([word], dtype=np.uint64), Bits([ALL])).tolist()[0] > number
    (refined,) = [sampler._floors(128)[number] & ALL]
    assert sampler._bins(np.array([word], dtype=np.uint64), Bits([refined, 0])).tolist() == [number]
    assert sampler._bins(np.array([word], dtype=np.uint64), Bits([refined - 1])).tolist() == [number]
    assert sampler._bins(np.array([word], dtype=np.uint64), Bits([refined + 1])).tolist()[0] > number


def test_the_last_word_stands_for_the_whole_tail() -> None:
    sampler = Sampler(3.0)
    last = len(sampler._thresholds) - 1
    (found,) = sampler._bins(np.array([ALL], dtype=np.uint64), Bits([ALL, ALL, 0]))
    assert found > last + 3


def test_thresholds_are_those_of_the_distribution() -> None:
    sampler = Sampler(7.0)
    weights = np.exp(-(np.arange(400.0) ** 2) / 98)
    expected = np.cumsum(weights) / weights.sum()
    found = np.array(sampler._thresholds, dtype=float) / 2.0**64
    assert found == pytest.approx(expected[: len(found)], abs=1e-12)
    assert sampler._floors(128)[5] >> 64 == sampler._floors(64)[5]


def test_an_acceptance_too_close_to_call_is_decided_exactly() -> None:
    sampler = Sampler(1000.0)
    lower, offset = 64 * 5, 17
    exponent = Fraction(offset * (2 * lower + offset), 2 * 1000**2)
    threshold = _floor_of_exp(exponent, 64)
    arguments = np.array([lower]), np.array([offset])

    def accepts(word: int, *further: int) -> bool:
        words = np.array([word], dtype=np.uint64)
        return bool(sampler._accepts(*arguments, words, Bits(list(further)))[0])

    assert accepts(threshold - 1)
    assert not accepts(threshold + 1)
    assert accepts(threshold, 0)
    assert not accepts(threshold, ALL)
    assert threshold / 2.0**64 == pytest.approx(math.exp(-float(exponent)), rel=1e-12)


@pytest.mark.parametrize("exponent", [Fraction(0), Fraction(1, 3), Fraction(71, 10), Fraction(40)])
def test_scaled_exponentials_are_within_a_unit(exponent: Fraction) -> None:
    """Compared with the power series in exact fractions."""
    series, term = Fraction(1), Fraction(1)
    for power in range(1, 300):
        term = term * exponent / power
        series += term
    assert abs(_scaled_exp(exponent, 100) - 2**100 / series) <= 1


def test_a_hopeless_exponent_gives_zero() -> None:
    assert _scaled_exp(Fraction(10**6 + 1), 1000) == 0
