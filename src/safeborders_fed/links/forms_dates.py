"""Dates of birth as files write them.

Guarantees: a day that no calendar has is no date; nothing here knows today. Day and month in either order
have one common form, so that a swap is found; where only one order is possible, that one is meant.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Final

_YEARS: Final = range(1880, 2101)
_CENTURY_TURNS: Final = 30
"""Years of two digits from here are of the twentieth century."""
_MONTHS: Final = 12
_ROMAN: Final = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")
_MONTH: Final = r"(\d{1,2}|[IVX]{1,4})"
_TIME: Final = r"(?:[T ]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?Z?)?"
_YEAR_FIRST: Final = re.compile(rf"(?<!\d)(\d{{4}})\s?[-./]\s?{_MONTH}\s?[-./]\s?(\d{{1,2}})(?!\d){_TIME}")
_DAY_FIRST: Final = re.compile(
    rf"(?<!\d)(\d{{1,2}})\s?[-./ ]\s?{_MONTH}\s?[-./ ]\s?(\d{{4}}|\d{{2}})(?!\d){_TIME}"
)
_TOGETHER: Final = re.compile(r"(?<!\d)((?:18|19|20)\d\d)(\d\d)(\d\d)(?!\d)")
_YEAR_MONTH: Final = re.compile(rf"(?<!\d)(\d{{4}})\s?[-./]\s?{_MONTH}(?![\d./-])")
_MONTH_YEAR: Final = re.compile(rf"(?<![\d./-]){_MONTH}\s?[-./]\s?(\d{{4}})(?!\d)")


@dataclass(frozen=True, slots=True)
class Birth:
    """A date of birth; ``day`` is 0 where only year and month are known."""

    year: int
    month: int
    day: int

    @property
    def iso(self) -> str:
        """The date as YYYY-MM-DD, or YYYY-MM."""
        return f"{self.year:04}-{self.month:02}" + (f"-{self.day:02}" if self.day else "")

    @property
    def unordered(self) -> str:
        """The date in a form that day and month swapped have as well."""
        if self.day > _MONTHS:
            return self.iso
        first, second = sorted((self.month, self.day))
        return f"{self.year:04}~{first:02}~{second:02}"

    @property
    def is_new_year(self) -> bool:
        """Whether it is the first of January, which registers write for people who know only their year."""
        return self.month == self.day == 1


def birth_in(text: str) -> tuple[Birth | None, str]:
    """The date of birth in ``text``, and the text without it."""
    for pattern, order in ((_YEAR_FIRST, "ymd"), (_DAY_FIRST, "dmy"), (_TOGETHER, "ymd")):
        found = pattern.search(text)
        if found:
            parts = dict(zip(order, found.groups(), strict=True))
            birth = _birth(parts["y"], parts["m"], parts["d"])
            if birth:
                return birth, f"{text[: found.start()]} {text[found.end() :]}"
            return None, text
    for pattern, order in ((_YEAR_MONTH, "ym"), (_MONTH_YEAR, "my")):
        found = pattern.search(text)
        if found:
            parts = dict(zip(order, found.groups(), strict=True))
            year, month = int(parts["y"]), _month(parts["m"])
            if year in _YEARS and 1 <= month <= _MONTHS:
                return Birth(year, month, 0), f"{text[: found.start()]} {text[found.end() :]}"
    return None, text


def _month(text: str) -> int:
    return int(text) if text.isdecimal() else _ROMAN.index(text) + 1 if text in _ROMAN else 0


def _birth(year: str, month: str, day: str) -> Birth | None:
    y, m, d = int(year), _month(month), int(day)
    if len(year) == 2:
        y += 1900 if y >= _CENTURY_TURNS else 2000
    if m > _MONTHS >= d:
        m, d = d, m
    if m and not d and y in _YEARS and m <= _MONTHS:
        return Birth(y, m, 0)
    try:
        dt.date(y, m, d)
    except ValueError:
        return None
    return Birth(y, m, d) if y in _YEARS else None
