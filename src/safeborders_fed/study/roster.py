"""The roster: which nodes take part, with which signing keys and for how long.

Guarantees: a roster is canonical JSON, signed by the coordinator's operator. Members are sorted; no node and
no key stands in it twice. Versions name the one before by hash. What a node makes of a new version is in
``accepted_keys``.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, date
from typing import Annotated, Final, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, ValidationError
from pydantic import Field as Limit

from safeborders_fed.errors import PeerError, RefusedError
from safeborders_fed.masking import signing
from safeborders_fed.masking.signing import Purpose
from safeborders_fed.study import canonical
from safeborders_fed.study.manifest import NodeName

FIRST_PREVIOUS: Final = "0" * 64
PublicKey = Annotated[str, Limit(pattern=r"^[0-9a-f]{64}$")]
Digest = Annotated[str, Limit(pattern=r"^[0-9a-f]{64}$")]
Signature = Annotated[str, Limit(pattern=r"^[0-9a-f]{128}$")]
Instant = Annotated[AwareDatetime, AfterValidator(lambda value: value.astimezone(UTC))]
_STRICT = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)


class Member(BaseModel):
    """A node and its signing key.

    Attributes:
        public: Ed25519 public key, 64 hexadecimal digits.
        valid_from: First day on which the key may be used.
        valid_until: Last day on which the key may be used.
        renewal: Signature by the node's key before this one (``sign_renewal``), or None.
    """

    model_config = _STRICT

    node: NodeName
    public: PublicKey
    valid_from: date
    valid_until: date
    renewal: Signature | None


class Roster(BaseModel):
    """All members at one version; ``previous`` is the hash of the version before, or 64 zeros."""

    model_config = _STRICT

    schema_version: Literal[1]
    version: int = Limit(ge=1)
    previous: Digest
    members: tuple[Member, ...] = Limit(min_length=1, max_length=64)

    def canonical(self) -> bytes:
        """The canonical form."""
        return canonical.serialise(self.model_dump(mode="json"))

    def hash(self) -> str:
        """SHA-256 of the canonical form."""
        return canonical.sha256(self.canonical())

    def keys(self) -> dict[str, str]:
        """Public key of each node."""
        return {member.node: member.public for member in self.members}

    def check(self) -> None:
        """Checks what holds for a roster by itself.

        Raises:
            RefusedError: ``duplicate-node``, ``duplicate-key``, ``members-unsorted``, ``bad-validity`` or
                ``roster-chain-broken``.
        """
        names = [member.node for member in self.members]
        repeated = [name for name in names if names.count(name) > 1]
        require(not repeated, "duplicate-node", f"{', '.join(repeated[:1])} is a member twice")
        keys = [member.public for member in self.members]
        sharing = [member.node for member in self.members if keys.count(member.public) > 1]
        require(not sharing, "duplicate-key", f"{' and '.join(sharing)} have the same key")
        require(names == sorted(names), "members-unsorted", "members are not in order of their names")
        for member in self.members:
            order = member.valid_from <= member.valid_until
            require(order, "bad-validity", f"the key of {member.node} ends before it begins")
        first = self.previous == FIRST_PREVIOUS
        require(
            first == (self.version == 1),
            "roster-chain-broken",
            "version 1 and no other has no version before it",
        )

    def require_current(self, on: date, nodes: Collection[str] | None = None) -> None:
        """Requires that the keys of these nodes (of all, by default) may be used on a day.

        Raises:
            RefusedError: ``not-a-member``, ``member-not-yet-valid`` or ``member-expired``.
        """
        members = {member.node: member for member in self.members}
        for node in members if nodes is None else nodes:
            if node not in members:
                raise RefusedError("not-a-member", f"{node} is not in the roster", "enrol it first")
            member = members[node]
            if on < member.valid_from:
                raise RefusedError(
                    "member-not-yet-valid",
                    f"the key of {node} may be used from {member.valid_from} on",
                    "wait for that day, and check this machine's clock",
                )
            if on > member.valid_until:
                raise RefusedError(
                    "member-expired",
                    f"the key of {node} could be used until {member.valid_until}",
                    f"ask {node} to renew its key, and check this machine's clock",
                )


def parse(data: bytes) -> Roster:
    """A roster from its canonical bytes, checked.

    Raises:
        PeerError: ``not-canonical``, or ``bad-roster`` naming each wrong field.
        RefusedError: from ``Roster.check``.
    """
    canonical.parse(data)
    try:
        roster = Roster.model_validate_json(data)
    except ValidationError as error:
        raise _malformed(error) from error
    roster.check()
    return roster


class SignedRoster(BaseModel):
    """A roster and the signature of the coordinator's operator over its canonical form."""

    model_config = _STRICT

    roster: Roster
    signer: PublicKey
    signature: Signature

    @classmethod
    def sign(cls, roster: Roster, key: Ed25519PrivateKey) -> SignedRoster:
        """Signs a roster.

        Raises:
            RefusedError: from ``Roster.check``.
        """
        roster.check()
        signature = signing.sign(key, Purpose.ROSTER, roster.canonical())
        return cls(roster=roster, signer=signing.public_hex(key), signature=signature)

    def to_bytes(self) -> bytes:
        """The canonical form."""
        return canonical.serialise(self.model_dump(mode="json"))

    @classmethod
    def from_bytes(cls, data: bytes, operator: str) -> SignedRoster:
        """A roster that this operator (public key, 64 hexadecimal digits) signed.

        Raises:
            PeerError: ``not-canonical``, ``bad-roster``, ``wrong-roster-signer`` or ``bad-signature``.
            RefusedError: from ``Roster.check``.
        """
        canonical.parse(data)
        try:
            signed = cls.model_validate_json(data)
        except ValidationError as error:
            raise _malformed(error) from error
        signed.check((operator,))
        return signed

    def check(self, operators: Collection[str]) -> None:
        """Requires that one of these operators (public keys) signed it.

        Raises:
            PeerError: ``wrong-roster-signer`` or ``bad-signature``.
            RefusedError: from ``Roster.check``.
        """
        if self.signer not in operators:
            raise PeerError(
                "wrong-roster-signer",
                "the roster is signed by another key than that of the coordinator's operator",
                "ask the operator, by a way of your own, which key is theirs",
            )
        signing.verify(self.signer, Purpose.ROSTER, self.roster.canonical(), self.signature)
        self.roster.check()


