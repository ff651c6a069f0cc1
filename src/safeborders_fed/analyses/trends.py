"""Trend tables: counts of victims by public dimensions, such as year, form of exploitation and age band.

Unit: one victim, with all their records. A victim is counted once in each table: in the period of the latest
registration, in one age band, under one form; a victim of several forms, means or methods is counted under
"Several" (ADR 5, ADR 25). Persons found not to be victims are not counted (they contribute zero).

Which tables: without ``tables``, the cross of year, form and age with its margins; else those that the
manifest chooses from a public catalogue (``analyses.trend_choice``), with the single margins of their axes.

One round. For each measured table t a victim adds ``w_t`` grid units at one cell, so the row's L2 norm is
``sqrt(sum w_t^2)``, which is at most ``UNIT``: the bound, checked in integers. So all tables of a study cost
what one table costs, and share its precision: the noise of a count of table t is the door's over ``w_t``.

Noise: the door's, once. Tables are made consistent by least squares, then non-negative
(``analyses.consistency``), which is post-processing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Limit
from pydantic import model_validator

from safeborders_fed.analyses import trend_axes, trend_choice
from safeborders_fed.analyses.base import UNIT, Analysis, Arrays, Parameters, Release, Setting, Stage
from safeborders_fed.analyses.consistency import Consistency, Kept
from safeborders_fed.analyses.expectation import VICTIMS, Expected, Figure
from safeborders_fed.analyses.trend_axes import AGE_GROUPS, OTHER_PERIODS, SEVERAL_FORMS
from safeborders_fed.analyses.trend_choice import MOST_CELLS, OF_STATES, Choice, TableName
from safeborders_fed.cases.contract import Field, column
from safeborders_fed.privacy.bounded_sum import BoundedSumBuilder

if TYPE_CHECKING:
    from safeborders_fed.analyses.trend_axes import TrendAxis
    from safeborders_fed.cases.encoding import Victims
    from safeborders_fed.privacy.bounded_sum import BoundedSum

__all__ = ["AGE_GROUPS", "COUNTS", "OTHER_YEARS", "SEVERAL_FORMS", "Trends", "TrendsParameters"]

COUNTS: Final = "counts"
_MARGIN: Final = 1.96
"""Standard deviations within which a normal error lies with 95%."""
OTHER_YEARS: Final = OTHER_PERIODS

_CROSS: Final = (0, 1, 2)
TABLES: Final[dict[Kept, float]] = {
    _CROSS: 2.0,
    (0, 1): 4.0,
    (0, 2): 2.0,
    (0,): 1.0,
    (1,): 1.0,
    (2,): 1.0,
}
"""Measured tables (axes: year, form, age) and their shares of the precision.

