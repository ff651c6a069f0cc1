"""A study of all tables of the catalogue, from a manifest over masked rounds to what reports read."""

from pathlib import Path

import pytest

from federation_of import NODES, analysis_table, approve, participant, run_study, study
from safeborders_fed.analyses.trend_choice import CATALOGUE
from safeborders_fed.cases.encoding import NO_VICTIM
from safeborders_fed.errors import RefusedError
from safeborders_fed.reporting.noisy_tables import tables_of
from safeborders_fed.study import release_file

PARAMETERS = {
    "first_year": 2018,
    "last_year": 2025,
    "frequency": "Q",
    "tables": [name for name in CATALOGUE if name != "corridors-over-time"],
    "states": list(NODES),
}


def test_all_tables_of_the_catalogue_go_through_the_door(tmp_path: Path) -> None:
    manifest = study(analysis="trends", parameters=PARAMETERS, trust="masked", rho=0.5)
    tables = [analysis_table(400 * (seed < 3), seed) for seed in range(len(NODES))]
    nodes = [participant(tmp_path, node, table) for node, table in zip(NODES, tables, strict=True)]
    for node in nodes:
        approve(node, manifest)
    release = run_study(manifest, nodes).release
    found = tables_of(release_file.from_bytes(release_file.to_bytes(release, manifest)), manifest)
    counted = [
        sum(status != NO_VICTIM for status in table["trafficking_status"].to_pylist()) for table in tables
    ]
    total, states = found.table("total"), found.table("state")
    # Normal errors lie beyond 6.2 standard deviations with a chance below 1e-9; the margins' own are added.
    assert abs(float(total.counts) - sum(counted)) < 6.2 * total.deviation + 1
    assert states.axes[0].codes == NODES
    for count, true in zip(states.counts, counted, strict=True):
        assert abs(count - true) < 6.2 * states.deviation + 1
    assert counted[3] == 0
    assert {" x ".join(axis.name for axis in table.axes) or "total" for table in found.tables} == {
        table.name for table in found.tables
    }


def test_tables_by_other_states_than_the_participants_are_refused() -> None:
    parameters = {**PARAMETERS, "states": ["BE", "BG"]}
    with pytest.raises(RefusedError, match="not by its participants"):
        study(analysis="trends", parameters=parameters)
