"""Changes of a node's own files that say who is trusted here, each of which must end in its audit log.

Guarantees: no change without a signed note of it that is on the disk before it (``notices``), so that it is
logged now or by whoever opens the log next. A file changes as a whole or not at all, and one command at a
time reads and changes them.
"""

from __future__ import annotations

import fcntl
import functools
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from safeborders_fed.audit import notices
from safeborders_fed.audit.chain import Operation
from safeborders_fed.audit.log import Event
from safeborders_fed.errors import ConfigurationError
from safeborders_fed.study import canonical, durable

if TYPE_CHECKING:
    from safeborders_fed.node.settings import NodeSettings

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def alone(
    function: Callable[Concatenate[NodeSettings, _Arguments], _Result],
) -> Callable[Concatenate[NodeSettings, _Arguments], _Result]:
    """The function, run by one process at a time for a node.

    It raises ConfigurationError ``node-busy`` while another one is at it.
    """

    @functools.wraps(function)
    def locked(settings: NodeSettings, /, *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        handle = os.open(settings.home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return function(settings, *args, **kwargs)
        except BlockingIOError as error:
            raise ConfigurationError(
                "node-busy", "another command changes who is trusted at this node", "wait until it is done"
            ) from error
        finally:
            os.close(handle)

    return locked


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
        durable.replace(path, content, shared=True)
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
