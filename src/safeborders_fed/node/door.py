"""The door: the only way by which anything computed on case data leaves a node.

Unit: one victim, with all their records, at this node. Bound: that of the ``BoundedSum``, which must be the
manifest's. Noise: an independent exact discrete Gaussian at the manifest's scale on every coordinate
(``privacy.noise``). Theorem: ``privacy.accounting.round_cost``; the cost is charged before sending.

Guarantees, in this order (a crash between any two steps leaks and loses nothing):

1. The same attempt with the same inputs gets its stored bytes again; an older one is refused.
2. The sum is built, checked, noised, masked, reduced modulo 2^64 and signed.
3. Bytes, cost and an entry for the audit log are committed in one transaction (``node.ledger``).
4. The audit log is written and synced.
5. The bytes are read back from the store, and only those can be sent.

Only this module constructs ``Outgoing``, and a transport carries nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.errors import DefectError
from safeborders_fed.node.identity import Identity
from safeborders_fed.node.ledger import Ledger
from safeborders_fed.node.session import Session
from safeborders_fed.privacy.bounded_sum import BoundedSum
from safeborders_fed.privacy.noise import discrete_gaussian
from safeborders_fed.study.handshake import Begun, Joined, Testimony
from safeborders_fed.study.link_messages import LinkAnswer
from safeborders_fed.study.manifest import Manifest, StageTerms
from safeborders_fed.study.messages import Contribution, Reason, Refusal, Round
from safeborders_fed.study.offering import Kept, Offered

Noise = Callable[[float, int], NDArray[np.int64]]
"""Scale (grid units) and size to independent samples."""
_SEAL: Final = object()
_LINK_TICKS: Final = MappingProxyType(dict.fromkeys(("tags", "hits", "verify", "post"), 1.0))
"""Seconds to whole numbers of which those answers of links wait whose time could tell what a node's files
hold, which reported hits are canaries, or a yes from a no."""


class Outgoing:
    """Bytes that may leave the node. Made by ``Door`` only.

    Attributes:
        data: An encoded ``Contribution`` or ``Refusal``, or an answer of ``study.handshake``,
            ``study.offering`` or ``study.link_messages``.
        tick: It leaves a whole number of so many seconds after the request; 0 for at once.
    """

    __slots__ = ("data", "tick")

    def __init__(self, seal: object, data: bytes, tick: float = 0.0) -> None:
        if seal is not _SEAL:
            raise DefectError("unsealed-outgoing", "bytes were to leave around the door", "report this")
        self.data = data
        self.tick = tick


class Door:
    """The door of one node.

    Args:
        identity: The node's name and signing key.
        ledger: Where costs and bytes are kept.
        record: Writes the ledger's outbox to the audit log, durably.
        noise: The sampler; only a privacy audit passes another.
    """

    def __init__(
        self,
        identity: Identity,
        ledger: Ledger,
        record: Callable[[], None],
        noise: Noise = discrete_gaussian,
    ) -> None:
        self._identity = identity
        self._ledger = ledger
        self._record = record
        self._noise = noise

    def contribution(
        self,
        manifest: Manifest,
        request: Round,
        request_hash: str,
        build: Callable[[], BoundedSum],
        session: Session,
    ) -> Outgoing:
        """Answers an attempt that the participant found permitted.

        Args:
            manifest: The approved manifest, whose hash the request carries.
            request: The attempt.
            request_hash: SHA-256 of the request's bytes: the same attempt with other inputs has another.
            build: Computes the bounded sum; called only if the attempt was not answered before.
            session: Checks keys and heads of the attempt and gives this node's mask; raises before anything
                is charged.

        Raises:
            RefusedError: ``attempt-replayed``, ``study-ended``, ``not-reserved``, ``reservation-exhausted``.
            DefectError: when the sum is not the one that the manifest describes.
        """
        terms = manifest.terms(request.stage)
        stored = self._ledger.stored(request.key, request_hash)
        if stored is None:
            self._record()  # what a failure kept from the audit log, before the ledger forgets it
            scale = manifest.share(request.stage, len(request.participants))
            heads = session.check_heads(request)
            stated = session.sign_head(self._ledger.head())
            masks = session.mask(request, terms.dimension)
            vector = self._noised(build(), terms, scale) + masks
            message = Contribution(
                study=request.study,
                round=request.round,
                attempt=request.attempt,
                node=self._identity.node,
                head=stated,
                vector=vector,
            ).signed(self._identity.signing_key)
            stored = self._ledger.spend(request.key, request_hash, message.encode(), terms.rho, heads=heads)
            session.has_stated(stated)
        self._record()
        return Outgoing(_SEAL, stored, manifest.tick_seconds)

    def _noised(self, total: BoundedSum, terms: StageTerms, scale: float) -> NDArray[np.uint64]:
        if total.values.shape != (terms.dimension,) or total.bound != terms.bound:
            raise DefectError(
                "wrong-sum",
                f"stage {terms.name} wants dimension {terms.dimension} and bound {terms.bound}, "
                f"not {total.values.size} and {total.bound}",
                "report this",
            )
        return (total.values + self._noise(scale, terms.dimension)).view(np.uint64)

    def refusal(self, reason: Reason, tick: float) -> Outgoing:
        """Says no, with a reason that does not depend on case data, at a tick of its study."""
        return Outgoing(_SEAL, Refusal(self._identity.node, reason).encode(), tick)

    @staticmethod
    def handshake(message: Joined | Testimony | Begun, tick: float = 0.0) -> Outgoing:
        """Lets out what ``node.session`` says before the first round: keys and ledger heads, no case data.

        At a tick of the study if it took the study on just now, for which victims may have been counted.
        """
        return Outgoing(_SEAL, message.encode(), tick)

    @staticmethod
    def receipt(message: Offered | Kept) -> Outgoing:
        """Lets out where this node stands on a study, or that it has kept a part: words of fixed lists."""
        return Outgoing(_SEAL, message.encode())

    @staticmethod
    def link(message: LinkAnswer) -> Outgoing:
        """Lets out an answer of the second protocol, links: blinded points, shares, tags, sealed letters.

        No noise is added and epsilon does not cover it: what is learnt from it, and by whom, is said in
        ``docs/links.md``. Whoever made it has charged its quotas and put it on record before.
        """
        return Outgoing(_SEAL, message.encode(), _LINK_TICKS.get(message.step, 0.0))
