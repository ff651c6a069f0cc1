"""The sections of the page that show who was trafficked and how, from a release's tables.

Guarantees: a section whose table is not in the release says so.

Needs the extra ``[report]``; ``building`` says so when it is missing.
"""

from __future__ import annotations

from typing import Final

from safeborders_fed.reporting.grids import Grid
from safeborders_fed.reporting.language import N_, _
from safeborders_fed.reporting.shown import Book, View, words
from safeborders_fed.reporting.shown_drawn import (
    ROWS,
    all_gone,
    any_published,
    bars,
    grid,
    if_there,
    matrix,
    nothing_of,
    panel,
    periods_block,
    whole,
)
from safeborders_fed.reporting.shown_parts import (
    Block,
    Drawing,
    Part,
    Section,
    axis_name,
    cell,
    not_asked,
    note,
    ranked,
)

PANELS: Final = 6
_PANELS: Final = N_(
    "The {count} largest forms with published counts, largest first. Each panel has its own vertical scale, "
    "from zero: compare shapes between panels, and sizes by the numbers. A grey c is a suppressed count: the "
    "line breaks there."
)


def trend(book: Book) -> Section:
    """Victims by period, all and by form."""
    everybody, forms = book.view(book.period), book.view(book.period, "form")
    parts = [] if everybody is None else [whole(book, everybody)]
    if forms is None:
        parts.append(not_asked(_("forms of exploitation by period")))
    else:
        order = [code for code in ranked(book, forms, "form") if any_published(forms, "form", code)]
        drawn = tuple(panel(book, forms, "form", code, at) for at, code in enumerate(order[:PANELS], start=1))
        said = [_(_PANELS).format(count=len(drawn))] if drawn else []
        said += all_gone(forms, "form", order)
        block = periods_block(book, forms, "form", everybody)
        parts.append(Part(_("By form of exploitation"), tuple(said), drawn, panels=True, block=block))
    return Section("trend", _("Trend by form of exploitation"), tuple(parts))


def mix(book: Book) -> Section:
    """Victims by form."""
    return Section("mix", _("Form mix"), (bars(book, "form", _("forms of exploitation")),))


def ages(book: Book) -> Section:
    """Age by sex."""
    title, what = _("Age and sex"), _("age by sex")
    if book.view("sex", "age") is not None:
        return Section("ages", title, (grid(book, "age", "sex", what),))
    return Section("ages", title, (not_asked(what), *if_there(book, "age", _("ages"))))


def forms_ages(book: Book) -> Section:
    """Form by sex and age."""
    view, title = book.view("form", "sex", "age"), _("Form by sex and age")
    if view is None:
        unasked: tuple[Part, ...] = (not_asked(_("forms of exploitation by sex and age")),)
        if book.view("form", "age") is not None:
            unasked = (*unasked, grid(book, "form", "age", _("form by age")))
        return Section("forms-ages", title, unasked)
    if not view.published:
        gone = _("All counts by form, sex and age are suppressed.")
        return Section("forms-ages", title, (Part(paragraphs=(gone,)),))
    rows = tuple(code for code in ranked(book, view, "form") if any_published(view, "form", code))[:ROWS]
    parts: tuple[Part, ...] = (Part(paragraphs=nothing_of(view, "form")),)
    parts += tuple(_of_sex(view, sex, rows, at) for at, sex in enumerate(view.axis("sex"), start=1))
    return Section("forms-ages", title, parts)


def _of_sex(view: View, sex: str, rows: tuple[str, ...], at: int) -> Part:
    columns = view.axis("age")
    counts = {
        (words("form", form), words("age", age)): view.of(form=form, sex=sex, age=age)
        for form in rows
        for age in columns
    }
    label = words("sex", sex)
    if not any(counts.values()):
        return Part(label, (_("All counts by form and age are suppressed."),))
    shown = tuple(words("form", form) for form in rows)
    heads = tuple(words("age", age) for age in columns)
    title = _("Victims by form of exploitation and age: {sex}").format(sex=label)
    chart = matrix(Grid(f"sex{at}", title, shown, heads, counts))
    table = tuple((row, *(cell(counts[row, head]) for head in heads)) for row in shown)
    said = note((_("each count"), view))
    block = Block(f"sex{at}-table", title, said, (axis_name("form"), *heads), table)
    return Part(label, (), (Drawing(chart.description, chart),), block=block)


def how(book: Book) -> Section:
    """Recruitment and means by form."""
    parts = []
    for axis, alone, by_form in (
        ("recruitment", _("ways of recruitment"), _("ways of recruitment by form")),
        ("means", _("means of control"), _("means of control by form")),
    ):
        if book.view(axis, "form") is not None:
            parts.append(grid(book, axis, "form", by_form, heading=axis_name(axis)))
        else:
            parts.append(bars(book, axis, alone))
    return Section("how", _("Recruitment and means of control"), tuple(parts))


def recruiters(book: Book) -> Section:
    """Recruiter by age."""
    title = _("Who recruited")
    if book.view("recruiter", "age") is not None:
        return Section("recruiters", title, (grid(book, "recruiter", "age", _("recruiter by age")),))
    return Section("recruiters", title, (bars(book, "recruiter", _("recruiters")),))
