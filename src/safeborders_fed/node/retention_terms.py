"""How long a node keeps what: the terms of ``[retention]`` in ``node.toml``."""

from __future__ import annotations

import calendar
from datetime import date

from pydantic import BaseModel, ConfigDict, Field

from safeborders_fed.cases.withholding import Cutoffs


class Retention(BaseModel):
    """Periods of a node.

    Attributes:
        months: How long a case is kept, counted from its registration date.
        minors_months: The same for victims who were under 18; None for ``months``. Where the age is not
            known the shorter period counts.
        snapshots_kept: How many of the latest snapshots stay, besides those that studies under way hold.
        quarantine_days: How long files of rejected rows stay.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    months: int = Field(ge=1, le=1200)
    minors_months: int | None = Field(default=None, ge=1, le=1200)
    snapshots_kept: int = Field(default=3, ge=2, le=1000)
    quarantine_days: int = Field(default=30, ge=1, le=3650)

    def cutoffs(self, today: date) -> Cutoffs:
        """The last registration days that are past their period."""
        minors = self.months if self.minors_months is None else self.minors_months
        return Cutoffs(others=months_before(today, self.months), minors=months_before(today, minors))


def months_after(day: date, months: int) -> date:
    """The day so many months later, or the last one of a shorter month; never after the year 9999."""
    year, month = divmod(min(12 * day.year + day.month - 1 + months, 12 * 9999 + 11), 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def months_before(day: date, months: int) -> date:
    """The day so many months before, or the last one of a shorter month."""
    count = max(12, 12 * day.year + day.month - 1 - months)  # never before the year 1
    year, month = divmod(count, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))
