"""Where studies wait for a node's people: what is offered, what they signed, what may start.

Guarantees: a study may start only if enough enrolled people approved exactly this manifest, none of their
approvals has expired or was taken back, and nobody has refused it. What other states think of it permits
nothing. Where a study stands is worked out anew each time, from
documents on the disk and the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from safeborders_fed.errors import PeerError, RefusedError, SafeBordersError, UsageError
from safeborders_fed.node import population
from safeborders_fed.node.approvals import Approval, Approver, require_approvals, was_signed_here
from safeborders_fed.node.policy import Objection, refuse_for
from safeborders_fed.node.records import Record
from safeborders_fed.node.refusals import StudyRefusal
from safeborders_fed.study.offering import Status, Why
from safeborders_fed.study.state_changes import TERMINAL

if TYPE_CHECKING:
    from safeborders_fed.node.budget_statement import StatedBudget
    from safeborders_fed.node.ledger import Ledger
    from safeborders_fed.node.policy import Policy
    from safeborders_fed.node.population_counts import NoisedCount
    from safeborders_fed.node.studies import NodeStudies
    from safeborders_fed.node.taking_back import ApprovalWithdrawal
    from safeborders_fed.study.manifest import Manifest

OF_A_MANIFEST: Final = frozenset({"bad-manifest", "bad-parameters"})
"""Configuration errors that an operator's document makes, and not this node."""
_WHY = {
    "policy": Why.POLICY,
    "closed": Why.CLOSED,
    "budget-exhausted": Why.BUDGET,
    "study-expired": Why.EXPIRED,
    "wrong-roster": Why.ROSTER,
    "wrong-operator": Why.UNKNOWN_OPERATOR,
    "study-changed": Why.CHANGED,
    "bad-state-changes": Why.HISTORY,
}


def why(error: SafeBordersError) -> Why:
    """What the other side is told of an error: a word of a fixed list."""
    found = _WHY.get(error.code)
    if found is None:
        is_theirs = isinstance(error, PeerError | RefusedError | UsageError) or error.code in OF_A_MANIFEST
        found = Why.MALFORMED if is_theirs else Why.UNAVAILABLE
    return found


@dataclass(frozen=True)
class Standing:
    """Where a study stands at this node.

    Attributes:
        reason: As in ``study.offering.Offered``.
        obstacle: The same in words for this node's own people; None if nothing is in the way.
        approved_by: People whose approvals count now.
        approvals_needed: How many must approve.
        refusal: What a person signed against it.
    """

    status: Status
    reason: Why
    obstacle: str | None
    approved_by: tuple[str, ...]
    approvals_needed: int
    refusal: StudyRefusal | None


