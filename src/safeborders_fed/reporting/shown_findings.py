"""What published tables say, in sentences.

Guarantees: every count is written with its margin. A difference is named only if it exceeds the sum of both
margins; what is suppressed is said to be unknown, and is not taken for small: a large count may be suppressed
to protect another one. Sentences are plain text: the page escapes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from safeborders_fed.cases.contract import UNKNOWN
from safeborders_fed.reporting.comparing import compare
from safeborders_fed.reporting.figures import cost_text, one_in
from safeborders_fed.reporting.language import _, ngettext
from safeborders_fed.reporting.reading import Released
from safeborders_fed.reporting.shown import (
    OTHER,
    Book,
    Difference,
    Shown,
    difference,
    period_before,
    words,
    year_before,
)
from safeborders_fed.reporting.shown_changes import same_states
from safeborders_fed.reporting.shown_parts import lower_name

NAMED: Final = 3
_NO_FORM: Final = frozenset({UNKNOWN, OTHER, "SeveralForms"})


def findings(book: Book, releases: Sequence[Released]) -> tuple[str, ...]:
    """The findings that the page opens with."""
    return (
        *_total(book),
        *_largest(book),
        *_latest(book),
        *_forms_changed(book),
        *_corridor(book),
        *_since(releases),
        *_suppressed(book),
    )


def _suppressed(book: Book) -> Iterator[str]:
    tables = book.tables
    cells = sum(len(table.cells) for table in tables.tables)
    gone = sum(cell is None for table in tables.tables for cell in table.cells)
    yield ngettext(
        "Of {cells:,} count {gone:,} is suppressed (c): not known here, and not to be read as zero.",
        "Of {cells:,} counts {gone:,} are suppressed (c): not known here, and not to be read as zero.",
        cells,
    ).format(cells=cells, gone=gone)
    yield _(
        "The study cost each victim at most epsilon = {epsilon} of privacy (at delta = {delta}) at each node."
    ).format(epsilon=cost_text(tables.epsilon), delta=one_in(tables.delta))


def _since(releases: Sequence[Released]) -> Iterator[str]:
    if len(releases) < 2 or not same_states(releases[-2], releases[-1]):
        return
    every = compare(releases[-2], releases[-1])
    yield ngettext(
        "Against release {before}, {out} of {all} count that both publish changed by more than its margins.",
        "Against release {before}, {out} of {all} counts that both publish changed by more than their "
        "margins.",
        len(every),
    ).format(
        before=releases[-2].loaded.tables.id, out=sum(change.stands_out for change in every), all=len(every)
    )


def _total(book: Book) -> Iterator[str]:
    view = book.view()
    if view is None:
        return
    count, states = view.of(), book.tables.states
    where = ngettext("{count} state ({states})", "{count} states ({states})", len(states))
    where = where.format(count=len(states), states=", ".join(states))
    who = _("victims under 18") if book.tables.population == "minors" else _("victims")
    if count is None:
        yield _("How many {who} the files of {where} hold, all periods together, is suppressed.").format(
            who=who, where=where
        )
    else:
        yield _("The files of {where} hold {count} {who}, all periods together.").format(
            where=where, count=count.text, who=who
        )


def _largest(book: Book) -> Iterator[str]:
    """The largest form, if one is; what is no single form, or not known, does not compete."""
    view = book.view("form")
    if view is None:
        return
    forms = [code for code in view.axis("form") if code not in _NO_FORM]
    known = _published((words("form", code), view.of(form=code)) for code in forms)
    if known:
        gone = len(forms) - len(known)
        of = _(" of the {known} whose counts are published ({gone} are suppressed)") if gone else ""
        yield _largest_of(known, of.format(known=len(known), gone=gone))
    unknown = view.of(form=UNKNOWN) if UNKNOWN in view.axis("form") else None
    if unknown is not None:
        yield _("The form of exploitation of {count} victims is not known.").format(count=unknown.text)


def _largest_of(known: list[tuple[str, Shown]], of: str) -> str:
    (label, first), *_rest = known
    rivals = _rivals(known)
    if rivals:
        near = ", ".join(f"{name} ({count.text})" for name, count in (known[0], *rivals[:NAMED]))
        said = _("Which form of exploitation is the largest{of} cannot be told from noise: {near}.")
        return said.format(of=of, near=near)
    said = _("The largest form of exploitation{of} is {form}: {count} victims.")
    return said.format(of=of, form=label, count=first.text)


def _published(counts: Iterable[tuple[str, Shown | None]]) -> list[tuple[str, Shown]]:
    """Those that are published, largest first."""
    known = [(label, count) for label, count in counts if count is not None]
    return sorted(known, key=lambda pair: -pair[1].value)


def _rivals(known: Sequence[tuple[str, Shown]]) -> list[tuple[str, Shown]]:
    """Those that cannot be told from the first."""
    (_label, first), *others = known
    return [pair for pair in others if first.value - pair[1].value <= first.margin + pair[1].margin]


def _latest(book: Book) -> Iterator[str]:
    """The last period against the one before, and against the same one of the year before."""
    view = book.view(book.period)
    periods = () if view is None else book.periods(view)
    if view is None or not periods:
        return
    last, period = periods[-1], lower_name(book.period)
    count = view.of(**{book.period: last})
    if count is None:
        yield _("How many victims were registered in {last}, the latest {period}, is suppressed.").format(
            last=last, period=period
        )
        return
    said = _("In {last}, the latest {period}, {count} victims were registered.")
    sentences = [said.format(last=last, period=period, count=count.text)]
    earlier = filter(None, (period_before(last, periods), year_before(last, periods)))
    sentences += [_against(count, view.of(**{book.period: before}), before) for before in earlier]
    yield " ".join([*sentences, _("Late entries may still add to it.")])


def _against(count: Shown, before: Shown | None, period: str) -> str:
    change = difference(count, before)
    if before is None or change is None:
        return _("The count of {period} is suppressed.").format(period=period)
    if not change.stands_out:
        said = _("Against {period} ({before}) no change is beyond the margins.")
    elif change.value > 0:
        said = _("Against {period} ({before}) these are {change} more.")
    else:
        said = _("Against {period} ({before}) these are {change} fewer.")
    moved = f"{abs(change.value):,} ± {change.margin:,}"
    return said.format(period=period, before=before.text, change=moved)


def _forms_changed(book: Book) -> Iterator[str]:
    """Forms beside the period before, and beside the same one of the year before."""
    view = book.view(book.period, "form")
    periods = () if view is None else book.periods(view)
    if view is None or not periods:
        return
    for before in filter(None, (period_before(periods[-1], periods), year_before(periods[-1], periods))):
        changes = []
        for code in view.axis("form"):
            later, earlier = (view.of(**{book.period: at, "form": code}) for at in (periods[-1], before))
            change = difference(later, earlier)
            if change is not None:
                changes.append((words("form", code), change))
        yield _changed(changes, len(view.axis("form")), before, periods[-1])


def _changed(changes: list[tuple[str, Difference]], forms: int, before: str, last: str) -> str:
    out = sorted((pair for pair in changes if pair[1].stands_out), key=lambda pair: -abs(pair[1].value))
    named = ", ".join(f"{label} ({change.text})" for label, change in out[:NAMED])
    if len(out) > NAMED:
        named = _("{named} and {more} more").format(named=named, more=len(out) - NAMED)
    if not changes:
        said = _(
            "No form of exploitation can be compared between {before} and {last}: too many counts are "
            "suppressed."
        )
    elif not out:
        said = _(
            "Between {before} and {last} no form changed beyond the margins ({known} of {all} forms, whose "
            "counts are published for both)."
        )
    else:
        said = _(
            "Between {before} and {last} changed beyond the margins: {named} ({known} of {all} forms, whose "
            "counts are published for both)."
        )
    return said.format(before=before, last=last, named=named, known=len(changes), all=forms)


def _corridor(book: Book) -> Iterator[str]:
    """The largest corridor between two known places that are not one."""
    view = book.view("citizenship", "exploitation")
    if view is None:
        return
    names = [axis.name for axis in view.table.axes]
    counts = []
    for chosen, count in view.counts.items():
        at = dict(zip(names, chosen, strict=True))
        if UNKNOWN not in chosen and at["citizenship"] != at["exploitation"]:
            label = _("from {start} to {end}").format(
                start=words("citizenship", at["citizenship"]), end=words("exploitation", at["exploitation"])
            )
            counts.append((label, count))
    known = _published(counts)
    if not known:
        return
    rivals = len(_rivals(known))
    (label, first), *_rest = known
    more = ngettext("; {more} more cannot be told from it", "; {more} more cannot be told from it", rivals)
    yield _(
        "The corridor between two countries with the largest published count leads {corridor}: {count} "
        "victims{rivals}."
    ).format(corridor=label, count=first.text, rivals=more.format(more=rivals) if rivals else "")
