"""Which keys of a roster a node has accepted, and what a new version of the roster changes.

Guarantees:

- What a version changes is worked out from the keys alone (``check_successor``). A renewed key follows from a
  signature by the key before it. Everything else (a new member, a lost key, a member that is gone) takes
  effect at a node only when its own people accepted it: the operator alone cannot fill a roster with puppets.
- An acceptance is for one node, one key and the key that it replaces. A key that was given up never comes
  back, under any node's name, so old signatures and acceptances cannot be played again.
- The dates of a key do not change while the key stays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from safeborders_fed.errors import ConfigurationError, PeerError, RefusedError
from safeborders_fed.study import canonical
from safeborders_fed.study.roster import PublicKey, Roster, is_renewal, require

_STRICT = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)


def acceptance_hash(node: str, public: str, replaces: str) -> str:
    """What people of a node accept, as a hash that their approvals name.

    Args:
        node: The member.
        public: Its new key; empty when the member leaves.
        replaces: The key that it had; empty for a new member.
    """
    return canonical.sha256(canonical.serialise({"node": node, "public": public, "replaces": replaces}))


def fingerprint(public: str) -> str:
    """The whole key in groups of four digits, to be read aloud."""
    return " ".join(public[start : start + 4] for start in range(0, len(public), 4))


@dataclass(frozen=True, slots=True)
class KeyChange:
    """A node's key before and after; ``old`` is empty for a new member, ``new`` for one that left."""

    node: str
    old: str
    new: str

    @property
    def acceptance(self) -> str:
        """The hash that approvals of this change name."""
        return acceptance_hash(self.node, self.new, self.old)


@dataclass(frozen=True, slots=True)
class Change:
    """What one version of the roster changes. Only ``renewed`` holds without acceptance by people."""

    added: tuple[KeyChange, ...]
    renewed: tuple[KeyChange, ...]
    replaced: tuple[KeyChange, ...]
    removed: tuple[KeyChange, ...]

    @property
    def to_accept(self) -> tuple[KeyChange, ...]:
        """Changes that two people at each node have to accept."""
        return self.added + self.replaced + self.removed

    def describe(self) -> list[str]:
        """One plain sentence for each change."""
        return (
            [f"{c.node} joins with key {fingerprint(c.new)}: two people must accept it" for c in self.added]
            + [f"{c.node} renews its key, signed by its old key: {fingerprint(c.new)}" for c in self.renewed]
            + [
                f"{c.node} has another key that its old key did not sign for: {fingerprint(c.new)}, "
                f"before {fingerprint(c.old)}: two people must accept it"
                for c in self.replaced
            ]
            + [f"{c.node} leaves: two people must accept it" for c in self.removed]
        )


def check_successor(old: Roster | None, new: Roster) -> Change:
    """What a version of the roster changes against the one before it.

    With ``old`` None (a node that has accepted no roster yet) every member is new, whatever the version.

    Raises:
        RefusedError: from ``Roster.check``; ``roster-chain-broken`` when ``new`` does not directly follow;
            ``member-changed`` when dates or renewal of an unchanged key differ; ``key-reused`` when a node
            takes a key that another node had.
    """
    new.check()
    before = {} if old is None else {member.node: member for member in old.members}
    if old is not None:
        follows = new.version == old.version + 1 and new.previous == old.hash()
        require(
            follows,
            "roster-chain-broken",
            f"version {new.version} does not follow directly on version {old.version}",
        )
    owners = {member.public: member.node for member in before.values()}
    added: list[KeyChange] = []
    renewed: list[KeyChange] = []
    replaced: list[KeyChange] = []
    for member in new.members:
        require(
            owners.get(member.public, member.node) == member.node,
            "key-reused",
            f"{member.node} has taken the key that {owners.get(member.public)} had",
        )
        known = before.get(member.node)
        if known is None:
            added.append(KeyChange(member.node, "", member.public))
        elif known.public == member.public:
            require(known == member, "member-changed", f"the key of {member.node} stays but its dates do not")
        else:
            change = KeyChange(member.node, known.public, member.public)
            (renewed if is_renewal(member, known.public, new.version) else replaced).append(change)
    names = {member.node for member in new.members}
    removed = [KeyChange(name, known.public, "") for name, known in before.items() if name not in names]
    return Change(tuple(added), tuple(renewed), tuple(replaced), tuple(removed))


