"""A node's own keys over time: a new one is made beside the old one, and takes over when it is accepted.

``KEY.new`` beside ``KEY`` is a key that was made and is not in use yet. A new signing key takes over once the
roster that the node has accepted names it; a new transport key, once the coordinator says that it lets it in.
The old key stays beside it under a name of its own.

Guarantees: a crash at any point leaves one key in use, and the next start goes on. The audit log is handed
from key to key with a signature by the old one. If the old key is lost, the log is moved aside as it is, and
the new one begins with its name and hash.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from safeborders_fed.audit import notices
from safeborders_fed.audit.chain import Operation
from safeborders_fed.audit.log import AuditLog, Event
from safeborders_fed.cases.snapshots import sync_directory
from safeborders_fed.errors import ConfigurationError
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node.changes import unwritable
from safeborders_fed.study import canonical
from safeborders_fed.study.key_files import (
    load_key,
    load_transport_key,
    new_transport_key,
    save_key,
    save_transport_key,
    transport_public,
)

if TYPE_CHECKING:
    from safeborders_fed.node.settings import NodeSettings

_WHO: Final = "node"


def successor(path: Path) -> Path:
    """Where a key waits that is to follow the one at ``path``."""
    return path.with_name(f"{path.name}.new")


def new_signing_key(path: Path) -> Ed25519PrivateKey:
    """The signing key that is to follow; made unless it waits already. Raises as save_key and load_key."""
    if not successor(path).exists():
        save_key(Ed25519PrivateKey.generate(), successor(path))
    return load_key(successor(path))


def following_transport_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The transport key that is to follow; made unless it waits already. Raises as ``new_signing_key``."""
    if not successor(path).exists():
        save_transport_key(new_transport_key(), successor(path))
    return load_transport_key(successor(path))


def signing_key(settings: NodeSettings) -> Ed25519PrivateKey:
    """The node's key, or the one that waits when that is lost. Raises as load_key."""
    path = settings.signing_key_path
    return load_key(path if path.exists() or not successor(path).exists() else successor(path))


def open_log(settings: NodeSettings) -> AuditLog:
    """The node's audit log under the key that the accepted roster names, with all waiting records in it.

    Raises:
        ConfigurationError: from AuditLog and load_key; ``node-unwritable``.
    """
    path = settings.signing_key_path
    own = settings.accepted_keys().keys().get(settings.country)
    waits = successor(path).exists()
    if not waits or public_hex(load_key(successor(path))) != own:
        return _opened(settings, load_key(path))
    try:
        log = _handed_over(settings, load_key(successor(path)))
        try:
            take_over(path, public_hex(load_key(path)) if path.exists() else None)
        except BaseException:
            log.close()
            raise
    except OSError as error:
        raise unwritable(settings, error) from error
    return log


def switch_transport_key(settings: NodeSettings, let_in: tuple[str, ...]) -> bool:
    """Puts a waiting transport key in use, if it is one of those that the coordinator lets in.

    Raises:
        OSError: when the directory of the key cannot be written.
        ConfigurationError: from load_transport_key.
    """
    path = settings.transport_key_path
    if not successor(path).exists() or transport_public(load_transport_key(successor(path))) not in let_in:
        return False
    old = transport_public(load_transport_key(path)) if path.exists() else None
    take_over(path, None if old is None else canonical.sha256(old.encode("ascii")))
    return True


def take_over(path: Path, old: str | None) -> None:
    """Puts the waiting key in use, in one step; the old one gets a name of its own.

    Args:
        path: The key in use.
        old: Digits that tell the old key from others; None if there is none.

    Raises:
        OSError: when the directory cannot be written.
    """
    if old is not None:
        with suppress(FileExistsError):
            os.link(path, path.with_name(f"{path.name}.old-{old[:8]}"))
    successor(path).replace(path)
    sync_directory(path.parent)


def _handed_over(settings: NodeSettings, new: Ed25519PrivateKey) -> AuditLog:
    """The log under the new key, after the old one has signed for it, now or before a crash."""
    if not settings.signing_key_path.exists():
        _move_aside(settings, new)
        return _opened(settings, new)
    try:
        log = _opened(settings, load_key(settings.signing_key_path))
    except ConfigurationError as error:
        if error.code != "audit-log-altered":
            raise
        return _opened(settings, new)
    try:
        log.change_key(new, who=_WHO, why="the accepted roster holds this node's new key")
    except BaseException:
        log.close()
        raise
    return log


def _move_aside(settings: NodeSettings, new: Ed25519PrivateKey) -> None:
    """Ends the log of a lost key. The record comes first, so that the new log begins with it."""
    path = settings.audit_path
    if not path.exists():
        return
    try:
        AuditLog(path, new, settings.country).close()
    except ConfigurationError as error:
        if error.code != "audit-log-altered":
            raise
    else:
        return  # it is the new key's already
    digest = canonical.sha256(path.read_bytes())
    aside = path.with_name(f"{path.stem}.until-{digest[:8]}{path.suffix}")
    why = "the signing key was lost; the audit log before this one lies beside it, as it was"
    event = Event(Operation.KEY_CHANGE, _WHO, why, {"file": aside.name, "sha256": digest})
    notices.leave(settings.home, new, settings.country, event, digest[:32])
    path.rename(aside)
    sync_directory(path.parent)


def _opened(settings: NodeSettings, key: Ed25519PrivateKey) -> AuditLog:
    """The log under a key, with all notes in it that this node's keys of today have signed."""
    path = settings.signing_key_path
    signers = {public_hex(load_key(entry)) for entry in (path, successor(path)) if entry.exists()}
    log = AuditLog(settings.audit_path, key, settings.country)
    try:
        notices.take_up(settings.home, log, key, signers)
    except BaseException:
        log.close()
        raise
    return log
