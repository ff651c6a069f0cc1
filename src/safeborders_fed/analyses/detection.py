"""Detection: learn from labelled victims whether a referral shows signs of victimhood, and measure how well.

Unit: one victim, with all their records. Victims whose label is not known, or who are not of the population,
contribute zero. Of the others a share, chosen by the keyed pseudonym, never trains: they are held out.

The learner's stages see training victims only (its own docstring states rows and bounds). The last stage,
``evaluation``, sees held-out victims only: one round, in which each adds one amount to one cell of each table
of score bin x label x group (``analyses.evaluation`` states the bound). Costs of all stages add up, although
no victim is in both: the ledger charges attempts, and the sum is the safe side.

Labels are signs of victimhood only. A label about a suspect is refused: no person is scored for a propensity
to offend (Regulation (EU) 2024/1689, Art. 5(1)(d)).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Limit

from safeborders_fed.analyses import evaluation
from safeborders_fed.analyses.base import Analysis, Arrays, Parameters, Release, Setting, Stage
from safeborders_fed.analyses.expectation import NOT_PREDICTED, VICTIMS, Expected, losses
from safeborders_fed.analyses.learner import Learner, Rows
from safeborders_fed.cases.contract import Field, field
from safeborders_fed.cases.encoding import MINOR_BY_GROUP, bin_names, design, labels, target_fields
from safeborders_fed.errors import RefusedError
from safeborders_fed.privacy.bounded_sum import BoundedSumBuilder
from safeborders_fed.privacy.products import Indicators

if TYPE_CHECKING:
    from safeborders_fed.cases.encoding import Victims
    from safeborders_fed.privacy.bounded_sum import BoundedSum

EVALUATION: Final = "evaluation"
_ABOUT: Final = (
    "AUC is the area under the ROC curve; the loss is against the same model without privacy, where that has "
    ".85. Nine in ten studies lie within the brackets. How good a model without privacy is follows from the "
    "cases, and is not predicted."
)


class DetectionParameters(Parameters):
    """What a manifest says of a detection study.

    Attributes:
        target: ``actual_victim``, ``form:CODE`` or ``minor_exploited_by_group``.
        features: Names of fields of the contract.
        population: ``all`` or ``minors``.
        held_out: Hundredths of victims that never train; without any there is no evaluation.
        partitions: By what else accuracy is measured; several cost more noise in each.
        evaluation_share: Share of the study's rho for the evaluation.
        states: The participants, where accuracy is measured by state.
        warm_start: SHA-256 of the model file that training starts from.
    """

    target: str
    features: tuple[str, ...] = Limit(min_length=1)
    population: Literal["all", "minors"] = "all"
    held_out: int = Limit(default=25, ge=0, le=90)
    partitions: tuple[evaluation.Partition, ...] = ()
    evaluation_share: float = Limit(default=0.1, gt=0, lt=1)
    states: tuple[str, ...] = ()
    warm_start: Annotated[str, Limit(pattern=r"^[0-9a-f]{64}$")] | None = None


@dataclass(frozen=True)
class Examples:
    """A node's victims, prepared.

    Attributes:
        training: Those that train.
        testing: Those held out.
        groups: Where each held-out victim stands in each partition, int64, shape (n, tables).
    """

    training: Rows
    testing: Rows
    groups: NDArray[np.int64]


@dataclass(frozen=True)
class DetectionState:
    """What the coordinator carries: the learner's state, the rounds done, the evaluation once it is there."""

    learned: Any
    rounds: int
    measured: dict[str, Any] | None = None


DP = TypeVar("DP", bound=DetectionParameters)


