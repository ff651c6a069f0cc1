"""Hits that both states have verified become open: the node's people see them.

Guarantees: a hit is opened once, with the pseudonyms of the node's own cases that hold the identifier now. If
so many come with one partner in an exchange that it looks like fishing, each of them carries an alarm, and
nothing is disclosed of it before a person has said that they have seen that (``links.hits``). A hit on a form
of the stop-list is declined at once; the partner learns that it is declined, as of any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from safeborders_fed.audit.chain import Operation
from safeborders_fed.links import hit_alarms, stop_list
from safeborders_fed.links.office import VICTIM
from safeborders_fed.node.hit_book import APPROVED_BOTH, APPROVED_HERE, DECLINED, FOUND, OPEN, REFUTED, HitRow
from safeborders_fed.node.hit_letters import HitLetters
from safeborders_fed.study import canonical

if TYPE_CHECKING:
    from safeborders_fed.links.office import Identified, Office
    from safeborders_fed.node.link_policy import LinkPolicy

STOPPED: Final = "stop-list"
_UNSEALED: Final = frozenset({OPEN, APPROVED_HERE, APPROVED_BOTH, DECLINED})
_FEWEST_TAGS: Final = 100
"""The rate of hits is counted as of so many new tags at least: a few hits on a few tags say nothing."""


def stopped_digests(office: Office) -> frozenset[bytes]:
    """Digests of forms that are tagged for nobody: those on the stop-list, and those of refuted hits.

    The latter stand in the list, too, unless no case held them any more when the hit was refuted.
    """
    refuted = {row.digest for row in office.hits.shown({REFUTED})}
    return stop_list.stopped_digests(office) | refuted


def cases_of(office: Office, exchange: str) -> Mapping[bytes, tuple[str, ...]]:
    """As ``comparable``; the files are gone through once in an exchange, and again when they have changed."""
    now = f"{exchange}/{office.store.latest_snapshot()}"
    if office.read_in[0] != now:
        office.read_in = (now, comparable(office.identified(), office.policy))
    return office.read_in[1]


def comparable(files: Iterable[Identified], policy: LinkPolicy) -> Mapping[bytes, tuple[str, ...]]:
    """By digest, the forms that may be compared as the files are now, with the cases that hold each, sorted.

    A token outlives its case. What was erased since it was made, what has become a victim's, and what the
    policy permits no more, is tagged for nobody, proved to nobody, and in no record.
    """
    cases: dict[bytes, set[str]] = {}
    permitted, victims = set(), set()
    for each in files:
        cases.setdefault(each.digest, set()).add(each.case)
        if each.owner == VICTIM and VICTIM not in policy.owners:
            victims.add(each.digest)
        elif each.kind in policy.types and each.owner in policy.owners:
            permitted.add(each.digest)
    return {digest: tuple(sorted(cases[digest])) for digest in permitted - victims}


def open_hits(office: Office, exchange: str, partner: str, hits: Sequence[HitRow]) -> None:
    """Opens hits that were verified; those that are open already stay as they are."""
    fresh = [row for row in hits if office.hits.known(row.id, partner) is None]
    if not fresh:
        return
    cases = cases_of(office, exchange)
    stopped = stopped_digests(office)
    flood = _is_flood(office, exchange, partner, len(fresh))
    if flood:
        hit_alarms.raise_alarm(office, exchange, "flood", partner, str(len(fresh)))
    with office.hits.transaction():
        office.hits.set_found(exchange, fresh)
        for row in fresh:
            office.hits.step(
                row.id, OPEN, opened_at=office.clock(), cases=cases.get(row.digest, ()), alarm=flood
            )
            _note(office, row, len(cases.get(row.digest, ())))
            if row.digest in stopped:
                decline(office, row, STOPPED, who=office.node)


def refresh_cases(office: Office, exchange: str) -> None:
    """Names, for hits of which no record was sealed yet, the cases that hold the identifier now.

    So the pseudonym of a case that was erased stays neither in the book nor in what people are shown.
    """
    waiting = [row for row in office.hits.shown(_UNSEALED) if row.sent_at is None]
    if not waiting:
        return
    there = cases_of(office, exchange)
    with office.hits.transaction():
        for row in waiting:
            if (now := there.get(row.digest, ())) != row.cases:
                office.hits.change(row.id, cases=now)


def decline(office: Office, row: HitRow, reason: str, *, who: str) -> None:
    """Declines a hit: the partner learns that, and not why. Raises as ``HitBook.step``."""
    with office.hits.transaction():
        office.hits.step(row.id, DECLINED, answered_at=office.clock(), reason=reason)
        HitLetters(office.hits).put_out(row.epoch, row.partner, row.id, "decline", canonical.serialise({}))
        office.hits.note(
            f"link-decline/{row.id}",
            Operation.LINK_DECISION,
            who=who,
            why=f"declined: {reason}",
            details={"hit": row.id, "partner": row.partner, "answer": "declined"},
        )


def _is_flood(office: Office, exchange: str, partner: str, fresh: int) -> bool:
    tagging = office.hits.tagging(exchange, partner)
    tags = max(_FEWEST_TAGS, 0 if tagging is None else tagging.fresh)
    before = sum(
        (row.exchange, row.partner) == (exchange, partner) and row.state != FOUND
        for row in office.hits.shown()
    )
    return 100 * (before + fresh) > office.policy.alarm_hits * tags


def _note(office: Office, row: HitRow, cases: int) -> None:
    office.hits.note(
        f"link-hit/{row.id}",
        Operation.LINK_HIT,
        who=office.node,
        why=f"exchange {row.exchange} of links: verified by both states",
        details={"hit": row.id, "partner": row.partner, "type": row.kind, "cases": cases},
    )