Compared by ``Consistency.deviation``: the full table alone leaves a total of 9 x 14 x 7 cells with 30 times
the noise of a cell; these shares leave it 5.3 times, year x form 1.5 times, a cell 2.1 times.
"""


class TrendsParameters(Parameters):
    """What a manifest says of a trends study.

    Attributes:
        first_year: First year of the tables; with ``last_year``, public, not taken from data.
        last_year: Last year. Victims of other years are counted as period "Other".
        population: ``all`` or ``minors``.
        tables: Names from the catalogue; none for the cross of year, form and age with its margins.
        shares: Shares of precision of the chosen tables, in their order; none for equal ones.
        frequency: ``A`` for years, ``Q`` for quarters.
        first_quarter: Quarter of ``first_year`` that tables of quarters begin with.
        last_quarter: Quarter of ``last_year`` that they end with.
        states: The participants, in the order of the tables; only for tables by state.
    """

    first_year: int = Limit(ge=1990, le=2100)
    last_year: int = Limit(ge=1990, le=2100)
    population: Literal["all", "minors"] = "all"
    tables: tuple[TableName, ...] = ()
    shares: tuple[float, ...] = ()
    frequency: Literal["A", "Q"] = "A"
    first_quarter: int = Limit(default=1, ge=1, le=4)
    last_quarter: int = Limit(default=4, ge=1, le=4)
    states: tuple[str, ...] = Limit(default=(), max_length=64)

    @model_validator(mode="after")
    def _ordered(self) -> TrendsParameters:
        if not 0 <= self.last_year - self.first_year < 40:
            raise ValueError("last_year must not precede first_year, nor be 40 years or more after it")
        if (self.first_year, self.first_quarter) > (self.last_year, self.last_quarter):
            raise ValueError("the last quarter must not precede the first")
        if self.frequency == "A" and (self.first_quarter, self.last_quarter) != (1, 4):
            raise ValueError("first_quarter and last_quarter are for frequency Q only")
        return self

    @model_validator(mode="after")
    def _fit_together(self) -> TrendsParameters:
        if not self.tables and (self.shares or self.states or self.frequency == "Q"):
            raise ValueError("shares, states and frequency Q are for chosen tables: name tables")
        if any(len(set(names)) != len(names) for names in (self.tables, self.states)):
            raise ValueError("a table or a state is named twice")
        if self.shares and (
            len(self.shares) != len(self.tables) or not all(0.01 <= s <= 100 for s in self.shares)
        ):
            raise ValueError("shares are one number from 0.01 to 100 for each table, or none at all")
        if bool(OF_STATES & set(self.tables)) != bool(self.states):
            needing = " and ".join(sorted(OF_STATES))
            raise ValueError(f"states are for the tables {needing}: name the participants with these only")
        cells = self.choice().cells()
        if cells > MOST_CELLS:
            raise ValueError(
                f"the tables have {cells:,} cells, and {MOST_CELLS:,} are the most: choose fewer tables or "
                "periods, or make two studies of them"
            )
        return self

    def choice(self) -> Choice:
        """The tables to measure."""
        if not self.tables:
            axes = (self._period(), trend_axes.form_axis(), trend_axes.age_axis())
            return trend_choice.whole(axes, TABLES)
        return trend_choice.choose(self.tables, self.shares, self._period(), self.states)

    def _period(self) -> TrendAxis:
        if self.frequency == "A":
            return trend_axes.year_axis(self.first_year, self.last_year)
        first, last = (self.first_year, self.first_quarter), (self.last_year, self.last_quarter)
        return trend_axes.quarter_axis(first, last)


@dataclass(frozen=True)
class TrendsState:
    """What the coordinator carries.

    Attributes:
        total: The private sum, int64, shape (cells,); zero before it is known.
        noise: Standard deviation of its noise, grid units.
    """

    total: NDArray[np.int64]
    noise: float


class Trends(Analysis[TrendsParameters, NDArray[np.int64], TrendsState]):
    """Tables of counts on fixed, public dimensions."""

    name = "trends"
    made_for = "statistics"
    parameters_type = TrendsParameters

    def __init__(self, parameters: TrendsParameters) -> None:
        super().__init__(parameters)
        self._choice = parameters.choice()
        self.forms = trend_axes.form_axis().codes
        # Rounded down, so that the squares of the weights cannot add up to more than UNIT squared.
        self._weights = np.array(
            [math.floor(UNIT * math.sqrt(share) * (1 - 2**-40)) for _, share in self._choice.measured]
        )

    def fields(self) -> tuple[Field, ...]:
        """What the dimensions need, and the status that decides who is counted."""
        needed = [name for axis in self._choice.axes for name in axis.fields]
        if self.parameters.population == "minors":
            needed.append("age_band")
        return tuple(
            column(name) for name in dict.fromkeys(["registration_date", *needed, "trafficking_status"])
        )

    def stages(self) -> tuple[Stage, ...]:
        """A single round."""
        return (Stage(COUNTS, 1, self._choice.cells(), UNIT, 1.0),)

    def expects(self, stage: str) -> dict[str, tuple[int, ...]]:
        """Nothing."""
        del stage
        return {}

    def prepare(self, victims: Victims, node: str) -> NDArray[np.int64]:
        """Cells, int64, shape (n, tables): where each counted victim stands in the concatenated tables.

        Raises:
            RefusedError: ``not-a-state-of-the-study``, for tables by state. Both names are public.
        """
        victims = victims.take(victims.of_population(self.parameters.population))
        position = [axis.place(victims, node) for axis in self._choice.axes]
        cells, start = [], 0
        for (kept, _), shape in zip(self._choice.measured, self._choice.shapes(), strict=True):
            cells.append(start + np.ravel_multi_index(tuple(position[axis] for axis in kept), shape))
            start += math.prod(shape)
        return np.stack(cells, axis=1).astype(np.int64)

    def contribute(
        self, prepared: NDArray[np.int64], stage: Stage, broadcast: Arrays, max_victims: int
    ) -> BoundedSum:
        """The bounded sum of all victims' cells."""
        del broadcast
        builder = BoundedSumBuilder(dimension=stage.dimension, bound=stage.bound, max_victims=max_victims)
        builder.add_cells(prepared, self._weights)
        return builder.finish()

    def start(self, setting: Setting) -> TrendsState:
        """Nothing known."""
        return TrendsState(np.zeros(self._choice.cells(), np.int64), setting.noise[COUNTS])

    def broadcast(self, state: TrendsState) -> Arrays:
        """Nothing."""
        del state
        return {}

    def advance(self, state: TrendsState, total: NDArray[np.int64], noise: float) -> TrendsState:
        """Keeps the private sum."""
        del state
        return TrendsState(total, noise)

    def result(self, state: TrendsState) -> Release:
        """The tables, consistent and non-negative, with standard errors.

        ``facts["standard_errors"]`` holds the standard error of a cell of each table, under names joined by
        ``x`` such as ``year x form``, and ``total``. Arrays: of chosen tables, each of these by its name;
        else ``table`` (years, forms, ages), which the others are margins of.
        """
        counts, deviations, start = [], [], 0
        for shape, weight in zip(self._choice.shapes(), self._weights, strict=True):
            length = math.prod(shape)
            part = state.total[start : start + length].astype(np.float64) / weight
            counts.append(part.reshape(shape))
            deviations.append(state.noise / weight)
            start += length
        kept = [kept for kept, _ in self._choice.measured]
        problem = Consistency(self._choice.sizes, list(zip(kept, deviations, strict=True)))
        tables, disagreement = problem.published(problem.estimate(counts))
        errors = {self._choice.name(kept): problem.deviation(kept) for kept in tables}
        facts = {
            **self._codes(),
            "population": self.parameters.population,
            "standard_errors": errors,
            "disagreement": disagreement,
        }
        if not self.parameters.tables:
            return Release(self.name, facts, {"table": tables[_CROSS]})
        return Release(self.name, facts, {self._choice.name(kept): found for kept, found in tables.items()})

    def _codes(self) -> dict[str, Any]:
        codes = {axis.name: list(axis.codes) for axis in self._choice.axes}
        if self.parameters.tables:
            return {"axes": codes, "frequency": self.parameters.frequency}
        return {f"{name}s": values for name, values in codes.items()}

    def expected(self, noise: Mapping[str, float], victims: Sequence[int] = VICTIMS) -> Expected:
        """Half the 95% interval of a count, by what it is by: that of the release, exactly."""
        del victims  # a count is as uncertain whatever it is
        nothing = TrendsState(np.zeros(self._choice.cells(), np.int64), noise[COUNTS])
        errors = self.result(nothing).facts["standard_errors"]
        return Expected(
            tuple(
                Figure(f"95% margin of a count by {name}, in victims", _MARGIN * float(deviation))
                for name, deviation in errors.items()
            ),
            "Margins cover the noise added for privacy, and hold for any number of victims.",
        )
