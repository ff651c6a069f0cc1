"""Comparing two releases: what stands out, and what is no comparison."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from safeborders_fed.errors import RefusedError, UsageError
from safeborders_fed.reporting.comparing import compare
from safeborders_fed.reporting.noisy_tables import TableRelease
from safeborders_fed.reporting.reading import Released
from safeborders_fed.study.table_statement import TableStatement, sign
from table_samples import TODAY, loaded, release

KEY = Ed25519PrivateKey.generate()


def _released(made: TableRelease, day: date = TODAY) -> Released:
    found = loaded(made)
    tables = found.tables
    said = TableStatement(
        action="release", name=tables.study, version=1, sha256=found.sha256, day=day, reason="For a test."
    )
    return Released(found, sign(said, KEY, "Ana"), Path("x.tables.json"))


def _two(change: float) -> tuple[Released, Released]:
    first = np.full((2, 4, 4), 100.0)
    second = first.copy()
    second[1, 2, 3] += change
    later = release(second, study="trends-two", manifest="c")
    return _released(release(first)), _released(later, TODAY + timedelta(days=90))


def test_a_change_beyond_both_margins_stands_out() -> None:
    """Margins are 1.96 x 2 + 2.5, rounded up to 7, in each release."""
    every = compare(*_two(20.0))
    found = [change for change in every if change.stands_out]
    assert {change.table for change in found} >= {"year x form x age", "total"}
    full = next(change for change in found if change.table == "year x form x age")
    assert (full.before, full.after, full.margin) == (100, 120, 14)
    assert full.codes == {"year": "2021", "form": "SeveralForms", "age": "Unknown"}


def test_a_change_within_margins_does_not() -> None:
    assert not [change for change in compare(*_two(12.0)) if change.stands_out]


def test_suppressed_counts_are_not_compared() -> None:
    before, after = _two(-99.0)
    full = [change for change in compare(before, after) if change.table == "year x form x age"]
    assert len(full) < len(before.loaded.tables.tables[0].cells)


def test_the_later_release_first_is_refused() -> None:
    before, after = _two(0.0)
    with pytest.raises(UsageError, match="wrong-order"):
        compare(after, before)


def test_one_study_or_other_people_are_refused() -> None:
    before, after = _two(0.0)
    with pytest.raises(RefusedError, match="same-study"):
        compare(before, before)
    made = replace(release(np.full((2, 4, 4), 100.0), study="t", manifest="d"), states=("BG",))
    with pytest.raises(RefusedError, match="not-comparable"):
        compare(before, _released(made, after.statement.statement.day))
