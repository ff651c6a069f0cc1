"""Every string that people read on the page passes through gettext, and the page says its language."""

from __future__ import annotations

import gettext
import re
from html.parser import HTMLParser

import pytest
import report_samples

from safeborders_fed.reporting.building import build
from safeborders_fed.reporting.language import speaking
from table_samples import catalogue, loaded, released

OPEN, SHUT = "⟦", "⟧"
QUARTERS = ("2024-Q1", "2024-Q2", "2024-Q3", "2024-Q4", "2025-Q1")
STATES = ("BG", "GR", "RO")
NOT_WORDS = (
    r"\d{4}-Q[1-4]",
    r"[0-9a-f]{64}",
    r"\b[bc]\b",
    r"\bAna\b|\bBo\b|\bDue\b",
    r"SafeBorders Federated [0-9a-z.]+",
    r"SHA-256|SDMX-CSV 2\.0|Parquet",
    r"trends-one-1[a-z.]*",
    r"trends-one",
    r"\bBE\b|\bBG\b|\bFI\b|\bGR\b|\bIT\b|\bPL\b|\bPT\b|\bRO\b",
)
"""Codes, names and hashes: what no language has another word for."""
CITATION = r"SafeBorders Federated, tables .*, SHA-256 [0-9a-f]{64}"
"""Cited as it is, so that it can be found again."""
TABLES = "noise-table"
"""Names of tables are those of the files."""


class Pseudo(gettext.NullTranslations):
    """A language whose every word is the English one in brackets: charts break lines between words."""

    def gettext(self, message: str) -> str:
        return re.sub(r"[{%][^ }]*[})][sd]?|%%|[^\W\d_][^\s{}-]*", _bracketed, message)

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return self.gettext(msgid1 if n == 1 else msgid2)


def _bracketed(word: re.Match[str]) -> str:
    """A word in brackets; a place that is filled later stands as it is."""
    return word[0] if word[0].startswith(("{", "%")) else f"{OPEN}{word[0]}{SHUT}"


class Texts(HTMLParser):
    """All text that people read or hear, with the id of the table that it stands in."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, str]] = []
        self.inside: list[str] = []
        self.table = ""
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "br"):
            self.inside.append(tag)
        attributes = dict(attrs)
        if tag == "caption":
            self.table = attributes["id"] or ""
        if attributes.get("aria-label"):
            self.found.append(("", attributes["aria-label"] or ""))

    def handle_endtag(self, tag: str) -> None:
        self.inside.pop()
        if tag == "table":
            self.table = ""

    def handle_data(self, data: str) -> None:
        if data.strip() and self.inside[-1] != "style":
            self.found.append((self.table, data.strip()))


def outside(text: str) -> str:
    """What of a text is in no brackets, and is no code."""
    text = re.sub(CITATION, "", text)
    while (shorter := re.sub(rf"{OPEN}[^{OPEN}{SHUT}]*{SHUT}", "", text)) != text:
        text = shorter
    return re.sub("|".join(NOT_WORDS), "", text)


@pytest.fixture(scope="module")
def spoken() -> str:
    with speaking("xx", Pseudo()):
        return build([released(loaded(catalogue(3, QUARTERS, STATES)))], synthetic=True)


def test_every_text_of_the_page_is_translated(spoken: str) -> None:
    found = Texts(spoken).found
    assert len(found) > 1000
    missed = {text for table, text in found if re.search(r"[^\W\d_]", outside(text)) and table != TABLES}
    assert sorted(missed) == []


def test_heads_of_the_table_of_noise_are_translated(spoken: str) -> None:
    heads = re.findall(r'<caption id="noise-table">.*?</thead>', spoken, re.DOTALL)[0]
    assert not re.search(r"[^\W\d_]", outside(re.sub(r"<[^>]+>", "", heads)))


def test_the_page_says_its_language(spoken: str) -> None:
    assert '<html lang="xx">' in spoken
    assert '<html lang="en">' in report_samples.page()


def test_letters_of_every_script_stand_as_they_are_given() -> None:
    page = report_samples.page()
    assert f"<h1>{report_samples.TITLE}</h1>" in page
    assert f"<title>{report_samples.TITLE}</title>" in page
