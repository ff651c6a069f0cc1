"""Noise: exact discrete Gaussian samples from a cryptographic source.

Guarantees: every sample has exactly the distribution ``P(x) ~ exp(-x^2 / (2 scale^2))`` over all integers
(Canonne, Kamath, Steinke 2020, arXiv 2004.00010, Algorithm 3, as OpenDP implements it in exact rational
arithmetic over the operating system's random bytes). No floating-point sampling, and neither numpy's nor
torch's generators, take part. Samples are int64: at the scales that manifests admit (20 sigma below 2^62) an
overflow is less likely than 1e-80, and OpenDP saturates there.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.errors import ConfigurationError
from safeborders_fed.privacy.accounting import MINIMUM_SCALE


@lru_cache(maxsize=32)
def _measurement(scale: float) -> Any:
    import opendp.prelude as dp  # noqa: PLC0415 - loads a native library: only where noise is drawn

    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64")
    return dp.m.make_gaussian(*space, scale=scale)


def discrete_gaussian(scale: float, size: int) -> NDArray[np.int64]:
    """``size`` independent samples of the discrete Gaussian with the given scale (grid units).

    Raises:
        ConfigurationError: ``scale-out-of-range``, when the scale is not finite or below two grid units.
    """
    if not (math.isfinite(scale) and MINIMUM_SCALE <= scale < 2**57):
        raise ConfigurationError(
            "scale-out-of-range",
            f"a noise scale of {scale!r} grid units is not between {MINIMUM_SCALE} and 2^57",
            "correct the scale in the manifest",
        )
    return np.array(_measurement(scale)([0] * size), dtype=np.int64)
