"""The fixed suite: made-up problems that one rule must hold for.

Label rates of 2, 10 and 50%, 30, 100 and 400 one-hot columns (fields of 2 to 8 values), independent or
correlated through four hidden factors, 1,000, 4,000 and 40,000 people; each over eight equal and over eight
very unequal nodes, which changes nothing for the federation (its sums are exact) and all for a node alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.sparse import csr_array
from scipy.special import expit

from safeborders_fed.analyses.learner import Rows
from safeborders_fed.privacy.products import Indicators

NODES = 8
TESTING = 20_000
UNEQUAL = np.array([0.5, 0.25, 0.12, 0.06, 0.03, 0.02, 0.01, 0.01])
SIZES, COLUMNS, RATES = (1_000, 4_000, 40_000), (30, 100, 400), (0.02, 0.1, 0.5)
_FACTORS = 4
_SPREAD = 1.6
"""Standard deviation of the true log-odds: the best model then has an area of .83 to .88."""


@dataclass(frozen=True)
class Problem:
    """What kind of people to make up."""

    size: int
    columns: int
    rate: float
    correlated: bool

    def __str__(self) -> str:
        kind = "correlated" if self.correlated else "independent"
        return f"n={self.size} columns={self.columns} rate={self.rate:g} {kind}"

    def make(self, seed: int) -> Rows:
        """People; the last ``TESTING`` of them are for testing."""
        rng = np.random.default_rng([seed, self.size, self.columns, int(100 * self.rate), self.correlated])
        people = self.size + TESTING
        hidden = rng.normal(size=(people, _FACTORS))
        logit = np.zeros(people)
        chosen, start = [], 0
        while start < self.columns:
            width = int(min(rng.integers(2, 9), self.columns - start))
            lean = rng.normal(size=width) + hidden @ rng.normal(size=(_FACTORS, width)) * self.correlated
            value = (lean + rng.gumbel(size=(people, width))).argmax(axis=1)
            logit += rng.normal(size=width)[value]
            chosen.append(start + value)
            start += width
        logit = (logit - logit.mean()) / logit.std() * _SPREAD
        base = brentq(lambda shift: float(expit(logit + shift).mean()) - self.rate, -20, 20)
        target = (rng.random(people) < expit(logit + base)).astype(np.int64)
        places = np.stack(chosen, axis=1)
        row = np.repeat(np.arange(people), places.shape[1])
        matrix = csr_array((np.ones(places.size, np.int64), (row, places.ravel())), (people, self.columns))
        return Rows(Indicators(matrix), target)

    def nodes(self, shares: NDArray[np.float64]) -> list[NDArray[np.int64]]:
        """Who is at which node."""
        ends = np.rint(np.cumsum(shares) * self.size).astype(np.int64)
        return [np.arange(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def suite() -> Iterator[Problem]:
    """All problems, in order."""
    for size, columns, rate, correlated in product(SIZES, COLUMNS, RATES, (False, True)):
        yield Problem(size, columns, rate, correlated)
