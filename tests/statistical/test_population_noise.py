"""The noise of a population's count is what is charged for. False alarms: at most 1e-9 a test."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2, norm

from federation_of import MemoryStore, analysis_table, study
from safeborders_fed.errors import RefusedError
from safeborders_fed.node import population
from safeborders_fed.node.caps import Caps
from safeborders_fed.node.ledger import Ledger
from safeborders_fed.node.population import Census, sigma_for
from safeborders_fed.privacy.noise import discrete_gaussian

FALSE_ALARM = 1e-9
DRAWS = 1500
LEAST = 100
MANIFEST = study()
TABLE = analysis_table(40, 1)
Noise = Callable[[float, int], np.ndarray]


def counts(path: Path, noise: Noise) -> np.ndarray:
    """The noised counts of one table in so many snapshots, as a node draws, charges and keeps them."""
    ledger = Ledger(path, Caps(study=1e9, year=1e9, lifetime=1e9))
    ledger._db.execute("PRAGMA synchronous = OFF")  # nothing is to survive here
    store: Any = MemoryStore(TABLE)
    census = Census(store, ledger, LEAST, lambda: None, noise)
    for number in range(DRAWS):
        with contextlib.suppress(RefusedError):  # whether it is enough does not matter here
            census.require(MANIFEST, f"snapshot-{number}")
    drawn = ledger.counts.listed()
    assert len(drawn) == DRAWS
    assert ledger.totals().spent == pytest.approx(DRAWS * population.cost(LEAST))
    ledger.close()
    return np.array([entry.noised for entry in drawn])


def fits(noised: np.ndarray) -> bool:
    """Whether the counts lie around the exact one as the sigma that is charged for would have them."""
    error = (noised - population.count(TABLE, "all")) / sigma_for(LEAST)
    squares, mean = float(np.sum(error**2)), float(np.mean(error)) * np.sqrt(DRAWS)
    low, high = chi2.ppf(FALSE_ALARM / 4, DRAWS), chi2.isf(FALSE_ALARM / 4, DRAWS)
    return bool(low < squares < high and abs(mean) < norm.isf(FALSE_ALARM / 4))


def test_the_noise_of_a_count_is_that_which_is_charged(tmp_path: Path) -> None:
    noised = counts(tmp_path / "l.sqlite", discrete_gaussian)
    assert fits(noised)
    assert not fits(noised + 10), "a count that is off by 10 would not be noticed"


def test_noise_that_is_30_percent_too_small_is_noticed(tmp_path: Path) -> None:
    assert not fits(counts(tmp_path / "l.sqlite", lambda scale, size: discrete_gaussian(0.7 * scale, size)))


def test_one_victim_more_shifts_the_count_by_one_under_the_same_noise() -> None:
    """The two distributions are one another's shift by at most 1: what ``1 / (2 sigma^2)`` is the cost of."""
    exact = {population.count(TABLE.slice(0, rows), "all") for rows in (TABLE.num_rows - 1, TABLE.num_rows)}
    assert max(exact) - min(exact) <= 1
