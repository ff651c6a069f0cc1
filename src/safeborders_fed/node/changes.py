"""Changes of a node's own files that say who is trusted here, each of which must end in its audit log.

Guarantees: no change without a signed note of it that is on the disk before it (``notices``), so that it is
logged now or by whoever opens the log next. A file changes as a whole or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from safeborders_fed.errors import ConfigurationError
from safeborders_fed.node import notices
from safeborders_fed.node.audit_chain import Operation
from safeborders_fed.node.audit_log import Event
from safeborders_fed.study import canonical, durable

if TYPE_CHECKING:
    from safeborders_fed.node.settings import NodeSettings


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
    """Changes one of the node's files, and logs it; false if the entry waits for whoever opens the log next.

    Args:
        settings: The node.
        name: The file, in the node's directory.
        content: What it is to hold.
        key: The node's signing key.
        who: Who changes it.
        why: For what reason.
        details: Further facts for the log.

    Raises:
        ConfigurationError: ``node-unwritable``, or as ``notices.record``; a repetition goes on.
        UsageError: ``bad-audit-entry``.
    """
    path = settings.home / name
    try:
        before = path.read_bytes() if path.exists() else b""
        facts = [name, canonical.sha256(before), canonical.sha256(content)]
        change = canonical.sha256(canonical.serialise(facts))[:32]
        event = Event(Operation.KEY_CHANGE, who, why, dict(details))
        notices.leave(settings.home, key, settings.country, event, change)
        durable.replace(path, content)
    except OSError as error:
        raise unwritable(settings, error) from error
    return notices.log_now(settings.open_audit_log)


def unwritable(settings: NodeSettings, error: OSError) -> ConfigurationError:
    """The error for a node's directory that takes no file."""
    return ConfigurationError(
        "node-unwritable",
        f"{settings.home} cannot be written: {error.strerror}",
        "free space on the disk, or mend the rights of the node's directory",
    )
