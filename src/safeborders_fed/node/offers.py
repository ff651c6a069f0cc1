"""The node's service with studies that are offered, start, and end: what of it is answered and logged.

Guarantees: every answer is a word of a fixed list that follows from signed documents, policy and budget. A
refusal and an end are in the audit log, each once. A study that has ended holds no reservation: whoever says
that it ended, and also when nobody says so until its last day is past.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from safeborders_fed.audit.chain import Operation
from safeborders_fed.errors import ConfigurationError, RefusedError, SafeBordersError
from safeborders_fed.node.desk import Desk, why
from safeborders_fed.node.records import Record
from safeborders_fed.study.offering import Finished, Kept, Offer, Offered, Status

if TYPE_CHECKING:
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
    """

    def __init__(self, desk: Desk, audit_log: AuditLog, end: Callable[[str], None]) -> None:
        self.desk = desk
        self._audit_log = audit_log
        self._end = end

    def offered(self, offer: Offer) -> Offered:
        """Keeps a published study for the node's people, and says where it stands.

        Raises:
            ConfigurationError: It cannot be kept or logged here.
        """
        self.end_expired()
        try:
            manifest = self.desk.studies.keep(offer.published.encode("utf-8"))
            if manifest.id != offer.study:
                raise RefusedError(
                    "wrong-study", "an offer names another study than it holds", "offer it anew"
                )
            standing = self.desk.standing(manifest)
        except SafeBordersError as error:
            if isinstance(error, ConfigurationError) and error.code != "bad-manifest":
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
        return Offered(
            study=manifest.id,
            node=self.desk.node,
            manifest_hash=manifest.hash(),
            status=standing.status,
            reason=standing.reason,
        )

    def approvals(self, manifest: Manifest) -> tuple[Approval, ...]:
        """The approvals under which a study starts; those of before a restart if it has started already.

        Raises:
            RefusedError: ``not-approved``, ``not-enough-approvals`` or ``study-ended``.
            PeerError: As ``Desk.refusal``.
        """
        held = self.desk.ledger.reservation(manifest.id)
        if held is not None and held.manifest_hash == manifest.hash():
            return self.desk.studies.approvals(manifest.id)
        if Record(self.desk.studies.directory(manifest.id)).outcome() is not None:
            raise RefusedError(
                "study-ended",
                f"the coordinator said that study {manifest.id!r} has ended before it started here",
                "draft a new study",
            )
        refusal = self.desk.refusal(manifest)
        if refusal is not None:
            self._log_refusal(refusal)
        return self.desk.require_approved(manifest)

    def finished(self, message: Finished) -> Kept:
        """Ends a study that its coordinator says has ended, and keeps one part of its record.

        Raises:
            RefusedError: ``not-approved``, when this node keeps no such manifest; or from ``Record.keep``.
            ConfigurationError: The part cannot be kept.
        """
        manifest = self.desk.studies.manifest(message.study)
        if manifest.hash() != message.manifest_hash:
            raise RefusedError(
                "not-approved", f"study {manifest.id!r} is another one here", "compare the manifests"
            )
        held = self.desk.ledger.reservation(manifest.id)
        if held is not None and held.ended is None:
            self._end(manifest.id)  # first: a full disk must not keep its reservation
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

    def _log_refusal(self, refusal: StudyRefusal) -> None:
        self.desk.studies.keep_refusal(refusal)
        self._audit_log.append_if_new(
            f"refuse/{refusal.study}/{refusal.manifest_hash}",
            Operation.REFUSE,
            who=refusal.name,
            why=refusal.reason.value,
            details={"study": refusal.study, "manifest": refusal.manifest_hash},
        )
