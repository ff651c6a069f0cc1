"""Releases of single periods become one table over time, or are refused."""

from __future__ import annotations

import numpy as np
import pytest

from safeborders_fed.errors import UsageError
from safeborders_fed.reporting.early_warning import warnings_of
from safeborders_fed.reporting.noisy_tables import Axis, NoisyTable
from safeborders_fed.reporting.over_time import over_time
from warning_worlds import counts, quarters, table


def one(values: np.ndarray, deviation: float = 6.0, first: str = "corridor 000") -> NoisyTable:
    names = (first, *(f"corridor {at:03}" for at in range(1, len(values))))
    return NoisyTable("corridor", (Axis("corridor", names),), values, deviation)


def test_releases_of_single_quarters_warn_like_one_table_over_time() -> None:
    values = counts(np.random.default_rng(3), series=40, periods=14, planted=60.0, doubles_at=12)
    single = {period: one(values[:, at]) for at, period in enumerate(quarters(14))}
    assert warnings_of([over_time(dict(reversed(single.items())))]) == warnings_of([table(values)])


def test_the_largest_standard_error_counts() -> None:
    assert over_time({"2024": one(np.ones(3)), "2025": one(np.ones(3), 9.0)}).deviation == 9.0


def test_tables_of_other_codes_and_no_tables_are_refused() -> None:
    for tables, code in (
        ({}, "no-series"),
        ({"2024": one(np.ones(3)), "2025": one(np.ones(3), first="x")}, "tables-differ"),
    ):
        with pytest.raises(UsageError) as caught:
            over_time(tables)
        assert caught.value.code == code
