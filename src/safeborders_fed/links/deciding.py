"""What a node's people decide about hits: taken from what they signed, checked, and kept.

Guarantees: nobody but people of this node whose keys the other states hold decides. To approve needs as many
as the policy asks for, to decline one; the other state is told an approval once it counts, and of a decline
only that. Who has approved with enough others cannot decline any more: the other state may have acted on it.
Each paper is in the audit log, also a look; one that does not count is logged as that and changes nothing.
"""

from __future__ import annotations

import logging
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from safeborders_fed.audit.chain import Operation
from safeborders_fed.errors import RefusedError, SafeBordersError, UsageError
from safeborders_fed.links import outcomes
from safeborders_fed.links.approving import counted_here, require_signed
from safeborders_fed.links.hit_records import URGENCIES
from safeborders_fed.links.opening import decline
from safeborders_fed.node.hit_book import APPROVED_BOTH, APPROVED_HERE, OPEN, HitRow
from safeborders_fed.node.hit_letters import HitLetters
from safeborders_fed.node.hit_papers import ALL, HitPaper, HitPapers, subject_hash
from safeborders_fed.study import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping

    from safeborders_fed.links.office import Office
    from safeborders_fed.node.approvals import Approval

LOG: Final = logging.getLogger(__name__)
REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "no-legal-basis": "the law of this state does not permit to exchange about this case",
        "case-closed": "the case is closed",
        "ongoing-operation": "an operation under way would be put at risk",
        "victim-safety": "a victim would be put at risk",
        "coincidence": "the identifier says nothing: it is shared by many, or was written down wrongly",
        "other": "another reason, kept in the national file",
    }
)
"""Why people decline a hit. The other state learns none of them."""


def take_papers(office: Office) -> dict[str, SafeBordersError]:
    """Does what people have signed since the last time, and logs who looked.

    Returns:
        Why papers did not count, by the names of their files.

    Raises:
        ConfigurationError: ``link-book-unwritable``.
    """
    refused: dict[str, SafeBordersError] = {}
    for path, paper, user in HitPapers(office.home).left():
        try:
            with office.hits.transaction():
                _take(office, paper, user, path.stem)
        except SafeBordersError as error:
            if error.code == "link-book-unwritable":
                raise
            LOG.info("paper %s about a hit does not count: %s", path.name, error)  # the audit log has it
            _note_refused(office, paper, user, path.stem, error)
            refused[path.name] = error
        path.unlink(missing_ok=True)
    return refused


def _take(office: Office, paper: HitPaper, user: str, name: str) -> None:
    if paper.act == "view" and paper.hit == ALL:
        _note_list(office, user, name)
        return
    row = office.hits.find(paper.hit)
    if paper.act == "view":
        office.hits.note(
            f"link-view/{name}",
            Operation.VIEW,
            who=user,
            why=f"hit {row.id[:12]} with {row.partner}",
            details={"hit": row.id, "partner": row.partner, "cases": len(row.cases)},
        )
        return
    if paper.approval is None:
        raise RefusedError("not-signed", "the paper is not signed", "sign it with your approver key")
    require_signed(office, row, paper.approval, subject_hash(paper.hit, paper.act, paper.word))
    if paper.act == "approve":
        _approve(office, row, paper, paper.approval)
    elif paper.act == "decline":
        _decline(office, row, paper.word, paper.approval)
    else:
        outcomes.say(office, row, paper.word, who=paper.approval.name)


def _approve(office: Office, row: HitRow, paper: HitPaper, approval: Approval) -> None:
    if row.state not in {OPEN, APPROVED_HERE}:
        raise _too_late(row)
    if row.alarm and not paper.seen_alarm:
        raise RefusedError(
            "hit-alarm",
            f"hit {row.id[:12]} came with far more hits than usual",
            "read what `safeborders node links hit` says of it; to approve it all the same, say so",
        )
    office.hits.add_approval(row.id, "own", approval.approver, approval.to_bytes())
    office.hits.change(row.id, urgency=max(row.urgency, paper.word or URGENCIES[0], key=URGENCIES.index))
    _note(office, row, approval, "approved", paper.word or URGENCIES[0])
    if row.state == OPEN:
        _tell_if_enough(office, row)


def _tell_if_enough(office: Office, row: HitRow) -> None:
    try:
        counted = counted_here(office, row)
    except RefusedError as error:
        if error.code != "not-enough-approvals":
            raise
        return
    to = APPROVED_BOTH if row.partner_approved else APPROVED_HERE
    office.hits.step(row.id, to, answered_at=office.clock())
    papers = [canonical.parse(each.to_bytes()) for each in counted]
    HitLetters(office.hits).put_out(
        row.epoch, row.partner, row.id, "approval", canonical.serialise({"approvals": papers})
    )


def _decline(office: Office, row: HitRow, reason: str, approval: Approval) -> None:
    if row.state != OPEN:
        raise _too_late(row)
    if reason not in REASONS:
        raise unknown_reason(reason)
    _note(office, row, approval, "declined", reason)
    decline(office, row, reason, who=approval.name)


def unknown_reason(word: str) -> UsageError:
    """The error for a reason that is not of the list."""
    return UsageError("unknown-reason", f"{word!r} is not a reason", f"give one of {', '.join(REASONS)}")


def _too_late(row: HitRow) -> RefusedError:
    return RefusedError(
        "hit-state",
        f"hit {row.id[:12]} is {row.state}: nothing is left to decide",
        "see `safeborders node links hit` for where it stands",
    )


def _note(office: Office, row: HitRow, approval: Approval, what: str, word: str) -> None:
    office.hits.note(
        f"link-decision/{row.id}/{approval.signature[:32]}",
        Operation.LINK_DECISION,
        who=approval.name,
        why=f"hit {row.id[:12]} with {row.partner}: {what}, {word}",
        details={"hit": row.id, "partner": row.partner, "decision": what, "signature": approval.signature},
    )


def _note_list(office: Office, user: str, name: str) -> None:
    office.hits.note(
        f"link-view/{name}",
        Operation.VIEW,
        who=user,
        why="the list of hits with other states",
        details={"hits": len(office.hits.shown())},
    )


def _note_refused(office: Office, paper: HitPaper, user: str, name: str, error: SafeBordersError) -> None:
    with office.hits.transaction():
        office.hits.note(
            f"link-paper/{name}",
            Operation.LINK_DECISION,
            who=user,
            why=f"a paper about a hit does not count: {error.code}",
            details={"hit": paper.hit, "act": paper.act, "code": error.code},
        )
