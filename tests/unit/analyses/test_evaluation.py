from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import norm

from safeborders_fed.analyses import evaluation, scoring
from safeborders_fed.analyses.evaluation import BINS, BOUND, Layout, layout
from safeborders_fed.cases.contract import field
from safeborders_fed.cases.encoding import Victims
from safeborders_fed.errors import ConfigurationError
from safeborders_fed.privacy.bounded_sum import BoundedSumBuilder
from safeborders_fed.privacy.products import Indicators

STATES = ("BE", "BG", "FI", "GR", "IT", "PL", "PT", "RO")
ALL = ("sex", "age", "citizenship", "state")
SIZES = np.array([100, 700, 150, 200, 600, 250, 200, 300])
PARTITIONS = [(), ("sex",), ("state",), ("age", "citizenship"), ALL]


def people(**codes: Sequence[str | None]) -> Victims:
    singles = {
        name: np.array([-1 if code is None else field(name).codes.index(code) for code in given], np.int16)
        for name, given in codes.items()
    }
    count = len(next(iter(codes.values())))
    return Victims(
        np.array([f"{i:032x}" for i in range(count)]),
        np.full(count, 2020, np.int16),
        singles,
        {},
        {},
        np.ones(count, np.int8),
    )


class Line:
    """A linear model, as far as the evaluation knows learners."""

    columns = 5

    def margins(self, model: dict[str, NDArray[np.float64]], x: Indicators) -> NDArray[np.float64]:
        return x.matrix @ model["weights"]


@pytest.mark.parametrize("partitions", PARTITIONS)
def test_a_row_is_at_most_the_bound_and_uses_nearly_all_of_it(partitions: tuple[str, ...]) -> None:
    weights = [int(weight) for weight in layout(partitions, STATES).weights]
    assert sum(weight**2 for weight in weights) <= BOUND**2
    assert sum(weight**2 for weight in weights) > BOUND**2 * (1 - 1e-4)


def test_groups_follow_the_contract_and_the_node() -> None:
    victims = people(
        sex=["Feminine", "Masculine", "TransgenderFeminine", None, "Feminine"],
        age_band=["0--17", "9--17", "18+", None, "48+"],
        citizenship=["BG", "RO", "FR", "NG", None],
    )
    groups = layout(ALL, STATES).groups(victims, "BG")
    assert groups.T.tolist() == [[0, 1, 2, 2, 0], [0, 0, 1, 2, 1], [0, 1, 1, 2, 3], [1, 1, 1, 1, 1]]


def test_fields_are_those_that_the_groups_read() -> None:
    names = [entry.name for entry in evaluation.fields(ALL)]
    assert names == ["sex", "age_band", "citizenship"]
    assert evaluation.fields(()) == ()


@pytest.mark.parametrize("partitions", [("sex", "sex"), ("religion",)])
def test_partitions_that_cannot_be_measured_are_refused(partitions: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError, match="cannot be made") as caught:
        layout(partitions, ())
    assert caught.value.code == "unknown-partition"


def test_a_node_that_the_study_does_not_name_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="this node is DE") as caught:
        layout(("state",), STATES).groups(people(sex=["Feminine"]), "DE")
    assert caught.value.code == "unknown-state"


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(PARTITIONS),
    st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=12),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=BINS - 1, max_size=BINS - 1),
    st.randoms(use_true_random=False),
)
def test_any_score_and_any_edges_give_one_cell_in_each_table_that_no_other_victim_moves(
    partitions: tuple[str, ...], scores: list[float], edges: list[float], random: Any
) -> None:
    place = layout(partitions, STATES)
    groups = np.array([[random.randrange(len(names)) for names in place.names] for _ in scores])
    target = np.array([random.randrange(2) for _ in scores])
    cells = place.cells(groups, np.array(scores), target, np.array(edges))
    for index, score in enumerate(scores):
        alone = place.cells(groups[[index]], np.array([score]), target[[index]], np.array(edges))
        assert alone[0].tolist() == cells[index].tolist()
    builder = BoundedSumBuilder(dimension=place.dimension, bound=BOUND, max_victims=100)
    builder.add_cells(cells, place.weights)
    total = builder.finish().values
    assert builder.over_bound == 0
    assert total.sum() == len(scores) * place.weights.sum()


