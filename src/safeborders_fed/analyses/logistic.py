"""Logistic regression by centred full-batch gradient descent on private sums.

Unit: one victim, with all their records. Only labelled victims of the population that are not held out
count; every other contributes zero.

Stage ``statistics`` (one round). Row of a victim: ``(1, y, x) / norm`` with x the one-hot features (public
bins) and norm such that the row's L2 norm is at most 1; a victim with very many values is scaled down to
norm 1, which only shifts the centre a little. Bound: 1, that is ``UNIT`` grid units, exact in integers.

Stage ``gradient`` (T rounds). Row: the gradient of the logistic loss at the broadcast weights,
``(sigmoid(z w) - y) z`` with ``z = ((x - centre) / spread, 0.3)``, scaled down to L2 norm ``clip`` where it
is longer. Bound: ``clip``, that is ``UNIT`` grid units, exact in integers. Centre and spread are the same
public numbers for every victim, so a row is a function of its victim alone, and its bound that of clipping.
That holds for the rounding too: all that leads to a row is elementwise over victims, one column after the
other. A matrix product would not do: it adds up in an order that depends on a row's place among the others,
and weights that cancel turn that rounding into anything, so that one victim more would move all the rest.

Noise: the door's, once a round. Costs add over the rounds: the same rho each within a stage.

Rules follow public quantities only: the noisy count of labelled victims and the noisy centre (paid for in
``statistics``), the noise of the private sum, the number of rounds. The spread of a column follows from its
centre, since a column holds 0 or 1: noise is the same in every column, so a column that seldom varies is
stretched until its signal stands out, and less so the nearer it is to never varying, where it would be
noise alone. Weights are the mean of the second half of the iterates (Polyak and Juditsky 1992); clipping
after Abadi et al. 2016 (arXiv 1607.00133).

``Descent`` is all of this over any one-hot columns; ``Logistic`` takes them from the data contract.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Limit
from scipy.special import expit

from safeborders_fed.analyses.base import UNIT, Analysis, Arrays, Parameters, Release, Setting, Stage
from safeborders_fed.cases.contract import Field, Kind, field
from safeborders_fed.cases.encoding import bin_names, design, labels, target_field
from safeborders_fed.errors import RefusedError
from safeborders_fed.privacy.bounded_sum import BoundedSumBuilder, quantise

if TYPE_CHECKING:
    from safeborders_fed.cases.encoding import Victims
    from safeborders_fed.privacy.bounded_sum import BoundedSum

STATISTICS: Final = "statistics"
GRADIENT: Final = "gradient"
_STATISTICS_SHARE: Final = 0.05
_MULTI_VALUES: Final = 4.0
"""Values of a multi field that a row of the statistics can hold before it is scaled down."""
_INTERCEPT: Final = 0.3
"""Input of the intercept, in units of a typical victim's norm: larger, and it takes room below the clip."""
_RARE: Final = 0.05
"""Variance (that of a column of 5% ones) below which a column is stretched less and less."""
_CHUNK: Final = 8192


class DescentParameters(Parameters):
    """What a manifest says of gradient descent.

    Attributes:
        rounds: Rounds of gradient descent.
        clip: Largest L2 norm of a victim's gradient.
    """

    rounds: int = Limit(default=40, ge=2, le=1000)
    clip: float = Limit(default=0.25, gt=0, le=1)


class LogisticParameters(DescentParameters):
    """What a manifest says of a logistic study.

    Attributes:
        target: ``actual_victim`` or ``form:CODE``.
        features: Names of fields of the contract.
        population: ``all`` or ``minors``.
        held_out: Hundredths of victims that never train.
    """

    target: str
    features: tuple[str, ...] = Limit(min_length=1)
    population: Literal["all", "minors"] = "all"
    held_out: int = Limit(default=0, ge=0, le=90)


@dataclass(frozen=True)
class Rows:
    """Victims as a model sees them.

    Attributes:
        features: One-hot, shape (n, columns).
        target: 0 or 1, shape (n,).
    """

    features: NDArray[np.float64]
    target: NDArray[np.float64]


@dataclass(frozen=True)
class DescentState:
    """What the coordinator carries between rounds. Arrays have shape (columns + 1,) unless said otherwise."""

    setting: Setting
    round: int
    labelled: float
    positives: float
    centre: NDArray[np.float64]
    """Shape (columns,)."""
    weights: NDArray[np.float64]
    velocity: NDArray[np.float64]
    averaged: NDArray[np.float64]


MOMENTUM: Final = 0.9
SMALLEST_RATE: Final = 2.0


