"""Charts as static SVG, ready to stand inside an HTML page.

Guarantees:

- Each chart is one image to assistive technology: ``role="img"``, named by its ``<title>`` and ``<desc>``;
  the marks inside carry no roles of their own. The numbers stand in a table beside it.
- No script, no link, no style attribute, no external reference; ids begin with the chart's name, so that
  several charts can share a page; the same input gives the same text.
- Nothing vanishes: what has no value is drawn as a grey text. Series differ in shape as well as in colour.
- Published numbers only (``figures``) are drawn, never unrounded ones.

Needs the extra ``[report]``; ``report`` says so when it is missing.
"""

from __future__ import annotations

import json
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import altair as alt
import vl_convert

from safeborders_fed.reporting.figures import PLUS_MINUS, UNCLEAR_MARK, Count, PublishedTrends, auc_text
from safeborders_fed.reporting.findings import own_wins
from safeborders_fed.reporting.model import TOTAL, Detection
from safeborders_fed.reporting.tables import year_label

BLUE, ORANGE, GREEN, PURPLE, GREY = COLOURS = ("#0072B2", "#D55E00", "#007A5E", "#8A3FA0", "#595959")
INK: Final = "#222222"

_SHADES: Final = ("#f0f4f8", "#cfe1f2", "#9ecae1", "#2171b5", "#08306b")
_SHADE_STEPS: Final = (5, 15, 30, 50)
_DARK_FROM: Final = 30

_YEAR_LABEL_WIDTH: Final = 48

