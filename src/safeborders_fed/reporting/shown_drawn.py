"""The kinds of parts that sections of the page are made of, drawn: bars, matrices, and panels of periods.

Guarantees: a part whose table is not in the release says so; what is too small to be drawn is named. Rows and
columns are ordered by published counts, or as the study has them; one of which all counts are suppressed is
named, and not drawn.

Needs the extra ``[report]``; ``building`` says so when it is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from safeborders_fed.reporting.drawing import Chart
from safeborders_fed.reporting.grids import Grid, grid_chart
from safeborders_fed.reporting.language import _
from safeborders_fed.reporting.shown import OTHER, PERIODS, Book, View, words
from safeborders_fed.reporting.shown_charts import bars_chart, describe, series_chart
from safeborders_fed.reporting.shown_parts import (
    Block,
    Drawing,
    Part,
    axis_name,
    bars_block,
    cell,
    grid_block,
    lower_name,
    not_asked,
    note,
    ranked,
)

BARS: Final = 30
ROWS: Final = 15
COLUMNS: Final = 10
STATES: Final = 64
MENTIONED: Final = 8
LATEST: Final = 10
"""Periods in a matrix; the table behind it has all."""
_AS_THEY_ARE: Final = frozenset({"sex", "age", "state", "gap", *PERIODS})


def panel(book: Book, view: View, axis: str, code: str, at: int) -> Drawing:
    """One code by period, small."""
    counts = [(period, view.of(**{book.period: period, axis: code})) for period in book.periods(view)]
    label = words(axis, code)
    title = _("Victims by {period} and {axis}: {label}").format(
        period=lower_name(book.period), axis=lower_name(axis), label=label
    )
    return Drawing(label, series_chart(counts, name=f"{axis}{at}", title=title, width=235, height=110))


def any_published(view: View, axis: str, code: str) -> bool:
    """Whether a count with this code is published."""
    at = [each.name for each in view.table.axes].index(axis)
    return any(count is not None for chosen, count in view.counts.items() if chosen[at] == code)


def all_gone(view: View, axis: str, shown: Sequence[str]) -> tuple[str, ...]:
    """Names the codes of which nothing is published."""
    gone = [words(axis, code) for code in view.axis(axis) if code not in shown]
    said = _("All counts by period are suppressed of: {names}.")
    return (said.format(names=", ".join(gone)),) if gone else ()


def periods_block(book: Book, view: View, axis: str, whole: View | None) -> Block:
    """Periods down, codes across, and all of them in the last column."""
    columns = view.axis(axis)
    periods = book.periods(view)
    periods = (*periods, *(code for code in view.axis(book.period) if code not in periods))
    rows = []
    for period in periods:
        texts = [cell(view.of(**{book.period: period, axis: code})) for code in columns]
        total = [] if whole is None else [cell(whole.of(**{book.period: period}))]
        rows.append((words(book.period, period), *texts, *total))
    ends = () if whole is None else (_("All"),)
    heads = (axis_name(book.period), *(words(axis, code) for code in columns), *ends)
    caption = by_two(book.period, axis)
    said = note((_("counts"), view), (_("column All"), whole))
    return Block(f"{axis}-periods-table", caption, said, heads, tuple(rows))


def by_two(one: str, other: str) -> str:
    """What a table of two axes shows."""
    return _("Victims by {one} and {other}").format(one=lower_name(one), other=lower_name(other))


def if_there(book: Book, axis: str, what: str) -> tuple[Part, ...]:
    """Bars, if the release has the table."""
    return () if book.view(axis) is None else (bars(book, axis, what),)


def bars(book: Book, axis: str, what: str) -> Part:
    """Victims by one axis, all periods together."""
    view = book.view(axis)
    if view is None:
        return not_asked(what)
    if not view.published:
        gone = _("All counts by {axis} are suppressed.").format(axis=lower_name(axis))
        return Part(paragraphs=(gone,))
    order = view.axis(axis) if axis in _AS_THEY_ARE else view.largest(axis)
    caption = _("Victims by {axis}, all periods together").format(axis=lower_name(axis))
    counts = [(words(axis, code), view.of(**{axis: code})) for code in order]
    chart = bars_chart(counts[:BARS], name=f"{axis}-bars", title=caption)
    block = bars_block(f"{axis}-bars-table", caption, view, axis, order)
    rest = tuple(label for label, _count in counts[BARS:])
    said = _("All periods together. {description}").format(description=chart.description)
    return Part("", (), (Drawing(said, chart),), block=block, after=_named(axis, rest))


def grid(book: Book, row: str, column: str, what: str, heading: str = "") -> Part:
    """A table of two axes as a matrix of its largest rows and columns."""
    view = book.view(row, column)
    if view is None:
        return not_asked(what)
    if not view.published:
        gone = _("All counts by {one} and {other} are suppressed.")
        return Part(heading, (gone.format(one=lower_name(row), other=lower_name(column)),))
    rows, more_rows = _kept(book, view, row, STATES if row == "state" else ROWS)
    columns, more_columns = _kept(book, view, column, COLUMNS)
    counts = {
        (words(row, one), words(column, other)): view.of(**{row: one, column: other})
        for one in rows
        for other in columns
    }
    name, caption = f"{row}-{column}", by_two(row, column)
    shown, heads = ([words(axis, code) for code in kept] for axis, kept in ((row, rows), (column, columns)))
    chart = matrix(Grid(name, caption, shown, heads, counts))
    said = (
        *_named(row, more_rows),
        *_named(column, more_columns),
        *nothing_of(view, row),
        *nothing_of(view, column),
    )
    text = _("Each count ± {margin:,}. {description}")
    drawn = Drawing(text.format(margin=view.table.margin, description=chart.description), chart)
    block = grid_block(f"{name}-table", caption, view, row, column)
    return Part(heading, (), (drawn,), block=block, after=said)


def matrix(made: Grid) -> Chart:
    """A matrix, described by its largest count."""
    named = [(f"{row}, {column}", count) for (row, column), count in made.counts.items()]
    return grid_chart(made, describe(named))


def _kept(book: Book, view: View, axis: str, most: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The codes that are drawn, and the words for the rest."""
    if axis == book.period:
        periods = book.periods(view)
        return periods[-LATEST:], tuple(words(axis, code) for code in periods[:-LATEST])
    codes = view.axis(axis) if axis in _AS_THEY_ARE else ranked(book, view, axis)
    codes = tuple(code for code in codes if axis == "state" or any_published(view, axis, code))
    rest = (code for code in codes[most:] if code != OTHER)
    return tuple(codes[:most]), tuple(words(axis, code) for code in rest)


