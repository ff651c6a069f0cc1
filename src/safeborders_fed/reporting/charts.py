"""The charts of trends and of detection.

Guarantees:

- Each chart is one image, drawn by ``drawing``. Its numbers stand in a table beside it.
- Nothing vanishes: what has no value is drawn as a grey text. Series differ in shape as well as in colour.
- Published numbers only (``figures``) are drawn, never unrounded ones.

Needs the extra ``[report]``; ``report`` says so when it is missing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

import altair as alt

from safeborders_fed.reporting.drawing import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    Cell,
    Chart,
    draw,
    inline,
    matrix,
)
from safeborders_fed.reporting.figures import PLUS_MINUS, UNCLEAR_MARK, Count, PublishedTrends, auc_text
from safeborders_fed.reporting.findings import own_wins
from safeborders_fed.reporting.model import TOTAL, Detection
from safeborders_fed.reporting.tables import year_label

_YEAR_LABEL_WIDTH: Final = 48


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
    base = alt.Chart(inline(rows)).encode(x=x)
    fill = alt.condition("datum.unclear", alt.value("#ffffff"), alt.value(BLUE))
    layers = alt.layer(
        base.mark_area(color=BLUE, opacity=0.22).encode(y=y, y2="high:Q"),
        base.mark_rule(color=BLUE, strokeWidth=1).encode(y=y, y2="high:Q"),
        base.mark_line(color=BLUE, strokeWidth=2).encode(y=value),
        base.mark_point(size=34, stroke=BLUE, strokeWidth=1.5, opacity=1).encode(y=value, fill=fill),
    )
    title = f"Victims by year: {'all forms of exploitation' if form == TOTAL else form}"
    return draw(layers.properties(width=width, height=height), name, title, _describe_years(counts))


def _describe_years(counts: Sequence[tuple[str, Count]]) -> str:
    (first, start), (last, end) = counts[0], counts[-1]
    peak_year, peak = max(counts, key=lambda pair: pair[1].value)
    ends = f"{first}: {start.text}." if first == last else f"{first}: {start.text}; {last}: {end.text}."
    unclear = sum(count.unclear for _, count in counts)
    note = f" {unclear} of {len(counts)} years cannot be told from zero." if unclear else ""
    return f"{ends} Highest published count: {peak.text} in {peak_year}.{note}"


def age_chart(trends: PublishedTrends, *, name: str) -> Chart:
    """Share of each age band in each year's victims, as a shaded matrix with numbers."""
    cells = [_age_cell(trends, year, band) for band in trends.age_bands for year in trends.columns]
    description = (
        "Each cell gives the band's share of that year's victims in per cent, with its margin."
        f"{_describe_ages(trends)}"
    )
    chart = matrix(cells, legend="Per cent of the year's victims", cell_width=66)
    return draw(chart, name, "Age of victims by year", description)


def _describe_ages(trends: PublishedTrends) -> str:
    last = trends.years[-1]
    top = max(trends.age_bands, key=lambda band: trends.of(year=last, age_band=band).value)
    share = trends.share(last, top)
    if share is None:
        return ""
    return f" Highest published share in {last}: {top}, {share[0]}{PLUS_MINUS}{share[1]} per cent."


def _age_cell(trends: PublishedTrends, year: str, band: str) -> Cell:
    share = trends.share(year, band)
    if share is None:
        return Cell(band, year_label(year), None, "not known")
    mark = UNCLEAR_MARK if trends.of(year=year, age_band=band).unclear else ""
    return Cell(band, year_label(year), share[0], f"{share[0]}{PLUS_MINUS}{share[1]}{mark}")


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
    return draw(_dots(rows, kinds), name, "How well each model ranks held-out records", description)


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
    return draw(_dots(rows, [FEDERATED, OWN]), name, title, description)


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
    base = alt.Chart(inline(rows)).encode(y=y)
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