_CONFIG: Final[dict[str, Any]] = {
    "font": "Liberation Sans, Arial, DejaVu Sans, sans-serif",
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


def years_chart(trends: PublishedTrends, *, name: str, form: str, width: int, height: int) -> Chart:
    """Victims by year with their 95% intervals, for one form of exploitation or for all (``Total``)."""
    counts = [(year, trends.of(year=year, form=form)) for year in trends.years]
    rows = [
        {"year": int(year), "value": c.value, "low": c.low, "high": c.high, "unclear": c.unclear}
        for year, c in counts
    ]
    domain = [rows[0]["year"] - 0.4, rows[-1]["year"] + 0.4]
    labelled = [row["year"] for row in rows[:: -math.ceil(len(rows) * _YEAR_LABEL_WIDTH / width)]]
    year_axis = alt.Axis(format="d", values=labelled, grid=False)
    x = alt.X("year:Q", title=None, scale=alt.Scale(domain=domain, nice=False), axis=year_axis)
    # The least extent, and a label at the very top, let the panels of several forms line up.
    y_axis = alt.Axis(format=",d", tickCount=3, tickMinStep=1, minExtent=40)
    y = alt.Y("low:Q", title="Victims", scale=alt.Scale(nice=3), axis=y_axis)
    value = alt.Y("value:Q", title="Victims")
    base = alt.Chart(_inline(rows)).encode(x=x)
    fill = alt.condition("datum.unclear", alt.value("#ffffff"), alt.value(BLUE))
    layers = alt.layer(
        base.mark_area(color=BLUE, opacity=0.22).encode(y=y, y2="high:Q"),
        base.mark_rule(color=BLUE, strokeWidth=1).encode(y=y, y2="high:Q"),
        base.mark_line(color=BLUE, strokeWidth=2).encode(y=value),
        base.mark_point(size=34, stroke=BLUE, strokeWidth=1.5, opacity=1).encode(y=value, fill=fill),
    )
    title = f"Victims by year: {'all forms of exploitation' if form == TOTAL else form}"
    return _draw(layers.properties(width=width, height=height), name, title, _describe_years(counts))


def _describe_years(counts: Sequence[tuple[str, Count]]) -> str:
    (first, start), (last, end) = counts[0], counts[-1]
    peak_year, peak = max(counts, key=lambda pair: pair[1].value)
    ends = f"{first}: {start.text}." if first == last else f"{first}: {start.text}; {last}: {end.text}."
    unclear = sum(count.unclear for _, count in counts)
    note = f" {unclear} of {len(counts)} years cannot be told from zero." if unclear else ""
    return f"{ends} Highest published count: {peak.text} in {peak_year}.{note}"


def age_chart(trends: PublishedTrends, *, name: str) -> Chart:
    """Share of each age band in each year's victims, as a shaded matrix with numbers."""
    rows = [_age_cell(trends, year, band) for band in trends.age_bands for year in trends.columns]
    columns = [year_label(year) for year in trends.columns]
    x = alt.X("year:N", title=None, sort=columns, axis=alt.Axis(orient="top", labelAngle=0, ticks=False))
    y = alt.Y(
        "band:N",
        title=None,
        sort=list(trends.age_bands),
        axis=alt.Axis(labelLimit=170, ticks=False, labelPadding=6),
    )
    scale = alt.Scale(type="threshold", domain=list(_SHADE_STEPS), range=list(_SHADES))
    legend = alt.Legend(orient="bottom", gradientLength=260, titleLimit=400)
    shade = alt.Color("share:Q", title="Per cent of the year's victims", scale=scale, legend=legend)
    ink = alt.condition(f"datum.share >= {_DARK_FROM}", alt.value("#ffffff"), alt.value(INK))
    base = alt.Chart(_inline(rows)).encode(x=x, y=y)
    layers = alt.layer(
        base.mark_rect(stroke="#ffffff", color="#e6e6e6"),
        base.transform_filter("datum.share != null").mark_rect(stroke="#ffffff").encode(color=shade),
        base.mark_text(fontSize=12).encode(text="label:N", color=ink),
    )
    width, height = 66 * len(trends.columns), 30 * len(trends.age_bands)
    description = (
        "Each cell gives the band's share of that year's victims in per cent, with its margin."
        f"{_describe_ages(trends)}"
    )
    return _draw(layers.properties(width=width, height=height), name, "Age of victims by year", description)


def _describe_ages(trends: PublishedTrends) -> str:
    last = trends.years[-1]
    top = max(trends.age_bands, key=lambda band: trends.of(year=last, age_band=band).value)
    share = trends.share(last, top)
    if share is None:
        return ""
    return f" Highest published share in {last}: {top}, {share[0]}{PLUS_MINUS}{share[1]} per cent."


def _age_cell(trends: PublishedTrends, year: str, band: str) -> dict[str, Any]:
    share = trends.share(year, band)
    mark = UNCLEAR_MARK if trends.of(year=year, age_band=band).unclear else ""
    label = "not known" if share is None else f"{share[0]}{PLUS_MINUS}{share[1]}{mark}"
    return {
        "year": year_label(year),
        "band": band,
        "share": None if share is None else share[0],
        "label": label,
    }


FEDERATED: Final = "Federated, with privacy"
POOLED: Final = "Pooled, without privacy"
ALONE: Final = "One node alone"
BEST: Final = "Best possible"
OWN: Final = "The node's own model"

_KINDS: Final = {
    FEDERATED: (BLUE, "circle", 60),
    POOLED: (GREEN, "diamond", 90),
    ALONE: (ORANGE, "square", 90),
    BEST: (PURPLE, "triangle-up", 80),
    OWN: (ORANGE, "square", 130),
}
"""Colour, shape and size of points."""


def models_chart(detection: Detection, *, name: str) -> Chart:
    """Quality of the federated model beside the pooled one and beside each node's own, best node first."""
    alone = sorted(detection.alone.items(), key=lambda item: -1 if item[1] is None else item[1], reverse=True)
    rows: list[dict[str, Any]] = [
        {"row": POOLED, "kind": POOLED, "auc": detection.pooled_without_privacy},
        {"row": FEDERATED, "kind": FEDERATED, "auc": detection.federated},
        *({"row": f"{node} alone", "kind": ALONE, "auc": auc} for node, auc in alone),
    ]
    if detection.bayes_optimum is not None:
        rows.insert(0, {"row": BEST, "kind": BEST, "auc": detection.bayes_optimum})
    for row in rows:
        row |= {"left": False, "label": "no model" if row["auc"] is None else auc_text(row["auc"])}
    description = (
        f"Federated {auc_text(detection.federated)}, pooled without privacy "
        f"{auc_text(detection.pooled_without_privacy)}. {_describe_alone(detection)}"
    )
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    return _draw(_dots(rows, kinds), name, "How well each model ranks held-out records", description)


def _describe_alone(detection: Detection) -> str:
    known = [auc for auc in detection.alone.values() if auc is not None]
    if not known:
        return "No node has a model of its own."
    return f"Nodes alone: from {auc_text(min(known))} to {auc_text(max(known))}."


def own_records_chart(detection: Detection, *, name: str) -> Chart:
    """Federated and own model of each node, both on that node's own held-out records."""
    rows = [row for node, pair in detection.own_records.items() for row in _own_rows(node, pair)]
    better, compared = own_wins(detection)
    description = f"The federated model is ahead at {better} of the {compared} nodes that can be compared."
    title = "Federated and own model on each node's own records"
    return _draw(_dots(rows, [FEDERATED, OWN]), name, title, description)


def _own_rows(node: str, pair: tuple[float | None, float | None]) -> Iterator[dict[str, Any]]:
    """Both models of a node, the smaller area labelled to its left: labels never cover each other."""
    ours, own = pair
    if ours is None and own is None:
        yield {"row": node, "kind": OWN, "auc": None, "left": False, "label": "cannot be computed"}
    if own is not None:
        left = ours is not None and own <= ours
        yield {"row": node, "kind": OWN, "auc": own, "left": left, "label": auc_text(own)}
    if ours is not None:
        left = own is not None and ours < own
        yield {"row": node, "kind": FEDERATED, "auc": ours, "left": left, "label": auc_text(ours)}


def _dots(rows: Sequence[dict[str, Any]], kinds: Sequence[str]) -> alt.LayerChart:
    """One line of labelled points for each ``row``; what has no area is a grey text."""
    order = list(dict.fromkeys(row["row"] for row in rows))
    axis = alt.Axis(tickCount=6, format=".2f", labelFlush=False)
    domain = _auc_domain([row["auc"] for row in rows])
    x = alt.X(
        "auc:Q", title="Area under the ROC curve", scale=alt.Scale(domain=domain, nice=False), axis=axis
    )
    y_axis = alt.Axis(labelLimit=230, grid=True, gridDash=[1, 3], ticks=False, labelPadding=6)
    y = alt.Y("row:N", title=None, sort=order, axis=y_axis)
    base = alt.Chart(_inline(rows)).encode(y=y)
    points = base.transform_filter("datum.auc != null").encode(x=x)
    texts = [
        points.transform_filter(where)
        .mark_text(fontSize=12, align=align, dx=dx, **paint)
        .encode(text="label:N")
        for where, align, dx in (("datum.left", "right", -10), ("!datum.left", "left", 10))
        # A white outline below the text keeps grid lines out of the figures.
        for paint in ({"stroke": "#ffffff", "strokeWidth": 4}, {"color": INK})
    ]
    nothing = base.transform_filter("datum.auc == null")
    return alt.layer(
        points.mark_line(color=GREY, strokeWidth=2).encode(detail="row:N"),
        points.mark_point(filled=True, opacity=1).encode(**_marks(list(kinds))),
        *texts,
        nothing.mark_text(fontSize=12, align="left", color=GREY, x=6).encode(text="label:N"),
    ).properties(width=330, height=28 * len(order))


def _marks(kinds: list[str]) -> dict[str, Any]:
    """Colour, shape and size by kind: a circle on a square shows both."""
    legend = alt.Legend(title=None, orient="bottom", columns=2, symbolOpacity=1)

    def scale(position: int) -> alt.Scale:
        return alt.Scale(domain=kinds, range=[_KINDS[kind][position] for kind in kinds])

    return {
        "color": alt.Color("kind:N", legend=legend, scale=scale(0)),
        "shape": alt.Shape("kind:N", legend=legend, scale=scale(1)),
        "size": alt.Size("kind:N", legend=legend, scale=scale(2)),
    }


def _auc_domain(values: Sequence[float | None]) -> list[float]:
    """Limits of the axis, multiples of .05 around all values with room for their labels."""
    known = [value for value in values if value is not None] or [0.5, 1.0]
    room = 0.01 + 0.14 * (max(known) - min(known))
    steps = math.floor((min(known) - room) * 20), math.ceil((max(known) + room) * 20)
    return [max(0, steps[0]) / 20, steps[1] / 20]


def _inline(rows: Sequence[dict[str, Any]]) -> alt.InlineData:
    return alt.InlineData(values=list(rows))


def _draw(chart: alt.LayerChart, name: str, title: str, description: str) -> Chart:
    # Each part was validated when it was made; doing it again for the whole takes half of the time.
    spec = chart.to_dict(validate=False)
    spec["config"] = {**spec.get("config", {}), **_CONFIG}
    # No address is allowed: a specification cannot make the renderer fetch anything.
    svg = vl_convert.vegalite_to_svg(json.dumps(spec), allowed_base_urls=[])
    return Chart(name, title, description, _as_image(svg, name, title, description))


def _as_image(svg: str, name: str, title: str, description: str) -> str:
    """Rewrites the renderer's SVG to one named image without roles, styles or foreign ids."""
    root = ET.fromstring(svg)  # noqa: S314 - the text comes from the renderer in this process
    ids: dict[str, str] = {}
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        kept = {key: text for key, text in element.attrib.items() if _KEPT_ATTRIBUTES.match(key)}
        if "id" in kept:
            # The renderer counts on from chart to chart: numbered anew, the text depends on this chart only.
            kept["id"] = ids.setdefault(kept["id"], f"{name}-{len(ids)}")
        element.attrib.clear()
        element.attrib.update(kept)
    for element in root.iter():
        for key, text in element.attrib.items():
            element.attrib[key] = _REFERENCE.sub(lambda match: f"url(#{ids[match[1]]})", text)
    root.attrib |= {"role": "img", "aria-labelledby": f"{name}-title", "aria-describedby": f"{name}-desc"}
    for position, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ET.Element(tag, {"id": f"{name}-{tag}"})
        element.text = text
        root.insert(position, element)
    return ET.tostring(root, encoding="unicode")
