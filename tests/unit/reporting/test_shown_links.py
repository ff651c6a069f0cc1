"""The section on links: counts from released tables, and the sentence on what epsilon does not cover."""

from dataclasses import replace

import numpy as np
import pytest

from safeborders_fed.reporting.building import build
from safeborders_fed.reporting.noisy_tables import TableRelease
from safeborders_fed.reporting.reading import Released
from table_samples import catalogue, loaded, release, released

YEARS = ("2023", "2024", "2025")


def only(keep: set[str]) -> Released:
    """A release of all tables of the catalogue, and of those of links these only."""
    made = catalogue(3, YEARS)
    tables = [
        table
        for table in made.tables
        if not {"partner", "link"} & {axis.name for axis in table.axes} or table.name in keep
    ]
    return released(loaded(replace(made, tables=tuple(tables))))


def section(page: str) -> str:
    return page[page.index('aria-labelledby="links"') : page.index('aria-labelledby="coverage"')]


@pytest.fixture(scope="module")
def made() -> TableRelease:
    return catalogue(3, YEARS)


def test_both_tables_are_shown_with_what_epsilon_covers_and_does_not(made: TableRelease) -> None:
    shown = section(build([released(loaded(made))]))
    assert "Epsilon covers these counts, and not the links themselves." in shown
    assert "By type of identifier" in shown
    assert "Between which states" in shown
    assert "Telephone number" in shown
    assert "No link" in shown
    assert "no counts of links" not in shown


@pytest.mark.parametrize(
    ("keep", "there", "gone"),
    [
        ({"state x partner"}, "Between which states", "By type of identifier"),
        ({"year x link"}, "By type of identifier", "Between which states"),
    ],
)
def test_one_table_alone_is_shown_alone(keep: set[str], there: str, gone: str) -> None:
    shown = section(build([only(keep)]))
    assert there in shown
    assert gone not in shown


def test_without_the_tables_the_page_says_that_nothing_is_counted() -> None:
    plain = released(loaded(release(np.ones((3, 4, 4)))))
    for given in (only(set()), plain):
        assert "This release has no counts of links." in section(build([given]))
