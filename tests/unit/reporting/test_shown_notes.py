"""The sections of typologies and early warnings: what a reader is told, and what never reaches them."""

from __future__ import annotations

import gettext
import re
from collections.abc import Iterator

import pytest

from followed_samples import CALM, EMERGING, FALLING, RISING, table
from followed_samples import made as with_warnings
from safeborders_fed.reporting.language import speaking
from safeborders_fed.reporting.planted import Planted
from safeborders_fed.reporting.reading import Released
from safeborders_fed.reporting.shown_parts import Block, Drawing, Section
from safeborders_fed.reporting.shown_typologies import typologies
from safeborders_fed.reporting.shown_warnings import warnings
from safeborders_fed.reporting.table_release import Origin, document
from safeborders_fed.study.table_file import Rules, Tables, read
from table_samples import TODAY, counts, loaded, release, released
from type_samples import facts, trait, typed


def of_types(content: dict[str, object] | None = None) -> Released:
    made = document(typed(content), Rules(), Origin("b" * 64, 1, TODAY))
    return released(read(made.to_bytes()))


def words_of(section: Section) -> Iterator[str]:
    """Every text of a section."""
    yield section.heading
    for part in section.parts:
        yield part.heading
        yield from part.paragraphs
        yield from (drawing.caption for drawing in part.charts)
        yield from (drawing.chart.svg for drawing in part.charts)
        if part.block is not None:
            yield from (part.block.caption, part.block.note, *part.block.columns)
            yield from (text for row in part.block.rows for text in row)


def said(section: Section) -> str:
    return " ".join(words_of(section)).replace("\u00a0", " ")


def blocks(section: Section) -> list[Block]:
    return [part.block for part in section.parts if part.block is not None]


def charts(section: Section) -> list[Drawing]:
    return [drawing for part in section.parts for drawing in part.charts]


def test_each_type_says_what_sets_it_apart_and_where_it_occurs() -> None:
    text = said(typologies(of_types()))
    assert "T1: 260 ± 9 victims" in text
    assert (
        "Method of recruitment: Through online social networks, 72% ± 5% of the type against 20% ± 2% of all "
        "victims." in text
    )
    assert "Found beyond the noise in Bulgaria, Greece, Romania." in text


def test_a_state_is_named_only_where_its_published_count_cannot_be_zero() -> None:
    section = typologies(of_types())
    second = next(part for part in section.parts if part.heading.startswith("T2"))
    assert (
        second.paragraphs[-1] == "Found beyond the noise in Bulgaria, Romania."
    )  # in Greece 10, which may be 0


def test_where_types_and_years_cross_is_drawn_with_a_table_behind_each_chart() -> None:
    section = typologies(of_types())
    assert [drawing.chart.name for drawing in charts(section)] == ["types", "type-state", "type-year"]
    assert all(part.block is not None for part in section.parts if part.charts)
    matrix = next(block for block in blocks(section) if block.name == "type-state-table")
    assert matrix.columns == ("State", "T1", "T2", "T3")
    assert matrix.rows[1] == ("Greece", "80", "10†", "c")
    years = next(block for block in blocks(section) if block.name == "type-year-table")
    assert years.rows[-1][0] == "Other periods"
    names = [block.name for block in blocks(section)]
    assert len(set(names)) == len(names)


def test_a_suppressed_type_has_no_sentence_of_its_own() -> None:
    text = said(typologies(of_types(facts(((120.0, 80.0, 60.0), (2.0, 2.0, 2.0))))))
    assert "T2: count suppressed" in text
    assert text.count("Through online social networks") == 2  # sentence and table of T1


def test_withheld_traits_are_counted_and_types_without_any_say_so() -> None:
    few = said(typologies(of_types(facts(traits=(trait(0.02),)))))
    assert "1 value that sets it apart stands for too few victims to be shown." in few
    assert "Nothing sets it apart beyond the noise." in said(typologies(of_types(facts(traits=()))))


