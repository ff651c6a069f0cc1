"""The built-in network: one or two hidden layers over one-hot columns, in exact arithmetic at the node.

Unit: one training victim, with all their records.

Model. ``z = ((x - centre) / spread, 0.3)`` as in logistic regression, then ``a1 = relu(z W1)``, with two
hidden layers ``a2 = relu((a1, b) W2)``, and the log-odds ``(a, b) w``, where ``b`` is ``BIAS``.

Row of a victim in stage ``gradient``: the gradient of the logistic loss at the broadcast weights, scaled down
to L2 norm ``clip`` where it is longer. It is the concatenation of one outer product a layer: the layer's
input times the error that comes back to it. So its norm needs no gradient written out ("ghost norm",
Goodfellow 2015, arXiv 1510.01799): ``r^2 (|(a,b)|^2 + |d2|^2 |(a1,b)|^2 + |d1|^2 |z|^2)`` with r the residual
``sigmoid(margin) - y`` and d the errors for r = 1. Bound: ``clip``, that is ``FINE_UNIT`` = 2^28 grid units.

Why the bound holds to the last bit. A victim's row must be a function of that victim alone (ADR 9), and a
float matrix product is not. So all that a matrix product touches is a whole multiple of a grid, with sums of
at most 2^53 grid steps, where float64 is exact in any order:

- Weights are clipped to 2^4 and rounded to 2^-14, the centre is clipped to [0, 1]; there are at most 2^12
  columns and fewer than 2^7 units in a layer.
- ``z`` is a multiple of 2^-12 and at most 4.5 (its spread is at least .22). What a set column adds to a unit
  is rounded to 2^-14: at most 2^4 * 4.5 * 2 * 2^14 < 2^22 steps, sums of 2^12 columns below 2^34.
- Activations are multiples of 2^-14, cut off at 2^6: at most 2^20 steps, which is what a factor may hold.
  Their products with weights are multiples of 2^-28: 2^20 * 2^18, times 2^7 units: 2^45 steps; rounded to
  2^-14 again before they are the next layer's.
- Errors: d for the last hidden layer is the weights w, on a grid of 2^-12, where the unit is on: 2^16 steps.
  Before it, d1 adds up ``w W2``, clipped to 2^4 and rounded to 2^-12, over units that are on: 2^16 * 2^7 =
  2^23 steps. Squared norms: (2^23)^2 * 2^7 = 2^53 steps at most for errors, 2^40 * 2^7 for activations.
- What is left, from the margin to the factor ``r * min(1, clip / norm)``, is elementwise over victims.
- The right factor, error times that factor on the grid that makes ``clip`` 2^28 steps, is truncated towards
  zero, so no row gets longer; ``BoundedSumBuilder.add_products`` checks the norm exactly and adds up exactly.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from safeborders_fed.analyses.base import FINE_UNIT, Arrays
from safeborders_fed.analyses.gradient_rounds import GRADIENT, GradientParameters, GradientRounds
from safeborders_fed.analyses.inputs import INPUT_GRID, Inputs
from safeborders_fed.analyses.learner import Rows
from safeborders_fed.errors import RefusedError
from safeborders_fed.privacy.bounded_sum import BoundedSumBuilder
from safeborders_fed.privacy.products import LARGEST_ENTRY, Dense, Factor, Indicators, Scaled

MOST_COLUMNS: Final = 2**12
MOST_UNITS: Final = 2**7 - 1
BIAS: Final = 0.25
"""Input of a unit's constant term."""
_GRID: Final = 2.0**14
_ERROR_GRID: Final = 2.0**12
_LARGEST_WEIGHT: Final = 2.0**4
_LAST_WIDTH: Final = 10.0
_PREDICTED_UNITS: Final = 16
"""Units of one hidden layer up to which the loss to noise is known."""
_CONSTANT: Final = BIAS * _GRID
_CHUNK: Final = 8192

_Floats = NDArray[np.float64]


