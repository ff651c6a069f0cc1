"""Taking an approval back, which a person can do until the study is taken on.

Guarantees: it is signed by the key that approved, for the same manifest, and stands against every approval
that this key signed up to then. The person may approve again later. It is kept with the study.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, ConfigDict, ValidationError

from safeborders_fed.errors import PeerError
from safeborders_fed.masking import signing
from safeborders_fed.masking.signing import Purpose
from safeborders_fed.node.approvals import Approval, PersonName
from safeborders_fed.study import canonical
from safeborders_fed.study.manifest import Identifier
from safeborders_fed.study.roster import Digest, Instant, PublicKey, Signature


class ApprovalWithdrawal(BaseModel):
    """One person's signed word that their approval counts no more.

    Attributes:
        manifest_hash: Of the study that was approved.
        approver: Public key of the person.
        name: Name of the person, as enrolled.
        signed_at: Approvals signed up to then, UTC, are taken back.
        signature: By that key, over all other fields.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)

    schema_version: Literal[1] = 1
    study: Identifier
    manifest_hash: Digest
    approver: PublicKey
    name: PersonName
    signed_at: Instant
    signature: Signature

    def to_bytes(self) -> bytes:
        """The canonical form."""
        return canonical.serialise(self.model_dump(mode="json"))

    @classmethod
    def from_bytes(cls, data: bytes) -> ApprovalWithdrawal:
        """What ``to_bytes`` wrote.

        Raises:
            PeerError: ``not-canonical`` or ``bad-withdrawal``.
        """
        canonical.parse(data)
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            raise PeerError(
                "bad-withdrawal",
                "the withdrawal of an approval is malformed",
                "let the person sign it again with `safeborders node study withdraw-approval`",
            ) from error

    def takes_back(self, approval: Approval) -> bool:
        """Whether an approval counts no more because of it, given that ``check`` holds."""
        same = (approval.approver, approval.subject_hash) == (self.approver, self.manifest_hash)
        return same and approval.signed_at <= self.signed_at

    def check(self) -> None:
        """Raises PeerError ``bad-signature`` unless the person that it names signed it."""
        signing.verify(self.approver, Purpose.APPROVAL_WITHDRAWAL, _signed_part(self), self.signature)


def take_back(
    key: Ed25519PrivateKey, approval: Approval, *, study: str, signed_at: datetime
) -> ApprovalWithdrawal:
    """Signs that an approval counts no more; never dated before it, whatever the clock says."""
    unsigned = ApprovalWithdrawal(
        study=study,
        manifest_hash=approval.subject_hash,
        approver=signing.public_hex(key),
        name=approval.name,
        signed_at=max(signed_at, approval.signed_at),
        signature="0" * 128,
    )
    signature = signing.sign(key, Purpose.APPROVAL_WITHDRAWAL, _signed_part(unsigned))
    return unsigned.model_copy(update={"signature": signature})


def _signed_part(withdrawal: ApprovalWithdrawal) -> bytes:
    return canonical.serialise(withdrawal.model_dump(mode="json", exclude={"signature"}))
