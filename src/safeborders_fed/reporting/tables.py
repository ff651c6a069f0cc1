"""The tables of published counts, in rows and columns.

Guarantees: a cell is a published count, which knows its margin and whether it can be told from zero, or
``None`` where the analysis gives no value; none is left out. Years run across, so that a row reads as a
time series.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from safeborders_fed.reporting.accuracy import Estimate
from safeborders_fed.reporting.figures import Count, PublishedTrends, count_of
from safeborders_fed.reporting.model import OTHER_YEAR, TOTAL
from safeborders_fed.reporting.typologies import Typologies, TypologyFacts

OTHER_YEAR_LABEL: Final = "Other years"

Numbers = Mapping[str, Estimate]

Row = tuple[str, tuple[Count | None, ...]]
"""Heading of a row and its cells."""


@dataclass(frozen=True, slots=True)
class Group:
    """Rows under a common heading.

    Attributes:
        heading: The common heading; empty if there is none.
        rows: The rows.
    """

    heading: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """One table.

    Attributes:
        name: Prefix of its ids, unique in the page.
        caption: What it shows.
        corner: Heading of the column of row headings.
        columns: Headings of the other columns.
        groups: The rows.
        total: The row of totals, if there is one.
    """

    name: str
    caption: str
    corner: str
    columns: tuple[str, ...]
    groups: tuple[Group, ...]
    total: Row | None = None


def forms_table(trends: PublishedTrends) -> Table:
    """Form of exploitation by year, with all margins."""
    rows = tuple((form, (*_series(trends, form=form), trends.of(form=form))) for form in trends.forms)
    return Table(
        name="forms-table",
        caption="Victims by form of exploitation and year",
        corner="Form of exploitation",
        columns=(*_year_labels(trends), "All years"),
        groups=(Group("", rows),),
        total=("All forms", (*_series(trends), trends.counts.get((TOTAL, TOTAL, TOTAL)))),
    )


def ages_table(trends: PublishedTrends) -> Table:
    """Age band by year."""
    return Table(
        name="ages-table",
        caption="Victims by age and year",
        corner="Age",
        columns=_year_labels(trends),
        groups=(Group("", tuple((band, _series(trends, age_band=band)) for band in trends.age_bands)),),
        total=("All ages", _series(trends)),
    )


def cells_table(trends: PublishedTrends) -> Table:
    """Every cell: age band by year for each form of exploitation."""
    return Table(
        name="cells-table",
        caption="Victims by form of exploitation, age and year",
        corner="Age",
        columns=_year_labels(trends),
        groups=tuple(
            Group(form, tuple((band, _series(trends, form=form, age_band=band)) for band in trends.age_bands))
            for form in trends.forms
        ),
    )


def type_tables(typologies: Typologies) -> tuple[Table, Table]:
    """Victims of each type by state, and by year."""

    def table(name: str, by: str, columns: Sequence[str], of: Callable[[TypologyFacts], Numbers]) -> Table:
        rows = tuple(
            (entry.name, tuple(count_of(of(entry)[key].value, of(entry)[key].error) for key in columns))
            for entry in typologies.types
        )
        caption = f"Victims by type and {by}"
        return Table(name, caption, "Type", tuple(year_label(key) for key in columns), (Group("", rows),))

    return (
        table("type-states-table", "state", typologies.states, lambda entry: entry.by_state),
        table("type-years-table", "year", typologies.years, lambda entry: entry.by_year),
    )


def year_label(year: str) -> str:
    """What a reader sees for a year or for ``Other``."""
    return OTHER_YEAR_LABEL if year == OTHER_YEAR else year


def _year_labels(trends: PublishedTrends) -> tuple[str, ...]:
    return tuple(year_label(year) for year in trends.columns)


def _series(trends: PublishedTrends, *, form: str = TOTAL, age_band: str = TOTAL) -> tuple[Count, ...]:
    return tuple(trends.of(year=year, form=form, age_band=age_band) for year in trends.columns)
