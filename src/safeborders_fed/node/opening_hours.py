"""When a node takes on studies: hours of the week in a time zone, as ``[policy]`` states them.

Guarantees: an entry is a day or a run of days of one week and a span of one day, "Mon-Fri 08:00-18:00"; what
does not read so, or ends before it begins, is refused. Hours are those of the wall clock in the zone, so a
change to summer time moves nothing for the people there. The end of a span belongs to it no more.
"""

from __future__ import annotations

import difflib
import re
import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY: Final = "|".join(DAYS)
_ENTRY: Final = re.compile(rf"({_DAY})(?:-({_DAY}))? ([0-9]{{2}}):([0-9]{{2}})-([0-9]{{2}}):([0-9]{{2}})")
_WHOLE_DAY: Final = 24 * 60


@dataclass(frozen=True, slots=True)
class Opening:
    """One entry.

    Attributes:
        text: As it was written.
        days: Days of the week, 0 for Monday.
        begins: Minutes after midnight.
        ends: Likewise, up to 24:00.
    """

    text: str
    days: range
    begins: int
    ends: int

    @classmethod
    def parse(cls, text: str) -> Opening:
        """An entry from its text.

        Raises:
            ValueError: It does not read so, or ends before it begins.
        """
        found = _ENTRY.fullmatch(text)
        if found is None:
            raise ValueError(f"{text[:60]!r} does not read like 'Mon-Fri 08:00-18:00' or 'Sat 09:00-12:00'")
        first, last, *numbers = found.groups()
        days = range(DAYS.index(first), DAYS.index(last or first) + 1)
        hours, minutes, last_hours, last_minutes = map(int, numbers)
        begins, ends = hours * 60 + minutes, last_hours * 60 + last_minutes
        if not days:
            raise ValueError(f"{text!r} ends on a day before it begins: write one entry for each part")
        if minutes > 59 or last_minutes > 59 or ends > _WHOLE_DAY:
            raise ValueError(f"{text!r} names a time that no day has")
        if ends <= begins:
            raise ValueError(f"{text!r} ends before it begins: a night is two entries, the second from 00:00")
        return cls(text, days, begins, ends)

    def holds(self, moment: datetime) -> bool:
        """Whether a moment of the zone's wall clock is within it."""
        return moment.weekday() in self.days and self.begins <= moment.hour * 60 + moment.minute < self.ends


def is_open(entries: Sequence[Opening], zone: ZoneInfo, now: datetime) -> bool:
    """Whether a moment (with its own zone) is within any entry."""
    moment = now.astimezone(zone)
    return any(entry.holds(moment) for entry in entries)


def next_opening(entries: Sequence[Opening], zone: ZoneInfo, now: datetime) -> datetime:
    """When the first entry begins after a moment, in the zone; for the node's own people."""
    today = now.astimezone(zone)
    midnight = today.replace(hour=0, minute=0, second=0, microsecond=0)
    found = []
    for ahead in range(8):
        day = midnight + timedelta(days=ahead)  # of the wall clock: Python adds days to it, not hours
        for entry in entries:
            begins = day.replace(hour=entry.begins // 60, minute=entry.begins % 60)
            if day.weekday() in entry.days and begins > today:
                found.append(begins)
    return min(found)


def zone_of(name: str) -> ZoneInfo:
    """The time zone of a name such as ``Europe/Sofia``, from this machine's tables; no network is used.

    Raises:
        ValueError: There is no such zone, or this machine has no tables of zones.
    """
    try:
        return ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        known = zoneinfo.available_timezones()
        if not known:
            raise ValueError("this machine knows no time zones: install the package tzdata") from error
        raise ValueError(f"there is no time zone {name[:60]!r}{nearest(name, known)}") from error


def nearest(word: str, known: set[str] | frozenset[str]) -> str:
    """The words '; did you mean …?' for something close to a word, if there is something."""
    close = difflib.get_close_matches(word, sorted(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
