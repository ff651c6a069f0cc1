"""What people do about links at a node: approve and stop batches, switch links off and on, end an epoch.

Guarantees: an approval is for one batch, by a prosecutor who is enrolled here and whose key all other nodes
have pinned. Whatever is done is on record with who did it and why. ``destroy`` can be repeated after a crash
and is never undone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from safeborders_fed.audit.chain import Operation
from safeborders_fed.errors import RefusedError, UsageError
from safeborders_fed.links import batches, stop_list, taking
from safeborders_fed.links.approving import require_prosecutor
from safeborders_fed.links.batch_statement import BatchStatement
from safeborders_fed.links.office import Log, Office
from safeborders_fed.links.switch import Switch, checked
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node.approvals import Approval, approve, require_approvals
from safeborders_fed.node.link_batches import OwnBatch

SHORTEST_PREFIX: Final = 8


def find(office: Office, name: str) -> OwnBatch:
    """The batch of these digits, eight at least.

    Raises:
        UsageError: ``unknown-batch``.
    """
    found = [each for each in office.book.batches.all() if each.id.startswith(name)]
    if len(name) < SHORTEST_PREFIX or len(found) != 1:
        raise batches.unknown(name)
    return found[0]


def approve_batch(
    office: Office, own: OwnBatch, *, name: str, key: Ed25519PrivateKey, days: int
) -> tuple[Approval, int]:
    """A prosecutor's approval of a batch, kept with it; and how many more must sign.

    Raises:
        RefusedError: ``batch-ended``; ``not-a-prosecutor`` for who is not enrolled here as that, or whose key
            the other nodes do not have; ``not-enough-approvals`` (why this one does not count).
    """
    statement, now = BatchStatement.from_bytes(own.statement), office.clock()
    if own.ended is not None or taking.has_ended(office, own):
        raise RefusedError(
            "batch-ended",
            f"batch {own.id[:12]} has ended: it is done, was stopped, or is over",
            "prepare another one",
        )
    require_prosecutor(office.approvers, name, public_hex(key))
    paper = approve(
        key,
        name=name,
        subject="link-batch",
        subject_hash=own.id,
        signed_at=now,
        expires=min(now + timedelta(days=days), statement.expires),
    )
    require_approvals(
        [paper],
        subject="link-batch",
        subject_hash=own.id,
        approvers=tuple(office.approvers),
        needed=1,
        now=now,
    )
    keys = office.key_set(own.epoch)
    if keys is not None and keys.prosecutors(office.node).get(name) != public_hex(key):
        raise RefusedError(
            "not-a-prosecutor",
            f"{name} was no prosecutor here when the keys of {own.epoch} were made: others would refuse",
            "let a prosecutor sign who was, or wait for the next epoch",
        )
    office.book.batches.approve(own.id, paper.approver, paper.to_bytes())
    office.audit_log.append(
        Operation.APPROVE,
        who=name,
        why=f"{statement.purpose}: {statement.legal_basis}",
        details={"batch": own.id, "points": statement.total, "root": statement.root},
    )
    counted = {each.name for each in taking.approved(office, own, needed=1)}
    return paper, max(0, office.policy.approvals_needed - len(counted))


def stop_batch(office: Office, own: OwnBatch, *, who: str, reason: str) -> bool:
    """Ends a batch before it is done; false if it had ended. Tokens that came of it stay.

    Raises:
        UsageError: ``reason-missing``.
    """
    why = checked(reason)
    if not office.book.batches.end(own.id, "stopped"):
        return False
    details: dict[str, str | int] = {"batch": own.id, "outcome": "stopped", "taken": own.taken}
    office.audit_log.append(Operation.LINK_BATCH, who=who, why=why, details=details)
    return True


def switch_off(switch: Switch, log: Log, *, who: str, reason: str, at: datetime) -> None:
    """Switches links off, from the next message on. Raises as Switch.turn_off."""
    switch.turn_off(who, reason, at)
    log.append(Operation.LINK_SWITCH, who=who, why=reason, details={"links": "off"})


def switch_on(switch: Switch, log: Log, *, who: str, reason: str) -> None:
    """Takes links up again, on record first: no crash leaves them on unseen. Raises as Switch.turn_on."""
    log.append(Operation.LINK_SWITCH, who=who, why=checked(reason), details={"links": "on"})
    switch.turn_on(reason)


def destroy(office: Office, epoch: str, *, who: str, reason: str, early: bool) -> int:
    """Destroys an epoch's secrets and tokens at this node, for good; how many tokens it had.

    Args:
        office: The node.
        epoch: The epoch.
        who: Who does it.
        reason: Why.
        early: Whether the epoch of today may be destroyed: it ends links for all states until the next one.

    Raises:
        UsageError: ``unknown-epoch`` or ``reason-missing``.
        RefusedError: ``epoch-not-over``.
        ConfigurationError: ``links-unwritable``, ``link-book-unwritable``.
    """
    why = checked(reason)
    if epoch not in {*office.keys.kept(), *office.book.ceremonies.epochs()}:
        raise UsageError(
            "unknown-epoch", f"this node has nothing of epoch {epoch[:20]!r}", "name a year, such as 2026"
        )
    if epoch >= office.keys.current() and not early:
        raise RefusedError(
            "epoch-not-over",
            f"epoch {epoch} is not over: without this node's secrets no state gets tokens until the next one",
            "wait for its end, or say --early if that is what you want",
        )
    office.book.ceremonies.destroy(epoch)
    office.keys.destroy(epoch)
    tokens = office.book.forget_epoch(epoch)
    for own in office.book.batches.all():
        if own.epoch == epoch:
            office.book.batches.end(own.id, "epoch")
    office.audit_log.append(
        Operation.LINK_KEYS,
        who=who,
        why=f"the secrets of epoch {epoch} were destroyed: {why}"[:2000],
        details={"epoch": epoch, "tokens": tokens},
    )
    return tokens


def status(office: Office) -> dict[str, Any]:
    """How links stand at this node, as JSON."""
    today = office.clock()
    epoch = office.keys.current()
    return {
        "on": office.switch.is_on(),
        "off": office.switch.said(),
        "epoch": epoch,
        "keys": "pinned by all nodes" if office.key_set(epoch) is not None else "not made yet",
        "overdue_epochs": [kept for kept in office.keys.kept() if kept < epoch],
        "tokens": office.book.count(epoch),
        "stop_list": len(stop_list.stopped(office)),
        "batches": [batch_facts(office, own) for own in office.book.batches.all()],
        "asked_this_month": _asked(office.book.charged(f"{today:%Y-%m}")),
        "first_loads": _asked(office.book.charged(epoch)),
        "counted_as_spent": list(office.book.spent_periods()),
        "alarms": [{"at": at, "kind": kind, "said": said} for at, kind, said in office.book.alarms()],
    }


def batch_facts(office: Office, own: OwnBatch) -> dict[str, Any]:
    """One batch, as JSON: what its prosecutors are to know, without an identifier."""
    statement = BatchStatement.from_bytes(own.statement)
    counted = taking.approved(office, own, needed=1) if own.ended is None else ()
    return {
        "batch": own.id,
        "state": own.outcome or ("waits for approval" if _is_short(office, counted) else "under way"),
        "epoch": own.epoch,
        "purpose": statement.purpose,
        "legal_basis": statement.legal_basis,
        "points": dict(statement.counts),
        "identifiers": _identifiers(office, own),
        "root": statement.root,
        "expires": statement.expires.isoformat(),
        "approved_by": [each.name for each in counted],
        "approvals_needed": office.policy.approvals_needed,
        "chunks": own.chunks,
        "taken": own.taken,
        "alarms": [said for _, _, said in office.book.alarms() if own.id[:12] in said],
    }


def _is_short(office: Office, counted: Sequence[Approval]) -> bool:
    return len(counted) < office.policy.approvals_needed


def _identifiers(office: Office, own: OwnBatch) -> dict[str, int]:
    """Distinct identifiers by type, without padding."""
    counts: dict[str, int] = {}
    for identifier in {leaf.identifier for leaf in batches.leaves_of(office, own.leaves)}:
        kind = identifier.split(":", 1)[0]
        counts[kind] = counts.get(kind, 0) + 1
    return dict(sorted(counts.items()))


def _asked(rows: Sequence[tuple[str, str, int]]) -> list[dict[str, str | int]]:
    return [{"state": state, "type": kind, "points": points} for state, kind, points in rows if points]
