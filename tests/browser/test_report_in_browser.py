from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

WIDTHS = (320, 768, 1280)

CONTRASTS = """() => {
  const parse = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  const texts = 'h1,h2,h3,p,li,a,dt,dd,th,td,caption,caption span,figcaption,summary';
  for (const e of document.querySelectorAll(texts)) {
    if (!e.textContent.trim() || e.classList.contains('skip')) continue;
    const [a, b] = [luminance(parse(getComputedStyle(e).color)), luminance(ground(e))];
    found.push([e.tagName, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)]);
  }
  return found;
}"""

GLYPH = """character => {
  const canvas = document.createElement('canvas'), pen = canvas.getContext('2d');
  pen.font = '40px ' + getComputedStyle(document.body).fontFamily;
  pen.fillText(character, 10, 60);
  return canvas.toDataURL();
}"""


@pytest.fixture
def open_report(browser: Any, report_path: Path) -> Iterator[Any]:
    """Opens the report at a width; afterwards nothing may have failed or gone outside."""
    context = browser.new_context()
    complaints: list[str] = []
    requested: list[str] = []

    def opened(width: int) -> Any:
        page = context.new_page()
        page.set_viewport_size({"width": width, "height": 900})
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.append(request.url))
        page.on("request", lambda request: requested.append(request.url))
        page.goto(report_path.as_uri())
        return page

    yield opened
    context.close()
    assert complaints == []
    assert set(requested) == {report_path.as_uri()}


@pytest.mark.parametrize("width", WIDTHS)
def test_page_fits_its_width_with_all_tables_open(open_report: Any, width: int) -> None:
    page = open_report(width)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wide = page.evaluate(
        "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth + 1).length"
    )
    assert wide == 0 or width < 1280


@pytest.mark.parametrize("width", WIDTHS)
def test_all_charts_are_visible_with_text_large_enough_to_read(open_report: Any, width: int) -> None:
    page = open_report(width)
    charts = page.locator("svg")
    assert charts.count() >= 10
    for chart in charts.all():
        chart.scroll_into_view_if_needed()
        assert chart.is_visible()
        box = chart.bounding_box()
        assert box["width"] > 200
        assert box["height"] > 60  # three bars on a telephone
        scale = box["width"] / float(chart.get_attribute("width"))
        assert scale * 12 >= 8


def test_the_style_sheet_is_applied_under_the_policy(open_report: Any) -> None:
    page = open_report(1280)
    assert page.evaluate("getComputedStyle(document.querySelector('.notice')).borderTopWidth") == "2px"
    assert page.evaluate("document.querySelectorAll('script').length") == 0


def test_the_policy_stops_scripts_and_styles_that_are_not_its_own(browser: Any, report_path: Path) -> None:
    page = browser.new_page()
    page.goto(report_path.as_uri())
    refused = page.evaluate("""() => {
      const style = document.createElement('style'); style.textContent = 'h1 { color: rgb(1, 2, 3); }';
      const script = document.createElement('script'); script.textContent = 'window.ran = true;';
      document.head.append(style, script);
      return [getComputedStyle(document.querySelector('h1')).color, window.ran === undefined];
    }""")
    page.close()
    assert refused[0] != "rgb(1, 2, 3)"
    assert refused[1]


def test_text_has_enough_contrast(open_report: Any) -> None:
    page = open_report(1280)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 400
    assert min(value for _, value in contrasts) >= 4.5


def test_figures_and_regions_have_accessible_names(open_report: Any) -> None:
    page = open_report(1280)
    session = page.context.new_cdp_session(page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    names: dict[str, list[str]] = {}
    for node in nodes:
        if not node.get("ignored"):
            role = node.get("role", {}).get("value", "")
            names.setdefault(role, []).append(node.get("name", {}).get("value", ""))
    assert len(names["image"]) == page.locator("svg").count()
    for role in ("image", "figure", "region", "table"):
        assert all(names[role]), role
    assert len(set(names["image"])) == len(names["image"])
    assert names["main"]
    assert names["navigation"] == ["Sections"]


def test_keyboard_reaches_the_skip_link_first_and_shows_where_it_is(open_report: Any) -> None:
    page = open_report(1280)
    page.keyboard.press("Tab")
    focused = page.evaluate(
        "(e => [e.textContent, e.getBoundingClientRect().left >= 0, getComputedStyle(e).outlineWidth])"
        "(document.activeElement)"
    )
    assert focused == ["Skip to content", True, "3px"]
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_greek_and_cyrillic_letters_have_glyphs(open_report: Any) -> None:
    page = open_report(1280)
    nothing = page.evaluate(GLYPH, "\U0010fffe")
    drawn = [page.evaluate(GLYPH, letter) for letter in "ЖЪяΩδΛ†±\u2212"]
    assert nothing not in drawn
    assert len(set(drawn)) == len(drawn)


@pytest.mark.parametrize("page_of", ["report_path", "card_path", "tables_path"])
def test_no_rule_of_wcag_aa_is_broken(browser: Any, page_of: str, request: pytest.FixtureRequest) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    # The checker is a script of its own, which the page's policy would stop.
    context = browser.new_context(bypass_csp=True, viewport={"width": 768, "height": 900})
    page = context.new_page()
    page.goto(request.getfixturevalue(page_of).as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found = axe.Axe().run(page, options={"runOnly": rules}).response
    context.close()
    assert [(rule["id"], [node["html"] for node in rule["nodes"]][:2]) for rule in found["violations"]] == []
    assert len(found["passes"]) > 15


def test_a_title_in_two_scripts_is_shown_with_its_own_glyphs(open_report: Any) -> None:
    page = open_report(1280)
    title = page.locator("h1").inner_text()
    assert "Жертви на трафик" in title
    assert "Θύματα εμπορίας" in title
    nothing = page.evaluate(GLYPH, "\U0010fffe")
    assert nothing not in [page.evaluate(GLYPH, letter) for letter in set(title) - {" "}]


def test_the_page_prints_to_tagged_pdf_in_its_language(open_report: Any) -> None:
    page = open_report(1280)
    session = page.context.new_cdp_session(page)
    asked = {"generateTaggedPDF": True, "preferCSSPageSize": True}
    printed = base64.b64decode(session.send("Page.printToPDF", asked)["data"])
    assert b"/StructTreeRoot" in printed
    assert b"/MarkInfo" in printed
    assert b"/Lang (en)" in printed


def test_print_opens_every_table_on_several_pages(open_report: Any) -> None:
    page = open_report(1280)
    printed = page.pdf(format="A4", prefer_css_page_size=True)
    pages = printed.count(b"/Type /Page\n") + printed.count(b"/Type /Page ") + printed.count(b"/Type/Page/")
    assert pages > 4
    page.emulate_media(media="print")
    assert page.evaluate(
        "[...document.querySelectorAll('details table')].every(t => t.getClientRects().length > 0)"
    )
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
