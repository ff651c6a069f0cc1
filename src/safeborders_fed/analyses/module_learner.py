"""Any installed ``torch.nn.Module`` as a learner, one victim at a time.

Unit: one training victim, with all their records. Row in stage ``gradient``: the gradient of the logistic
loss at the broadcast weights by Opacus' per-sample gradients (Yousefpour et al. 2021, arXiv 2109.12298), in
float64, scaled down to L2 norm ``clip`` where it is longer. Bound: ``clip``, that is ``UNIT`` grid units.

Why the bound holds to the last bit. In a batch a victim's gradient comes out of matrix products whose
blocking depends on the victim's place and on how many others there are. So a module sees a batch of one
victim: the same shapes, in memory of the same alignment, on one thread, with deterministic algorithms, and
nothing kept between victims. That makes the gradient a function of weights and victim. Its norm is added up
without rounding (``math.fsum``), it is truncated to the grid, and ``BoundedSumBuilder.add_rows`` checks the
norm exactly. Price: about a millisecond a victim and round; use the built-in network unless it will not do.

What a module may be. A manifest names it; code comes from the packages that the national team has installed,
never from outside: ``MODULES`` and entry points in the group ``safeborders_fed.modules``, each a function
from the number of inputs to a module with one output. Refused: layers that Opacus cannot take apart or that
mix victims (batch normalisation), buffers (they carry one victim's values to the next), layers that draw at
random (a row would no longer follow from the victim).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from opacus import GradSampleModule
from opacus.validators import ModuleValidator
from scipy.special import expit
from torch import nn

from safeborders_fed.analyses.base import UNIT, Arrays
from safeborders_fed.analyses.gradient_rounds import GradientParameters, GradientRounds
from safeborders_fed.analyses.inputs import INPUT_GRID, Inputs
from safeborders_fed.analyses.learner import Rows
from safeborders_fed.errors import RefusedError
from safeborders_fed.privacy.bounded_sum import BoundedSumBuilder, quantise
from safeborders_fed.privacy.products import Indicators

GROUP: Final = "safeborders_fed.modules"
_WEIGHTS: Final = "weights"
_MOST_NUMBERS: Final = 2**22
"""Numbers of gradients held at a time: memory must not grow with the number of victims."""

_Floats = NDArray[np.float64]


def smooth(inputs: int) -> nn.Module:
    """One hidden layer of 16 units, normalised within each victim, with a smooth activation."""
    return nn.Sequential(nn.Linear(inputs, 16), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 1))


MODULES: Final[dict[str, Callable[[int], nn.Module]]] = {"smooth": smooth}


def build_module(name: str, inputs: int, seed: int) -> nn.Module:
    """The module of that name in float64, its weights drawn from the seed.

    Raises:
        RefusedError: ``unknown-module``; ``unfit-module``.
    """
    installed = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in MODULES and name not in installed:
        raise RefusedError(
            "unknown-module",
            f"no installed package offers a module {name!r}",
            f"use one of {', '.join(sorted({*MODULES, *installed}))}, or install the package that offers it",
        )
    factory = MODULES[name] if name in MODULES else installed[name].load()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module: nn.Module = factory(inputs).double().train()
        _refuse_unfit(name, module, inputs)
    return module


def _refuse_unfit(name: str, module: nn.Module, inputs: int) -> None:
    problems = [str(problem) for problem in ModuleValidator.validate(module, strict=False)]
    problems += [f"buffer {buffer!r} is kept between victims" for buffer, _ in module.named_buffers()]
    problems += [
        f"{weight!r} is frozen" for weight, value in module.named_parameters() if not value.requires_grad
    ]
    if not problems:  # what the validator found may not even run on one victim
        before = torch.random.get_rng_state()
        with torch.no_grad():
            outputs = module(torch.zeros((1, inputs), dtype=torch.float64)).numel()
        if not torch.equal(before, torch.random.get_rng_state()):
            problems.append("a layer draws at random")
        if outputs != 1:
            problems.append(f"it has {outputs} outputs where one is needed")
    if problems:
        raise RefusedError(
            "unfit-module",
            f"module {name!r} cannot be learnt one victim at a time: {'; '.join(problems)}",
            "replace batch normalisation by layer normalisation; leave out dropout, buffers, frozen weights",
        )


class ModuleLearner(GradientRounds):
    """An installed module as a learner.

    Args:
        columns: One-hot columns; the module gets one input more, the constant of logistic regression.
        module: Its name.
        parameters: Rounds, clip and seed.

    Raises:
        RefusedError: ``unknown-module``; ``unfit-module``.
    """

    largest_step = 1.0
    wander = 1.0

    def __init__(self, columns: int, *, module: str, parameters: GradientParameters) -> None:
        self._module = build_module(module, columns + 1, parameters.seed)
        self._first = np.concatenate([value.detach().numpy().ravel() for value in self._module.parameters()])
        self._taken_apart = GradSampleModule(self._module, loss_reduction="sum")
        # torch aligns what it allocates: the speed and the rounding of its products depend on that.
        # Opacus' hooks want an input with a gradient.
        self._input = torch.zeros((1, columns + 1), dtype=torch.float64, requires_grad=True)
        self._residual = torch.zeros(1, dtype=torch.float64)
        shapes = {_WEIGHTS: self._first.shape}
        super().__init__(columns, shapes, bound=UNIT, parameters=parameters)

    def first_weights(self) -> _Floats:
        """What the factory drew from the seed."""
        return self._first

    def _load(self, weights: _Floats) -> None:
        start = 0
        with torch.no_grad():
            for value in self._module.parameters():
                part = weights[start : start + value.numel()]
                value.copy_(torch.from_numpy(part.reshape(value.shape)))
                start += value.numel()

    def add_gradients(self, builder: BoundedSumBuilder, rows: Rows, broadcast: Arrays) -> None:
        """Adds the clipped gradients."""
        clip = self._parameters.clip
        chunk = max(1, _MOST_NUMBERS // builder.dimension)
        found = []
        with _one_thread():
            self._load(broadcast[_WEIGHTS])
            for z, target in zip(_inputs(broadcast, rows.features), rows.target.tolist(), strict=True):
                gradient = self._gradient(z, target)
                with np.errstate(all="ignore"):  # a gradient that overflows is not finite and counts as zero
                    norm = _norm(gradient)
                    found.append(gradient * (UNIT * min(1 / clip, (1 - 1e-9) / max(norm, 1e-300))))
                if len(found) == chunk:
                    builder.add_rows(quantise(np.stack(found)))
                    found = []
        if found:
            builder.add_rows(quantise(np.stack(found)))

    def _gradient(self, z: _Floats, target: float) -> _Floats:
        self._taken_apart.zero_grad(set_to_none=True)
        self._input.grad = None
        with torch.no_grad():
            self._input.copy_(torch.from_numpy(z[None]))
        margin = self._taken_apart(self._input)
        # The derivative of the logistic loss by the margin, handed back as it is.
        self._residual.copy_(torch.from_numpy(expit(margin.detach().numpy().reshape(1)) - target))
        margin.backward(self._residual.reshape(margin.shape))
        parts = [
            value.grad_sample[0].numpy().ravel()  # type: ignore[attr-defined]  # Opacus sets it
            for value in self._module.parameters()
        ]
        return np.concatenate(parts)

    def _one_margin(self, z: _Floats) -> float:
        with torch.no_grad():
            self._input.copy_(torch.from_numpy(z[None]))
            return float(self._module(self._input).reshape(()))

    def margins(self, model: Arrays, x: Indicators) -> _Floats:
        """Log-odds, one victim at a time."""
        with _one_thread():
            self._load(model[_WEIGHTS])
            return np.array([self._one_margin(z) for z in _inputs(model, x)], dtype=np.float64)

    def explain(self, model: Arrays, x: Indicators, fields: Sequence[slice]) -> _Floats:
        """By passing each record on with the columns of one field at their centre."""
        found = np.zeros((x.shape[0], len(fields)))
        with _one_thread():
            self._load(model[_WEIGHTS])
            for row, z in enumerate(_inputs(model, x)):
                margin = self._one_margin(z)
                for index, columns in enumerate(fields):
                    without = z.copy()
                    without[columns] = 0.0
                    found[row, index] = margin - self._one_margin(without)
        return found


def _inputs(model: Arrays, x: Indicators) -> Iterator[_Floats]:
    """Standardised inputs of one victim after the other, shape (columns + 1,)."""
    inputs = Inputs.of(model["centre"])
    unset, step = inputs.off / INPUT_GRID, (inputs.on - inputs.off) / INPUT_GRID
    matrix = x.matrix
    for start, end in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
        z = unset.copy()
        columns = matrix.indices[start:end]
        z[columns] += step[columns]
        yield z


def _norm(gradient: _Floats) -> float:
    """L2 norm, rounded once: the same in whatever order. Infinite for what is not finite."""
    largest = float(np.abs(gradient).max(initial=0.0))
    if not math.isfinite(largest):
        return math.inf
    if largest == 0.0:
        return 0.0
    scaled = gradient / largest  # so that no sum of squares overflows, however many there are
    return largest * math.sqrt(math.fsum(scaled * scaled))


@contextmanager
def _one_thread() -> Iterator[None]:
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)