def test_the_clearest_traits_are_sentences_and_all_are_in_the_table() -> None:
    section = typologies(of_types(facts(traits=tuple(trait(share / 100) for share in (90, 80, 70, 60)))))
    first = next(part for part in section.parts if part.heading.startswith("T1"))
    assert [re.findall(r"\d+", text)[0] for text in first.paragraphs[:3]] == ["90", "80", "70"]
    assert first.paragraphs[3] == "All 4 values that set it apart are in the table."
    assert first.block is not None
    assert len(first.block.rows) == 4


def test_the_truth_stands_beside_types_only_where_it_is_known() -> None:
    plain = said(typologies(of_types()))
    assert "adjusted Rand index" not in plain
    known = said(typologies(of_types(), Planted({"T1": "Online recruitment"}, 0.713, 0.8)))
    assert "The types reach 0.71." in known
    assert "without privacy reaches 0.80." in known
    assert "T1 Online recruitment T2 none of them" in known


def test_other_releases_have_no_types() -> None:
    trends = released(loaded(release(counts(4))))
    assert "was not asked for typologies" in said(typologies(trends))


def tables(*series: tuple[float, ...], rate: float | None = 0.05) -> Tables:
    return with_warnings(table(*series), rate=rate).tables


def test_warnings_are_ranked_and_their_rate_is_in_words() -> None:
    section = warnings(tables(RISING, EMERGING, *CALM))
    text = said(section)
    assert "2 of 11 series changed in 2025-Q2 beyond noise and beyond their own past." in text
    assert "The other 9: not distinguishable from noise." in text
    assert "with a chance of at most 5%" in text
    assert "not why" in text
    (block,) = blocks(section)
    assert [row[0] for row in block.rows] == ["1", "2"]
    by_series = {row[1]: row for row in block.rows}
    assert by_series["Citizenship: C0"][2:6] == ("rise", "2025-Q2", "240", "60")
    assert by_series["Citizenship: C1"][2:] == ("rise", "2025-Q1 and 2025-Q2", "c", "c", "c")
    assert [drawing.chart.name for drawing in charts(section)] == ["warning1", "warning2"]


def test_a_warning_that_may_not_be_named_is_counted() -> None:
    text = said(warnings(tables(FALLING, *CALM)))
    assert "1 of 10 series changed in 2025-Q2 beyond noise and beyond its own past." in text
    assert "1 series that changed is not named, since its latest count is suppressed." in text
    assert "C0" not in text


def test_without_a_warning_all_cannot_be_told_from_noise() -> None:
    section = warnings(tables(*CALM))
    assert "The other 9: not distinguishable from noise." in said(section)
    assert charts(section) == []


def test_what_could_not_be_tested_says_so() -> None:
    assert "asked for no early warnings" in said(warnings(tables(*CALM, rate=None)))
    short = document(release(counts(4)), Rules(), Origin("b" * 64, 1, TODAY), (), 0.05)
    assert "have too short a past" in said(warnings(short.tables))


@pytest.mark.parametrize("section", ["types", "warnings"])
def test_every_word_can_be_translated(section: str) -> None:
    """A catalogue that answers nothing but x leaves no English sentence in a section."""

    class Crossed(gettext.NullTranslations):
        def gettext(self, message: str) -> str:
            return " ".join(re.findall(r"\{[^}]*\}", message)) or "x"

        def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
            return self.gettext(msgid2 if n != 1 else msgid1)

    with speaking("xx", Crossed()):
        if section == "types":
            found = typologies(of_types(facts(traits=(trait(), trait(0.02)))), Planted({}, 0.7, 0.8))
        else:
            found = warnings(tables(RISING, EMERGING, *CALM))
        texts = [part.heading for part in found.parts]
        texts += [text for part in found.parts for text in part.paragraphs]
    for word in ("victims", "noise", "beyond", "type", "series", "index", "Ranked"):
        assert not any(re.search(rf"\b{word}\b", text) for text in texts if "95% intervals" not in text)