def test_cells_of_all_tables_are_distinct_and_fill_the_dimension() -> None:
    place = layout(ALL, STATES)
    edges = np.arange(BINS - 1.0)
    seen: set[int] = set()
    for table, names in enumerate(place.names):
        for group in range(len(names)):
            groups = np.zeros((2 * BINS, len(place.names)), np.int64)
            groups[:, table] = group
            scores, target = np.tile(np.arange(BINS) - 0.5, 2), np.repeat([0, 1], BINS)
            cells = place.cells(groups, scores, target, edges)[:, table].tolist()
            assert seen.isdisjoint(cells)
            seen.update(cells)
    assert seen == set(range(place.dimension))


def edges_of(weights: Sequence[float], centre: Sequence[float] = (0.5, 0.3, 0.2, 0.4, 0.9)) -> Any:
    model = {"weights": np.array(weights, float), "centre": np.array(centre, float)}
    return evaluation.edges(Line(), model, [slice(0, 3), slice(3, 5)])  # type: ignore[arg-type]  # as far as used


@pytest.mark.parametrize(
    ("weights", "centre"),
    [
        ([1, -1, 0.3, 0.2, 2], (0.5, 0.3, 0.2, 0.4, 0.9)),
        ([0, 0, 0, 0, 0], (0.5, 0.3, 0.2, 0.4, 0.9)),
        ([3, 0, 0, 0, 0], (1.0, 0.0, 0.0, 0.0, 0.0)),
        ([1, 2, 3, 4, 5], (0.0, 0.0, 0.0, 0.0, 0.0)),
        ([1e300, -1e300, 1, 1, 1], (2.0, -1.0, 0.5, math.nan, 3.0)),
    ],
)
def test_edges_ascend_and_are_finite_whatever_the_model(weights: Any, centre: Any) -> None:
    found = edges_of(weights, centre)
    assert found.shape == (BINS - 1,)
    assert np.isfinite(found).all()
    assert (np.diff(found) > 0).all()
    assert found.tolist() == edges_of(weights, centre).tolist()


def test_edges_split_records_like_the_centre_evenly() -> None:
    rng = np.random.default_rng(3)
    weights = rng.normal(size=40)
    centre = np.full(40, 0.25)
    columns = [slice(start, start + 4) for start in range(0, 40, 4)]
    edges = evaluation.edges(Line(), {"weights": weights, "centre": centre}, columns)  # type: ignore[arg-type]
    rows = np.concatenate([np.eye(4)[rng.integers(4, size=20_000)] for _ in columns], axis=1)
    shares = np.bincount((rows @ weights >= edges[:, None]).sum(axis=0), minlength=BINS) / 20_000
    assert np.abs(shares - 1 / BINS).max() < 0.03


