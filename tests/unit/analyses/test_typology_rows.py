"""No victim moves a sum of a typology study by more than its bound, whatever the coordinator asks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from typology_samples import MAX_VICTIMS, STATES, analysis, study, victims

from safeborders_fed.analyses.base import FINE_UNIT, Setting
from safeborders_fed.analyses.typology_rows import Rows, unit_of
from safeborders_fed.privacy import bounded_sum
from safeborders_fed.privacy.products import Indicators

MADE = analysis()
STAGES = {stage.name: stage for stage in MADE.stages()}
COLUMNS = len(MADE.columns)


def rows_of(ones: np.ndarray, founding: np.ndarray) -> Rows:
    """Rows in the second state, whose ones need not be possible."""
    size = len(ones)
    own = np.zeros((size, len(STATES)), np.int64)
    own[:, 1] = 1
    indicators = Indicators(csr_array(np.concatenate([ones, own], axis=1)))
    return Rows(indicators, founding, np.zeros(size, np.int64), 1)


def some_rows(rng: np.random.Generator, size: int) -> Rows:
    ones = (rng.random((size, COLUMNS)) < rng.choice([0.02, 0.3, 0.98])).astype(np.int64)
    return rows_of(ones, (rng.random((size, 12)) < 0.3).astype(np.int64))


def part(rows: Rows, chosen: np.ndarray) -> Rows:
    return Rows(Indicators(rows.ones.matrix[chosen]), rows.founding[chosen], rows.years[chosen], rows.state)


def some_broadcast(rng: np.random.Generator, stage: str) -> dict[str, np.ndarray]:
    size = rng.choice([1e-300, 0.1, 1.0, 30.0, 1e6, 1e300])
    return {name: rng.normal(0, 1, shape) * size for name, shape in MADE.expects(stage).items()}


def real_broadcasts() -> dict[str, dict[str, np.ndarray]]:
    """What a coordinator without noise asks."""
    prepared = [MADE.prepare(victims(500, place)[0], name) for place, name in enumerate(STATES)]
    state, found = MADE.start(Setting(3, {})), {}
    for stage in MADE.stages():
        for _ in range(stage.rounds):
            found[stage.name] = MADE.broadcast(state)
            sums = [MADE.contribute(rows, stage, found[stage.name], MAX_VICTIMS).values for rows in prepared]
            state = MADE.advance(state, sum(sums[1:], sums[0]), 0.0)
    return found


REAL = real_broadcasts()


def squared_norm(row: np.ndarray) -> int:
    return sum(int(value) ** 2 for value in row if value)


@pytest.mark.parametrize("stage", STAGES)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_leaving_one_victim_out_moves_the_sum_by_at_most_the_bound(stage: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = some_rows(rng, 6)
    broadcast = some_broadcast(rng, stage) if rng.random() < 0.7 else REAL[stage]
    terms = STAGES[stage]
    whole = MADE.contribute((rows,), terms, broadcast, MAX_VICTIMS).values
    without = MADE.contribute((part(rows, np.arange(6) != 2),), terms, broadcast, MAX_VICTIMS).values
    alone = MADE.contribute((part(rows, np.array([2])),), terms, broadcast, MAX_VICTIMS).values
    assert np.array_equal(whole - without, alone)
    assert squared_norm(alone) <= terms.bound**2


@pytest.mark.parametrize("stage", STAGES)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_no_row_fails_the_check(stage: str, seed: int) -> None:
    """A row that failed would count as zero: the bound would hold, and the victim be lost."""
    rng = np.random.default_rng(seed)
    failures = []
    original = bounded_sum.BoundedSumBuilder.finish

    def finish(builder: bounded_sum.BoundedSumBuilder) -> bounded_sum.BoundedSum:
        failures.append(builder.over_bound)
        return original(builder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bounded_sum.BoundedSumBuilder, "finish", finish)
        MADE.contribute((some_rows(rng, 20),), STAGES[stage], some_broadcast(rng, stage), MAX_VICTIMS)
    assert failures == [0]


@pytest.mark.parametrize("stage", STAGES)
def test_a_maximal_victim_nearly_reaches_the_bound(stage: str) -> None:
    ones, founding = np.ones((1, COLUMNS), np.int64), np.zeros((1, 12), np.int64)
    founding[0, 3] = 1
    broadcast = {name: np.zeros(shape) for name, shape in MADE.expects(stage).items()}
    if "active" in broadcast:
        broadcast["active"][1] = 1.0
    if stage == "pairs":
        broadcast["examined"][1] = 1.0
        broadcast["used"][:] = 1.0
    row = MADE.contribute((rows_of(ones, founding),), STAGES[stage], broadcast, MAX_VICTIMS).values
    assert 0.99 * FINE_UNIT <= np.sqrt(float(squared_norm(row))) <= FINE_UNIT


@pytest.mark.parametrize("stage", STAGES)
def test_a_victim_without_any_value_adds_within_the_bound_and_no_more(stage: str) -> None:
    rows = rows_of(np.zeros((1, COLUMNS), np.int64), np.zeros((1, 12), np.int64))
    row = MADE.contribute((rows,), STAGES[stage], REAL[stage], MAX_VICTIMS).values
    assert squared_norm(row) <= FINE_UNIT**2


def test_the_order_of_victims_and_how_they_are_grouped_change_nothing() -> None:
    rng = np.random.default_rng(5)
    rows = some_rows(rng, 60)
    for stage, terms in STAGES.items():
        whole = MADE.contribute((rows,), terms, REAL[stage], MAX_VICTIMS).values
        order = rng.permutation(60)
        pieces = tuple(part(rows, chosen) for chosen in (order[:7], order[7:8], order[8:]))
        assert np.array_equal(whole, MADE.contribute(pieces, terms, REAL[stage], MAX_VICTIMS).values)


def test_the_scaling_factor_is_the_largest_that_fits() -> None:
    squares = np.array([1, 2, 3, 2**24, 2**24 + 1, 3 * 2**30 + 7, 2**55, 2**56], np.int64)
    for square, factor in zip(squares.tolist(), unit_of(squares).tolist(), strict=True):
        assert factor**2 * square <= FINE_UNIT**2 < (factor + 1) ** 2 * square


def test_a_victim_of_two_founding_values_counts_half_for_each() -> None:
    founding = np.zeros((1, 12), np.int64)
    founding[0, [2, 5]] = 1
    ones = np.zeros((1, COLUMNS), np.int64)
    table = MADE.contribute(
        (rows_of(ones, founding),), STAGES["founding"], REAL["founding"], MAX_VICTIMS
    ).values
    counts = table.reshape(-1, 12)[COLUMNS + 1]
    assert counts[2] == counts[5] > 0
    assert counts.sum() == counts[2] + counts[5]


def test_a_study_is_the_same_twice() -> None:
    prepared = [MADE.prepare(victims(200, place)[0], name) for place, name in enumerate(STATES)]
    first, second = (study(MADE, prepared, rho=1.0, seed=3) for _ in range(2))
    assert first.facts == second.facts
    assert all(np.array_equal(first.arrays[name], second.arrays[name]) for name in first.arrays)
