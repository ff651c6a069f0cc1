"""Shares of a false-alarm rate: they add up, help what can be found, and leave none without."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from safeborders_fed.reporting.weighing import EQUAL, shares

EFFECTS = st.lists(st.floats(0, 1e3), min_size=1, max_size=300).map(np.array)


@given(effects=EFFECTS, alpha=st.floats(1e-9, 0.5))
def test_shares_add_up_and_none_is_less_than_its_part_of_what_all_share(
    effects: np.ndarray, alpha: float
) -> None:
    found = shares(effects, alpha)
    assert found.sum() == pytest.approx(1, abs=1e-9)
    assert (found >= EQUAL / len(effects) * (1 - 1e-9)).all()


@given(effects=EFFECTS, alpha=st.floats(1e-6, 0.5))
def test_what_stands_out_more_never_gets_less(effects: np.ndarray, alpha: float) -> None:
    found = shares(np.sort(effects), alpha)
    assert (np.diff(found) >= -1e-9).all()


def test_equal_series_share_alike() -> None:
    assert shares(np.full(40, 3.0), 0.05) == pytest.approx(1 / 40)
    assert shares(np.zeros(40), 0.05) == pytest.approx(1 / 40)


def test_where_most_series_are_within_the_noise_more_doublings_are_found() -> None:
    effects = np.concatenate([np.full(1300, 0.2), np.full(69, 4.5)])
    found = norm.sf(norm.isf(0.05 * shares(effects, 0.05)) - effects)[-1]
    plain = norm.sf(norm.isf(0.05 / 1369) - 4.5)
    assert found > plain + 0.15
