"""A backup of a node in one file, made while its service runs.

A backup is a plain tar archive, so that it can be looked into with any tool. Its last member,
``manifest.json``, lists every other one with size and SHA-256 and is signed by the node.

Guarantees:

- The file appears complete or not at all, readable by its owner only.
- The ledger is one state between two transactions. What is copied after it (audit log, case store, studies)
  knows at least as much: no charge of the copied ledger is missing from the copied log and the ledger's
  outbox together, and every snapshot that the ledger names is there.
- So are the books of links, which are copied before the log too (``node.link_copies``). The secrets of the
  year's epoch are in a backup, sealed; so are its tokens. They open with the key file of that time only.
- The audit log is copied up to its last signed line.
- Case data and reviews are copied as they lie there, encrypted; every file of the store is checked first.
- The audit log names every backup: a record of it is on the disk before the file has its name.
- No key goes into a backup: key files lie outside the node's directory, and a private key that somebody put
  inside is refused. Rejected rows (``quarantine/``, in clear) and ``run/`` stay out too.

Without the key files nobody can read the cases in a backup, and nobody can restore it.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import re
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Final, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, ConfigDict
from pydantic import Field as Limit

from safeborders_fed import __version__
from safeborders_fed.audit import notices
from safeborders_fed.audit.chain import EMPTY, Operation
from safeborders_fed.audit.chain import Head as AuditHead
from safeborders_fed.audit.log import Event
from safeborders_fed.audit.tail import signed_length
from safeborders_fed.cases.publication import lock
from safeborders_fed.cases.snapshots import StoreFiles, sync_directory
from safeborders_fed.cases.withholding import FILE as ERASED
from safeborders_fed.errors import ConfigurationError, UsageError
from safeborders_fed.masking import signing
from safeborders_fed.masking.signing import Purpose
from safeborders_fed.node import link_copies
from safeborders_fed.node.boxes import papers
from safeborders_fed.node.caps import Caps
from safeborders_fed.node.journal import now
from safeborders_fed.node.layout import HITS, PAPERS
from safeborders_fed.node.ledger import Ledger
from safeborders_fed.node.study_directory import DIRECTORY as STUDIES
from safeborders_fed.node.study_papers import APPROVALS, REFUSALS, WITHDRAWALS
from safeborders_fed.study import canonical
from safeborders_fed.study.handshake import Head
from safeborders_fed.study.key_files import load_key
from safeborders_fed.study.manifest import NodeName
from safeborders_fed.study.roster import Digest, PublicKey

if TYPE_CHECKING:
    from safeborders_fed.node.settings import NodeSettings

MANIFEST: Final = "manifest.json"
LEDGER: Final = "ledger.sqlite"
AUDIT: Final = "audit.jsonl"
LEFT_OUT: Final = link_copies.LEFT_OUT | {
    "run",
    LEDGER,
    f"{LEDGER}-wal",
    f"{LEDGER}-shm",
    AUDIT,
    f".{AUDIT}.lock",
}
NOTHING: Final = Caps(0.0, 0.0, 0.0)
"""For a ledger that is opened to be read."""
_PARTS: Final = (".part", ".partial")
_PRIVATE: Final = b"PRIVATE KEY-----"
_BOX: Final = re.compile(rf"({STUDIES}/[^/]+/({APPROVALS}|{REFUSALS}|{WITHDRAWALS})|{HITS}/{PAPERS})/")


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class BackedUp(_Model):
    """One file: its path in the node's directory, size in bytes and SHA-256."""

    name: Annotated[str, Limit(min_length=1, max_length=1000)]
    size: int = Limit(ge=0)
    sha256: Digest


class Manifest(_Model):
    """What a backup holds.

    Attributes:
        node: Whose it is.
        created: When it was made, ISO 8601, UTC.
        software: Version that made it.
        public: The node's public signing key, 64 hexadecimal digits.
        ledger: The copied ledger's head; None when the node had no ledger yet.
        audit_entries: How many entries the copied audit log has.
        audit_head: Hash of its last line.
        files: All files.
        signature: By the node's key over all of it.
    """

    schema_version: Literal[1] = 1
    node: NodeName
    created: Annotated[str, Limit(max_length=40)]
    software: Annotated[str, Limit(max_length=40)]
    public: PublicKey
    ledger: Head | None
    audit_entries: int = Limit(ge=0)
    audit_head: Digest
    files: Annotated[tuple[BackedUp, ...], Limit(strict=False)]
    signature: Annotated[str, Limit(pattern=r"^([0-9a-f]{128})?$")] = ""

    def signed_part(self) -> bytes:
        """The bytes that its signature covers."""
        return canonical.serialise(self.model_dump(mode="json", exclude={"signature"}))

    def hash(self) -> str:
        """What the backup is known by."""
        return canonical.sha256(self.signed_part())


