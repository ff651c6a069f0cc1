"""What commands did while the service held the audit log: notes that the service takes up.

The audit log has one writer at a time. A command that finds it busy leaves a note in ``notices/`` of the
node's directory; whoever writes the log next, the service or another command, takes it up.

Guarantees: a note is on the disk before the command ends, is signed by the node's key, and is logged once,
however often it is taken up. A note that is not this node's is moved aside, and that is logged.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic import Field as Limit

from safeborders_fed.cases.snapshots import sync_directory, write_durably
from safeborders_fed.errors import ConfigurationError, PeerError
from safeborders_fed.masking import signing
from safeborders_fed.masking.signing import Purpose
from safeborders_fed.node.audit_chain import Name, Operation, Words
from safeborders_fed.node.audit_log import AuditLog, Event
from safeborders_fed.node.journal import now
from safeborders_fed.study import canonical

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


def record(home: Path, log_path: Path, key: Ed25519PrivateKey, node: str, event: Event) -> bool:
    """Logs what a command did: now, or when the service takes the note up. True if it is logged now.

    Raises:
        ConfigurationError: as AuditLog, but not ``audit-log-busy``; ``notice-unwritable``.
    """
    leave(home, key, node, event)
    try:
        with AuditLog(log_path, key, node) as log:
            take_up(home, log, key)
    except ConfigurationError as error:
        if error.code != "audit-log-busy":
            raise
        return False
    return True


def leave(home: Path, key: Ed25519PrivateKey, node: str, event: Event) -> None:
    """Leaves a signed note; on return it is on the disk.

    Raises:
        ConfigurationError: ``notice-unwritable``.
    """
    notice = Notice(
        id=secrets.token_hex(16),
        at=now().isoformat(timespec="microseconds"),
        node=node,
        operation=event.operation,
        who=event.who,
        why=event.why,
        details=dict(event.details),
    )
    signature = signing.sign(key, Purpose.NOTICE, notice.signed_part())
    content = canonical.serialise(notice.model_copy(update={"signature": signature}).model_dump(mode="json"))
    directory = home / DIRECTORY
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        waiting = directory / f".{notice.id}.part"
        write_durably(waiting, content)
        waiting.rename(directory / f"{notice.at}-{notice.id}{_SUFFIX}")
        sync_directory(directory)
    except OSError as error:
        raise ConfigurationError(
            "notice-unwritable",
            f"no note can be left in {directory}: {error.strerror}",
            "free space on the disk, or mend the directory's rights, and run the command again",
        ) from error


def take_up(home: Path, log: AuditLog, key: Ed25519PrivateKey) -> int:
    """Logs all notes in order of their time, and removes them; how many there were.

    Raises:
        ConfigurationError: as AuditLog.append.
    """
    public = signing.public_hex(key)
    notes = sorted((home / DIRECTORY).glob(f"*{_SUFFIX}"))
    for path in notes:
        notice = _read(path, public)
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


def _read(path: Path, public: str) -> Notice | None:
    try:
        data = path.read_bytes()
        notice = Notice.model_validate_json(data)
        signing.verify(public, Purpose.NOTICE, notice.signed_part(), notice.signature)
    except (OSError, ValidationError, PeerError):
        return None
    return notice
