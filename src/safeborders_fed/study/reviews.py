"""What a state lets the others know of its decision on a study: "approved by RO, FI; refused by GR".

It is information and never permission: nothing counts it. A node shares its decision only if its settings say
so; the coordinator passes it on; every other node verifies it.

Guarantees: a review is signed with the key of the node that it names, over study, manifest and all that it
says. It names no person, and its reason is a word of a fixed list. Of two reviews of one node the later one
is kept, so an earlier one cannot be played again; what is not the named node's word is told from what is.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, ConfigDict, ValidationError

from safeborders_fed.errors import PeerError
from safeborders_fed.masking import signing
from safeborders_fed.masking.signing import Purpose
from safeborders_fed.study import canonical
from safeborders_fed.study.decisions import HUMAN_REASONS, Why
from safeborders_fed.study.manifest import Identifier, NodeName
from safeborders_fed.study.roster import Digest, Instant, Signature

CLOCK_TOLERANCE: Final = timedelta(minutes=5)
Decision = Literal["approved", "refused", "withdrawn"]


class SharedReview(BaseModel):
    """One node's decision on one study, for the others to read.

    Attributes:
        status: ``withdrawn`` when a person took an approval back and too few are left.
        reason: Of a refusal; else empty.
        at: When the last of its people signed, UTC.
        signature: With the node's signing key, over all other fields.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)

    schema_version: Literal[1] = 1
    study: Identifier
    manifest_hash: Digest
    node: NodeName
    status: Decision
    reason: Why = Why.NONE
    at: Instant
    signature: Signature

    def to_bytes(self) -> bytes:
        """The canonical form."""
        return canonical.serialise(self.model_dump(mode="json"))

    @classmethod
    def from_bytes(cls, data: bytes) -> SharedReview:
        """What ``to_bytes`` wrote; its signature is for ``check``.

        Raises:
            PeerError: ``not-canonical`` or ``bad-review``.
        """
        canonical.parse(data)
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            raise bad_review("a field is missing or wrong") from error

    def check(self, study: str, manifest_hash: str, keys: Mapping[str, str], now: datetime) -> None:
        """Checks that it is what it says.

        Args:
            study: The study that it must be of.
            manifest_hash: Likewise.
            keys: Public key of each participant whose word is known here.
            now: Aware time.

        Raises:
            PeerError: ``bad-review``, saying why.
        """
        if (self.study, self.manifest_hash) != (study, manifest_hash):
            raise bad_review("it is of another study")
        if self.node not in keys:
            raise bad_review(f"{self.node} is no participant whose key is known here")
        if (self.reason in HUMAN_REASONS) != (self.status == "refused"):
            raise bad_review("its reason is none that a state gives")
        if self.at > now + CLOCK_TOLERANCE:
            raise bad_review("it is dated in the future")
        try:
            signing.verify(keys[self.node], Purpose.SHARED_REVIEW, _signed_part(self), self.signature)
        except PeerError as error:
            raise bad_review(f"it is not signed by {self.node}") from error

    def follows(self, earlier: SharedReview | None) -> bool:
        """Whether it is to take the place of the one known so far; False for the same one.

        Raises:
            PeerError: ``bad-review``, when it is older, or another one of the same time.
        """
        if earlier is None:
            return True
        if self == earlier:
            return False
        if self.at <= earlier.at:
            raise bad_review(f"a later one of {self.node} is known")
        return True


def share(
    key: Ed25519PrivateKey,
    *,
    study: str,
    manifest_hash: str,
    node: str,
    status: Decision,
    reason: Why,
    at: datetime,
) -> SharedReview:
    """Signs a review with the node's key."""
    unsigned = SharedReview(
        study=study,
        manifest_hash=manifest_hash,
        node=node,
        status=status,
        reason=reason,
        at=at,
        signature="0" * 128,
    )
    signature = signing.sign(key, Purpose.SHARED_REVIEW, _signed_part(unsigned))
    return unsigned.model_copy(update={"signature": signature})


def in_words(reviews: Mapping[str, SharedReview]) -> str:
    """Such as "approved by FI, RO; refused by GR (legal-basis)"; empty when there are none."""
    parts = []
    for status, verb in (
        ("approved", "approved by"),
        ("refused", "refused by"),
        ("withdrawn", "taken back by"),
    ):
        chosen = [review for _, review in sorted(reviews.items()) if review.status == status]
        names = ", ".join(
            review.node + (f" ({review.reason.value})" if review.reason != Why.NONE else "")
            for review in chosen
        )
        parts += [f"{verb} {names}"] if chosen else []
    return "; ".join(parts)


def bad_review(what: str) -> PeerError:
    """The error for a review that is not believed."""
    return PeerError(
        "bad-review",
        f"a review of a study that another state is said to have shared is ignored: {what}",
        "ask that state by a way of your own, if it matters to you",
    )


def _signed_part(review: SharedReview) -> bytes:
    return canonical.serialise(review.model_dump(mode="json", exclude={"signature"}))
