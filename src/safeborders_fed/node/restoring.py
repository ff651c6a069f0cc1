"""A node's directory from a backup.

Guarantees:

- The directory appears complete and checked, or not at all: every file is what the manifest lists, the
  manifest is signed by the key that ``node.toml`` names, ledger and audit log end where the manifest says.
- Nothing that exists is overwritten; no member of the archive is written outside the new directory.
- The ledger is marked before the directory appears: nothing is reserved or spent until two people settle it
  (``safeborders node ledger sign`` and ``reconcile``), since what was spent after the backup is not in it.
  Whether the other nodes know of more is seen at the next study, whatever these two decide.
- What other states may have been charged in links since the backup counts as spent (``node.link_copies``).
- The restored audit log says that it was restored, from what, and by whom.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import IO, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from safeborders_fed.audit.chain import Operation
from safeborders_fed.audit.log import AuditLog
from safeborders_fed.cases.snapshots import sync_directory
from safeborders_fed.errors import ConfigurationError, DataError, PeerError
from safeborders_fed.masking import signing
from safeborders_fed.masking.signing import Purpose
from safeborders_fed.node import link_copies
from safeborders_fed.node.backup import AUDIT, LEDGER, LEFT_OUT, MANIFEST, NOTHING, BackedUp, Manifest
from safeborders_fed.node.ledger import Ledger
from safeborders_fed.node.link_book import FILE as LINK_BOOK
from safeborders_fed.node.settings import NodeSettings
from safeborders_fed.study.key_files import load_key

_LARGEST_MANIFEST: Final = 64 * 2**20
_BLOCK: Final = 1 << 20


def restore(archive: Path, home: Path, who: str) -> Manifest:
    """Makes a node's directory from a backup; what the backup holds.

    Args:
        archive: The file that ``back_up`` wrote.
        home: New directory. The key files that the backed-up ``node.toml`` names are where it says.
        who: Who asks for it.

    Raises:
        ConfigurationError: ``target-not-empty``, ``backup-of-another-key``, ``restore-failed``; or as
            load_key, CaseStore.open, Ledger and AuditLog.
        DataError: ``backup-altered``, ``backup-unreadable``.
    """
    home = home.absolute()
    if home.is_symlink() or (home.exists() and (not home.is_dir() or any(home.iterdir()))):
        raise ConfigurationError(
            "target-not-empty",
            f"{home} exists and is not an empty directory",
            "name a new directory with --home",
        )
    staging = home.with_name(f".{home.name}.restoring")
    try:
        shutil.rmtree(staging, ignore_errors=True)  # what a killed restore may have left
        staging.mkdir(mode=0o700, parents=True)
        manifest = _unpack(archive, staging)
        key = _owner(staging, manifest)
        _check_and_mark(staging, manifest, key, who)
        _sync(staging)
        staging.rename(home)
        sync_directory(home.parent)
    except OSError as error:
        raise ConfigurationError(
            "restore-failed",
            f"{home} cannot be made: {error.strerror or error}",
            "free space there and check the rights, and restore again",
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return manifest


def _unpack(archive: Path, staging: Path) -> Manifest:
    """Unpacks all files, and holds them against the manifest that follows them."""
    found: dict[str, BackedUp] = {}
    manifest: Manifest | None = None
    try:
        with tarfile.open(archive, mode="r:") as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isreg() else None
                if content is None or manifest is not None:
                    raise _altered(f"{member.name!r} has no place in it")
                if member.name == MANIFEST:
                    manifest = _manifest(content, member.size)
                    continue
                if member.name in found:
                    raise _altered(f"{member.name!r} is in it twice")
                found[member.name] = _write(content, member, staging)
    except (tarfile.TarError, EOFError) as error:
        raise _altered(f"it is cut off or is no archive ({error})") from error
    except FileNotFoundError as error:
        raise DataError("backup-unreadable", f"{archive} cannot be read", "check the path") from error
    if manifest is None:
        raise _altered("it has no manifest")
    listed = {file.name: file for file in manifest.files}
    for name in sorted(listed.keys() | found.keys()):
        if listed.get(name) != found.get(name):
            raise _altered(f"{name} is missing or is not what was backed up")
    return manifest


def _manifest(content: IO[bytes], size: int) -> Manifest:
    if size > _LARGEST_MANIFEST:
        raise _altered("its manifest is too large")
    try:
        manifest = Manifest.model_validate_json(content.read(size))
        signing.verify(manifest.public, Purpose.BACKUP, manifest.signed_part(), manifest.signature)
    except (ValidationError, PeerError) as error:
        raise _altered("its manifest is not what the node signed") from error
    return manifest


def _write(content: IO[bytes], member: tarfile.TarInfo, staging: Path) -> BackedUp:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or name.as_posix() != member.name or not name.parts:
        raise _altered(f"{member.name!r} is no name of a node's file")
    if name.parts[0] in LEFT_OUT - {LEDGER, AUDIT, *link_copies.DATABASES}:
        raise _altered(f"{member.name!r} is never backed up")
    path = staging / member.name
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    digest, left = hashlib.sha256(), member.size
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        while left and (block := content.read(min(_BLOCK, left))):
            digest.update(block)
            file.write(block)
            left -= len(block)
        file.flush()
        os.fsync(file.fileno())
    if left:
        raise _altered(f"{member.name} is cut off")
    return BackedUp(name=member.name, size=member.size, sha256=digest.hexdigest())


def _owner(staging: Path, manifest: Manifest) -> Ed25519PrivateKey:
    """The node's signing key, which signed the backup: a manifest alone could be anybody's."""
    settings = NodeSettings.load(staging)
    key = load_key(settings.signing_key_path)
    if signing.public_hex(key) != manifest.public or settings.country != manifest.node:
        raise ConfigurationError(
            "backup-of-another-key",
            f"the backup was signed with another key than that in {settings.signing_key_path}",
            "put the key files of that time where its node.toml names them, or restore a backup made since "
            "the key was renewed",
        )
    return key


def _check_and_mark(staging: Path, manifest: Manifest, key: Ed25519PrivateKey, who: str) -> None:
    settings = NodeSettings.load(staging)
    for name in ("data", "snapshots", "work", "quarantine"):
        (settings.store_path / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    settings.open_store()
    if manifest.ledger is None and (staging / LEDGER).exists():
        raise _altered("it has a ledger that the manifest does not know")
    # A node that had no ledger yet gets one, and it is marked too: that one may have spent since.
    with closing(Ledger(staging / LEDGER, NOTHING)) as ledger:
        ledger.verify()
        if manifest.ledger is not None and ledger.head() != manifest.ledger:
            raise _altered("its ledger does not end where the manifest says")
        ledger.mark_restored(manifest.hash())
    if settings.links is not None or (staging / LINK_BOOK).exists():
        link_copies.mark_restored(staging)
    with AuditLog(settings.audit_path, key, settings.country) as log:
        if tuple(log.head()) != (manifest.audit_entries, manifest.audit_head):
            raise _altered("its audit log does not end where the manifest says")
        log.append(
            Operation.RESTORE,
            who=who,
            why="the node was restored from a backup; what was done after it is not in this log",
            details={"backup": manifest.hash(), "made": manifest.created, "software": manifest.software},
        )


def _sync(staging: Path) -> None:
    for directory in (staging, *(path for path in staging.rglob("*") if path.is_dir())):
        sync_directory(directory)


def _altered(what: str) -> DataError:
    return DataError(
        "backup-altered",
        f"the backup does not hold: {what}",
        "use another copy or an earlier backup, and find out who could write to this one",
    )
