"""One node's side of a study between joining and its end: keys, witnesses, masks.

Guarantees:

- The study key is made when the session is, lives in memory only, and is never used in another process: a
  disk put back to an earlier state can never produce the same mask over different noise.
- Rounds are answered only after enough peers (``witnesses_needed``) have testified, with this session's fresh
  nonce, to heads that this node's ledger holds (``study.handshake``).
- Who joins names an anchor of its audit log, one for each session: the message is the same whatever the
  node did before.
- A round's keys are checked against this node's own accepted keys, its own manifest and roster.
"""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.errors import PeerError, RefusedError
from safeborders_fed.masking.keys import SignedKey, StudyKey, offer
from safeborders_fed.masking.masks import Binding, mask
from safeborders_fed.study.handshake import Begin, Begun, Head, Joined, Known, Testimony, Witness
from safeborders_fed.study.wire import PROTOCOL

if TYPE_CHECKING:
    from safeborders_fed.node.identity import Identity
    from safeborders_fed.node.ledger import Ledger
    from safeborders_fed.study.manifest import Manifest
    from safeborders_fed.study.messages import Round

LOG: Final = logging.getLogger(__name__)


def witnesses_needed(nodes: int, colluders: int) -> int:
    """How many of the other nodes must testify, so that any two such groups share an honest node.

    Two groups of q among ``nodes - 1`` share at least ``2 q - (nodes - 1)``, which must exceed ``colluders``.
    So the group that saw a ledger's head in one study and the group asked in the next have an honest node in
    common, however a coordinator chooses them.
    """
    return (nodes - 1 + colluders) // 2 + 1


