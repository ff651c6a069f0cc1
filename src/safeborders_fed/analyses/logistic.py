"""Logistic regression by centred full-batch gradient descent on private sums.

Unit: one victim, with all their records. Only labelled victims of the population that are not held out
count; every other contributes zero.

Stage ``statistics`` (one round). Row of a victim: ``(1, y, x) / norm`` with x the one-hot features (public
bins) and norm such that the row's L2 norm is at most 1; a victim with very many values is scaled down to
norm 1, which only shifts the centre a little. Bound: 1, that is ``UNIT`` grid units, exact in integers.

Stage ``gradient`` (T rounds). Row: the gradient of the logistic loss at the broadcast weights,
``(sigmoid(z w) - y) z`` with ``z = ((x - centre) / sqrt(fields), 1/2)``, scaled down to L2 norm ``clip``
where it is longer. Bound: ``clip``, that is ``UNIT`` grid units, exact in integers. Subtracting one public
centre from every victim is a function of each victim alone, so the bound is that of the clipped row.

Noise: the door's, once a round. Costs add over the rounds: the same rho each within a stage.

Rules follow public quantities only: the noisy count of labelled victims (paid for in ``statistics``), the
noise of the private sum, the number of rounds. Weights are the mean of the second half of the iterates
(Polyak and Juditsky 1992); clipping after Abadi et al. 2016 (arXiv 1607.00133).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

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
_INTERCEPT: Final = 0.5
_CHUNK: Final = 8192


class LogisticParameters(Parameters):
    """What a manifest says of a logistic study.

    Attributes:
        target: ``actual_victim`` or ``form:CODE``.
        features: Names of fields of the contract.
        population: ``all`` or ``minors``.
        rounds: Rounds of gradient descent.
        clip: Largest L2 norm of a victim's gradient.
        held_out: Hundredths of victims that never train.
    """

    target: str
    features: tuple[str, ...] = Limit(min_length=1)
    population: Literal["all", "minors"] = "all"
    rounds: int = Limit(default=40, ge=2, le=1000)
    clip: float = Limit(default=0.25, gt=0, le=1)
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
class LogisticState:
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


def learning_rate(*, labelled: float, gradient_noise: float) -> float:
    """Step size from public quantities.

    Args:
        labelled: Noisy number of labelled victims.
        gradient_noise: Standard deviation of the noise in one round's summed gradient.
    """
    return float(np.clip(RATE * labelled / max(gradient_noise, 1e-12), 2.0, 60.0))


RATE: Final = 0.03
MOMENTUM: Final = 0.9


class Logistic(Analysis[LogisticParameters, Rows, LogisticState]):
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
        self.columns = sum(len(bin_names(entry)) for entry in self._features)

    def fields(self) -> tuple[Field, ...]:
        """Features and the field of the target."""
        return (*self._features, self._target)

    def stages(self) -> tuple[Stage, ...]:
        """One round of statistics, then the gradient rounds."""
        return (
            Stage(STATISTICS, 1, self.columns + 2, UNIT, _STATISTICS_SHARE),
            Stage(GRADIENT, self.parameters.rounds, self.columns + 1, UNIT, 1 - _STATISTICS_SHARE),
        )

    def _statistics_norm(self) -> float:
        return math.sqrt(2 + sum(1 if f.kind == Kind.SINGLE else _MULTI_VALUES for f in self._features))

    def expects(self, stage: str) -> dict[str, tuple[int, ...]]:
        """Nothing for the statistics; weights and centre for a gradient."""
        if stage == STATISTICS:
            return {}
        return {"weights": (self.columns + 1,), "centre": (self.columns,)}

    def prepare(self, victims: Victims) -> Rows:
        """Features and labels of the victims that train."""
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
        rows = np.column_stack([np.ones_like(y), y, x]) / self._statistics_norm()
        return _shorten(rows, 1.0) * UNIT

    def _gradient_rows(
        self, x: NDArray[np.float64], y: NDArray[np.float64], broadcast: Arrays
    ) -> NDArray[np.float64]:
        z = self.standardise(x, broadcast["centre"])
        residual = expit(z @ broadcast["weights"]) - y
        return _shorten(residual[:, None] * z, self.parameters.clip) * (UNIT / self.parameters.clip)

    def standardise(self, x: NDArray[np.float64], centre: NDArray[np.float64]) -> NDArray[np.float64]:
        """Model inputs z, shape (n, columns + 1), from one-hot features."""
        z = np.empty((len(x), self.columns + 1))
        np.subtract(x, centre, out=z[:, :-1])
        z[:, :-1] /= math.sqrt(len(self._features))
        z[:, -1] = _INTERCEPT
        return z

    def start(self, setting: Setting) -> LogisticState:
        """Zero weights."""
        zero = np.zeros(self.columns + 1)
        return LogisticState(setting, 0, 0.0, 0.0, np.zeros(self.columns), zero, zero, zero)

    def broadcast(self, state: LogisticState) -> Arrays:
        """Nothing for the statistics; then weights and centre."""
        return {"weights": state.weights, "centre": state.centre} if state.round else {}

    def advance(self, state: LogisticState, total: NDArray[np.int64], noise: float) -> LogisticState:
        """Takes the statistics, then one step of gradient descent with momentum a round."""
        if state.round == 0:
            sums = total.astype(np.float64) * (self._statistics_norm() / UNIT)
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
        rate = learning_rate(labelled=state.labelled, gradient_noise=noise * clip / UNIT)
        weights = state.weights - rate * velocity
        half = self.parameters.rounds // 2
        averaged = state.averaged
        if state.round > half:
            averaged = averaged + weights / (self.parameters.rounds - half)
        return replace(state, round=state.round + 1, velocity=velocity, weights=weights, averaged=averaged)

    def result(self, state: LogisticState) -> Release:
        """The averaged weights with what is needed to use them."""
        names = [f"{entry.name}={name}" for entry in self._features for name in bin_names(entry)]
        facts = {
            "target": self.parameters.target,
            "population": self.parameters.population,
            "features": list(self.parameters.features),
            "columns": names,
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


def _shorten(rows: NDArray[np.float64], longest: float) -> NDArray[np.float64]:
    """Rows scaled down to L2 norm ``longest`` where they are longer; a hair less, for rounding's sake."""
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    factor = np.minimum(1.0, longest * (1 - 1e-9) / np.maximum(norms, 1e-300))
    shortened: NDArray[np.float64] = rows * factor[:, None]
    return shortened
