"""Early warnings as they are published beside rounded and suppressed counts.

Which series are raised, in which direction and in which order of evidence follows from the noisy counts
before rounding: the test needs them, and is post-processing of what is private already. The question is the
custom of rounding and suppression alone:

- A raised series of whose latest counts one is suppressed, or not in this document, is not named, only
  counted: that it rose or fell would tell on which side of the floor the suppressed count lies.
- Every number is worked out anew from **published counts alone**, by the same test over the series all of
  whose counts are published, and given in multiples of the base. So numbers tell nothing that the published
  counts do not; and a series of which an earlier count is suppressed, or whose published counts do not show
  the same change by themselves, is named without any.
- No evidence is published as a number: it is a function of unrounded counts.

What remains is the verdict: a yes or no for each series, at a rate that the whole report shares. For a
corridor that comes out of nothing it says that suppressed earlier counts lay well below the published
latest one. That is accepted: a warning that may not say it could not name what is new.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

import numpy as np

from safeborders_fed.errors import UsageError
from safeborders_fed.reporting.early_warning import SeriesWarning, Verdict, Warnings, warnings_of
from safeborders_fed.reporting.noisy_tables import Axis, NoisyTable, TableRelease
from safeborders_fed.reporting.over_time import tables_over
from safeborders_fed.study.table_file import DisclosedTable, Rules
from safeborders_fed.study.table_notes import (
    PERIOD,
    TIME_AXES,
    Counts,
    EarlyWarnings,
    RaisedSeries,
    WarningNumbers,
)

_NOTHING_TO_FOLLOW: Final = frozenset({"no-series", "unknown-period"})
_SERIES: Final = "series"
_Key = tuple[str, frozenset[tuple[str, str]]]
"""A table, and the codes of one of its series."""
_SAID: Final[Mapping[Verdict, Literal["rise", "fall"]]] = {Verdict.RISE: "rise", Verdict.FALL: "fall"}


def published_warnings(
    release: TableRelease,
    tables: Sequence[DisclosedTable],
    rules: Rules,
    rate: float,
    past: Sequence[TableRelease] = (),
) -> EarlyWarnings:
    """The early warnings of noisy tables, fit to stand beside the disclosed ones.

    Args:
        release: The noisy tables.
        tables: The same as they are published.
        rules: How they were rounded and suppressed.
        rate: False-alarm rate of the whole report.
        past: Releases of earlier studies, earliest first, whose periods come before.

    Raises:
        UsageError: ``bad-false-alarm-rate`` or ``gap-in-periods``; with a past, as ``tables_over``.
        RefusedError: With a past, as ``tables_over``.
    """
    studies = tuple(each.study for each in past)
    found = _warnings(tables_over((*past, release)), rate)
    if found is None:
        return EarlyWarnings(false_alarm_rate=rate, tested=0, short=0, raised=0, studies=studies, series=())
    return EarlyWarnings(
        false_alarm_rate=rate,
        period=found.period,
        tested=found.tested,
        short=found.short,
        raised=len(found.raised),
        studies=studies,
        series=named(found.raised, tables, rules, rate),
    )


def named(
    raised: Sequence[SeriesWarning], tables: Sequence[DisclosedTable], rules: Rules, rate: float
) -> tuple[RaisedSeries, ...]:
    """The raised series that may be named. Of ``raised`` only what and when is read, no number."""
    by_name = {table.name: table for table in tables}
    counts = {name: by_name[name].counts for name in {entry.table for entry in raised}}
    again = _from_published(tables, rules, rate) if raised else {}
    return tuple(
        _raised(entry, again.get((entry.table, frozenset(entry.key))), rules)
        for entry in raised
        if _latest_published(entry, counts[entry.table])
    )


def _warnings(tables: Sequence[NoisyTable], rate: float) -> Warnings | None:
    """The warnings in some tables; None where nothing is followed over time."""
    try:
        return warnings_of(tables, alpha=rate)
    except UsageError as error:
        if error.code in _NOTHING_TO_FOLLOW:
            return None
        raise


def _latest_published(entry: SeriesWarning, counts: Counts) -> bool:
    time = next(axis for codes in counts for axis, _ in codes if axis in TIME_AXES)
    own = frozenset(entry.key)
    # A period that this document does not count is not published in it.
    return all(counts.get(own | {(time, period)}) is not None for period in entry.periods)


def _raised(entry: SeriesWarning, again: SeriesWarning | None, rules: Rules) -> RaisedSeries:
    same = again if again is not None and again.verdict == entry.verdict else None
    return RaisedSeries(
        table=entry.table,
        codes=dict(entry.key),
        verdict=_SAID[entry.verdict],
        periods=tuple(dict.fromkeys((same or entry).periods)),
        numbers=None if same is None else _numbers(same, rules),
    )


def _numbers(found: SeriesWarning, rules: Rules) -> WarningNumbers:
    """Rounded, and the interval outwards."""
    return WarningNumbers(
        observed=rules.round(found.observed),
        expected=rules.round(found.expected),
        low=rules.base * math.floor(found.low / rules.base),
        high=rules.base * math.ceil(found.high / rules.base),
    )


def _from_published(tables: Sequence[DisclosedTable], rules: Rules, rate: float) -> dict[_Key, SeriesWarning]:
    """The same test over every series all of whose counts are published."""
    series: dict[tuple[str, str], _Key] = {}
    made = []
    for table in tables:
        complete = list(_complete(table))
        if complete:
            codes = tuple(str(at) for at in range(len(complete)))
            series |= {
                (table.name, code): (table.name, key) for code, (key, _) in zip(codes, complete, strict=True)
            }
            made.append(_as_noisy(table, codes, [values for _, values in complete], rules))
    found = _warnings(made, rate) if made else None
    return {} if found is None else {series[entry.table, entry.key[0][1]]: entry for entry in found.series}


def _complete(table: DisclosedTable) -> Iterator[tuple[frozenset[tuple[str, str]], list[int]]]:
    """Series without a suppressed count, and their counts in the order of time."""
    time = next((axis for axis in table.axes if axis.name in TIME_AXES), None)
    if time is None or len(table.axes) == 1:
        return
    series: dict[frozenset[tuple[str, str]], dict[str, int | None]] = {}
    for codes, count in table.counts.items():
        period = next(code for axis, code in codes if axis == time.name)
        series.setdefault(codes - {(time.name, period)}, {})[period] = count
    periods = _periods(time.codes)
    for key, counts in series.items():
        values = [counts[period] for period in periods]
        known = [value for value in values if value is not None]
        if periods and len(known) == len(values):
            yield key, known


def _periods(codes: Sequence[str]) -> tuple[str, ...]:
    return tuple(code for code in codes if PERIOD.fullmatch(code))


def _as_noisy(
    table: DisclosedTable, codes: tuple[str, ...], values: list[list[int]], rules: Rules
) -> NoisyTable:
    """Published counts with the noise that they carry: that of privacy, and that of rounding."""
    time = next(axis for axis in table.axes if axis.name in TIME_AXES)
    axes = (Axis(_SERIES, codes), Axis(time.name, _periods(time.codes)))
    deviation = math.hypot(table.deviation, rules.base / math.sqrt(12))
    return NoisyTable(table.name, axes, np.array(values, dtype=np.float64), deviation)