def layer_shapes(columns: int, hidden: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Name and shape of each layer's weights; the last row of each belongs to the constant input."""
    names = ("first", "second")
    widths = (columns, *hidden)
    shapes: dict[str, tuple[int, ...]] = {
        name: (width + 1, units) for name, width, units in zip(names, widths, hidden, strict=False)
    }
    return {**shapes, "last": (widths[-1] + 1,)}


@dataclass(frozen=True)
class _Passed:
    """Victims on their way through the network.

    Attributes:
        activations: For each hidden layer shape (n, units), whole steps of 2^-14; all but the last layer have
            one more unit, the constant.
        margins: Log-odds, shape (n,).
    """

    activations: list[_Floats]
    margins: _Floats


class _Grids:
    """A broadcast as the multiples of grids that the node computes with."""

    def __init__(self, model: Arrays) -> None:
        self.inputs = Inputs.of(model["centre"])
        first = np.clip(model["first"], -_LARGEST_WEIGHT, _LARGEST_WEIGHT)
        on = np.rint(self.inputs.on[:, None] / INPUT_GRID * first * _GRID)
        off = np.rint(self.inputs.off[:, None] / INPUT_GRID * first * _GRID)
        self.off = off[:-1]
        self.first = (on - off)[:-1]
        self.nothing = off.sum(axis=0)
        """What units of the first layer get of a victim without any column set."""
        self.last = _rounded(model["last"], _GRID)
        self.last_errors = _rounded(self.last[:-1], _ERROR_GRID) * _ERROR_GRID
        """What comes back to each unit that is on, for a residual of 1: steps of 2^-12."""
        self.second = self.through = None
        if "second" in model:
            self.second = _rounded(model["second"], _GRID)
            back = _rounded(self.last[:-1, None] * self.second[:-1].T, _ERROR_GRID)
            self.through = back * _ERROR_GRID
            self.off = np.pad(self.off, ((0, 0), (0, 1)))
            self.first = np.pad(self.first, ((0, 0), (0, 1)))
            self.nothing = np.append(self.nothing, _CONSTANT)

    def passed(self, x: Indicators) -> _Passed:
        """One-hot rows through the network."""
        return self.onward(x.apply_floats(self.first, self.nothing))

    def onward(self, summed: _Floats) -> _Passed:
        """From what units of the first layer get (steps of 2^-14, overwritten) to the log-odds."""
        activations = [_cut(summed)]
        if self.second is not None:
            summed = activations[0] @ self.second
            activations.append(_cut(np.trunc(summed, out=summed)))
        margins = activations[-1] @ self.last[:-1]
        return _Passed(activations, (margins + self.last[-1] * _CONSTANT) / _GRID)

    def errors(self, activations: list[_Floats]) -> list[_Errors]:
        """What comes back to each hidden layer."""
        on = _switches(activations[-1])
        last = _Errors(on, self.last_errors, on @ self.last_errors**2)
        if self.through is None:
            return [last]
        first = on @ self.through
        first *= activations[0][:, :-1] > 0
        return [_Errors(first, None, _squares(first)), last]


@dataclass(frozen=True)
class _Errors:
    """What comes back to a hidden layer for a residual of 1: whole steps of 2^-12.

    Attributes:
        by_victim: Shape (n, units).
        by_unit: Shape (units,): errors are ``by_victim`` times these; None for 1.
        squares: Exact squared norms, shape (n,).
    """

    by_victim: _Floats
    by_unit: _Floats | None
    squares: _Floats

    def times(self, factors: _Floats) -> _Floats:
        """Each victim's errors times a factor, shape (n, units). Nothing is added up in it."""
        found: _Floats
        if self.by_unit is None:
            found = np.einsum("ij,i->ij", self.by_victim, factors)
        else:
            found = np.einsum("i,j->ij", factors, self.by_unit)
            found *= self.by_victim
        return found


def _switches(activations: _Floats) -> _Floats:
    """1 for each unit that is on, else 0: activations are whole numbers, and none is negative."""
    found: _Floats = np.minimum(activations, 1.0)
    return found


def _rounded(weights: _Floats, grid: float) -> _Floats:
    found: _Floats = np.rint(np.clip(weights, -_LARGEST_WEIGHT, _LARGEST_WEIGHT) * grid) / grid
    return found


def _cut(summed: _Floats) -> _Floats:
    return np.clip(summed, 0.0, float(LARGEST_ENTRY), out=summed)


def _squares(whole: _Floats) -> _Floats:
    """Squared L2 norm of each row of whole numbers, shape (n,): exact."""
    found: _Floats = np.einsum("ij,ij->i", whole, whole)
    return found


class Network(GradientRounds):
    """The built-in network as a learner.

    Args:
        columns: One-hot columns, at most 2^12.
        hidden: Units of the one or two hidden layers, each at most 127.
        parameters: Rounds, clip and seed.

    Raises:
        RefusedError: ``network-too-large``.
    """

    predicted_for = (0.1, 0.5)
    largest_step = 16.0
    wander = 0.5

    def __init__(self, columns: int, *, hidden: Sequence[int], parameters: GradientParameters) -> None:
        if not (
            columns <= MOST_COLUMNS
            and 1 <= len(hidden) <= 2
            and all(1 <= units <= MOST_UNITS for units in hidden)
        ):
            raise RefusedError(
                "network-too-large",
                f"{columns} columns and hidden layers {list(hidden)} are too much for exact arithmetic",
                f"use at most {MOST_COLUMNS} columns and one or two layers of at most {MOST_UNITS} units",
            )
        super().__init__(columns, layer_shapes(columns, hidden), bound=FINE_UNIT, parameters=parameters)
        self._hidden = tuple(hidden)

    def remaining_noise(self, noise: Mapping[str, float]) -> float | None:
        """That of the mean over all rounds; None for more weights than the rule was fitted to."""
        if len(self._hidden) > 1 or self._hidden[0] > _PREDICTED_UNITS:
            return None
        return noise[GRADIENT] / FINE_UNIT * self._parameters.clip / math.sqrt(self._parameters.rounds)

    def first_weights(self) -> _Floats:
        """Uniform, so that activations have about the norm of inputs; constants begin at zero.

        The last layer begins large: errors that come back through it must stand out against noise, which is
        the same in all layers.
        """
        # random.Random is the same in every version, and on every machine; numpy's does not promise that.
        generator = random.Random(self._parameters.seed)
        parts = []
        for shape in self._shapes.values():
            width = (6.0 / shape[-1]) ** 0.5 if len(shape) == 2 else _LAST_WIDTH / shape[0] ** 0.5
            drawn = np.array([generator.uniform(-width, width) for _ in range(int(np.prod(shape)))])
            drawn = drawn.reshape(shape)
            drawn[-1] = 0.0
            parts.append(drawn.ravel())
        return np.concatenate(parts)

    def add_gradients(self, builder: BoundedSumBuilder, rows: Rows, broadcast: Arrays) -> None:
        """Adds the clipped gradients, part by part to spare memory: sums are exact in any order."""
        grids = _Grids(broadcast)
        start = 0
        for part in rows.features.parts:
            end = start + part.shape[0]
            builder.add_products(self._blocks(grids, part, rows.target[start:end]))
            start = end

    def _blocks(
        self, grids: _Grids, x: Indicators, target: NDArray[np.int64]
    ) -> list[tuple[Factor, _Floats]]:
        passed = grids.passed(x)
        errors = grids.errors(passed.activations)
        inputs = grids.inputs
        lefts: list[Factor] = [Scaled(x, inputs.on[:-1], inputs.off[:-1], constant=int(inputs.on[-1]))]
        lefts += [Dense(activations) for activations in passed.activations]
        input_grids = (INPUT_GRID, *(_GRID for _ in errors))
        lengths = [left.squares() / grid**2 for left, grid in zip(lefts, input_grids, strict=True)]
        norms = lengths[-1] + BIAS**2
        for length, error in zip(lengths, errors, strict=False):
            norms = norms + length * (error.squares / _ERROR_GRID**2)
        clip = self._parameters.clip
        # A hair less, for rounding's sake.
        longest = clip * (1 - 1e-9) / np.sqrt(norms)
        scaled = np.clip(expit(passed.margins) - target, -longest, longest) * (FINE_UNIT / clip)
        rights = [
            error.times(scaled / (grid * _ERROR_GRID))
            for error, grid in zip(errors, input_grids, strict=False)
        ]
        lefts.append(Dense(np.full((len(target), 1), _CONSTANT)))
        rights += [(scaled / _GRID)[:, None], (scaled / _GRID)[:, None]]
        return list(zip(lefts, rights, strict=True))

    def margins(self, model: Arrays, x: Indicators) -> _Floats:
        """Log-odds by the arithmetic of training."""
        grids = _Grids(model)
        parts = [grids.passed(part).margins for part in _chunks(x)]
        return np.concatenate([*parts, np.zeros(0)])

    def explain(self, model: Arrays, x: Indicators, fields: Sequence[slice]) -> _Floats:
        """By passing each record on with the columns of one field at their centre."""
        grids = _Grids(model)
        found = np.zeros((x.shape[0], len(fields)))
        done = 0
        for part in _chunks(x):
            summed = part.apply_floats(grids.first, grids.nothing)
            margins = grids.onward(summed.copy()).margins
            for index, columns in enumerate(fields):
                added = part.matrix[:, columns] @ grids.first[columns] + grids.off[columns].sum(axis=0)
                without = grids.onward(summed - added).margins
                found[done : done + len(margins), index] = margins - without
            done += len(margins)
        return found


def _chunks(x: Indicators) -> Iterator[Indicators]:
    for start in range(0, x.shape[0], _CHUNK):
        yield Indicators(x.matrix[start : start + _CHUNK])
