"""The map of states, breaks, comparability; and input that must not become a picture that lies."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from safeborders_fed.analyses.trend_axes import COMPLETE, GAPS, SEVERAL
from safeborders_fed.reporting.building import build
from safeborders_fed.reporting.noisy_tables import Axis, NoisyTable
from safeborders_fed.reporting.reading import Released
from safeborders_fed.reporting.shown import Shown
from safeborders_fed.reporting.tiles import PLACES, tile_map
from table_samples import counts, loaded, release, released

QUARTERS = ("2024-Q1", "2024-Q2", "2024-Q3", "2024-Q4", "2025-Q1")
STATES = ("BG", "GR", "RO")
GAP_CODES = (COMPLETE, *GAPS, SEVERAL)


def table(cells: list[list[float]] | list[float], *axes: Axis) -> NoisyTable:
    return NoisyTable(" x ".join(axis.name for axis in axes), axes, np.array(cells, dtype=float), 2.0)


def of(*tables: NoisyTable, states: tuple[str, ...] = STATES) -> Released:
    made = replace(release(np.ones((1, 4, 4))), tables=tables, states=states)
    return released(loaded(made))


def by_state(*values: list[float], states: tuple[str, ...] = STATES) -> tuple[NoisyTable, ...]:
    """Victims by quarter, of each state, and of each state in each quarter."""
    cells = np.array(values)
    time, where = Axis("quarter", QUARTERS[: cells.shape[1]]), Axis("state", states)
    sums = [float(each) for each in cells.sum(axis=0)], [float(each) for each in cells.sum(axis=1)]
    return table(cells.T.tolist(), time, where), table(sums[0], time), table(sums[1], where)


def section(page: str, name: str) -> str:
    return page.split(f'aria-labelledby="{name}"')[1].split("</section>", maxsplit=1)[0]


def row(markup: str, heading: str) -> list[str]:
    found = re.findall(rf'<th scope="row">{heading}</th>((?:<td[^>]*>[^<]*</td>)+)</tr>', markup)
    return re.findall(r"<td[^>]*>([^<]*)</td>", found[-1])


def test_a_state_that_sends_no_victims_is_never_a_zero() -> None:
    tables = by_state([100.0, 110, 120], [0.0, 0, 0], [300.0, 310, 330])
    page = build([of(*tables)])
    where = section(page, "states")
    assert "no count is published of" in where
    assert "A state that sent nothing looks like this as well." in where
    assert "Greece" in re.findall(r"no count is published of ([^<]*)\. A state", where)[0]
    assert row(where, "Greece") == ["c", "c"]
    assert row(section(page, "coverage"), "Greece") == [
        "0 of 3",
        "c",
        "c",
        "nothing is published of this state",
    ]
    assert ">0</text>" not in re.findall(r"<svg.*?</svg>", where, re.DOTALL)[0].split("Per cent")[0]


def test_states_that_were_not_asked_are_grey_and_named() -> None:
    where = section(build([of(*by_state([100.0], [200.0], [300.0]))]), "states")
    assert "Grey: not asked in this release" in where
    assert where.count(">not asked</text>") == len(PLACES) - len(STATES)
    for name in ("Belgium", "Finland", "Italy", "Poland", "Portugal"):
        assert name in where.split("</p>")[1]


def test_tiles_have_places_of_their_own_and_no_state_is_left_out() -> None:
    counts_of = {"BG": Shown(500, 10, 490), "RO": None, "ES": Shown(20, 10, 0), "FR": Shown(30, 10, 20)}
    svg = tile_map(counts_of, name="m", title="T").svg
    tiles = re.findall(r'<path d="M(\d+),(\d+)h\d+v\d+h-\d+z" stroke="#767676" fill="([^"]+)"', svg)
    assert len({tile[:2] for tile in tiles}) == len(tiles) == len(PLACES) + 2
    assert sum(fill == "url(#m-hatch)" for *_, fill in tiles) == 1
    assert sum(fill == "#e6e6e6" for *_, fill in tiles) == len(PLACES) - 2
    assert re.findall(r">(500|20†|30|c)</text>", svg)[:4].count("c") == 1
    assert len(set(PLACES.values())) == len(PLACES)


def test_a_break_is_a_period_without_a_count_between_others() -> None:
    tables = by_state([100.0, 110, 0, 120, 130], [0.0, 90, 95, 80, 0], [300.0, 310, 330, 340, 350])
    coverage = section(build([of(*tables)]), "coverage")
    assert "Do not read it as zero, and do not draw a line across it." in coverage
    breaks = coverage.split('id="breaks-table"')[1]
    assert "2024-Q3" in row(breaks, "Bulgaria")[3]
    # Suppressed to protect Bulgaria's: a break all the same.
    ends = "2024-Q3; nothing published after the last"
    assert row(breaks, "Greece") == ["2 of 5", "2024-Q2", "2024-Q4", ends]


def test_a_quarter_without_data_is_a_gap_and_not_a_zero() -> None:
    time = Axis("quarter", QUARTERS)
    page = build([of(table([100.0, 110, 0, 120, 0], time))])
    assert row(section(page, "trend"), "2024-Q3") == ["c", "c"]
    assert "How many victims were registered in 2025-Q1, the latest quarter, is suppressed." in page


def test_a_value_that_one_state_alone_uses_tells_nothing_of_the_others() -> None:
    """The table is of all states together: nothing says which one, and the rest is no zero."""
    time, form = Axis("year", ("2024", "2025")), Axis("form", ("OrganRemoval", "ForcedLabour"))
    page = build([of(table([[0.0, 400.0], [0.0, 420.0]], time, form), table([400.0, 420.0], time))])
    assert "Organ removal" in re.findall(r"All counts by period are suppressed of: ([^<]*)\.</p>", page)[0]
    assert row(section(page, "change"), "Organ removal") == ["c", "c", "c", "not known"]


def gaps(**missing: float) -> tuple[NoisyTable, ...]:
    """Bulgaria with these gaps among 1,000 victims; others with nothing missing."""
    rest = 1000.0 - sum(missing.values())
    first = [rest, *(missing.get(gap, 0.0) for gap in GAPS), missing.get("several", 0.0)]
    other = [1000.0, *(0.0 for _ in GAPS), 0.0]
    where = Axis("state", STATES)
    cells = [first, other, other]
    return (
        table(cells, where, Axis("gap", GAP_CODES)),
        table([1000.0] * 3, where),
        table([1500.0, 1500.0], Axis("year", ("2024", "2025"))),
    )


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ({"sex": 600.0}, "Sex"),
        ({"citizenship": 300.0, "several": 250.0}, "Citizenship"),
        ({"several": 600.0}, "any of these fields: several are missing at once for half or more"),
        ({"sex": 200.0}, "nothing found"),
    ],
)
def test_a_state_whose_field_is_mostly_missing_is_not_to_be_compared(
    missing: dict[str, float], expected: str
) -> None:
    compared = section(build([of(*gaps(**missing))]), "comparability")
    assert row(compared.split('id="comparable-table"')[1].split("</table>")[0], "Bulgaria")[-1] == expected
    assert ("Not to be compared with others: Bulgaria" in compared) == (expected != "nothing found")
    assert "must not be read as having few" in compared


def test_a_release_of_other_states_is_a_break_and_is_not_compared() -> None:
    one = loaded(release(counts(4)))
    made = replace(release(counts(4) + 30, study="trends-two", manifest="c"), states=("BG", "IT", "RO"))
    page = build([released(one), released(loaded(made, None, one))])
    coverage = section(page, "coverage")
    assert "Break in time series (b) between releases trends-one-1 and trends-two-1" in coverage
    assert "Greece left; Italy joined" in coverage
    assert "not compared with those of this release, which is of other states" in section(page, "releases")
    assert "Against release trends-one-1" not in page
