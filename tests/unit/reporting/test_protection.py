"""Complementary suppression: what the sums of published tables tell of suppressed counts, by other means."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from safeborders_fed.reporting import protection
from safeborders_fed.reporting.disclosure import disclose
from safeborders_fed.reporting.elimination import Told
from safeborders_fed.reporting.sums import cells_of
from safeborders_fed.study.table_file import Rules
from table_samples import catalogue, release

CHOSEN = (
    ("year x form", "year x age"),
    ("year x form", "form x age", "age"),
    ("year x form", "year x age", "form x age", "total"),
    ("year x form x age", "year x form", "form x age", "year"),
)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(CHOSEN), st.integers(2, 60))
def test_a_linear_program_pins_no_suppressed_count_of_chosen_tables(
    seed: int, chosen: tuple[str, ...], scale: int
) -> None:
    """All sums of a choice of tables, also through margins that nobody publishes; each suppressed count."""
    full = np.random.default_rng(seed).gamma(0.4, scale, size=(3, 4, 4)).round(1)
    made = release(full)
    made = replace(made, tables=tuple(table for table in made.tables if table.name in chosen))
    shown = disclose(made, Rules())
    cells = cells_of(made.tables)
    hidden = np.ones(cells.size, bool)
    for at, table in enumerate(shown):
        hidden[cells.numbers(at).ravel()] = [cell is None for cell in table.cells]
    left = np.zeros((len(cells.sums), cells.size))
    for row, each in enumerate(cells.sums):
        left[row, each.total] = -1
        left[row, each.parts] = 1
    unknown = np.flatnonzero(hidden)
    # Zero for all that is published: whether a count is fixed does not depend on these values.
    right = np.zeros(len(cells.sums))
    for at in range(sum(cells.numbers(table).size for table in range(cells.published))):
        if hidden[at]:
            goal = (unknown == at).astype(float)
            ends = [
                linprog(sign * goal, A_eq=left[:, unknown], b_eq=right, bounds=(None, None)).status
                for sign in (1, -1)
            ]
            assert ends == [3, 3], "unbounded in both directions: not fixed by the sums"


def test_determined_finds_a_count_that_only_several_sums_together_fix() -> None:
    """a+b, b+c and a+c fix each of three counts, and no single sum fixes any."""
    cells = cells_of(())
    assert cells.size == 0
    pairs = [(0, 1, 3), (1, 2, 4), (0, 2, 5)]
    sums = [protection.Sum(total, np.array([a, b])) for a, b, total in pairs]
    hidden = np.array([True, True, True, False, False, False])
    problem = protection.Problem(np.array([1, 1, 1, 20, 20, 20]), np.full(6, 4.0), 5, sums)
    assert protection.determined(problem, hidden).tolist() == [0, 1, 2]
    assert not protection.determined(problem, protection.protect(problem, hidden)).size


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 100_000), st.integers(2, 14), st.integers(1, 12))
def test_what_is_told_is_what_the_space_of_the_sums_holds(seed: int, size: int, number: int) -> None:
    """Against the rank of dense matrices, after every single suppression, for sums of any shape."""
    draw = np.random.default_rng(seed)
    sums = []
    for _ in range(number):
        among = draw.permutation(size)[: draw.integers(2, size + 1)]
        sums.append(protection.Sum(int(among[0]), among[1:].astype(np.int64)))
    told, unknown = Told(sums, size), list[int]()
    matrix = np.zeros((number, size))
    for row, each in enumerate(sums):
        matrix[row, each.total], matrix[row, each.parts] = 1, -1
    for count in draw.permutation(size).tolist():
        told.suppress(count)
        unknown = sorted([*unknown, count])
        part = matrix[:, unknown]
        units = np.eye(len(unknown))
        rank = np.linalg.matrix_rank(part)
        fixed = [
            cell
            for cell, unit in zip(unknown, units, strict=True)
            if np.linalg.matrix_rank(np.vstack([part, unit])) == rank
        ]
        assert told.fixed() == fixed


def test_the_full_catalogue_by_forty_quarters_is_disclosed_in_seconds() -> None:
    """A quarter of a second; 38 s when each step looked at the whole matrix of the sums anew."""
    periods = tuple(f"{year}-Q{quarter}" for year in range(2016, 2026) for quarter in range(1, 5))
    made = catalogue(3, periods)
    begun = time.process_time()
    disclose(made, Rules())
    assert time.process_time() - begun < 10
