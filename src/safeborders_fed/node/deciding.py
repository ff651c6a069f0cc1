"""People of a node decide on a study: look at it, approve it, take that back, refuse it.

Guarantees: who signs names the hash of what was read, in full; only enrolled approvers sign; nothing is
written into the ledger or the audit log here, since both belong to the service while it runs: it takes up
what was signed and logs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from safeborders_fed.errors import RefusedError
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node.approvals import Approval, approve
from safeborders_fed.node.refusals import StudyRefusal, refuse, require_enrolled
from safeborders_fed.node.taking_back import ApprovalWithdrawal, take_back
from safeborders_fed.privacy import accounting
from safeborders_fed.study.offering import Status, Why

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from safeborders_fed.node.desk import Desk, Standing
    from safeborders_fed.study.manifest import Manifest


@dataclass(frozen=True)
class Cost:
    """What a study costs here and what is left after it, in epsilon at the policy's delta.

    Attributes:
        rho: Of the study.
        epsilon: The same at ``delta``.
        left_year: What is left of the year's cap once the study has spent all it reserves, and the count of
            its population, if one is still to be drawn.
        left_lifetime: Likewise of the lifetime's.
    """

    rho: float
    epsilon: float
    delta: float
    left_year: float
    left_lifetime: float


def cost(desk: Desk, manifest: Manifest) -> Cost:
    """What a study costs at this node; what it has reserved or spent already is not counted twice."""
    delta, caps = desk.policy.delta, desk.policy.caps()
    year = desk.ledger.totals(year=desk.clock().year)
    ever = desk.ledger.totals()
    held = desk.ledger.reservation(manifest.id)
    more = manifest.rho + desk.cost_of_count(manifest) if held is None else 0.0

    def left(cap: float, spent: float) -> float:
        remaining = cap - spent - ever.reserved - more
        return accounting.epsilon(remaining, delta) if remaining > 0 else 0.0

    return Cost(
        manifest.rho,
        accounting.epsilon(manifest.rho, delta),
        delta,
        left(caps.year, year.spent),
        left(caps.lifetime, ever.spent),
    )


def approve_study(
    desk: Desk,
    study: str,
    *,
    manifest_hash: str,
    name: str,
    key: Ed25519PrivateKey,
    valid: timedelta,
) -> tuple[Approval, Standing]:
    """One person approves; their approval, and where the study stands with it.

    Raises:
        RefusedError: ``another-hash``, ``not-an-approver``, ``refused-already``, ``study-running``,
            ``study-ended``, ``study-expired`` or ``approval-expired``.
        UsageError: ``unknown-study``.
        PeerError, ConfigurationError: The study does not verify, or cannot be written.
    """
    manifest = _open(desk, study, manifest_hash)
    require_enrolled(desk.approvers, name, public_hex(key))
    if desk.refusal(manifest) is not None:
        raise RefusedError(
            "refused-already",
            f"study {study!r} was refused here, and a refusal stands",
            "have the study drafted again under another name",
        )
    now = desk.clock()
    if now.date() > manifest.expires:
        raise RefusedError("study-expired", f"study {study!r} has expired", "have it drafted again")
    approval = approve(
        key, name=name, subject="study", subject_hash=manifest.hash(), signed_at=now, expires=now + valid
    )
    desk.studies.add_approval(study, approval)
    return approval, desk.standing(manifest)


def refuse_study(
    desk: Desk, study: str, *, manifest_hash: str, reason: Why, name: str, key: Ed25519PrivateKey
) -> StudyRefusal:
    """One person refuses, which stands against any number of approvals.

    Raises:
        RefusedError: ``another-hash``, ``not-an-approver``, ``unknown-reason``, ``refused-already``,
            ``study-running`` or ``study-ended``.
        UsageError: ``unknown-study``.
        PeerError, ConfigurationError: The study does not verify, or cannot be written.
    """
    manifest = _open(desk, study, manifest_hash)
    require_enrolled(desk.approvers, name, public_hex(key))
    refusal = refuse(
        key,
        study=study,
        manifest_hash=manifest.hash(),
        reason=reason,
        name=name,
        signed_at=desk.clock(),
    )
    desk.studies.add_refusal(refusal)
    return refusal


def withdraw_approval(
    desk: Desk, study: str, *, manifest_hash: str, name: str, key: Ed25519PrivateKey
) -> tuple[ApprovalWithdrawal, Standing]:
    """One person takes their approval back, before the study is taken on.

    Raises:
        RefusedError: ``another-hash``, ``not-an-approver``, ``nothing-to-take-back``, ``study-running`` or
            ``study-ended``.
        UsageError: ``unknown-study``.
        PeerError, ConfigurationError: The study does not verify, or cannot be written.
    """
    manifest = _open(desk, study, manifest_hash)
    public = public_hex(key)
    require_enrolled(desk.approvers, name, public)
    back = desk.studies.withdrawals(study)
    own = [
        approval
        for approval in desk.studies.approvals(study)
        if (approval.approver, approval.subject_hash) == (public, manifest.hash())
        and not any(entry.takes_back(approval) for entry in back)
    ]
    if not own:
        raise RefusedError(
            "nothing-to-take-back",
            f"{name} has not approved study {study!r}, or has taken that back",
            f"see `safeborders node study show {study}`",
        )
    latest = max(own, key=lambda approval: approval.signed_at)  # there are two where the clock went back
    withdrawal = take_back(key, latest, study=study, signed_at=desk.clock())
    desk.studies.add_withdrawal(withdrawal)
    _open(desk, study, manifest_hash)  # the service may have taken it on meanwhile
    return withdrawal, desk.standing(manifest)


def _open(desk: Desk, study: str, manifest_hash: str) -> Manifest:
    """The study that a person means, if people may still decide on it."""
    manifest = desk.studies.manifest(study)
    if manifest_hash.lower() != manifest.hash():
        raise RefusedError(
            "another-hash",
            f"the hash of study {study!r} is not the one that was given",
            f"read `safeborders node study show {study}`, and give the hash that you have read about",
        )
    status = desk.standing(manifest).status
    if status == Status.ENDED:
        raise RefusedError("study-ended", f"study {study!r} has ended", "nothing is left to decide")
    if status == Status.TAKEN_ON:
        raise RefusedError(
            "study-running",
            f"study {study!r} has started here: its cost is reserved",
            "stop the node's service if it must not go on, and tell the coordinator's operator",
        )
    return manifest


def described(desk: Desk, manifest: Manifest) -> dict[str, Any]:
    """All that people and machines are shown of a study here, as JSON values."""
    standing, price = desk.standing(manifest), cost(desk, manifest)
    return {
        "study": manifest.id,
        "hash": manifest.hash(),
        "status": standing.status.value,
        "reason": standing.reason.value,
        "obstacle": standing.obstacle,
        "approved_by": list(standing.approved_by),
        "approvals_needed": standing.approvals_needed,
        "refused_by": None if standing.refusal is None else standing.refusal.name,
        "rho": price.rho,
        "epsilon": price.epsilon,
        "delta": price.delta,
        "epsilon_left_year": price.left_year,
        "epsilon_left_lifetime": price.left_lifetime,
        "manifest": manifest.model_dump(mode="json"),
    }
