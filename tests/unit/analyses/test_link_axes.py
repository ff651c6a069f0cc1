"""Victims with links in trend tables: one cell each, and nothing that the node's book does not say."""

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from federation_of import MAX_VICTIMS, analysis_table
from safeborders_fed.analyses.base import UNIT, Setting
from safeborders_fed.analyses.registry import build
from safeborders_fed.analyses.trend_axes import NO_LINK, SEVERAL, further_axes
from safeborders_fed.analyses.trends import COUNTS, Trends
from safeborders_fed.cases.contract import IDENTIFIER_TYPES, LINKS
from safeborders_fed.cases.countries import STATES
from safeborders_fed.cases.encoding import Linked, Victims, merge

ASKED: dict[str, Any] = {
    "first_year": 2019,
    "last_year": 2025,
    "tables": ["link-partners", "link-types", "forms"],
    "states": ["BE", "BG"],
}
AXES = {axis.name: axis for axis in further_axes()}


def trends(**changes: Any) -> Trends:
    found = build("trends", {**ASKED, **changes})
    assert isinstance(found, Trends)
    return found


def people(analysis: Trends, links: dict[str, Linked] | None = None, rows: int = 300) -> Victims:
    return merge(analysis_table(rows, 1), analysis.fields(), lambda: links or {})


def linked(partners: set[str], kinds: set[str]) -> Linked:
    return Linked(frozenset(partners), frozenset(kinds))


def any_links(draw: random.Random, pseudonyms: list[str]) -> dict[str, Linked]:
    """Links of some victims, with all that a book could hold and some that it could not."""
    states, kinds = [*STATES, "XX"], [*IDENTIFIER_TYPES, "nonsense"]
    return {
        name: linked(set(draw.sample(states, draw.randrange(4))), set(draw.sample(kinds, draw.randrange(4))))
        for name in draw.sample(pseudonyms, len(pseudonyms) // 2)
    }


def contributions(analysis: Trends, own: Victims) -> Iterator[np.ndarray]:
    """The sum over everybody, then over everybody but one, for each."""
    (stage,) = analysis.stages()
    everybody = np.ones(len(own), dtype=bool)
    for left_out in (None, *range(0, len(own), 7)):
        chosen = everybody.copy()
        if left_out is not None:
            chosen[left_out] = False
        prepared = analysis.prepare(own.take(chosen), "BG")
        yield analysis.contribute(prepared, stage, {}, MAX_VICTIMS).values


@pytest.mark.parametrize("seed", range(4))
def test_no_victim_moves_the_tables_by_more_than_the_bound_whatever_the_book_says(seed: int) -> None:
    """The book is held fixed: a victim is left out of the files, and stays in the book."""
    analysis = trends()
    plain = people(analysis)
    own = replace(plain, links=any_links(random.Random(seed), [str(each) for each in plain.pseudonyms]))
    whole, *without = contributions(analysis, own)
    moved = {sum(int(value) ** 2 for value in whole - less) for less in without}
    assert moved - {0}
    assert max(moved) <= UNIT**2


@pytest.mark.parametrize(("axis", "codes"), [("partner", tuple(STATES)), ("link", tuple(IDENTIFIER_TYPES))])
def test_each_victim_stands_at_no_link_one_code_or_several(axis: str, codes: tuple[str, ...]) -> None:
    own = people(trends(), rows=60)
    names = [str(each) for each in own.pseudonyms]

    def both(*words: str) -> Linked:
        return linked(set(words), set(words))

    links = {
        names[0]: both(codes[0]),
        names[1]: both(codes[-1]),
        names[2]: both(codes[0], codes[1]),
        names[3]: both(),
        names[4]: both("none of these"),
    }
    places = AXES[axis].place(replace(own, links=links), "BG")
    found = [AXES[axis].codes[place] for place in places]
    assert found[:6] == [codes[0], codes[-1], SEVERAL, NO_LINK, SEVERAL, NO_LINK]
    assert set(found[6:]) == {NO_LINK}


def test_counts_are_those_of_the_book_and_all_others_have_no_link() -> None:
    analysis = trends()
    plain = people(analysis)
    plain.singles["trafficking_status"][:] = 1
    names = [str(each) for each in plain.pseudonyms]
    own = replace(plain, links={name: linked({"IT"}, {"phone", "email"}) for name in names[:20]})
    (stage,) = analysis.stages()
    total = analysis.contribute(analysis.prepare(own, "BG"), stage, {}, MAX_VICTIMS).values
    release = analysis.result(analysis.advance(analysis.start(Setting(2, {COUNTS: 1e-6})), total, 1e-6))
    axes, table = release.facts["axes"], release.arrays["state x partner"]
    row = table[axes["state"].index("BG")]
    assert row[axes["partner"].index("IT")] == pytest.approx(20, abs=0.1)
    assert row[axes["partner"].index(NO_LINK)] == pytest.approx(len(own) - 20, abs=0.1)
    assert row.sum() == pytest.approx(len(own), abs=0.1)
    assert release.arrays["link"][axes["link"].index(SEVERAL)] == pytest.approx(20, abs=0.1)


def test_the_book_is_read_only_for_a_study_that_names_the_links() -> None:
    def never() -> dict[str, Linked]:
        raise AssertionError("read")

    plain = trends(tables=["forms"], states=[])
    assert LINKS not in plain.fields()
    merge(analysis_table(20, 1), plain.fields(), never)
    assert LINKS in trends().fields()
    with pytest.raises(AssertionError):
        merge(analysis_table(20, 1), trends().fields(), never)


def test_without_a_book_nobody_has_a_link() -> None:
    own = merge(analysis_table(20, 1), trends().fields())
    assert set(AXES["partner"].place(own, "BG")) == {0}
