"""Noise: exact discrete Gaussian samples from the operating system's cryptographic source, fast.

Guarantees: every sample has exactly the distribution ``P(x) ~ exp(-x^2 / (2 scale^2))`` over all integers
(Canonne, Kamath, Steinke 2020, arXiv 2004.00010, Definition 1), given uniform bits from ``os.urandom``; the
scale is the exact rational value of the float. Neither numpy's nor torch's generators take part: numpy only
does arithmetic on the random words.

Method: rejection from a stepped envelope. The magnitude's axis is cut into bins of ``2^k`` integers, between
8 and 16 of them to a scale (single integers for scales below 16). A bin is drawn with probability
proportional to the density at its lower end, a magnitude uniformly within it and a sign; it is accepted with
the ratio of the density there to that at the bin's lower end, and "minus zero" is rejected. What is accepted
has the wanted distribution, by construction.

Exactness in finite precision: every comparison of a uniform real with a threshold looks at the real's first
64 bits. Where these leave it open which side the real is on, more bits are drawn and the threshold is
computed to more digits, until it is certain (Knuth and Yao 1976: lazy comparison of binary expansions).

- Bins: thresholds ``floor(2^64 F_b)`` of the distribution function are computed with the standard library's
  ``decimal``, whose operations are correctly rounded, with error bounds carried along. A word equal to a
  threshold is open; so is the last word, which stands for the whole infinite tail.
- Acceptance: float64 gives the ratio with an absolute error below 2^-46 (at most ten roundings of quantities
  below 8, and an ``exp`` good to a few units in the last place). Words within 2^-40 of it are open.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from decimal import Context, Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.errors import ConfigurationError
from safeborders_fed.privacy.accounting import MINIMUM_SCALE

Words = Callable[[int], NDArray[np.uint64]]
"""Gives so many independent uniform 64-bit words."""

LARGEST_SCALE: Final = 2.0**57
"""A sample beyond 2^63 is then 64 standard deviations out: less likely than 1e-880."""
_WORD: Final = 64
_MARGIN: Final = 2.0**-40
_BATCH: Final = 1 << 16


def _system_words(size: int) -> NDArray[np.uint64]:
    return np.frombuffer(os.urandom(8 * size), dtype=np.uint64)


def discrete_gaussian(scale: float, size: int) -> NDArray[np.int64]:
    """``size`` independent samples of the discrete Gaussian with the given scale (grid units).

    Raises:
        ConfigurationError: ``scale-out-of-range``, when the scale is not from two grid units to 2^57.
    """
    if not (math.isfinite(scale) and MINIMUM_SCALE <= scale <= LARGEST_SCALE):
        raise ConfigurationError(
            "scale-out-of-range",
            f"a noise scale of {scale!r} grid units is not between {MINIMUM_SCALE} and 2^57",
            "correct the scale in the manifest",
        )
    return _sampler(scale).sample(size, _system_words)


@lru_cache(maxsize=64)
def _sampler(scale: float) -> Sampler:
    return Sampler(scale)


class Sampler:
    """Samples of one scale. The tables are made once.

    Args:
        scale: Positive and finite; taken as the exact rational value of the float.
    """

    def __init__(self, scale: float) -> None:
        exact = Fraction(scale)
        self._twice_variance = 2 * exact * exact
        self._shift = max(0, math.floor(math.log2(scale)) - 3) if scale >= 16 else 0
        self._inverse = 1.0 / (2.0 * scale * scale)
        self._thresholds = np.array(self._floors(_WORD), dtype=np.uint64)

    def sample(self, size: int, words: Words) -> NDArray[np.int64]:
        """``size`` samples from the given source of words."""
        result = np.empty(size, dtype=np.int64)
        filled = 0
        while filled < size:
            wanted = min(_BATCH, size - filled)
            accepted = self._attempt(wanted + wanted // 8 + 8, words)[: size - filled]
            result[filled : filled + len(accepted)] = accepted
            filled += len(accepted)
        return result

    def _attempt(self, size: int, words: Words) -> NDArray[np.int64]:
        """The accepted ones of ``size`` proposals."""
        bins = self._bins(words(size), words)
        place = words(size)
        negative = (place >> np.uint64(63)).astype(bool)
        offset = (place & np.uint64((1 << self._shift) - 1)).astype(np.int64)
        lower = bins << self._shift
        magnitude = lower + offset
        kept = ~(negative & (magnitude == 0))
        if self._shift:
            kept &= self._accepts(lower, offset, words(size), words)
        accepted: NDArray[np.int64] = np.where(negative, -magnitude, magnitude)[kept]
        return accepted

    def _bins(self, drawn: NDArray[np.uint64], words: Words) -> NDArray[np.int64]:
        bins: NDArray[np.int64] = np.searchsorted(self._thresholds, drawn, side="right").astype(np.int64)
        # A word that equals the threshold below it is open; searchsorted has counted it as above.
        below = self._thresholds[np.maximum(bins - 1, 0)]
        for index in np.flatnonzero((bins > 0) & (below == drawn)):
            bins[index] = self._resolve_bin(int(drawn[index]), words)
        return bins

    def _accepts(
        self, lower: NDArray[np.int64], offset: NDArray[np.int64], drawn: NDArray[np.uint64], words: Words
    ) -> NDArray[np.bool_]:
        # The exponent (m^2 - l^2) / (2 scale^2) with m = l + o, without cancellation.
        step = offset.astype(np.float64)
        exponent = step * (2.0 * lower.astype(np.float64) + step) * self._inverse
        distance = drawn.astype(np.float64) * 2.0**-_WORD - np.exp(-exponent)
        accepted: NDArray[np.bool_] = distance < 0
        for index in np.flatnonzero(np.abs(distance) <= _MARGIN):
            accepted[index] = self._resolve_acceptance(
                int(lower[index]), int(offset[index]), int(drawn[index]), words
            )
        return accepted

    def _resolve_bin(self, drawn: int, words: Words) -> int:
        bits = _WORD
        while True:
            bits += _WORD
            drawn = drawn << _WORD | int(words(1)[0])
            for number, threshold in enumerate(self._floors(bits)):
                if drawn < threshold:
                    return number
                if drawn == threshold:
                    break

    def _resolve_acceptance(self, lower: int, offset: int, drawn: int, words: Words) -> bool:
        exponent = Fraction(offset * (2 * lower + offset)) / self._twice_variance
        bits = _WORD
        while True:
            threshold = _floor_of_exp(exponent, bits)
            if drawn != threshold:
                return drawn < threshold
            bits += _WORD
            drawn = drawn << _WORD | int(words(1)[0])

    def _floors(self, bits: int) -> list[int]:
        """``floor(2^bits F_b)`` for b = 0, 1, ... up to the first that is ``2^bits - 1``."""
        precision = bits + _WORD
        while True:
            found = self._certain_floors(bits, precision)
            if found is not None:
                return found
            precision *= 2

    def _certain_floors(self, bits: int, precision: int) -> list[int] | None:
        """The same, from weights in units of ``2^-precision``; None if one of them stays uncertain."""
        weights: list[int] = []
        while not weights or weights[-1] > 1:
            square = Fraction((len(weights) << self._shift) ** 2)
            weights.append(_scaled_exp(square / self._twice_variance, precision))
        # Each weight is within one unit. Out here each is less than half of the one before (bins are at least
        # a 16th of a scale, and this is more than 13 scales out), so all that follow make less than 3 units.
        total, error = sum(weights), len(weights) + 3
        largest = (1 << bits) - 1
        floors: list[int] = []
        running = 0
        for weight in weights:
            running += weight
            low = ((running - error) << bits) // (total + error)
            high = ((running + error) << bits) // (total - error)
            if low >= largest:  # a distribution function stays below 1
                return [*floors, largest]
            if low != high:
                return None
            floors.append(low)
        return None


def _scaled_exp(exponent: Fraction, precision: int) -> int:
    """``2^precision exp(-exponent)`` to within one unit, for ``exponent`` of 0 or more.

    Division and ``exp`` of ``decimal`` are correctly rounded. With 30 digits more than the result has, and
    exponents below 10^6 (beyond, the result is 0), their errors are far below a unit.
    """
    if exponent > 10**6:
        return 0
    context = Context(prec=precision * 3 // 10 + 40)
    # Through the context's methods only: operators would round to the thread's 28 digits.
    quotient = context.divide(Decimal(-exponent.numerator), Decimal(exponent.denominator))
    return int(context.multiply(context.exp(quotient), Decimal(1 << precision)))


def _floor_of_exp(exponent: Fraction, bits: int) -> int:
    """``floor(2^bits exp(-exponent))``, for ``exponent`` above 0."""
    extra = _WORD
    while True:
        scaled = _scaled_exp(exponent, bits + extra)
        low, high = (scaled - 1) >> extra, (scaled + 1) >> extra
        if low == high:
            return low
        extra *= 2
