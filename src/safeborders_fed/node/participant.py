"""The node's half of a study: from the bytes of a request to the bytes that may leave.

Guarantees:

- Everything a node computes on comes from the manifest it approved, except the broadcast, which must have
  exactly the expected names and shapes and hold finite numbers only.
- Whether a node answers depends on public inputs only. Every failure, also a defect, ends in one of the
  fixed reasons; what happened in detail is written to the node's own log.
- A study runs on the snapshot of the case store that was the latest when the study was approved.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from safeborders_fed.analyses.base import Analysis, Stage
from safeborders_fed.cases.encoding import merge
from safeborders_fed.errors import ConfigurationError, PeerError, RefusedError, SafeBordersError
from safeborders_fed.node.door import Door, Outgoing
from safeborders_fed.node.policy import Policy
from safeborders_fed.privacy.bounded_sum import BoundedSum
from safeborders_fed.study import canonical
from safeborders_fed.study.manifest import Manifest
from safeborders_fed.study.messages import Reason, Round, decode

if TYPE_CHECKING:
    from safeborders_fed.cases.store import CaseStore
    from safeborders_fed.node.ledger import Ledger

LOG: Final = logging.getLogger(__name__)

_REASONS: Final = {
    "not-approved": Reason.NOT_APPROVED,
    "study-expired": Reason.EXPIRED,
    "study-ended": Reason.EXPIRED,
    "attempt-replayed": Reason.REPLAYED,
    "budget-exhausted": Reason.BUDGET,
    "reservation-exhausted": Reason.BUDGET,
    "policy": Reason.POLICY,
}


@dataclass
class _Study:
    """An approved study in memory: its data are read when the first round comes."""

    manifest: Manifest
    manifest_hash: str
    analysis: Analysis[Any, Any, Any]
    snapshot: str
    prepared: Any = None


def _today() -> date:
    return datetime.now(UTC).date()


class Participant:
    """A node that takes part in studies.

    Args:
        node: The node's name, such as ``BG``.
        store: Its case store.
        ledger: Its ledger.
        policy: What it permits.
        today: Gives the date, UTC (tests inject it).
    """

    def __init__(
        self,
        *,
        node: str,
        store: CaseStore,
        ledger: Ledger,
        policy: Policy,
        today: Callable[[], date] = _today,
    ) -> None:
        self.node = node
        self._store = store
        self._ledger = ledger
        self._policy = policy
        self._today = today
        self._door = Door(node, ledger)
        self._studies: dict[str, _Study] = {}

    def approve(self, manifest: Manifest) -> None:
        """Takes a study on: checks it, holds it against the policy and reserves its cost.

        Raises:
            RefusedError: when the manifest contradicts itself, or policy or budget say no.
            ConfigurationError: ``no-cases``, when the store holds no snapshot.
        """
        manifest.check()
        self._policy.check(manifest, node=self.node, max_victims=self._store.max_victims, today=self._today())
        snapshot = self._store.latest_snapshot()
        if snapshot is None:
            raise ConfigurationError(
                "no-cases",
                f"node {self.node} holds no cases",
                "import a case file with `safeborders node import`",
            )
        digest = manifest.hash()
        self._ledger.reserve(manifest.id, digest, manifest.rho)
        self._studies[manifest.id] = _Study(manifest, digest, manifest.build_analysis(), snapshot)

    def end(self, study: str) -> None:
        """Ends a study: releases what it did not spend, and forgets its data."""
        self._ledger.end(study)
        self._studies.pop(study, None)

    def answer(self, data: bytes) -> Outgoing:
        """Answers the bytes of a request. Never raises for what a request or the case data hold."""
        try:
            return self._contribute(_round(data), canonical.sha256(data))
        except SafeBordersError as error:
            LOG.warning("refused: %s", error)
            reason = Reason.MALFORMED if isinstance(error, PeerError) else _REASONS.get(error.code)
            return self._door.refusal(reason or Reason.UNAVAILABLE)
        except Exception:  # the last line of defence: no exception text may leave the node
            LOG.exception("defect while answering a request")
            return self._door.refusal(Reason.UNAVAILABLE)

    def _contribute(self, request: Round, request_hash: str) -> Outgoing:
        study = self._studies.get(request.study)
        if study is None or study.manifest_hash != request.manifest_hash:
            raise RefusedError(
                "not-approved",
                f"study {request.study!r} is not approved here with that manifest",
                "publish it, and let each node approve it",
            )
        manifest = study.manifest
        if self._today() > manifest.expires:
            raise RefusedError("study-expired", f"study {manifest.id!r} has expired", "draft it again")
        stage = _stage_of_round(study.analysis, request)
        self._check_participants(manifest, request)
        _check_broadcast(study.analysis, request)

        def build() -> BoundedSum:
            if study.prepared is None:
                fields = study.analysis.fields()
                study.prepared = study.analysis.prepare(merge(self._store.cases(study.snapshot), fields))
            return study.analysis.contribute(study.prepared, stage, request.broadcast, manifest.max_victims)

        return self._door.contribution(manifest, request, request_hash, build)

    def _check_participants(self, manifest: Manifest, request: Round) -> None:
        named = request.participants
        if list(named) != sorted(set(named)) or not set(named) <= set(manifest.participants):
            raise _malformed("its participants are not a sorted subset of the study's")
        if self.node not in named or len(named) < manifest.minimum_participants:
            raise _malformed("this node is not among its participants, or they are too few")


def _round(data: bytes) -> Round:
    request = decode(data)
    if not isinstance(request, Round):
        raise _malformed("it is not a round")
    return request


def _stage_of_round(analysis: Analysis[Any, Any, Any], request: Round) -> Stage:
    """The stage that the manifest gives to a round number: a coordinator cannot choose another."""
    first = 0
    for stage in analysis.stages():
        if first <= request.round < first + stage.rounds and request.stage == stage.name:
            return stage
        first += stage.rounds
    raise _malformed(f"round {request.round} is not one of stage {request.stage!r}")


def _check_broadcast(analysis: Analysis[Any, Any, Any], request: Round) -> None:
    shapes = {name: array.shape for name, array in request.broadcast.items()}
    if shapes != analysis.expects(request.stage):
        raise _malformed("its broadcast has not the expected arrays")
    if not all(np.isfinite(array).all() for array in request.broadcast.values()):
        raise _malformed("its broadcast holds numbers that are not finite")


def _malformed(what: str) -> PeerError:
    return PeerError(
        "malformed-request", f"a request was refused: {what}", "check the coordinator's version and manifest"
    )
