"""Releases of several studies become tables over one time, or are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from safeborders_fed.errors import SafeBordersError
from safeborders_fed.reporting.early_warning import warnings_of
from safeborders_fed.reporting.noisy_tables import Axis, NoisyTable, TableRelease
from safeborders_fed.reporting.over_time import tables_over, warnings_over
from warning_worlds import counts, quarters

NAMES = tuple(f"corridor {at:03}" for at in range(40))


def table(
    values: np.ndarray, periods: tuple[str, ...], *, deviation: float = 6.0, axis: str = "corridor"
) -> NoisyTable:
    """Series down, periods across, and an "Other" with whatever else there is."""
    axes = (Axis("quarter", (*periods, "Other")), Axis(axis, NAMES[: len(values)]))
    cells = np.concatenate([values.T, np.full((1, len(values)), 9_999.0)])
    return NoisyTable(f"quarter x {axis}", axes, cells, deviation)


def release(number: int, *tables: NoisyTable, **changes: Any) -> TableRelease:
    total = NoisyTable("total", (), np.asarray(1.0), 1.0)
    made = TableRelease(
        study=f"study-{number}",
        manifest_hash=f"{number:064}",
        population="all",
        states=("BG", "GR"),
        tables=(*tables, total),
        epsilon=1.0,
        delta=1e-6,
        rho=0.02,
    )
    return replace(made, **changes)


def world(periods: int = 14) -> np.ndarray:
    return counts(np.random.default_rng(3), series=40, periods=periods, planted=60.0, doubles_at=12)


def test_studies_of_single_quarters_warn_like_one_study_of_all() -> None:
    values, periods = world(), quarters(14)
    single = [release(at, table(values[:, at : at + 1], periods[at : at + 1])) for at in range(14)]
    whole = release(99, table(values, periods))
    assert warnings_over(single) == warnings_over([whole]) == warnings_of(whole.tables)
    assert warnings_over(single, period=periods[12]) == warnings_of(whole.tables, period=periods[12])


def test_a_period_that_several_count_is_read_from_the_latest() -> None:
    values, periods = world(), quarters(14)
    old = release(1, table(values[:, :12] + 1000, periods[:12], deviation=3.0))
    new = release(2, table(values[:, 2:], periods[2:], deviation=5.0))
    (found,) = tables_over([old, new])
    assert found.axes[0].codes == periods
    assert (found.counts[:2] == values[:, :2].T + 1000).all()
    assert (found.counts[2:] == values[:, 2:].T).all()
    # What is read from the whole is no more certain than its least certain part.
    assert found.deviation == 5.0


def test_time_may_be_any_axis() -> None:
    values, periods = world(), quarters(14)
    first, last = table(values[:, :9], periods[:9]), table(values[:, 9:], periods[9:])
    turned = [
        NoisyTable("corridor x quarter", one.axes[::-1], one.counts.T.copy(), one.deviation)
        for one in (first, last)
    ]
    (found,) = tables_over([release(1, turned[0]), release(2, turned[1])])
    assert (found.counts == values).all()


def test_tables_that_not_all_have_may_be_left_out() -> None:
    values, periods = world(), quarters(14)
    old = release(1, table(values[:, :9], periods[:9]), table(values[:, :9], periods[:9], axis="means"))
    new = release(2, table(values[:, 9:], periods[9:]))
    assert len(tables_over([old, new], ["quarter x corridor"])) == 1
    with pytest.raises(SafeBordersError, match="quarter x means") as caught:
        tables_over([old, new])
    assert caught.value.code == "tables-differ"


def pair(**later: Any) -> list[TableRelease]:
    """Nine quarters, then five, something of which differs."""
    values, periods = world(), quarters(14)
    fits: dict[str, Any] = {"start": 9, "rows": 40, "axis": "corridor", "codes": periods, "changes": {}}
    given = {**fits, **later}
    second = table(
        values[: given["rows"], given["start"] :], given["codes"][given["start"] :], axis=given["axis"]
    )
    return [release(1, table(values[:, :9], periods[:9])), release(2, second, **given["changes"])]


@pytest.mark.parametrize(
    ("releases", "code", "words"),
    [
        ([], "no-series", "no release"),
        (pair(start=10), "gap-in-periods", "between 2017-Q1 of study-1 and 2017-Q3 of study-2"),
        (pair()[::-1], "wrong-order", "study-1 ends with 2017-Q1"),
        ([*pair(), *pair()[1:]], "same-study", "twice"),
        (pair(rows=39), "tables-differ", "other codes in study-2"),
        (pair(axis="means"), "tables-differ", "not in the releases of both"),
        (pair(codes=tuple(map(str, range(2000, 2014)))), "tables-differ", "another length"),
        (pair(changes={"population": "minors"}), "not-comparable", "study-2 counts minors"),
        (pair(changes={"states": ("BG",)}), "not-comparable", "BG, GR, and study-2"),
    ],
)
def test_what_does_not_fit_together_is_refused(releases: list[TableRelease], code: str, words: str) -> None:
    with pytest.raises(SafeBordersError, match=words) as caught:
        warnings_over(releases)
    assert caught.value.code == code


def test_the_order_of_states_does_not_matter() -> None:
    assert warnings_over(pair(changes={"states": ("GR", "BG")})) == warnings_over(pair())