def histogram(
    place: Layout, rng: np.random.Generator, *, sigma: float, auc: float = 0.8, rate: float = 0.3
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """A private sum over victims whose scores are binormal log-odds, and its edges."""
    apart = math.sqrt(2) * norm.ppf(auc)
    state = np.repeat(np.arange(len(SIZES)), SIZES)
    target = (rng.random(len(state)) < rate).astype(np.int64)
    base = math.log(rate / (1 - rate))
    scores = base + apart * (rng.normal(size=len(state)) + target * apart - apart / 2)
    edges = base + apart * norm.ppf(np.arange(1, BINS) / BINS)
    columns = [
        state if name == "state" else rng.choice(len(names), size=len(state), p=_even(len(names)))
        for name, names in zip(place.partitions, place.names, strict=True)
    ]
    builder = BoundedSumBuilder(dimension=place.dimension, bound=BOUND, max_victims=10_000)
    builder.add_cells(place.cells(np.stack(columns, axis=1), scores, target, edges), place.weights)
    noise = np.rint(rng.normal(0, sigma, place.dimension)).astype(np.int64)
    return builder.finish().values + noise, edges


def _even(groups: int) -> list[float]:
    return {1: [1.0], 3: [0.55, 0.35, 0.1], 4: [0.4, 0.3, 0.2, 0.1]}[groups]


def covered(
    *, rho: float, rate: float, told: float = 1.0, runs: int = 250
) -> tuple[tuple[float, int], tuple[float, int]]:
    """Share of 95% intervals that hold the true area, and how many there are: overall, and of groups."""
    place, sigma = layout(ALL, STATES), BOUND / math.sqrt(2 * rho)
    rng = np.random.default_rng(17)
    overall, groups = [], []
    for _ in range(runs):
        total, edges = histogram(place, rng, sigma=sigma, rate=rate)
        found = evaluation.summarise(place, total, told * sigma, edges)
        shown = [entry for table in found["groups"].values() for entry in table.values()]
        for entries, hits in (([found["overall"]], overall), (shown, groups)):
            hits.extend(abs(e["auc"] - 0.8) <= e["margin"] for e in entries if e["auc"] is not None)
    return (float(np.mean(overall)), len(overall)), (float(np.mean(groups)), len(groups))


@pytest.mark.parametrize(("rho", "rate"), [(0.015, 0.3), (0.015, 0.1), (0.1, 0.3), (0.003, 0.3)])
def test_at_least_93_of_100_intervals_hold_the_true_area(rho: float, rate: float) -> None:
    # Seeded, so this never fails by chance; 250 runs tell .955 from .91 at three standard errors.
    (overall, many), (groups, of_groups) = covered(rho=rho, rate=rate)
    assert many >= 240
    assert of_groups >= 400
    assert overall >= 0.93
    assert groups >= 0.93


def test_intervals_that_know_nothing_of_the_noise_are_found_out() -> None:
    (overall, _), (groups, _) = covered(rho=0.003, rate=0.3, told=0.01, runs=80)
    assert overall < 0.85
    assert groups < 0.7


def test_without_noise_the_area_is_that_of_the_scores() -> None:
    rng = np.random.default_rng(2)
    place = layout((), ())
    found = [
        evaluation.summarise(place, *_first(histogram(place, rng, sigma=1.0, auc=0.85)))["overall"]
        for _ in range(40)
    ]
    # Bins alone would take .011 away; a mean of 40 areas has a standard error of .0014.
    assert abs(np.mean([entry["auc"] for entry in found]) - 0.85) < 0.005
    assert all(abs(entry["victims"] - SIZES.sum()) < 1 for entry in found)


def _first(pair: tuple[NDArray[np.int64], NDArray[np.float64]]) -> tuple[Any, float, Any]:
    total, edges = pair
    return total, 1.0, edges


def test_groups_add_up_to_the_whole_and_keep_their_errors() -> None:
    rng = np.random.default_rng(4)
    place, sigma = layout(ALL, STATES), BOUND / math.sqrt(2 * 0.02)
    total, edges = histogram(place, rng, sigma=sigma)
    found = evaluation.summarise(place, total, sigma, edges)
    for table in found["groups"].values():
        for key in ("victims", "positives"):
            assert sum(group[key] for group in table.values()) == pytest.approx(found["overall"][key])
    assert found["overall"]["victims_error"] < 2 * found["groups"]["state"]["IT"]["victims_error"]
    for (state, group), size in zip(found["groups"]["state"].items(), SIZES, strict=True):
        assert abs(group["victims"] - size) < 4.5 * group["victims_error"], state


@pytest.mark.parametrize("partitions", PARTITIONS)
@pytest.mark.parametrize("kind", ["nothing", "negative", "one class", "one bin", "huge"])
def test_whatever_the_sum_the_summary_is_finite_json(partitions: tuple[str, ...], kind: str) -> None:
    place = layout(partitions, STATES)
    cells = np.zeros(place.dimension, np.int64)
    if kind == "negative":
        cells -= 40 * BOUND
    if kind in ("one class", "one bin"):
        cells.reshape(-1, 2, BINS)[:, 1, : 1 if kind == "one bin" else BINS] = 100 * BOUND
    if kind == "huge":
        cells += 2**40 * BOUND
    edges = scoring.spaced(np.zeros(BINS - 1))
    found = evaluation.summarise(place, cells, 6.0 * BOUND, edges)
    text = json.dumps(found, allow_nan=False)
    if kind != "huge":
        assert found["overall"]["auc"] is None
        assert scoring.TOO_FEW in text
    assert found["calibration"]["slope"] >= 0


def test_a_model_with_one_score_ranks_nobody_and_gives_the_base_rate() -> None:
    place = layout((), ())
    edges = scoring.spaced(np.full(BINS - 1, -0.4))
    target = np.repeat([0, 1], [900, 300])
    cells = place.cells(np.zeros((1200, 1), np.int64), np.full(1200, -0.4), target, edges)
    total = np.bincount(cells[:, 0], minlength=place.dimension) * place.weights[0]
    found = evaluation.summarise(place, total, 0.5 * BOUND, edges)
    assert abs(found["overall"]["auc"] - 0.5) <= found["overall"]["margin"]
    rate = [row for row in found["reliability"] if row["observed"] is not None]
    assert [row["observed"] for row in rate] == [0.25]
    assert rate[0]["predicted"] == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize("scale", [0.4, 1.0, 2.5])
def test_calibration_finds_the_scale_of_the_scores(scale: float) -> None:
    place, rng = layout((), ()), np.random.default_rng(8)
    total, edges = histogram(place, rng, sigma=BOUND / math.sqrt(2 * 0.2))
    found = evaluation.summarise(place, total, BOUND / math.sqrt(2 * 0.2), edges * scale)["calibration"]
    assert found["slope"] * scale == pytest.approx(1, abs=0.2)
    assert found["intercept"] == pytest.approx(0, abs=0.25)
    assert 0 < found["slope_error"] < 0.3


def test_calibration_stays_at_the_identity_where_noise_dominates() -> None:
    rng = np.random.default_rng(9)
    counts = rng.normal(3, 400, (2, BINS))
    found = scoring.calibrate(scoring.Histogram(counts, 400.0), np.linspace(-2, 1, BINS - 1))
    assert found.slope == pytest.approx(1, abs=0.25)
    assert found.slope_error > 0.4


def test_calibration_never_turns_the_order_round() -> None:
    upside_down = np.array([np.arange(BINS) * 200.0, np.arange(BINS)[::-1] * 200.0])
    found = scoring.calibrate(scoring.Histogram(upside_down, 1.0), np.linspace(-2, 2, BINS - 1))
    assert found.slope == 0


def test_reliability_leaves_out_bins_that_noise_fills() -> None:
    counts = np.array([[500.0, 400, 300, 2, 100, 50], [20.0, 60, 120, -1, 200, 300]])
    overall, edges = scoring.Histogram(counts, 5.0), np.linspace(-2, 1, BINS - 1)
    rows = scoring.reliability(overall, scoring.calibrate(overall, edges), edges)
    assert [row["observed"] is None for row in rows] == [False, False, False, True, False, False]
    assert rows[0]["observed"] == pytest.approx(20 / 520)
    assert rows[0]["low"] is None
    assert rows[-1]["high"] is None
    predicted = [row["predicted"] for row in rows]
    assert predicted == sorted(predicted)