def learning_rate(*, labelled: float, gradient_noise: float, rounds: int, varying: float) -> float:
    """Step size from public quantities: the more noise in a step, the shorter it is.

    With ``labelled / (gradient_noise rounds)``, what noise alone adds up to in a weight is the same at any
    epsilon and any number of victims, and does not grow with the rounds.

    Args:
        labelled: Noisy number of labelled victims.
        gradient_noise: Standard deviation of the noise in one round's summed gradient.
        rounds: Rounds of gradient descent.
        varying: How many columns vary (``varying_columns``). The curvature of the loss is at most
            ``1/(2 varying)`` times a factor for correlated fields, and descent with this momentum stays
            stable up to 3.8 over the curvature: a rate of ``varying`` leaves room for a factor of 7.
    """
    wanted = labelled / max(gradient_noise * rounds, 1e-12)
    return max(SMALLEST_RATE, min(wanted, varying))


def varying_columns(centre: NDArray[np.float64]) -> float:
    """How many columns vary, each at most 1, less if it is nearly always 0 or nearly always 1; at least 1."""
    variance = centre * (1 - centre)
    return max(1.0, float((variance / (variance + _RARE)).sum()))


D = TypeVar("D", bound=DescentParameters)


class Descent(Analysis[D, Rows, DescentState]):
    """Logistic regression on one-hot columns, wherever they come from.

    Attributes:
        columns: How many columns features have. Set, as all else that ``_describe`` sets, by a subclass.
    """

    columns: int
    _statistics_norm: float

    def _describe(self, *, columns: int, values: float) -> None:
        """Fixes the shape of features: number of columns, and how many of them a victim sets at once."""
        self.columns = columns
        self._statistics_norm = math.sqrt(2 + values)

    def stages(self) -> tuple[Stage, ...]:
        """One round of statistics, then the gradient rounds."""
        return (
            Stage(STATISTICS, 1, self.columns + 2, UNIT, _STATISTICS_SHARE),
            Stage(GRADIENT, self.parameters.rounds, self.columns + 1, UNIT, 1 - _STATISTICS_SHARE),
        )

    def expects(self, stage: str) -> dict[str, tuple[int, ...]]:
        """Nothing for the statistics; weights and centre for a gradient."""
        if stage == STATISTICS:
            return {}
        return {"weights": (self.columns + 1,), "centre": (self.columns,)}

    def contribute(self, prepared: Rows, stage: Stage, broadcast: Arrays, max_victims: int) -> BoundedSum:
        """The bounded sum of statistics or of clipped gradients over this node's training victims."""
        builder = BoundedSumBuilder(dimension=stage.dimension, bound=stage.bound, max_victims=max_victims)
        for start in range(0, len(prepared.target), _CHUNK):
            x, y = prepared.features[start : start + _CHUNK], prepared.target[start : start + _CHUNK]
            with np.errstate(all="ignore"):  # a victim that overflows is not finite and counts as zero
                if stage.name == STATISTICS:
                    rows = self._statistics_rows(x, y)
                else:
                    rows = self._gradient_rows(x, y, broadcast)
            builder.add_rows(quantise(rows))
        return builder.finish()

    def _statistics_rows(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        columns = np.concatenate([np.ones((1, len(y))), y[None], x.T]) / self._statistics_norm
        factor = _shortening(np.sqrt(_squares(columns)), 1.0)
        return (columns * (factor * UNIT)).T

    def _gradient_rows(
        self, x: NDArray[np.float64], y: NDArray[np.float64], broadcast: Arrays
    ) -> NDArray[np.float64]:
        z = np.ascontiguousarray(self.standardise(x, broadcast["centre"]).T)
        margin = np.zeros(len(y))
        for column, weight in zip(z, broadcast["weights"], strict=True):
            margin += column * weight
        residual = expit(margin) - y
        clip = self.parameters.clip
        factor = _shortening(np.abs(residual) * np.sqrt(_squares(z)), clip)
        return (z * (residual * factor * (UNIT / clip))).T

    def standardise(self, x: NDArray[np.float64], centre: NDArray[np.float64]) -> NDArray[np.float64]:
        """Model inputs z, shape (n, columns + 1), from one-hot features; typical victims have norm 1."""
        spread = np.sqrt((centre * (1 - centre) + _RARE) * varying_columns(centre))
        z = np.empty((len(x), self.columns + 1))
        np.subtract(x, centre, out=z[:, :-1])
        z[:, :-1] /= spread
        z[:, -1] = _INTERCEPT
        return z

    def start(self, setting: Setting) -> DescentState:
        """Zero weights."""
        zero = np.zeros(self.columns + 1)
        return DescentState(setting, 0, 0.0, 0.0, np.zeros(self.columns), zero, zero, zero)

    def broadcast(self, state: DescentState) -> Arrays:
        """Nothing for the statistics; then weights and centre."""
        return {"weights": state.weights, "centre": state.centre} if state.round else {}

    def advance(self, state: DescentState, total: NDArray[np.int64], noise: float) -> DescentState:
        """Takes the statistics, then one step of gradient descent with momentum a round."""
        if state.round == 0:
            sums = total.astype(np.float64) * (self._statistics_norm / UNIT)
            labelled = max(1.0, float(sums[0]))
            return replace(
                state,
                round=1,
                labelled=labelled,
                positives=float(np.clip(sums[1], 0.0, labelled)),
                centre=np.clip(sums[2:] / labelled, 0.0, 1.0),
            )
        clip = self.parameters.clip
        gradient = total.astype(np.float64) * (clip / UNIT) / state.labelled
        velocity = MOMENTUM * state.velocity + gradient
        rate = learning_rate(
            labelled=state.labelled,
            gradient_noise=noise * clip / UNIT,
            rounds=self.parameters.rounds,
            varying=varying_columns(state.centre),
        )
        weights = state.weights - rate * velocity
        half = self.parameters.rounds // 2
        averaged = state.averaged
        if state.round > half:
            averaged = averaged + weights / (self.parameters.rounds - half)
        return replace(state, round=state.round + 1, velocity=velocity, weights=weights, averaged=averaged)

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What a release says of its target and columns; values that JSON can hold."""

    def result(self, state: DescentState) -> Release:
        """The averaged weights with what is needed to use them."""
        facts = {
            **self.facts(),
            "labelled_noisy": round(state.labelled),
            "positives_noisy": round(state.positives),
        }
        return Release(self.name, facts, {"weights": state.averaged, "centre": state.centre})

    def scores(self, release: Release, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log-odds, shape (n,), of a released model for one-hot features (n, columns)."""
        scores: NDArray[np.float64] = (
            self.standardise(x, release.arrays["centre"]) @ release.arrays["weights"]
        )
        return scores


class Logistic(Descent[LogisticParameters]):
    """Detection: is a referral an actual victim, or is a form of exploitation present."""

    name = "logistic"
    parameters_type = LogisticParameters

    def __init__(self, parameters: LogisticParameters) -> None:
        super().__init__(parameters)
        self._features = tuple(field(name) for name in parameters.features)
        self._target = target_field(parameters.target)
        wrong = [entry.name for entry in self._features if not entry.feature or entry == self._target]
        if wrong or len(set(parameters.features)) != len(parameters.features):
            raise RefusedError(
                "bad-features",
                f"{wrong or list(parameters.features)} cannot be features of target {parameters.target!r}",
                "name each feature once, and neither an identifying field nor the target itself",
            )
        values = (1 if entry.kind == Kind.SINGLE else _MULTI_VALUES for entry in self._features)
        self._describe(columns=sum(len(bin_names(entry)) for entry in self._features), values=sum(values))

    def fields(self) -> tuple[Field, ...]:
        """What decides which of a victim's records counts, features, target, and age for a population."""
        named = [field("registration_date"), *self._features, self._target]
        if self.parameters.population == "minors":
            named.append(field("age_band"))
        return tuple(dict.fromkeys(named))

    def prepare(self, victims: Victims, node: str) -> Rows:
        """Features and labels of the victims that train."""
        del node
        return self._rows(victims, held_out=False)

    def held_out(self, victims: Victims) -> Rows:
        """Features and labels of the victims that never train: for evaluation inside a node."""
        return self._rows(victims, held_out=True)

    def _rows(self, victims: Victims, *, held_out: bool) -> Rows:
        chosen = (labels(victims, self.parameters.target) >= 0) & (
            victims.held_out(self.parameters.held_out) == held_out
        )
        if self.parameters.population == "minors":
            chosen &= victims.minors()
        victims = victims.take(chosen)
        return Rows(
            design(victims, self._features), labels(victims, self.parameters.target).astype(np.float64)
        )

    def facts(self) -> dict[str, Any]:
        """Target, population, and what each column means."""
        return {
            "target": self.parameters.target,
            "population": self.parameters.population,
            "features": list(self.parameters.features),
            "columns": [f"{entry.name}={name}" for entry in self._features for name in bin_names(entry)],
        }


def _squares(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squared L2 norm of each victim, shape (n,), from columns (d, n), added up column by column."""
    total = np.zeros(columns.shape[1])
    for column in columns:
        total += column * column
    return total


def _shortening(norms: NDArray[np.float64], longest: float) -> NDArray[np.float64]:
    """What makes rows of these norms at most ``longest`` long; a hair less, for rounding's sake."""
    factor: NDArray[np.float64] = np.minimum(1.0, longest * (1 - 1e-9) / np.maximum(norms, 1e-300))
    return factor
