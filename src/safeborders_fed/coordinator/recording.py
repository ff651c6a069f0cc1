"""The coordinator's audit log: each change of a study's state, of who takes part, and of what is handed out.

It has the form of a node's log (``audit.chain``) and the name ``COORDINATOR``. The service key signs it.

Guarantees: what is done is first a signed note on the disk (``audit.notices``), then done, then an entry in
the log; so nothing goes unlogged, whoever is killed when, and an entry may at worst tell of a change that a
crash kept from being made. No process holds the log for longer than it writes: the service and any number of
commands take turns, and who finds it busy leaves the note to the next one.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from safeborders_fed.audit import notices
from safeborders_fed.audit.chain import Operation, is_signed
from safeborders_fed.audit.log import AuditLog, Event, Fact
from safeborders_fed.audit.tail import signed_length
from safeborders_fed.cases.snapshots import sync_directory
from safeborders_fed.coordinator import service_key
from safeborders_fed.errors import ConfigurationError
from safeborders_fed.study import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from safeborders_fed.coordinator.home import CoordinatorHome
    from safeborders_fed.study.state_changes import StateChange

NAME: Final = "COORDINATOR"
AUDIT_FILE: Final = "audit.jsonl"
_TRIES: Final = 20
_SECONDS_BETWEEN: Final = 0.02


def note(
    home: CoordinatorHome,
    operation: Operation,
    *,
    who: str,
    why: str,
    details: Mapping[str, Fact] | None = None,
    change: str | None = None,
) -> None:
    """Leaves a note of what is about to be done.

    Args:
        home: The coordinator.
        operation: What is done.
        who: By whom.
        why: For what reason.
        details: Further facts.
        change: As in ``notices.leave``.

    Raises:
        ConfigurationError: ``no-service-key``, ``notice-unwritable``, or as ``CoordinatorHome.service_key``.
        UsageError: ``bad-audit-entry``.
    """
    notices.leave(home.path, home.service_key(), NAME, Event(operation, who, why, details or {}), change)


def note_change(home: CoordinatorHome, change: StateChange) -> None:
    """Leaves a note of a change of a study's state. Raises as ``note``."""
    details: dict[str, Fact] = {
        "study": change.study,
        "manifest": change.manifest_hash,
        "number": change.number,
        "state": change.state,
        "changed_at": change.at,
        "hash": change.hash(),
    }
    once = change.hash()[:32]
    note(home, Operation.STUDY_STATE, who=change.by, why=change.why, details=details, change=once)


def log(home: CoordinatorHome) -> bool:
    """Logs what waits; false if another process has been writing the log all the while, and will do it.

    Raises:
        ConfigurationError: as AuditLog.
    """
    for left in reversed(range(_TRIES)):
        if notices.log_now(lambda: open_log(home)):
            return True
        if left:
            time.sleep(_SECONDS_BETWEEN)
    return False


def record(
    home: CoordinatorHome,
    operation: Operation,
    *,
    who: str,
    why: str,
    details: Mapping[str, Fact] | None = None,
) -> None:
    """Notes and logs something that is done already, or that was said. Raises as ``note`` and ``log``."""
    note(home, operation, who=who, why=why, details=details)
    log(home)


def open_log(home: CoordinatorHome) -> AuditLog:
    """The log, open for writing under the service key in use, with all notes in it that wait.

    A new key takes over here: the one before signs for it in the log. If that is lost, the log so far is
    moved aside as it is, and the next one begins with its name and hash.

    Raises:
        ConfigurationError: as AuditLog and ``CoordinatorHome.service_key``.
    """
    key, path = home.service_key(), home.path / AUDIT_FILE
    try:
        opened = AuditLog(path, key, NAME)
    except ConfigurationError as error:
        if error.code != "audit-log-altered" or not _is_of_key_before(home, path):
            raise
        opened = _handed_over(home, path, key)
    try:
        notices.take_up(home.path, opened, key, [entry.public for entry in home.service_keys])
    except BaseException:
        opened.close()
        raise
    return opened


def _is_of_key_before(home: CoordinatorHome, path: Path) -> bool:
    """Whether the service key before the one in use signed the end of the log."""
    if len(home.service_keys) < 2:
        return False
    with path.open("rb") as file:
        _, tail = signed_length(file.fileno())
    return tail.entry is not None and is_signed(tail.entry, tail.line, home.service_keys[-2].public)


def _handed_over(home: CoordinatorHome, path: Path, key: Ed25519PrivateKey) -> AuditLog:
    try:
        before = service_key.load(home.path, home.service_keys[:-1])
    except ConfigurationError:
        _move_aside(home, path)
        return AuditLog(path, key, NAME)
    opened = AuditLog(path, before, NAME)
    try:
        opened.change_key(key, who=NAME, why="a new service key is in use")
    except BaseException:
        opened.close()
        raise
    return opened


def _move_aside(home: CoordinatorHome, path: Path) -> None:
    """Ends the log of a lost key. The note comes first, so that the new log tells of it."""
    digest = canonical.sha256(path.read_bytes())
    aside = path.with_name(f"{path.stem}.until-{digest[:8]}{path.suffix}")
    why = "the service key was lost; the audit log before this one lies beside it, as it was"
    facts = {"file": aside.name, "sha256": digest}
    note(home, Operation.KEY_CHANGE, who=NAME, why=why, details=facts, change=digest[:32])
    path.rename(aside)
    sync_directory(path.parent)


def take_up(home: CoordinatorHome) -> None:
    """Logs notes that wait, if there are any: for the service to call now and then. Raises as ``log``."""
    if notices.waiting(home.path):
        log(home)
