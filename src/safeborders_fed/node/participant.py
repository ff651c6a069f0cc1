"""The node's half of a study: from the bytes of a request to the bytes that may leave.

Guarantees:

- Everything a node computes on comes from the manifest it approved, except the broadcast, which must have
  exactly the expected names and shapes and hold finite numbers only.
- Whether a node answers depends on public inputs only, or on a noised count that was charged before
  (``node.population``); what waits for a count leaves at a tick of the study. Every failure, also a defect,
  ends in one of the fixed reasons; what happened in detail is written to the log of the node. A failure while
  a sum is computed on the cases is charged and answered like any attempt, with noise over a sum of nobody.
- A study runs on the snapshot of the case store that was the latest when the study was approved.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from safeborders_fed.analyses.base import Analysis
from safeborders_fed.audit import anchors
from safeborders_fed.audit.chain import Operation
from safeborders_fed.audit.log import AuditLog
from safeborders_fed.cases.encoding import merge
from safeborders_fed.errors import ConfigurationError, PeerError, RefusedError, SafeBordersError
from safeborders_fed.node.approvals import Approval, Approver, require_approvals
from safeborders_fed.node.desk import Desk, require_roster
from safeborders_fed.node.door import Door, Noise, Outgoing
from safeborders_fed.node.identity import Identity
from safeborders_fed.node.journal import now
from safeborders_fed.node.offers import Offers
from safeborders_fed.node.policy import Policy
from safeborders_fed.node.population import Census
from safeborders_fed.node.round_checks import (
    REASONS,
    check_broadcast,
    check_participants,
    malformed,
    stage_of_round,
)
from safeborders_fed.node.session import Session
from safeborders_fed.privacy.bounded_sum import BoundedSum, BoundedSumBuilder
from safeborders_fed.privacy.noise import discrete_gaussian
from safeborders_fed.study import canonical
from safeborders_fed.study.handshake import Begin, Join, Testimony, Witness
from safeborders_fed.study.link_messages import LinkAsk
from safeborders_fed.study.manifest import Manifest
from safeborders_fed.study.messages import Reason, Round, decode
from safeborders_fed.study.offering import Finished, Kept, Offer, Offered

if TYPE_CHECKING:
    from safeborders_fed.cases.store import CaseStore
    from safeborders_fed.node.ledger import Ledger
    from safeborders_fed.node.link_desk import LinkDesk
    from safeborders_fed.node.studies import NodeStudies

LOG: Final = logging.getLogger(__name__)


@dataclass
class _Study:
    """An approved study in memory: its data are read when the first round comes."""

    manifest: Manifest
    manifest_hash: str
    session: Session
    analysis: Analysis[Any, Any, Any]
    snapshot: str
    prepared: Any = None


class Participant:
    """A node that takes part in studies.

    Args:
        identity: The node's name, signing key and accepted keys.
        store: Its case store.
        ledger: Its ledger.
        policy: What it permits.
        approvers: The people enrolled at the node.
        audit_log: Where every approval and contribution is written.
        studies: The studies that it is offered, on its disk. Without it only ``approve`` takes studies on.
        share_reviews: Whether the other nodes may read what this node's people decide.
        links: Its half of links with other states; without it the node takes no part in them.
        clock: Gives the time, UTC (tests inject it).
        noise: The sampler; only a privacy audit passes another.
    """

    def __init__(
        self,
        *,
        identity: Identity,
        store: CaseStore,
        ledger: Ledger,
        policy: Policy,
        approvers: Collection[Approver],
        audit_log: AuditLog,
        studies: NodeStudies | None = None,
        share_reviews: bool = False,
        links: LinkDesk | None = None,
        clock: Callable[[], datetime] = now,
        noise: Noise = discrete_gaussian,
    ) -> None:
        self.node = identity.node
        self._identity = identity
        self._store = store
        self._ledger = ledger
        self._policy = policy
        self._approvers = approvers
        self._audit_log = audit_log
        self._clock = clock
        self._door = Door(identity, ledger, self._record_charges, noise)
        self._noise = noise
        self._links = links
        self._studies: dict[str, _Study] = {}
        self._tick = 0.0
        self._record_charges()  # those that a crash kept from the audit log
        self._offers: Offers | None = None
        if studies is not None:
            desk = Desk(
                self.node,
                identity.roster_hash,
                store.max_victims,
                studies=studies,
                ledger=ledger,
                policy=policy,
                approvers=approvers,
                clock=clock,
                latest_snapshot=store.latest_snapshot,
                accepted=identity.accepted,
            )
            sharing = identity.signing_key if share_reviews else None
            self._offers = Offers(desk, audit_log, self.end, sharing)
            self._offers.end_expired()

    @property
    def is_busy(self) -> bool:
        """Whether a study was taken on and has not ended: its keys are in this process alone."""
        return bool(self._studies)

    @property
    def audit_log(self) -> AuditLog:
        """The node's audit log, which this process alone may write."""
        return self._audit_log

    @property
    def ledger(self) -> Ledger:
        """The node's ledger."""
        return self._ledger

    def _record_charges(self) -> None:
        """Writes to the audit log what the ledger has charged; the next charge clears it from the outbox."""
        for key, facts in self._ledger.outbox():
            operation = Operation.COUNT if "population" in facts else Operation.CONTRIBUTE
            self._audit_log.append_if_new(
                key, operation, who=self.node, why=f"study {facts['study']}", details=facts
            )

    def approve(self, manifest: Manifest, approvals: Sequence[Approval]) -> None:
        """Takes a study on: checks it, holds it against policy and approvals, and reserves its cost.

        Raises:
            RefusedError: when the manifest contradicts itself, policy or budget say no, the node is closed,
                not enough of this node's approvers have signed its hash, or too few victims are counted.
            ConfigurationError: ``no-cases``, when the store holds no snapshot.
        """
        snapshot = self._admitted(manifest)
        counted = require_approvals(
            approvals,
            subject="study",
            subject_hash=manifest.hash(),
            approvers=self._approvers,
            needed=self._policy.approvals_needed,
            now=self._clock(),
        )
        self._take_on(manifest, snapshot, counted)

    def _admitted(self, manifest: Manifest) -> str:
        """The snapshot that a study would run on, if all but people permits it. Raises as ``approve``."""
        manifest.check()
        require_roster(manifest, self._identity.roster_hash)
        self._policy.check(
            manifest, node=self.node, max_victims=self._store.max_victims, today=self._clock().date()
        )
        snapshot = self._store.latest_snapshot()
        if snapshot is None:
            raise ConfigurationError(
                "no-cases",
                f"node {self.node} holds no cases",
                "import a case file with `safeborders node import`",
            )
        return snapshot

    def _take_on(self, manifest: Manifest, snapshot: str, approvals: Sequence[Approval]) -> _Study:
        """Reserves a study's cost and holds it ready; after a restart once more, whatever the hour."""
        self._identity.require_current(manifest.participants, self._clock().date())
        digest = manifest.hash()
        if self._ledger.reservation(manifest.id) is None:
            self._policy.require_open(self._clock())
            least = self._policy.least_victims
            Census(self._store, self._ledger, least, self._record_charges, self._noise).require(
                manifest, snapshot
            )
        snapshot = self._ledger.reserve(manifest.id, digest, manifest.rho, snapshot)
        self._audit_log.append_if_new(
            f"approve/{manifest.id}/{digest}",
            Operation.APPROVE,
            who=", ".join(approval.name for approval in approvals) or self.node,
            why=manifest.purpose,
            details={"study": manifest.id, "manifest": digest, "rho": manifest.rho, "snapshot": snapshot},
        )
        session = Session(manifest, digest, self._identity, self._ledger, self._anchor(manifest.id))
        study = _Study(manifest, digest, session, manifest.build_analysis(), snapshot)
        self._studies[manifest.id] = study
        return study

    def _anchor(self, study: str) -> str:
        """Anchors the audit log in a study that is taken on: first there, then in the ledger."""
        anchor = anchors.lay(self._audit_log, study)
        self._ledger.anchors.add(study, anchor)
        return anchor.hash

    def end_expired(self) -> tuple[str, ...]:
        """Ends the studies whose last day is past; their names. For the service to call now and then."""
        return () if self._offers is None else self._offers.end_expired()

    def end(self, study: str) -> None:
        """Ends a study: releases what it did not spend, and forgets its data."""
        self._ledger.end(study)
        self._audit_log.append_if_new(
            f"end/{study}",
            Operation.STUDY_END,
            who=self.node,
            why="the study has ended",
            details={"study": study, "spent": self._ledger.totals(study=study).spent},
        )
        self._studies.pop(study, None)

    def answer(self, data: bytes) -> Outgoing:
        """Answers the bytes of a request, one at a time. Never raises for what request or cases hold."""
        self._tick = 0.0
        try:
            return self._reply(data)
        except SafeBordersError as error:
            LOG.warning("refused: %s", error)
            otherwise = Reason.MALFORMED if isinstance(error, PeerError) else Reason.UNAVAILABLE
            return self._door.refusal(REASONS.get(error.code, otherwise), self._tick)
        except Exception:  # the last line of defence: no exception text may leave the node
            LOG.exception("defect while answering a request")
            return self._door.refusal(Reason.UNAVAILABLE, self._tick)

    def _reply(self, data: bytes) -> Outgoing:
        message = decode(data)
        if isinstance(message, LinkAsk):
            return self._door.link(self._require_links().answer(message))
        if isinstance(message, Offer | Finished):
            return self._door.receipt(self._receipt(message))
        match message:
            case Round() as request:
                return self._contribute(request, canonical.sha256(data))
            case Join() as join:
                session = self._study(join.study, join.manifest_hash).session
                return self._door.handshake(session.join(join.call), self._tick)
            case Witness() as witness:
                return self._door.handshake(self._witness(witness))
            case Begin() as begin:
                return self._door.handshake(self._study(begin.study).session.begin(begin))
        raise malformed("it is not a request")

    def _witness(self, request: Witness) -> Testimony:
        """Testifies to the ledgers of the others, and keeps the anchors of their audit logs for good."""
        testimony = self._study(request.study).session.witness(request)
        if self._offers is not None:
            others = [joined for joined in request.joined if joined.node != self.node]
            self._offers.desk.studies.keep_anchors(
                request.study, others, by=self.node, today=self._clock().date()
            )
        return testimony

    def _study(self, study: str, manifest_hash: str | None = None) -> _Study:
        found = self._studies.get(study)
        if found is None and manifest_hash is not None and self._offers is not None:
            found = self._from_disk(self._offers, study, manifest_hash)
        if found is None or manifest_hash not in {None, found.manifest_hash}:
            raise RefusedError(
                "not-approved",
                f"study {study!r} is not approved here with that manifest",
                "publish it, and let each node approve it",
            )
        return found

    def _from_disk(self, offers: Offers, study: str, manifest_hash: str) -> _Study | None:
        """Takes on a study that was offered and approved, or was taken on before a restart."""
        offers.end_expired()
        manifest = offers.desk.studies.manifest(study)
        if manifest.hash() != manifest_hash:
            return None
        snapshot = self._admitted(manifest)
        approvals = offers.approvals(manifest)
        self._tick = manifest.tick_seconds  # from here on the time of an answer may depend on the cases
        offers.desk.studies.keep_keys(study, self._identity.accepted)
        return self._take_on(manifest, snapshot, approvals)

    def _receipt(self, message: Offer | Finished) -> Offered | Kept:
        if self._offers is None:
            raise malformed("this node is offered no studies")
        if isinstance(message, Offer):
            return self._offers.offered(message)
        return self._offers.finished(message)

    def _require_links(self) -> LinkDesk:
        if self._links is None:
            raise malformed("this node takes no part in links")
        return self._links

    def _contribute(self, request: Round, request_hash: str) -> Outgoing:
        study = self._study(request.study, request.manifest_hash)
        manifest = study.manifest
        self._tick = manifest.tick_seconds  # from here on the time of an answer may depend on the cases
        if self._clock().date() > manifest.expires:
            raise RefusedError("study-expired", f"study {manifest.id!r} has expired", "draft it again")
        stage = stage_of_round(study.analysis, request)
        check_participants(self.node, manifest, request)
        check_broadcast(study.analysis, request)
        study.session.require_begun()

        # Read before anything that depends on what the cases hold: a store that cannot be read is a refusal.
        table = self._store.cases(study.snapshot) if study.prepared is None else None

        def build() -> BoundedSum:
            try:
                if table is not None:
                    links = None if self._links is None else self._links.linked
                    victims = merge(table, study.analysis.fields(), links)
                    study.prepared = study.analysis.prepare(victims, self.node)
                return study.analysis.contribute(
                    study.prepared, stage, request.broadcast, manifest.max_victims
                )
            except Exception:  # whether an answer comes must not depend on the cases (ADR 13)
                # Each refusal would be an exact answer for free, so the attempt is charged like any other.
                LOG.exception("defect: nobody counted in round %d of %s", request.round, manifest.id)
                nobody = BoundedSumBuilder(
                    dimension=stage.dimension, bound=stage.bound, max_victims=manifest.max_victims
                )
                return nobody.finish()

        return self._door.contribution(manifest, request, request_hash, build, study.session)
