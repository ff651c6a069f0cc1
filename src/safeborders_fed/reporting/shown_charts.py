"""The charts of published tables.

Guarantees: each chart is one image, drawn by ``drawing``; its numbers stand in a table beside it. A
suppressed
count is a grey ``c``: no line or bar stands for it, and lines break where one is.
Axes of counts begin at zero.

Needs the extra ``[report]``; ``building`` says so when it is missing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import altair as alt

from safeborders_fed.reporting.drawing import BLUE, GREY, INK, Chart, draw, inline
from safeborders_fed.reporting.language import _, ngettext
from safeborders_fed.reporting.shown import SUPPRESSED, Shown

_LABEL_WIDTH: Final = 62

Counts = Sequence[tuple[str, Shown | None]]


def series_chart(counts: Counts, *, name: str, title: str, width: int, height: int) -> Chart:
    """Counts by period with their 95% intervals."""
    rows = [
        {
            "at": at,
            "period": period,
            "value": count and count.value,
            "low": count and count.low,
            "high": count and count.high,
            "unclear": count is not None and not count.low,
        }
        for at, (period, count) in enumerate(counts)
    ]
    step = max(1, math.ceil(len(rows) * _LABEL_WIDTH / width))
    order = [period for period, _ in counts]
    labelled = sorted(order[::-step])
    x_axis = alt.Axis(values=labelled, labelAngle=0, grid=False, ticks=True, labelOverlap=True)
    x = alt.X("period:O", title=None, sort=order, axis=x_axis, scale=alt.Scale(type="point", padding=0.5))
    top = max((count.high for _, count in counts if count is not None), default=1)
    scale = alt.Scale(domain=[0, top], nice=3, zero=True)
    y_axis = alt.Axis(format=",d", tickCount=3, tickMinStep=1, minExtent=40)
    y = alt.Y("value:Q", title=_("Victims"), scale=scale, axis=y_axis)
    low = alt.Y("low:Q", title=_("Victims"), scale=scale, axis=y_axis)
    base = alt.Chart(inline(rows)).encode(x=x)
    fill = alt.condition("datum.unclear", alt.value("#ffffff"), alt.value(BLUE))
    known = base.transform_filter("datum.value != null")
    layers = alt.layer(
        known.mark_rule(color=BLUE, strokeWidth=1.5, opacity=0.6).encode(y=low, y2="high:Q"),
        base.mark_line(color=BLUE, strokeWidth=1.5, invalid="break-paths-show-path-domains").encode(y=y),
        known.mark_point(size=26, stroke=BLUE, strokeWidth=1.5, opacity=1).encode(y=y, fill=fill),
        base.transform_filter("datum.value == null")
        .mark_text(fontSize=11, color=GREY, text=SUPPRESSED)
        .encode(y=alt.value(height - 7)),
    )
    return draw(layers.properties(width=width, height=height), name, title, describe(counts))


def bars_chart(counts: Counts, *, name: str, title: str) -> Chart:
    """One bar for each category, with its 95% interval; suppressed ones named without a bar."""
    rows = [
        {
            "row": label,
            "value": count and count.value,
            "low": count and count.low,
            "high": count and count.high,
            "end": 0 if count is None else count.high,
            "label": f"{SUPPRESSED}  {_('suppressed')}" if count is None else count.text,
        }
        for label, count in counts
    ]
    top = max((count.high for _, count in counts if count is not None), default=1)
    # Room for the text at the end of the longest bar.
    scale = alt.Scale(domain=[0, top * 1.3], nice=False)
    x_axis = alt.Axis(format=",d", tickCount=5, tickMinStep=1)
    x = alt.X("value:Q", title=_("Victims"), scale=scale, axis=x_axis)
    y_axis = alt.Axis(labelLimit=260, ticks=False, labelPadding=6)
    y = alt.Y("row:N", title=None, sort=[label for label, _ in counts], axis=y_axis)
    base = alt.Chart(inline(rows)).encode(y=y)
    known = base.transform_filter("datum.value != null")
    low = alt.X("low:Q", title=_("Victims"), scale=scale, axis=x_axis)
    end = alt.X("end:Q", title=_("Victims"), scale=scale, axis=x_axis)
    text = base.mark_text(fontSize=12, align="left", dx=7)
    ink = alt.condition("datum.value == null", alt.value(GREY), alt.value(INK))
    layers = alt.layer(
        known.mark_bar(color=BLUE, opacity=0.55, height=15).encode(x=x),
        known.mark_rule(color=INK, strokeWidth=1.5).encode(x=low, x2="high:Q"),
        text.encode(x=end, text="label:N", color=ink),
    )
    sized = layers.properties(width=440, height=26 * len(rows))
    return draw(sized, name, title, describe(counts))


def describe(counts: Counts) -> str:
    """The largest published count, and how many are suppressed."""
    known = [(label, count) for label, count in counts if count is not None]
    if not known:
        return _("All {all} counts are suppressed.").format(all=len(counts))
    label, count = max(known, key=lambda pair: pair[1].value)
    gone = len(counts) - len(known)
    said = _("Largest published count: {count} ({label}).").format(count=count.text, label=label)
    if not gone:
        return said
    more = ngettext("Suppressed: {gone} of {all} count.", "Suppressed: {gone} of {all} counts.", len(counts))
    return f"{said} {more.format(gone=gone, all=len(counts))}"
