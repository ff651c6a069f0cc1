"""The files of a case store: where they stand, and the sealed manifests that say which belong together.

Guarantees: a snapshot is one manifest that lists immutable bucket files with their SHA-256; a bucket file is
read only if its content is what the manifest says. Files that no manifest lists are rubbish: of a crash, or
of what was erased, purged or encrypted anew.

Layout of the directory::

    store.json                      public: version, cap on victims, fingerprint of the keys
    lock                            held by the one writer
    snapshots/NUMBER-TIME.sealed    one manifest per snapshot; the rename of this file publishes it
    data/RANDOM.parquet             encrypted bucket files
    work/                           what an import in progress writes; swept after a crash
    quarantine/                     rejected rows, in clear, for the owner only
    erased.sealed                   keyed hashes of victims who were erased (``withholding``)
    next/ committed/                a change of many files under way (``staging``)
"""

from __future__ import annotations

import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from safeborders_fed.cases.sealing import CASES, IDENTIFIERS, Sealer
from safeborders_fed.cases.tables import (
    CASES_STORED,
    IDENTITY_STORED,
    KEYS,
    RECORDS,
    check_version,
    stamped,
    version_of,
)
from safeborders_fed.errors import ConfigurationError

_SUFFIX: Final = ".sealed"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StoredFile(_Model):
    """An encrypted file in ``data/`` and the SHA-256 of its content."""

    name: str
    sha256: str


class Bucket(_Model):
    """The rows whose pseudonym begins with the bits of ``index``."""

    index: int
    rows: int
    victims: int
    cases: StoredFile
    identity: StoredFile


class Manifest(_Model):
    """One snapshot. Buckets without rows are not listed."""

    snapshot: str
    created: str
    contract_version: str
    bits: int
    buckets: tuple[Bucket, ...]

    @property
    def rows(self) -> int:
        """Number of rows: pairs of case and victim."""
        return sum(bucket.rows for bucket in self.buckets)

    @property
    def victims(self) -> int:
        """Number of different victims."""
        return sum(bucket.victims for bucket in self.buckets)


@dataclass(frozen=True)
class StoreFiles:
    """Reads and writes the files of one store."""

    directory: Path
    sealer: Sealer

    @property
    def data(self) -> Path:
        """Directory of the bucket files."""
        return self.directory / "data"

    @property
    def manifests(self) -> Path:
        """Directory of the manifests."""
        return self.directory / "snapshots"

    @property
    def work(self) -> Path:
        """Directory of an import in progress."""
        return self.directory / "work"

    @property
    def quarantine(self) -> Path:
        """Directory of rejected rows."""
        return self.directory / "quarantine"

    def snapshots(self) -> tuple[str, ...]:
        """Ids of all snapshots, oldest first."""
        return snapshots_in(self.directory)

    def manifest(self, snapshot: str) -> Manifest:
        """The manifest of a snapshot.

        Raises:
            ConfigurationError: ``unknown-snapshot``, ``wrong-key``, ``contract-version``.
        """
        if snapshot not in self.snapshots():
            raise ConfigurationError(
                "unknown-snapshot",
                f"the case store has no snapshot {snapshot!r}",
                "choose one that `safeborders node cases list` shows",
            )
        sealed = self.manifest_path(snapshot).read_bytes()
        manifest = Manifest.model_validate_json(self.sealer.unseal(sealed, snapshot))
        check_version(manifest.contract_version, f"snapshot {snapshot}")
        return manifest

    def manifest_path(self, snapshot: str) -> Path:
        """Where the manifest of a snapshot is."""
        return self.manifests / f"{snapshot}{_SUFFIX}"

    def sealed_manifest(self, manifest: Manifest) -> bytes:
        """What the file of a manifest holds."""
        return self.sealer.seal(manifest.model_dump_json().encode(), manifest.snapshot)

    def write_manifest(self, manifest: Manifest) -> None:
        """Publish a snapshot: after this returns it is there, and before it nothing was."""
        waiting = self.work / "manifest"
        write_durably(waiting, self.sealed_manifest(manifest))
        waiting.rename(self.manifest_path(manifest.snapshot))
        sync_directory(self.manifests)

    def write_bucket(self, index: int, records: pa.Table, victims: int) -> Bucket:
        """Write the rows of a bucket (schema ``tables.RECORDS``) to two new files."""
        return Bucket(
            index=index,
            rows=records.num_rows,
            victims=victims,
            cases=self.write(records.select(CASES_STORED.names), CASES),
            identity=self.write(records.select(IDENTITY_STORED.names), IDENTIFIERS),
        )

    def write(self, table: pa.Table, key: str) -> StoredFile:
        """Write a table to a new bucket file, under the key named ``cases`` or ``identifiers``."""
        content = self.sealer.parquet(stamped(table), key)
        name = f"{secrets.token_hex(16)}.parquet"
        write_durably(self.data / name, content)
        return StoredFile(name=name, sha256=hashlib.sha256(content).hexdigest())

    def read(self, stored: StoredFile) -> pa.Table:
        """The table in a bucket file.

        Raises:
            ConfigurationError: ``store-damaged``, ``wrong-key``, ``contract-version``.
        """
        try:
            content = (self.data / stored.name).read_bytes()
        except OSError as error:
            raise _damaged(stored.name, str(error.strerror)) from error
        if hashlib.sha256(content).hexdigest() != stored.sha256:
            raise _damaged(stored.name, "its content has changed")
        table = self.sealer.open_parquet(content)
        check_version(version_of(table), stored.name)
        return table.replace_schema_metadata(None)

    def read_records(self, bucket: Bucket) -> pa.Table:
        """All columns of a bucket, schema ``tables.RECORDS``."""
        cases, identity = self.read(bucket.cases), self.read(bucket.identity)
        if any(not cases[name].equals(identity[name]) for name in KEYS):
            raise _damaged(bucket.identity.name, "its rows are not those of the analysis table")
        columns = [*cases.columns, *(identity[name] for name in IDENTITY_STORED.names[len(KEYS) :])]
        return pa.table(columns, schema=RECORDS)

    def sweep(self) -> None:
        """Remove what a crashed import left behind. Only the writer may call this."""
        listed = {
            stored.name
            for snapshot in self.snapshots()
            for bucket in self.manifest(snapshot).buckets
            for stored in (bucket.cases, bucket.identity)
        }
        for path in (*self.work.iterdir(), *self.data.iterdir()):
            if path.name not in listed:
                path.unlink()


def snapshots_in(directory: Path) -> tuple[str, ...]:
    """Ids of all snapshots of a store, oldest first, for who holds none of its keys."""
    manifests = directory / "snapshots"
    return tuple(sorted(path.name.removesuffix(_SUFFIX) for path in manifests.glob(f"*{_SUFFIX}")))


def _damaged(name: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        "store-damaged",
        f"the file {name} of the case store cannot be used: {why}",
        "restore the store from its backup, or import the national files again into a new one",
    )


def write_durably(path: Path, content: bytes) -> None:
    """Write a file, for its owner only, and wait until it is on the disk."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Wait until names made in a directory are on the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
