"""What came of a hit, and by when it has to be said.

Guarantees: an outcome is one of three words, is told to the other state by letter, and is in the audit log. A
hit that nobody answers is overdue after ``[links] days_to_answer`` days and expires after ``PATIENCE`` times
as many; one whose records may no longer be used expires on that day, and the other state's record is removed.
A refuted hit puts the identifier's form on this node's stop-list: it is tagged for nobody any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from safeborders_fed.audit.chain import Operation
from safeborders_fed.errors import RefusedError
from safeborders_fed.links import stop_list
from safeborders_fed.node.hit_book import (
    APPROVED_HERE,
    CONFIRMED,
    EXCHANGED,
    EXPIRED,
    FOLLOWED_UP,
    OPEN,
    REFUTED,
    HitRow,
)
from safeborders_fed.node.hit_letters import HitLetters
from safeborders_fed.study import canonical

if TYPE_CHECKING:
    from safeborders_fed.links.office import Office

OUTCOMES: Final = (CONFIRMED, REFUTED, FOLLOWED_UP)
PATIENCE: Final = 4
_TO_ANSWER: Final = frozenset({OPEN})
_UNANSWERED: Final = frozenset({OPEN, APPROVED_HERE})
_IN_USE: Final = frozenset({EXCHANGED, FOLLOWED_UP})


@dataclass(frozen=True)
class Clock:
    """Where a hit stands in time.

    Attributes:
        due: By when something is due here; None when nothing is.
        overdue: Whether that is past.
        days_open: Whole days since it was opened.
    """

    due: datetime | None
    overdue: bool
    days_open: int


def clock(row: HitRow, days_to_answer: int, now: datetime) -> Clock:
    """Where a hit stands in time.

    Args:
        row: The hit.
        days_to_answer: Days for an answer, and again for an outcome once the records are exchanged.
        now: Aware time.
    """
    opened = row.opened_at or row.found_at
    begun = None
    if row.state in _TO_ANSWER:
        begun = opened
    elif row.state in _IN_USE:
        begun = row.outcome_at or row.received_at or opened
    due = None if begun is None else begun + timedelta(days=days_to_answer)
    return Clock(due, due is not None and now > due, max(0, (now - opened).days))


def say(office: Office, row: HitRow, outcome: str, *, who: str) -> None:
    """Keeps what came of a hit, and tells the other state.

    Raises:
        RefusedError: ``unknown-outcome`` or ``hit-state``.
    """
    if outcome not in OUTCOMES:
        raise RefusedError(
            "unknown-outcome", f"{outcome!r} is not an outcome", f"give one of {', '.join(OUTCOMES)}"
        )
    with office.hits.transaction():
        office.hits.step(row.id, outcome, outcome=outcome, outcome_at=office.clock())
        content = canonical.serialise({"outcome": outcome})
        HitLetters(office.hits).put_out(row.epoch, row.partner, row.id, "outcome", content)
        office.hits.note(
            f"link-outcome/{row.id}/{outcome}",
            Operation.LINK_OUTCOME,
            who=who,
            why=f"hit {row.id[:12]} with {row.partner}",
            details={"hit": row.id, "partner": row.partner, "outcome": outcome},
        )
        if outcome == REFUTED:
            _stop(office, row, who)


def _stop(office: Office, row: HitRow, who: str) -> None:
    reason = f"hit {row.id[:12]} was refuted"
    forms = {each.form for each in office.identified() if each.digest == row.digest}
    entries = [stop_list.Stopped(kind=row.kind, form=form, reason=reason) for form in sorted(forms)]
    stop_list.add(office, entries, who=who, why=reason)


def expire(office: Office) -> None:
    """Ends hits whose time is over, and removes what may no longer be used."""
    now = office.clock()
    longest = timedelta(days=PATIENCE * office.policy.days_to_answer)
    for row in office.hits.shown():
        if row.state in _UNANSWERED and now > (row.opened_at or row.found_at) + longest:
            _end(office, row, "nobody answered in time")
        elif (
            row.expires is not None
            and row.record is not None
            and now.date() > date.fromisoformat(row.expires)
        ):
            if row.state in _IN_USE:
                _end(office, row, "what was exchanged may no longer be used")
            else:
                office.hits.change(row.id, record=None)


def _end(office: Office, row: HitRow, reason: str) -> None:
    with office.hits.transaction():
        office.hits.step(row.id, EXPIRED, reason=reason, record=None)
        office.hits.note(
            f"link-expired/{row.id}",
            Operation.LINK_OUTCOME,
            who=office.node,
            why=reason,
            details={"hit": row.id, "partner": row.partner, "outcome": EXPIRED},
        )
