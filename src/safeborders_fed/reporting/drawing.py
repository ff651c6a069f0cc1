"""How every chart is drawn: as static SVG, ready to stand inside an HTML page.

Guarantees:

- Each chart is one image to assistive technology: ``role="img"``, named by its ``<title>`` and ``<desc>``;
  the marks inside carry no roles of their own. The numbers stand in a table beside it.
- No script, no link, no style attribute, no external reference; ids begin with the chart's name, so that
  several charts can share a page; the same input gives the same text.

Needs the extra ``[report]``; ``building`` says so when it is missing.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import altair as alt
import vl_convert

BLUE, ORANGE, GREEN, PURPLE, GREY = COLOURS = ("#0072B2", "#D55E00", "#007A5E", "#8A3FA0", "#595959")
INK: Final = "#222222"

SHADES: Final = ("#f0f4f8", "#cfe1f2", "#9ecae1", "#2171b5", "#08306b")
SHADE_STEPS: Final = (5, 15, 30, 50)
DARK_FROM: Final = 30

_FONT: Final = "Liberation Sans, Arial, DejaVu Sans, sans-serif"
_CONFIG: Final[dict[str, Any]] = {
    "font": _FONT,
    "axis": {
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelColor": INK,
        "titleColor": INK,
        "gridColor": "#dddddd",
        "domainColor": "#767676",
        "tickColor": "#767676",
    },
    "legend": {"labelFontSize": 12, "titleFontSize": 12, "labelColor": INK, "titleColor": INK},
    "view": {"stroke": None},
    "background": None,
}

_KEPT_ATTRIBUTES: Final = re.compile(r"^(?!role$|aria-|style$|class$|cursor$|pointer-events$)")
_DEFAULTS: Final = {"opacity": "1", "stroke-width": "1", "font-family": _FONT, "font-size": "12px"}
"""What need not be said at each element: two are so anyway, font and size are those of the image."""
_LONG: Final = re.compile(r"-?\d+\.\d{3,}")
_REFERENCE: Final = re.compile(r"url\(#([^)]+)\)")


@dataclass(frozen=True, slots=True)
class Chart:
    """One drawn chart.

    Attributes:
        name: Prefix of its ids, unique in the page.
        title: Its accessible name.
        description: What it shows, in words.
        svg: The markup.
    """

    name: str
    title: str
    description: str
    svg: str


def inline(rows: Sequence[dict[str, Any]]) -> alt.InlineData:
    """Rows as data that stand in the specification itself."""
    return alt.InlineData(values=list(rows))


def draw(chart: alt.LayerChart, name: str, title: str, description: str) -> Chart:
    """The chart of a specification, as one named image."""
    # Each part was validated when it was made; doing it again for the whole takes half of the time.
    spec = chart.to_dict(validate=False)
    spec["config"] = {**spec.get("config", {}), **_CONFIG}
    # No address is allowed: a specification cannot make the renderer fetch anything.
    svg = vl_convert.vegalite_to_svg(json.dumps(spec), allowed_base_urls=[])
    return Chart(name, title, description, as_image(svg, name, title, description))


def as_image(svg: str, name: str, title: str, description: str) -> str:
    """Rewrites the renderer's SVG to one named image without roles, styles or foreign ids."""
    root = ET.fromstring(svg)  # noqa: S314 - the text comes from the renderer in this process
    ids: dict[str, str] = {}
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        kept = {
            key: _LONG.sub(_rounded, text) if key in ("d", "transform") else text
            for key, text in element.attrib.items()
            if _KEPT_ATTRIBUTES.match(key) and _DEFAULTS.get(key) != text
        }
        if "id" in kept:
            # The renderer counts on from chart to chart: numbered anew, the text depends on this chart only.
            kept["id"] = ids.setdefault(kept["id"], f"{name}-{len(ids)}")
        element.attrib.clear()
        element.attrib.update(kept)
    for element in root.iter():
        for key, text in element.attrib.items():
            element.attrib[key] = _REFERENCE.sub(lambda match: f"url(#{ids[match[1]]})", text)
    root.attrib |= {"font-family": _FONT, "font-size": "12px"}
    root.attrib |= {"role": "img", "aria-labelledby": f"{name}-title", "aria-describedby": f"{name}-desc"}
    for position, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ET.Element(tag, {"id": f"{name}-{tag}"})
        element.text = text
        root.insert(position, element)
    return ET.tostring(root, encoding="unicode")


def _rounded(number: re.Match[str]) -> str:
    """A place to a hundredth of a pixel: more cannot be seen, and fills the page."""
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")
