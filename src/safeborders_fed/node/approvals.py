"""Approvals: what people at a node have signed, and whether enough of them did.

Guarantees:

- An approval is for one subject and one hash, from one enrolled person, until it expires; every part of it
  is signed.
- What is counted is people. One person with two keys counts once, and so do two names with one key.
  An approval that is not counted is named with the reason.
- An approver's key is stored under a passphrase only, in a file that nobody else can read. Neither the key
  nor the passphrase stands in any message.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic import Field as Limit

from safeborders_fed.cases.keys import write_key_file
from safeborders_fed.errors import ConfigurationError, PeerError, RefusedError
from safeborders_fed.masking import signing
from safeborders_fed.masking.signing import Purpose
from safeborders_fed.study import canonical
from safeborders_fed.study.accepted_keys import AcceptedKeys
from safeborders_fed.study.key_files import read_key
from safeborders_fed.study.roster import Digest, Instant, PublicKey, Roster, Signature

SHORTEST_PASSPHRASE: Final = 12
NEEDED_FOR_KEYS: Final = 2
_CLOCK_TOLERANCE: Final = timedelta(minutes=5)
_STRICT = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)

Subject = Literal["study", "key-acceptance", "reconciliation", "link-batch", "link-hit"]
Role = Literal["approver", "auditor", "prosecutor"]
PersonName = Annotated[str, Limit(min_length=1, max_length=200)]


class Revoked(BaseModel):
    """That a key counts no more, since when and why."""

    model_config = _STRICT

    on: date
    reason: Annotated[str, Limit(min_length=1, max_length=1000)]


class Approver(BaseModel):
    """A person enrolled at this node.

    An auditor reads and never approves; a prosecutor approves batches and hits of links, and nothing else.

    Attributes:
        since: Day of their enrolment, where it was written down.
        revoked: Set once the key counts no more.
    """

    model_config = _STRICT

    name: PersonName
    role: Role
    public: PublicKey
    since: date | None = None
    revoked: Revoked | None = None


class Approval(BaseModel):
    """One person's signed yes.

    Attributes:
        subject: What kind of thing is approved.
        subject_hash: Hash of the thing (of a manifest, ``roster.acceptance_hash``, ...).
        approver: Public key of the person.
        name: Name of the person, as enrolled.
        signed_at: When it was signed, UTC.
        expires: The first moment at which it no longer counts, UTC.
        signature: By the approver's key, over all other fields.
    """

    model_config = _STRICT

    subject: Subject
    subject_hash: Digest
    approver: PublicKey
    name: PersonName
    signed_at: Instant
    expires: Instant
    signature: Signature

    def to_bytes(self) -> bytes:
        """The canonical form."""
        return canonical.serialise(self.model_dump(mode="json"))

    @classmethod
    def from_bytes(cls, data: bytes) -> Approval:
        """An approval that ``to_bytes`` wrote; its signature is checked where it is counted.

        Raises:
            PeerError: ``not-canonical``, or ``bad-approval`` naming each wrong field.
        """
        canonical.parse(data)
        try:
            approval = cls.model_validate_json(data)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()
            )
            raise PeerError(
                "bad-approval", f"the approval is wrong: {problems}", "let the approver sign again"
            ) from error
        if approval.to_bytes() != data:
            raise PeerError(
                "not-canonical", "the approval's times are not written in UTC", "let the approver sign again"
            )
        return approval


def approve(
    key: Ed25519PrivateKey,
    *,
    name: str,
    subject: Subject,
    subject_hash: str,
    signed_at: datetime,
    expires: datetime,
) -> Approval:
    """Signs an approval.

    Raises:
        RefusedError: ``approval-expired``, when it would never count.
        pydantic.ValidationError: when an argument is not well-formed; nothing is quoted.
    """
    if expires <= signed_at:
        raise RefusedError(
            "approval-expired", "the approval would end before it begins", "give a later expiry"
        )
    unsigned = Approval(
        subject=subject,
        subject_hash=subject_hash,
        approver=signing.public_hex(key),
        name=name,
        signed_at=signed_at,
        expires=expires,
        signature="0" * 128,
    )
    signature = signing.sign(key, _purpose(subject), _signed_part(unsigned))
    return unsigned.model_copy(update={"signature": signature})


def require_approvals(
    approvals: Sequence[Approval],
    *,
    subject: Subject,
    subject_hash: str,
    approvers: Collection[Approver],
    needed: int,
    now: datetime,
    revoked: Collection[str] = (),
) -> tuple[Approval, ...]:
    """One approval from each person who approved, when they are enough.

    Args:
        approvals: In any order; the first that counts for a person is the one returned.
        subject: What has to be approved.
        subject_hash: Its hash.
        approvers: The people enrolled here.
        needed: Least number of different people.
        now: Aware time.
        revoked: Public keys that no longer count.

    Raises:
        RefusedError: ``not-enough-approvals``: who approved, how many are missing, and why others were
            not counted.
        ConfigurationError: ``bad-approval-policy``, when less than one person is asked for.
    """
    if needed < 1:
        raise ConfigurationError(
            "bad-approval-policy", f"{needed} approvals are asked for", "ask for one at least, better two"
        )
    known = people(approvers)
    counted: dict[int, Approval] = {}
    not_counted: list[str] = []
    for approval in approvals:
        why = _enrolment_objection(approval, approvers, revoked, role_for(subject))
        why = why or _objection(approval, subject, subject_hash, now)
        person = known.get(approval.approver)
        if why is None and person is not None and person not in counted:
            counted[person] = approval
        else:
            not_counted.append(f"{approval.name}: {why or 'this person has approved already'}")
    if len(counted) < needed:
        names = ", ".join(approval.name for approval in counted.values()) or "nobody"
        others = f"; not counted: {', '.join(not_counted)}" if not_counted else ""
        raise RefusedError(
            "not-enough-approvals",
            f"{subject} {subject_hash[:12]}... needs approval by {needed} people; approved by {names}, "
            f"{needed - len(counted)} missing{others}",
            "let further enrolled people read and approve it",
        )
    return tuple(counted.values())


def role_for(subject: Subject) -> Role:
    """The role whose people approve a subject."""
    return "prosecutor" if subject in {"link-batch", "link-hit"} else "approver"


def was_signed_here(approval: Approval, approvers: Collection[Approver]) -> bool:
    """Whether a person enrolled here signed it, whatever became of it or of their key since."""
    who = (approval.name, approval.approver, "approver")
    return any((entry.name, entry.public, entry.role) == who for entry in approvers) and _is_signed(approval)


def accept_roster(
    accepted: AcceptedKeys,
    roster: Roster,
    approvals: Sequence[Approval],
    *,
    approvers: Collection[Approver],
    now: datetime,
    revoked: Collection[str] = (),
) -> AcceptedKeys:
    """The node's accepted keys with a roster's next version, each change accepted by two people.

    Raises:
        RefusedError: from ``AcceptedKeys.accept``.
    """

    def require_acceptance(subject_hash: str) -> None:
        require_approvals(
            approvals,
            subject="key-acceptance",
            subject_hash=subject_hash,
            approvers=approvers,
            needed=NEEDED_FOR_KEYS,
            now=now,
            revoked=revoked,
        )

    return accepted.accept(roster, require_acceptance)


def create_approver_key(path: Path, passphrase: str) -> str:
    """Makes a key and writes it, encrypted, to a new file of mode 0600; returns the public key.

    Raises:
        ConfigurationError: ``passphrase-too-short``, ``key-file-exists`` or ``key-file-unwritable``.
    """
    if len(passphrase.strip()) < SHORTEST_PASSPHRASE:
        raise ConfigurationError(
            "passphrase-too-short",
            f"a passphrase has {SHORTEST_PASSPHRASE} characters at least",
            "choose several words that nobody can guess",
        )
    key = Ed25519PrivateKey.generate()
    encryption = BestAvailableEncryption(passphrase.encode("utf-8"))
    write_key_file(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    return signing.public_hex(key)


def load_approver_key(path: Path, passphrase: str) -> Ed25519PrivateKey:
    """The key that ``create_approver_key`` wrote.

    Raises:
        ConfigurationError: ``key-file-missing``, ``key-file-open-to-others``, ``approver-key-unopened``
            (wrong passphrase, or the file is damaged) or ``approver-key-malformed`` (another kind of key, or
            one without a passphrase).
    """
    pem = read_key(path)
    if b"BEGIN ENCRYPTED PRIVATE KEY" not in pem:
        raise _not_an_approver_key(path)
    try:
        key = load_pem_private_key(pem, passphrase.encode("utf-8"))
    except (ValueError, TypeError):
        raise ConfigurationError(
            "approver-key-unopened",
            f"{path} does not open with this passphrase, or is damaged",
            "type the passphrase again, or restore the file",
        ) from None  # the original error could quote the content
    if not isinstance(key, Ed25519PrivateKey):
        raise _not_an_approver_key(path)
    return key


def _enrolment_objection(
    approval: Approval, approvers: Collection[Approver], revoked: Collection[str], role: Role
) -> str | None:
    """Why an approval's key does not count, or None."""
    enrolled = [entry for entry in approvers if entry.public == approval.approver]
    if not enrolled:
        return "unknown key"
    if approval.approver in revoked or any(entry.revoked for entry in enrolled):
        return "the key is revoked"
    wrong = next((entry.role for entry in enrolled if entry.role != role), None)
    if wrong is not None:
        return f"enrolled as {wrong}"
    if all(entry.name != approval.name for entry in enrolled):
        return "the key is enrolled under another name"
    return None


