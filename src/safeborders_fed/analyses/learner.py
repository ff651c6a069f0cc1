"""Learners: how a detection model is learnt over one-hot columns, wherever these come from.

Guarantees expected of every learner:

- What a victim adds to a sum is a function of that victim alone, to the last bit (ADR 9).
- ``margins`` of a victim likewise: the evaluation puts victims into cells by them.
- Rules follow public quantities only: noisy sums that were paid for, their noise, the manifest.

``Learned`` is an analysis that does nothing but learn; ``detection`` adds the data contract and evaluation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.analyses.base import Analysis, Arrays, Parameters, Release, Setting, Stage
from safeborders_fed.privacy.products import Indicators

if TYPE_CHECKING:
    from safeborders_fed.privacy.bounded_sum import BoundedSum


LARGEST_START: Final = 1000.0
"""Weights of a model to start from are held to this."""


@dataclass(frozen=True)
class Rows:
    """Victims as a model sees them.

    Attributes:
        features: One-hot, shape (n, columns).
        target: int64, 0 or 1, shape (n,).
    """

    features: Indicators
    target: NDArray[np.int64]

    def parts(self) -> Iterator[Rows]:
        """The same rows in chunks that multiply fast: for what is done every round."""
        start = 0
        for features in self.features.parts:
            end = start + features.shape[0]
            yield Rows(features, self.target[start:end])
            start = end

    def dense(self) -> NDArray[np.float64]:
        """The features written out, shape (n, columns): for models without privacy."""
        written: NDArray[np.float64] = self.features.matrix.toarray().astype(np.float64)
        return written


S = TypeVar("S")


class Learner(ABC, Generic[S]):
    """Learns one model over ``columns`` one-hot columns; ``S`` is what it carries between rounds."""

    columns: int
    predicted_for: ClassVar[tuple[float, ...]] = ()
    """Shares of positives for which the loss to noise can be predicted."""

    @abstractmethod
    def stages(self) -> tuple[Stage, ...]:
        """The stages in order; their shares add up to 1."""

    @abstractmethod
    def expects(self, stage: str) -> dict[str, tuple[int, ...]]:
        """Name and shape of each array that a broadcast of the stage must hold."""

    @abstractmethod
    def contribute(self, rows: Rows, stage: Stage, broadcast: Arrays, max_victims: int) -> BoundedSum:
        """The bounded sum over a node's training victims."""

    @abstractmethod
    def start(self, setting: Setting) -> S:
        """The state before the first round."""

    @abstractmethod
    def broadcast(self, state: S) -> Arrays:
        """What every node needs for the next round."""

    @abstractmethod
    def advance(self, state: S, total: NDArray[np.int64], noise: float) -> S:
        """The state after a round (see ``Analysis.advance``)."""

    @abstractmethod
    def model(self, state: S) -> Arrays:
        """All that scoring needs, the noisy ``centre`` (columns,) among it."""

    @abstractmethod
    def model_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of each array of a model."""

    @abstractmethod
    def facts(self, state: S) -> dict[str, Any]:
        """What a release says of the learning; values that JSON can hold."""

    @abstractmethod
    def margins(self, model: Arrays, x: Indicators) -> NDArray[np.float64]:
        """Log-odds, shape (n,), each a function of its own row alone."""

    def remaining_noise(self, noise: Mapping[str, float]) -> float | None:
        """What noise is left over all gradient rounds together, as ``analyses.expectation`` takes it.

        Args:
            noise: Stage name to the standard deviation of the noise in a private sum, grid units.

        Returns:
            Its standard deviation in gradients of a victim of norm 1; None where the rule does not hold.
        """
        del noise
        return None

    @abstractmethod
    def explain(self, model: Arrays, x: Indicators, fields: Sequence[slice]) -> NDArray[np.float64]:
        """How much higher the log-odds are than with a field at its centre, shape (n, fields).

        Args:
            model: The arrays of a model.
            x: One-hot rows.
            fields: For each field its columns.
        """


LP = TypeVar("LP", bound=Parameters)
Prepared = TypeVar("Prepared")


class Learned(Analysis[LP, Rows, Any]):
    """An analysis that is a learner and nothing else. Subclasses set ``learner`` and prepare the rows."""

    learner: Learner[Any]

    def stages(self) -> tuple[Stage, ...]:
        """Those of the learner."""
        return self.learner.stages()

    def expects(self, stage: str) -> dict[str, tuple[int, ...]]:
        """What the learner expects."""
        return self.learner.expects(stage)

    def contribute(self, prepared: Rows, stage: Stage, broadcast: Arrays, max_victims: int) -> BoundedSum:
        """The learner's sum."""
        return self.learner.contribute(prepared, stage, broadcast, max_victims)

    def start(self, setting: Setting) -> Any:
        """The learner's state."""
        return self.learner.start(setting)

    def broadcast(self, state: Any) -> Arrays:
        """The learner's."""
        return self.learner.broadcast(state)

    def advance(self, state: Any, total: NDArray[np.int64], noise: float) -> Any:
        """The learner's step."""
        return self.learner.advance(state, total, noise)

    def result(self, state: Any) -> Release:
        """The model with what is known of its learning."""
        return Release(self.name, self.learner.facts(state), self.learner.model(state))
