"""What changed: the latest period beside earlier ones, and this release beside the one before.

Guarantees: a change is called so only if it exceeds the sum of both margins; one of which a count is
suppressed is not known. Releases of other states are not compared: the change would be who reports.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from safeborders_fed.reporting.comparing import Change, compare
from safeborders_fed.reporting.language import N_, _, ngettext
from safeborders_fed.reporting.reading import Released
from safeborders_fed.reporting.shown import (
    PERIODS,
    SUPPRESSED,
    Book,
    Shown,
    View,
    difference,
    period_before,
    words,
    year_before,
)
from safeborders_fed.reporting.shown_parts import Block, Part, Section, axis_name, lower_name, not_asked

LISTED: Final = 40
_ALL: Final = N_("All victims")


def same_states(one: Released, other: Released) -> bool:
    """Whether two releases are of the same states."""
    return set(one.loaded.tables.states) == set(other.loaded.tables.states)


def changes(book: Book) -> Section:
    """The latest period beside the one before and the same one of the year before, all and by form."""
    title = _("Change in the latest {period}").format(period=lower_name(book.period))
    view, forms = book.view(book.period), book.view(book.period, "form")
    timed = view or forms
    periods = () if timed is None else book.periods(timed)
    known = _earlier(periods)
    if not known:
        nothing = _("There is no earlier period to compare with.")
        return Section("change", title, (Part(paragraphs=(nothing,)),))
    rows = [] if view is None else [(_(_ALL), *_row(view, book.period, periods[-1], known, {}))]
    for code in () if forms is None else forms.axis("form"):
        row = _row(forms, book.period, periods[-1], known, {"form": code})
        rows.append((words("form", code), *row))
    heads = [axis_name("form"), periods[-1]]
    for period in known:
        heads += [period, _("Change"), _("Beyond margins")]
    parts = [] if forms is not None else [not_asked(_("forms of exploitation by period"))]
    block = Block("change-table", title, _("± 95% margin; c suppressed."), tuple(heads), tuple(rows))
    about = (*_about(periods, known), _said())
    return Section("change", title, (Part("", about, block=block, folded=False), *parts))


def _earlier(periods: Sequence[str]) -> list[str]:
    pairs = [] if not periods else [period_before(periods[-1], periods), year_before(periods[-1], periods)]
    return [period for period in pairs if period is not None]


def _about(periods: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """What the latest period stands beside, and what it cannot stand beside."""
    last = periods[-1]
    if "Q" not in last:
        return (
            _("{last} beside {before}, which is also the year before.").format(last=last, before=known[0]),
        )
    beside = _("{last} beside {earlier}.").format(last=last, earlier=_(" and ").join(known))
    missing = []
    if period_before(last, periods) is None:
        missing.append(_("The quarter before is not in this release."))
    if year_before(last, periods) is None:
        missing.append(_("The same quarter of the year before is not in this release."))
    return (" ".join((beside, *missing)),)


def _said() -> str:
    return _(
        "A change is named only if it exceeds the sum of both margins. Where many are looked at, up to one "
        "in twenty of those that did not change may be named by chance."
    )


def _row(
    view: View | None, axis: str, last: str, earlier: Sequence[str], rest: dict[str, str]
) -> tuple[str, ...]:
    if view is None:
        return ()
    count = view.of(**{axis: last}, **rest)
    texts = [SUPPRESSED if count is None else count.text]
    for period in earlier:
        before = view.of(**{axis: period}, **rest)
        change = difference(count, before)
        texts.append(SUPPRESSED if before is None else before.text)
        if change is None:
            texts += [SUPPRESSED, _("not known")]
        else:
            texts += [change.text, _("yes") if change.stands_out else _("no")]
    return tuple(texts)


def against_earlier(releases: Sequence[Released]) -> Section:
    """What changed against the release before."""
    one, other = releases[-2], releases[-1]
    title = _("Change since release {before}").format(before=one.loaded.tables.id)
    if not same_states(one, other):
        said = _("Its counts are not compared with those of this release, which is of other states.")
        return Section("releases", title, (Part(paragraphs=(said,)),))
    every = compare(one, other)
    found = sorted(
        (each for each in every if each.stands_out), key=lambda each: -abs(each.after - each.before)
    )
    about = ngettext(
        "{found} of {all} count that both releases publish changed by more than the sum of its margins. If "
        "none had changed, up to 5% of them could by chance; the others cannot be told from noise.",
        "{found} of {all} counts that both releases publish changed by more than the sum of their margins. "
        "If none had changed, up to 5% of them could by chance; the others cannot be told from noise.",
        len(every),
    ).format(found=len(found), all=len(every))
    if not found:
        return Section("releases", title, (Part(paragraphs=(about,)),))
    caption = _("Counts that changed beyond their margins")
    if len(found) > LISTED:
        caption = _("Counts that changed beyond their margins, the {most} largest changes").format(
            most=LISTED
        )
    rows = tuple(_changed(each) for each in found[:LISTED])
    heads = (_("Count"), _("Before"), _("Now"), _("Change"))
    block = Block("releases-table", caption, _("± margin of the change."), heads, rows)
    return Section("releases", title, (Part("", (about,), block=block, folded=False),))


def _changed(change: Change) -> tuple[str, ...]:
    named = ", ".join(_named(axis, code) for axis, code in change.codes.items())
    moved = difference(Shown(change.after, change.margin, 0), Shown(change.before, 0, 0))
    return named or _(_ALL), f"{change.before:,}", f"{change.after:,}", "" if moved is None else moved.text


def _named(axis: str, code: str) -> str:
    return words(axis, code) if axis in PERIODS else f"{axis_name(axis)}: {words(axis, code)}"
