"""What each kind of letter about a hit does to it at the node that receives it.

=========== ======================================================= =====================================
kind        content                                                 may come while the hit is
=========== ======================================================= =====================================
approval    ``approvals``: signed, for the hit's name               open, approved-here
decline     nothing                                                 open, approved-here
record      ``record`` (``links.hit_records``)                      approved-both, once
outcome     ``outcome``: confirmed, refuted or followed-up          approved by both
label       ``label``: for networks across states, at most 4 kB     approved by both
=========== ======================================================= =====================================

Guarantees: an approval counts only under a key that the partner has pinned for the epoch as that of a person
who approves, and only with as many others as must sign here: who sends a record relies on them. A record is
kept only if it is the partner's, about this hit, and of its type. ``receive`` raises for anything else, and
then nothing has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from safeborders_fed.audit.chain import Operation
from safeborders_fed.errors import PeerError
from safeborders_fed.links.asks import parsed
from safeborders_fed.links.hit_records import HitRecord
from safeborders_fed.node.approvals import Approval, Approver, require_approvals
from safeborders_fed.node.hit_book import (
    APPROVED_BOTH,
    APPROVED_HERE,
    BOTH_APPROVED,
    DECLINED,
    EXCHANGED,
    EXPIRED,
    OPEN,
    HitRow,
)
from safeborders_fed.study import canonical

if TYPE_CHECKING:
    from safeborders_fed.links.office import Office

BY_PARTNER: Final = "partner"
LONGEST_LABEL: Final = 4_096
_STRICT: Final = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)


class _Approvals(BaseModel):
    model_config = _STRICT

    approvals: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=64)]


class _Nothing(BaseModel):
    model_config = _STRICT


class _Record(BaseModel):
    model_config = _STRICT

    record: dict[str, Any]


class _Outcome(BaseModel):
    model_config = _STRICT

    outcome: Literal["confirmed", "refuted", "followed-up"]


class _Label(BaseModel):
    model_config = _STRICT

    label: dict[str, Any]


def receive(office: Office, row: HitRow, kind: str, content: Mapping[str, Any]) -> None:
    """Does what a letter says, within the caller's transaction.

    Raises:
        PeerError, RefusedError: It is not one that may come.
    """
    if kind not in KINDS:
        raise _may_not_come(row, kind)
    if row.state in {DECLINED, EXPIRED}:
        return  # it was on its way when that happened here, and is dropped
    KINDS[kind](office, row, content)


def _approval(office: Office, row: HitRow, content: Mapping[str, Any]) -> None:
    given = [Approval.from_bytes(canonical.serialise(each)) for each in parsed(_Approvals, content).approvals]
    keys = office.require_key_set(row.epoch)
    own = set(keys.prosecutors(office.node).values())  # both states sign the same name of a hit
    people = {name: key for name, key in keys.prosecutors(row.partner).items() if key not in own}
    counted = require_approvals(
        given,
        subject="link-hit",
        subject_hash=row.id,
        approvers=[Approver(name=name, role="prosecutor", public=key) for name, key in people.items()],
        needed=office.policy.approvals_needed,
        now=office.clock(),
    )
    if row.state not in {OPEN, APPROVED_HERE}:
        raise _may_not_come(row, "approval")
    for approval in counted:
        office.hits.add_approval(row.id, "partner", approval.approver, approval.to_bytes())
    office.hits.change(row.id, partner_approved=True)
    if row.state == APPROVED_HERE:
        office.hits.step(row.id, APPROVED_BOTH)
    _note(office, row, "approved", ", ".join(approval.name for approval in counted))


def _decline(office: Office, row: HitRow, content: Mapping[str, Any]) -> None:
    parsed(_Nothing, content)
    if row.state not in {OPEN, APPROVED_HERE}:
        raise _may_not_come(row, "decline")
    office.hits.step(row.id, DECLINED, reason=BY_PARTNER)
    _note(office, row, "declined")


def _record(office: Office, row: HitRow, content: Mapping[str, Any]) -> None:
    record = HitRecord.from_bytes(canonical.serialise(parsed(_Record, content).record))
    if row.state != APPROVED_BOTH or row.record is not None:
        raise _may_not_come(row, "record")
    if (record.hit, record.state, record.type) != (row.id, row.partner, row.kind):
        raise _may_not_come(row, "record of something else")
    changes: dict[str, Any] = {
        "record": record.to_bytes(),
        "received_at": office.clock(),
        "expires": record.expires.isoformat(),
    }
    if row.sent_at is None:
        office.hits.change(row.id, **changes)
    else:
        office.hits.step(row.id, EXCHANGED, **changes)
    _note(office, row, "record")


def _outcome(office: Office, row: HitRow, content: Mapping[str, Any]) -> None:
    word = parsed(_Outcome, content).outcome
    if row.state not in BOTH_APPROVED:
        raise _may_not_come(row, "outcome")
    office.hits.change(row.id, partner_outcome=word, partner_outcome_at=office.clock())
    _note(office, row, word)


def _label(office: Office, row: HitRow, content: Mapping[str, Any]) -> None:
    parsed(_Label, content)
    if row.state not in BOTH_APPROVED or len(canonical.serialise(dict(content))) > LONGEST_LABEL:
        raise _may_not_come(row, "label")
    _note(office, row, "label")


KINDS: Final[Mapping[str, Callable[[Office, HitRow, Mapping[str, Any]], None]]] = MappingProxyType(
    {"approval": _approval, "decline": _decline, "record": _record, "outcome": _outcome, "label": _label}
)


def _note(office: Office, row: HitRow, what: str, people: str = "") -> None:
    office.hits.note(
        f"link-received/{row.id}/{what}/{office.clock().isoformat()}",
        Operation.LINK_RECEIVED,
        who=row.partner,
        why=f"about hit {row.id[:12]}: {what}",
        details={"hit": row.id, "partner": row.partner, "what": what}
        | ({"signed_by": people} if people else {}),
    )


def _may_not_come(row: HitRow, what: str) -> PeerError:
    return PeerError(
        "wrong-letter",
        f"{row.partner} sends a letter ({what}) about hit {row.id[:12]}, which is {row.state} here",
        "ask that state's contact point, over another line, what happened",
    )