class Session:
    """A study at one node, in one process.

    Args:
        manifest: The approved manifest.
        manifest_hash: Its hash.
        identity: The node's keys and roster.
        ledger: The node's ledger, which also keeps what it witnessed.
        anchor: Hash of the line that the node's audit log has for this session (``audit.anchors``); it is in
            the ledger already, so the head that the session states stands for it.
    """

    def __init__(
        self, manifest: Manifest, manifest_hash: str, identity: Identity, ledger: Ledger, anchor: str
    ) -> None:
        self._manifest = manifest
        self._manifest_hash = manifest_hash
        self._identity = identity
        self._ledger = ledger
        self._anchor = anchor
        self._nonce = secrets.token_hex(16)
        self._begun = False
        self._key: StudyKey | None = None
        self._offer: dict[str, str] | None = None
        self._checked: set[SignedKey] = set()
        self._last_masked = -1
        self._held: set[Head] = set()
        self._stated: Head | None = None
        self._answered = False
        self._call = ""
        self._joined: Joined | None = None
        if manifest.trust == "masked":
            self._key = StudyKey.generate()
            self._offer = offer(
                self._key,
                identity.signing_key,
                node=identity.node,
                study=manifest.id,
                manifest_hash=manifest_hash,
                roster_hash=identity.roster_hash,
                boot_epoch=secrets.token_hex(16),
            ).to_json()

    def join(self, call: str = "") -> Joined:
        """Offers the study key and states the ledger's head.

        The key is the same each time, the nonce a fresh one for each call of the coordinator.
        """
        if call and call == self._call and self._joined is not None:
            return self._joined
        self._nonce = secrets.token_hex(16)
        self._answered = False
        key, node = self._identity.signing_key, self._identity.node
        self._call = call
        self._joined = Joined(
            study=self._manifest.id,
            node=node,
            key=self._offer,
            head=self._ledger.head().signed(key, node),
            nonce=self._nonce,
            anchor=self._anchor,
        ).signed(key)
        return self._joined

    def witness(self, request: Witness) -> Testimony:
        """Says which heads of the others this node knew, and remembers the new ones.

        Raises:
            PeerError: ``bad-signature`` or ``wrong-witness-request``.
        """
        others = [joined for joined in request.joined if joined.node != self._identity.node]
        for joined in others:
            joined.check(self._accepted(joined.node))
        names = [joined.node for joined in others]
        if names != sorted(set(names)) or any(joined.study != self._manifest.id for joined in others):
            raise PeerError(
                "wrong-witness-request",
                "the nodes to witness are not sorted, or of another study",
                "check the coordinator's version",
            )
        known = tuple(
            Known(node=joined.node, nonce=joined.nonce, heads=self._ledger.witnesses.witnessed(joined.node))
            for joined in others
        )
        self._ledger.witnesses.witness({joined.node: joined.head for joined in others})
        testimony = Testimony(study=self._manifest.id, node=self._identity.node, known=known)
        return testimony.signed(self._identity.signing_key)

    def begin(self, request: Begin) -> Begun:
        """Satisfies itself that no part of the ledger is missing.

        As many nodes as at the beginning of a study have then witnessed the head that it joined with, which
        stands for all its contributions, so the next round need not show the last one's. That is what lets a
        node come back whose last contribution was lost on its way.

        Raises:
            RefusedError: ``too-few-witnesses``, ``ledger-disputed``, or ``joined-too-early`` when it has
                contributed since it joined.
            PeerError: ``bad-signature``.
        """
        witnesses = set()
        for testimony in request.testimonies:
            if testimony.node == self._identity.node or testimony.study != self._manifest.id:
                continue
            testimony.check(self._accepted(testimony.node))
            for known in testimony.known:
                mine = known.node == self._identity.node and known.nonce == self._nonce
                if mine and self._holds_against(testimony.node, known):
                    witnesses.add(testimony.node)
        self._ledger.witnesses.require_undisputed()
        needed = witnesses_needed(len(self._identity.accepted), self._manifest.tolerated_colluders)
        if len(witnesses) < needed:
            raise RefusedError(
                "too-few-witnesses",
                f"{len(witnesses)} nodes witnessed this ledger; {needed} are needed",
                "ask the coordinator to pass on the testimonies of all nodes",
            )
        if self._answered:
            raise RefusedError(
                "joined-too-early",
                f"this node has contributed to study {self._manifest.id!r} since it joined",
                "let it join again",
            )
        self._begun, self._stated = True, None
        return Begun(study=self._manifest.id, node=self._identity.node)

    def _holds_against(self, witness: str, known: Known) -> bool:
        """Holds what a witness knew against the journal; false for a witness that invents heads.

        Such a one does not count, and stops nothing: else one lying node would let no study begin.
        """
        honest = True
        for head in known.heads:
            if head in self._held:
                continue
            try:
                self._identity.check_own(head)
            except PeerError:
                LOG.warning("%s testified to a ledger head that this node never signed", witness)
                honest = False
                continue
            if self._ledger.witnesses.holds(head):
                self._held.add(head)
            else:
                self._ledger.witnesses.dispute(witness, head)
        return honest

    def _accepted(self, node: str) -> str:
        if node not in self._manifest.participants or node not in self._identity.accepted:
            raise PeerError(
                "unknown-node", f"{node} is not an accepted node of this study", "check roster and manifest"
            )
        return self._identity.accepted[node]

    def require_begun(self) -> None:
        """Raises RefusedError ``not-begun`` before the handshake is complete."""
        if not self._begun:
            raise RefusedError("not-begun", f"study {self._manifest.id!r} has not begun here", "join again")

    def check_heads(self, request: Round) -> dict[str, Head]:
        """The heads of other nodes that a round shows, for the ledger to witness.

        This node's own must be the one that it last stated. Masks are bound to all of them, so every
        participant has seen the same list, each with its own current entry, or the sum is garbage.

        Raises:
            PeerError: ``bad-signature`` or ``stale-head``.
        """
        others = dict(request.heads)
        own = others.pop(self._identity.node, None)
        if own != self._stated:
            raise PeerError(
                "stale-head",
                "a round does not show the ledger head that this node stated in its last contribution",
                "pass on each node's last head unchanged",
            )
        for node, head in others.items():
            head.check(self._accepted(node), node)
            if head.study != self._manifest.id:
                raise PeerError(
                    "foreign-head",
                    f"a round shows a ledger head of {node} that it did not state in this study",
                    "pass on each node's last head unchanged",
                )
        return others

    def sign_head(self, head: Head) -> Head:
        """The ledger's head as a contribution states it."""
        stated = head.model_copy(update={"study": self._manifest.id})
        return stated.signed(self._identity.signing_key, self._identity.node)

    def has_stated(self, head: Head) -> None:
        """Remembers the head of a contribution that was stored: the next round must show it."""
        self._stated, self._answered = head, True

    def mask(self, request: Round, dimension: int) -> NDArray[np.uint64]:
        """What this node adds to its noisy vector in an attempt: zero in trust mode local.

        The ledger answers an attempt once. Should its file be exchanged for an old copy while this process
        runs, what is remembered here still keeps a mask from being made twice.

        Raises:
            PeerError: a key is not signed by an accepted node for this study, or ``foreign-key``.
            RefusedError: ``attempt-replayed``, when this or a later attempt was masked before.
        """
        if request.attempt <= self._last_masked:
            raise RefusedError(
                "attempt-replayed",
                f"attempt {request.attempt} of study {self._manifest.id!r} was masked before",
                "start a new attempt with a higher number",
            )
        if self._key is None:
            return np.zeros(dimension, dtype=np.uint64)
        if tuple(key.node for key in request.keys) != request.participants:
            raise PeerError("wrong-keys", "an attempt's keys are not those of its participants", "try again")
        for key in request.keys:
            if key not in self._checked:
                key.check(
                    self._accepted(key.node),
                    node=key.node,
                    study=self._manifest.id,
                    manifest_hash=self._manifest_hash,
                    roster_hash=self._identity.roster_hash,
                )
                self._checked.add(key)
        binding = Binding(
            protocol=PROTOCOL,
            manifest_hash=self._manifest_hash,
            roster_hash=self._identity.roster_hash,
            round=request.round,
            attempt=request.attempt,
            broadcast_hash=request.broadcast_hash(),
            participants=tuple((key.node, key.public) for key in request.keys),
        )
        self._last_masked = request.attempt
        return mask(self._key, self._identity.node, binding, dimension)
