"""What commands do that must end in the audit log, although a running service may hold the log.

A command that changes who is trusted here (or makes a backup) writes a signed record of it, then the file,
then, if nobody else has it open, the log. Otherwise the record waits, and whoever opens the log next (the
service, when it starts or reads its settings anew) writes the entry.

Guarantees: no change without a record that is on the disk before it. A record becomes one entry, however
often that is repeated. A record that was altered is not logged but refused.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, ConfigDict, ValidationError

from safeborders_fed.errors import ConfigurationError, PeerError
from safeborders_fed.masking import signing
from safeborders_fed.masking.signing import Purpose
from safeborders_fed.node.audit_chain import Name, Operation, Words
from safeborders_fed.node.audit_log import AuditLog
from safeborders_fed.node.journal import now
from safeborders_fed.study import canonical, durable
from safeborders_fed.study.manifest import NodeName
from safeborders_fed.study.roster import Digest, Instant, PublicKey, Signature

if TYPE_CHECKING:
    from safeborders_fed.node.settings import NodeSettings

DIRECTORY: Final = "log-waiting"
_STRICT = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)


class LogRecord(BaseModel):
    """An entry that the audit log is to get.

    Attributes:
        key: Names the change; the same change has the same key.
        written: When, UTC; the entry's own time is when it is logged.
        signer: The node's key at the time.
    """

    model_config = _STRICT

    schema_version: Literal[1] = 1
    node: NodeName
    key: Digest
    operation: Operation
    who: Name
    why: Words
    details: dict[Name, str | int]
    written: Instant
    signer: PublicKey
    signature: Signature

    def signed(self, key: Ed25519PrivateKey) -> Self:
        """The same, signed by the node."""
        unsigned = self.model_copy(update={"signer": signing.public_hex(key)})
        signature = signing.sign(key, Purpose.LOG_RECORD, unsigned.payload())
        return unsigned.model_copy(update={"signature": signature})

    def payload(self) -> bytes:
        """The bytes that the signature covers."""
        return canonical.serialise(self.model_dump(mode="json", exclude={"signature"}))


def commit(
    settings: NodeSettings,
    name: str,
    content: bytes,
    *,
    key: Ed25519PrivateKey,
    who: str,
    why: str,
    details: Mapping[str, str | int],
) -> bool:
    """Changes one of the node's files, and logs it; false if the entry waits for the running service.

    Args:
        settings: The node.
        name: The file, in the node's directory.
        content: What it is to hold.
        key: The node's signing key.
        who: Who changes it.
        why: For what reason.
        details: Further facts for the log.

    Raises:
        ConfigurationError: ``node-unwritable``, or from AuditLog; a repetition goes on.
        UsageError: ``bad-audit-entry``.
    """
    path = settings.home / name
    before = path.read_bytes() if path.exists() else b""
    facts = [name, canonical.sha256(before), canonical.sha256(content)]
    try:
        leave(
            settings,
            key,
            change=canonical.sha256(canonical.serialise(facts)),
            who=who,
            why=why,
            details=details,
        )
        durable.replace(path, content)
    except OSError as error:
        raise unwritable(settings, error) from error
    return log_now(settings)


def leave(
    settings: NodeSettings,
    key: Ed25519PrivateKey,
    *,
    change: str,
    who: str,
    why: str,
    details: Mapping[str, str | int],
    operation: Operation = Operation.KEY_CHANGE,
) -> None:
    """Writes a record of what is about to be done, a change of keys if nothing else is said.

    Raises:
        OSError: when it cannot be written.
        ConfigurationError: ``bad-audit-entry``, when a text is empty or too long.
    """
    try:
        record = LogRecord(
            node=settings.country,
            key=change,
            operation=operation,
            who=who,
            why=why,
            details=dict(details),
            written=now(),
            signer="0" * 64,
            signature="0" * 128,
        ).signed(key)
    except ValidationError as error:
        raise ConfigurationError(
            "bad-audit-entry",
            "a name or a reason is empty or too long for the audit log",
            "give names in up to 200 and reasons in up to 2,000 characters",
        ) from error
    directory = settings.home / DIRECTORY
    directory.mkdir(mode=0o700, exist_ok=True)
    durable.replace(directory / f"{record.key}.json", canonical.serialise(record.model_dump(mode="json")))


def log_now(settings: NodeSettings) -> bool:
    """Logs what waits; false if a running service has the log, or the key that can write it is lost."""
    try:
        settings.open_audit_log().close()
    except ConfigurationError as error:
        if error.code not in {"audit-log-busy", "key-file-missing"}:
            raise
        return False
    return True


def wait(home: Path) -> bool:
    """Whether there are records that nobody has logged yet."""
    return any((home / DIRECTORY).glob("*.json"))


def take_up(home: Path, log: AuditLog, signers: Collection[str]) -> int:
    """Writes all waiting records to the log, the oldest first; how many there were.

    Args:
        home: The node's directory.
        log: Its audit log, open.
        signers: The node's public keys, of now and before.

    Raises:
        ConfigurationError: ``log-record-altered``, or from AuditLog.
    """
    paths = sorted((home / DIRECTORY).glob("*.json"))
    found = sorted(((_read(path, signers), path) for path in paths), key=lambda pair: pair[0].written)
    for record, path in found:
        details: dict[str, Any] = {**record.details, "since": record.written.isoformat(timespec="seconds")}
        log.append_if_new(record.key, record.operation, who=record.who, why=record.why, details=details)
        path.unlink()
    return len(found)


def _read(path: Path, signers: Collection[str]) -> LogRecord:
    try:
        data = path.read_bytes()
        canonical.parse(data)
        record = LogRecord.model_validate_json(data)
        signing.verify(record.signer, Purpose.LOG_RECORD, record.payload(), record.signature)
        known = record.signer in signers and path.name == f"{record.key}.json"
    except (OSError, ValidationError, PeerError) as error:
        raise _altered(path) from error
    if not known:
        raise _altered(path)
    return record


def _altered(path: Path) -> ConfigurationError:
    return ConfigurationError(
        "log-record-altered",
        f"{path} waits to be logged, and is damaged or not signed by this node",
        "move the file away as evidence, and find out who could write to the node's directory",
    )


def unwritable(settings: NodeSettings, error: OSError) -> ConfigurationError:
    """The error for a node's directory that takes no file."""
    return ConfigurationError(
        "node-unwritable",
        f"{settings.home} cannot be written: {error.strerror}",
        "free space on the disk, or mend the rights of the node's directory",
    )
