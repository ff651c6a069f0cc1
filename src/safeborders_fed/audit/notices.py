"""What was done while another process held the audit log: notes that whoever writes it next takes up.

The audit log has one writer at a time. A command that finds it busy leaves a note in ``notices/`` of the home
directory, of a node or of the coordinator; whoever writes the log next, the service or another command, takes
it up.

Guarantees: a note is on the disk before the command ends, is signed by the log's key, and is logged once,
however often it is taken up. A note that is not this home's is moved aside, and that is logged.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic import Field as Limit

from safeborders_fed.audit.chain import Name, Operation, Words
from safeborders_fed.audit.log import AuditLog, Event
from safeborders_fed.errors import ConfigurationError, PeerError, UsageError
from safeborders_fed.masking import signing
from safeborders_fed.masking.signing import Purpose
from safeborders_fed.study import canonical, durable

DIRECTORY: Final = "notices"
_SUFFIX: Final = ".json"
_REFUSED: Final = ".refused"


class Notice(BaseModel):
    """One thing done, to be logged."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    id: Annotated[str, Limit(pattern=r"^[0-9a-f]{32}$")]
    at: Annotated[str, Limit(max_length=40)]
    node: Annotated[str, Limit(max_length=64)]
    operation: Annotated[Operation, Limit(strict=False)]
    who: Name
    why: Words
    details: dict[Name, str | int | float | bool]
    signature: Annotated[str, Limit(pattern=r"^([0-9a-f]{128})?$")] = ""

    def signed_part(self) -> bytes:
        """The bytes that its signature covers."""
        return canonical.serialise(self.model_dump(mode="json", exclude={"signature"}))


def record(
    home: Path, key: Ed25519PrivateKey, node: str, event: Event, open_log: Callable[[], AuditLog]
) -> bool:
    """Logs what a command did: now, or when the service takes the note up. True if it is logged now.

    Args:
        home: The node's directory.
        key: Its key.
        node: Its name.
        event: What was done.
        open_log: Opens the audit log and takes up what waits for it.

    Raises:
        ConfigurationError: as ``log_now`` and ``leave``.
    """
    leave(home, key, node, event)
    return log_now(open_log)


def log_now(open_log: Callable[[], AuditLog]) -> bool:
    """Logs what waits; false if the service has the log, or the key that can write it is lost.

    Raises:
        ConfigurationError: as AuditLog.
    """
    try:
        open_log().close()
    except ConfigurationError as error:
        if error.code not in {"audit-log-busy", "key-file-missing"}:
            raise
        return False
    return True


def leave(home: Path, key: Ed25519PrivateKey, node: str, event: Event, change: str | None = None) -> None:
    """Leaves a signed note; on return it is on the disk.

    Args:
        home: The node's directory.
        key: Its key.
        node: Its name.
        event: What was done.
        change: 32 hexadecimal digits of what is done: left again after a crash, it is logged once all the
            same. None for something that happens each time.

    Raises:
        ConfigurationError: ``notice-unwritable``.
        UsageError: ``bad-audit-entry``.
    """
    try:
        notice = _notice(node, event, change or secrets.token_hex(16))
    except ValidationError as error:
        raise UsageError(
            "bad-audit-entry",
            "a name or a reason is empty or too long for the audit log",
            "give names in up to 200 and reasons in up to 2,000 characters",
        ) from error
    signature = signing.sign(key, Purpose.NOTICE, notice.signed_part())
    content = canonical.serialise(notice.model_copy(update={"signature": signature}).model_dump(mode="json"))
    directory = home / DIRECTORY
    try:
        durable.make_directories(directory)
        durable.replace(directory / f"{notice.at}-{notice.id}{_SUFFIX}", content)
    except OSError as error:
        raise ConfigurationError(
            "notice-unwritable",
            f"no note can be left in {directory}: {error.strerror}",
            "free space on the disk, or mend the directory's rights, and run the command again",
        ) from error


def _notice(node: str, event: Event, number: str) -> Notice:
    return Notice(
        id=number,
        at=datetime.now(UTC).isoformat(timespec="microseconds"),
        node=node,
        operation=event.operation,
        who=event.who,
        why=event.why,
        details=dict(event.details),
    )


def waiting(home: Path) -> bool:
    """Whether a note waits for whoever writes the log next."""
    return any((home / DIRECTORY).glob(f"*{_SUFFIX}"))


def take_up(home: Path, log: AuditLog, key: Ed25519PrivateKey, before: Collection[str] = ()) -> int:
    """Logs all notes in order of their time, and removes them; how many there were.

    Args:
        home: The node's directory.
        log: Its audit log.
        key: Its key.
        before: Public keys that it had before, or is to have next: a note may be signed by one of them.

    Raises:
        ConfigurationError: as AuditLog.append.
    """
    signers = {signing.public_hex(key), *before}
    notes = sorted((home / DIRECTORY).glob(f"*{_SUFFIX}"))
    for path in notes:
        notice = _read(path, signers)
        if notice is None:
            path.rename(path.with_name(path.name + _REFUSED))
            log.append(
                Operation.RECONCILE,
                who="audit log",
                why="a note in the node's directory is not signed by this node; it was moved aside",
                details={"file": path.name},
            )
            continue
        log.append_if_new(
            notice.id,
            notice.operation,
            who=notice.who,
            why=notice.why,
            details={**notice.details, "done_at": notice.at},
        )
        path.unlink()
    return len(notes)


def _read(path: Path, signers: Collection[str]) -> Notice | None:
    try:
        notice = Notice.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    return notice if any(_is_signed(notice, public) for public in signers) else None


def _is_signed(notice: Notice, public: str) -> bool:
    try:
        signing.verify(public, Purpose.NOTICE, notice.signed_part(), notice.signature)
    except PeerError:
        return False
    return True
