"""The analysis `neural`: what a manifest may ask for, and modules learnt one victim at a time."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from federation_of import MAX_VICTIMS, analysis_table
from safeborders_fed.analyses import module_learner
from safeborders_fed.analyses.base import UNIT, Setting, parse_parameters
from safeborders_fed.analyses.gradient_rounds import GRADIENT, GradientParameters
from safeborders_fed.analyses.inputs import STATISTICS
from safeborders_fed.analyses.learner import Rows
from safeborders_fed.analyses.module_learner import ModuleLearner, build_module
from safeborders_fed.analyses.network import Network
from safeborders_fed.analyses.neural import Neural, NeuralParameters
from safeborders_fed.cases.encoding import merge
from safeborders_fed.errors import ConfigurationError, RefusedError
from safeborders_fed.privacy.products import Indicators

COLUMNS = 9
TERMS = {"target": "actual_victim", "features": ["sex", "age_band"]}


def victims(count: int, seed: int) -> Rows:
    rng = np.random.default_rng(seed)
    ones = (rng.random((count, COLUMNS)) < 0.4).astype(np.int64)
    return Rows(Indicators(ones), rng.integers(0, 2, count))


def taken(rows: Rows, chosen: np.ndarray) -> Rows:
    return Rows(Indicators(rows.features.matrix[chosen]), rows.target[chosen])


def learner(module: str = "smooth", **changes: float) -> ModuleLearner:
    return ModuleLearner(COLUMNS, module=module, parameters=GradientParameters.model_validate(changes))


def offered(monkeypatch: pytest.MonkeyPatch, factory: Callable[[int], nn.Module]) -> None:
    monkeypatch.setitem(module_learner.MODULES, "offered", factory)


@pytest.mark.parametrize(
    "wrong",
    [
        {"hidden": []},
        {"hidden": [8, 8, 8]},
        {"hidden": [0]},
        {"hidden": [128]},
        {"module": "smooth"},
        {"hidden": [8], "module": "smooth"},
        {"clip": 0.0},
        {"rounds": 1},
        {"seed": -1},
        {"module": "", "hidden": []},
    ],
)
def test_parameters_that_do_not_fit_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="bad-parameters"):
        parse_parameters(Neural, {**TERMS, **wrong})


def test_parameters_survive_being_written_into_a_manifest() -> None:
    for extra in ({}, {"hidden": [8, 4]}, {"hidden": [], "module": "smooth"}):
        parsed = parse_parameters(Neural, {**TERMS, **extra})
        assert parse_parameters(Neural, parsed.model_dump(mode="json")) == parsed


def test_a_network_trains_on_records_and_is_evaluated() -> None:
    analysis = Neural(
        NeuralParameters.model_validate({**TERMS, "features": ("sex", "age_band"), "rounds": 3})
    )
    assert isinstance(analysis.learner, Network)
    examples = analysis.prepare(merge(analysis_table(400, 1), analysis.fields()), "BG")
    state = analysis.start(Setting(1, {stage.name: 0.0 for stage in analysis.stages()}))
    for stage in analysis.stages():
        for _ in range(stage.rounds):
            sent = analysis.broadcast(state)
            assert {name: array.shape for name, array in sent.items()} == analysis.expects(stage.name)
            total = analysis.contribute(examples, stage, sent, MAX_VICTIMS)
            state = analysis.advance(state, total.values, 1e-9)
    release = analysis.result(state)
    assert release.kind == "neural"
    assert {name: array.shape for name, array in release.arrays.items()} == analysis.learner.model_shapes()


def test_gradients_of_a_module_are_those_of_autograd() -> None:
    model = learner(clip=100.0)
    rows = victims(12, 1)
    sent = {"weights": model.first_weights(), "centre": np.full(COLUMNS, 0.4)}
    found = model.contribute(rows, model.stages()[1], sent, MAX_VICTIMS).values * (100.0 / UNIT)
    module = build_module("smooth", COLUMNS + 1, 1)
    z = torch.tensor(np.stack(list(module_learner._inputs(sent, rows.features))))
    margins = module(z)[:, 0]
    wanted = torch.tensor(rows.target.astype(np.float64))
    loss = nn.functional.binary_cross_entropy_with_logits(margins, wanted, reduction="sum")
    expected = torch.cat([part.ravel() for part in torch.autograd.grad(loss, list(module.parameters()))])
    assert found == pytest.approx(expected.numpy(), abs=12 * 100 / UNIT)
    assert model.margins(sent, rows.features) == pytest.approx(margins.detach().numpy())


@pytest.mark.parametrize("scale", [1.0, 1e8, 1e150])
def test_a_sum_over_a_module_is_that_of_its_rows_alone(scale: float) -> None:
    model = learner(clip=0.5)
    rows = victims(9, 2)
    rng = np.random.default_rng(3)
    weights = rng.choice([-1.0, 1.0, 0.1], model.first_weights().shape) * scale
    sent = {"weights": weights, "centre": rng.random(COLUMNS)}
    stage = model.stages()[1]

    def total(chosen: np.ndarray) -> np.ndarray:
        return model.contribute(taken(rows, chosen), stage, sent, MAX_VICTIMS).values

    alone = [total(np.array([index])) for index in range(9)]
    assert all(sum(int(value) ** 2 for value in row) <= stage.bound**2 for row in alone)
    for index in range(9):
        order = rng.permutation(np.delete(np.arange(9), index))
        assert (total(order) == np.sum([alone[other] for other in order], axis=0)).all()


@pytest.mark.parametrize("count", [0, 20])
def test_a_module_learns_and_explains_without_nan(count: int) -> None:
    model = learner(rounds=3)
    rows = victims(count, 4)
    state = model.start(Setting(1, {STATISTICS: 0.0, GRADIENT: 0.0}))
    for stage in model.stages():
        for _ in range(stage.rounds):
            total = model.contribute(rows, stage, model.broadcast(state), MAX_VICTIMS)
            state = model.advance(state, total.values, 1e-9)
    found = model.model(state)
    margins = model.margins(found, rows.features)
    reasons = model.explain(found, rows.features, [slice(0, 4), slice(4, COLUMNS)])
    assert margins.shape == (count,)
    assert reasons.shape == (count, 2)
    assert np.isfinite(margins).all()
    assert np.isfinite(reasons).all()
    assert count == 0 or reasons.any()


def test_a_module_that_nobody_installed_is_refused() -> None:
    for name in ("unheard", "os:system", "safeborders_fed.analyses.module_learner:smooth"):
        with pytest.raises(RefusedError, match="unknown-module"):
            learner(name)


class Remembers(nn.Module):
    """Keeps a buffer."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, 1)
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.linear(z)


