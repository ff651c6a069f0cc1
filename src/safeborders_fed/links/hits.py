"""What people of a node see of its hits.

Guarantees: before people of both states have approved, a view holds nothing of the other state but its name:
not even whether it has answered, but for a decline. It holds no identifier and no token. Case pseudonyms are
the node's own; which national files they stand for is read from the store, for who may open that, and goes
into no file. What is shown first is what is overdue.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from safeborders_fed.links import outcomes
from safeborders_fed.links.letter_kinds import BY_PARTNER
from safeborders_fed.node.approvals import Approval
from safeborders_fed.node.hit_book import (
    APPROVED_BOTH,
    APPROVED_HERE,
    BOTH_APPROVED,
    CONFIRMED,
    DECLINED,
    EXCHANGED,
    EXPIRED,
    FOLLOWED_UP,
    OPEN,
    REFUTED,
    HitRow,
)
from safeborders_fed.node.hit_papers import HitPapers
from safeborders_fed.study import canonical

if TYPE_CHECKING:
    from safeborders_fed.cases.store import CaseStore
    from safeborders_fed.links.office import Office

REMINDER: Final = (
    "A hit is a lead, not evidence: the same identifier stands in a file of each of two states.",
    "It may be wrongly written down, shared by many, or passed on since. Nothing follows from it alone.",
)
STRENGTHS: Final = {
    "exact": "the identifier is equal in its exact normal form",
    "strong": "the identifier is equal in a form that few others share",
    "weak": "the identifier is equal in a form that others may share: never act on it alone",
}
_STATES: Final = {
    OPEN: "waits for an answer of this state",
    APPROVED_HERE: "this state has approved; waits for the other state",
    APPROVED_BOTH: "both states have approved; the records are on their way",
    EXCHANGED: "both records are here; waits for what came of it",
    CONFIRMED: "confirmed here",
    REFUTED: "refuted here: the identifier is on this node's stop-list",
    FOLLOWED_UP: "is being followed up here",
    EXPIRED: "expired",
}


def view(office: Office, row: HitRow) -> dict[str, Any]:
    """What people may know of a hit, as JSON values."""
    time = outcomes.clock(row, office.policy.days_to_answer, office.clock())
    both = row.state in BOTH_APPROVED
    record = canonical.parse(row.record) if both and row.record is not None else None
    return {
        "hit": row.id,
        "handle": row.own_handle,
        "partner": row.partner,
        "state": row.state,
        "standing": _standing(row),
        "type": row.kind,
        "strength": row.strength,
        "means": STRENGTHS[row.strength],
        "cases": list(row.cases),
        "alarm": row.alarm,
        "opened": _text(row.opened_at),
        "due": _text(time.due),
        "overdue": time.overdue,
        "approved_by": sorted(
            Approval.from_bytes(data).name for data in office.hits.approvals(row.id, "own")
        ),
        "approvals_needed": office.policy.approvals_needed,
        "urgency": row.urgency,
        "answered": _text(row.answered_at),
        "reason": row.reason,
        "sent": _text(row.sent_at),
        "record": record,
        "usable_until": row.expires if record is not None else None,
        "outcome": row.outcome,
        "partner_outcome": row.partner_outcome if both else None,
        "reminder": list(REMINDER),
    }


def in_order(views: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The overdue first, then what is due next, then the rest, the latest first."""
    latest_first = sorted(views, key=lambda shown: shown["opened"] or "", reverse=True)
    return sorted(latest_first, key=lambda shown: (not shown["overdue"], shown["due"] or "9999"))


def publish(office: Office) -> None:
    """Ends what is over, and writes for the node's people what they may know of each hit.

    Raises:
        ConfigurationError: ``link-book-unwritable`` or ``node-unwritable``.
    """
    outcomes.expire(office)
    HitPapers(office.home).show({row.id: view(office, row) for row in office.hits.shown()})


def national_cases(store: CaseStore, cases: Iterable[str]) -> dict[str, str]:
    """Pseudonym to the case's own id in the national file, for the national team. Raises as ``raw_keys``.

    A case that was erased since is left out.
    """
    wanted = frozenset(cases)
    if not wanted or store.latest_snapshot() is None:
        return {}
    keys = store.raw_keys()
    pairs = zip(keys["case"].to_pylist(), keys["case_id"].to_pylist(), strict=True)
    return {case: known for case, known in pairs if case in wanted}


def _standing(row: HitRow) -> str:
    if row.state != DECLINED:
        return _STATES[row.state]
    return "declined by the other state" if row.reason == BY_PARTNER else "declined here"


def _text(moment: Any) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")
