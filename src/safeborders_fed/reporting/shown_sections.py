"""The sections of the page that show counts, from a release's tables.

Guarantees: a section whose table is not in the release says so; what is too small to be drawn is named. Rows
and columns are ordered by published counts, or as the study has them.

Needs the extra ``[report]``; ``building`` says so when it is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from safeborders_fed.reporting.drawing import Chart
from safeborders_fed.reporting.grids import Grid, grid_chart
from safeborders_fed.reporting.shown import OTHER, Book, View, words
from safeborders_fed.reporting.shown_charts import bars_chart, describe, series_chart
from safeborders_fed.reporting.shown_parts import (
    AXES,
    Block,
    Drawing,
    Part,
    Section,
    bars_block,
    cell,
    grid_block,
    not_asked,
    note,
    ranked,
)

PANELS: Final = 6
_PANELS: Final = (
    "The {} largest forms with published counts, largest first. Each panel has its own vertical scale, from "
    "zero: compare shapes between panels, and sizes by the numbers. A grey c is a suppressed count: the line "
    "breaks there."
)
ROWS: Final = 15
COLUMNS: Final = 10
STATES: Final = 64
LATEST: Final = 10
"""Periods in a matrix; the table behind it has all."""
_AS_THEY_ARE: Final = frozenset({"sex", "age", "state", "gap", "year", "quarter", "period"})


def trend(book: Book) -> Section:
    """Victims by period, all and by form."""
    whole, forms = book.view(book.period), book.view(book.period, "form")
    parts = [] if whole is None else [_all_forms(book, whole)]
    if forms is None:
        parts.append(not_asked("forms of exploitation by period"))
    else:
        order = [code for code in ranked(book, forms, "form") if _any(forms, "form", code)]
        drawn = tuple(
            _panel(book, forms, "form", code, at) for at, code in enumerate(order[:PANELS], start=1)
        )
        said = [_PANELS.format(len(drawn))] if drawn else []
        said += _all_gone(forms, "form", order)
        block = _periods_block(book, forms, "form", whole)
        parts.append(Part("By form of exploitation", tuple(said), drawn, panels=True, block=block))
    return Section("trend", "Trend by form of exploitation", tuple(parts))


def _all_forms(book: Book, view: View) -> Part:
    periods = book.periods(view)
    counts = [(period, view.of(**{book.period: period})) for period in periods]
    title = f"Victims by {book.period}: all forms of exploitation"
    if not view.published:
        return Part("All victims", (f"All counts by {book.period} are suppressed.",))
    chart = series_chart(counts, name="all", title=title, width=640, height=200)
    order = (*periods, *(code for code in view.axis(book.period) if code not in periods))
    block = bars_block("all-table", f"Victims by {book.period}", view, book.period, order)
    return Part("All victims", (), (Drawing(chart.description, chart),), block=block)


def _panel(book: Book, view: View, axis: str, code: str, at: int) -> Drawing:
    counts = [(period, view.of(**{book.period: period, axis: code})) for period in book.periods(view)]
    label = words(axis, code)
    title = f"Victims by {book.period} and {AXES[axis].lower()}: {label}"
    return Drawing(label, series_chart(counts, name=f"{axis}{at}", title=title, width=235, height=110))


def _any(view: View, axis: str, code: str) -> bool:
    at = [each.name for each in view.table.axes].index(axis)
    return any(count is not None for chosen, count in view.counts.items() if chosen[at] == code)


def _all_gone(view: View, axis: str, shown: Sequence[str]) -> tuple[str, ...]:
    gone = [words(axis, code) for code in view.axis(axis) if code not in shown]
    return (f"All counts by period are suppressed of: {', '.join(gone)}.",) if gone else ()


def _periods_block(book: Book, view: View, axis: str, whole: View | None) -> Block:
    """Periods down, codes across, and all of them in the last column."""
    columns = view.axis(axis)
    periods = book.periods(view)
    periods = (*periods, *(code for code in view.axis(book.period) if code not in periods))
    rows = []
    for period in periods:
        texts = [cell(view.of(**{book.period: period, axis: code})) for code in columns]
        total = [] if whole is None else [cell(whole.of(**{book.period: period}))]
        rows.append((words(book.period, period), *texts, *total))
    ends = () if whole is None else ("All",)
    heads = (AXES[book.period], *(words(axis, code) for code in columns), *ends)
    caption = f"Victims by {book.period} and {AXES[axis].lower()}"
    said = note(("counts", view), ("column All", whole))
    return Block(f"{axis}-periods-table", caption, said, heads, tuple(rows))


def mix(book: Book) -> Section:
    """Victims by form."""
    return Section("mix", "Form mix", (_bars(book, "form", "forms of exploitation"),))


def ages(book: Book) -> Section:
    """Age by sex."""
    if book.view("sex", "age") is not None:
        return Section("ages", "Age and sex", (_grid(book, "age", "sex", "age by sex"),))
    return Section("ages", "Age and sex", (not_asked("age by sex"), *_if_there(book, "age", "ages")))


def forms_ages(book: Book) -> Section:
    """Form by sex and age."""
    view = book.view("form", "sex", "age")
    if view is None:
        parts: tuple[Part, ...] = (not_asked("forms of exploitation by sex and age"),)
        if book.view("form", "age") is not None:
            parts = (*parts, _grid(book, "form", "age", "form by age"))
        return Section("forms-ages", "Form by sex and age", parts)
    rows = ranked(book, view, "form")[:ROWS]
    parts = tuple(_of_sex(view, sex, rows, at) for at, sex in enumerate(view.axis("sex"), start=1))
    return Section("forms-ages", "Form by sex and age", parts)


def _of_sex(view: View, sex: str, rows: tuple[str, ...], at: int) -> Part:
    columns = view.axis("age")
    counts = {
        (words("form", form), words("age", age)): view.of(form=form, sex=sex, age=age)
        for form in rows
        for age in columns
    }
    label = words("sex", sex)
    if not any(counts.values()):
        return Part(label, ("All counts by form and age are suppressed.",))
    shown = tuple(words("form", form) for form in rows)
    heads = tuple(words("age", age) for age in columns)
    grid = Grid(f"sex{at}", f"Victims by form and age: {label}", shown, heads, counts)
    chart = _matrix(grid)
    table = tuple((row, *(cell(counts[row, head]) for head in heads)) for row in shown)
    caption = f"Victims by form of exploitation and age: {label}"
    block = Block(f"sex{at}-table", caption, note(("each count", view)), (AXES["form"], *heads), table)
    return Part(label, (), (Drawing(chart.description, chart),), block=block)


def corridors(book: Book) -> Section:
    """Citizenship by state of exploitation."""
    view = book.view("citizenship", "exploitation")
    title = "Corridors: citizenship and state of exploitation"
    if view is None:
        return Section("corridors", title, (not_asked("corridors"),))
    made = _grid(book, "citizenship", "exploitation", "corridor")
    found = [(chosen, count) for chosen, count in view.counts.items() if count is not None]
    first = [axis.name for axis in view.table.axes].index("citizenship")
    rows = tuple(
        (
            f"{words('citizenship', chosen[first])} to {words('exploitation', chosen[1 - first])}",
            count.plain,
            f"{count.low:,} to {count.high:,}",
        )
        for chosen, count in sorted(found, key=lambda pair: -pair[1].value)
    )
    caption = f"All {len(rows)} corridors whose counts are published, of {len(view.counts):,}, largest first"
    heads = ("Corridor", "Victims", "95% interval")
    block = Block("corridors-table", caption, note(("each count", view)), heads, rows)
    about = (
        "A corridor goes from the state of a victim's citizenship to the state where they were exploited; it "
        "is no route of travel. States are ISO 3166 codes."
    )
    return Section("corridors", title, (Part("", (about, *made.paragraphs), made.charts, block=block),))


def groups(book: Book) -> Section:
    """Own, other EU and non-EU citizens."""
    title = "Own citizens, other EU, non-EU"
    view = book.view(book.period, "group")
    what = "citizenship groups"
    if view is None:
        return Section("groups", title, (_bars(book, "group", what),))
    said = "Citizenship seen from the state that registered the victim: its own, of another member, or none."
    order = [code for code in view.axis("group") if _any(view, "group", code)]
    drawn = tuple(_panel(book, view, "group", code, at) for at, code in enumerate(order, start=1))
    about = (said, *_all_gone(view, "group", order))
    block = _periods_block(book, view, "group", book.view(book.period))
    return Section(
        "groups", title, (Part("", about, drawn, panels=True, block=block), *_if_there(book, "group", what))
    )


def how(book: Book) -> Section:
    """Recruitment and means by form."""
    parts = []
    for axis, what in (("recruitment", "ways of recruitment"), ("means", "means of control")):
        if book.view(axis, "form") is not None:
            parts.append(_grid(book, axis, "form", f"{what} by form", heading=AXES[axis]))
        else:
            parts.append(_bars(book, axis, what))
    return Section("how", "Recruitment and means of control", tuple(parts))


def recruiters(book: Book) -> Section:
    """Recruiter by age."""
    title = "Who recruited"
    if book.view("recruiter", "age") is not None:
        return Section("recruiters", title, (_grid(book, "recruiter", "age", "recruiter by age"),))
    return Section("recruiters", title, (_bars(book, "recruiter", "recruiters"),))


def coverage(book: Book) -> Section:
    """What each state reported, and what is missing."""
    parts = []
    view = book.view(book.period, "state")
    if view is not None:
        said = "A hatched field may be few victims, late registration, or a state that sent nothing."
        made = _grid(book, "state", book.period, f"state and {book.period}", heading="Coverage")
        block = _periods_block(book, view, "state", book.view(book.period))
        parts.append(Part(made.heading, (said, *made.paragraphs), made.charts, block=block))
    else:
        parts.append(_bars(book, "state", "victims by state"))
    if book.view("state", "gap") is not None:
        parts.append(_grid(book, "state", "gap", "state and missing field", heading="Gaps in the files"))
    else:
        parts.append(_bars(book, "gap", "missing fields by state"))
    return Section("coverage", "Coverage and gaps by state", tuple(parts))


def _if_there(book: Book, axis: str, what: str) -> tuple[Part, ...]:
    return () if book.view(axis) is None else (_bars(book, axis, what),)


def _bars(book: Book, axis: str, what: str) -> Part:
    """Victims by one axis, all periods together."""
    view = book.view(axis)
    if view is None:
        return not_asked(what)
    if not view.published:
        return Part(paragraphs=(f"All counts by {AXES[axis].lower()} are suppressed.",))
    order = view.axis(axis) if axis in _AS_THEY_ARE else view.largest(axis)
    caption = f"Victims by {AXES[axis].lower()}, all periods together"
    counts = [(words(axis, code), view.of(**{axis: code})) for code in order]
    shown = counts[:30]
    chart = bars_chart(shown, name=f"{axis}-bars", title=caption)
    block = bars_block(f"{axis}-bars-table", caption, view, axis, order)
    rest = tuple(label for label, _ in counts[len(shown) :])
    return Part(
        "",
        _named(AXES[axis], rest),
        (Drawing(f"All periods together. {chart.description}", chart),),
        block=block,
    )


def _grid(book: Book, row: str, column: str, what: str, heading: str = "") -> Part:
    """A table of two axes as a matrix of its largest rows and columns."""
    view = book.view(row, column)
    if view is None:
        return not_asked(what)
    rows, more_rows = _kept(book, view, row, STATES if row == "state" else ROWS)
    columns, more_columns = _kept(book, view, column, COLUMNS)
    counts = {
        (words(row, one), words(column, other)): view.of(**{row: one, column: other})
        for one in rows
        for other in columns
    }
    caption = f"Victims by {AXES[row].lower()} and {AXES[column].lower()}"
    name = f"{row}-{column}"
    shown, heads = ([words(axis, code) for code in kept] for axis, kept in ((row, rows), (column, columns)))
    chart = _matrix(Grid(name, caption, shown, heads, counts))
    said = (*_named(AXES[row], more_rows), *_named(AXES[column], more_columns))
    text = f"Each count ± {view.table.margin:,}. {chart.description}"
    return Part(
        heading, said, (Drawing(text, chart),), block=grid_block(f"{name}-table", caption, view, row, column)
    )


def _matrix(grid: Grid) -> Chart:
    named = [(f"{row}, {column}", count) for (row, column), count in grid.counts.items()]
    return grid_chart(grid, describe(named))


def _kept(book: Book, view: View, axis: str, most: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The codes that are drawn, and the words for the rest."""
    if axis == book.period:
        periods = book.periods(view)
        return periods[-LATEST:], tuple(words(axis, code) for code in periods[:-LATEST])
    codes = view.axis(axis) if axis in _AS_THEY_ARE else ranked(book, view, axis)
    rest = tuple(words(axis, code) for code in codes[most:] if code != OTHER)
    return tuple(codes[:most]), rest


def _named(what: str, rest: tuple[str, ...]) -> tuple[str, ...]:
    if not rest:
        return ()
    shown = rest if what not in ("Year", "Quarter", "Period") else (f"{rest[0]} to {rest[-1]}",)
    return (f"{what}, not drawn but in the table where published: {', '.join(shown)}.",)
