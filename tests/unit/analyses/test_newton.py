"""Second-order logistic regression: bounded for the worst victim, and a plain model when noise is small."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from safeborders_fed.analyses.base import Arrays, Setting
from safeborders_fed.analyses.inputs import STATISTICS, Inputs, spread_of, varying_columns
from safeborders_fed.analyses.learner import Rows
from safeborders_fed.analyses.newton import GRADIENT, MOMENTS, Newton, NewtonState
from safeborders_fed.privacy.products import Indicators
from safeborders_fed.simulation.peers import auc, fit_without_privacy, plain_scores

MAX_VICTIMS = 50_000
COLUMNS = 24
LEARNER = Newton(COLUMNS, rounds=22, clip=0.5)
STATISTICS_STAGE, MOMENTS_STAGE, GRADIENT_STAGE = LEARNER.stages()


def rows_of(features: np.ndarray, target: np.ndarray | int) -> Rows:
    return Rows(Indicators(features), np.broadcast_to(np.int64(target), len(features)).copy())


def sent(weights: np.ndarray | float = 0.0, centre: np.ndarray | float = 0.1) -> Arrays:
    return {
        "weights": np.broadcast_to(np.float64(weights), COLUMNS + 1).copy(),
        "centre": np.broadcast_to(np.float64(centre), COLUMNS).copy(),
    }


ANY_FLOAT = st.floats(allow_nan=False, allow_infinity=False)
FEATURES = hnp.arrays(np.int64, (4, COLUMNS), elements=st.integers(0, 1))


def squared(values: np.ndarray) -> int:
    return sum(int(value) ** 2 for value in values)


@settings(deadline=None, max_examples=60)
@given(
    FEATURES,
    hnp.arrays(np.float64, COLUMNS + 1, elements=ANY_FLOAT),
    hnp.arrays(np.float64, COLUMNS, elements=ANY_FLOAT | st.floats(0, 1)),
    st.integers(0, 1),
)
def test_no_victim_moves_a_sum_by_more_than_the_bound_whatever_is_broadcast(
    features: np.ndarray, weights: np.ndarray, centre: np.ndarray, target: int
) -> None:
    """Also victims with every flag set, and weights and centres that no honest coordinator would send."""
    rows = rows_of(features, target)
    for stage in LEARNER.stages():
        whole = LEARNER.contribute(rows, stage, sent(weights, centre), MAX_VICTIMS).values
        for index in range(len(features)):
            alone = rows_of(features[index : index + 1], target)
            part = LEARNER.contribute(alone, stage, sent(weights, centre), MAX_VICTIMS).values
            assert squared(part) <= stage.bound**2
            others = rows_of(np.delete(features, index, 0), target)
            without = LEARNER.contribute(others, stage, sent(weights, centre), MAX_VICTIMS).values
            assert (whole - part == without).all()


@pytest.mark.parametrize("scale", [1e6, 1e20, 1e150])
@pytest.mark.parametrize("count", [3, 57, 203])
def test_weights_that_cancel_do_not_make_victims_depend_on_each_other(count: int, scale: float) -> None:
    """A float matrix product would: its rounding depends on a row's place (ADR 9)."""
    rng = np.random.default_rng(count)
    features = rng.integers(0, 2, (count, COLUMNS))
    target = rng.integers(0, 2, count)
    centre = np.clip(rng.random(COLUMNS), 0.05, 0.95)
    weights = np.append(scale * spread_of(centre) * rng.choice([-1, 1], COLUMNS), scale)
    message = sent(weights, centre)

    def total(chosen: np.ndarray) -> np.ndarray:
        rows = Rows(Indicators(features[chosen]), target[chosen])
        return LEARNER.contribute(rows, GRADIENT_STAGE, message, MAX_VICTIMS).values

    everyone = np.arange(count)
    whole = total(everyone)
    for index in everyone:
        assert (whole - total(everyone == index) == total(everyone != index)).all()


def test_the_worst_victim_reaches_the_bound_of_every_stage_nearly() -> None:
    """So the noise is for what a victim can do, and not for a multiple of it."""
    few = np.zeros((1, COLUMNS), dtype=np.int64)
    few[0, :16] = 1
    for stage in LEARNER.stages():
        total = LEARNER.contribute(rows_of(few, 1), stage, sent(-50.0, 0.2), MAX_VICTIMS).values
        assert 0.98 * stage.bound < squared(total) ** 0.5 <= stage.bound


def made(seed: int, count: int, truth: np.ndarray) -> Rows:
    """Four fields of six values each."""
    rng = np.random.default_rng(seed)
    features = np.zeros((count, COLUMNS), dtype=np.int64)
    for start in range(0, COLUMNS, 6):
        features[np.arange(count), start + rng.choice(6, count, p=[0.4, 0.3, 0.15, 0.1, 0.04, 0.01])] = 1
    target = (rng.random(count) < 1 / (1 + np.exp(2.0 - features @ truth))).astype(np.int64)
    return Rows(Indicators(features), target)


