from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

LARGEST = 400_000
OPENS = 500
"""Milliseconds."""
A4 = 688
"""Pixels between the margins of a printed page."""
CUT = """[...document.querySelectorAll('svg')].filter(svg => {
  const box = svg.getBoundingClientRect();
  return [...svg.querySelectorAll('text')].some(text => {
    const own = text.getBoundingClientRect();
    return own.width && (own.left < box.left - 1 || own.right > box.right + 1);
  });
}).map(svg => svg.querySelector('title').textContent)"""
COVERED = """[...document.querySelectorAll('svg')].flatMap(svg => {
  const boxes = [...svg.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()])
    .filter(([text, box]) => text && box.width);
  return boxes.flatMap(([one, a], i) => boxes.slice(i + 1).filter(([other, b]) =>
    a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 4 && b.top < a.bottom - 4)
    .map(([other]) => `${svg.querySelector('title').textContent}: ${one} / ${other}`));
})"""


@pytest.mark.parametrize("width", [320, 768, 1280])
def test_the_page_of_tables_fits_its_width_and_asks_for_nothing(
    browser: Any, tables_path: Path, width: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text))
    page.on("request", lambda request: heard.append(request.url))
    page.goto(tables_path.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    small = page.evaluate(
        "[...document.querySelectorAll('svg')].filter(e => e.getBoundingClientRect().width"
        " / e.getAttribute('width') * 12 < 8).map(e => e.querySelector('title').textContent)"
    )
    assert small == []
    page.close()
    assert heard == [tables_path.as_uri()]


def test_no_text_of_a_chart_is_cut_or_covered(browser: Any, tables_path: Path) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(tables_path.as_uri())
    assert page.evaluate(CUT) == []
    assert page.evaluate(COVERED) == []
    page.close()


def test_charts_have_names_of_their_own(browser: Any, tables_path: Path) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(tables_path.as_uri())
    session = page.context.new_cdp_session(page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    names = [
        node["name"]["value"]
        for node in nodes
        if not node.get("ignored") and node["role"]["value"] == "image"
    ]
    assert len(names) == page.locator("svg").count()
    assert len(set(names)) == len(names)
    assert all(names)
    page.close()


def test_a_page_of_forty_quarters_opens_at_once(browser: Any, largest_path: Path) -> None:
    """All sections, for eight states: at most 400 kB, open within half a second."""
    assert largest_path.stat().st_size <= LARGEST
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(largest_path.as_uri())
    took = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    assert page.evaluate(CUT) == []
    page.close()
    assert took <= OPENS


def test_the_page_prints_with_all_tables_open_and_stays_small(browser: Any, tables_path: Path) -> None:
    assert tables_path.stat().st_size <= LARGEST
    page = browser.new_page(viewport={"width": A4, "height": 900})
    page.goto(tables_path.as_uri())
    page.emulate_media(media="print")
    assert page.evaluate(
        "[...document.querySelectorAll('details table')].every(t => t.getClientRects().length > 0)"
    )
    cut = page.evaluate(
        "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth + 1)"
        ".map(e => [e.innerText.slice(0, 60), e.scrollWidth, e.clientWidth])"
    )
    page.close()
    assert cut == []