def frozen(inputs: int) -> nn.Module:
    module = nn.Sequential(nn.Linear(inputs, 4), nn.Linear(4, 1))
    module[0].requires_grad_(requires_grad=False)
    return module


@pytest.mark.parametrize(
    "factory",
    [
        lambda inputs: nn.Sequential(nn.Linear(inputs, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)),
        lambda inputs: nn.Sequential(nn.Linear(inputs, 4), nn.Dropout(0.5), nn.Linear(4, 1)),
        lambda inputs: nn.Linear(inputs, 2),
        Remembers,
        frozen,
    ],
    ids=["batch normalisation", "dropout", "two outputs", "a buffer", "frozen"],
)
def test_a_module_that_cannot_be_learnt_one_victim_at_a_time_is_refused(
    monkeypatch: pytest.MonkeyPatch, factory: Callable[[int], nn.Module]
) -> None:
    offered(monkeypatch, factory)
    with pytest.raises(RefusedError, match="unfit-module"):
        learner("offered")


def test_a_module_begins_with_the_same_weights_for_the_same_seed() -> None:
    before = torch.random.get_rng_state()
    first = learner(seed=5).first_weights()
    assert torch.equal(before, torch.random.get_rng_state())
    assert (first == learner(seed=5).first_weights()).all()
    assert (first != learner(seed=6).first_weights()).any()


def test_a_gradient_whose_squares_overflow_together_has_a_norm_and_stops_nothing() -> None:
    """Each square is finite and their sum is not: an exception here would tell who is in the data."""
    assert module_learner._norm(np.full(4, 1.2e154)) == pytest.approx(2.4e154)
    assert module_learner._norm(np.array([np.inf, 0.0])) == np.inf
    assert module_learner._norm(np.array([np.nan, 1.0])) == np.inf
    assert module_learner._norm(np.zeros(3)) == 0
