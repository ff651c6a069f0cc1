"""The charts of detection.

Guarantees:

- Each chart is one image, drawn by ``drawing``. Its numbers stand in a table beside it.
- Nothing vanishes: what has no value is drawn as a grey text. Series differ in shape as well as in colour.

Needs the extra ``[report]``; ``building`` says so when it is missing.
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
    Chart,
    draw,
    inline,
)
from safeborders_fed.reporting.figures import auc_text
from safeborders_fed.reporting.findings import own_wins
from safeborders_fed.reporting.language import N_, _
from safeborders_fed.reporting.model import Detection

FEDERATED: Final = N_("Federated, with privacy")
POOLED: Final = N_("Pooled, without privacy")
ALONE: Final = N_("One node alone")
BEST: Final = N_("Best possible")
OWN: Final = N_("The node's own model")

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
        {"row": _(POOLED), "kind": POOLED, "auc": detection.pooled_without_privacy},
        {"row": _(FEDERATED), "kind": FEDERATED, "auc": detection.federated},
        *({"row": _("{node} alone").format(node=node), "kind": ALONE, "auc": auc} for node, auc in alone),
    ]
    if detection.bayes_optimum is not None:
        rows.insert(0, {"row": _(BEST), "kind": BEST, "auc": detection.bayes_optimum})
    for row in rows:
        row |= {"left": False, "label": _("no model") if row["auc"] is None else auc_text(row["auc"])}
    description = _("Federated {federated}, pooled without privacy {pooled}. {alone}").format(
        federated=auc_text(detection.federated),
        pooled=auc_text(detection.pooled_without_privacy),
        alone=_describe_alone(detection),
    )
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    return draw(_dots(rows, kinds), name, _("How well each model ranks held-out records"), description)


def _describe_alone(detection: Detection) -> str:
    known = [auc for auc in detection.alone.values() if auc is not None]
    if not known:
        return _("No node has a model of its own.")
    said = _("Nodes alone: from {least} to {most}.")
    return said.format(least=auc_text(min(known)), most=auc_text(max(known)))


def own_records_chart(detection: Detection, *, name: str) -> Chart:
    """Federated and own model of each node, both on that node's own held-out records."""
    rows = [row for node, pair in detection.own_records.items() for row in _own_rows(node, pair)]
    better, compared = own_wins(detection)
    said = _("The federated model is ahead at {better} of the {compared} nodes that can be compared.")
    description = said.format(better=better, compared=compared)
    title = _("Federated and own model on each node's own records")
    return draw(_dots(rows, [FEDERATED, OWN]), name, title, description)


def _own_rows(node: str, pair: tuple[float | None, float | None]) -> Iterator[dict[str, Any]]:
    """Both models of a node, the smaller area labelled to its left: labels never cover each other."""
    ours, own = pair
    if ours is None and own is None:
        yield {"row": node, "kind": OWN, "auc": None, "left": False, "label": _("cannot be computed")}
    if own is not None:
        left = ours is not None and own <= ours
        yield {"row": node, "kind": OWN, "auc": own, "left": left, "label": auc_text(own)}
    if ours is not None:
        left = own is not None and ours < own
        yield {"row": node, "kind": FEDERATED, "auc": ours, "left": left, "label": auc_text(ours)}


def _dots(rows: Sequence[dict[str, Any]], kinds: Sequence[str]) -> alt.LayerChart:
    """One line of labelled points for each ``row``; what has no area is a grey text."""
    order = list(dict.fromkeys(row["row"] for row in rows))
    rows = [{**row, "kind": _(row["kind"])} for row in rows]
    axis = alt.Axis(tickCount=6, format=".2f", labelFlush=False)
    domain = _auc_domain([row["auc"] for row in rows])
    x = alt.X(
        "auc:Q", title=_("Area under the ROC curve"), scale=alt.Scale(domain=domain, nice=False), axis=axis
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
        return alt.Scale(domain=[_(kind) for kind in kinds], range=[_KINDS[kind][position] for kind in kinds])

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
