"""What ends some day, and how long ahead people are told.

Guarantees: one rule for ``doctor``, ``status`` and the log: a warning from 60, 30 and 7 days ahead, and one
after the end. Pure: the day is given. A warning has a key that stays the same until the next threshold, so
that a log says each of them once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

from safeborders_fed.study.roster import Roster

THRESHOLDS: Final = (7, 30, 60)
Level = Literal["notice", "warning", "urgent", "expired"]
_LEVELS: Final[dict[int, Level]] = {60: "notice", 30: "warning", 7: "urgent"}


@dataclass(frozen=True, slots=True)
class Expiry:
    """Something that ends.

    Attributes:
        what: As a sentence names it: "the key of BG", "the server certificate".
        until: The last day on which it is good, UTC.
        fix: What to do about it, and who.
    """

    what: str
    until: date
    fix: str


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that ends soon, or has.

    Attributes:
        expiry: What it is.
        days_left: Days until its last day; negative once that is over.
        level: ``notice`` within 60 days, ``warning`` within 30, ``urgent`` within 7, ``expired`` after.
    """

    expiry: Expiry
    days_left: int
    level: Level

    @property
    def key(self) -> str:
        """The same for the same thing until the next threshold."""
        return f"expiry {self.expiry.what} {self.expiry.until} {self.level}"

    @property
    def text(self) -> str:
        """One sentence for people."""
        what, until = self.expiry.what, self.expiry.until
        if self.level == "expired":
            return f"{what} ended on {until}"
        when = {0: "today", 1: "tomorrow"}.get(self.days_left, f"in {self.days_left} days")
        return f"{what} ends {when}, on {until}"


def warnings(expiries: Iterable[Expiry], today: date) -> list[Warned]:
    """What must be said today, the most urgent first.

    Args:
        expiries: Everything that ends.
        today: UTC.
    """
    found = []
    for expiry in expiries:
        left = (expiry.until - today).days
        within = [days for days in THRESHOLDS if left <= days]
        if within:
            found.append(Warned(expiry, left, "expired" if left < 0 else _LEVELS[within[0]]))
    return sorted(found, key=lambda warned: (warned.days_left, warned.expiry.what))


def roster_expiries(roster: Roster) -> list[Expiry]:
    """When the members' signing keys end."""
    return [
        Expiry(
            f"the key of {member.node}",
            member.valid_until,
            f"have {member.node} run `safeborders node renew`, then enrol its request",
        )
        for member in roster.members
    ]