class Detection(Analysis[DP, Examples, DetectionState]):
    """A detection model by any learner.

    Attributes:
        learner: Made by ``_learner`` for the number of columns.
    """

    learner: Learner[Any]

    def __init__(self, parameters: DP) -> None:
        super().__init__(parameters)
        self._features = tuple(field(name) for name in parameters.features)
        self._targets = target_fields(parameters.target)
        wrong = [entry.name for entry in self._features if not entry.feature or entry in self._targets]
        if wrong or len(set(parameters.features)) != len(parameters.features):
            raise RefusedError(
                "bad-features",
                f"{wrong or list(parameters.features)} cannot be features of target {parameters.target!r}",
                "name each feature once, and neither an identifying field nor what the target is made from",
            )
        if parameters.target == MINOR_BY_GROUP and parameters.population == "minors":
            raise RefusedError(
                "label-about-suspect",
                "among minors alone, whether a minor was exploited by a group says only who the exploiter is",
                "learn it in the population of all, or learn another label",
            )
        if parameters.partitions and not self._evaluates:
            raise RefusedError(
                "bad-partitions",
                "accuracy cannot be measured by group when nobody is held out",
                "hold some victims out, or name no partitions",
            )
        if ("state" in parameters.partitions) != bool(parameters.states):
            raise RefusedError(
                "bad-states",
                "states belong to an evaluation by state, and to no other",
                "name the participants in `states` together with the partition `state`, or neither",
            )
        self._layout = evaluation.layout(parameters.partitions, parameters.states)
        self.learner = self._learner(sum(len(bin_names(entry)) for entry in self._features))

    @abstractmethod
    def _learner(self, columns: int) -> Learner[Any]:
        """The learner over so many columns."""

    def column_fields(self) -> list[tuple[Field, slice]]:
        """Which columns belong to which feature."""
        found, start = [], 0
        for entry in self._features:
            width = len(bin_names(entry))
            found.append((entry, slice(start, start + width)))
            start += width
        return found

    def fields(self) -> tuple[Field, ...]:
        """What decides which of a victim's records counts, features, target, age for a population, groups."""
        named = [field("registration_date"), *self._features, *self._targets]
        if self.parameters.population == "minors":
            named.append(field("age_band"))
        if self._evaluates:
            named.extend(evaluation.fields(self.parameters.partitions))
        return tuple(dict.fromkeys(named))

    @property
    def _evaluates(self) -> bool:
        return self.parameters.held_out > 0

    def stages(self) -> tuple[Stage, ...]:
        """Those of the learner, then the evaluation."""
        learning = self.learner.stages()
        if not self._evaluates:
            return learning
        share = self.parameters.evaluation_share
        scaled = tuple(replace(stage, share=stage.share * (1 - share)) for stage in learning)
        return (*scaled, Stage(EVALUATION, 1, self._layout.dimension, evaluation.BOUND, share))

    def expects(self, stage: str) -> dict[str, tuple[int, ...]]:
        """What the learner expects; for the evaluation the finished model and the edges of score bins."""
        if stage != EVALUATION:
            return self.learner.expects(stage)
        return {**self.learner.model_shapes(), "edges": (evaluation.BINS - 1,)}

    def prepare(self, victims: Victims, node: str) -> Examples:
        """Features and labels of the victims that train, and of those held out."""
        chosen = labels(victims, self.parameters.target) >= 0
        if self.parameters.population == "minors":
            chosen &= victims.minors()
        victims = victims.take(chosen)
        held_out = victims.held_out(self.parameters.held_out)
        tested = victims.take(held_out)
        groups = self._layout.groups(tested, node)
        return Examples(self._rows(victims.take(~held_out)), self._rows(tested), groups)

    def _rows(self, victims: Victims) -> Rows:
        target = labels(victims, self.parameters.target).astype(np.int64)
        return Rows(Indicators(design(victims, self._features)), target)

    def contribute(self, prepared: Examples, stage: Stage, broadcast: Arrays, max_victims: int) -> BoundedSum:
        """The learner's sum over training victims, or the cells of held-out ones."""
        if stage.name != EVALUATION:
            return self.learner.contribute(prepared.training, stage, broadcast, max_victims)
        builder = BoundedSumBuilder(dimension=stage.dimension, bound=stage.bound, max_victims=max_victims)
        with np.errstate(all="ignore"):
            scores = self.learner.margins(broadcast, prepared.testing.features)
        cells = self._layout.cells(prepared.groups, scores, prepared.testing.target, broadcast["edges"])
        builder.add_cells(cells, self._layout.weights)
        return builder.finish()

    def start(self, setting: Setting) -> DetectionState:
        """The learner's start.

        Raises:
            RefusedError: ``bad-warm-start``, when a model is missing, or given and not asked for.
        """
        if (setting.warm is None) != (self.parameters.warm_start is None):
            raise RefusedError(
                "bad-warm-start",
                "the manifest and the study differ on whether training starts from a published model",
                "give the model file that the manifest names in `warm_start`, or draft the study without it",
            )
        return DetectionState(self.learner.start(setting), 0)

    def _learnt(self, state: DetectionState) -> bool:
        return state.rounds >= sum(stage.rounds for stage in self.learner.stages())

    def broadcast(self, state: DetectionState) -> Arrays:
        """What the learner needs; for the evaluation the model and the edges."""
        if not self._learnt(state):
            return self.learner.broadcast(state.learned)
        model = self.learner.model(state.learned)
        slices = [columns for _, columns in self.column_fields()]
        return {**model, "edges": evaluation.edges(self.learner, model, slices)}

    def advance(self, state: DetectionState, total: NDArray[np.int64], noise: float) -> DetectionState:
        """The learner's step, or the evaluation's summary."""
        if self._learnt(state):
            edges = self.broadcast(state)["edges"]
            measured = evaluation.summarise(self._layout, total, noise, edges)
            return replace(state, rounds=state.rounds + 1, measured=measured)
        learned = self.learner.advance(state.learned, total, noise)
        return replace(state, rounds=state.rounds + 1, learned=learned)

    def result(self, state: DetectionState) -> Release:
        """The model, what its columns mean, and how good it is."""
        facts = {
            "target": self.parameters.target,
            "population": self.parameters.population,
            "features": list(self.parameters.features),
            "columns": [f"{entry.name}={name}" for entry in self._features for name in bin_names(entry)],
            "evaluation": state.measured,
            "calibration": state.measured["calibration"] if state.measured else None,
            **self.learner.facts(state.learned),
        }
        return Release(self.name, facts, self.learner.model(state.learned))

    def expected(self, noise: Mapping[str, float], victims: Sequence[int] = VICTIMS) -> Expected:
        """What noise takes from the area under the ROC curve, by a rule (``analyses.expectation``)."""
        deviation = self.learner.remaining_noise(noise)
        if deviation is None or self.parameters.warm_start is not None:
            return NOT_PREDICTED
        figures = losses(
            deviation=deviation,
            columns=self.learner.columns,
            trains=1 - self.parameters.held_out / 100,
            positives=self.learner.predicted_for,
            victims=victims,
        )
        return Expected(figures, _ABOUT)
