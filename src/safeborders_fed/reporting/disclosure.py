"""Rounding and suppression of noisy counts, before anybody reads them.

The counts are private by their noise, whatever is done with them later. What is here protects readers from
small numbers that are mostly noise, and follows legal custom; **it is not the privacy guarantee** and is
never presented as one.

Rules, applied to rounded counts only, so that nothing published depends on what rounding took away:

- A count is rounded to a multiple of ``base``.
- It is suppressed if it is below the floor of its table: the threshold, or the count of which its noise (1.96
  standard errors) is the permitted percentage, whichever is larger. What was suppressed in an earlier
  release of the same count stays so.
- Further counts are suppressed until no suppressed one follows from the published ones (``protection``).

Interval: ``published ± ceil(1.96 sigma + base/2)``, and a lower end below the floor is zero. **Among counts
that are published** an interval covers in at least 95%: let t be true, s the standard error of normal noise,
and T the least value that rounds to the floor. For t <= T the interval fails only if the value is above T +
1.96 s, otherwise its lower end is zero; given that it is at least T, the chance is at most Q(1.96) / Q(0) =
5%. For t > T, the value is published with a chance p of at least one half, and fails above t + 1.96 s (2.5%)
or, while published, below t - 1.96 s, which is possible only where p >= 97.5% and then has a chance of at
most 2.5% - (1 - p); so (5% - (1 - p)) / p <= 5%, or 2.5% / p <= 5%. Rounding is within the rest of the
margin. Complementary suppression, and the projection that makes tables non-negative, depend on other counts
as well and are not in this proof; simulations are in the tests and in ``make bench-coverage``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.errors import RefusedError
from safeborders_fed.reporting import earlier, protection
from safeborders_fed.reporting.noisy_tables import NoisyTable, TableRelease
from safeborders_fed.reporting.sums import Cells, cells_of
from safeborders_fed.study.table_file import DisclosedTable, Rules, TableAxis, Tables

LARGEST: Final = 20_000
"""Cells that are protected together at most; what they tell is worked out within seconds."""


def disclose(
    release: TableRelease, rules: Rules, before: Sequence[Tables] = ()
) -> tuple[DisclosedTable, ...]:
    """The tables as they may be published.

    Args:
        release: The noisy tables.
        rules: How to round and suppress.
        before: What was published earlier, withdrawn or not: a reader keeps what was once handed out.

    Raises:
        RefusedError: ``too-many-cells``, or ``other-rules``, when tables of the same study are published
            by other rules already.
    """
    cells = cells_of(release.tables)
    if cells.size > LARGEST:
        raise RefusedError(
            "too-many-cells",
            f"the tables of study {release.study!r} have {cells.size:,} cells, and at most {LARGEST:,} can be"
            " protected together",
            "draft a study with fewer tables or categories",
        )
    earlier.require_same_rules(release.manifest_hash, rules, before)
    rounded = rounded_cells(cells, release.tables, rules)
    hidden = _below_floor(cells, release.tables, rules, rounded)
    hidden |= earlier.hidden_before(cells, release, before)
    across = earlier.across(cells, release, before)
    margins = np.zeros(cells.size)
    for at, table in enumerate(release.tables):
        margins[cells.numbers(at)] = rules.margin(table.deviation)
    problem = protection.Problem(
        rounded=np.append(rounded, np.array(across.values, dtype=np.int64)),
        margins=np.append(margins, np.zeros(len(across.values))),
        base=rules.base,
        sums=(*cells.sums, *across.sums),
    )
    hidden = protection.protect(problem, np.append(hidden, np.zeros(len(across.values), dtype=np.bool_)))
    shown: list[int | None] = [
        None if gone else int(value) for gone, value in zip(hidden, problem.rounded, strict=True)
    ]
    return tuple(
        _table(table, rules, [shown[cell] for cell in cells.numbers(at).ravel()])
        for at, table in enumerate(release.tables)
    )


def rounded_cells(cells: Cells, tables: Sequence[NoisyTable], rules: Rules) -> NDArray[np.int64]:
    """All counts, rounded; zero for those of tables that nobody publishes."""
    rounded = np.zeros(cells.size, dtype=np.int64)
    for at, table in enumerate(tables):
        steps = np.floor(table.counts / rules.base + 0.5)
        rounded[cells.numbers(at)] = rules.base * steps.astype(np.int64)
    return rounded


def _below_floor(
    cells: Cells, tables: Sequence[NoisyTable], rules: Rules, rounded: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which counts may not be published; all of those that nobody publishes."""
    hidden = np.ones(cells.size, dtype=np.bool_)
    for at, table in enumerate(tables):
        own = cells.numbers(at)
        hidden[own] = rounded[own] < rules.floor(table.deviation)
    return hidden


def _table(table: NoisyTable, rules: Rules, shown: Sequence[int | None]) -> DisclosedTable:
    return DisclosedTable(
        name=table.name,
        axes=tuple(TableAxis(name=axis.name, codes=axis.codes) for axis in table.axes),
        deviation=table.deviation,
        margin=rules.margin(table.deviation),
        floor=rules.floor(table.deviation),
        cells=tuple(shown),
    )
