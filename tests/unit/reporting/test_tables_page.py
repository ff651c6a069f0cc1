"""The page of released tables: its order, its sentences, and what never reaches it."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from safeborders_fed.errors import ConfigurationError, RefusedError, SafeBordersError, UsageError
from safeborders_fed.reporting import building, pages, shown_findings
from safeborders_fed.reporting.building import build
from safeborders_fed.reporting.noisy_tables import Axis, NoisyTable, TableRelease
from safeborders_fed.reporting.reading import Released
from safeborders_fed.reporting.shown import Book, Shown, difference, period_before, year_before
from safeborders_fed.study.table_file import Loaded
from table_samples import AGES, FORMS, TODAY, axes, catalogue, counts, largest, loaded, release, released

QUARTERS = ("2024-Q1", "2024-Q2", "2024-Q3", "2024-Q4", "2025-Q1")
ORDER = [
    "findings",
    "trend",
    "change",
    "mix",
    "ages",
    "forms-ages",
    "corridors",
    "groups",
    "states",
    "how",
    "recruiters",
    "typologies",
    "warnings",
    "links",
    "coverage",
    "comparability",
    "method",
    "symbols",
    "files",
]


@pytest.fixture(scope="module")
def every() -> Released:
    """A release of all tables of the catalogue."""
    return released(loaded(catalogue(3, QUARTERS)))


@pytest.fixture(scope="module")
def page(every: Released) -> str:
    return build([every])


def of(*tables: NoisyTable, **changes: Any) -> Released:
    """A release of these tables."""
    made = replace(release(np.ones((1, 4, 4))), tables=tables, **changes)
    return released(loaded(made))


def timed(values: list[float], periods: tuple[str, ...], deviation: float = 2.0) -> NoisyTable:
    """Victims by period."""
    axis = Axis("quarter" if "Q" in periods[0] else "year", periods)
    return NoisyTable(axis.name, (axis,), np.array(values, dtype=float), deviation)


def sentences(one: Released, *before: Released) -> str:
    return " ".join(shown_findings.findings(Book(one.loaded.tables), [*before, one]))


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_sections_stand_in_their_order_and_are_linked(page: str) -> None:
    assert re.findall(r'<section aria-labelledby="([^"]+)"', page) == ORDER
    assert re.findall(r'<li><a href="#([^"]+)"', page) == ORDER
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_every_chart_is_a_named_image_with_a_table_behind_it(page: str) -> None:
    charts = re.findall(r"<svg[^>]*>", page)
    assert len(charts) > 20
    for chart in charts:
        assert 'role="img"' in chart
        for kind in ("labelledby", "describedby"):
            (name,) = re.findall(rf'aria-{kind}="([^"]+)"', chart)
            assert re.search(rf'id="{name}">[^<]+<', page)
    unsaid = {"findings", "typologies", "warnings", "symbols"}
    for section in page.split("<section ")[1:]:
        assert ("<table" in section) != (re.findall(r'labelledby="([^"]+)"', section)[0] in unsaid)


def test_the_page_asks_for_nothing_and_runs_nothing(page: str) -> None:
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    for forbidden in ("<script", "<img", "<link", "<iframe", "style=", "src=", "@import"):
        assert forbidden not in page
    outside = set(re.findall(r"https?://[^\"' <]+", page))
    assert outside <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert {ref[0] for ref in re.findall(r'href="([^"]+)"', page)} == {"#"}


def test_the_same_release_gives_the_same_bytes(page: str, every: Released) -> None:
    assert build([every]) == page


def test_only_published_counts_reach_the_page(every: Released, page: str) -> None:
    """Cells of tables are a published count of the release, or the mark for suppressed ones."""
    tables = every.loaded.tables
    published = {f"{cell:,}" for table in tables.tables for cell in table.cells if cell is not None}
    counted = page[: page.index('aria-labelledby="method"')]
    words = r'<(section aria-labelledby="change"|caption id="(breaks|comparable)-table").*?</(section|table)>'
    rest = re.sub(words, "", counted, flags=re.DOTALL)
    cells = [text.removesuffix("†") for text in re.findall(r"<td>([^<]*)</td>", rest)]
    assert len(cells) > 1000
    strange = {text for text in cells if text not in published | {"c"} and " to " not in text}
    assert strange == set()
    assert "c" in cells
    assert "0" not in cells


def test_charts_and_tables_depend_on_published_counts_only() -> None:
    """Another unrounded count that is published as the same number gives the same page."""
    one, other = (build([of(timed([100 + more, 201 + more], ("2024", "2025")))]) for more in (0.0, 1.0))
    strip = re.compile(r"[0-9a-f]{64}")
    assert strip.sub("", one) == strip.sub("", other)


def test_suppressed_counts_are_marked_and_never_zero() -> None:
    page = build([of(timed([100, 120, 1, 200, 210], QUARTERS))])
    assert re.search(r'<th scope="row">2024-Q3</th><td>c</td><td>c</td>', page)
    (chart,) = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(re.findall(r"<text[^>]*>c</text>", chart)) == 1
    (line,) = re.findall(r'<path d="([^"]*)" stroke="#0072B2" stroke-width="1.5" ?/>', chart)
    assert line.count("M") == 2
    assert line.count("L") == 2


def test_a_suppressed_latest_period_is_said_to_be_unknown() -> None:
    said = sentences(of(timed([100, 1], ("2024", "2025"))))
    assert "How many victims were registered in 2025, the latest year, is suppressed." in said


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([100, 110, 100, 100, 111], "Against 2024-Q4 (100 ± 7) no change"),
        ([100, 110, 100, 100, 150], "Against 2024-Q4 (100 ± 7) these are 50 ± 14 more."),
        ([200, 110, 100, 150, 150], "Against 2024-Q1 (200 ± 7) these are 50 ± 14 fewer."),
        ([1, 110, 100, 150, 150], "The count of 2024-Q1 is suppressed."),
    ],
)
def test_the_latest_period_is_compared_beyond_both_margins_only(values: list[float], expected: str) -> None:
    said = sentences(of(timed(values, QUARTERS))).replace("\u00a0", " ")
    assert expected in said


def test_a_missing_period_is_not_bridged() -> None:
    said = sentences(of(timed([100, 200], ("2022", "2025"))))
    assert "Against" not in said
    assert "no earlier period" in build([of(timed([100, 200], ("2022", "2025")))])


def test_the_period_before_and_the_same_of_the_year_before() -> None:
    assert period_before("2025-Q1", QUARTERS) == "2024-Q4"
    assert year_before("2025-Q1", QUARTERS) == "2024-Q1"
    assert period_before("2024-Q1", QUARTERS) is None
    assert period_before("2025", ("2024", "2025")) == "2024"
    assert year_before("2025", ("2024", "2025")) is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((200.0, 100.0), "The largest form of exploitation is Forced labour: 200"),
        ((200.0, 190.0), "Which form of exploitation is the largest cannot be told from noise"),
        ((200.0, 1.0, 60.0, 39.0), "of the 2 whose counts are published (2 are suppressed) is Forced"),
    ],
)
def test_the_largest_form_is_named_beyond_both_margins_only(values: tuple[float, ...], expected: str) -> None:
    form = Axis("form", ("ForcedLabour", "SexualExploitation", "OrganRemoval", "Servitude")[: len(values)])
    said = sentences(
        of(NoisyTable("form", (form,), np.array(values), 4.0), timed([150, 150], ("2024", "2025"), 4.0))
    )
    assert expected in said


def test_what_is_not_known_is_never_the_largest_form() -> None:
    form = Axis("form", ("ForcedLabour", "SexualExploitation", "Unknown"))
    table = NoisyTable("form", (form,), np.array([200.0, 100.0, 500.0]), 2.0)
    said = sentences(of(table, timed([400, 400], ("2024", "2025")))).replace("\u00a0", " ")
    assert "The largest form of exploitation is Forced labour: 200 ± 7 victims." in said
    assert "The form of exploitation of 500 ± 7 victims is not known." in said


def test_the_default_release_says_what_was_not_asked_for() -> None:
    page = build([released(loaded(release(counts(4))))])
    assert re.findall(r'<section aria-labelledby="([^"]+)"', page) == ORDER
    text = text_of(page)
    for what in ("age by sex", "corridors", "citizenship groups", "means of control", "victims by state"):
        assert f"Not in this release: the study was not asked to count {what}." in text


def test_what_is_published_and_not_drawn_is_named() -> None:
    """Eight names and how many more; none of what nothing is published of."""
    codes = tuple(f"C{at:02}" for at in range(30))
    axes_of = Axis("citizenship", codes), Axis("exploitation", ("IT", "RO"))
    cells = np.array([[500.0 - 10 * at, 1.0] for at in range(28)] + [[1.0, 1.0]] * 2)
    table = NoisyTable("citizenship x exploitation", axes_of, cells, 2.0)
    page = build([of(table, timed([900, 900], ("2024", "2025")))])
    corridors = page.split('aria-labelledby="corridors"')[1].split("</section>", maxsplit=1)[0]
    (named,) = re.findall(
        r"Citizenship, not drawn but in the table where published: ([^<]*)\.</p>", corridors
    )
    assert named == f"{', '.join(codes[15:23])} and 5 more"
    assert "Country of exploitation, not drawn" not in corridors
    assert "url(#citizenship-exploitation-hatch)" in corridors


def test_method_names_mechanism_cost_and_hashes(page: str, every: Released) -> None:
    text, tables = text_of(page), every.loaded.tables
    for said in ("discrete gaussian", "epsilon 1 at delta 1 in 1,000,000; rho 0.02", tables.manifest_hash):
        assert said in text
    for name, sha256 in every.loaded.file.exports.items():
        assert (name in text and sha256 in text) != name.endswith("noisy.json")
    assert f"Cite {every.citation}" in text


def pair(**changes: Any) -> tuple[Loaded, Loaded]:
    one = loaded(release(counts(4)))
    made: TableRelease = release(counts(4) + 30, study="trends-two", manifest="c")
    return one, loaded(replace(made, **changes), None, one)


def test_two_releases_are_compared_beyond_their_margins() -> None:
    one, other = pair()
    page = build([released(one), released(other)])
    assert re.findall(r'<section aria-labelledby="([^"]+)"', page) == [*ORDER[:3], "releases", *ORDER[3:]]
    text = text_of(page)
    assert "Change since release trends-one-1" in text
    assert "Against release trends-one-1, " in text


def test_releases_that_make_no_series_are_refused() -> None:
    one, other = pair()
    day = TODAY - timedelta(days=1)
    again = [loaded(release(counts(4)), None, version=version) for version in (2, 3)]
    alone = loaded(release(counts(4) + 30, study="trends-two", manifest="c"))
    cases: list[tuple[str, type[SafeBordersError], list[Released]]] = [
        ("wrong-order", UsageError, [released(one), released(other, day=day)]),
        ("wrong-order", UsageError, [released(again[0]), released(one)]),
        ("same-study", RefusedError, [released(one), released(again[0])]),
        ("release-gap", RefusedError, [released(one), released(again[1])]),
        ("release-gap", RefusedError, [released(one), released(alone)]),
        ("not-comparable", RefusedError, [released(one), released(pair(population="minors")[1])]),
        ("no-releases", UsageError, []),
    ]
    for code, kind, releases in cases:
        with pytest.raises(kind) as caught:
            build(releases)
        assert caught.value.code == code


def test_tables_without_periods_or_with_too_many_codes_are_refused() -> None:
    form = Axis("form", FORMS)
    with pytest.raises(RefusedError) as caught:
        build([of(NoisyTable("form", (form,), np.full(4, 100.0), 2.0))])
    assert caught.value.code == "no-periods"
    with pytest.raises(RefusedError) as caught:
        build([of(timed([100], ("Other",)))])
    assert caught.value.code == "no-periods"
    many = Axis("citizenship", tuple(f"C{at}" for at in range(10_000)))
    with pytest.raises(RefusedError) as caught:
        build([of(NoisyTable("citizenship", (many,), np.full(10_000, 100.0), 2.0), timed([9e5], ("2024",)))])
    assert caught.value.code == "too-many-categories"


@pytest.mark.parametrize("title", ["", "  ", "x" * 201, "two\nlines"])
def test_titles_of_no_or_several_lines_are_refused(title: str, every: Released) -> None:
    with pytest.raises(UsageError, match="a title is one line"):
        build([every], title)


def test_a_title_is_escaped() -> None:
    page = build([released(loaded(release(counts(4))))], 'Жертви <script> & "Θύματα"')
    assert "<h1>Жертви &lt;script&gt; &amp; &#34;Θύματα&#34;</h1>" in page


def test_without_the_extra_the_page_is_refused(every: Released, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "EXTRA", ("altair", "no_such_package"))
    with pytest.raises(ConfigurationError) as caught:
        building.build([every])
    assert caught.value.code == "report-extra-missing"


def test_all_counts_suppressed_still_make_a_page() -> None:
    axis = axes(2)
    zero = np.zeros((2, len(FORMS), len(AGES)))
    page = build([released(loaded(release(zero)))])
    assert "is suppressed" in page
    assert "All counts by year are suppressed." in page
    assert "All counts by period are suppressed of: " in page
    assert "All counts by form of exploitation and age are suppressed." in page
    assert page.count("<svg") == 0
    assert axis[0].codes[0] in page


def test_differences_need_both_counts() -> None:
    count = Shown(100, 7, 93)
    assert difference(count, None) is None
    moved = difference(count, Shown(50, 7, 43))
    assert moved is not None
    assert moved.stands_out
    assert moved.text == "+50\u00a0±\u00a014"


def test_a_page_of_forty_quarters_and_eight_states_is_built_soon_and_small() -> None:
    """At most five seconds and 400 kB; here with room for a machine that does other work."""
    one = released(largest())
    began = time.process_time()
    page = build([one], synthetic=True)
    assert time.process_time() - began < 5
    assert len(page.encode()) <= 400_000
