"""What states send, in words: where their series break, and on what they cannot be compared.

Guarantees: only published counts are used, and a suppressed one is neither zero nor part of a sum. A state
whose field is missing in half of its files, or may be, is named as one that must not be read as having few.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from safeborders_fed.analyses.trend_axes import COMPLETE, GAPS, SEVERAL
from safeborders_fed.reporting.language import _, ngettext
from safeborders_fed.reporting.reading import Released
from safeborders_fed.reporting.shown import SUPPRESSED, Book, Shown, View, words
from safeborders_fed.reporting.shown_parts import Block, axis_name, cell, note

LISTED: Final = 6
"""Periods of a break that are named one by one."""


def changed_states(releases: Sequence[Released]) -> tuple[str, ...]:
    """Whether the releases are of the same states."""
    states = releases[-1].loaded.tables.states
    asked = ngettext("Asked was {count} state: {names}.", "Asked were {count} states: {names}.", len(states))
    found = [asked.format(count=len(states), names=_names(states))]
    for before, after in pairwise(releases):
        one, other = before.loaded.tables, after.loaded.tables
        gone, new = (
            sorted(set(a) - set(b)) for a, b in ((one.states, other.states), (other.states, one.states))
        )
        if not (gone or new):
            continue
        left = _("{names} left").format(names=_names(gone)) if gone else ""
        joined = _("{names} joined").format(names=_names(new)) if new else ""
        found.append(
            _(
                "Break in time series (b) between releases {before} and {after}: {changes}. Their totals are "
                "not of the same states, and are not compared."
            ).format(before=one.id, after=other.id, changes="; ".join(filter(None, (left, joined))))
        )
    return tuple(found)


def _names(states: Sequence[str]) -> str:
    return ", ".join(words("state", state) for state in states)


def breaks(book: Book, view: View) -> Block:
    """For each state the periods of which counts are published, and where the series breaks."""
    periods = book.periods(view)
    rows = []
    for state in view.axis("state"):
        known = [at for at, period in enumerate(periods) if view.of(**{book.period: period, "state": state})]
        rows.append((words("state", state), *_row(periods, known)))
    heads = (axis_name("state"), _("Published"), _("First"), _("Last"), _("Breaks (b)"))
    caption = _("Periods of which a count of the state is published")
    return Block("breaks-table", caption, "", heads, tuple(rows), text=True)


def _row(periods: Sequence[str], known: Sequence[int]) -> tuple[str, ...]:
    of = _("{known} of {all}").format(known=len(known), all=len(periods))
    if not known:
        return of, SUPPRESSED, SUPPRESSED, _("nothing is published of this state")
    within = [periods[at] for at in range(known[0], known[-1]) if at not in set(known)]
    ends = [] if known[-1] == len(periods) - 1 else [_("nothing published after the last")]
    said = "; ".join((*_listed(within), *ends)) or _("none")
    return of, periods[known[0]], periods[known[-1]], said


def _listed(within: Sequence[str]) -> tuple[str, ...]:
    if len(within) <= LISTED:
        return (", ".join(within),) if within else ()
    said = _("{count} periods between {first} and {last}")
    return (said.format(count=len(within), first=within[0], last=within[-1]),)


def comparable(view: View, totals: View | None) -> tuple[tuple[str, ...], Block]:
    """What is missing most in each state, and on what it cannot be compared.

    Args:
        view: States by what is missing.
        totals: Victims of each state.
    """
    rows, named = [], []
    for state in view.axis("state"):
        total = None if totals is None else totals.of(state=state)
        counts = {gap: view.of(state=state, gap=gap) for gap in view.axis("gap")}
        barred = _barred(counts, total)
        if barred:
            said = _("{state}: {fields}").format(state=words("state", state), fields=", ".join(barred))
            named.append(said)
        rows.append(
            (
                words("state", state),
                cell(total),
                cell(counts.get(COMPLETE)),
                _most_missing(counts),
                cell(counts.get(SEVERAL)),
                ", ".join(barred) or (_("not known") if _unknown(counts, total) else _("nothing found")),
            )
        )
    heads = (
        axis_name("state"),
        _("Victims"),
        _("Nothing missing"),
        _("Missing alone, most often"),
        _("Several missing"),
        _("Not to be compared on"),
    )
    said = note((_("gaps"), view), (_("victims"), totals))
    caption = _("What is missing in the files of each state, all periods together")
    return _said(named), Block("comparable-table", caption, said, heads, tuple(rows), text=True)


def _said(named: Sequence[str]) -> tuple[str, ...]:
    about = _(
        "A state whose field is mostly missing must not be read as having few. A state is named here for a "
        "field where the published counts say that it is, or may be, missing for half of its victims or more."
    )
    if not named:
        return about, _("No state is named, as far as counts are published.")
    return about, _("Not to be compared with others: {states}.").format(states="; ".join(named))


def _barred(counts: dict[str, Shown | None], total: Shown | None) -> list[str]:
    """Fields that are missing for half of the victims, or may be: those of several gaps can be of any."""
    if total is None:
        return []
    several = counts.get(SEVERAL)
    if several is not None and 2 * several.value >= total.value:
        return [_("any of these fields: several are missing at once for half or more")]
    found = []
    for gap in GAPS:
        alone = counts.get(gap)
        if alone is not None and 2 * (alone.value + (several.value if several else 0)) >= total.value:
            found.append(words("gap", gap))
    return found


def _most_missing(counts: dict[str, Shown | None]) -> str:
    known = [(gap, count) for gap in GAPS if (count := counts.get(gap)) is not None]
    if not known:
        return SUPPRESSED
    gap, most = max(known, key=lambda pair: pair[1].value)
    return f"{words('gap', gap)} ({most.plain})"


def _unknown(counts: dict[str, Shown | None], total: Shown | None) -> bool:
    """Whether too little is published to say anything."""
    return total is None or all(counts.get(gap) is None for gap in (COMPLETE, SEVERAL, *GAPS))
