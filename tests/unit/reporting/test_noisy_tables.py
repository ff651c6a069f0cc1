"""The tables of a release, whatever a manifest chose."""

from typing import Any

import numpy as np
import pytest

from federation_of import study
from safeborders_fed.analyses.base import UNIT, Release, Setting
from safeborders_fed.analyses.registry import build
from safeborders_fed.analyses.trends import COUNTS
from safeborders_fed.errors import DefectError
from safeborders_fed.reporting.noisy_tables import TableRelease, tables_of
from safeborders_fed.study import release_file

DEFAULT: dict[str, Any] = {"first_year": 2019, "last_year": 2020}
CHOSEN: dict[str, Any] = {**DEFAULT, "tables": ["forms-ages", "recruiters"], "frequency": "Q"}


def released(parameters: dict[str, Any], **changes: Any) -> tuple[Release, TableRelease]:
    analysis = build("trends", parameters)
    manifest = study(analysis="trends", parameters=parameters)
    (stage,) = analysis.stages()
    noise = 2.0 * UNIT
    total = np.random.default_rng(1).normal(20 * UNIT, noise, stage.dimension).astype(np.int64)
    release = analysis.result(analysis.advance(analysis.start(Setting(4, {COUNTS: noise})), total, noise))
    broken = Release(release.kind, release.facts | changes, release.arrays)
    published = release_file.from_bytes(release_file.to_bytes(broken, manifest))
    return release, tables_of(published, manifest)


@pytest.mark.parametrize("parameters", [DEFAULT, CHOSEN])
def test_every_table_of_a_release_comes_with_its_deviation(parameters: dict[str, Any]) -> None:
    release, found = released(parameters)
    assert {table.name: table.deviation for table in found.tables} == release.facts["standard_errors"]
    total = float(found.table("total").counts)
    for table in found.tables:
        assert table.counts.sum() == pytest.approx(total, abs=0.2)


def test_chosen_tables_have_their_own_axes() -> None:
    _, found = released(CHOSEN)
    table = found.table("quarter x form x age")
    assert [axis.name for axis in table.axes] == ["quarter", "form", "age"]
    assert table.axes[0].codes[0] == "2019-Q1"
    assert found.table("recruiter x age").axes[0].codes[0] == "Familial"


def test_a_table_without_counts_is_refused() -> None:
    with pytest.raises(DefectError, match="no counts"):
        released(CHOSEN, standard_errors={"means": 1.0})
