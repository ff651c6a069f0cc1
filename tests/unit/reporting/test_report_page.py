"""The page of a demonstration: markup, policy, names, and that nothing hostile comes through."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest
import report_samples

from safeborders_fed.errors import ConfigurationError
from safeborders_fed.reporting import findings
from safeborders_fed.reporting.planted import Planted

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """Elements in order, with their attributes, and all text by element."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        parts = "".join(data for tag, data in self.texts if tag != "style")
        return re.sub(r"\s+", " ", parts.replace("\u00a0", " "))


@pytest.fixture(scope="module")
def markup() -> str:
    return report_samples.page()


@pytest.fixture(scope="module")
def page(markup: str) -> Page:
    return Page(markup)


def test_elements_are_closed_in_order(page: Page) -> None:
    assert page.open == []


def test_the_same_facts_give_the_same_page(markup: str) -> None:
    assert report_samples.page() == markup


def test_the_page_holds_no_script_and_names_no_address(markup: str, page: Page) -> None:
    tags = {tag for tag, _ in page.elements}
    assert not tags & {
        "script",
        "link",
        "img",
        "iframe",
        "object",
        "embed",
        "form",
        "base",
        "image",
        "use",
        "a ",
    }
    assert set(re.findall(r"[a-z]+://[^\"' <]+", markup)) <= {"http://www.w3.org/2000/svg"}
    assert "@import" not in markup
    assert not re.search(r"url\((?!#)", markup)
    assert all(link["href"].startswith("#") for link in page.all("a"))
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


