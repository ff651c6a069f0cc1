from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from safeborders_fed.analyses import evaluation
from safeborders_fed.errors import DefectError, UsageError
from safeborders_fed.reporting import from_release
from safeborders_fed.reporting.accuracy import Estimate, GroupAccuracy


def typology(**changes: Any) -> dict[str, Any]:
    sample = {
        "name": "T1",
        "prevalence": 120.0,
        "prevalence_error": 9.5,
        "share": 0.3,
        "distinguishing": [
            {
                "field": "method_of_recruitment",
                "value": "ThroughOnlineSocialNetworks",
                "label": "any",
                "share_in_class": 0.7,
                "share_error": 0.03,
                "share_overall": 0.2,
                "lift": 3.5,
            },
            {
                "field": "citizenship",
                "value": "Other EU",
                "label": "any",
                "share_in_class": 0.4,
                "share_error": 0.03,
                "share_overall": 0.2,
                "lift": 2.0,
            },
            {
                "field": "sex",
                "value": "Unknown",
                "label": "any",
                "share_in_class": 0.4,
                "share_error": 0.03,
                "share_overall": 0.2,
                "lift": 2.0,
            },
        ],
        "by_state": {"BG": [80.0, 8.0], "RO": [40.0, 8.0]},
        "by_year": {"2024": [120.0, 9.0]},
        "occurs_in": ["BG", "RO"],
    }
    return sample | changes


def test_a_typology_release_becomes_facts_with_labels_of_the_contract() -> None:
    larger = typology(name="T2", prevalence=280.0, share=0.7, occurs_in=[])
    found = from_release.typologies(
        {"classes": [typology(), larger]}, planted={"T1": "A planted way"}, adjusted_rand=0.8
    )
    assert [entry.name for entry in found.types] == ["T2", "T1"]
    first = found.types[1]
    assert first.victims == Estimate(120.0, 9.5)
    assert [(trait.field, trait.value) for trait in first.traits] == [
        ("Method of recruitment", "Through online social networks"),
        ("Citizenship", "Other EU"),
        ("Sex", "not known"),
    ]
    assert first.by_state["RO"] == Estimate(40.0, 8.0)
    assert first.planted == "A planted way"
    assert found.types[0].planted is None
    assert (found.states, found.years) == (("BG", "RO"), ("2024",))


def test_a_value_that_the_contract_does_not_know_is_named() -> None:
    wrong = typology()
    wrong["distinguishing"][0]["value"] = "ByPigeon"
    with pytest.raises(UsageError, match="ByPigeon") as caught:
        from_release.typologies({"classes": [wrong]})
    assert caught.value.code == "unknown-value"


@pytest.mark.parametrize(
    "classes",
    [
        [typology(), typology(name="T2", by_state={"BG": [1.0, 1.0]}, occurs_in=[])],
        [typology(occurs_in=["FI"])],
        [typology(share=1.2)],
        [typology(prevalence=math.nan)],
        [typology(prevalence_error=-1.0)],
    ],
)
def test_a_typology_that_contradicts_itself_is_refused(classes: list[dict[str, Any]]) -> None:
    with pytest.raises(DefectError):
        from_release.typologies({"classes": classes})


def test_every_summary_of_an_evaluation_becomes_facts() -> None:
    layout = evaluation.layout(("sex", "age", "citizenship", "state"), ("BG", "RO"))
    rng = np.random.default_rng(6)
    edges = np.linspace(-2, 1, evaluation.BINS - 1)
    for level in (0.0, 3.0, 400.0):
        total = np.rint(rng.normal(level * evaluation.BOUND, 6 * evaluation.BOUND, layout.dimension))
        summary = evaluation.summarise(layout, total.astype(np.int64), 6.0 * evaluation.BOUND, edges)
        found = from_release.accuracy(summary)
        assert list(found.groups) == ["Sex", "Age", "Citizenship", "State"]
        assert [group.name for group in found.groups["State"]] == ["BG", "RO"]
        assert len(found.points) == evaluation.BINS
        assert found.overall.name == "All held-out persons"
        assert (found.overall.auc is not None) or level < 100


def test_a_group_needs_an_area_with_its_margin_or_a_reason() -> None:
    some = Estimate(10.0, 1.0)
    for auc, margin, reason in ((0.8, None, None), (None, None, None), (0.8, 0.1, "why"), (1.2, 0.1, None)):
        with pytest.raises(DefectError):
            GroupAccuracy("A", some, some, auc, margin, reason)
    assert GroupAccuracy("A", some, some, 0.95, 0.1, None).interval == pytest.approx((0.85, 1.0))
