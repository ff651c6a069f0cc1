"""The frame of an analysis: what a node computes and what the coordinator does with the private sum.

An analysis is one class in one file. Nothing around it knows what it computes: the node hands it merged
victims and a broadcast and gets a ``BoundedSum``; the coordinator hands it private sums and gets a release.

Guarantees expected of every analysis:

- ``contribute`` depends on its arguments only, and each victim's part of the sum on that victim alone.
- ``stages`` depends on the parameters only, so both sides know dimension, bound and cost beforehand.
- ``advance`` and ``result`` are deterministic, so that nodes can replay a release.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from safeborders_fed.analyses.expectation import NOT_PREDICTED, VICTIMS, Expected
from safeborders_fed.errors import ConfigurationError

if TYPE_CHECKING:
    from safeborders_fed.cases.contract import Field
    from safeborders_fed.cases.encoding import Victims
    from safeborders_fed.privacy.bounded_sum import BoundedSum

UNIT = 2**20
"""Grid units to a victim's largest norm: fine enough that truncation is far below any noise."""
FINE_UNIT = 2**28
"""The same where a row is a product of two integer vectors, each of which must be fine enough by itself."""

PurposeCategory = Literal[
    "victim-identification", "modus-operandi", "statistics", "early-warning", "evaluation"
]
"""What case data may be asked for: models that find victims; how the crime is done; tables for publication;
what is emerging; how good methods are."""
PURPOSE_CATEGORIES: Final[tuple[str, ...]] = get_args(PurposeCategory)

Arrays = dict[str, NDArray[np.float64]]
"""Named float64 arrays: what a broadcast carries."""


class Parameters(BaseModel):
    """Parameters of an analysis: strict, frozen, without unknown keys."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class Stage:
    """A run of equal rounds.

    Attributes:
        name: Unique within the analysis.
        rounds: How many.
        dimension: Coordinates of a contribution.
        bound: L2 sensitivity of one round, grid units.
        share: Share of the study's rho that all rounds of the stage cost together.
    """

    name: str
    rounds: int
    dimension: int
    bound: int
    share: float


@dataclass(frozen=True, slots=True)
class Setting:
    """The public quantities of a study that rules may use.

    Attributes:
        participants: How many nodes take part.
        noise: Stage name to the standard deviation of the noise planned in a private sum, grid units.
        warm: The arrays of a published model that training starts from, if the manifest names one.
    """

    participants: int
    noise: dict[str, float]
    warm: Arrays | None = None


@dataclass(frozen=True)
class Release:
    """What a study publishes. All of it is computed from private sums and public parameters.

    Attributes:
        kind: Name of the analysis.
        facts: Values that JSON can hold.
        arrays: Named float64 arrays.
    """

    kind: str
    facts: dict[str, Any]
    arrays: Arrays


State = TypeVar("State")
P = TypeVar("P", bound=Parameters)
Prepared = TypeVar("Prepared")


class Analysis(ABC, Generic[P, Prepared, State]):
    """One analysis with fixed parameters.

    ``Prepared`` is what a node computes once for a snapshot and keeps in memory between rounds; ``State`` is
    what the coordinator carries between rounds.

    Attributes:
        made_for: The category of purpose that a study of it comes under unless its operator says another.
    """

    name: ClassVar[str]
    made_for: ClassVar[PurposeCategory]
    parameters_type: ClassVar[type[Parameters]]

    def __init__(self, parameters: P) -> None:
        self.parameters = parameters

    @abstractmethod
    def fields(self) -> tuple[Field, ...]:
        """The fields of the data contract that a node reads for it."""

    @abstractmethod
    def stages(self) -> tuple[Stage, ...]:
        """The stages in order."""

    @abstractmethod
    def expects(self, stage: str) -> dict[str, tuple[int, ...]]:
        """Name and shape of each array that a broadcast of the stage must hold."""

    @abstractmethod
    def prepare(self, victims: Victims, node: str) -> Prepared:
        """The node's half, once for a snapshot: its victims as arrays. ``node`` is its name in the study."""

    @abstractmethod
    def contribute(self, prepared: Prepared, stage: Stage, broadcast: Arrays, max_victims: int) -> BoundedSum:
        """The node's half, each round: the bounded sum over its victims.

        ``broadcast`` was checked against ``expects`` and holds finite numbers only.
        """

    @abstractmethod
    def start(self, setting: Setting) -> State:
        """The coordinator's state before the first round."""

    @abstractmethod
    def broadcast(self, state: State) -> Arrays:
        """What every node needs for the next round; the same bytes for all."""

    @abstractmethod
    def advance(self, state: State, total: NDArray[np.int64], noise: float) -> State:
        """The state after a round.

        Args:
            state: The state before it.
            total: The private sum, shape (dimension,), grid units.
            noise: Standard deviation of the noise really present in it, grid units.
        """

    @abstractmethod
    def result(self, state: State) -> Release:
        """The release after the last round."""

    def expected(self, noise: Mapping[str, float], victims: Sequence[int] = VICTIMS) -> Expected:
        """How accurate a study is expected to be: from public quantities alone, never from case data.

        Args:
            noise: Stage name to the standard deviation of the noise in a private sum, grid units.
            victims: Numbers of victims over all states to give figures for; how many there are is not public.
        """
        del noise, victims
        return NOT_PREDICTED


def parse_parameters(kind: type[Analysis[Any, Any, Any]], raw: dict[str, Any]) -> Parameters:
    """Parameters of an analysis from JSON values.

    Raises:
        ConfigurationError: ``bad-parameters``, naming each wrong one.
    """
    try:
        # JSON has no tuples: lists are read as the tuples that the strict models hold.
        return kind.parameters_type.model_validate_json(json.dumps(raw, allow_nan=False))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise ConfigurationError(
            "bad-parameters", f"parameters of analysis {kind.name!r}: {problems}", "correct those parameters"
        ) from error
