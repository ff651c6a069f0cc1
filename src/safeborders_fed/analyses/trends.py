"""Trend tables: counts of victims by year, form of exploitation and age band.

Unit: one victim, with all their records. A victim is counted once: in the year of the latest registration,
in one age band, and under one form; a victim of several forms is counted under "Several forms". Persons
found not to be victims are not counted (they contribute zero).

One round. For each measured table t (the full cross and its margins) a victim adds ``w_t`` grid units at one
cell, so the row's L2 norm is ``sqrt(sum w_t^2)``, which is at most ``UNIT``: the bound, checked in integers.

Noise: the door's, once. Tables are made consistent by least squares and non-negative (``analyses.tables``),
which is post-processing.
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

from safeborders_fed.analyses.base import UNIT, Analysis, Arrays, Parameters, Release, Setting, Stage
from safeborders_fed.analyses.expectation import VICTIMS, Expected, Figure
from safeborders_fed.analyses.tables import Kept, LeastSquares, Measurement
from safeborders_fed.cases.contract import UNKNOWN, Field, field
from safeborders_fed.privacy.bounded_sum import BoundedSumBuilder

if TYPE_CHECKING:
    from safeborders_fed.cases.encoding import Victims
    from safeborders_fed.privacy.bounded_sum import BoundedSum

COUNTS: Final = "counts"
_MARGIN: Final = 1.96
"""Standard deviations within which a normal error lies with 95%."""
OTHER_YEARS: Final = "Other"
SEVERAL_FORMS: Final = "SeveralForms"
AGE_GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "0--8": ("0--8",),
    "9--17": ("9--17",),
    "0--17": ("0--17",),
    "18--29": ("18--20", "21--23", "24--26", "27--29"),
    "30+": ("30--38", "39--47", "48+"),
    "18+": ("18+",),
    UNKNOWN: (),
}
"""Public groups of age bands; ``0--17`` and ``18+`` hold those whose band is not known more closely."""

TABLES: Final[dict[Kept, float]] = {
    (0, 1, 2): 2.0,
    (0, 1): 4.0,
    (0, 2): 2.0,
    (0,): 1.0,
    (1,): 1.0,
    (2,): 1.0,
}
"""Measured tables (axes: year, form, age) and their shares of the precision.

