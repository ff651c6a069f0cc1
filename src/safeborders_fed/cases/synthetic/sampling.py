"""Drawing and shifting of probabilities, shared by the parts of the generation.

Guarantees: pure functions of their arguments and of the random numbers given.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
SKEW_OF_STATES: Final = 0.25
"""Standard deviation of a state's own log-odds for each typology and for each value of each feature."""


def pick(rng: np.random.Generator, odds: Floats) -> NDArray[np.int16]:
    """One position for each row of ``odds`` (rows, choices), int16, with probability in proportion."""
    heights = np.cumsum(odds, axis=1)
    chosen = (rng.random((len(odds), 1)) * heights[:, -1:] > heights).sum(axis=1)
    return np.asarray(chosen, dtype=np.int16)


def shifted(probabilities: Floats, mean: float) -> Floats:
    """``probabilities`` with one number added to all log-odds, so that their mean is ``mean``."""
    log_odds = np.log(probabilities / (1 - probabilities))
    low, high = -30.0, 30.0
    for _ in range(50):
        middle = (low + high) / 2
        value = 1 / (1 + np.exp(-(log_odds + middle)))
        low, high = (middle, high) if value.size and value.mean() < mean else (low, middle)
    return np.asarray(1 / (1 + np.exp(-(log_odds + low))), dtype=np.float64)
