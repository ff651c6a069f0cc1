"""Anchors of an audit log: how it is seen that its tail was cut off, or that the whole log was exchanged.

When a node joins a study it writes an entry with the study and a random salt. The SHA-256 of that line is an
anchor: the line names its predecessor's hash, so the anchor stands for the log up to there. It is kept where
whoever can write to the log cannot reach: in the ``Joined`` that the coordinator and all peers see
(``study.anchors``), and in the node's ledger, whose heads the peers witness.

Guarantees:

- An anchor says nothing of the log: not how many entries it has, nor what stands in them. The salt has 128
  bits, so a hash confirms no guess, and no two anchors tell whether anything was done between them.
- ``missing`` finds every anchor that is not the hash of a line, in the log or in a file that it follows on
  (the log of a key that was lost). It reads only lines that hold anchors; whether the lines between them are
  as they were written is for ``audit.chain.verify``.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from safeborders_fed.audit.chain import LONGEST_LINE, Entry, Head, Operation, Verified, altered, verify
from safeborders_fed.audit.tail import signed_length
from safeborders_fed.errors import ConfigurationError
from safeborders_fed.study import canonical

if TYPE_CHECKING:
    from safeborders_fed.audit.log import AuditLog

_SHOWN: Final = 5
_ENDED: Final = re.compile(r"[\w.-]{1,100}\.until-[0-9a-f]{8}\.jsonl")
_BLOCK: Final = 1 << 20


class Anchor(NamedTuple):
    """An anchor to look for.

    Attributes:
        hash: SHA-256 of the line, without its line end.
        study: What the node joined.
        day: Since when it is kept, ISO 8601.
        keeper: Who keeps it, in words.
    """

    hash: str
    study: str
    day: str
    keeper: str

    def __str__(self) -> str:
        return f"study {self.study}, {self.day}, kept by {self.keeper}"


def lay(log: AuditLog, study: str) -> Head:
    """Writes the entry that anchors a log in a study; its number, which stays at the node, and its hash."""
    return log.append(
        Operation.ANCHOR,
        who="node",
        why=f"joins study {study}",
        details={"study": study, "salt": secrets.token_hex(16)},
    )


def lines_of(path: Path, operation: Operation) -> Iterator[bytes]:
    """All lines of an operation, without line ends, found without reading the others as JSON.

    A quotation mark within a text is escaped in JSON, so no text of an entry passes for its operation.

    Raises:
        ConfigurationError: ``audit-log-unreadable``.
    """
    wanted = f'"operation":"{operation.value}"'.encode("ascii")
    rest = b""  # of a line that goes on in the next block
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                data = rest + block
                end = data.rfind(b"\n") + 1
                yield from _found(data, end, wanted)
                rest = data[end:] if len(data) - end <= LONGEST_LINE else b""  # which is no entry
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigurationError(
            "audit-log-unreadable",
            f"the audit log {path.name} cannot be read: {error.strerror}",
            "give the path of the log, and run this as a user who may read it",
        ) from error


def _found(lines: bytes, until: int, wanted: bytes) -> Iterator[bytes]:
    """Those of the whole lines before a place that hold certain bytes, without line ends."""
    at = lines.find(wanted, 0, until)
    while at >= 0:
        end = lines.index(b"\n", at)
        yield lines[lines.rfind(b"\n", 0, at) + 1 : end]
        at = lines.find(wanted, end, until)


def earlier_file(path: Path) -> tuple[Path, str] | None:
    """The file that a log follows on, of a key that was lost, and its SHA-256 as the log gives it."""
    for line in lines_of(path, Operation.KEY_CHANGE):
        try:
            details = Entry.model_validate_json(line).details
        except ValueError:
            continue
        name, digest = str(details.get("file", "")), str(details.get("sha256", ""))
        if _ENDED.fullmatch(name) and digest:
            return path.with_name(name), digest
    return None


def missing(path: Path, anchors: Collection[Anchor]) -> list[Anchor]:
    """The anchors that are the hash of no line, in the order given.

    Raises:
        ConfigurationError: ``audit-log-unreadable``.
    """
    wanted = {anchor.hash for anchor in anchors}
    seen: set[Path] = set()
    file: Path | None = path
    while wanted and file is not None and file not in seen:
        seen.add(file)
        wanted.difference_update(canonical.sha256(line) for line in lines_of(file, Operation.ANCHOR))
        before = earlier_file(file) if wanted else None
        file = before[0] if before is not None else None
    return [anchor for anchor in anchors if anchor.hash in wanted]


def require(path: Path, anchors: Collection[Anchor]) -> None:
    """Requires that every anchor is in the log.

    Raises:
        ConfigurationError: ``audit-log-cut`` naming those that are not; ``audit-log-unreadable``.
    """
    lost = missing(path, anchors)
    if lost:
        raise cut(path, lost)


def cut(path: Path, lost: Sequence[Anchor]) -> ConfigurationError:
    """The error for a log that lacks entries which it is known to have had."""
    named = "; ".join(map(str, lost[:_SHOWN]))
    more = f"; and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else ""
    restored = "".join(_restored(line) for line in lines_of(path, Operation.RESTORE))
    return ConfigurationError(
        "audit-log-cut",
        f"the audit log {path.name} lacks {len(lost)} of the entries that it was anchored with "
        f"({named}{more}): {_end(path)}, so its end was cut off, or another log was put in its "
        f"place{restored}",
        "keep the file as evidence and tell the data protection officer; then put the log back that was "
        "there, or restore the node with `safeborders node restore`, which restores log and ledger together",
    )


def _end(path: Path) -> str:
    try:
        with path.open("rb") as file:
            number = signed_length(file.fileno())[1].head.number
    except FileNotFoundError:
        return "now it is gone"
    except (OSError, ConfigurationError):
        return "now its end cannot be read"
    return f"now it ends with entry {number}" if number else "now it is empty"


def _restored(line: bytes) -> str:
    try:
        entry = Entry.model_validate_json(line)
    except ValueError:
        return ""
    return f"; entry {entry.number} says that {entry.who} restored it on {entry.at[:10]}"


def verify_all(path: Path, keys: Sequence[str], numbered: dict[int, str] | None = None) -> Verified:
    """Checks a log and the files that it follows on, each with those keys that were in use in it.

    Args:
        path: The log.
        keys: All of the node's keys in the order of their use; those of earlier files may be left out, and
            these files are then only held against the hash that the log gives.
        numbered: As ``audit.chain.verify``, for the log itself.

    Raises:
        ConfigurationError: as ``verify``; ``audit-log-altered`` also for an earlier file that is not the one
            that the log follows on, or is gone, and for a log that has no place for the first keys: who has
            a later one could have begun it anew.
    """
    own = _handovers(path) + 1
    found = verify(path, keys[-own:], numbered)
    left, file, seen = keys[:-own], path, {path}
    while (before := earlier_file(file)) is not None and before[0] not in seen:
        earlier, digest = before
        seen.add(earlier)
        if _sha256(earlier) != digest:
            raise altered(1, f"the file {earlier.name}, which it follows on, is gone or was altered")
        if left:
            own = _handovers(earlier) + 1
            verify(earlier, left[-own:])
            left = left[:-own]
        file = earlier
    if left:
        raise altered(1, "it begins with a later key than the first one given, and follows on no other file")
    return found


def _handovers(path: Path) -> int:
    """How often a log says that it was handed from key to key."""
    return sum(b'"new_audit_key":' in line for line in lines_of(path, Operation.KEY_CHANGE))


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError:
        return ""
    return digest.hexdigest()
