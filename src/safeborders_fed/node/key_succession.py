"""New secrets for a node's store: they wait beside the old ones, and take over with the store.

``KEY.next`` beside the key file holds the secrets that are to follow while the store is encrypted anew.

Guarantees: a key file is replaced only while the writer's lock of the store is held, and after the other one
was seen to open the store as it lies there. So whenever the process is killed, the store and a key file that
opens it are both there, and the next command finishes the change or undoes it, and puts that on record. New
secrets that a crash kept from taking over are set aside as ``KEY.undone-DIGITS``; they open nothing.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from safeborders_fed.audit import notices
from safeborders_fed.audit.chain import Operation
from safeborders_fed.audit.log import Event
from safeborders_fed.cases import staging
from safeborders_fed.cases.keys import NodeKeys, write_key_file
from safeborders_fed.cases.publication import lock
from safeborders_fed.cases.snapshots import sync_directory
from safeborders_fed.cases.store import HEAD, CaseStore
from safeborders_fed.errors import ConfigurationError
from safeborders_fed.node import key_source
from safeborders_fed.study import canonical
from safeborders_fed.study.key_files import load_key

if TYPE_CHECKING:
    from safeborders_fed.node.settings import NodeSettings

_WHO: Final = "node"
_NEXT: Final = ".next"


def successor(path: Path) -> Path:
    """Where the secrets wait that are to follow those at ``path``."""
    return path.with_name(f"{path.name}{_NEXT}")


def settled(settings: NodeSettings) -> NodeKeys:
    """The secrets that open the store, once a change that was interrupted is finished or undone.

    Raises:
        ConfigurationError: as ``key_source.load``; ``key-file-unwritable``, ``store-missing``.
        UsageError: ``no-terminal``.
    """
    path = settings.key_path
    keys = key_source.load(settings, path)
    if not successor(path).exists():
        return keys
    try:
        with lock(settings.store_path, seconds=0.0):
            return settle(settings, keys)
    except ConfigurationError as error:
        if error.code != "store-busy":
            raise
        return keys  # the change is taking place
    except OSError as error:
        raise unwritable(path, error) from error


def settle(settings: NodeSettings, keys: NodeKeys) -> NodeKeys:
    """As ``settled``, under the writer's lock, from the secrets in the key file."""
    path = settings.key_path
    staging.finish(settings.store_path)
    if CaseStore.fits(settings.store_path, keys):
        _set_aside(successor(path))
        _put_on_record(settings, "a change of the store's keys was interrupted: the old ones stay")
        return keys
    following = key_source.load(settings, successor(path))
    if not CaseStore.fits(settings.store_path, following):
        return keys  # neither opens it, which opening the store says; both files stay
    _put_on_record(
        settings, "a change of the store's keys was interrupted, and is finished: the old are gone"
    )
    take_over(path)
    return following


def prepare(path: Path, content: bytes) -> None:
    """Writes the secrets that are to follow, and waits until they are on the disk.

    Raises:
        ConfigurationError: ``key-file-exists`` or ``key-file-unwritable``.
    """
    try:
        write_key_file(successor(path), content)
        sync_directory(path.parent)
    except ConfigurationError as error:
        if error.code == "key-file-unwritable" and isinstance(error.__cause__, OSError):
            raise unwritable(path, error.__cause__) from error
        raise


def take_over(path: Path) -> None:
    """Puts the waiting secrets in the place of the old ones, which are then gone from this file."""
    successor(path).replace(path)
    sync_directory(path.parent)


def _set_aside(path: Path) -> None:
    """Gives secrets that open nothing here a name of their own.

    They are not removed: this may be a restored copy of the node, and the original waits for them.
    """
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.rename(path.with_name(f"{path.name.removesuffix(_NEXT)}.undone-{digest[:8]}"))
    sync_directory(path.parent)


def remove(path: Path) -> None:
    """Removes a key file for good."""
    path.unlink(missing_ok=True)
    sync_directory(path.parent)


def unwritable(path: Path, error: OSError) -> ConfigurationError:
    """The error for a directory of keys that takes no file."""
    return ConfigurationError(
        "key-file-unwritable",
        f"{path} cannot be replaced: {error.strerror}",
        "run the command as the user whose key file it is, with room and rights in its directory",
    )


def _put_on_record(settings: NodeSettings, why: str) -> None:
    head = (settings.store_path / HEAD).read_bytes()
    change = canonical.sha256(head + why.encode())[:32]  # once, if a crash lets it be left again
    event = Event(Operation.REKEY, _WHO, why)
    notices.leave(settings.home, load_key(settings.signing_key_path), settings.country, event, change)