@dataclass
class _Archive:
    """A tar archive under way, and what went into it."""

    tar: tarfile.TarFile
    files: list[BackedUp] = field(default_factory=list)

    def add(self, name: str, file: IO[bytes], size: int) -> None:
        """Adds ``size`` bytes of an open file."""
        reader = _Hashing(file)
        self.tar.addfile(_member(name, size), reader)
        self.files.append(BackedUp(name=name, size=size, sha256=reader.digest.hexdigest()))

    def add_file(self, name: str, path: Path) -> None:
        """Adds a file as long as it is when it is opened."""
        with path.open("rb") as file:
            self.add(name, file, os.fstat(file.fileno()).st_size)


class _Hashing(io.RawIOBase):
    """What is read through it is hashed."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        return data


def back_up(settings: NodeSettings, out: Path, who: str) -> tuple[Manifest, bool]:
    """Writes a backup of a node.

    Args:
        settings: The node.
        out: New file, outside the node's directory, on another disk at best.
        who: Who asked for it.

    Returns:
        What it holds, and whether the audit log names it already (else the running service will).

    Raises:
        UsageError: ``out-exists`` or ``out-inside-home``.
        ConfigurationError: ``backup-unwritable``, ``backup-busy``, ``private-key-in-home``; or as load_key,
            CaseStore.open, Ledger.
    """
    if out.exists():
        raise UsageError("out-exists", f"{out} exists already", "name a new file with --out")
    if out.resolve().is_relative_to(settings.home.resolve()):
        raise UsageError(
            "out-inside-home",
            f"{out} lies inside the node's directory",
            "name a file on another disk",
        )
    key = load_key(settings.signing_key_path)
    try:
        with _appearing(out) as file, tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
            manifest = _fill(_Archive(tar), settings, out, signing.public_hex(key))
            signature = signing.sign(key, Purpose.BACKUP, manifest.signed_part())
            manifest = manifest.model_copy(update={"signature": signature})
            content = canonical.serialise(manifest.model_dump(mode="json"))
            tar.addfile(_member(MANIFEST, len(content)), io.BytesIO(content))
            _leave_record(settings, key, manifest, out, who)
    except OSError as error:
        raise ConfigurationError(
            "backup-unwritable",
            f"the backup {out} cannot be made: {error.strerror or error}",
            "free space there and check the rights; the node goes on as before",
        ) from error
    return manifest, notices.log_now(settings.open_audit_log)


def _leave_record(
    settings: NodeSettings, key: Ed25519PrivateKey, manifest: Manifest, out: Path, who: str
) -> None:
    """Puts on record, before the file has its name, that a copy of the node leaves its directory."""
    event = Event(Operation.EXPORT, who, "backup of the node", {"backup": manifest.hash(), "file": out.name})
    notices.leave(settings.home, key, settings.country, event, change=manifest.hash()[:32])


def _fill(archive: _Archive, settings: NodeSettings, out: Path, public: str) -> Manifest:
    """Adds all there is, the ledger first: what comes later knows at least as much."""
    head = _add_ledger(archive, settings.home / LEDGER, out)
    link_copies.add_copies(settings.home, out, archive.add_file)
    audit = _add_audit_log(archive, settings.audit_path)
    store = settings.open_store()
    with lock(settings.store_path):  # over both: new keys or an erasure change store and reviews together
        store.require_current()
        _add_snapshots(archive, settings, store.files)
        _add_others(archive, settings)
    return Manifest(
        node=settings.country,
        created=now().isoformat(timespec="seconds"),
        software=__version__,
        public=public,
        ledger=head,
        audit_entries=audit.number,
        audit_head=audit.hash,
        files=tuple(archive.files),
    )


def _add_ledger(archive: _Archive, path: Path, out: Path) -> Head | None:
    if not path.exists():
        return None
    copy = out.with_name(f".{out.name}.ledger.part")
    copy.unlink(missing_ok=True)
    try:
        with closing(Ledger(path, NOTHING)) as ledger:
            ledger.copy_to(copy)
        copy.chmod(0o600)
        archive.add_file(LEDGER, copy)
        with closing(Ledger(copy, NOTHING)) as copied:
            copied.verify()
            return copied.head()
    finally:
        for name in (copy.name, f"{copy.name}-wal", f"{copy.name}-shm"):
            copy.with_name(name).unlink(missing_ok=True)


def _add_audit_log(archive: _Archive, path: Path) -> AuditHead:
    """Adds the log up to its last signed line: its writer may be at work behind that."""
    if not path.exists():
        return EMPTY
    with path.open("rb") as file:
        length, tail = signed_length(file.fileno())
        archive.add(AUDIT, file, length)
    return tail.head


def _add_snapshots(archive: _Archive, settings: NodeSettings, files: StoreFiles) -> None:
    """Adds every snapshot with the files that it lists, each checked, while nothing is written there."""
    prefix = _inside(settings.store_path, settings.home)
    archive.add_file(f"{prefix}/store.json", files.directory / "store.json")
    if (files.directory / ERASED).exists():
        archive.add_file(f"{prefix}/{ERASED}", files.directory / ERASED)
    done: set[str] = set()
    for snapshot in files.snapshots():
        for bucket in files.manifest(snapshot).buckets:
            for stored in (bucket.cases, bucket.identity):
                if stored.name in done:
                    continue
                done.add(stored.name)
                archive.add_file(f"{prefix}/data/{stored.name}", files.data / stored.name)
                if archive.files[-1].sha256 != stored.sha256:
                    raise ConfigurationError(
                        "store-damaged",
                        f"the file {stored.name} of the case store has changed",
                        "restore the store from an earlier backup, or import the national files again",
                    )
        sealed = f"{snapshot}.sealed"
        archive.add_file(f"{prefix}/snapshots/{sealed}", files.manifests / sealed)


def _inside(path: Path, home: Path) -> str:
    try:
        return path.resolve().relative_to(home.resolve()).as_posix()
    except ValueError as error:
        raise ConfigurationError(
            "store-outside-home",
            f"the case store {path} lies outside the node's directory",
            "back the store up with your own means, or move it inside and name it in node.toml",
        ) from error


def _add_others(archive: _Archive, settings: NodeSettings) -> None:
    """Adds settings, accepted keys, people, studies, models, reviews and whatever else lies there."""
    store = _inside(settings.store_path, settings.home)
    for path in sorted(settings.home.rglob("*")):
        name = path.relative_to(settings.home).as_posix()
        outside = name.split("/", 1)[0] in LEFT_OUT or name == store or name.startswith(f"{store}/")
        if _BOX.match(name):  # others write there: what they left is read with distrust, below
            continue
        if outside or path.is_symlink() or not path.is_file() or name.endswith(_PARTS):
            continue
        try:
            with path.open("rb") as file:
                if _PRIVATE in file.read(200):
                    raise ConfigurationError(
                        "private-key-in-home",
                        f"{name} in the node's directory is a private key",
                        "move it out of there: a copy of the directory must open nothing",
                    )
                file.seek(0)
                archive.add(name, file, os.fstat(file.fileno()).st_size)
        except FileNotFoundError:  # replaced or removed since it was listed
            continue
    for box in sorted([*settings.home.glob(f"{STUDIES}/*/*"), *settings.home.glob(f"{HITS}/*")]):
        if _BOX.match(f"{box.relative_to(settings.home).as_posix()}/"):
            for path, content in papers(box):
                name = path.relative_to(settings.home).as_posix()
                archive.add(name, io.BytesIO(content), len(content))


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    return member


@contextmanager
def _appearing(out: Path) -> Iterator[IO[bytes]]:
    """A new file that gets its name when all is on the disk."""
    part = out.with_name(f".{out.name}.part")
    handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigurationError(
                "backup-busy", f"another process writes {out}", "wait for it, or name another file"
            ) from error
        file.truncate()  # what a killed backup may have left
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            _name(part, out)
        finally:
            part.unlink(missing_ok=True)
    sync_directory(out.parent)


def _name(part: Path, out: Path) -> None:
    """Gives the finished file its name, and never another file's."""
    try:
        os.link(part, out)
    except FileExistsError:
        raise
    except OSError:  # file systems of removable disks know no second name
        part.rename(out)
