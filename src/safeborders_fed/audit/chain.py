"""The form of the audit log, and its verification without the node's keys.

Guarantees:

- One entry a line, canonical JSON, numbered from 1. ``previous`` is the SHA-256 of the line before, so the
  last line stands for the whole file.
- What is appended together ends with a signed line; the lines before it have an empty signature and are
  covered through ``previous``. Since a signature covers everything before it, ``verify`` checks every hash
  but only the last signature of each key: altering anything means to forge one of these. A log that does not
  end with a signed line is not accepted.
- A change of the node's key is one entry: signed by the new key, with a signature of the old key over the
  chain so far in its details. Who has the later key cannot rewrite what the earlier one signed.
- A tail that was cut off with care leaves a valid log: only an anchor (the hash of a later entry, kept
  elsewhere) shows it. ``audit.anchors`` says where they are kept; ``verify`` takes numbered ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Annotated, BinaryIO, Final, NamedTuple

from pydantic import BaseModel, ConfigDict
from pydantic import Field as Limit

from safeborders_fed.errors import ConfigurationError, PeerError
from safeborders_fed.masking import signing
from safeborders_fed.masking.signing import Purpose
from safeborders_fed.study import canonical
from safeborders_fed.study.manifest import NodeName
from safeborders_fed.study.roster import Digest

LONGEST_LINE: Final = 65_536
NEW_KEY: Final = "new_audit_key"
OLD_SIGNATURE: Final = "old_audit_signature"


class Operation(StrEnum):
    """What was done."""

    IMPORT = "import"
    VIEW = "view"
    SCORE = "score"
    REVIEW = "review"
    APPROVE = "approve"
    REFUSE = "refuse"
    CONTRIBUTE = "contribute"
    COUNT = "count"
    REFUSE_REQUEST = "refuse-request"
    KEY_CHANGE = "key-change"
    EXPORT = "export"
    RECONCILE = "reconcile"
    START = "start"
    STUDY_END = "study-end"
    ERASE = "erase"
    REKEY = "rekey"
    EXPIRY = "expiry"
    RESTORE = "restore"
    ROLE_CHANGE = "role-change"
    STUDY_STATE = "study-state"
    LINK_EXCHANGE = "link-exchange"
    ENROL = "enrol"
    RELEASE = "release"
    WITHDRAW = "withdraw"
    ANCHOR = "anchor"
    LINK_TAG = "link-tag"
    LINK_HIT = "link-hit"
    LINK_DECISION = "link-decision"
    LINK_RECORD = "link-record"
    LINK_RECEIVED = "link-received"
    LINK_OUTCOME = "link-outcome"
    LINK_KEYS = "link-keys"
    LINK_BATCH = "link-batch"
    LINK_ANSWER = "link-answer"
    LINK_REFUSE = "link-refuse"
    LINK_SWITCH = "link-switch"
    LINK_ALARM = "link-alarm"


Name = Annotated[str, Limit(min_length=1, max_length=200)]
Words = Annotated[str, Limit(max_length=2000)]


class Entry(BaseModel):
    """One line of the log.

    Attributes:
        number: Counts from 1; equal to the number of the line.
        at: Time, ISO 8601, UTC.
        node: The node whose log it is.
        operation: What was done.
        who: The person or service that did it.
        why: The reason given (a study, a case, a legal basis).
        details: Further facts.
        previous: SHA-256 of the line before, without its line end; 64 zeros for the first.
        signature: Over all other fields, 128 hexadecimal digits; empty when a later line signs.
    """

    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True
    )

    number: int = Limit(ge=1)
    at: Annotated[str, Limit(pattern=r"^[0-9T:.+-]{19,40}$")]
    node: NodeName
    operation: Operation
    who: Name
    why: Words
    details: dict[Name, str | int | float | bool]
    previous: Digest
    signature: Annotated[str, Limit(pattern=r"^([0-9a-f]{128})?$")]

    def line(self) -> bytes:
        """The canonical form, without a line end."""
        return canonical.serialise(self.model_dump(mode="json"))

    def signed_part(self) -> bytes:
        """The bytes that its signature covers."""
        return canonical.serialise(self.model_dump(mode="json", exclude={"signature"}))

    def handover(self) -> bytes:
        """The bytes that the old key signs in an entry that changes the key."""
        facts = {"node": self.node, "number": self.number, "previous": self.previous}
        return canonical.serialise(facts | {NEW_KEY: self.details[NEW_KEY]})


class Head(NamedTuple):
    """Number of the last entry and the hash of its line: what to keep elsewhere as an anchor."""

    number: int
    hash: str


EMPTY: Final = Head(0, "0" * 64)


@dataclass(frozen=True, slots=True)
class Verified:
    """A log that holds: how many entries, and the hash of the last line."""

    entries: int
    head: str


def verify(path: Path, public_keys: Sequence[str], anchors: Mapping[int, str] | None = None) -> Verified:
    """Checks a whole log, in constant memory.

    Args:
        path: The log, or a copy of it.
        public_keys: The node's keys in the order of their use, up to the one in use when the log ended,
            64 hexadecimal digits each. The thief of an earlier key cannot pass off a log that ends with it.
        anchors: Hash of the line of each of these entries, as kept elsewhere.

    Raises:
        ConfigurationError: ``audit-log-altered`` naming entry and line; ``audit-key-unknown`` when the log
            goes on with a key that was not given; ``audit-log-unreadable``.
    """
    if not public_keys:
        raise _unknown_key("the audit log cannot be verified without the node's public keys")
    try:
        with path.open("rb") as file:
            verified, last = _verify_chain(file, public_keys, anchors or {})
            if last is not None:
                era = _Era(public_keys, last.era)
                if not era.signed(last.entry, last.line):
                    file.seek(0)
                    raise altered(_first_unsigned(file, public_keys), "its signature is not the node's")
    except OSError as error:
        raise ConfigurationError(
            "audit-log-unreadable",
            f"the audit log {path.name} cannot be read: {error.strerror}",
            "give the path of the log, and run this as a user who may read it",
        ) from error
    return verified


def parse_line(line: bytes, number: int) -> Entry:
    """The entry in a line (without line end) at this place.

    Raises:
        ConfigurationError: ``audit-log-altered``.
    """
    try:
        entry = Entry.model_validate_json(line)
    except ValueError as error:
        raise altered(number, "it is not an entry") from error
    if entry.number != number:
        raise altered(number, f"entry {entry.number} stands in its place")
    return entry


def is_signed(entry: Entry, line: bytes, public: str) -> bool:
    """Whether a line is this entry's canonical form and signed by this key."""
    return _holds(public, entry.signed_part(), entry.signature) and entry.line() == line


