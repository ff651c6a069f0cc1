"""The periods of a table: which codes of its time axis they are, and that they follow one another.

Guarantees: pure; a time axis with a gap, out of order or without any period is refused, never read as if it
were whole. Codes that are no period, such as ``Other``, are left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from safeborders_fed.errors import UsageError

if TYPE_CHECKING:
    from safeborders_fed.reporting.noisy_tables import NoisyTable

TIME_AXES: Final = ("period", "year", "quarter", "month")
_FORMATS: Final = {
    re.compile(r"(\d{4})"): 1,
    re.compile(r"(\d{4})-?Q([1-4])"): 4,
    re.compile(r"(\d{4})-(0[1-9]|1[0-2])"): 12,
}
"""Codes of periods, and how many are a year."""


@dataclass(frozen=True, slots=True)
class Periods:
    """The periods of a table, in order.

    Attributes:
        places: Where each stands among the codes of the time axis.
        codes: Their codes.
        first: The number of the first: periods since the year 0.
        seasons: Periods in a year.
    """

    places: tuple[int, ...]
    codes: tuple[str, ...]
    first: int
    seasons: int

    @property
    def last(self) -> int:
        """The number of the last."""
        return self.first + len(self.codes) - 1


def time_axis(table: NoisyTable) -> int | None:
    """Which axis of the table is time; none for a table without one, or with nothing else."""
    if len(table.axes) < 2:
        return None
    return next((at for at, axis in enumerate(table.axes) if axis.name in TIME_AXES), None)


def periods_of(table: NoisyTable, at: int) -> Periods:
    """The periods of a time axis.

    Args:
        table: The table.
        at: Which of its axes is time.

    Raises:
        UsageError: ``unknown-period`` for none at all, ``gap-in-periods``.
    """
    codes = table.axes[at].codes
    for pattern, seasons in _FORMATS.items():
        matches = [(place, pattern.fullmatch(code)) for place, code in enumerate(codes)]
        found = [(place, match) for place, match in matches if match is not None]
        if not found:
            continue
        numbers = [_number(match, seasons) for _, match in found]
        if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            raise UsageError(
                "gap-in-periods",
                f"the periods of table {table.name!r} have a gap, or are out of order",
                "choose a release whose periods follow one another",
            )
        places = tuple(place for place, _ in found)
        return Periods(places, tuple(codes[place] for place in places), numbers[0], seasons)
    raise UsageError(
        "unknown-period",
        f"no code of the time axis of table {table.name!r} is a period",
        "periods are written 2025, 2025-Q1 or 2025-01",
    )


def _number(match: re.Match[str], seasons: int) -> int:
    return int(match[1]) * seasons + (int(match[2]) - 1 if seasons > 1 else 0)
