"""A node seals its record about a hit, once people of both states have approved.

Guarantees: the only place where a case pseudonym of a node gets into a letter. It asks three things of the
book again, in the transaction that keeps the letter: the hit is approved by both, the signatures of enough
people of this node count now, and the other state's approval is there. A case that was erased since is not
named; if none is left, the hit expires and nothing is sent. A record that cannot be made waits, and people
see why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from safeborders_fed.audit.chain import Operation
from safeborders_fed.errors import RefusedError, SafeBordersError
from safeborders_fed.links import hit_records
from safeborders_fed.links.approving import counted_here
from safeborders_fed.links.opening import comparable
from safeborders_fed.node.hit_book import APPROVED_BOTH, EXCHANGED, EXPIRED, HitRow
from safeborders_fed.node.hit_letters import HitLetters
from safeborders_fed.study import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from safeborders_fed.links.office import Office

NO_CASE: Final = "no case here holds the identifier any more"


def seal_records(office: Office, partner: str) -> None:
    """Seals what is due to a partner. Raises ConfigurationError ``link-book-unwritable``."""
    due = [
        row for row in office.hits.shown({APPROVED_BOTH}) if row.partner == partner and row.sent_at is None
    ]
    if not due:
        return
    files = list(office.identified())  # read now, and once for all: what was erased must not be named
    cases = comparable(files, office.policy)
    named = {case for row in due for case in cases.get(row.digest, ())}
    forms: dict[str, list[str]] = {case: [] for case in named}
    for each in files:
        if each.case in named:
            forms[each.case].append(each.form)
    for row in due:
        try:
            _seal(office, row, cases.get(row.digest, ()), forms)
        except SafeBordersError as error:
            if error.exit_code == 1:
                raise
            office.hits.change(row.id, reason=error.code)


def _seal(office: Office, row: HitRow, cases: Sequence[str], forms: Mapping[str, Sequence[str]]) -> None:
    if not cases:
        office.hits.step(row.id, EXPIRED, reason=NO_CASE, cases=())
        return
    terms = hit_records.Terms.load(office.home)
    if terms.purpose not in office.policy.purposes:
        raise RefusedError(
            "purpose-not-permitted",
            f"{hit_records.FILE} permits {terms.purpose}, which [links] purposes of this node do not",
            "make both agree",
        )
    record = hit_records.make(
        terms,
        hit=row.id,
        state=office.node,
        cases=cases,
        kind=row.kind,
        strength=row.strength,
        urgency=row.urgency,
        today=office.clock().date(),
    )
    data = hit_records.seal_ready(record, (form for case in record.cases for form in forms[case]))
    with office.hits.transaction():
        now = office.hits.hit(row.id)
        people = counted_here(office, now)
        if now.state != APPROVED_BOTH or not now.partner_approved or now.sent_at is not None:
            raise RefusedError("hit-state", f"hit {row.id[:12]} is {now.state}", "nothing is to be sent")
        HitLetters(office.hits).put_out(
            row.epoch, row.partner, row.id, "record", canonical.serialise({"record": canonical.parse(data)})
        )
        changes = {"sent_at": office.clock(), "cases": tuple(cases), "reason": None}
        if now.record is None:
            office.hits.change(row.id, **changes)
        else:
            office.hits.step(row.id, EXCHANGED, **changes)
        office.hits.note(
            f"link-record/{row.id}",
            Operation.LINK_RECORD,
            who=", ".join(approval.name for approval in people),
            why=f"approved by people of both states, for {terms.purpose}",
            details={
                "hit": row.id,
                "partner": row.partner,
                "record": canonical.sha256(data),
                "cases": len(record.cases),
                "handling": " ".join(record.handling),
                "expires": record.expires.isoformat(),
            },
        )