class AcceptedKeys(BaseModel):
    """The roster that a node's own people have accepted, and all keys that were given up since.

    Attributes:
        roster: None before the first acceptance.
        retired: Keys that may never be used again, in order.
        earlier: The same by the node that had them, so that nobody passes for another with an old key.
    """

    model_config = _STRICT

    schema_version: Literal[1] = 1
    roster: Roster | None = None
    retired: tuple[PublicKey, ...] = ()
    earlier: dict[str, tuple[PublicKey, ...]] = {}

    def keys(self) -> dict[str, str]:
        """Accepted public key of each node."""
        return {} if self.roster is None else self.roster.keys()

    def accept(self, roster: Roster, require_acceptance: Callable[[str], object]) -> AcceptedKeys:
        """The list with the next version of the roster; the same version again changes nothing.

        Args:
            roster: Signed by the operator (``SignedRoster.from_bytes``), next in the chain.
            require_acceptance: Raises RefusedError unless enough people accepted the change whose
                ``acceptance_hash`` it is given.

        Raises:
            RefusedError: ``key-not-accepted`` naming the node; ``key-retired``; or from ``check_successor``.
        """
        if roster == self.roster:
            return self
        change = check_successor(self.roster, roster)
        for member in roster.members:
            require(
                member.public not in self.retired,
                "key-retired",
                f"the key of {member.node} was given up earlier and may not come back",
            )
        for entry in change.to_accept:
            try:
                require_acceptance(entry.acceptance)
            except RefusedError as error:
                raise _not_accepted(entry.node, error.cause) from error
        given_up = change.renewed + change.replaced + change.removed
        retired = tuple(sorted({*self.retired, *(entry.old for entry in given_up)}))
        earlier = {entry.node: (*self.earlier.get(entry.node, ()), entry.old) for entry in given_up}
        return AcceptedKeys(roster=roster, retired=retired, earlier={**self.earlier, **earlier})

    def require_accepted(self, roster: Roster) -> None:
        """Requires that a roster is the accepted one.

        Raises:
            RefusedError: ``key-not-accepted`` naming the node, or ``roster-not-accepted``.
        """
        accepted = self.keys()
        for member in roster.members:
            if accepted.get(member.node) != member.public:
                raise _not_accepted(member.node, "its key is not on this node's own list")
        require(
            roster == self.roster, "roster-not-accepted", f"version {roster.version} was not accepted here"
        )

    def to_bytes(self) -> bytes:
        """The canonical form."""
        return canonical.serialise(self.model_dump(mode="json"))

    @classmethod
    def from_bytes(cls, data: bytes) -> AcceptedKeys:
        """The list that ``to_bytes`` wrote.

        Raises:
            ConfigurationError: ``bad-accepted-keys``.
        """
        try:
            canonical.parse(data)
            accepted = cls.model_validate_json(data)
            if accepted.roster is not None:
                accepted.roster.check()
        except (ValidationError, PeerError, RefusedError) as error:
            raise ConfigurationError(
                "bad-accepted-keys",
                "this node's list of accepted keys is damaged",
                "restore it from backup, or accept the roster anew by two people",
            ) from error
        return accepted


def _not_accepted(node: str, why: str) -> RefusedError:
    return RefusedError(
        "key-not-accepted",
        f"the key of {node} is not accepted at this node: {why}",
        f"let two people compare the fingerprint with {node} by a way of their own and accept it",
    )
