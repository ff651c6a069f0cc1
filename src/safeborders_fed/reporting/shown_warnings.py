"""Early warnings on the page, from what operators signed.

Guarantees: reads the signed document alone. Only series that its test raised are called a rise or a fall; of
the others it says that they cannot be told from noise. Numbers stand where the document has them.

Needs the extra ``[report]``; ``building`` says so when it is missing.
"""

from __future__ import annotations

from typing import Final

from safeborders_fed.reporting.figures import signed
from safeborders_fed.reporting.language import N_, _, ngettext
from safeborders_fed.reporting.shown import View, view_of, words
from safeborders_fed.reporting.shown_charts import Counts, series_chart
from safeborders_fed.reporting.shown_parts import AXES, Block, Drawing, Part, Section, cell, note
from safeborders_fed.study.table_file import Tables
from safeborders_fed.study.table_notes import PERIOD, TYPE, EarlyWarnings, RaisedSeries

ID: Final = "warnings"
DRAWN: Final = 6
"""Warnings with a chart, the strongest."""
_HEADING: Final = N_("Early warnings")
_NOT: Final = (
    N_(
        "A warning says that the recorded number of victims changed, not why. New ways of recording, a state "
        "that joined, late entries and one large police operation change numbers as well."
    ),
    N_("No warning is no proof that nothing changed: small changes cannot be told from noise."),
)
_TYPE: Final = N_("Type")
_NOISE: Final = N_("not distinguishable from noise")


def warnings(tables: Tables) -> Section:
    """The series that changed beyond noise and their own past, the strongest evidence first."""
    found = tables.warnings
    if found is None:
        said = _("Not in this release: its operators asked for no early warnings.")
        return Section(ID, _(_HEADING), (Part(paragraphs=(said,)),))
    if not found.tested:
        return Section(ID, _(_HEADING), (Part(paragraphs=(_untested(found), *map(_, _NOT))),))
    views = {table.name: view_of(table) for table in tables.tables}
    parts = [Part(paragraphs=(*_summary(found), *map(_, _NOT)))]
    if found.series:
        parts.append(_list(found, views))
    return Section(ID, _(_HEADING), tuple(parts))


def _untested(found: EarlyWarnings) -> str:
    if not found.short:
        return _("Nothing could be tested: no table of this release follows anything over time.")
    return _(
        "Nothing could be tested: all {count} series have too short a past (seven quarters, 23 months or six "
        "years before the latest period are needed)."
    ).format(count=f"{found.short:,}")


def _summary(found: EarlyWarnings) -> tuple[str, ...]:
    rest = found.tested - found.raised
    said = [
        ngettext(
            "{raised} of {tested} series changed in {period} beyond noise and beyond its own past.",
            "{raised} of {tested} series changed in {period} beyond noise and beyond their own past.",
            found.raised,
        ).format(raised=f"{found.raised:,}", tested=f"{found.tested:,}", period=found.period),
        _("The other {rest}: {verdict}.").format(rest=f"{rest:,}", verdict=_(_NOISE)),
        _(
            "If nothing had changed in any of the {tested} series, a report would raise one or more warnings "
            "with a chance of at most {rate}, as far as counts vary as the test assumes. This rate is shared "
            "by all series: the more are looked at, the more evidence each needs."
        ).format(tested=f"{found.tested:,}", rate=_rate(found.false_alarm_rate)),
    ]
    if found.studies:
        text = _("The past is that of the releases of {studies} as well.")
        said.append(text.format(studies=", ".join(found.studies)))
    if found.withheld:
        text = ngettext(
            "{count} series that changed is not named, since its latest count is suppressed.",
            "{count} series that changed are not named, since their latest counts are suppressed.",
            found.withheld,
        )
        said.append(text.format(count=f"{found.withheld:,}"))
    if found.short:
        text = ngettext(
            "{count} series has too short a past for anything to be said.",
            "{count} series have too short a past for anything to be said.",
            found.short,
        )
        said.append(text.format(count=f"{found.short:,}"))
    return tuple(said)


def _rate(rate: float) -> str:
    return f"{100 * rate:g}%"


def _list(found: EarlyWarnings, views: dict[str, View]) -> Part:
    """All named warnings as a table, the strongest of them as charts."""
    rows = tuple(_row(at, each) for at, each in enumerate(found.series, start=1))
    heads = (
        _("Rank"),
        _("Series"),
        _("Change"),
        _("Periods"),
        _("Seen"),
        _("Expected"),
        _("Change between"),
    )
    said = _(
        "Strongest evidence first. Seen and expected are victims a period, worked out from published counts "
        "alone; c: a count of the series is suppressed, or rounding hides the size of the change."
    )
    block = Block("warnings-table", _("Series that changed"), said, heads, rows)
    drawn = tuple(_drawing(at, each, views[each.table]) for at, each in enumerate(found.series[:DRAWN], 1))
    margins = {each.table: views[each.table] for each in found.series[:DRAWN]}
    about = note(*((_("table {name}").format(name=name), view) for name, view in margins.items()))
    return Part(_("Ranked by evidence"), (about,), drawn, panels=True, block=block, folded=False)


def _row(rank: int, each: RaisedSeries) -> tuple[str, ...]:
    numbers = each.numbers
    if numbers is None:
        shown = (cell(None),) * 3
    else:
        change = _("{low} and {high}").format(low=_signed(numbers.low), high=_signed(numbers.high))
        shown = (f"{numbers.observed:,}", f"{numbers.expected:,}", change)
    return (str(rank), _name(each), _verdict(each), _periods(each), *shown)


def _signed(value: int) -> str:
    return signed(value) if value else "0"


def _verdict(each: RaisedSeries) -> str:
    return _("rise") if each.verdict == "rise" else _("fall")


def _periods(each: RaisedSeries) -> str:
    if len(each.periods) == 1:
        return each.periods[0]
    return _("{first} and {last}").format(first=each.periods[0], last=each.periods[-1])


def _name(each: RaisedSeries) -> str:
    """The series in words, axis by axis."""
    return ", ".join(f"{_axis(axis)}: {words(axis, code)}" for axis, code in each.codes.items())


def _axis(name: str) -> str:
    if name == TYPE:
        return _(_TYPE)
    return _(AXES[name]) if name in AXES else name


def _drawing(at: int, each: RaisedSeries, view: View) -> Drawing:
    """The published counts of a raised series."""
    time = next(axis.name for axis in view.table.axes if axis.name not in each.codes)
    periods = sorted(code for code in view.axis(time) if PERIOD.fullmatch(code))
    counts: Counts = [(period, view.of(**{**each.codes, time: period})) for period in periods]
    label = _("{rank}. {verdict}: {name}").format(rank=at, verdict=_verdict(each), name=_name(each))
    return Drawing(label, series_chart(counts, name=f"warning{at}", title=label, width=235, height=110))
