"""The sections of the page that show where: corridors, citizenship, the map of states, and what states send.

Guarantees: a section whose table is not in the release says so; a state of which nothing is published is
never drawn or written as one without victims.

Needs the extra ``[report]``; ``building`` says so when it is missing.
"""

from __future__ import annotations

from collections.abc import Sequence

from safeborders_fed.cases.countries import STATES
from safeborders_fed.reporting import shown_states
from safeborders_fed.reporting.language import _
from safeborders_fed.reporting.reading import Released
from safeborders_fed.reporting.shown import Book, View, words
from safeborders_fed.reporting.shown_drawn import (
    all_gone,
    any_published,
    bars,
    grid,
    if_there,
    panel,
    periods_block,
)
from safeborders_fed.reporting.shown_parts import (
    Block,
    Drawing,
    Part,
    Section,
    bars_block,
    interval,
    not_asked,
    note,
)
from safeborders_fed.reporting.tiles import tile_map


def corridors(book: Book) -> Section:
    """Citizenship by state of exploitation."""
    view = book.view("citizenship", "exploitation")
    title = _("Corridors: citizenship and country of exploitation")
    if view is None:
        return Section("corridors", title, (not_asked(_("corridors")),))
    made = grid(book, "citizenship", "exploitation", _("corridor"))
    about = _(
        "A corridor goes from the country of a victim's citizenship to the country where they were "
        "exploited; it is no route of travel. Where both are one country, victims were exploited at home."
    )
    about_made = (about, *made.paragraphs)
    part = Part("", about_made, made.charts, block=_corridors_block(view), after=made.after)
    return Section("corridors", title, (part,))


def _corridors_block(view: View) -> Block:
    """All published corridors, largest first."""
    found = [(chosen, count) for chosen, count in view.counts.items() if count is not None]
    first = [axis.name for axis in view.table.axes].index("citizenship")
    rows = tuple(
        (
            _("{start} to {end}").format(
                start=words("citizenship", chosen[first]), end=words("exploitation", chosen[1 - first])
            ),
            count.plain,
            interval(count),
        )
        for chosen, count in sorted(found, key=lambda pair: -pair[1].value)
    )
    caption = _("All {shown:,} corridors whose counts are published, of {all:,}, largest first")
    heads = (_("Corridor"), _("Victims"), _("95% interval"))
    said = note((_("each count"), view))
    return Block("corridors-table", caption.format(shown=len(rows), all=len(view.counts)), said, heads, rows)


def groups(book: Book) -> Section:
    """Own, other EU and non-EU citizens."""
    title, what = _("Own citizens, other EU, non-EU"), _("citizenship groups")
    view = book.view(book.period, "group")
    if view is None:
        return Section("groups", title, (bars(book, "group", what),))
    said = _(
        "Citizenship seen from the state that registered the victim: its own, of another member, or of none."
    )
    order = [code for code in view.axis("group") if any_published(view, "group", code)]
    drawn = tuple(panel(book, view, "group", code, at) for at, code in enumerate(order, start=1))
    about = (said, *all_gone(view, "group", order))
    block = periods_block(book, view, "group", book.view(book.period))
    part = Part("", about, drawn, panels=True, block=block)
    return Section("groups", title, (part, *if_there(book, "group", what)))


def states(book: Book) -> Section:
    """A tile for each state."""
    title, view = _("Map of states"), book.view("state")
    if view is None:
        return Section("states", title, (not_asked(_("victims by state")),))
    counts = {code: view.of(state=code) for code in view.axis("state")}
    caption = _("Victims by state that registered them, all periods together")
    chart = tile_map(counts, name="state-tiles", title=caption)
    about = [
        _(
            "Tiles stand roughly where the states lie, all of one size. Files of states differ in what they "
            "hold: see the section on comparability before two tiles are compared."
        )
    ]
    absent = [words("state", code) for code in STATES if code not in counts]
    if absent:
        said = _("Grey: not asked in this release, so that nothing is known of {names}.")
        about.append(said.format(names=", ".join(absent)))
    gone = [words("state", code) for code, count in counts.items() if count is None]
    if gone:
        said = _(
            "Hatched (c): no count is published of {names}. A state that sent nothing looks like this as "
            "well."
        )
        about.append(said.format(names=", ".join(gone)))
    block = bars_block("state-tiles-table", caption, view, "state", view.axis("state"))
    drawn = Drawing(_("Each count ± {margin:,}.").format(margin=view.table.margin), chart)
    return Section("states", title, (Part("", tuple(about), (drawn,), block=block),))


def coverage(book: Book, releases: Sequence[Released]) -> Section:
    """What each state sent, by period, and where its series breaks."""
    title = _("Coverage and breaks")
    parts = [Part(paragraphs=shown_states.changed_states(releases))]
    view = book.view(book.period, "state")
    if view is None:
        parts.append(not_asked(_("victims by state and period")))
        return Section("coverage", title, tuple(parts))
    said = _(
        "A break (b) is a period of which no count is published between periods of which one is: few "
        "victims, late registration, suppression to protect others, or a state that sent nothing. Do not "
        "read it as zero, and do not draw a line across it."
    )
    made = grid(book, "state", book.period, "")
    block = periods_block(book, view, "state", book.view(book.period))
    parts.append(Part("", (said, *made.paragraphs), made.charts, block=block, after=made.after))
    parts.append(Part(_("Breaks"), block=shown_states.breaks(book, view), folded=False))
    return Section("coverage", title, tuple(parts))


def comparability(book: Book) -> Section:
    """What is missing in the files of each state, and what must not be compared therefore."""
    title, view = _("Comparability by state"), book.view("state", "gap")
    if view is None:
        part = not_asked(_("missing fields by state"))
        return Section("comparability", title, (part, *if_there(book, "gap", _("missing fields"))))
    said, block = shown_states.comparable(view, book.view("state"))
    made = grid(book, "state", "gap", "", heading=_("Gaps in the files"))
    return Section("comparability", title, (Part("", said, block=block, folded=False), made))
