"""What the data look like never decides whether or how a node answers: every study ends in finite numbers."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from federation_of import NODES, POLICY, analysis_table, approve, participant, run_study, study

COLUMN = "means_of_control"
NEURAL = {"hidden": [4]}
STUDIES = {
    "logistic": {"target": "actual_victim", "features": ["sex", "age_band", COLUMN], "rounds": 3},
    "neural": {"target": "actual_victim", "features": ["sex", "age_band", COLUMN], "rounds": 3, **NEURAL},
    "typology": {
        "features": ["forms_of_exploitation", "sex", COLUMN],
        "states": list(NODES),
        "first_year": 2018,
        "last_year": 2025,
    },
}


def all_missing(table: pa.Table) -> pa.Table:
    """The same victims, and nothing known of them but the label."""
    for name in table.column_names:
        if name in {"victim", "case", "registration_date", "registration_precision", "trafficking_status"}:
            continue
        field = table.schema.field(name)
        empty = pa.nulls(len(table), pa.string()).dictionary_encode()
        zero = pa.array(np.zeros(len(table), np.uint32))
        column = empty.cast(field.type) if pa.types.is_dictionary(field.type) else zero
        table = table.set_column(table.column_names.index(name), name, column)
    return table


def one_class(table: pa.Table) -> pa.Table:
    return table.filter(pc.equal(table["trafficking_status"].cast(pa.string()), "ActualVictimOfTrafficking"))


def without_column(table: pa.Table) -> pa.Table:
    zero = pa.array(np.zeros(len(table), np.uint32))
    for name in (COLUMN, f"{COLUMN}_known"):
        table = table.set_column(table.column_names.index(name), name, zero)
    return table


@pytest.mark.parametrize("analysis", STUDIES)
def test_one_class_twelve_victims_missing_columns_and_nothing_known(tmp_path: Path, analysis: str) -> None:
    tables = {
        "BE": one_class(analysis_table(150, 1)),
        "BG": without_column(analysis_table(12, 2)),
        "FI": without_column(analysis_table(150, 3)),
        "GR": all_missing(analysis_table(150, 4)),
    }
    policy = POLICY.model_copy(update={"analyses": frozenset(STUDIES)})
    nodes = [participant(tmp_path, node, table, policy=policy) for node, table in tables.items()]
    manifest = study(analysis=analysis, parameters=STUDIES[analysis])
    for node in nodes:
        approve(node, manifest)
    outcome = run_study(manifest, nodes)
    assert outcome.attempts == outcome.rounds, "no node refused"
    assert all(np.isfinite(array).all() for array in outcome.release.arrays.values())


@pytest.mark.parametrize("analysis", STUDIES)
def test_a_node_with_nobody_answers_too(tmp_path: Path, analysis: str) -> None:
    policy = POLICY.model_copy(update={"analyses": frozenset(STUDIES)})
    nodes = [participant(tmp_path, node, analysis_table(0, 1), policy=policy) for node in NODES]
    manifest = study(analysis=analysis, parameters=STUDIES[analysis], trust="masked")
    for node in nodes:
        approve(node, manifest)
    outcome = run_study(manifest, nodes)
    assert outcome.attempts == outcome.rounds
    assert all(np.isfinite(array).all() for array in outcome.release.arrays.values())