def _named(axis: str, rest: tuple[str, ...]) -> tuple[str, ...]:
    """Names what has published counts and is not drawn."""
    if not rest:
        return ()
    names = _("{first} to {last}").format(first=rest[0], last=rest[-1]) if axis in PERIODS else listed(rest)
    said = _("{axis}, not drawn but in the table where published: {names}.")
    return (said.format(axis=axis_name(axis), names=names),)


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    if len(names) <= MENTIONED:
        return ", ".join(names)
    said = _("{names} and {more} more")
    return said.format(names=", ".join(names[:MENTIONED]), more=len(names) - MENTIONED)


def nothing_of(view: View, axis: str) -> tuple[str, ...]:
    """Names the codes that a matrix leaves out since nothing is published of them."""
    if axis == "state" or axis in PERIODS:
        return ()
    gone = [words(axis, code) for code in view.axis(axis) if not any_published(view, axis, code)]
    said = _("{axis}, all counts suppressed and not drawn: {names}.")
    return (said.format(axis=axis_name(axis), names=listed(gone)),) if gone else ()


def whole(book: Book, view: View) -> Part:
    """All victims by period."""
    periods, by = book.periods(view), lower_name(book.period)
    counts = [(period, view.of(**{book.period: period})) for period in periods]
    title = _("Victims by {period}: all forms of exploitation").format(period=by)
    if not view.published:
        return Part(_("All victims"), (_("All counts by {axis} are suppressed.").format(axis=by),))
    chart = series_chart(counts, name="all", title=title, width=640, height=200)
    order = (*periods, *(code for code in view.axis(book.period) if code not in periods))
    caption = _("Victims by {period}").format(period=by)
    block = bars_block("all-table", caption, view, book.period, order)
    return Part(_("All victims"), (), (Drawing(chart.description, chart),), block=block)
