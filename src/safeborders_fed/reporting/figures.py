"""Published numbers: a rounded count, its margin, and how both are written.

Guarantees:

- A count is published as ``round(value)``, and its interval stands around the **published** number, never
  around the unrounded one, which would give the unrounded one away. ``count_of`` is the only reader of
  unrounded counts; everything else in the report works on its answer.
- The margin is ``1.96 sigma + 1/2`` (95% of the noise, plus the rounding to base 1), rounded up to a whole
  number, so that the interval shown is never narrower than the one computed. Neither goes below zero.
- A count whose interval includes zero is marked, and never written as a plain 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Final

from safeborders_fed.reporting.accuracy import GroupAccuracy
from safeborders_fed.reporting.model import TOTAL, TrendTables

Z_95: Final = 1.96
ROUNDING: Final = 0.5
UNCLEAR_MARK: Final = "\u2020"
MISSING_MARK: Final = ":"
TOO_LITTLE: Final = "too little data"
"""Stands where there is no area under the ROC curve."""
PLUS_MINUS: Final = "\u00a0\u00b1\u00a0"
"""With spaces at which no line breaks."""


@dataclass(frozen=True, slots=True)
class Count:
    """A published count of victims.

    Attributes:
        value: The rounded noisy count.
        margin: Half the width of its 95% interval, a whole number.
    """

    value: int
    margin: int

    @property
    def low(self) -> int:
        """Lower end of the interval, zero or more."""
        return max(0, self.value - self.margin)

    @property
    def high(self) -> int:
        """Upper end of the interval."""
        return self.value + self.margin

    @property
    def unclear(self) -> bool:
        """Whether the count cannot be told from zero."""
        return self.low == 0

    @property
    def plain(self) -> str:
        """Count and margin."""
        return f"{self.value:,}{PLUS_MINUS}{self.margin:,}"

    @property
    def text(self) -> str:
        """Count and margin, with the mark if it cannot be told from zero."""
        return f"{self.plain}{UNCLEAR_MARK if self.unclear else ''}"


@dataclass(frozen=True, slots=True)
class Change:
    """Difference of two published counts.

    Attributes:
        value: Later minus earlier.
        margin: Sum of both margins: it holds however the two counts' noise is correlated.
    """

    value: int
    margin: int

    @property
    def beyond_noise(self) -> bool:
        """Whether the difference is larger than noise alone would explain."""
        return abs(self.value) > self.margin

    @property
    def text(self) -> str:
        """Signed difference and margin."""
        return f"{signed(self.value)}{PLUS_MINUS}{self.margin:,}"


@dataclass(frozen=True, slots=True)
class PublishedTrends:
    """All trend tables as published counts.

    Attributes:
        years: Years of the public period, ascending.
        columns: All years in report order, ``Other`` included.
        forms: Forms of exploitation in report order.
        age_bands: Age bands in report order.
        counts: Counts by (year, form, age band), with ``Total`` in the margins.
    """

    years: tuple[str, ...]
    columns: tuple[str, ...]
    forms: tuple[str, ...]
    age_bands: tuple[str, ...]
    counts: Mapping[tuple[str, str, str], Count]

    def of(self, *, year: str = TOTAL, form: str = TOTAL, age_band: str = TOTAL) -> Count:
        """The count of a cell or margin."""
        return self.counts[year, form, age_band]

    def change(self, form: str = TOTAL) -> Change:
        """Change from the first to the last year of the period."""
        first, last = self.of(year=self.years[0], form=form), self.of(year=self.years[-1], form=form)
        return Change(last.value - first.value, first.margin + last.margin)

    def share(self, year: str, age_band: str) -> tuple[int, int] | None:
        """Share of an age band in a year's total, and its margin, in whole per cent (points).

        The margin adds those of both counts, relative to the total: to first order it holds however their
        noise is correlated. ``None`` if the total cannot be told from zero.
        """
        part, whole = self.of(year=year, age_band=age_band), self.of(year=year)
        if whole.unclear:
            return None
        share = part.value / whole.value
        margin = (part.margin + share * whole.margin) / whole.value
        return round(100 * share), math.ceil(100 * margin + ROUNDING)

    @property
    def largest_forms(self) -> tuple[str, ...]:
        """Forms by published count over all years, largest first."""
        return tuple(sorted(self.forms, key=lambda form: -self.of(form=form).value))


def publish(trends: TrendTables) -> PublishedTrends:
    """Rounds every cell and margin, and gives it its interval."""
    cells = chain(trends.cells, trends.by_year_form, trends.by_year_age, trends.by_year, trends.by_form)
    counts = {cell.key: count_of(cell.value, cell.standard_error) for cell in cells}
    if trends.total is not None:
        counts[trends.total.key] = count_of(trends.total.value, trends.total.standard_error)
    return PublishedTrends(
        years=tuple(sorted((year for year in trends.years if year.isdecimal()), key=int)),
        columns=trends.years,
        forms=trends.forms,
        age_bands=trends.age_bands,
        counts=counts,
    )


def count_of(value: float, error: float) -> Count:
    """The published count of a noisy one; ``error`` is the standard deviation of its noise."""
    return Count(max(0, round(value)), math.ceil(Z_95 * error + ROUNDING))


def area_text(group: GroupAccuracy) -> str:
    """A noisy area under the ROC curve with its margin, rounding included; words if there is none."""
    if group.auc is None or group.margin is None:
        return TOO_LITTLE
    return f"{group.auc:.3f}{PLUS_MINUS}{thousandths(group.margin)}"


def thousandths(margin: float) -> str:
    """A margin with three decimals, rounded up, and wide enough for the rounding of its number as well."""
    return f"{math.ceil(1000 * margin + ROUNDING) / 1000:.3f}"


def chance_text(value: float | None, margin: float | None = None) -> str:
    """A chance in whole per cent, with its margin, rounding included; the mark for missing values."""
    if value is None:
        return MISSING_MARK
    if margin is None:
        return f"{100 * value:.0f}%"
    return f"{100 * value:.0f}{PLUS_MINUS}{math.ceil(100 * margin + ROUNDING)}%"


def signed(value: int) -> str:
    """A whole number with its sign, as ``+1,234`` or with a true minus sign."""
    return f"{value:+,}".replace("-", "\u2212")


def auc_text(value: float | None) -> str:
    """An area under the ROC curve with three decimals; words if there is none."""
    return TOO_LITTLE if value is None else f"{value:.3f}"


def auc_difference(value: float | None, reference: float | None) -> str:
    """Signed difference of two areas as they are shown; the mark for missing values if one is missing."""
    if value is None or reference is None:
        return MISSING_MARK
    return f"{round(value, 3) - round(reference, 3):+.3f}".replace("-", "\u2212")


def cost_text(value: float) -> str:
    """A privacy cost, rounded up to three significant digits: a cost is never shown too low."""
    if value == 0:
        return "0"
    digits = 2 - math.floor(math.log10(value))
    # The slack keeps a cost that is exact in decimal, such as 0.3, from going up by an error of the float.
    rounded_up = math.ceil(value * 10**digits * (1 - 1e-12)) / 10**digits
    text = f"{rounded_up:,.{max(digits, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def one_in(delta: float) -> str:
    """A small probability in words, as ``1 in 1,000,000``."""
    return f"1 in {math.floor(1 / delta * (1 + 1e-9)):,}"
