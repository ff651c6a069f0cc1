"""Logistic regression by noisy second-order steps on private sums.

Unit: one training victim, with all their records.

Stage ``statistics`` (one round): counts; row and bound in ``analyses.inputs``.

Stage ``moments`` (one round). Row: ``amount x z_i z_j`` for ``i <= j``, z the standardised inputs on an
integer grid of 2^-6, and amount the largest integer with which a victim of norm up to ``_TYPICAL_MOMENT``
has a row of at most ``FINE_UNIT`` grid units; a longer one is given a smaller amount. The norm is checked
exactly.

Stage ``gradient`` (T rounds). Row: the gradient of the logistic loss at the broadcast weights, ``(sigmoid(z
w) - y) z`` with ``z = ((x - centre) / spread, 0.3)``, scaled down to L2 norm ``clip`` where it is longer.
Bound: ``clip``, that is ``FINE_UNIT`` grid units. Inputs are integers on a grid of 2^-12, the same two
public values in a column for every victim; the residual times the grid is truncated to an integer q with
``|q| |z| <= FINE_UNIT``; the row is ``q z``, and its norm is checked exactly.

Why the bound holds to the last bit: margins, norms and sums are integers, so that no order of addition can
matter, and what is float between them (the sigmoid, a root) is elementwise. A victim's row is a function of
that victim alone.

Noise: the door's, once a round. Costs add over the rounds: the same rho each within a stage.

The rule. Where the loss is nearly quadratic with curvature H, a noisy gradient g at weights w measures the
optimum: ``H w - g = H w* + noise``. All rounds' measurements are combined as a Kalman filter does (recursive
least squares: Kalman 1960; Ljung 1999, section 11.2), direction by direction, with a normal prior on the
weights, so that a direction whose signal is below the noise of all rounds together stays near its start.
Earlier rounds, made further from the optimum, are forgotten slowly. H is ``analyses.curvature`` times the
mean bending of the loss at the present weights. If H is wrong, the steps are longer or shorter than they
might be; where they end, the gradient is zero up to noise and prior, whatever H is. Everything follows from
public quantities: noisy sums that were paid for, their noise, the number of rounds. Clipping after Abadi et
al. 2016 (arXiv 1607.00133).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Limit
from scipy.special import expit

from safeborders_fed.analyses.base import FINE_UNIT, Arrays, Parameters, Setting, Stage
from safeborders_fed.analyses.curvature import Curvature, bending, curvature, starting_margin
from safeborders_fed.analyses.inputs import (
    INPUT_GRID,
    INTERCEPT,
    MARGIN_GRID,
    STATISTICS,
    Counted,
    Inputs,
    add_statistics,
    read_statistics,
    spread_of,
    statistics_stage,
)
from safeborders_fed.analyses.learner import LARGEST_START, Learner, Rows
from safeborders_fed.privacy.bounded_sum import BoundedSumBuilder
from safeborders_fed.privacy.products import Indicators, Scaled

if TYPE_CHECKING:
    from safeborders_fed.privacy.bounded_sum import BoundedSum

MOMENTS: Final = "moments"
GRADIENT: Final = "gradient"
_STATISTICS_SHARE: Final = 0.045
_MOMENTS_SHARE: Final = 0.045
"""About what one of 22 gradient rounds costs: a dearer round would make every reserved retry as dear."""
_MOMENT_GRID: Final = 2.0**6
_TYPICAL_MOMENT: Final = 1.06
"""L2 norm of the triangle of second moments of a victim with squared norm 1.5, were all in two inputs."""
_PRIOR: Final = 1.5
"""Standard deviation of a weight before anything is known: margins then spread by as much."""
_FORGETTING: Final = 1.5
_LONGEST_STEP: Final = 1.0
"""By how much a step may move margins, as a standard deviation over victims."""
_INTERCEPT_PRIOR: Final = 0.01
"""Precision of the intercept's start: next to none."""


class NewtonParameters(Parameters):
    """What a manifest says of second-order steps.

    Attributes:
        rounds: Rounds of gradients.
        clip: Largest L2 norm of a victim's gradient.
    """

    rounds: int = Limit(default=22, ge=2, le=1000)
    clip: float = Limit(default=0.5, ge=1e-3, le=1)


@dataclass(frozen=True)
class NewtonState:
    """What the coordinator carries between rounds.

    Attributes:
        setting: Public quantities of the study.
        round: Rounds done.
        counted: Once the statistics are there.
        curvature: Once the second moments are there.
        first: Weights at the start, the intercept last, shape (columns + 1,).
        weights: Weights now, likewise.
        precision: Of what all rounds say of each direction and, last, of the intercept; shape (columns + 1,).
        information: Precision times what they say, likewise.
    """

    setting: Setting
    round: int
    counted: Counted | None
    curvature: Curvature | None
    first: NDArray[np.float64]
    weights: NDArray[np.float64]
    precision: NDArray[np.float64]
    information: NDArray[np.float64]


