"""Refusing a study: one person's signed no.

Guarantees: a refusal is for one manifest, by one enrolled person, with a reason from a fixed list; every part
of it is signed. One is enough, since stopping is easier than starting. It stands for good: a study that was
changed for its sake is a new study.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, ConfigDict, ValidationError

from safeborders_fed.errors import PeerError, RefusedError
from safeborders_fed.masking import signing
from safeborders_fed.masking.signing import Purpose
from safeborders_fed.node.approvals import Approver, PersonName
from safeborders_fed.study import canonical
from safeborders_fed.study.manifest import Identifier
from safeborders_fed.study.offering import HUMAN_REASONS, Why
from safeborders_fed.study.roster import Digest, Instant, PublicKey, Signature


class StudyRefusal(BaseModel):
    """One person's signed no.

    Attributes:
        manifest_hash: What is refused.
        approver: Public key of the person.
        name: Name of the person, as enrolled.
        signature: By that key, over all other fields.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)

    schema_version: Literal[1] = 1
    study: Identifier
    manifest_hash: Digest
    reason: Why
    approver: PublicKey
    name: PersonName
    signed_at: Instant
    signature: Signature

    def to_bytes(self) -> bytes:
        """The canonical form."""
        return canonical.serialise(self.model_dump(mode="json"))

    @classmethod
    def from_bytes(cls, data: bytes) -> StudyRefusal:
        """A refusal that ``to_bytes`` wrote.

        Raises:
            PeerError: ``not-canonical`` or ``bad-refusal``.
        """
        canonical.parse(data)
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            raise PeerError(
                "bad-refusal", "the refusal of a study is malformed", "let the person sign it again"
            ) from error

    def check(self, approvers: Collection[Approver]) -> None:
        """Checks that a person enrolled here as approver signed it.

        Raises:
            PeerError: ``bad-signature``.
            RefusedError: ``not-an-approver``.
        """
        require_enrolled(approvers, self.name, self.approver)
        signing.verify(self.approver, Purpose.STUDY_REFUSAL, _signed_part(self), self.signature)


def refuse(
    key: Ed25519PrivateKey, *, study: str, manifest_hash: str, reason: Why, name: str, signed_at: datetime
) -> StudyRefusal:
    """Signs a refusal.

    Raises:
        RefusedError: ``unknown-reason``, when it is not one that people give.
        pydantic.ValidationError: when an argument is not well-formed; nothing is quoted.
    """
    if reason not in HUMAN_REASONS:
        raise RefusedError(
            "unknown-reason",
            "a study is refused for a reason of a fixed list, so that no text leaves the node",
            f"give one of {', '.join(HUMAN_REASONS)}, and say the rest by a way of your own",
        )
    unsigned = StudyRefusal(
        study=study,
        manifest_hash=manifest_hash,
        reason=reason,
        approver=signing.public_hex(key),
        name=name,
        signed_at=signed_at,
        signature="0" * 128,
    )
    signature = signing.sign(key, Purpose.STUDY_REFUSAL, _signed_part(unsigned))
    return unsigned.model_copy(update={"signature": signature})


def require_enrolled(approvers: Collection[Approver], name: str, public: str) -> None:
    """Requires that a person is enrolled here as approver with this key, and that it is not revoked.

    Raises:
        RefusedError: ``not-an-approver``.
    """
    wanted = (name, public, "approver")
    if not any((known.name, known.public, known.role) == wanted and not known.revoked for known in approvers):
        raise RefusedError(
            "not-an-approver",
            f"{name} is not enrolled here as an approver with this key",
            "give the name and the key file that you were enrolled with",
        )


def _signed_part(refusal: StudyRefusal) -> bytes:
    return canonical.serialise(refusal.model_dump(mode="json", exclude={"signature"}))
