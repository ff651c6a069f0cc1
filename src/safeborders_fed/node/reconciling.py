"""The ledger for people: what it holds in plain figures, and settling a dispute with two approvals."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safeborders_fed.audit.chain import Operation
from safeborders_fed.errors import ConfigurationError, RefusedError
from safeborders_fed.node.approvals import Approval, approve, load_approver_key, require_approvals
from safeborders_fed.node.budget_statement import state
from safeborders_fed.node.journal import now
from safeborders_fed.node.ledger import Ledger
from safeborders_fed.privacy import accounting
from safeborders_fed.study import canonical

if TYPE_CHECKING:
    from safeborders_fed.node.budget_statement import StatedBudget
    from safeborders_fed.node.settings import NodeSettings

NEEDED = 2
"""How many people settle a dispute; no policy lowers it."""


def overview(settings: NodeSettings, ledger: Ledger | StatedBudget) -> dict[str, Any]:
    """Totals, studies, journal and disputes, as JSON values. Checks the whole journal if it is the ledger.

    Raises:
        ConfigurationError: ``ledger-altered``, or ``no-policy`` when there are no caps to compare with.
    """
    entries = ledger.verify()
    policy = settings.policy
    if policy is None:
        raise ConfigurationError("no-policy", "the node has no [policy]", "write it in node.toml")
    caps, delta = policy.caps(), policy.delta
    ever = ledger.totals()
    this_year = ledger.totals(year=now().year)
    totals = [
        _span("this year", this_year.spent, this_year.spent + ever.reserved, caps.year, delta),
        _span("lifetime", ever.spent, ever.spent + ever.reserved, caps.lifetime, delta),
    ]
    studies = [
        {**study, "epsilon_spent": accounting.epsilon(study["rho_spent"], delta)}
        for study in ledger.studies()
    ]
    counts = [
        {"population": count.population, "snapshot": count.snapshot, "rho": count.rho, "at": count.counted}
        for count in ledger.counts.listed()
    ]
    disputes = [
        {"witness": witness, "entries": head.entries, "head": head.value}
        for witness, head in ledger.witnesses.disputes()
    ]
    return {
        "node": settings.country,
        "delta": delta,
        "epsilon_per_study": policy.epsilon_per_study,
        "totals": totals,
        "studies": studies,
        "counts": counts,
        "entries": entries,
        "head": ledger.head().value,
        "disputes": disputes,
        "disputes_hash": ledger.witnesses.disputes_hash() if disputes else None,
        "stated": None if isinstance(ledger, Ledger) else ledger.statement.at,
    }


def _span(name: str, spent: float, held: float, cap: float, delta: float) -> dict[str, Any]:
    return {
        "name": name,
        "rho_spent": spent,
        "rho_held": held,
        "rho_cap": cap,
        "epsilon_spent": accounting.epsilon(spent, delta),
        "epsilon_held": accounting.epsilon(held, delta),
        "epsilon_cap": accounting.epsilon(cap, delta),
    }


def settlement_hash(ledger: Ledger | StatedBudget, lost_rho: float) -> str:
    """What people sign: the open disputes, and what is charged for them."""
    return canonical.sha256(
        canonical.serialise({"disputes": ledger.witnesses.disputes_hash(), "lost_rho": float(lost_rho)})
    )


def sign_settlement(
    ledger: Ledger | StatedBudget, name: str, key_file: Path, passphrase: str, *, lost_rho: float
) -> bytes:
    """One person's approval of settling all open disputes at this charge, valid for a day.

    Raises:
        RefusedError: ``nothing-to-settle``.
        ConfigurationError: the key cannot be read with the passphrase.
    """
    if not ledger.witnesses.disputes():
        raise RefusedError("nothing-to-settle", "the ledger is not disputed", "nothing needs to be done")
    signed_at = now()
    return approve(
        load_approver_key(key_file, passphrase),
        name=name,
        subject="reconciliation",
        subject_hash=settlement_hash(ledger, lost_rho),
        signed_at=signed_at,
        expires=signed_at + timedelta(days=1),
    ).to_bytes()


def reconcile(
    settings: NodeSettings, ledger: Ledger, documents: Sequence[bytes], lost_rho: float
) -> tuple[str, ...]:
    """Settles all open disputes; the names of the people who approved it.

    Args:
        settings: The node.
        ledger: Its ledger.
        documents: Signed approvals (subject ``reconciliation``, of ``settlement_hash``).
        lost_rho: What the lost entries had spent at most, as the people signed it.

    Raises:
        RefusedError: ``nothing-to-settle`` or ``not-enough-approvals``.
        PeerError: a document is not an approval.
    """
    counted = require_approvals(
        [Approval.from_bytes(document) for document in documents],
        subject="reconciliation",
        subject_hash=settlement_hash(ledger, lost_rho),
        approvers=settings.approvers(),
        needed=NEEDED,
        now=now(),
    )
    people = tuple(approval.name for approval in counted)
    # The log first: should the machine stop in between, people settle it again, and nothing is unlogged.
    with settings.open_audit_log() as log:
        log.append(
            Operation.RECONCILE,
            who=", ".join(people),
            why="entries that witnesses know are missing from the ledger",
            details={"lost_rho": lost_rho, "head": ledger.head().value},
        )
    ledger.settle(people, lost_rho)
    state(settings, ledger)
    return people
