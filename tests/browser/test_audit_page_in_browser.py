"""The summary of an audit log in a real browser: it fits, asks for nothing, and prints on one sheet."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "unit" / "audit"))  # the sample log

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def audit_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A year with more studies than the page lists."""
    from report_of_log import BEGIN, year_of_log  # noqa: PLC0415

    from audit_samples import PUBLIC  # noqa: PLC0415 - on the path only from here on
    from safeborders_fed.audit.period import Period  # noqa: PLC0415 - after the check for a browser
    from safeborders_fed.node.auditing import export, of_file  # noqa: PLC0415

    directory = tmp_path_factory.mktemp("audit")
    year_of_log(directory / "audit.jsonl", studies=30)
    source, period = of_file(directory / "audit.jsonl", PUBLIC), Period(date(2026, 1, 1), date(2026, 12, 31))
    export(source, period, "html", directory / "page.html", who="ana", now=BEGIN, record=None)
    return directory / "page.html"


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_the_page_fits_its_width_and_asks_for_nothing(browser: Any, audit_page: Path, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text))
    page.on("request", lambda request: heard.append(request.url))
    page.goto(audit_page.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()
    assert heard == [audit_page.as_uri()]


def test_a_year_prints_on_one_sheet_of_a4(browser: Any, audit_page: Path) -> None:
    page = browser.new_page()
    page.goto(audit_page.as_uri())
    sheets = page.pdf(prefer_css_page_size=True).count(b"/Type /Page\n")
    page.close()
    assert sheets == 1


def test_axe_finds_nothing(browser: Any, audit_page: Path) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    page = browser.new_page(bypass_csp=True)  # axe is a script, and the page's policy lets none in
    page.goto(audit_page.as_uri())
    found = axe.Axe().run(page)
    page.close()
    assert found.violations_count == 0, found.generate_report()
