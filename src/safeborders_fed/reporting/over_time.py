"""Tables of several releases, one of each period, as one table over time.

Guarantees: only tables of one name and the same codes are put together; the standard error is the largest of
theirs, so what is read from the whole is never more certain than its least certain part.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from safeborders_fed.errors import UsageError
from safeborders_fed.reporting.noisy_tables import BETWEEN, Axis, NoisyTable

_PERIOD: Final = "period"


def over_time(tables: Mapping[str, NoisyTable]) -> NoisyTable:
    """The table with a first axis ``period``, in the order of the periods.

    Args:
        tables: By the period that each counts, such as ``2025-Q1``; none of them has an axis of time.

    Raises:
        UsageError: ``no-series`` for no table, ``tables-differ``.
    """
    if not tables:
        raise UsageError("no-series", "no table is given", "name the releases of some periods")
    periods = tuple(sorted(tables))
    first = tables[periods[0]]
    for period in periods:
        if (tables[period].name, tables[period].axes) != (first.name, first.axes):
            raise UsageError(
                "tables-differ",
                f"the table of {period} has another name or other codes than that of {periods[0]}",
                "put releases together whose manifests choose the same tables",
            )
    return NoisyTable(
        name=f"{_PERIOD}{BETWEEN}{first.name}",
        axes=(Axis(_PERIOD, periods), *first.axes),
        counts=np.stack([tables[period].counts for period in periods]),
        deviation=max(table.deviation for table in tables.values()),
    )