Compared by ``LeastSquares.deviation``: the full table alone leaves a total of 9 x 14 x 7 cells with 30 times
the noise of a cell; these shares leave it 5.3 times, year x form 1.5 times, a cell 2.1 times.
"""


class TrendsParameters(Parameters):
    """What a manifest says of a trends study.

    Attributes:
        first_year: First year of the tables; with ``last_year``, public, not taken from data.
        last_year: Last year. Victims of other years are counted as year "Other".
        population: ``all`` or ``minors``.
    """

    first_year: int = Limit(ge=1990, le=2100)
    last_year: int = Limit(ge=1990, le=2100)
    population: Literal["all", "minors"] = "all"

    @model_validator(mode="after")
    def _ordered(self) -> TrendsParameters:
        if not 0 <= self.last_year - self.first_year < 40:
            raise ValueError("last_year must not precede first_year, nor be 40 years or more after it")
        return self


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
        span = range(parameters.first_year, parameters.last_year + 1)
        self.years = (*(str(year) for year in span), OTHER_YEARS)
        self.forms = (*field("forms_of_exploitation").codes, SEVERAL_FORMS, UNKNOWN)
        self.ages = tuple(AGE_GROUPS)
        self.sizes = (len(self.years), len(self.forms), len(self.ages))
        total = sum(TABLES.values())
        # Rounded down, so that the squares of the weights cannot add up to more than UNIT squared.
        self._weights = np.array([math.floor(UNIT * math.sqrt(share / total)) for share in TABLES.values()])

    def fields(self) -> tuple[Field, ...]:
        """Registration date, forms, age, and the status that decides who is counted."""
        names = ("registration_date", "forms_of_exploitation", "age_band", "trafficking_status")
        return tuple(field(name) for name in names)

    def _lengths(self) -> list[int]:
        return [math.prod(self.sizes[axis] for axis in kept) for kept in TABLES]

    def stages(self) -> tuple[Stage, ...]:
        """A single round."""
        return (Stage(COUNTS, 1, sum(self._lengths()), UNIT, 1.0),)

    def expects(self, stage: str) -> dict[str, tuple[int, ...]]:
        """Nothing."""
        del stage
        return {}

    def prepare(self, victims: Victims, node: str) -> NDArray[np.int64]:
        """Cells, int64, shape (n, tables): where each counted victim stands in the concatenated tables."""
        del node
        victims = victims.take(victims.of_population(self.parameters.population))
        position = np.stack([self._years(victims), self._forms(victims), self._ages(victims)])
        cells, start = [], 0
        for kept, length in zip(TABLES, self._lengths(), strict=True):
            shape = tuple(self.sizes[axis] for axis in kept)
            cells.append(start + np.ravel_multi_index(tuple(position[axis] for axis in kept), shape))
            start += length
        return np.stack(cells, axis=1).astype(np.int64)

    def _years(self, victims: Victims) -> NDArray[np.int64]:
        offset = victims.years.astype(np.int64) - self.parameters.first_year
        outside = (offset < 0) | (offset >= len(self.years) - 1)
        return np.where(outside, len(self.years) - 1, offset)

    def _forms(self, victims: Victims) -> NDArray[np.int64]:
        present = victims.present["forms_of_exploitation"]
        codes = len(self.forms) - 2
        bits = (present[:, None] >> np.arange(codes, dtype=np.uint32)) & 1
        several, none = codes, codes + 1
        count = bits.sum(axis=1)
        return np.where(count == 0, none, np.where(count > 1, several, bits.argmax(axis=1))).astype(np.int64)

    def _ages(self, victims: Victims) -> NDArray[np.int64]:
        group = {band: index for index, bands in enumerate(AGE_GROUPS.values()) for band in bands}
        lookup = [group[code] for code in field("age_band").codes] + [self.ages.index(UNKNOWN)]
        return np.array(lookup, dtype=np.int64)[victims.singles["age_band"]]

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
        return TrendsState(np.zeros(sum(self._lengths()), np.int64), setting.noise[COUNTS])

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

        Arrays: ``table`` (years, forms, ages); for each set of kept dimensions the standard error of one of
        its cells is in ``facts["standard_errors"]`` under names joined by ``x``, such as ``year x form``.
        """
        measurements, start = [], 0
        for kept, length, weight in zip(TABLES, self._lengths(), self._weights, strict=True):
            counts = state.total[start : start + length].astype(np.float64) / weight
            shape = tuple(self.sizes[axis] for axis in kept)
            measurements.append(Measurement(kept, counts.reshape(shape), state.noise / weight))
            start += length
        problem = LeastSquares(self.sizes, [(entry.kept, entry.deviation) for entry in measurements])
        table = problem.non_negative(problem.estimate(measurements))
        names = ("year", "form", "age")
        errors: dict[str, Any] = {
            " x ".join(names[axis] for axis in kept): problem.deviation(kept)
            for kept in ((0, 1, 2), (0, 1), (0, 2), (1, 2), (0,), (1,), (2,))
        }
        errors["total"] = problem.deviation(())
        facts = {
            "years": list(self.years),
            "forms": list(self.forms),
            "ages": list(self.ages),
            "population": self.parameters.population,
            "standard_errors": errors,
        }
        return Release(self.name, facts, {"table": table})

    def expected(self, noise: Mapping[str, float], victims: Sequence[int] = VICTIMS) -> Expected:
        """Half the 95% interval of a count, by what it is by: that of the release, exactly."""
        del victims  # a count is as uncertain whatever it is
        nothing = TrendsState(np.zeros(sum(self._lengths()), np.int64), noise[COUNTS])
        errors = self.result(nothing).facts["standard_errors"]
        return Expected(
            tuple(
                Figure(f"95% margin of a count by {name}, in victims", _MARGIN * float(deviation))
                for name, deviation in errors.items()
            ),
            "Margins cover the noise added for privacy, and hold for any number of victims.",
        )
