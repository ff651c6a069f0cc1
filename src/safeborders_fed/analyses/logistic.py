"""The analysis ``logistic``: detection by logistic regression (``analyses.newton``), the default model."""

from __future__ import annotations

from safeborders_fed.analyses.detection import Detection, DetectionParameters
from safeborders_fed.analyses.newton import Newton, NewtonParameters


class LogisticParameters(DetectionParameters, NewtonParameters):
    """What a manifest says of a logistic study."""


class Logistic(Detection[LogisticParameters]):
    """Detection by logistic regression on one-hot features."""

    name = "logistic"
    made_for = "victim-identification"
    parameters_type = LogisticParameters

    def _learner(self, columns: int) -> Newton:
        return Newton(columns, rounds=self.parameters.rounds, clip=self.parameters.clip)
