"""What differs between two studies is said in words, and nothing that differs is left out."""

from datetime import date
from typing import Any

import pytest

from federation_of import study
from safeborders_fed.study.differences import FOLLOWING, differences
from safeborders_fed.study.manifest import Manifest

BEFORE = study()


@pytest.mark.parametrize(
    ("changes", "field", "text"),
    [
        ({"purpose": "another"}, "purpose", "purpose: a test before, another now"),
        ({"legal_basis": "a law"}, "legal_basis", "legal basis: none before, a law now"),
        ({"participants": ("BE", "BG", "FI")}, "participants", "states: no longer: GR"),
        ({"expires": date(2030, 1, 1)}, "expires", "2030-01-01 now"),
        ({"max_victims": 500}, "max_victims", "most victims at a state: 10000 before, 500 now"),
        ({"trust": "masked"}, "trust", "trust: local before, masked now"),
        ({"rho": 1.0}, "epsilon", "epsilon: "),
        ({"retries": 7}, "retries", "7 now"),
    ],
)
def test_a_change_is_named_in_words(changes: dict[str, Any], field: str, text: str) -> None:
    found = {entry.field: entry.text for entry in differences(BEFORE, study(**changes))}
    assert text in found[field]


def test_columns_and_parameters_are_compared_one_by_one() -> None:
    parameters = {"target": "actual_victim", "features": ["sex", "citizenship"], "rounds": 5}
    found = {entry.field: entry.text for entry in differences(BEFORE, study(parameters=parameters))}
    assert found["columns"] == "columns: more: citizenship; no longer: age_band"
    assert found["parameters.rounds"] == "rounds: 4 before, 5 now"
    assert "citizenship now" in found["parameters.features"]
    assert found["stages"].startswith("rounds: ")


def test_the_same_study_under_another_name_differs_in_nothing() -> None:
    assert differences(BEFORE, study(id="study-9")) == []


def test_each_field_of_a_manifest_is_compared_but_for_those_that_follow() -> None:
    values: dict[type, Any] = {int: 10**6, float: 0.123, str: "other", date: date(2030, 1, 1)}
    for name in set(Manifest.model_fields) - FOLLOWING:
        old = getattr(BEFORE, name)
        new: Any = values.get(type(old), ())
        if name == "parameters":
            new = {}
        if name == "stages":
            new = (BEFORE.stages[0].model_copy(update={"rounds": 99}),)
        changed = BEFORE.model_copy(update={name: new})
        assert differences(BEFORE, changed), name
