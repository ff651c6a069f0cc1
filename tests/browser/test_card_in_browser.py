from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_the_card_fits_its_width_and_asks_for_nothing(browser: Any, card_path: Path, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text))
    page.on("request", lambda request: heard.append(request.url))
    page.goto(card_path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.querySelectorAll('script').length") == 0
    page.close()
    assert heard == [card_path.as_uri()]


def test_links_of_the_card_lead_to_its_sections(browser: Any, card_path: Path) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(card_path.as_uri())
    links = page.locator("nav a")
    assert links.count() == 9
    for link in links.all():
        link.click()
        heading = page.locator(f"h2{link.get_attribute('href')}")
        assert heading.inner_text() == link.inner_text()
        assert -1 <= heading.bounding_box()["y"] < 900  # parts of a pixel
    page.close()


def test_the_card_prints_without_wide_tables_being_cut(browser: Any, card_path: Path) -> None:
    page = browser.new_page(viewport={"width": 800, "height": 900})
    page.goto(card_path.as_uri())
    page.emulate_media(media="print")
    cut = page.evaluate(
        "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth + 1).length"
    )
    page.close()
    assert cut == 0