def _objection(approval: Approval, subject: Subject, subject_hash: str, now: datetime) -> str | None:
    """Why an approval by an enrolled key does not count, or None."""
    if (approval.subject, approval.subject_hash) != (subject, subject_hash):
        return "for another subject"
    if now < approval.signed_at - _CLOCK_TOLERANCE:
        return "dated in the future"
    if now >= approval.expires:
        return "expired"
    return None if _is_signed(approval) else "bad signature"


def people(approvers: Collection[Approver]) -> dict[str, int]:
    """A number for each key, the same for all keys that are joined by a name or a shared key."""
    number: dict[str, int] = {}
    groups: list[set[str]] = []
    for entry in approvers:
        tags = {f"key {entry.public}", f"name {_plain(entry.name)}"}
        joined = [group for group in groups if group & tags]
        groups = [group for group in groups if not group & tags]
        groups.append(tags.union(*joined))
    for index, group in enumerate(groups):
        number |= {tag.removeprefix("key "): index for tag in group if tag.startswith("key ")}
    return number


def _plain(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _purpose(subject: Subject) -> Purpose:
    return Purpose.RECONCILIATION if subject == "reconciliation" else Purpose.APPROVAL


def _signed_part(approval: Approval) -> bytes:
    return canonical.serialise(approval.model_dump(mode="json", exclude={"signature"}))


def _is_signed(approval: Approval) -> bool:
    payload = _signed_part(approval)
    try:
        signing.verify(approval.approver, _purpose(approval.subject), payload, approval.signature)
    except PeerError:
        return False
    return True


def _not_an_approver_key(path: Path) -> ConfigurationError:
    return ConfigurationError(
        "approver-key-malformed",
        f"{path} is not an approver's key under a passphrase",
        "give the path of a key that `safeborders node approver create-key` made",
    )