def learn(
    learner: Newton, rows: Rows, deviation: float, seed: int = 0, warm: Arrays | None = None
) -> NewtonState:
    """All rounds over one node, with Gaussian noise of so many bounds."""
    rng = np.random.default_rng(seed)
    state = learner.start(Setting(1, {}, warm))
    for stage in learner.stages():
        for _ in range(stage.rounds):
            total = learner.contribute(rows, stage, learner.broadcast(state), MAX_VICTIMS).values
            noise = deviation * stage.bound
            noised = total + np.rint(rng.normal(0, noise, total.shape)).astype(np.int64)
            state = learner.advance(state, noised, noise)
    return state


TRUTH = np.random.default_rng(5).normal(0, 1.2, COLUMNS)


def test_without_noise_it_orders_victims_as_the_fitted_model_does() -> None:
    training, testing = made(1, 4000, TRUTH), made(2, 8000, TRUTH)
    model = LEARNER.model(learn(LEARNER, training, 1e-9))
    ours = auc(testing.target, LEARNER.margins(model, testing.features))
    fitted = auc(testing.target, plain_scores(fit_without_privacy(training), testing))
    assert ours is not None
    assert fitted is not None
    assert ours > fitted - 0.003


def test_under_noise_it_stays_near_and_under_huge_noise_it_stays_finite() -> None:
    training, testing = made(1, 8000, TRUTH), made(2, 8000, TRUTH)
    fitted = auc(testing.target, plain_scores(fit_without_privacy(training), testing))
    model = LEARNER.model(learn(LEARNER, training, 8.0, 3))
    ours = auc(testing.target, LEARNER.margins(model, testing.features))
    assert ours is not None
    assert fitted is not None
    assert ours > fitted - 0.03
    lost = LEARNER.model(learn(LEARNER, training, 1e6, 4))
    assert all(np.isfinite(array).all() for array in lost.values())


@pytest.mark.parametrize("target", [0, 1])
def test_one_class_no_victims_or_nothing_known_give_a_finite_model(target: int) -> None:
    everything_unknown = np.zeros((50, COLUMNS), dtype=np.int64)
    everything_unknown[:, 5::6] = 1
    for features in (
        made(1, 200, TRUTH).features.matrix.toarray(),
        everything_unknown,
        np.zeros((0, COLUMNS)),
    ):
        model = LEARNER.model(learn(LEARNER, rows_of(features, target), 2.0, 1))
        assert all(np.isfinite(array).all() for array in model.values())


def test_a_warm_start_begins_at_the_published_margins() -> None:
    training = made(1, 4000, TRUTH)
    published = LEARNER.model(learn(LEARNER, training, 1e-9))
    state = LEARNER.start(Setting(1, {}, published))
    total = LEARNER.contribute(training, STATISTICS_STAGE, {}, MAX_VICTIMS).values
    begun = LEARNER.advance(state, total + 10_000, 1.0)  # another noise: another centre
    margins = LEARNER.margins(LEARNER.model(begun), training.features)
    assert margins == pytest.approx(LEARNER.margins(published, training.features), abs=0.01)


def test_a_warm_start_helps_where_noise_drowns_the_data() -> None:
    big, small, testing = made(1, 20_000, TRUTH), made(3, 500, TRUTH), made(2, 8000, TRUTH)
    published = LEARNER.model(learn(LEARNER, big, 1e-9))

    def area(warm: Arrays | None) -> float:
        model = LEARNER.model(learn(LEARNER, small, 30.0, 7, warm))
        found = auc(testing.target, LEARNER.margins(model, testing.features))
        assert found is not None
        return found

    assert area(published) > area(None) + 0.05


def test_explained_terms_add_up_to_the_margin_less_that_of_a_record_at_the_centre() -> None:
    training = made(1, 2000, TRUTH)
    model = LEARNER.model(learn(LEARNER, training, 1e-9))
    fields = [slice(start, start + 6) for start in range(0, COLUMNS, 6)]
    terms = LEARNER.explain(model, training.features, fields)
    rest = LEARNER.margins(model, training.features) - terms.sum(axis=1)
    assert rest == pytest.approx(rest[0], abs=1e-3)


def test_typical_victims_have_norm_one_and_rare_values_are_stretched() -> None:
    features = made(1, 4000, TRUTH).features.matrix.toarray()
    centre = features.mean(axis=0)
    inputs = Inputs.of(centre)
    z = np.where(features == 1, inputs.on[:-1], inputs.off[:-1]) / 2**12
    assert (z**2).sum(axis=1).mean() == pytest.approx(1, rel=0.02)
    assert z[:, 4].max() > z[:, 0].max()
    assert varying_columns(np.zeros(40)) == 1.0


def test_stages_share_everything_and_ask_for_few_rounds() -> None:
    assert sum(stage.share for stage in LEARNER.stages()) == pytest.approx(1)
    assert [stage.name for stage in LEARNER.stages()] == [STATISTICS, MOMENTS, GRADIENT]
    assert sum(stage.rounds for stage in LEARNER.stages()) <= 25
