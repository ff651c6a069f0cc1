"""How many victims a study is about is counted as the study itself counts them."""

from types import SimpleNamespace
from typing import Any

import pytest

from federation_of import MemoryStore, analysis_table
from safeborders_fed.cases.contract import MINOR_BANDS
from safeborders_fed.errors import UsageError
from safeborders_fed.node.showing import _count


def store(records_per_victim: int = 1) -> Any:
    made = MemoryStore(analysis_table(200, 3, records_per_victim=records_per_victim))
    return SimpleNamespace(cases=made.cases, snapshots=lambda: (SimpleNamespace(victims=200),))


def test_all_victims_and_minors_are_counted() -> None:
    bands = store().cases().column("age_band").to_pylist()
    minors = sum(band in MINOR_BANDS for band in bands)
    assert 0 < minors < 200
    assert (_count(store(), "all"), _count(store(), "minors")) == (200, minors)


def test_a_victim_with_several_records_counts_once() -> None:
    found = store(records_per_victim=4)
    assert _count(found, "minors") <= 50


def test_a_population_that_is_not_known_is_not_guessed() -> None:
    with pytest.raises(UsageError, match="no population"):
        _count(store(), "everybody")
