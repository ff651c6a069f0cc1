"""Several releases as tables over one time, such as the studies of a quarter each that follow one another.

Guarantees: releases are put together only if they count the same: population, states, tables and codes, in
the order of their periods and without a gap. Whatever differs is refused, so that no change of what is
counted can look like a change of the crime. A period that several releases count is read from the latest.
The standard error is the largest of theirs, so that what is read from the whole is never more certain than
its least certain part. Noise of different studies is independent, and each was paid for by its study:
putting them together costs no privacy.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from safeborders_fed.errors import RefusedError, UsageError
from safeborders_fed.reporting.early_warning import ALPHA, Warnings, chosen, warnings_of
from safeborders_fed.reporting.noisy_tables import Axis, NoisyTable, TableRelease
from safeborders_fed.reporting.periods import Periods, periods_of, time_axis


def warnings_over(
    releases: Sequence[TableRelease],
    *,
    alpha: float = ALPHA,
    period: str | None = None,
    only: Sequence[str] = (),
) -> Warnings:
    """The early warnings in one or several releases.

    Args:
        releases: In the order of their last periods.
        alpha: As for ``warnings_of``.
        period: As for ``warnings_of``.
        only: As for ``warnings_of``.

    Raises:
        UsageError: As ``warnings_of`` and ``tables_over``.
        RefusedError: As ``tables_over``.
    """
    return warnings_of(tables_over(releases, only), alpha=alpha, period=period)


def tables_over(releases: Sequence[TableRelease], only: Sequence[str] = ()) -> tuple[NoisyTable, ...]:
    """Each table over time with the periods of all releases; of a single release, its tables as they are.

    Args:
        releases: In the order of their last periods.
        only: Names of the tables to look at; none for all that follow something over time.

    Raises:
        UsageError: ``no-series`` for no release, ``unknown-table``, ``tables-differ``, ``wrong-order``,
            ``gap-in-periods`` or ``unknown-period``.
        RefusedError: ``same-study`` or ``not-comparable``.
    """
    if not releases:
        raise UsageError("no-series", "no release is given", "name the releases to look at")
    if len(releases) == 1:
        return tuple(chosen(releases[0].tables, only))
    for before, after in pairwise(releases):
        _require_comparable(before, after)
    _require_different(releases)
    followed = [_followed(release, only) for release in releases]
    for release, tables in zip(releases, followed, strict=True):
        strange = sorted(set(followed[0]) ^ set(tables))
        if strange:
            raise _differ(
                f"table {strange[0]!r} is not in the releases of both {releases[0].study} and {release.study}"
            )
    return tuple(_joined([tables[name] for tables in followed], releases) for name in followed[0])


def _followed(release: TableRelease, only: Sequence[str]) -> dict[str, NoisyTable]:
    """The tables that follow something over time, by name."""
    return {table.name: table for table in chosen(release.tables, only) if time_axis(table) is not None}


def _require_different(releases: Sequence[TableRelease]) -> None:
    if len({release.manifest_hash for release in releases}) < len(releases):
        raise RefusedError("same-study", "one study is given twice", "give each study once")


def _require_comparable(before: TableRelease, after: TableRelease) -> None:
    if (before.population, set(before.states)) != (after.population, set(after.states)):
        raise RefusedError(
            "not-comparable",
            f"{before.study} counts {before.population} in {', '.join(before.states)}, and {after.study} "
            f"counts {after.population} in {', '.join(after.states)}",
            "put releases of the same states and population together",
        )


def _joined(tables: Sequence[NoisyTable], releases: Sequence[TableRelease]) -> NoisyTable:
    """One table of all periods, each from the latest release that counts it."""
    first = tables[0]
    at = time_axis(first) or 0
    for table, release in zip(tables, releases, strict=True):
        if _others(table, at) != _others(first, at) or table.axes[at].name != first.axes[at].name:
            raise _differ(
                f"table {first.name!r} has other codes in {release.study} than in {releases[0].study}"
            )
    spans = [periods_of(table, at) for table in tables]
    for (before, after), (one, other) in zip(pairwise(spans), pairwise(releases), strict=True):
        _require_following(before, after, (one.study, other.study))
    latest = {
        span.first + number: (code, table.counts.take(place, axis=at))
        for table, span in zip(tables, spans, strict=True)
        for number, (place, code) in enumerate(zip(span.places, span.codes, strict=True))
    }
    periods = [latest[number] for number in sorted(latest)]
    axes = list(first.axes)
    axes[at] = Axis(axes[at].name, tuple(code for code, _ in periods))
    counts = np.stack([slice_ for _, slice_ in periods], axis=at)
    return NoisyTable(first.name, tuple(axes), counts, max(table.deviation for table in tables))


def _others(table: NoisyTable, at: int) -> list[Axis]:
    return [axis for place, axis in enumerate(table.axes) if place != at]


def _require_following(before: Periods, after: Periods, studies: tuple[str, str]) -> None:
    one, other = studies
    if before.seasons != after.seasons:
        raise _differ(f"{one} and {other} count periods of another length")
    if after.last <= before.last:
        raise UsageError(
            "wrong-order",
            f"{other} ends with {after.codes[-1]}, no later than {one} with {before.codes[-1]}",
            "give the releases in the order of their last periods",
        )
    if after.first > before.last + 1:
        raise UsageError(
            "gap-in-periods",
            f"nothing counts what lies between {before.codes[-1]} of {one} and {after.codes[0]} of {other}",
            "give the release of the periods between as well",
        )


def _differ(cause: str) -> UsageError:
    return UsageError(
        "tables-differ",
        cause,
        "put releases together whose manifests choose the same tables, or name those that all have (--table)",
    )
