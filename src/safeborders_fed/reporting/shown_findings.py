"""What published tables say, in sentences, and what changed.

Guarantees: every count is written with its margin. A difference is named only if it exceeds the sum of both
margins; what is suppressed is said to be unknown, and is not taken for small: a large count may be suppressed
to protect another one. Sentences are plain text: the page escapes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from safeborders_fed.cases.contract import UNKNOWN
from safeborders_fed.reporting.comparing import Change, compare
from safeborders_fed.reporting.figures import cost_text, one_in
from safeborders_fed.reporting.reading import Released
from safeborders_fed.reporting.shown import (
    OTHER,
    SUPPRESSED,
    Book,
    Shown,
    View,
    difference,
    period_before,
    words,
    year_before,
)
from safeborders_fed.reporting.shown_parts import AXES, Block, Part, Section, not_asked

NAMED: Final = 3
LISTED: Final = 40
_ALL: Final = "All victims"
_NO_FORM: Final = frozenset({UNKNOWN, OTHER, "SeveralForms"})


def findings(book: Book, releases: Sequence[Released]) -> tuple[str, ...]:
    """The findings that the page opens with."""
    tables = book.tables
    cells = sum(len(table.cells) for table in tables.tables)
    gone = sum(cell is None for table in tables.tables for cell in table.cells)
    found = [*_total(book), *_largest(book), *_latest(book), *_forms_changed(book), *_corridor(book)]
    if len(releases) > 1:
        every = compare(releases[-2], releases[-1])
        out = sum(change.stands_out for change in every)
        before = releases[-2].loaded.tables.id
        found.append(
            f"Against release {before}, {out} of {len(every)} counts that both publish changed by more than "
            "their margins."
        )
    found.append(
        f"Of {cells:,} counts {gone:,} are suppressed (c): not known here, and not to be read as zero."
    )
    found.append(
        f"The study cost each victim at most epsilon = {cost_text(tables.epsilon)} of privacy (at delta = "
        f"{one_in(tables.delta)}) at each node."
    )
    return tuple(found)


def _total(book: Book) -> Iterator[str]:
    view = book.view()
    if view is None:
        return
    count, states = view.of(), book.tables.states
    where = f"{len(states)} {'state' if len(states) == 1 else 'states'} ({', '.join(states)})"
    who = "victims under 18" if book.tables.population == "minors" else "victims"
    if count is None:
        yield f"How many {who} the files of {where} hold, all periods together, is suppressed."
    else:
        yield f"The files of {where} hold {count.text} {who}, all periods together."


def _largest(book: Book) -> Iterator[str]:
    """The largest form, if one is; what is no single form, or not known, does not compete."""
    view = book.view("form")
    if view is None:
        return
    forms = [code for code in view.axis("form") if code not in _NO_FORM]
    known = _published((words("form", code), view.of(form=code)) for code in forms)
    if known:
        gone = len(forms) - len(known)
        of = f" of the {len(known)} whose counts are published ({gone} are suppressed)" if gone else ""
        (label, first), *_ = known
        rivals = _rivals(known)
        if rivals:
            near = ", ".join(f"{name} ({count.text})" for name, count in (known[0], *rivals[:NAMED]))
            yield f"Which form of exploitation is the largest{of} cannot be told from noise: {near}."
        else:
            yield f"The largest form of exploitation{of} is {label}: {first.text} victims."
    unknown = view.of(form=UNKNOWN) if UNKNOWN in view.axis("form") else None
    if unknown is not None:
        yield f"The form of exploitation of {unknown.text} victims is not known."


def _published(counts: Iterable[tuple[str, Shown | None]]) -> list[tuple[str, Shown]]:
    """Those that are published, largest first."""
    known = [(label, count) for label, count in counts if count is not None]
    return sorted(known, key=lambda pair: -pair[1].value)


def _rivals(known: Sequence[tuple[str, Shown]]) -> list[tuple[str, Shown]]:
    """Those that cannot be told from the first."""
    (_, first), *others = known
    return [pair for pair in others if first.value - pair[1].value <= first.margin + pair[1].margin]


def _latest(book: Book) -> Iterator[str]:
    """The last period against the one before, and against the same one of the year before."""
    view = book.view(book.period)
    periods = () if view is None else book.periods(view)
    if view is None or not periods:
        return
    last = periods[-1]
    count = view.of(**{book.period: last})
    if count is None:
        yield f"How many victims were registered in {last}, the latest {book.period}, is suppressed."
        return
    said = [f"In {last}, the latest {book.period}, {count.text} victims were registered."]
    earlier = filter(None, (period_before(last, periods), year_before(last, periods)))
    said += [_against(count, view.of(**{book.period: period}), period) for period in earlier]
    yield " ".join([*said, "Late entries may still add to it."])


def _against(count: Shown, before: Shown | None, period: str) -> str:
    change = difference(count, before)
    if before is None or change is None:
        return f"The count of {period} is suppressed."
    if not change.stands_out:
        return f"Against {period} ({before.text}) no change is beyond the margins."
    verb = "more" if change.value > 0 else "fewer"
    return f"Against {period} ({before.text}) these are {abs(change.value):,} ± {change.margin:,} {verb}."


def _forms_changed(book: Book) -> Iterator[str]:
    view = book.view(book.period, "form")
    periods = () if view is None else book.periods(view)
    before = period_before(periods[-1], periods) if periods else None
    if view is None or before is None:
        return
    changes = []
    for code in view.axis("form"):
        later, earlier = (view.of(**{book.period: at, "form": code}) for at in (periods[-1], before))
        change = difference(later, earlier)
        if change is not None:
            changes.append((words("form", code), change))
    out = sorted((pair for pair in changes if pair[1].stands_out), key=lambda pair: -abs(pair[1].value))
    compared = f"{len(changes)} of {len(view.axis('form'))} forms, whose counts are published for both"
    if not changes:
        yield (
            f"No form of exploitation can be compared between {before} and {periods[-1]}: too many counts "
            f"are suppressed."
        )
    elif not out:
        yield f"Between {before} and {periods[-1]} no form changed beyond the margins ({compared})."
    else:
        named = ", ".join(f"{label} ({change.text})" for label, change in out[:NAMED])
        more = f" and {len(out) - NAMED} more" if len(out) > NAMED else ""
        yield f"Between {before} and {periods[-1]} changed beyond the margins: {named}{more} ({compared})."


def _corridor(book: Book) -> Iterator[str]:
    view = book.view("citizenship", "exploitation")
    if view is None:
        return
    names = [axis.name for axis in view.table.axes]
    counts = []
    for chosen, count in view.counts.items():
        at = dict(zip(names, chosen, strict=True))
        if UNKNOWN not in chosen:
            label = f"from {words('citizenship', at['citizenship'])} to "
            counts.append((label + words("exploitation", at["exploitation"]), count))
    known = _published(counts)
    if known:
        rivals = len(_rivals(known))
        said = f"; {rivals} more cannot be told from it" if rivals else ""
        (label, first), *_ = known
        yield f"The corridor with the largest published count leads {label}: {first.text} victims{said}."


def changes(book: Book) -> Section:
    """The latest period beside the one before and the same one of the year before, all and by form."""
    title = f"Change in the latest {book.period}"
    view, forms = book.view(book.period), book.view(book.period, "form")
    timed = view or forms
    periods = () if timed is None else book.periods(timed)
    pairs = [] if not periods else [period_before(periods[-1], periods), year_before(periods[-1], periods)]
    known = [period for period in pairs if period is not None]
    if not known:
        return Section("change", title, (Part(paragraphs=("There is no earlier period to compare with.",)),))
    rows = [] if view is None else [(_ALL, *_row(view, book.period, periods[-1], known, {}))]
    codes = () if forms is None else forms.axis("form")
    for code in codes:
        row = _row(forms, book.period, periods[-1], known, {"form": code})
        rows.append((words("form", code), *row))
    heads = [AXES["form"], periods[-1]]
    for period in known:
        heads += [period, "Change", "Beyond margins"]
    said = (
        (
            "A change is named only if it exceeds the sum of both margins. Where many are looked at, up to "
            "one in twenty of those that did not change may be named by chance."
        ),
    )
    parts = [] if forms is not None else [not_asked("forms of exploitation by period")]
    block = Block("change-table", title, "± 95% margin; c suppressed.", tuple(heads), tuple(rows))
    return Section("change", title, (Part("", said, block=block, folded=False), *parts))


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
            texts += [SUPPRESSED, "not known"]
        else:
            texts += [change.text, "yes" if change.stands_out else "no"]
    return tuple(texts)


def against_earlier(releases: Sequence[Released]) -> Section:
    """What changed against the release before."""
    one, other = releases[-2], releases[-1]
    every = compare(one, other)
    found = sorted(
        (each for each in every if each.stands_out), key=lambda each: -abs(each.after - each.before)
    )
    title = f"Change since release {one.loaded.tables.id}"
    said = (
        (
            f"{len(found)} of {len(every)} counts that both releases publish changed by more than the sum "
            "of their margins. If none had changed, up to 5% of them could by chance; the others cannot be "
            "told from noise."
        ),
    )
    if not found:
        return Section("releases", title, (Part(paragraphs=said),))
    more = f", the {LISTED} largest changes" if len(found) > LISTED else ""
    rows = tuple(_changed(each) for each in found[:LISTED])
    heads = ("Count", "Before", "Now", "Change")
    caption = f"Counts that changed beyond their margins{more}"
    block = Block("releases-table", caption, "± margin of the change.", heads, rows)
    return Section("releases", title, (Part("", said, block=block, folded=False),))


def _changed(change: Change) -> tuple[str, ...]:
    named = ", ".join(f"{AXES.get(axis, axis)}: {words(axis, code)}" for axis, code in change.codes.items())
    moved = difference(Shown(change.after, change.margin, 0), Shown(change.before, 0, 0))
    return named or _ALL, f"{change.before:,}", f"{change.after:,}", "" if moved is None else moved.text
