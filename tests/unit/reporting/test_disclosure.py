"""Rounding and suppression: what a reader of published tables cannot work out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.optimize import linprog

from safeborders_fed.errors import RefusedError
from safeborders_fed.reporting.disclosure import disclose
from safeborders_fed.reporting.noisy_tables import Axis, NoisyTable, TableRelease
from safeborders_fed.reporting.sums import cells_of
from safeborders_fed.study.table_file import DisclosedTable, Rules
from table_samples import axes, counts, loaded, release, tables_of_full

PAIRS = st.tuples(st.integers(1, 50), st.integers(0, 200)).map(lambda two: (two[0], two[0] + two[1]))


@given(PAIRS, st.floats(0, 1e6), st.floats(0, 100))
def test_a_rounded_count_is_near_and_its_floor_is_never_zero(
    pair: tuple[int, int], count: float, deviation: float
) -> None:
    rules = Rules(base=pair[0], threshold=pair[1])
    rounded = rules.round(count)
    assert rounded % rules.base == 0
    assert abs(rounded - count) <= rules.base / 2
    assert rules.floor(deviation) >= max(rules.base, rules.threshold)
    assert rules.margin(deviation) >= 1.96 * deviation + rules.base / 2


def test_a_threshold_below_the_base_is_refused() -> None:
    with pytest.raises(ValidationError, match="zero"):
        Rules(base=5, threshold=4)


@given(st.integers(2, 40), st.integers(0, 400), st.floats(-0.49, 0.49), st.floats(-0.49, 0.49))
def test_published_numbers_do_not_give_the_unrounded_value_away(
    base: int, step: int, one: float, other: float
) -> None:
    """Two values of one multiple give the same publication: count, interval, and whether there is any."""
    rules = Rules(base=base, threshold=base)
    axis = Axis("form", ("A", "B"))
    publications = []
    for shift in (one, other):
        value = np.array([base * (step + shift), 5000.0])
        made = replace(release(counts(0)), tables=(NoisyTable("form", (axis,), np.maximum(value, 0), 2.0),))
        publications.append(disclose(made, rules))
    assert publications[0] == publications[1]


def test_a_lower_end_below_the_floor_is_zero() -> None:
    rules = Rules(base=5, threshold=10)
    table = DisclosedTable(
        name="total", axes=(), deviation=2.0, margin=rules.margin(2.0), floor=rules.floor(2.0), cells=(15,)
    )
    assert table.interval(15) == (0, 22)
    assert table.interval(20) == (13, 27)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_no_suppressed_count_is_fixed_by_the_published_ones(seed: int) -> None:
    """An attacker with a linear program and exact sums cannot pin a suppressed count down."""
    made = release(counts(seed, 2))
    shown = disclose(made, Rules())
    cells = cells_of(made.tables)
    hidden = np.ones(cells.size, bool)
    for at, table in enumerate(shown):
        hidden[cells.numbers(at).ravel()] = [cell is None for cell in table.cells]
    full = made.tables[0].counts.ravel()
    sums = [
        (cells.numbers(0)[_slices(made.tables[0], table, place)].ravel(), float(table.counts[place]))
        for at, table in enumerate(made.tables)
        for place in np.ndindex(table.counts.shape)
        if not hidden[cells.numbers(at)[place]]
    ]
    left = np.zeros((len(sums), full.size))
    for row, (parts, _) in enumerate(sums):
        left[row, parts] = 1
    right = [total for _, total in sums]
    for cell in np.flatnonzero(hidden[: full.size])[:4]:
        goal = np.eye(full.size)[cell]
        ends = [linprog(sign * goal, A_eq=left, b_eq=right, bounds=(None, None)).status for sign in (1, -1)]
        assert 3 in ends, "unbounded in at least one direction: not fixed by the sums"


def _slices(full: NoisyTable, table: NoisyTable, place: tuple[int, ...]) -> tuple[object, ...]:
    kept = dict(zip((axis.name for axis in table.axes), place, strict=True))
    return tuple(kept.get(axis.name, slice(None)) for axis in full.axes)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([(5, 10), (3, 3), (10, 20)]))
def test_what_a_sum_leaves_for_suppressed_parts_is_at_least_their_margin(
    seed: int, pair: tuple[int, int]
) -> None:
    rules = Rules(base=pair[0], threshold=pair[1])
    made = release(counts(seed))
    shown = {table.name: table for table in disclose(made, rules)}
    total, parts = shown["year"], shown["year x form"]
    width = len(parts.axes[1].codes)
    for at, whole in enumerate(total.cells):
        row = parts.cells[at * width : (at + 1) * width]
        missing = row.count(None)
        if whole is None:
            assert missing, "a suppressed total follows from parts that are all published"
        elif missing:
            assert missing > 1
            known = [cell for cell in row if cell is not None]
            assert whole - sum(known) + (1 + len(known)) * rules.base / 2 >= parts.margin


def test_a_total_is_suppressed_when_its_parts_leave_no_other_way() -> None:
    axis = Axis("form", ("A", "B"))
    tables = (
        NoisyTable("form", (axis,), np.array([3.0, 9.0]), 2.0),
        NoisyTable("total", (), np.array(12.0), 2.0),
    )
    form, total = disclose(replace(release(counts(0)), tables=tables), Rules(base=1, threshold=10))
    assert form.cells == (None, None)
    assert total.cells == (12,)  # 12 for two counts with a margin of 5: neither is known better than that
    tight = Rules(base=1, threshold=12)
    wide = tuple(replace(table, deviation=6.0) for table in tables)
    form, total = disclose(replace(release(counts(0)), tables=wide), tight)
    assert (form.cells, total.cells) == ((None, None), (None,))


def test_tables_that_share_a_margin_which_nobody_publishes_protect_each_other() -> None:
    """year x form and year x age both add up to the year: one suppressed cell follows from the others."""
    full = np.full((1, 4, 4), 100.0)
    full[0, 0, :] = 0.5
    chosen = tuple(t for t in tables_of_full(full) if t.name in {"year x form", "year x age"})
    made = replace(release(full), tables=chosen)
    form, age = disclose(made, Rules())
    assert form.cells[0] is None
    assert form.cells.count(None) + age.cells.count(None) >= 2


def test_the_same_tables_are_always_published_alike() -> None:
    made = release(counts(7))
    assert disclose(made, Rules()) == disclose(made, Rules())


def test_other_rules_for_a_published_study_are_refused() -> None:
    made = release(counts(1))
    before = [loaded(made).tables]
    assert disclose(made, Rules(), before) == disclose(made, Rules())
    with pytest.raises(RefusedError, match="other-rules"):
        disclose(made, Rules(base=3), before)


def test_a_count_suppressed_before_is_suppressed_again() -> None:
    first, later = counts(2), counts(2)
    first[0, 0, 0], later[0, 0, 0] = 1.0, 400.0
    before = loaded(release(first)).tables
    assert before.tables[0].cells[0] is None
    made = release(later, study="trends-two", manifest="c")
    assert disclose(made, Rules())[0].cells[0] is not None
    assert disclose(made, Rules(), [before])[0].cells[0] is None


def test_a_further_table_does_not_publish_what_was_suppressed() -> None:
    """An axis that only the later release has changes nothing about who is counted."""
    first, later = counts(2), counts(2)
    first[0, 0, 0], later[0, 0, 0] = 1.0, 400.0
    before = loaded(release(first)).tables
    made = release(later, study="trends-two", manifest="c")
    sex = NoisyTable("sex", (Axis("sex", ("Female", "Male", "Unknown")),), np.full(3, 900.0), 2.0)
    made = replace(made, tables=(*made.tables, sex))
    assert disclose(made, Rules(), [before])[0].cells[0] is None


def test_a_count_over_another_span_is_another_count() -> None:
    """A form over three years was suppressed; over four years it is not the same count."""
    first, later = np.full((3, 4, 4), 100.0), np.full((4, 4, 4), 100.0)
    first[:, 0, :] = 0.5
    before = loaded(release(first)).tables
    form = {t.name: t for t in disclose(release(later, study="t", manifest="c"), Rules(), [before])}["form"]
    assert form.cells[0] is not None


def test_the_difference_of_two_totals_does_not_give_a_new_year_away() -> None:
    """Before: three years. Now: four, the last one nearly empty: old total and new total would tell it."""
    first, later = np.full((3, 4, 4), 100.0), np.full((4, 4, 4), 100.0)
    later[3] = 0.2
    before = loaded(release(first)).tables
    made = release(later, study="trends-two", manifest="c")
    alone = {table.name: table for table in disclose(made, Rules())}
    both = {table.name: table for table in disclose(made, Rules(), [before])}
    assert alone["year"].cells[3] is None
    old = {table.name: table for table in before.tables}
    for name in ("form", "age", "total"):
        for now, then in zip(both[name].cells, old[name].cells, strict=True):
            assert now is None or then is None, name


def test_what_stood_at_other_before_does_not_give_a_new_year_away() -> None:
    """Before: 2020 and Other. Now: 2020, 2021, Other. Old Other less new Other is 2021."""
    old, new = Axis("year", ("2020", "Other")), Axis("year", ("2020", "2021", "Other"))
    then = NoisyTable("year", (old,), np.array([200.0, 103.0]), 2.0)
    now = NoisyTable("year", (new,), np.array([200.0, 3.0, 100.0]), 2.0)
    before = loaded(replace(release(counts(0)), tables=(then,))).tables
    made = replace(release(counts(0), study="trends-two", manifest="c"), tables=(now,))
    assert disclose(made, Rules())[0].cells == (200, None, 100)
    assert disclose(made, Rules(), [before])[0].cells == (200, None, None)


def test_other_people_are_not_compared() -> None:
    first, later = counts(2), counts(2)
    first[0, 0, 0], later[0, 0, 0] = 1.0, 400.0
    before = loaded(release(first)).tables
    made = replace(release(later, study="trends-two", manifest="c"), states=("BG", "GR"))
    assert disclose(made, Rules(), [before]) == disclose(made, Rules())


def test_too_many_cells_are_refused_before_work_begins() -> None:
    axis = Axis("corridor", tuple(f"C{at}" for at in range(20_001)))
    table = NoisyTable("corridor", (axis,), np.zeros(20_001), 1.0)
    with pytest.raises(RefusedError, match="too-many-cells"):
        disclose(replace(release(counts(0)), tables=(table,)), Rules())


def _simulate(deviation: float, runs: int) -> tuple[int, int]:
    """Published counts, and how many of their intervals cover, in tables of mostly small counts."""
    draw = np.random.default_rng(11)
    rules, own = Rules(base=3, threshold=3), axes(3)[:2]
    published = covered = 0
    for _ in range(runs):
        truth = draw.poisson(draw.gamma(0.3, 30, size=(3, 4))).astype(float)
        noise = draw.normal(0, deviation, size=truth.shape)
        tables = []
        exact = tables_of_full(truth, deviation, own)
        for table in exact:
            noisy = table.counts + (
                noise if len(table.axes) == 2 else draw.normal(0, deviation, table.counts.shape)
            )
            tables.append(replace(table, counts=np.asarray(noisy)))
        made: TableRelease = replace(release(counts(0)), tables=tuple(tables))
        for real, shown in zip(exact, disclose(made, rules), strict=True):
            for value, cell in zip(real.counts.ravel(), shown.cells, strict=True):
                if cell is not None:
                    low, high = shown.interval(cell)
                    published += 1
                    covered += low <= value <= high
    return published, covered


@pytest.mark.parametrize("deviation", [0.7, 2.0, 6.0])
def test_published_intervals_cover(deviation: float) -> None:
    """At least 95% of intervals of counts that are published.

    If exactly 95% covered, the share of n independent ones would fall below 95% - 3.3 sqrt(.95 .05 / n) with
    a chance of 5 in 10,000: the false-alarm rate of this test.
    """
    published, covered = _simulate(deviation, 250)
    assert published > 1000
    assert covered / published >= 0.95 - 3.3 * (0.95 * 0.05 / published) ** 0.5


@pytest.mark.parametrize("truth", [0, 5, 12, 19, 20, 25, 30, 40, 60])
def test_an_interval_covers_whatever_the_truth_given_that_it_is_published(truth: int) -> None:
    """Small counts are published only where noise made them large: of just these 95% must cover.

    False-alarm rate: as in ``test_published_intervals_cover``, for each truth.
    """
    rules, deviation = Rules(base=1, threshold=1), 10.0
    floor, margin = rules.floor(deviation), rules.margin(deviation)
    assert (floor, margin) == (20, 21)
    values = np.floor(np.random.default_rng(5).normal(truth, deviation, 2_000_000) + 0.5)
    shown, times = np.unique(values[values >= floor], return_counts=True)
    table = DisclosedTable(
        name="total", axes=(), deviation=deviation, margin=margin, floor=floor, cells=(floor,)
    )
    ends = [table.interval(int(value)) for value in shown]
    covered = sum(int(n) for n, (low, high) in zip(times, ends, strict=True) if low <= truth <= high)
    assert times.sum() > 1000
    assert covered / times.sum() >= 0.95 - 3.3 * (0.95 * 0.05 / times.sum()) ** 0.5
