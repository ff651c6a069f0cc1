"""How well a released model ranks and how its scores are to be read: facts of an evaluation.

Guarantees: plain, frozen facts that were all computed from one private sum. An area without its margin, or
without either an area or a reason, is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from safeborders_fed.reporting.checks import refuse, require_finite, require_share

UNKNOWN: Final = "The private evaluation could not tell whether the model ranks better than chance."
"""What is said of a model for which ``analyses.evaluation.beyond_chance`` does not hold."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A noisy number.

    Attributes:
        value: The number; noise can make it negative.
        error: Standard deviation of its noise.
    """

    value: float
    error: float

    def __post_init__(self) -> None:
        require_finite("an estimate", {"size": abs(self.value), "standard error": self.error})


@dataclass(frozen=True, slots=True)
class GroupAccuracy:
    """How well the model ranks the held-out persons of one group.

    Attributes:
        name: The group, as a reader sees it.
        victims: How many were held out, whether found to be victims or not.
        positives: How many of them have the label.
        auc: Area under the ROC curve, if enough is left beyond the noise.
        margin: Half of its 95% interval, of noise and sampling together.
        reason: Why there is no area.
    """

    name: str
    victims: Estimate
    positives: Estimate
    auc: float | None
    margin: float | None
    reason: str | None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95% interval, within 0 and 1; None where there is no area."""
        if self.auc is None or self.margin is None:
            return None
        return max(0.0, self.auc - self.margin), min(1.0, self.auc + self.margin)

    def __post_init__(self) -> None:
        require_share(f"group {self.name!r}", {"area": self.auc})
        require_finite(f"group {self.name!r}", {"margin": self.margin})
        if (self.auc is None) != (self.margin is None) or (self.auc is None) != (self.reason is not None):
            raise refuse(f"group {self.name!r} needs either an area with its margin, or a reason")


@dataclass(frozen=True, slots=True)
class CalibrationPoint:
    """One bin of scores.

    Attributes:
        victims: Held-out persons in it, a noisy count.
        raw: Chance of the label that uncalibrated scores of the bin say.
        predicted: Chance that calibrated scores say.
        observed: Share with the label; None where noise fills the bin.
        margin: Half of its 95% interval, of noise and sampling together.
    """

    victims: float
    raw: float
    predicted: float
    observed: float | None
    margin: float | None

    def __post_init__(self) -> None:
        shares = {"raw": self.raw, "predicted": self.predicted, "observed": self.observed}
        require_share("a point of the calibration", shares)
        require_finite("a point of the calibration", {"size": abs(self.victims), "margin": self.margin})
        if (self.observed is None) != (self.margin is None):
            raise refuse("a point of the calibration needs a margin exactly where it has a share")


@dataclass(frozen=True, slots=True)
class Accuracy:
    """The evaluation of one model.

    Attributes:
        overall: All held-out persons.
        groups: Label of each partition to its groups.
        slope: Calibrated log-odds are ``slope * log-odds + intercept``.
        intercept: See ``slope``.
        slope_error: Standard error of ``slope``.
        points: Bins of scores, from low to high.
    """

    overall: GroupAccuracy
    groups: Mapping[str, tuple[GroupAccuracy, ...]]
    slope: float
    intercept: float
    slope_error: float
    points: tuple[CalibrationPoint, ...]

    def __post_init__(self) -> None:
        require_finite("the calibration", {"slope": self.slope, "slope error": self.slope_error})
        if not math.isfinite(self.intercept):
            raise refuse(f"intercept of the calibration is {self.intercept}")