@dataclass(frozen=True)
class Desk:
    """What a study is held against at one node.

    Attributes:
        node: The node's name.
        roster_hash: Of the roster accepted here.
        max_victims: Public cap on victims in the case store.
        ledger: The ledger or, for people who may not open it, what the service last stated of it.
        clock: Gives the time, UTC.
        latest_snapshot: Gives the snapshot of the case store that a study would run on now.
        accepted: Node to public key, as accepted here: whose reviews are believed.
    """

    node: str
    roster_hash: str
    max_victims: int
    studies: NodeStudies
    ledger: Ledger | StatedBudget
    policy: Policy
    approvers: Collection[Approver]
    clock: Callable[[], datetime]
    latest_snapshot: Callable[[], str | None]
    accepted: Mapping[str, str] = field(default_factory=dict)

    def others(self, manifest: Manifest) -> dict[str, str]:
        """The accepted keys of a study's other participants."""
        nodes = [node for node in manifest.participants if node != self.node]
        return {node: self.accepted[node] for node in nodes if node in self.accepted}

    def standing(self, manifest: Manifest) -> Standing:
        """Where a study stands.

        Raises:
            PeerError: As ``refusal``, and as ``NodeStudies.withdrawals``.
        """
        refusal = self.refusal(manifest)
        obstacle = self._obstacle(manifest)
        counted = self.counted(manifest)
        here = Standing(
            Status.PENDING,
            Why.NONE if obstacle is None else why(obstacle),
            None if obstacle is None else obstacle.cause,
            tuple(approval.name for approval in counted),
            self.policy.approvals_needed,
            refusal,
        )
        held = self.ledger.reservation(manifest.id)
        if held is not None and held.manifest_hash == manifest.hash():
            status = Status.TAKEN_ON if held.ended is None else Status.ENDED
            return replace(here, status=status, reason=Why.NONE, obstacle=None)
        if self.has_ended(manifest):
            return replace(here, status=Status.ENDED, reason=Why.NONE, obstacle=None)
        if refusal is not None:
            return replace(here, status=Status.REFUSED, reason=refusal.reason)
        if len(counted) >= self.policy.approvals_needed:
            return replace(here, status=Status.APPROVED)
        return here

    def has_ended(self, manifest: Manifest) -> bool:
        """Whether the coordinator said that it has ended: in its record, or in a change that it signed.

        Raises:
            ConfigurationError: ``record-damaged``.
        """
        if Record(self.studies.directory(manifest.id)).outcome() is not None:
            return True
        told = self.studies.history(manifest.id)
        return told is not None and told.state in TERMINAL

    def signed_here(self, manifest: Manifest) -> tuple[Approval, ...]:
        """The approvals of it that enrolled people signed, also those that count no more."""
        digest = manifest.hash()
        return tuple(
            approval
            for approval in self.studies.approvals(manifest.id)
            if (approval.subject, approval.subject_hash) == ("study", digest)
            and was_signed_here(approval, self.approvers)
        )

    def taken_back(self, manifest: Manifest) -> tuple[ApprovalWithdrawal, ...]:
        """The approvals of it that people enrolled here have taken back, under the names of these people.

        Whoever may leave papers can sign with a key that is nobody's, and write anybody's name.

        Raises:
            ConfigurationError: ``box-overfull``.
        """
        names = {person.public: person.name for person in self.approvers if person.role == "approver"}
        return tuple(
            entry.model_copy(update={"name": names[entry.approver]})
            for entry in self.studies.withdrawals(manifest.id)
            if entry.approver in names
        )

    def refusal(self, manifest: Manifest) -> StudyRefusal | None:
        """The refusal of this manifest. It stands whether or not who signed it is enrolled still.

        Raises:
            PeerError: ``not-canonical`` or ``bad-refusal``: what somebody may have meant as a no must not
                pass for a yes.
        """
        kept = self.studies.refusal(manifest.id)
        found = (() if kept is None else (kept,)) + self.studies.left_refusals(manifest.id, self.approvers)
        return next((refusal for refusal in found if refusal.manifest_hash == manifest.hash()), None)

    def require_approved(self, manifest: Manifest) -> tuple[Approval, ...]:
        """The approvals under which a study may start.

        Raises:
            RefusedError: ``not-approved`` or ``not-enough-approvals``.
            PeerError: As ``refusal``, and as ``NodeStudies.withdrawals``.
        """
        refusal = self.refusal(manifest)
        if refusal is not None:
            raise RefusedError(
                "not-approved",
                f"study {manifest.id!r} was refused here by {refusal.name}: {refusal.reason}",
                "have the study drafted again",
            )
        return self._require(manifest, self.policy.approvals_needed)

    def noised_count(self, manifest: Manifest) -> NoisedCount | None:
        """The noised count of a study's population that is remembered for the latest snapshot, if any."""
        snapshot = self.latest_snapshot()
        return None if snapshot is None else self.ledger.counts.remembered(manifest.population, snapshot)

    def cost_of_count(self, manifest: Manifest) -> float:
        """Rho that counting its population would cost when the study is taken on; 0 if it is remembered."""
        return 0.0 if self.noised_count(manifest) is not None else population.cost(self.policy.least_victims)

    def _require(self, manifest: Manifest, needed: int) -> tuple[Approval, ...]:
        taken_back = self.studies.withdrawals(manifest.id)
        standing = [
            approval
            for approval in self.studies.approvals(manifest.id)
            if not any(withdrawal.takes_back(approval) for withdrawal in taken_back)
        ]
        return require_approvals(
            standing,
            subject="study",
            subject_hash=manifest.hash(),
            approvers=self.approvers,
            needed=needed,
            now=self.clock(),
        )

    def counted(self, manifest: Manifest) -> tuple[Approval, ...]:
        """The approvals that count now, be they enough or not. Raises PeerError as ``standing``."""
        try:
            return self._require(manifest, 1)
        except RefusedError:
            return ()

    def objections(self, manifest: Manifest) -> tuple[Objection, ...]:
        """All that stands against a study here, people's approvals and the hour apart."""
        found = list(self._terms(manifest))
        held = self.ledger.reservation(manifest.id)
        checks = {"roster": self._require_roster}
        if held is None or held.manifest_hash != manifest.hash():  # one under way has passed these
            checks |= {"epsilon": self._require_budget, "least_victims": self._require_victims}
        for term, require in checks.items():
            try:
                require(manifest)
            except RefusedError as error:
                found.append(Objection(term, error.cause, error.fix))
        return tuple(found)

    def _obstacle(self, manifest: Manifest) -> SafeBordersError | None:
        """What would keep the node from taking a study on now, approvals apart."""
        try:
            self._require_roster(manifest)
            refuse_for(manifest, self._terms(manifest))
            self._require_budget(manifest)
            self._require_victims(manifest)
            self.policy.require_open(self.clock())
        except SafeBordersError as error:
            return error
        return None

    def _terms(self, manifest: Manifest) -> tuple[Objection, ...]:
        today = self.clock().date()
        return self.policy.objections(manifest, node=self.node, max_victims=self.max_victims, today=today)

    def _require_roster(self, manifest: Manifest) -> None:
        require_roster(manifest, self.roster_hash)

    def _require_budget(self, manifest: Manifest) -> None:
        self.ledger.require_budget(manifest.id, manifest.rho, count=self.cost_of_count(manifest))

    def _require_victims(self, manifest: Manifest) -> None:
        counted = self.noised_count(manifest)
        if counted is not None and counted.noised < self.policy.least_victims:
            raise population.too_few(manifest, self.policy.least_victims)


def require_roster(manifest: Manifest, roster_hash: str) -> None:
    """Raises RefusedError ``wrong-roster`` when a study is for another roster than the one accepted here."""
    if manifest.roster_hash != roster_hash:
        raise RefusedError(
            "wrong-roster",
            f"study {manifest.id!r} is for another roster than the one accepted here",
            "accept the new roster with two approvers, or have the study drafted again",
        )
