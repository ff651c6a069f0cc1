"""The charts of the model card.

Guarantees: each chart is one image, drawn by ``drawing``, and its numbers stand in a table beside it. What
has no value is drawn as a grey text; every area and share carries its interval.
"""

from __future__ import annotations

import math
from typing import Any

import altair as alt

from safeborders_fed.reporting.accuracy import Accuracy, GroupAccuracy
from safeborders_fed.reporting.drawing import BLUE, GREY, INK, ORANGE, Chart, draw, inline
from safeborders_fed.reporting.figures import TOO_LITTLE, area_text
from safeborders_fed.reporting.language import _


def groups_chart(accuracy: Accuracy, *, name: str) -> Chart:
    """The area under the ROC curve of all groups with intervals, and that of all victims as a line."""
    rows = [_group_row(accuracy.overall.name, accuracy.overall)]
    for partition, groups in accuracy.groups.items():
        rows.extend(_group_row(f"{partition}: {group.name}", group) for group in groups)
    order = [row["row"] for row in rows]
    ends = [end for row in rows if row["auc"] is not None for end in (row["low"], row["high"])]
    domain = [
        max(0.0, math.floor(min(ends, default=0.5) * 20) / 20),
        math.ceil(max(ends, default=1) * 20) / 20,
    ]
    scale = alt.Scale(domain=domain, nice=False)
    axis = alt.Axis(tickCount=6, format=".2f", labelFlush=False)
    x = alt.X("low:Q", title=_("Area under the ROC curve"), scale=scale, axis=axis)
    y_axis = alt.Axis(labelLimit=260, grid=True, gridDash=[1, 3], ticks=False, labelPadding=6)
    base = alt.Chart(inline(rows)).encode(y=alt.Y("row:N", title=None, sort=order, axis=y_axis))
    known = base.transform_filter("datum.auc != null")
    beside = alt.value(340)
    layers = [
        known.mark_rule(color=BLUE, strokeWidth=3, opacity=0.5).encode(x=x, x2="high:Q"),
        known.mark_point(filled=True, opacity=1, size=70, color=BLUE).encode(x=alt.X("auc:Q", scale=scale)),
        known.mark_text(fontSize=12, align="left", color=INK).encode(text="label:N", x=beside),
        base.transform_filter("datum.auc == null")
        .mark_text(fontSize=12, align="left", color=GREY, x=6)
        .encode(text="label:N"),
    ]
    if accuracy.overall.auc is not None:
        line = alt.Chart(inline([{"auc": accuracy.overall.auc}])).mark_rule(color=GREY, strokeDash=[5, 4])
        layers.insert(0, line.encode(x=alt.X("auc:Q", scale=scale)))
    chart = alt.layer(*layers).properties(width=330, height=26 * len(order))
    return draw(chart, name, _("How well the model ranks each group"), _describe_groups(accuracy))


def _group_row(label: str, group: GroupAccuracy) -> dict[str, Any]:
    interval = group.interval
    if interval is None:
        return {"row": label, "auc": None, "low": None, "high": None, "label": _(TOO_LITTLE)}
    return {
        "row": label,
        "auc": group.auc,
        "low": interval[0],
        "high": interval[1],
        "label": area_text(group),
    }


def _describe_groups(accuracy: Accuracy) -> str:
    groups = [group for table in accuracy.groups.values() for group in table]
    shown = [group for group in groups if group.auc is not None]
    text = _("All held-out persons: {area}.").format(area=area_text(accuracy.overall))
    if accuracy.overall.auc is None:
        text = _("Too little data beyond the noise for an area over all held-out persons.")
    if not groups:
        return text
    few = len(groups) - len(shown)
    said = _("{shown} of {all} groups can be measured.")
    if few:
        said = _("{shown} of {all} groups can be measured; {few} have too little data beyond the noise.")
    return f"{text} {said.format(shown=len(shown), all=len(groups), few=few)}"


def calibration_chart(accuracy: Accuracy, *, name: str) -> Chart:
    """Share observed against the chance that calibrated scores say, with intervals and the diagonal."""
    rows = [
        {
            "predicted": 100 * point.predicted,
            "observed": 100 * point.observed,
            "low": 100 * max(0.0, point.observed - point.margin),
            "high": 100 * min(1.0, point.observed + point.margin),
        }
        for point in accuracy.points
        if point.observed is not None and point.margin is not None
    ]
    scale = alt.Scale(domain=[0, 100], nice=False)
    axis = alt.Axis(values=[0, 20, 40, 60, 80, 100])
    x = alt.X("predicted:Q", title=_("Per cent predicted"), scale=scale, axis=axis)
    y = alt.Y("observed:Q", title=_("Per cent observed"), scale=scale, axis=axis)
    base = alt.Chart(inline(rows)).encode(x=x)
    ends = inline([{"predicted": 0, "observed": 0}, {"predicted": 100, "observed": 100}])
    layers = alt.layer(
        alt.Chart(ends).mark_line(color=GREY, strokeDash=[5, 4]).encode(x=x, y=y),
        base.mark_rule(color=BLUE, strokeWidth=2).encode(
            y=alt.Y("low:Q", title=_("Per cent observed"), scale=scale), y2="high:Q"
        ),
        base.mark_point(filled=True, opacity=1, size=80, color=ORANGE, shape="diamond").encode(y=y),
    )
    inside = sum(row["low"] <= row["predicted"] <= row["high"] for row in rows)
    description = _("No bin of scores holds enough victims to be told from the noise.")
    if rows:
        said = _(
            "Points on the dashed line would be perfect. At {inside} of {all} points the interval reaches "
            "the line."
        )
        description = said.format(inside=inside, all=len(rows))
    title = _("What share of persons has the label, by what the scores say")
    return draw(layers.properties(width=280, height=280), name, title, description)
