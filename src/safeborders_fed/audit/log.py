"""The audit log of a node: every operation, in order, for good.

Guarantees:

- An entry is on the disk (fsync) and signed, in a chain (``audit.chain``), before ``append`` returns. There
  is one writer at a time, and it never changes what is written.
- A crash can leave entries that were never acknowledged. Opening moves such an unsigned or torn end to a
  ``.torn`` file and says so in a new entry. Anything else that does not fit is refused.
- ``append_if_new`` writes an entry once, however often it is repeated after crashes, as long as fewer than
  10,000 entries lie between.
- After a failed write, or when another hand has changed the file's length, nothing more is written.

Opening reads the end of the file only: that the last line is signed by this node's key is enough to go on,
since an alteration before it breaks the chain towards it. ``verify`` reads everything.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from safeborders_fed.audit.chain import (
    LONGEST_LINE,
    NEW_KEY,
    OLD_SIGNATURE,
    Entry,
    Head,
    Operation,
    altered,
    is_signed,
)
from safeborders_fed.audit.tail import KEY, LARGEST_BATCH, Tail, read_end, read_tail
from safeborders_fed.errors import ConfigurationError, DefectError, UsageError
from safeborders_fed.masking import signing
from safeborders_fed.masking.signing import Purpose
from safeborders_fed.study import canonical

_SIGNATURE_DIGITS: Final = 128
_RESERVED: Final = frozenset({KEY, NEW_KEY, OLD_SIGNATURE})

Fact = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Event:
    """What an entry is to say; the log adds number, time, node and chain."""

    operation: Operation
    who: str
    why: str
    details: Mapping[str, Fact] = field(default_factory=dict)


def _now() -> datetime:
    return datetime.now(UTC)


class AuditLog:
    """One node's audit log, open for writing until ``close``.

    Args:
        path: The file; made when absent, mode 0600. Its directory exists.
        signing_key: The node's Ed25519 key.
        node: The node's name.
        clock: Gives an aware time (tests inject it).

    Raises:
        ConfigurationError: ``audit-log-busy`` (another process writes it), ``audit-log-unwritable``, or
            ``audit-log-altered``.
    """

    def __init__(
        self,
        path: Path,
        signing_key: Ed25519PrivateKey,
        node: str,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._path, self._signing_key, self._node, self._clock = path, signing_key, node, clock
        self._tail = Tail()
        self._size = 0
        self._file = -1
        self._usable = True
        try:
            self._lock = _locked(path)
            try:
                self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
                self._open()
            except BaseException:
                self.close()
                raise
        except BlockingIOError as error:
            raise ConfigurationError(
                "audit-log-busy",
                f"another process writes the audit log {path.name}",
                "stop the node's other process first; one at a time writes the log",
            ) from error
        except OSError as error:
            raise _unwritable(path, str(error.strerror)) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file and frees the lock. Closing again does nothing."""
        for handle in (self._file, self._lock):
            if handle >= 0:
                os.close(handle)
        self._file, self._lock, self._usable = -1, -1, False

    def head(self) -> Head:
        """Number and hash of the last entry: an anchor for ``verify``."""
        return self._tail.head

    def append(
        self, operation: Operation, *, who: str, why: str, details: Mapping[str, Fact] | None = None
    ) -> Head:
        """Writes one entry; on return it is on the disk.

        Raises:
            UsageError: ``bad-audit-entry``, when a text is empty or too long.
            ConfigurationError: ``audit-log-unwritable`` or ``audit-log-altered``.
        """
        return self.append_many([Event(operation, who, why, details or {})])

    def append_many(self, events: Sequence[Event]) -> Head:
        """Writes up to 1,000 entries with one signature and one fsync: all of them, or after a crash none.

        Raises:
            The same as ``append``.
        """
        for event in events:
            _check_details(event.details)
        return self._write(events)

    def append_if_new(
        self,
        key: str,
        operation: Operation,
        *,
        who: str,
        why: str,
        details: Mapping[str, Fact] | None = None,
    ) -> Head:
        """Writes one entry unless one of the last 10,000 has this key (its detail ``key``).

        Raises:
            The same as ``append``.
        """
        if key in self._tail.keys:
            return self._tail.head
        _check_details(details or {})
        return self._write([Event(operation, who, why, {**(details or {}), KEY: key})])

    def change_key(self, new: Ed25519PrivateKey, *, who: str, why: str) -> Head:
        """Goes on with a new key, for which the old one signs in the same entry.

        Raises:
            The same as ``append``.
        """
        old, public = self._signing_key, signing.public_hex(new)
        entry = self._entry(Event(Operation.KEY_CHANGE, who, why, {NEW_KEY: public}), self._tail.head)
        signature = signing.sign(old, Purpose.AUDIT_ENTRY, entry.handover())
        self._signing_key = new
        try:
            return self._write(
                [Event(Operation.KEY_CHANGE, who, why, {NEW_KEY: public, OLD_SIGNATURE: signature})]
            )
        except BaseException:
            self._signing_key = old
            raise

    def _entry(self, event: Event, head: Head) -> Entry:
        try:
            return Entry(
                number=head.number + 1,
                at=self._clock().astimezone(UTC).isoformat(timespec="microseconds"),
                node=self._node,
                operation=event.operation,
                who=event.who,
                why=event.why,
                details=dict(event.details),
                previous=head.hash,
                signature="",
            )
        except ValidationError as error:
            problems = (f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
            raise _bad_entry("; ".join(problems)) from error

    def _lines(self, events: Sequence[Event]) -> tuple[list[Entry], bytes, Head]:
        """The entries of these events, their lines, the last one signed, and the head after them."""
        head, entries, lines = self._tail.head, [], []
        for left, event in zip(range(len(events) - 1, -1, -1), events, strict=True):
            entry = self._entry(event, head)
            line = _checked_line(entry)
            if not left:
                signature = signing.sign(self._signing_key, Purpose.AUDIT_ENTRY, entry.signed_part())
                line = entry.model_copy(update={"signature": signature}).line()
            entries.append(entry)
            lines.append(line + b"\n")
            head = Head(entry.number, canonical.sha256(line))
        return entries, b"".join(lines), head

    def _write(self, events: Sequence[Event]) -> Head:
        if not 0 < len(events) <= LARGEST_BATCH:
            raise DefectError("bad-batch", f"{len(events)} audit entries at once", "report this")
        if not self._usable:
            raise _unwritable(self._path, "it was closed, or a write failed before")
        entries, data, head = self._lines(events)
        self._usable = False  # until all of it is on the disk
        try:
            if os.fstat(self._file).st_size != self._size or not _is_at(self._path, self._file):
                raise altered(
                    self._tail.head.number + 1, "another hand has written, cut or replaced the file"
                )
            _write_all(self._file, data)
            os.fsync(self._file)
        except OSError as error:
            raise _unwritable(self._path, str(error.strerror)) from error
        self._usable = True
        self._size += len(data)
        for entry in entries:
            self._tail.remember(entry)
        self._tail.head = head
        return head

    def _open(self) -> None:
        """Reads the end of the file and moves aside what a crash left."""
        _sync_directory(self._path)
        self._size = os.fstat(self._file).st_size
        data, complete = read_end(self._file, self._size)
        self._tail = tail = read_tail(data, complete=complete)
        if tail.entry is not None:
            if tail.entry.node != self._node:
                raise altered(tail.head.number, f"it is of node {tail.entry.node}")
            if not is_signed(tail.entry, tail.line, signing.public_hex(self._signing_key)):
                raise altered(tail.head.number, "its signature is not by this node's key")
        if tail.unfinished:
            self._move_aside(tail.unfinished)

    def _move_aside(self, torn: bytes) -> None:
        aside = self._path.with_name(self._path.name + ".torn")
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            _write_all(handle, torn)
            os.fsync(handle)
        finally:
            os.close(handle)
        _sync_directory(aside)
        self._size -= len(torn)
        os.ftruncate(self._file, self._size)
        os.fsync(self._file)
        self.append(
            Operation.RECONCILE,
            who="audit log",
            why="a crash had cut off the end of this log before it was signed; it was moved aside",
            details={"file": aside.name, "bytes": len(torn), "sha256": canonical.sha256(torn)},
        )


def _locked(path: Path) -> int:
    """The lock of a log's writer, held.

    It is a file of its own: whoever may open a file to read it can lock it, and who may read the log must
    not be able to keep its writer out.
    """
    lock = path.with_name(f".{path.name}.lock")
    handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(handle)
        raise
    return handle


def _check_details(details: Mapping[str, Fact]) -> None:
    if _RESERVED & details.keys():
        raise DefectError("reserved-detail", "an audit entry uses a reserved detail", "report this")


def _checked_line(entry: Entry) -> bytes:
    """The entry's line before it is signed, when it reads back as the same: another would spoil the log."""
    try:
        line = entry.line()
        same = Entry.model_validate_json(line).line() == line
    except ValueError as error:
        raise _bad_entry(f"it has no JSON form ({type(error).__name__})") from error
    if not same or len(line) + _SIGNATURE_DIGITS >= LONGEST_LINE:
        raise _bad_entry("it is too long, or would not read back as it was written")
    return line


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _sync_directory(path: Path) -> None:
    """Makes a new file's name durable."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _is_at(path: Path, file: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file))
    except FileNotFoundError:
        return False


def _unwritable(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        "audit-log-unwritable",
        f"the audit log {path.name} cannot be written: {why}",
        "free space on the disk, check who may write to the directory, and start the node again",
    )


def _bad_entry(why: str) -> UsageError:
    return UsageError(
        "bad-audit-entry",
        f"an audit entry cannot be written: {why}",
        "give who and why in up to 200 and 2,000 characters",
    )
