"""Rounds of full-batch gradient descent for models that are not linear: rule and bookkeeping.

Stage ``statistics`` (one round): counts; row and bound in ``analyses.inputs``.
Stage ``gradient`` (T rounds): the clipped gradients of a model's loss at the broadcast weights. What a row is
and why its bound holds is stated by each learner (``analyses.network``, ``analyses.module_learner``).

Rules follow public quantities only: the noisy count of labelled victims and the noisy centre, both from
``statistics``, the noise of the private sum, the number of rounds. First weights follow from the manifest's
seed. The model is the mean of the second half of the iterates (Polyak and Juditsky 1992); clipping after
Abadi et al. 2016 (arXiv 1607.00133).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Limit

from safeborders_fed.analyses.base import Arrays, Parameters, Setting, Stage
from safeborders_fed.analyses.inputs import (
    STATISTICS,
    Counted,
    add_statistics,
    read_statistics,
    statistics_stage,
)
from safeborders_fed.analyses.learner import LARGEST_START, Learner, Rows
from safeborders_fed.privacy.bounded_sum import BoundedSumBuilder

if TYPE_CHECKING:
    from safeborders_fed.privacy.bounded_sum import BoundedSum


GRADIENT: Final = "gradient"
_STATISTICS_SHARE: Final = 0.05
_MOMENTUM: Final = 0.9


class GradientParameters(Parameters):
    """What a manifest says of gradient rounds.

    Attributes:
        rounds: Rounds of gradient descent.
        clip: Largest L2 norm of a victim's gradient.
        seed: What the first weights follow from.
    """

    rounds: int = Limit(default=30, ge=2, le=1000)
    clip: float = Limit(default=1.0, ge=1e-3, le=100)
    seed: int = Limit(default=1, ge=0, lt=2**32)


@dataclass(frozen=True)
class GradientState:
    """What the coordinator carries between rounds.

    Attributes:
        counted: What the statistics told; nothing before they came.
        round: Rounds done, the statistics among them.
        weights: All weights in one row, shape (dimension,).
        velocity: Of the weights, likewise.
        averaged: Sum of the weights that count for the model so far, divided by how many will.
    """

    counted: Counted
    round: int
    weights: NDArray[np.float64]
    velocity: NDArray[np.float64]
    averaged: NDArray[np.float64]


class GradientRounds(Learner[GradientState]):
    """Learns the weights of a model by gradient rounds.

    Args:
        columns: One-hot columns.
        shapes: Name and shape of each array of weights, in the order in which a sum holds them.
        bound: Grid units to ``clip``.
        parameters: Rounds, clip and seed.
    """

    largest_step: ClassVar[float]
    """The longest step: as much as the curvature of the loss allows without noise."""
    wander: ClassVar[float]
    """How far noise alone may move a weight over all rounds, about."""

    def __init__(
        self,
        columns: int,
        shapes: dict[str, tuple[int, ...]],
        *,
        bound: int,
        parameters: GradientParameters,
    ) -> None:
        self.columns = columns
        self._shapes = shapes
        self._bound = bound
        self._parameters = parameters
        self._dimension = sum(int(np.prod(shape)) for shape in shapes.values())

    @abstractmethod
    def first_weights(self) -> NDArray[np.float64]:
        """The weights to start from, shape (dimension,): the same for the same seed."""

    @abstractmethod
    def add_gradients(self, builder: BoundedSumBuilder, rows: Rows, broadcast: Arrays) -> None:
        """Adds the clipped gradients of these victims, ``clip`` being ``bound`` grid units."""

    def stages(self) -> tuple[Stage, ...]:
        """One round of statistics, then the gradient rounds."""
        share = 1 - _STATISTICS_SHARE
        return (
            statistics_stage(self.columns, _STATISTICS_SHARE),
            Stage(GRADIENT, self._parameters.rounds, self._dimension, self._bound, share),
        )

    def expects(self, stage: str) -> dict[str, tuple[int, ...]]:
        """Nothing for the statistics; the model for a gradient."""
        return {} if stage == STATISTICS else self.model_shapes()

    def model_shapes(self) -> dict[str, tuple[int, ...]]:
        """The arrays of weights, and the centre."""
        return {**self._shapes, "centre": (self.columns,)}

    def contribute(self, rows: Rows, stage: Stage, broadcast: Arrays, max_victims: int) -> BoundedSum:
        """The bounded sum of statistics or of clipped gradients over this node's training victims."""
        builder = BoundedSumBuilder(dimension=stage.dimension, bound=stage.bound, max_victims=max_victims)
        if stage.name == STATISTICS:
            add_statistics(builder, rows)
        else:
            self.add_gradients(builder, rows, broadcast)
        return builder.finish()

    def start(self, setting: Setting) -> GradientState:
        """The weights of a published model, or the first weights."""
        zero = np.zeros(self._dimension)
        warm = setting.warm
        weights = (
            self.first_weights()
            if warm is None
            else np.clip(
                np.concatenate([warm[name].ravel() for name in self._shapes]), -LARGEST_START, LARGEST_START
            )
        )
        return GradientState(Counted(1.0, 0.0, np.zeros(self.columns)), 0, weights, zero, zero)

    def broadcast(self, state: GradientState) -> Arrays:
        """Nothing for the statistics; then weights and centre."""
        return self._arrays(state, state.weights) if state.round else {}

    def _arrays(self, state: GradientState, weights: NDArray[np.float64]) -> Arrays:
        found: Arrays = {"centre": state.counted.centre}
        start = 0
        for name, shape in self._shapes.items():
            size = int(np.prod(shape))
            found[name] = weights[start : start + size].reshape(shape)
            start += size
        return found

    def advance(self, state: GradientState, total: NDArray[np.int64], noise: float) -> GradientState:
        """Takes the statistics, then one step of gradient descent with momentum a round."""
        if state.round == 0:
            return replace(state, round=1, counted=read_statistics(total, noise))
        grid = self._parameters.clip / self._bound
        labelled = state.counted.labelled
        velocity = _MOMENTUM * state.velocity + total.astype(np.float64) * (grid / labelled)
        rounds = self._parameters.rounds
        # What noise alone adds up to in a weight is then the same at any epsilon and any number of victims.
        wanted = self.wander * labelled / max(noise * grid * rounds, 1e-12)
        weights = state.weights - min(wanted, self.largest_step) * velocity
        averaged = state.averaged
        if state.round > rounds // 2:
            averaged = averaged + weights / (rounds - rounds // 2)
        return replace(state, round=state.round + 1, velocity=velocity, weights=weights, averaged=averaged)

    def model(self, state: GradientState) -> Arrays:
        """The averaged weights with the centre that is needed to use them."""
        return self._arrays(state, state.averaged)

    def facts(self, state: GradientState) -> dict[str, Any]:
        """Noisy counts of labelled and of positive training victims."""
        return state.counted.facts()
