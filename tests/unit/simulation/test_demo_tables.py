"""The demonstration's operators release trend tables and typologies, as a coordinator's would."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

import type_samples
from federation_of import NODES, study
from model_samples import TODAY, Operators
from safeborders_fed.analyses.base import UNIT, Release, Setting
from safeborders_fed.analyses.registry import build
from safeborders_fed.analyses.trends import COUNTS
from safeborders_fed.simulation import demo_tables
from safeborders_fed.simulation.demo import Result
from safeborders_fed.simulation.typology_truth import Recovery

PARAMETERS = {"first_year": 2013, "last_year": 2020}
TYPES = {
    "features": ["method_of_recruitment", "forms_of_exploitation"],
    "states": list(NODES),
    "first_year": 2020,
    "last_year": 2026,
}


def trends() -> Release:
    analysis = build("trends", PARAMETERS)
    (stage,) = analysis.stages()
    noise = 2.0 * UNIT
    total = np.random.default_rng(1).normal(40 * UNIT, noise, stage.dimension).astype(np.int64)
    return analysis.result(analysis.advance(analysis.start(Setting(4, {COUNTS: noise})), total, noise))


def result(content: dict[str, Any] | None = None) -> Result:
    facts = type_samples.facts() if content is None else content
    done = {
        "tables": (study(id="demo-trends", analysis="trends", parameters=PARAMETERS), trends()),
        "typologies": (
            study(id="demo-typologies", analysis="typology", parameters=TYPES),
            Release("typology", facts, {}),
        ),
    }
    studies = {
        name: SimpleNamespace(manifest=manifest, outcome=SimpleNamespace(release=release))
        for name, (manifest, release) in done.items()
    }
    return cast(
        "Result", SimpleNamespace(**studies, recovery=None, recovery_without_privacy=None, truth=None)
    )


@pytest.fixture
def operators(tmp_path: Any) -> Operators:
    return Operators.enrol(tmp_path)


def _release(operators: Operators, found: Result) -> demo_tables.Documents:
    keys = [operators.keys[operator.name] for operator in operators.home.operators]
    return demo_tables.release_documents(operators.home, found, keys, TODAY)


def test_both_documents_are_released_and_the_second_was_compared_with_the_first(operators: Operators) -> None:
    found = _release(operators, result())
    tables, types = found.tables.loaded, found.typologies
    assert types is not None
    assert tables.tables.warnings is not None
    assert tables.tables.warnings.tested > 0
    assert types.loaded.tables.types is not None
    assert types.loaded.tables.compared == {tables.tables.id: tables.sha256}
    assert len(types.statement.signatures) == len(operators.home.operators)


def test_without_types_the_tables_are_released_alone(operators: Operators) -> None:
    found = _release(operators, result(type_samples.facts(())))
    assert found.typologies is None
    assert [path.name for path in sorted(operators.home.released.glob("*.tables.json"))] == [
        "demo-trends-1.tables.json"
    ]


def test_what_was_planted_is_known_only_where_files_are_made_up() -> None:
    found = result()
    assert demo_tables.planted(found) is None
    recovery = Recovery(0.7, ("p1", "p2"), ("T1", "T2"), np.array([[5, 0], [1, 0]]))
    known = cast("Any", found)
    known.recovery, known.truth = (
        recovery,
        {"typologies": {"p1": {"label": "Online"}, "p2": {"label": "Own"}}},
    )
    told = demo_tables.planted(found)
    assert told is not None
    assert (told.labels, told.adjusted_rand, told.adjusted_rand_pooled) == ({"T1": "Online"}, 0.7, None)
