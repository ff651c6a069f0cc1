"""From the facts of a release to the facts of a page: a pure change of form, without new numbers.

Guarantees: every number is one of the release.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from safeborders_fed.reporting.accuracy import Accuracy, CalibrationPoint, Estimate, GroupAccuracy

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
