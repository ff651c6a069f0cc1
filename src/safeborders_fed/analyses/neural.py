"""The analysis ``neural``: detection by a network.

The built-in network (``analyses.network``) unless the manifest names a module (``analyses.module_learner``).
torch and Opacus are imported for a module only.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field as Limit
from pydantic import model_validator

from safeborders_fed.analyses.detection import Detection, DetectionParameters
from safeborders_fed.analyses.gradient_rounds import GradientParameters
from safeborders_fed.analyses.learner import Learner
from safeborders_fed.analyses.network import MOST_UNITS, Network

Units = Annotated[int, Limit(ge=1, le=MOST_UNITS)]


class NeuralParameters(DetectionParameters, GradientParameters):
    """What a manifest says of a neural study.

    Attributes:
        hidden: Units of the one or two hidden layers of the built-in network; none with a module.
        module: Name of an installed module to learn instead of the built-in network.
    """

    hidden: tuple[Units, ...] = Limit(default=(16,), max_length=2)
    module: str | None = Limit(default=None, min_length=1, max_length=64)

    @model_validator(mode="after")
    def _one_network(self) -> NeuralParameters:
        if (self.module is None) != bool(self.hidden):
            raise ValueError("name one or two hidden layers, or a module and `hidden = []`")
        return self


class Neural(Detection[NeuralParameters]):
    """Detection by a network on one-hot features."""

    name = "neural"
    made_for = "victim-identification"
    parameters_type = NeuralParameters

    def _learner(self, columns: int) -> Learner[Any]:
        if self.parameters.module is None:
            return Network(columns, hidden=self.parameters.hidden, parameters=self.parameters)
        from safeborders_fed.analyses.module_learner import ModuleLearner  # noqa: PLC0415  (imports torch)

        return ModuleLearner(columns, module=self.parameters.module, parameters=self.parameters)