def test_ids_are_unique_and_every_reference_meets_one(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    used = [link["href"][1:] for link in page.all("a")]
    for _, attributes in page.elements:
        used += (attributes.get("aria-labelledby") or "").split()
        used += (attributes.get("aria-describedby") or "").split()
        used += re.findall(r"url\(#([^)]+)\)", " ".join(value or "" for value in attributes.values()))
    assert set(used) <= set(ids)


def test_landmarks_language_and_skip_link(page: Page) -> None:
    assert page.all("html") == [{"lang": "en"}]
    assert [len(page.all(tag)) for tag in ("header", "nav", "main", "footer", "h1")] == [1, 1, 1, 1, 1]
    assert page.all("a")[0] == {"class": "skip", "href": "#main"}


def test_only_the_trust_modes_in_use_are_explained(page: Page) -> None:
    assert "Masked:" in page.text
    assert "Local:" not in page.text
    local = tuple(replace(study, trust="local") for study in report_samples.studies())
    assert "Local: each node adds all of the noise" in Page(report_samples.page(studies=local)).text


def test_every_chart_is_a_named_and_described_image(markup: str, page: Page) -> None:
    charts = page.all("svg")
    assert len(charts) >= 10
    for chart in charts:
        assert chart["role"] == "img"
        for part, element in (("aria-labelledby", "title"), ("aria-describedby", "desc")):
            (text,) = re.findall(rf'<{element} id="{chart[part]}">([^<]+)</{element}>', markup)
            assert len(text) > 10
    inside = [attributes for tag, attributes in page.elements if tag in {"g", "path", "text"}]
    assert not [a for a in inside if "role" in a or any(name.startswith("aria-") for name in a)]


def test_every_table_has_a_caption_and_scoped_headers(page: Page) -> None:
    assert len(page.all("caption")) == len(page.all("table")) > 10
    assert all(header.get("scope") in {"col", "row", "rowgroup"} for header in page.all("th"))
    scrolled = [area for area in page.all("div") if "scroll" in (area.get("class") or "")]
    assert all(area["tabindex"] == "0" and area["role"] == "region" for area in scrolled)


def test_sections_of_a_demonstration_stand_before_the_method(markup: str) -> None:
    order = re.findall(r'<section aria-labelledby="([^"]+)"', markup)
    added = ["privacy", "detection", "card", "nodes", "timings"]
    at = order.index("comparability")
    assert order[at + 1 :] == [*added, "method", "symbols", "files"]
    assert re.findall(r'<li><a href="#([^"]+)"', markup) == order


def test_findings_costs_and_areas_are_in_the_page(page: Page) -> None:
    facts = report_samples.demonstration()
    for sentence in findings.of_demonstration(facts):
        assert sentence.replace("\u00a0", " ") in page.text
    for text in ("0.0212", "0.998", "0.884", "0.890", "0.901", "1 in 1,000,000", "+0.006"):
        assert text in page.text
    for study in facts.studies:
        assert study.question in page.text
        assert study.noise in page.text
    assert "all records of the training part have the same status" in page.text


def test_the_banner_says_synthetic_only_of_synthetic_data(page: Page) -> None:
    assert "every record behind this report is made up" in page.text
    assert "none may be quoted as one" in page.text
    real = Page(report_samples.page(synthetic=False, seed=None, planted=None, card=None)).text
    assert "every record behind" not in real
    assert "synthetic" not in real.lower()
    assert "What the figures are not." in real


HOSTILE = '<script>alert(1)</script>"\'&{{ 7 * 7 }}%(x)s 5% ]]> aria-label="x" url(#none)'


def test_hostile_text_anywhere_is_shown_as_text() -> None:
    facts = report_samples.demonstration()
    study = replace(
        facts.studies[0],
        **dict.fromkeys(("id", "purpose", "question", "analysis", "noise"), HOSTILE),
        states=(HOSTILE,),
        columns=(HOSTILE,),
    )
    detection = report_samples.detection(
        label=HOSTILE,
        alone={HOSTILE: None, "B": 0.8},
        alone_reasons={HOSTILE: HOSTILE},
        own_records={HOSTILE: (0.8, 0.7)},
    )
    group = replace(report_samples.accuracy().overall, name=HOSTILE)
    card = report_samples.card(
        **dict.fromkeys(("name", "purpose", "label", "population"), HOSTILE),
        states=(HOSTILE,),
        approvals={HOSTILE: 1},
        accuracy=report_samples.accuracy(groups={HOSTILE: (group,)}),
    )
    hostile = Page(
        report_samples.page(
            HOSTILE,
            card=card,
            studies=(study,),
            nodes=(replace(facts.nodes[0], name=HOSTILE),),
            detection=detection,
            planted=Planted({HOSTILE: HOSTILE}, 0.5),
            seconds={HOSTILE: 1.0},
        )
    )
    assert hostile.open == []
    assert hostile.all("script") == []
    assert hostile.text.count(HOSTILE) >= 20


def test_a_demonstration_of_a_single_node_renders() -> None:
    detection = report_samples.detection(
        alone={"A": None},
        alone_reasons={"A": "too few"},
        own_records={"A": (None, None)},
        bayes_optimum=None,
    )
    assert Page(report_samples.page(detection=detection)).open == []


def test_a_model_that_cannot_be_measured_is_said_and_not_drawn(page: Page) -> None:
    without = Page(report_samples.page(detection=None, card=None))
    assert "How good the model is cannot be measured" in without.text
    assert len(without.all("svg")) == len(page.all("svg")) - 4
    assert "area under the ROC curve" not in without.text


def test_greek_and_cyrillic_names_stand_in_tables_and_charts(markup: str) -> None:
    for name in ("България", "Ελλάδα"):
        assert re.search(rf"<th scope=\"row\">{name}</th>", markup)
        assert re.search(rf"<text [^>]*>{name}</text>", markup)


def test_a_missing_model_is_a_grey_text_in_the_chart_and_not_a_gap(markup: str) -> None:
    assert re.search(r"<text [^>]*>no model</text>", markup)
    assert re.search(r"<text [^>]*>cannot be computed</text>", markup)


@pytest.mark.parametrize("package", ["altair", "jinja2", "vl_convert"])
def test_a_missing_extra_is_named_with_its_remedy(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigurationError, match=rf"not installed: {package}") as caught:
        report_samples.page()
    assert caught.value.code == "report-extra-missing"
    assert "pip install 'safeborders-fed[report]'" in caught.value.fix


def test_importing_the_report_does_not_import_the_extra() -> None:
    # In a process of its own: other tests have imported the extra already.
    code = (
        "import sys, safeborders_fed.reporting.building;"
        "print({'altair', 'jinja2', 'vl_convert'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_page_is_small(markup: str) -> None:
    assert len(markup.encode()) < 400_000
