"""What a section of the page of published tables is made of: paragraphs, charts, and the tables behind them.

Guarantees: plain text, which the page escapes; a count is written by ``shown`` alone, and a suppressed one as
``c``. Every chart made here comes with the table of its numbers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from safeborders_fed.reporting.language import N_, _
from safeborders_fed.reporting.shown import SUPPRESSED, Book, Shown, View, words

if TYPE_CHECKING:
    from safeborders_fed.reporting.drawing import Chart

_SIZES: Final = {"wide": 700, "medium": 500, "small": 380}
_WIDTH: Final = re.compile(r'<svg[^>]* width="([0-9.]+)"')


@dataclass(frozen=True, slots=True)
class Block:
    """Rows and columns of text.

    Attributes:
        name: Its id, unique in the page.
        caption: What it shows.
        note: How to read its counts.
        columns: Headings, that of the row headings first.
        rows: Texts, the row's heading first.
        text: Whether the last column is prose.
    """

    name: str
    caption: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text: bool = False


@dataclass(frozen=True, slots=True)
class Drawing:
    """A chart as it stands in the page.

    Attributes:
        caption: What it says.
        chart: The chart.
    """

    caption: str
    chart: Chart

    @property
    def size(self) -> str:
        """How it scrolls where the page is narrow; empty for a chart that need not."""
        found = _WIDTH.search(self.chart.svg)
        width = float(found[1]) if found else 0
        return next((size for size, least in _SIZES.items() if width > least), "")


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a section.

    Attributes:
        heading: Its heading; empty for none.
        paragraphs: Text before the charts.
        charts: Charts with their captions.
        panels: Whether the charts stand beside each other.
        block: The table of their numbers.
        folded: Whether the table is behind a summary.
        after: Text after the charts: what they leave out.
    """

    heading: str = ""
    paragraphs: tuple[str, ...] = ()
    charts: tuple[Drawing, ...] = ()
    panels: bool = False
    block: Block | None = None
    folded: bool = True
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A section.

    Attributes:
        id: Its id, unique in the page.
        heading: Its heading.
        parts: Its pieces.
        facts: Terms and what they are.
        points: Points of a list.
    """

    id: str
    heading: str
    parts: tuple[Part, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    points: tuple[tuple[str, str], ...] = ()


def not_asked(what: str) -> Part:
    """Stands where the release has no such table."""
    return Part(
        paragraphs=(_("Not in this release: the study was not asked to count {what}.").format(what=what),)
    )


def cell(count: Shown | None) -> str:
    """A count in a table."""
    return SUPPRESSED if count is None else count.plain


def interval(count: Shown) -> str:
    """The 95% interval of a count."""
    return _("{low:,} to {high:,}").format(low=count.low, high=count.high)


def note(*views: tuple[str, View | None]) -> str:
    """How uncertain the counts of tables are: all of one table alike."""
    margins = [f"{what} ± {view.table.margin:,}" for what, view in views if view is not None]
    said = _("95% intervals: {margins}; c suppressed; † cannot be told from zero.")
    return said.format(margins=", ".join(margins))


def axis_name(axis: str) -> str:
    """The words for the name of an axis."""
    return _(AXES[axis]) if axis in AXES else axis


def lower_name(axis: str) -> str:
    """The same within a sentence."""
    return axis_name(axis).lower()


def bars_block(name: str, caption: str, view: View, axis: str, order: Sequence[str]) -> Block:
    """One row for each code: count and interval."""
    rows = []
    for code in order:
        count = view.of(**{axis: code})
        rows.append((words(axis, code), cell(count), SUPPRESSED if count is None else interval(count)))
    heads = (axis_name(axis), _("Victims"), _("95% interval"))
    return Block(name, caption, note((_("each count"), view)), heads, tuple(rows))


def grid_block(name: str, caption: str, view: View, row: str, column: str) -> Block:
    """All counts of a table of two axes."""
    columns = view.axis(column)
    rows = tuple(
        (words(row, one), *(cell(view.of(**{row: one, column: other})) for other in columns))
        for one in view.axis(row)
    )
    heads = (axis_name(row), *(words(column, code) for code in columns))
    return Block(name, caption, note((_("each count"), view)), heads, rows)


def ranked(book: Book, view: View, axis: str) -> tuple[str, ...]:
    """Codes of an axis, largest first by the table of this axis alone, else by their largest count here."""
    alone = book.view(axis)
    if alone is not None:
        return alone.largest(axis)
    at = [each.name for each in view.table.axes].index(axis)
    best = dict.fromkeys(view.axis(axis), 0)
    for chosen, count in view.counts.items():
        if count is not None:
            best[chosen[at]] = max(best[chosen[at]], count.value)
    return tuple(sorted(best, key=lambda code: -best[code]))


AXES: Final = {
    "year": N_("Year"),
    "quarter": N_("Quarter"),
    "period": N_("Period"),
    "state": N_("State"),
    "group": N_("Citizenship group"),
    "citizenship": N_("Citizenship"),
    "exploitation": N_("Country of exploitation"),
    "recruitment": N_("Recruitment"),
    "means": N_("Means of control"),
    "form": N_("Form of exploitation"),
    "recruiter": N_("Recruiter"),
    "sex": N_("Sex"),
    "age": N_("Age"),
    "gap": N_("What is missing"),
    "partner": N_("Linked with"),
    "link": N_("Linked by"),
}
"""Words for the names of axes."""