def sign_renewal(old: Ed25519PrivateKey, node: str, new_public: str, version: int) -> str:
    """The old key's word for the new one, in the roster of this version: 128 hexadecimal digits."""
    return signing.sign(
        old, Purpose.KEY_RENEWAL, _renewal(node, signing.public_hex(old), new_public, version)
    )


def is_renewal(member: Member, old_public: str, version: int) -> bool:
    """Whether the key before this one signed for it, for the roster of this version."""
    if member.renewal is None:
        return False
    payload = _renewal(member.node, old_public, member.public, version)
    try:
        signing.verify(old_public, Purpose.KEY_RENEWAL, payload, member.renewal)
    except PeerError:
        return False
    return True


def require(condition: bool, code: str, what: str) -> None:  # noqa: FBT001 - a condition and nothing else
    """Refuses a roster unless a condition holds.

    Raises:
        RefusedError: with this code.
    """
    if not condition:
        raise RefusedError(code, f"the roster is refused: {what}", "ask the coordinator's operator about it")


def _renewal(node: str, old: str, new: str, version: int) -> bytes:
    return canonical.serialise({"node": node, "old": old, "new": new, "version": version})


def _malformed(error: ValidationError) -> PeerError:
    problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
    return PeerError("bad-roster", f"the roster is wrong: {problems}", "ask the coordinator's operator")
