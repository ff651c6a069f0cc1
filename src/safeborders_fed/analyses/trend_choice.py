"""Which trend tables a study counts: a public catalogue, and how precision is split between the tables.

Guarantees: a pure function of the parameters. Each measured table has a share of the precision (of one over
the variance of its noise); shares add up to 1. Over ``MOST_CELLS`` cells in all are refused: that bounds what
a node holds and sends, and tables of more cells than victims say nothing.

The rule: a quarter of the precision goes to the single margins of the dimensions that the chosen tables have,
equally, since totals summed from large tables alone would be noisy; three quarters go to the chosen tables,
equally, or by the shares that the manifest gives.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from safeborders_fed.analyses import trend_axes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safeborders_fed.analyses.consistency import Kept
    from safeborders_fed.analyses.trend_axes import TrendAxis

PERIOD: Final = "period"
STATE: Final = "state"
MOST_CELLS: Final = 10_000
TableName = Literal[
    "forms",
    "forms-ages",
    "ages-sexes",
    "forms-sexes-ages",
    "citizenship-groups",
    "corridors",
    "recruitment",
    "means",
    "recruiters",
    "coverage",
    "gaps",
    "citizenships-over-time",
    "exploitation-over-time",
    "corridors-over-time",
    "recruitment-over-time",
    "means-over-time",
    "link-partners",
    "link-types",
]
CATALOGUE: Final[dict[TableName, tuple[str, ...]]] = {
    "forms": (PERIOD, "form"),
    "forms-ages": (PERIOD, "form", "age"),
    "ages-sexes": ("sex", "age"),
    "forms-sexes-ages": ("form", "sex", "age"),
    "citizenship-groups": (PERIOD, "group"),
    "corridors": ("citizenship", "exploitation"),
    "recruitment": ("recruitment", "form"),
    "means": ("means", "form"),
    "recruiters": ("recruiter", "age"),
    "coverage": (PERIOD, STATE),
    "gaps": (STATE, "gap"),
    "citizenships-over-time": (PERIOD, "citizenship"),
    "exploitation-over-time": (PERIOD, "exploitation"),
    "corridors-over-time": (PERIOD, "citizenship", "exploitation"),
    "recruitment-over-time": (PERIOD, "recruitment"),
    "means-over-time": (PERIOD, "means"),
    "link-partners": (STATE, "partner"),
    "link-types": (PERIOD, "link"),
}
"""What a manifest may choose, and the dimensions of each.

The five over time are what early warning follows. Four of them fit 40 quarters together. Corridors have 1,369
cells a period, so that a study holds six periods and "Other": a study of each quarter, or of the last few,
and its release is read after the earlier ones (``reporting.over_time``).

The two of links count victims with a hit that was exchanged with another state (``trend_axes``). A node must
permit the column ``links`` for them.
"""
OF_LINKS: Final[tuple[TableName, ...]] = ("link-partners", "link-types")
"""Tables of which epsilon covers the counts, and not that a link exists."""
OF_STATES: Final = frozenset(name for name, axes in CATALOGUE.items() if STATE in axes)
"""Tables that need the states of the study among the parameters."""
_MARGINS: Final = 0.25
"""Share of the precision that single margins have together."""
_ORDER: Final[tuple[str, ...]] = (
    PERIOD,
    STATE,
    "group",
    "citizenship",
    "exploitation",
    "recruitment",
    "means",
    "form",
    "recruiter",
    "sex",
    "age",
    "gap",
    "partner",
    "link",
)


@dataclass(frozen=True)
class Choice:
    """The tables that a study measures.

    Attributes:
        axes: All dimensions.
        measured: For each table the dimensions that it keeps, and its share of the precision.
    """

    axes: tuple[TrendAxis, ...]
    measured: tuple[tuple[Kept, float], ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many codes each dimension has."""
        return tuple(len(axis.codes) for axis in self.axes)

    def shapes(self) -> list[tuple[int, ...]]:
        """The shape of each measured table."""
        return [tuple(self.sizes[axis] for axis in kept) for kept, _ in self.measured]

    def cells(self) -> int:
        """Cells of all measured tables."""
        return sum(math.prod(shape) for shape in self.shapes())

    def name(self, kept: Kept) -> str:
        """What reports call the table by these dimensions."""
        return " x ".join(self.axes[axis].name for axis in kept) or "total"


def choose(
    tables: Sequence[TableName], shares: Sequence[float], period: TrendAxis, states: tuple[str, ...]
) -> Choice:
    """The measured tables of a choice from the catalogue.

    Args:
        tables: At least one, each once.
        shares: Shares of the chosen tables, above zero, in their order; or none, for equal ones.
        period: The axis of periods.
        states: The states that report.
    """
    given = shares or [1.0] * len(tables)
    wanted = {name for table in tables for name in CATALOGUE[table]}
    names = [name for name in _ORDER if name in wanted]
    known = {axis.name: axis for axis in (trend_axes.form_axis(), trend_axes.age_axis())}
    known |= {axis.name: axis for axis in trend_axes.further_axes()}
    known |= {PERIOD: period, STATE: trend_axes.state_axis(states)}
    chosen: list[tuple[Kept, float]] = [
        (tuple(names.index(name) for name in CATALOGUE[table]), (1 - _MARGINS) * share / sum(given))
        for table, share in zip(tables, given, strict=True)
    ]
    margins: list[tuple[Kept, float]] = [((axis,), _MARGINS / len(names)) for axis in range(len(names))]
    return Choice(tuple(known[name] for name in names), (*chosen, *margins))


def whole(axes: tuple[TrendAxis, ...], shares: dict[Any, float]) -> Choice:
    """The measured tables of a cross and its margins, by their shares."""
    total = sum(shares.values())
    return Choice(axes, tuple((kept, share / total) for kept, share in shares.items()))
