"""Changes of snapshots that are published already: rows taken out of them, or all of them under new keys.

Guarantees: a change is staged (``staging``): new bucket files are written beside the old ones, and all
manifests are replaced together or not at all. A snapshot keeps its id. What is encrypted anew is read back
and compared before anything is decided. Old bucket files are unlinked by the sweep that follows; until then
they lie there encrypted, in no manifest. Everything in here happens under the writer's lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from safeborders_fed.cases.publication import following
from safeborders_fed.cases.sealing import CASES, IDENTIFIERS, Sealer
from safeborders_fed.cases.snapshots import Bucket, Manifest, StoredFile, StoreFiles, sync_directory
from safeborders_fed.cases.staging import Staged
from safeborders_fed.errors import DefectError

Progress = Callable[[int, float | None], None]
"""Called with the rows done so far and the share of the work (0 to 1)."""
Chooser = Callable[[pa.Table], NDArray[np.bool_]]
"""Says of each row of a bucket (schema ``tables.RECORDS``) whether it is to go; bool, shape (n,)."""


@dataclass
class Removed:
    """What is to go.

    Attributes:
        keys: Pairs of victim and case, each once however many snapshots hold it.
        snapshots: Ids of the snapshots that hold any of it.
    """

    keys: set[tuple[str, str]] = field(default_factory=set)
    snapshots: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """How many cases go, each with its victim."""
        return len(self.keys)

    @property
    def victims(self) -> int:
        """Whose they are."""
        return len({victim for victim, _ in self.keys})


def of_victims(pseudonyms: frozenset[str]) -> Chooser:
    """Rows of certain victims."""
    values = pa.array(sorted(pseudonyms), pa.string())
    return lambda rows: np.asarray(pc.is_in(rows["victim"], value_set=values).to_numpy())


def look(
    files: StoreFiles,
    chosen: Chooser,
    *,
    only: frozenset[str] | None = None,
    without: frozenset[str] = frozenset(),
) -> Removed:
    """What ``take_out`` would take out. Nothing is written."""
    return _Taking(files, chosen, only, without, write=False).run()[0]


def take_out(
    files: StoreFiles,
    staged: Staged,
    chosen: Chooser,
    now: datetime,
    *,
    only: frozenset[str] | None = None,
    without: frozenset[str] = frozenset(),
) -> tuple[Removed, str | None]:
    """Stage snapshots without the chosen rows, and a new snapshot that stands for the change.

    Args:
        files: The store's.
        staged: Where the new manifests are put.
        chosen: Which rows go.
        now: The time of the new snapshot, UTC.
        only: Pseudonyms of all victims concerned, where they are known: other buckets are not read.
        without: Snapshots that are about to go as a whole.

    Returns:
        What goes, and the id of the new snapshot; None if nothing goes, and then nothing was staged.
    """
    removed, manifests = _Taking(files, chosen, only, without, write=True).run()
    if not removed.snapshots:
        return removed, None
    sync_directory(files.data)
    for manifest in manifests:
        if manifest.snapshot in removed.snapshots:
            staged.put(files.manifest_path(manifest.snapshot), files.sealed_manifest(manifest))
    last = manifests[-1]
    new = following(last, last.bits, last.buckets, now)
    staged.put(files.manifest_path(new.snapshot), files.sealed_manifest(new))
    return removed, new.snapshot


@dataclass
class _Taking:
    """Goes through all snapshots; a bucket that several of them list is read once."""

    files: StoreFiles
    chosen: Chooser
    only: frozenset[str] | None
    without: frozenset[str]
    write: bool
    _done: dict[str, tuple[Bucket | None, set[tuple[str, str]]]] = field(default_factory=dict)

    def run(self) -> tuple[Removed, list[Manifest]]:
        removed, manifests = Removed(), []
        for snapshot in self.files.snapshots():
            if snapshot in self.without:
                continue
            manifest = self.files.manifest(snapshot)
            kept, gone = [], set[tuple[str, str]]()
            for bucket in manifest.buckets:
                rest, keys = self._without(bucket, manifest.bits)
                kept += [] if rest is None else [rest]
                gone |= keys
            if gone:
                removed.snapshots.append(snapshot)
                removed.keys |= gone
            manifests.append(manifest.model_copy(update={"buckets": tuple(kept)}))
        return removed, manifests

    def _without(self, bucket: Bucket, bits: int) -> tuple[Bucket | None, set[tuple[str, str]]]:
        """A bucket without the chosen rows (None if no row is left), and what they are."""
        if self.only is not None and all(_bucket_of(name, bits) != bucket.index for name in self.only):
            return bucket, set()
        if bucket.cases.name not in self._done:
            self._done[bucket.cases.name] = self._rewritten(bucket)
        return self._done[bucket.cases.name]

    def _rewritten(self, bucket: Bucket) -> tuple[Bucket | None, set[tuple[str, str]]]:
        rows = self.files.read_records(bucket)
        mask = self.chosen(rows)
        if not mask.any():
            return bucket, set()
        gone = rows.filter(pa.array(mask))
        keys = set(zip(gone["victim"].to_pylist(), gone["case"].to_pylist(), strict=True))
        rest = rows.filter(pa.array(~mask))
        if not rest.num_rows:
            return None, keys
        if not self.write:
            return bucket, keys
        return self.files.write_bucket(bucket.index, rest, pc.count_distinct(rest["victim"]).as_py()), keys


def _bucket_of(pseudonym: str, bits: int) -> int:
    return int(pseudonym[:2], 16) >> (8 - bits)


def prune(files: StoreFiles, staged: Staged, kept: frozenset[str]) -> list[str]:
    """Stage the removal of all snapshots but ``kept``; which they are."""
    gone = [snapshot for snapshot in files.snapshots() if snapshot not in kept]
    for snapshot in gone:
        staged.remove(files.manifest_path(snapshot))
    return gone


@dataclass(frozen=True)
class Reencrypted:
    """What was encrypted anew: snapshots, bucket files, and rows in them."""

    snapshots: int
    files: int
    rows: int


def encrypt_anew(
    files: StoreFiles, sealer: Sealer, staged: Staged, progress: Progress | None = None
) -> Reencrypted:
    """Stage every snapshot under other keys: every bucket file gets a fresh data key, too.

    Args:
        files: The store's, under the keys of today.
        sealer: That of the keys to come.
        staged: Where the new manifests are put.
        progress: Told how far it is.
    """
    new = replace(files, sealer=sealer)
    manifests = [files.manifest(snapshot) for snapshot in files.snapshots()]
    todo = {
        stored.name: (bucket.rows, stored, key)
        for manifest in manifests
        for bucket in manifest.buckets
        for stored, key in ((bucket.cases, CASES), (bucket.identity, IDENTIFIERS))
    }
    total = sum(rows for rows, _, _ in todo.values())
    done: dict[str, StoredFile] = {}
    rows_done = 0
    for name, (rows, stored, key) in todo.items():
        done[name] = _encrypted_anew(files, new, stored, key)
        rows_done += rows
        if progress is not None:
            progress(rows_done // 2, rows_done / total)  # each row lies in two files
    sync_directory(files.data)
    for manifest in manifests:
        staged.put(files.manifest_path(manifest.snapshot), new.sealed_manifest(_renamed(manifest, done)))
    return Reencrypted(len(manifests), len(done), total // 2)


def _encrypted_anew(files: StoreFiles, new: StoreFiles, stored: StoredFile, key: str) -> StoredFile:
    table = files.read(stored)
    written = new.write(table, key)
    if not new.read(written).equals(table):
        raise DefectError("rekey-differs", "a file that was encrypted anew holds other rows", "report this")
    return written


def _renamed(manifest: Manifest, done: dict[str, StoredFile]) -> Manifest:
    def buckets() -> Iterator[Bucket]:
        for bucket in manifest.buckets:
            moved = {"cases": done[bucket.cases.name], "identity": done[bucket.identity.name]}
            yield bucket.model_copy(update=moved)

    return manifest.model_copy(update={"buckets": tuple(buckets())})