class Newton(Learner[NewtonState]):
    """Logistic regression over one-hot columns.

    Args:
        columns: How many.
        rounds: Rounds of gradients.
        clip: Largest L2 norm of a victim's gradient.
    """

    predicted_for = (0.02, 0.1, 0.5)

    def __init__(self, columns: int, *, rounds: int, clip: float) -> None:
        self.columns = columns
        self._rounds = rounds
        self._clip = clip

    def stages(self) -> tuple[Stage, ...]:
        """One round of statistics, one of second moments, then the gradients."""
        triangle = self.columns * (self.columns + 1) // 2
        return (
            statistics_stage(self.columns, _STATISTICS_SHARE),
            Stage(MOMENTS, 1, triangle, FINE_UNIT, _MOMENTS_SHARE),
            Stage(
                GRADIENT, self._rounds, self.columns + 1, FINE_UNIT, 1 - _STATISTICS_SHARE - _MOMENTS_SHARE
            ),
        )

    def expects(self, stage: str) -> dict[str, tuple[int, ...]]:
        """Nothing for the statistics; the centre for the moments; weights as well for a gradient."""
        if stage == STATISTICS:
            return {}
        return {"centre": (self.columns,)} if stage == MOMENTS else self.model_shapes()

    def model_shapes(self) -> dict[str, tuple[int, ...]]:
        """Weights on standardised inputs, the intercept last, and the centre."""
        return {"weights": (self.columns + 1,), "centre": (self.columns,)}

    def contribute(self, rows: Rows, stage: Stage, broadcast: Arrays, max_victims: int) -> BoundedSum:
        """The bounded sum of counts, second moments or clipped gradients over training victims."""
        builder = BoundedSumBuilder(dimension=stage.dimension, bound=stage.bound, max_victims=max_victims)
        if stage.name == STATISTICS:
            for part in rows.parts():
                add_statistics(builder, part)
        elif stage.name == MOMENTS:
            for part in rows.parts():
                builder.add_moments(*_moments(part, broadcast["centre"]))
        else:
            with np.errstate(all="ignore"):  # what overflows is held within its limits, or counts as zero
                for part in rows.parts():
                    builder.add_products([self._gradients(part, broadcast)])
        return builder.finish()

    def _gradients(self, rows: Rows, broadcast: Arrays) -> tuple[Scaled, NDArray[np.int64]]:
        inputs = Inputs.of(broadcast["centre"])
        left = Scaled(rows.features, inputs.on[:-1], inputs.off[:-1], constant=int(inputs.on[-1]))
        residual = expit(_margins(inputs, broadcast["weights"], rows.features)) - rows.target
        wanted = residual * (FINE_UNIT / (self._clip * INPUT_GRID))
        longest = np.floor(FINE_UNIT * (1 - 1e-12) / np.sqrt(np.maximum(left.squares(), 1)))
        return left, np.trunc(np.clip(wanted, -longest, longest)).astype(np.int64)[:, None]

    def margins(self, model: Arrays, x: Indicators) -> NDArray[np.float64]:
        """Log-odds in exact arithmetic on a grid of 2^-24."""
        return _margins(Inputs.of(model["centre"]), model["weights"], x)

    def explain(self, model: Arrays, x: Indicators, fields: Sequence[slice]) -> NDArray[np.float64]:
        """A field's own terms: at its centre it would add nothing."""
        inputs, weights = Inputs.of(model["centre"]), model["weights"]
        terms, _ = inputs.terms(weights)
        unset = inputs.off[:-1] / INPUT_GRID * weights[:-1]
        table = np.zeros((self.columns, len(fields)), dtype=np.int64)
        base = np.zeros(len(fields))
        for index, columns in enumerate(fields):
            table[columns, index] = terms[columns]
            base[index] = unset[columns].sum()
        return x.apply(table) / MARGIN_GRID + base

    def start(self, setting: Setting) -> NewtonState:
        """Nothing known yet."""
        zero = np.zeros(self.columns + 1)
        return NewtonState(setting, 0, None, None, zero, zero, zero, zero)

    def broadcast(self, state: NewtonState) -> Arrays:
        """Nothing; then the centre; then weights and centre."""
        if state.counted is None:
            return {}
        centre = {"centre": state.counted.centre}
        return centre if state.curvature is None else {"weights": state.weights, **centre}

    def advance(self, state: NewtonState, total: NDArray[np.int64], noise: float) -> NewtonState:
        """Takes the counts, then the second moments, then one measurement of the optimum a round."""
        state = replace(state, round=state.round + 1)
        if state.counted is None:
            counted = read_statistics(total, noise)
            first = self._first(counted, state.setting.warm)
            return replace(state, counted=counted, first=first, weights=first)
        if state.curvature is None:
            scale = _TYPICAL_MOMENT / FINE_UNIT
            found = curvature(state.counted, total.astype(np.float64) * scale, noise * scale)
            return replace(state, curvature=found)
        scale = self._clip / FINE_UNIT
        return self._step(
            state, state.counted, state.curvature, total.astype(np.float64) * scale, noise * scale
        )

    def _first(self, counted: Counted, warm: Arrays | None) -> NDArray[np.float64]:
        """Weights to start from: zero, or those of a published model in the present inputs."""
        if warm is None:
            return np.append(np.zeros(self.columns), starting_margin(counted.rate, self._clip) / INTERCEPT)
        weights = np.clip(warm["weights"], -LARGEST_START, LARGEST_START)
        centre = np.clip(warm["centre"], 0.0, 1.0)
        slopes = weights[:-1] / spread_of(centre)
        shift = float(slopes @ (counted.centre - centre)) / INTERCEPT
        start = np.append(slopes * spread_of(counted.centre), weights[-1] + shift)
        held: NDArray[np.float64] = np.clip(start, -LARGEST_START, LARGEST_START)
        return held

    def _step(
        self,
        state: NewtonState,
        counted: Counted,
        shape: Curvature,
        gradient: NDArray[np.float64],
        noise: float,
    ) -> NewtonState:
        labelled, weights = counted.labelled, state.weights
        turned = shape.directions.T @ weights[:-1]
        spread = math.sqrt(float(shape.values @ turned**2) / labelled)
        factor = bending(INTERCEPT * float(weights[-1]), spread, counted.rate, self._clip)
        # Well known directions allow steps beyond the mean bending: where a model is sure, it bends less.
        factor *= 0.5 + 0.5 * shape.doubt
        curve = factor * np.append(shape.values, labelled * INTERCEPT**2)
        moved = weights - state.first
        place = np.append(shape.directions.T @ moved[:-1], moved[-1])
        slope = np.append(shape.directions.T @ gradient[:-1], gradient[-1])
        measured = state.round - 2
        kept = 1 - _FORGETTING / (measured + _FORGETTING - 1)
        variance = max(noise, 1e-9 * labelled) ** 2
        precision = kept * state.precision + curve**2 / variance
        information = kept * state.information + curve * (curve * place - slope) / variance
        prior = np.append(np.full(self.columns, _PRIOR**-2), _INTERCEPT_PRIOR)
        step = information / (precision + prior) - place
        length = math.sqrt(float(shape.values @ step[:-1] ** 2) / labelled)
        step[:-1] *= min(1.0, _LONGEST_STEP / max(length, 1e-300))
        step[-1] = np.clip(step[-1], -_LONGEST_STEP / INTERCEPT, _LONGEST_STEP / INTERCEPT)
        following = weights + np.append(shape.directions @ step[:-1], step[-1])
        return replace(state, weights=following, precision=precision, information=information)

    def remaining_noise(self, noise: Mapping[str, float]) -> float:
        """That of the mean over all rounds, which are combined."""
        return noise[GRADIENT] / FINE_UNIT * self._clip / math.sqrt(self._rounds)

    def model(self, state: NewtonState) -> Arrays:
        """The weights with the centre that is needed to use them."""
        centre = np.zeros(self.columns) if state.counted is None else state.counted.centre
        return {"weights": state.weights, "centre": centre}

    def facts(self, state: NewtonState) -> dict[str, Any]:
        """Noisy counts of labelled and of positive training victims."""
        return {} if state.counted is None else state.counted.facts()


def _moments(rows: Rows, centre: NDArray[np.float64]) -> tuple[Scaled, NDArray[np.int64]]:
    inputs = Inputs.of(centre, _MOMENT_GRID)
    left = Scaled(rows.features, inputs.on[:-1], inputs.off[:-1], constant=0)
    longest = np.maximum(np.sqrt(left.moment_squares()), _TYPICAL_MOMENT * _MOMENT_GRID**2)
    return left, np.floor(FINE_UNIT * (1 - 1e-12) / longest).astype(np.int64)


def _margins(inputs: Inputs, weights: NDArray[np.float64], x: Indicators) -> NDArray[np.float64]:
    terms, nothing = inputs.terms(weights)
    return (x.apply(terms) + nothing) / MARGIN_GRID