def altered(number: int, what: str) -> ConfigurationError:
    """The error for a log that does not hold at an entry."""
    return ConfigurationError(
        "audit-log-altered",
        f"the audit log does not hold at entry {number} (line {number}): {what}",
        "keep the file as evidence, tell the data protection officer, and find out who could write to it",
    )


def _unknown_key(what: str) -> ConfigurationError:
    return ConfigurationError(
        "audit-key-unknown", what, "give all of the node's keys in the order of their use, from its rosters"
    )


@dataclass(frozen=True, slots=True)
class _Last:
    entry: Entry
    line: bytes
    era: int


class _Era:
    """The key in use at a place of the log."""

    def __init__(self, keys: Sequence[str], index: int = 0) -> None:
        self._keys = keys
        self.index = index

    def signed(self, entry: Entry, line: bytes) -> bool:
        """Whether the line is signed by the key in use."""
        return is_signed(entry, line, self._keys[self.index])

    def hand_over(self, entry: Entry) -> bool:
        """Goes on to the next key; false when the key in use did not sign for that.

        Raises:
            ConfigurationError: ``audit-key-unknown``.
        """
        if not _holds(self._keys[self.index], entry.handover(), str(entry.details.get(OLD_SIGNATURE))):
            return False
        self.index += 1
        if self.index >= len(self._keys) or self._keys[self.index] != entry.details[NEW_KEY]:
            raise _unknown_key(
                f"at entry {entry.number} the audit log goes on with a key that was not given next"
            )
        return True


def _verify_chain(
    file: BinaryIO, keys: Sequence[str], anchors: Mapping[int, str]
) -> tuple[Verified, _Last | None]:
    """Checks all hashes and all handovers; returns the last entry for its signature to be checked."""
    head, last, era = EMPTY, None, _Era(keys)
    for line, following in pairwise(_lines(file)):
        number = head.number + 1
        entry = parse_line(line, number)
        if entry.previous != head.hash:
            before = number > 1 and _is_intact(entry, line, following, keys)
            raise altered(
                number - 1 if before else number, "it is not the one that the log was continued from"
            )
        if last is not None and entry.node != last.entry.node:
            raise altered(number, f"it is of node {entry.node}")
        head = Head(number, canonical.sha256(line))
        if anchors.get(number, head.hash) != head.hash:
            raise altered(number, "it is not the one that was anchored")
        if NEW_KEY in entry.details and not era.hand_over(entry):
            file.seek(0)
            raise altered(_first_unsigned(file, keys), "its signature is not the node's")
        last = _Last(entry, line, era.index)
    if last is not None and not last.entry.signature:
        raise altered(head.number + 1, "it is missing, so the last entries are not signed")
    cut = [number for number in anchors if number > head.number]
    if cut:
        raise altered(head.number + 1, f"it is missing, and all entries up to {max(cut)} that was anchored")
    if era.index != len(keys) - 1:
        raise altered(head.number + 1, "it is missing, since the log ends before the last of the given keys")
    return Verified(*head), last


def _holds(public: str, payload: bytes, signature: str) -> bool:
    try:
        signing.verify(public, Purpose.AUDIT_ENTRY, payload, signature)
    except PeerError:
        return False
    return True


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """All lines without line ends, then an empty one."""
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if not line.endswith(b"\n"):
            raise altered(
                number, "it is cut off; starting the node moves an entry that a crash cut off aside"
            )
        yield line[:-1]
    yield b""


def _is_intact(entry: Entry, line: bytes, following: bytes, keys: Sequence[str]) -> bool:
    """Whether a line that does not fit the one before is itself as it was written."""
    if entry.signature:
        return any(is_signed(entry, line, key) for key in keys)
    try:
        return Entry.model_validate_json(following).previous == canonical.sha256(line)
    except ValueError:
        return False


def _first_unsigned(file: BinaryIO, keys: Sequence[str]) -> int:
    """Number of the first entry whose signature does not hold. Slow: it checks them all."""
    era, number = _Era(keys), 0
    for line, _ in pairwise(_lines(file)):
        number += 1
        entry = parse_line(line, number)
        handed_over = NEW_KEY not in entry.details or era.hand_over(entry)
        if not handed_over or (entry.signature and not era.signed(entry, line)):
            break
    return number
