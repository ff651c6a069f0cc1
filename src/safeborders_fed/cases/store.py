"""The case store of one node: encrypted, versioned snapshots of its case data.

Guarantees: once it is published, a snapshot loses rows by erasure or retention (``rewriting``), and changes
in no other way; raw keys and identifiers stand apart from the analysis table, under another key; a store is
opened only with its own keys; the number of victims stays within a public cap, which intake enforces. A
change that was interrupted is finished or undone before anything else. Files are laid out as ``snapshots``
says.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from safeborders_fed.cases import staging
from safeborders_fed.cases.keys import NodeKeys
from safeborders_fed.cases.publication import Publication, lock, writer_lock
from safeborders_fed.cases.sealing import Sealer, wrong_key
from safeborders_fed.cases.snapshots import (
    Bucket,
    Manifest,
    StoredFile,
    StoreFiles,
    snapshots_in,
    sync_directory,
    write_durably,
)
from safeborders_fed.cases.tables import (
    CASES_STORED,
    IDENTITY_STORED,
    RAW_KEYS_VIEW,
    analysis_view,
    identifiers_view,
)
from safeborders_fed.errors import ConfigurationError, DataError

DEFAULT_MAX_VICTIMS: Final = 2_000_000
HEAD: Final = "store.json"


class _Head(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    schema_version: int = Field(ge=1, le=1)
    max_victims: int = Field(ge=1)
    keys: str


@dataclass(frozen=True)
class Snapshot:
    """One published state of the store. ``created`` is UTC in ISO 8601."""

    id: str
    created: str
    rows: int
    victims: int


class CaseStore:
    """Reads snapshots, and lets one writer at a time add the next."""

    def __init__(self, files: StoreFiles, keys: NodeKeys, head: _Head) -> None:
        self.files = files
        self.keys = keys
        self.max_victims = head.max_victims

    @classmethod
    def create(cls, directory: Path, keys: NodeKeys, max_victims: int = DEFAULT_MAX_VICTIMS) -> CaseStore:
        """Make an empty store in a new or empty directory.

        Args:
            directory: Where its files go.
            keys: The node's secrets. The store cannot be opened without them.
            max_victims: Public cap on the number of victims; an import that would exceed it is refused.

        Raises:
            ConfigurationError: ``store-exists`` or ``store-unwritable``.
        """
        directory = Path(directory)
        if max_victims < 1:
            raise ConfigurationError(
                "max-victims", f"the cap on victims is {max_victims}", "give a cap of 1 or more"
            )
        files = StoreFiles(directory, Sealer(keys))
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if any(directory.iterdir()):
                raise ConfigurationError(
                    "store-exists", f"{directory} is not empty", "choose a new directory for the store"
                )
            for part in (files.data, files.manifests, files.work, files.quarantine):
                part.mkdir(mode=0o700)
            head = _Head(schema_version=1, max_victims=max_victims, keys=_fingerprint(keys))
            write_durably(directory / HEAD, head.model_dump_json().encode())
            sync_directory(directory)
        except OSError as error:
            raise ConfigurationError(
                "store-unwritable",
                f"no case store can be made in {directory}: {error.strerror}",
                "choose a directory that this user may write to",
            ) from error
        return cls(files, keys, head)

    @classmethod
    def open(cls, directory: Path, keys: NodeKeys) -> CaseStore:
        """Open a store, after finishing or sweeping up what a crash may have left there.

        Raises:
            ConfigurationError: ``store-missing``, ``store-damaged``, ``wrong-key``, ``contract-version``;
                ``store-busy`` while a change of the whole store is taking place, ``store-unwritable`` when
                one that was interrupted cannot be finished.
        """
        if staging.is_committed(directory):
            try:
                with lock(Path(directory)):
                    staging.finish(directory)
            except OSError as error:
                raise ConfigurationError(
                    "store-unwritable",
                    f"an interrupted change of {directory} cannot be finished: {error.strerror}",
                    "free space on its disk, or run the command as the user that owns the store",
                ) from error
        store = cls.look(directory, keys)
        store._sweep_if_idle()  # noqa: SLF001 - its own class
        return store

    @classmethod
    def look(cls, directory: Path, keys: NodeKeys) -> CaseStore:
        """The store, to be read only: opening it changes nothing.

        Raises:
            ConfigurationError: ``store-missing``, ``store-damaged``, ``store-unfinished`` or ``wrong-key``.
        """
        directory = Path(directory)
        if staging.is_committed(directory):
            raise ConfigurationError(
                "store-unfinished",
                f"a change of the case store in {directory} was interrupted, or is taking place",
                "run `safeborders node cases list`, which finishes it, and try again",
            )
        head = _head(directory)
        if not hmac.compare_digest(head.keys, _fingerprint(keys)):
            raise wrong_key()
        return cls(StoreFiles(directory, Sealer(keys)), keys, head)

    @staticmethod
    def fits(directory: Path, keys: NodeKeys) -> bool:
        """Whether keys are those of the store. Raises ``store-missing`` or ``store-damaged``."""
        return hmac.compare_digest(_head(Path(directory)).keys, _fingerprint(keys))

    def require_current(self) -> None:
        """Refuses to go on with keys that were replaced since the store was opened.

        Raises:
            ConfigurationError: ``store-changed``.
        """
        directory = self.files.directory
        if staging.is_committed(directory) or not self.fits(directory, self.keys):
            raise ConfigurationError(
                "store-changed",
                f"the case store in {directory} was given new keys while this command ran",
                "run the command again",
            )

    def head_under(self, keys: NodeKeys) -> bytes:
        """What ``store.json`` is to hold once the store is under other keys."""
        head = _Head(schema_version=1, max_victims=self.max_victims, keys=_fingerprint(keys))
        return head.model_dump_json().encode()

    @staticmethod
    def max_victims_of(directory: Path) -> int:
        """The public cap on victims of a store, for who holds none of its keys.

        Raises:
            ConfigurationError: ``store-missing`` or ``store-damaged``.
        """
        return _head(Path(directory)).max_victims

    @staticmethod
    def latest_of(directory: Path) -> str | None:
        """Id of the latest snapshot of a store, or None, for who holds none of its keys."""
        snapshots = snapshots_in(Path(directory))
        return snapshots[-1] if snapshots else None

    def _sweep_if_idle(self) -> None:
        try:
            with writer_lock(self.files, seconds=0):
                staging.discard(self.files.directory)
                self.files.sweep()
        except ConfigurationError as error:
            if error.code != "store-busy":  # a writer at work has swept already
                raise

    @contextmanager
    def writing(self) -> Iterator[Publication]:
        """The writer's side, under the lock. What was not published is removed at the end.

        Raises:
            ConfigurationError: ``store-busy`` or ``store-changed``.
        """
        with writer_lock(self.files):
            self.require_current()
            self.files.sweep()
            try:
                yield Publication(self.files)
            finally:
                self.files.sweep()

    def latest_snapshot(self) -> str | None:
        """Id of the latest snapshot, or None for an empty store."""
        snapshots = self.files.snapshots()
        return snapshots[-1] if snapshots else None

    def snapshots(self) -> tuple[Snapshot, ...]:
        """All snapshots, oldest first."""
        manifests = (self.files.manifest(name) for name in self.files.snapshots())
        return tuple(
            Snapshot(manifest.snapshot, manifest.created, manifest.rows, manifest.victims)
            for manifest in manifests
        )

    def _manifest(self, snapshot: str | None) -> Manifest:
        chosen = snapshot or self.latest_snapshot()
        if chosen is None:
            raise DataError(
                "empty-store",
                f"the case store in {self.files.directory} holds no case data yet",
                "import a national file with `safeborders node import`",
            )
        return self.files.manifest(chosen)

    def cases(self, snapshot: str | None = None) -> pa.Table:
        """The analysis table of a snapshot (default: the latest), sorted by victim and case.

        Columns are those of ``tables.analysis_view``: pseudonyms and contract codes.

        Raises:
            DataError: ``empty-store``.
            ConfigurationError: ``unknown-snapshot``, ``store-damaged``, ``wrong-key``, ``contract-version``.
        """
        tables = self._tables(snapshot, lambda bucket: bucket.cases)
        return analysis_view(pa.concat_tables([CASES_STORED.empty_table(), *tables]))

    def _identity(self, snapshot: str | None) -> pa.Table:
        tables = self._tables(snapshot, lambda bucket: bucket.identity)
        return pa.concat_tables([IDENTITY_STORED.empty_table(), *tables])

    def _tables(self, snapshot: str | None, part: Callable[[Bucket], StoredFile]) -> list[pa.Table]:
        """The tables of all buckets; read again if rows were removed from the snapshot meanwhile."""
        manifest = self._manifest(snapshot)
        while True:
            try:
                return [self.files.read(part(bucket)) for bucket in manifest.buckets]
            except ConfigurationError as error:
                now = self.files.manifest(manifest.snapshot)
                if error.code != "store-damaged" or now == manifest:
                    raise
                manifest = now

    def identifiers(self, snapshot: str | None = None) -> pa.Table:
        """Identifiers for links: victim, case, type, owner, value. Raises as ``cases``."""
        return identifiers_view(self._identity(snapshot))

    def raw_keys(self, snapshot: str | None = None) -> pa.Table:
        """Which national ids the pseudonyms stand for: victim, case, victim_id, case_id. Raises as ``cases``.

        For the national team only, which must find the file behind a pseudonym.
        """
        return self._identity(snapshot).select(RAW_KEYS_VIEW.names)


def _head(directory: Path) -> _Head:
    try:
        return _Head.model_validate(json.loads((directory / HEAD).read_bytes()))
    except OSError as error:
        raise ConfigurationError(
            "store-missing",
            f"there is no case store in {directory}: {error.strerror}",
            "give the directory that `safeborders node init` made",
        ) from error
    except (ValueError, ValidationError) as error:
        raise ConfigurationError(
            "store-damaged",
            f"{directory / HEAD} is not what a case store holds",
            "restore the store from its backup",
        ) from error


def _fingerprint(keys: NodeKeys) -> str:
    """Tells whether keys are the store's own. It does not help to find them: they are 256 random bits."""
    message = b"safeborders case store keys v1" + keys.cases + keys.identifiers
    return hmac.digest(keys.pseudonym, message, "sha256").hex()
