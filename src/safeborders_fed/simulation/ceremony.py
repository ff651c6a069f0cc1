"""Keys for a federation on one machine: what enrolment and approval are between people in a real one.

Guarantees: the documents and checks are the real ones (roster, accepted keys, approvals by two people at each
node); only the people are made up, and their keys exist in this process alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node.approvals import Approval, Approver, Subject, accept_roster, approve
from safeborders_fed.node.identity import Identity
from safeborders_fed.study.accepted_keys import AcceptedKeys, check_successor
from safeborders_fed.study.manifest import Manifest
from safeborders_fed.study.roster import Member, Roster

_VALID = timedelta(days=365)


@dataclass(frozen=True)
class People:
    """Two approvers, or two prosecutors, of one node.

    Attributes:
        enrolled: What the node knows of them.
    """

    enrolled: tuple[Approver, ...]
    _keys: tuple[Ed25519PrivateKey, ...] = field(repr=False)

    def approve(self, subject: Subject, subject_hash: str) -> list[Approval]:
        """Both sign."""
        now = datetime.now(UTC)
        return [
            approve(
                key,
                name=person.name,
                subject=subject,
                subject_hash=subject_hash,
                signed_at=now,
                expires=now + timedelta(days=1),
            )
            for person, key in zip(self.enrolled, self._keys, strict=True)
        ]


@dataclass(frozen=True)
class Ceremony:
    """Everything that enrolment leaves behind.

    Attributes:
        operator: Signing key of the coordinator's operator.
        roster: All nodes with their public keys.
        identities: Each node's own view of it.
        people: Each node's approvers.
        prosecutors: Those of each node who sign batches and hits of links.
    """

    operator: Ed25519PrivateKey = field(repr=False)
    roster: Roster
    identities: dict[str, Identity]
    people: dict[str, People]
    prosecutors: dict[str, People]

    def approvals(self, node: str, manifest: Manifest) -> list[Approval]:
        """Two approvals of a study by a node's people."""
        return self.people[node].approve("study", manifest.hash())


def hold(nodes: Sequence[str]) -> Ceremony:
    """Makes keys for all nodes and people, and has every node's people accept the roster."""
    today = datetime.now(UTC).date()
    signing_keys = {node: Ed25519PrivateKey.generate() for node in sorted(nodes)}
    members = tuple(
        Member(node=node, public=public_hex(key), valid_from=today, valid_until=today + _VALID, renewal=None)
        for node, key in signing_keys.items()
    )
    roster = Roster(schema_version=1, version=1, previous="0" * 64, members=members)
    people = {node: _people(node) for node in signing_keys}
    identities = {}
    for node, key in signing_keys.items():
        approvals = [
            approval
            for change in check_successor(None, roster).to_accept
            for approval in people[node].approve("key-acceptance", change.acceptance)
        ]
        accepted = accept_roster(
            AcceptedKeys(), roster, approvals, approvers=people[node].enrolled, now=datetime.now(UTC)
        )
        identities[node] = Identity.from_accepted(node, key, accepted, today)
    prosecutors = {node: _people(node, "prosecutor") for node in signing_keys}
    return Ceremony(Ed25519PrivateKey.generate(), roster, identities, people, prosecutors)


def _people(node: str, role: Literal["approver", "prosecutor"] = "approver") -> People:
    keys = (Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate())
    enrolled = tuple(
        Approver(name=f"{node} {place} {role}", role=role, public=public_hex(key))
        for place, key in zip(("first", "second"), keys, strict=True)
    )
    return People(enrolled, keys)
