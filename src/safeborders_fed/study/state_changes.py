"""What became of a study, as a chain of changes that the coordinator signs.

A change is signed by the *service key* of the coordinator's installation, since its service changes states by
itself. An operator vouches for that key with a certificate (``ServiceKey``), so that a node which pinned the
operator can check every change: operator, service key, change. What people decide is signed by them besides:
an operator signs the manifest that is published (``study.publication``).

Guarantees:

- A change names its study, the hash of its manifest, its number, the change before it by hash, and all that
  it says; a signature covers all of it. One change can therefore not be taken out, put in, exchanged, moved
  to another study or altered without its being seen.
- States follow each other in one direction (``NEXT``), but for a launch that asked nothing of any node, after
  which a study is published as before. There is no way out of ``finished``, ``failed`` and ``withdrawn``.
- Two histories of one study are told apart: one of them does not continue what was seen before
  (``History.continues``).

What it does not show: whether what the coordinator says is true. That is for the record of the study, which
nodes recompute.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic import Field as Limit

from safeborders_fed.errors import PeerError, RefusedError, UsageError
from safeborders_fed.masking import signing
from safeborders_fed.masking.signing import Purpose
from safeborders_fed.study import canonical
from safeborders_fed.study.manifest import Identifier
from safeborders_fed.study.roster import Digest, PublicKey, Signature

_STRICT: Final = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)
StateName = Literal["draft", "published", "running", "finished", "failed", "withdrawn"]
TERMINAL: Final = frozenset({"finished", "failed", "withdrawn"})
NEXT: Final[dict[str, frozenset[str]]] = {
    "draft": frozenset({"published", "withdrawn"}),
    "published": frozenset({"running", "failed", "withdrawn"}),
    "running": frozenset({"published", "finished", "failed", "withdrawn"}),
    "finished": frozenset(),
    "failed": frozenset(),
    "withdrawn": frozenset(),
}
FIRST_PREVIOUS: Final = "0" * 64
MOST_CHANGES: Final = 1000
_MOST_KEYS: Final = 64
_LONGEST_WHY: Final = 2000
LONGEST_NAME: Final = 200
_Who = Annotated[str, Limit(min_length=1, max_length=LONGEST_NAME)]
_Time = Annotated[str, Limit(pattern=r"^[0-9T:.+-]{19,40}$")]


class ServiceKey(BaseModel):
    """An operator's word that a key is that of the coordinator's service.

    Attributes:
        public: The service key.
        at: When it was signed, ISO 8601, UTC.
        by: Name of the operator.
        operator: Their public key.
        signature: By that key, over all other fields.
    """

    model_config = _STRICT

    public: PublicKey
    at: _Time
    by: _Who
    operator: PublicKey
    signature: Signature

    @classmethod
    def certify(cls, public: str, *, by: str, operator: Ed25519PrivateKey, at: datetime) -> ServiceKey:
        """Signs a certificate."""
        unsigned = cls(
            public=public,
            at=at.isoformat(),
            by=by,
            operator=signing.public_hex(operator),
            signature="0" * 128,
        )
        signature = signing.sign(operator, Purpose.SERVICE_KEY, _signed_part(unsigned))
        return unsigned.model_copy(update={"signature": signature})

    def is_vouched_for(self, operators: Collection[str]) -> bool:
        """Whether one of these operators (public keys) signed it."""
        if self.operator not in operators:
            return False
        return _holds(self.operator, Purpose.SERVICE_KEY, _signed_part(self), self.signature)


class StateChange(BaseModel):
    """One change of a study's state.

    Attributes:
        manifest_hash: Of the study's manifest.
        number: Counts from 1.
        at: When, ISO 8601, UTC.
        by: The person, or the service, that brought it about.
        why: For what reason.
        previous: Hash of the change before; 64 zeros for the first.
        key: The service key that signed it.
        signature: By that key, over all other fields.
    """

    model_config = _STRICT

    study: Identifier
    manifest_hash: Digest
    number: int = Limit(ge=1, le=MOST_CHANGES)
    state: StateName
    at: _Time
    by: _Who
    why: Annotated[str, Limit(max_length=_LONGEST_WHY)]
    previous: Digest
    key: PublicKey
    signature: Signature

    def hash(self) -> str:
        """SHA-256 of the canonical form, signature and all: what the next change names."""
        return canonical.sha256(canonical.serialise(self.model_dump(mode="json")))


def first_change(
    key: Ed25519PrivateKey, *, study: str, manifest_hash: str, at: datetime, by: str, why: str
) -> StateChange:
    """The change by which a study begins: it is drafted. Raises as ``next_change``."""
    facts = {"study": study, "manifest_hash": manifest_hash, "number": 1, "previous": FIRST_PREVIOUS}
    return _signed(key, facts | {"state": "draft", "at": at.isoformat(), "by": by, "why": why})


def next_change(
    key: Ed25519PrivateKey, before: StateChange, state: StateName, *, at: datetime, by: str, why: str
) -> StateChange:
    """The change that follows another one, signed.

    Args:
        key: The service key.
        before: The last change so far.
        state: The study's next state.
        at: Now, UTC.
        by: Who brings it about.
        why: For what reason; cut off after 2,000 characters.

    Raises:
        RefusedError: ``wrong-state``, when that state cannot follow; ``too-many-changes``.
        UsageError: ``bad-words``, when ``by`` is no name.
    """
    if state not in NEXT[before.state]:
        raise RefusedError(
            "wrong-state",
            f"study {before.study!r} is {before.state} and cannot become {state}",
            f"see `safeborders coordinator study show {before.study}`",
        )
    if before.number >= MOST_CHANGES - 1 and state not in TERMINAL:
        raise RefusedError(
            "too-many-changes",
            f"study {before.study!r} has changed its state {before.number} times",
            "withdraw it and draft a new study",
        )
    facts = {
        "study": before.study,
        "manifest_hash": before.manifest_hash,
        "number": before.number + 1,
        "previous": before.hash(),
    }
    return _signed(key, facts | {"state": state, "at": at.isoformat(), "by": by, "why": why})


class History(BaseModel):
    """All changes of a study so far, and the certificates of the keys that signed them."""

    model_config = _STRICT

    keys: tuple[ServiceKey, ...] = Limit(min_length=1, max_length=_MOST_KEYS)
    changes: tuple[StateChange, ...] = Limit(min_length=1, max_length=MOST_CHANGES)

    @property
    def state(self) -> StateName:
        """The state now."""
        return self.changes[-1].state

    def check(self, study: str, manifest_hash: str, operators: Collection[str]) -> None:
        """Checks the whole chain.

        Args:
            study: The study that it must be of.
            manifest_hash: Likewise.
            operators: Public keys of the operators that the reader has pinned.

        Raises:
            PeerError: ``bad-state-changes``, saying what does not hold.
        """
        vouched = {entry.public for entry in self.keys if entry.is_vouched_for(operators)}
        before: StateChange | None = None
        for number, change in enumerate(self.changes, 1):
            if (change.study, change.manifest_hash) != (study, manifest_hash):
                raise bad_changes(f"change {number} is of another study")
            previous = FIRST_PREVIOUS if before is None else before.hash()
            if (change.number, change.previous) != (number, previous):
                raise bad_changes(f"change {number} does not follow on the one before it")
            following = {"draft"} if before is None else NEXT[before.state]
            if change.state not in following:
                raise bad_changes(f"change {number} cannot follow: the study becomes {change.state}")
            if change.key not in vouched:
                raise bad_changes(f"no operator that is known here vouches for the key of change {number}")
            if not _holds(change.key, Purpose.STATE_CHANGE, _signed_part(change), change.signature):
                raise bad_changes(f"the signature of change {number} does not verify")
            before = change

    def continues(self, earlier: History | None) -> bool:
        """Whether all that was known earlier is its beginning."""
        known = () if earlier is None else earlier.changes
        return self.changes[: len(known)] == known

    def to_bytes(self) -> bytes:
        """The canonical form."""
        return canonical.serialise(self.model_dump(mode="json"))

    @classmethod
    def from_bytes(cls, data: bytes) -> History:
        """What ``to_bytes`` wrote; signatures are for ``check``.

        Raises:
            PeerError: ``not-canonical`` or ``bad-state-changes``.
        """
        canonical.parse(data)
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            raise bad_changes("a field is missing or wrong") from error


def bad_changes(what: str) -> PeerError:
    """The error for a history that does not hold."""
    return PeerError(
        "bad-state-changes",
        f"what the coordinator says became of a study does not hold: {what}",
        "keep what it sent, and ask the coordinator's operators by a way of your own",
    )


def _signed(key: Ed25519PrivateKey, facts: Mapping[str, Any]) -> StateChange:
    whole = {**facts, "why": facts["why"][:_LONGEST_WHY], "key": signing.public_hex(key)}
    try:
        unsigned = StateChange(**whole, signature="0" * 128)
    except ValidationError as error:
        raise UsageError(
            "bad-words",
            f"{facts['by'][:64]!r} cannot stand for a person",
            "give a name of up to 200 characters",
        ) from error
    signature = signing.sign(key, Purpose.STATE_CHANGE, _signed_part(unsigned))
    return unsigned.model_copy(update={"signature": signature})


def _signed_part(document: ServiceKey | StateChange) -> bytes:
    return canonical.serialise(document.model_dump(mode="json", exclude={"signature"}))


def _holds(public: str, purpose: Purpose, payload: bytes, signature: str) -> bool:
    try:
        signing.verify(public, purpose, payload, signature)
    except PeerError:
        return False
    return True
