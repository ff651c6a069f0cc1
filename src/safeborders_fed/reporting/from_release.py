"""From the facts of a release to the facts of a page: a pure change of form, without new numbers.

Guarantees: every number is one of the release; names of codes become the labels of the data contract.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from safeborders_fed.cases.contract import UNKNOWN, field
from safeborders_fed.errors import UsageError
from safeborders_fed.reporting.accuracy import Accuracy, CalibrationPoint, Estimate, GroupAccuracy
from safeborders_fed.reporting.typologies import Trait, Typologies, TypologyFacts

PARTITIONS: Final = {"sex": "Sex", "age": "Age", "citizenship": "Citizenship", "state": "State"}
"""Labels of the partitions of an evaluation."""
ALL_HELD_OUT: Final = "All held-out persons"


def accuracy(evaluation: Mapping[str, Any]) -> Accuracy:
    """The accuracy of a detection release.

    Args:
        evaluation: ``facts["evaluation"]``, from ``analyses.evaluation.summarise``.
    """
    calibration = evaluation["calibration"]
    return Accuracy(
        overall=_group(ALL_HELD_OUT, evaluation["overall"]),
        groups={
            PARTITIONS[partition]: tuple(_group(name, facts) for name, facts in groups.items())
            for partition, groups in evaluation["groups"].items()
        },
        slope=calibration["slope"],
        intercept=calibration["intercept"],
        slope_error=calibration["slope_error"],
        points=tuple(
            CalibrationPoint(*(row[key] for key in ("victims", "raw", "predicted", "observed", "margin")))
            for row in evaluation["reliability"]
        ),
    )


def _group(name: str, facts: Mapping[str, Any]) -> GroupAccuracy:
    return GroupAccuracy(
        name=name,
        victims=Estimate(facts["victims"], facts["victims_error"]),
        positives=Estimate(facts["positives"], facts["positives_error"]),
        auc=facts["auc"],
        margin=facts["margin"],
        reason=facts["reason"],
    )


def typologies(
    facts: Mapping[str, Any],
    *,
    planted: Mapping[str, str] | None = None,
    adjusted_rand: float | None = None,
    adjusted_rand_pooled: float | None = None,
) -> Typologies:
    """The types of a typology release, largest first.

    Args:
        facts: The release's facts.
        planted: In made-up data: name of a type to the label of the planted way that it finds again.
        adjusted_rand: In made-up data: agreement with the planted ways.
        adjusted_rand_pooled: That of the same method on all files together without privacy.
    """
    found = sorted(facts["classes"], key=lambda entry: -float(entry["prevalence"]))
    types = tuple(_type(entry, (planted or {}).get(entry["name"])) for entry in found)
    states = tuple(types[0].by_state) if types else ()
    years = tuple(types[0].by_year) if types else ()
    return Typologies(types, states, years, adjusted_rand, adjusted_rand_pooled)


def _type(entry: Mapping[str, Any], planted: str | None) -> TypologyFacts:
    return TypologyFacts(
        name=entry["name"],
        victims=Estimate(entry["prevalence"], entry["prevalence_error"]),
        share=entry["share"],
        traits=tuple(
            Trait(
                field=field(trait["field"]).label,
                value=_value_label(trait["field"], trait["value"]),
                share=trait["share_in_class"],
                error=trait["share_error"],
                overall=trait["share_overall"],
            )
            for trait in entry["distinguishing"]
        ),
        by_state={state: Estimate(*pair) for state, pair in entry["by_state"].items()},
        by_year={year: Estimate(*pair) for year, pair in entry["by_year"].items()},
        occurs_in=tuple(entry["occurs_in"]),
        planted=planted,
    )


def _value_label(name: str, value: str) -> str:
    """The label of a value, or of a public bin: a bin that is no value has its own name for a label."""
    if value == UNKNOWN:
        return "not known"
    entry = field(name)
    labels = {known.code: known.label for known in entry.values}
    if value not in labels and value not in entry.bins:
        raise UsageError(
            "unknown-value",
            f"the data contract has no value {value!r} of field {name!r}",
            "build the report with the version of the software that made the release",
        )
    return labels.get(value, value)
