"""The node's service with studies that are offered, start, and end: what of it is answered and logged.

Guarantees: every answer is a word of a fixed list that follows from signed documents, policy and budget. A
refusal, an approval that was taken back, an end, and each change of the study's state at the coordinator are
in the audit log, each once. Nobody but the coordinator's service, by a signed change, ends a study before its
last day. A study that has ended holds no reservation, also when nobody says so until its last day is past.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from safeborders_fed.audit.chain import Operation
from safeborders_fed.errors import ConfigurationError, RefusedError, SafeBordersError
from safeborders_fed.node import told
from safeborders_fed.node.desk import OF_A_MANIFEST, Desk, Standing, why
from safeborders_fed.node.records import Record
from safeborders_fed.study import canonical
from safeborders_fed.study.offering import Finished, Kept, Offer, Offered, Status, Why
from safeborders_fed.study.reviews import Decision, SharedReview, share

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from safeborders_fed.audit.log import AuditLog
    from safeborders_fed.node.approvals import Approval
    from safeborders_fed.node.refusals import StudyRefusal
    from safeborders_fed.study.manifest import Manifest


class Offers:
    """The offered studies of one node, for its service.

    Args:
        desk: What studies are held against.
        audit_log: The node's log; the service is its only writer.
        end: Ends a study that was taken on.
        sharing: The key with which this node signs its decisions for the other nodes; None to share nothing.
    """

    def __init__(
        self,
        desk: Desk,
        audit_log: AuditLog,
        end: Callable[[str], None],
        sharing: Ed25519PrivateKey | None = None,
    ) -> None:
        self.desk = desk
        self._audit_log = audit_log
        self._end = end
        self._sharing = sharing

    def offered(self, offer: Offer) -> Offered:
        """Keeps a published study for the node's people, and says where it stands.

        Raises:
            ConfigurationError: It cannot be kept or logged here.
        """
        self.end_expired()
        try:
            manifest = self._kept(offer)
            standing = self.desk.standing(manifest)
        except SafeBordersError as error:
            if isinstance(error, ConfigurationError) and error.code not in OF_A_MANIFEST:
                raise
            return Offered(
                study=offer.study,
                node=self.desk.node,
                manifest_hash="",
                status=Status.REJECTED,
                reason=why(error),
            )
        if standing.refusal is not None:
            self._log_refusal(standing.refusal)
        self._log_withdrawals(manifest)
        review = None if self._sharing is None else own_review(self.desk, manifest, standing, self._sharing)
        return Offered(
            study=manifest.id,
            node=self.desk.node,
            manifest_hash=manifest.hash(),
            status=standing.status,
            reason=standing.reason,
            review=review,
        )

    def _kept(self, offer: Offer) -> Manifest:
        """Keeps what an offer holds, if all of it holds but for the reviews."""
        studies, data = self.desk.studies, offer.published.encode("utf-8")
        manifest = studies.verified(data)
        if manifest.id != offer.study:
            raise RefusedError("wrong-study", "an offer names another study than it holds", "offer it anew")
        told.require_history(studies, self._audit_log, manifest, offer.history)
        manifest = studies.keep(data)
        told.keep_history(studies, self._audit_log, manifest, offer.history)
        told.keep_reviews(self.desk, self._audit_log, manifest, offer.reviews)
        return manifest

    def approvals(self, manifest: Manifest) -> tuple[Approval, ...]:
        """The approvals under which a study starts; those of before a restart if it has started already.

        Raises:
            RefusedError: ``not-approved``, ``not-enough-approvals`` or ``study-ended``.
            PeerError: As ``Desk.refusal``.
        """
        held = self.desk.ledger.reservation(manifest.id)
        if held is not None and held.manifest_hash == manifest.hash():
            return self.desk.signed_here(manifest)
        if self.desk.has_ended(manifest):
            raise RefusedError(
                "study-ended",
                f"the coordinator said that study {manifest.id!r} has ended before it started here",
                "draft a new study",
            )
        refusal = self.desk.refusal(manifest)
        if refusal is not None:
            self._log_refusal(refusal)
        self._log_withdrawals(manifest)
        return self.desk.require_approved(manifest)

    def finished(self, message: Finished) -> Kept:
        """Ends a study that its coordinator says has ended, and keeps one part of its record.

        Raises:
            RefusedError: ``not-approved``, when this node keeps no such manifest; or from ``Record.keep``.
            PeerError: ``bad-state-changes``, when no signed change says that it has ended so.
            ConfigurationError: The part cannot be kept.
        """
        manifest = self.desk.studies.manifest(message.study)
        if manifest.hash() != message.manifest_hash:
            raise RefusedError(
                "not-approved", f"study {manifest.id!r} is another one here", "compare the manifests"
            )
        told.require_history(self.desk.studies, self._audit_log, manifest, message.history, message.outcome)
        held = self.desk.ledger.reservation(manifest.id)
        if held is not None and held.ended is None:
            self._end(manifest.id)  # first: a full disk must not keep its reservation
        told.keep_history(self.desk.studies, self._audit_log, manifest, message.history)
        Record(self.desk.studies.directory(manifest.id)).keep(message, manifest)
        return Kept(study=manifest.id, node=self.desk.node, part=message.part)

    def end_expired(self) -> tuple[str, ...]:
        """Ends every study that was taken on and whose last day is past; their names."""
        today, ended = self.desk.clock().date(), []
        for row in self.desk.ledger.studies():
            held = self.desk.ledger.reservation(row["id"])
            if held is None or held.ended is not None:
                continue
            expires = self.desk.studies.expiry(row["id"], held.manifest_hash)
            if expires is not None and expires < today:
                self._end(row["id"])
                ended.append(row["id"])
        return tuple(ended)

    def _log_withdrawals(self, manifest: Manifest) -> None:
        for withdrawal in self.desk.taken_back(manifest):
            self._audit_log.append_if_new(
                f"take-back/{canonical.sha256(withdrawal.to_bytes())}",
                Operation.WITHDRAW,
                who=withdrawal.name,
                why="an approval is taken back",
                details={"study": withdrawal.study, "manifest": withdrawal.manifest_hash},
            )

    def _log_refusal(self, refusal: StudyRefusal) -> None:
        self.desk.studies.keep_refusal(refusal)
        self._audit_log.append_if_new(
            f"refuse/{refusal.study}/{refusal.manifest_hash}",
            Operation.REFUSE,
            who=refusal.name,
            why=refusal.reason.value,
            details={"study": refusal.study, "manifest": refusal.manifest_hash},
        )


def own_review(
    desk: Desk, manifest: Manifest, standing: Standing, key: Ed25519PrivateKey
) -> SharedReview | None:
    """What this node shares of its decision: the same bytes as long as nobody signs anything more.

    It follows from what people signed and nothing else. An approval that was taken back is told only if
    without it too few are left of what were enough.
    """
    digest, back = manifest.hash(), desk.taken_back(manifest)
    approved = [
        approval.signed_at
        for approval in desk.signed_here(manifest)
        if not any(entry.takes_back(approval) for entry in back)
    ]
    taken_back = [entry.signed_at for entry in back if entry.manifest_hash == digest]
    status: Decision
    if standing.refusal is not None:
        status, reason, at = "refused", standing.refusal.reason, standing.refusal.signed_at
    elif standing.status in {Status.APPROVED, Status.TAKEN_ON} and approved:
        status, reason, at = "approved", Why.NONE, max(approved)
    elif taken_back and len(approved) + len(taken_back) >= standing.approvals_needed:
        status, reason, at = "withdrawn", Why.NONE, max(taken_back)
    else:
        return None
    return share(
        key, study=manifest.id, manifest_hash=digest, node=desk.node, status=status, reason=reason, at=at
    )
