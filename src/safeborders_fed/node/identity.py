"""Who a node is to the others: its signing key, and the keys of the others that it accepts.

Guarantees: the signing key is never shown or logged, lies in a file that only its user can read, and is never
overwritten. A node takes part only with a roster whose every key it has accepted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from safeborders_fed.errors import ConfigurationError, PeerError
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.study.accepted_keys import AcceptedKeys
from safeborders_fed.study.handshake import Head
from safeborders_fed.study.roster import Roster


@dataclass(frozen=True)
class Identity:
    """One node among others.

    Attributes:
        node: Its name.
        signing_key: Long-term Ed25519 key.
        accepted: Name to public key (64 hexadecimal digits) of every node of the roster, itself included.
        roster_hash: Hash of the roster that holds exactly those keys.
        retired: Keys of this node that were given up; heads that it signed with one of them still count.
        roster: That roster, which says from when to when each key may be used; None on one machine.
    """

    node: str
    signing_key: Ed25519PrivateKey = field(repr=False)
    accepted: Mapping[str, str]
    roster_hash: str
    retired: tuple[str, ...] = ()
    roster: Roster | None = None

    def __post_init__(self) -> None:
        if self.accepted.get(self.node) != public_hex(self.signing_key):
            raise ConfigurationError(
                "not-in-roster",
                f"the roster does not hold the signing key of {self.node}",
                "have the coordinator enrol this node's key, and accept the new roster",
            )

    def check_own(self, head: Head) -> None:
        """Checks that this node signed a ledger head, with its key of now or an earlier one.

        Raises:
            PeerError: ``bad-signature``.
        """
        for public in self.retired:
            try:
                head.check(public, self.node)
            except PeerError:
                continue
            return
        head.check(self.accepted[self.node], self.node)

    @classmethod
    def from_accepted(
        cls, node: str, signing_key: Ed25519PrivateKey, accepted: AcceptedKeys, today: date
    ) -> Identity:
        """The identity under the roster that the node's own people have accepted.

        Raises:
            ConfigurationError: ``no-roster`` or ``not-in-roster``.
            RefusedError: its own key has expired, is not valid yet, or is not in the roster.
        """
        if accepted.roster is None:
            raise ConfigurationError(
                "no-roster",
                f"node {node} has accepted no roster",
                "have the roster sent by the coordinator accepted by two approvers",
            )
        # Its own key only: another state's that lapsed must not stop this node, see require_current.
        accepted.roster.require_current(today, [node])
        own = accepted.earlier.get(node, ())  # no other node's: with its old key it could invent heads
        return cls(node, signing_key, accepted.keys(), accepted.roster.hash(), own, accepted.roster)

    def require_current(self, nodes: Collection[str], today: date) -> None:
        """Requires that the keys of these nodes may be used today.

        Raises:
            RefusedError: ``not-a-member``, ``member-not-yet-valid`` or ``member-expired``.
        """
        if self.roster is not None:
            self.roster.require_current(today, nodes)
