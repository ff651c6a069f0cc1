"""Early warning: which series of a release has changed beyond noise and beyond its own past.

A series is one cell of a table followed over its time axis: one corridor, form, means or state. It is
tested for a rise and for a fall of the last one and of the last two periods (``surprise``). The chance
that a report in which nothing changed raises any warning is at most the false-alarm rate ``alpha``: each
series gets a share of it by what its past lets be found (``weighing``: weighted Bonferroni), of which its
windows get parts by their length, and rises ``RISES`` of each. Bonferroni holds under any dependence, so
tables that share cells, or errors that least squares correlated, do not break it; Simes or Benjamini and
Hochberg would need more. Holm would add nothing until a first warning is raised, and Bonferroni's limits are
those of the intervals shown: every interval holds at once with probability ``1 - alpha``, however the series
shown were chosen, and where there is a warning it excludes no change.

Guarantees: pure, without chance; the order of tables and cells changes nothing; a larger last value never
lowers the evidence of a rise. What cannot be told is said: ``too short a past`` or ``not distinguishable
from noise``. Reads private values only, so it costs no privacy. The level rests on the model in
``surprise``, checked by simulation.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from safeborders_fed.errors import UsageError
from safeborders_fed.reporting.noisy_tables import NoisyTable
from safeborders_fed.reporting.periods import TIME_AXES, periods_of, time_axis
from safeborders_fed.reporting.surprise import WINDOWS, Floats, Surprise, least_past, surprise
from safeborders_fed.reporting.weighing import shares

ALPHA: Final = 0.05
RISES: Final = 0.8
"""Share of the false-alarm rate that is spent on rises: what emerges matters more than what fades."""


class Verdict(StrEnum):
    """What can be said of a series."""

    RISE = "rise"
    FALL = "fall"
    NOISE = "not distinguishable from noise"
    SHORT = "too short a past"


@dataclass(frozen=True, slots=True)
class SeriesWarning:
    """What is said of one series.

    Attributes:
        table: The table it is of.
        key: Axis and code of each dimension but time.
        verdict: What can be said.
        periods: The periods tested together, first and last; empty for a past that is too short.
        observed: Victims a period in them.
        expected: Victims a period that the past leads to expect.
        low: The change in victims a period is at least this, at the report's confidence.
        high: The change is at most this.
        evidence: Probability that a report without any change shows evidence as strong, at most; 1 for none.
    """

    table: str
    key: tuple[tuple[str, str], ...]
    verdict: Verdict
    periods: tuple[str, ...] = ()
    observed: float = 0.0
    expected: float = 0.0
    low: float = 0.0
    high: float = 0.0
    evidence: float = 1.0

    @property
    def name(self) -> str:
        """The codes, for people."""
        return ", ".join(f"{axis} {code}" for axis, code in self.key)


@dataclass(frozen=True, slots=True)
class Warnings:
    """The early warnings of one report.

    Attributes:
        alpha: The false-alarm rate of the whole report.
        period: The period that is looked at; empty if no table has one.
        tested: How many series share the false-alarm rate.
        short: How many series have too short a past.
        series: Every series, warnings first, the strongest evidence first.
    """

    alpha: float
    period: str
    tested: int
    short: int
    series: tuple[SeriesWarning, ...]

    @property
    def raised(self) -> tuple[SeriesWarning, ...]:
        """The warnings, strongest first."""
        return tuple(entry for entry in self.series if entry.verdict in {Verdict.RISE, Verdict.FALL})


@dataclass(frozen=True, slots=True)
class _Series:
    """One cell over time: its table, what it is, the periods, counts and their standard error."""

    table: str
    key: tuple[tuple[str, str], ...]
    periods: tuple[str, ...]
    counts: tuple[float, ...]
    deviation: float
    seasons: int


def warnings_of(
    tables: Sequence[NoisyTable],
    *,
    alpha: float = ALPHA,
    period: str | None = None,
    only: Sequence[str] = (),
) -> Warnings:
    """The early warnings in some tables; those without a time axis, or with nothing else, are passed over.

    Args:
        tables: Of one release.
        alpha: The false-alarm rate of the whole report, above 0 and at most 0.5.
        period: The period to look at; by default the last of each table. What is later is left out.
        only: Names of the tables to look at; fewer tables leave more evidence to each series.

    Raises:
        UsageError: ``bad-false-alarm-rate``, ``unknown-table``, ``unknown-period``, ``no-series``, or
            ``gap-in-periods`` for a time axis that skips a period or is out of order.
    """
    if not 0 < alpha <= 0.5:
        raise UsageError("bad-false-alarm-rate", f"a false-alarm rate of {alpha} is none", "choose .05, say")
    series = sorted(_all_series(chosen(tables, only), period), key=lambda entry: (entry.table, entry.key))
    if not series:
        raise UsageError(
            "no-series",
            "no table follows anything over time",
            f"choose a study whose tables have one of the axes {', '.join(TIME_AXES)} beside another",
        )
    testable = [entry for entry in series if _windows(entry)]
    found = [SeriesWarning(entry.table, entry.key, Verdict.SHORT) for entry in series if not _windows(entry)]
    short = len(found)
    alike: dict[tuple[tuple[str, ...], int], list[_Series]] = defaultdict(list)
    for entry in testable:
        alike[entry.periods, entry.seasons].append(entry)
    for group in alike.values():
        found += _judged(group, alpha, len(testable))
    found.sort(key=lambda entry: (_rank(entry.verdict), entry.evidence, entry.table, entry.key))
    last = max(entry.periods[-1] for entry in series)
    return Warnings(alpha, last, len(testable), short, tuple(found))


def _rank(verdict: Verdict) -> int:
    return {Verdict.RISE: 0, Verdict.FALL: 0, Verdict.NOISE: 1, Verdict.SHORT: 2}[verdict]


def chosen(tables: Sequence[NoisyTable], only: Sequence[str]) -> list[NoisyTable]:
    """The tables of these names; all of them for none.

    Raises:
        UsageError: ``unknown-table``.
    """
    names = [table.name for table in tables]
    for name in only:
        if name not in names:
            cause = f"there is no table {name!r}"
            raise UsageError("unknown-table", cause, f"choose one of {', '.join(names)}")
    return [table for table in tables if not only or table.name in only]


def _all_series(tables: Sequence[NoisyTable], period: str | None) -> Iterator[_Series]:
    for table in tables:
        at = time_axis(table)
        if at is not None:
            yield from _of_table(table, at, period)


def _of_table(table: NoisyTable, at: int, period: str | None) -> Iterator[_Series]:
    span = periods_of(table, at)
    if period is not None and period not in span.codes:
        raise UsageError(
            "unknown-period",
            f"table {table.name!r} has no period {period!r}",
            f"choose one of {', '.join(span.codes)}",
        )
    length = len(span.codes) if period is None else span.codes.index(period) + 1
    kept, codes = span.places[:length], span.codes[:length]
    counts = np.moveaxis(table.counts, at, -1)[..., list(kept)]
    others = [axis for index, axis in enumerate(table.axes) if index != at]
    for cell in itertools.product(*(range(len(axis.codes)) for axis in others)):
        yield _Series(
            table=table.name,
            key=tuple((axis.name, axis.codes[index]) for axis, index in zip(others, cell, strict=True)),
            periods=codes,
            counts=tuple(counts[cell].tolist()),
            deviation=table.deviation,
            seasons=span.seasons,
        )


def _windows(entry: _Series) -> tuple[int, ...]:
    """The windows whose past is long enough."""
    return tuple(w for w in WINDOWS if len(entry.periods) - w >= least_past(entry.seasons))


def _judged(group: Sequence[_Series], alpha: float, tested: int) -> list[SeriesWarning]:
    """What is said of series over the same periods."""
    values = np.array([entry.counts for entry in group], dtype=np.float64)
    deviation = np.array([entry.deviation for entry in group], dtype=np.float64)
    windows = _windows(group[0])
    results = [surprise(values, deviation, seasons=group[0].seasons, window=window) for window in windows]
    each = len(group) / (sum(windows) * tested)
    parts = [result.window * each * shares(result.doubling(), alpha) for result in results]
    rises = np.stack([result.rise() / (part * RISES) for result, part in zip(results, parts, strict=True)])
    falls = np.stack(
        [result.fall() / (part * (1 - RISES)) for result, part in zip(results, parts, strict=True)]
    )
    best = np.minimum(rises, falls).argmin(axis=0)
    chosen = list(zip(group, best.tolist(), rises.min(axis=0), falls.min(axis=0), strict=True))
    intervals = [_interval(result, alpha * part) for result, part in zip(results, parts, strict=True)]
    found = []
    for at, (entry, window, rise, fall) in enumerate(chosen):
        low, high = intervals[window]
        found.append(
            SeriesWarning(
                table=entry.table,
                key=entry.key,
                verdict=_verdict(float(rise), float(fall), alpha),
                periods=entry.periods[-results[window].window :],
                observed=float(results[window].observed[at]),
                expected=float(results[window].expected()[at]),
                low=float(low[at]),
                high=float(high[at]),
                evidence=min(1.0, float(rise), float(fall)),
            )
        )
    return found


def _interval(result: Surprise, each: Floats) -> tuple[Floats, Floats]:
    return result.change(each * RISES)[0], result.change(each * (1 - RISES))[1]


def _verdict(rise: float, fall: float, alpha: float) -> Verdict:
    if min(rise, fall) > alpha:
        return Verdict.NOISE
    return Verdict.RISE if rise <= fall else Verdict.FALL
