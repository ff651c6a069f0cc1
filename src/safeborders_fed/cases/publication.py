"""The one writer of a case store, from taking the lock to publishing a snapshot.

Guarantees: there is one writer at a time; a snapshot appears as a whole or not at all, whenever the process
is killed; an import never touches snapshots published before (``rewriting`` says what does); buckets that did
not change are not written again.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from safeborders_fed.cases import contract
from safeborders_fed.cases.merging import Merged, merge
from safeborders_fed.cases.snapshots import Bucket, Manifest, StoreFiles, sync_directory
from safeborders_fed.cases.spill import BITS, Spill
from safeborders_fed.cases.tables import RECORDS
from safeborders_fed.errors import ConfigurationError

ROWS_PER_BUCKET: Final = 16_384
_LOCK_SECONDS: Final = 2.0


def writer_lock(files: StoreFiles, seconds: float = _LOCK_SECONDS) -> AbstractContextManager[None]:
    """Hold the store's lock; as ``lock``."""
    return lock(files.directory, seconds)


@contextmanager
def lock(directory: Path, seconds: float = _LOCK_SECONDS) -> Iterator[None]:
    """Hold the lock of the store in a directory; wait ``seconds`` for another holder.

    Raises:
        ConfigurationError: ``store-busy``.
    """
    handle = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + seconds
        while not _locked(handle):
            if time.monotonic() >= deadline:
                raise ConfigurationError(
                    "store-busy",
                    f"another import or change is writing to {directory}",
                    "wait until it has ended, then try again",
                )
            time.sleep(0.05)
        yield
    finally:
        os.close(handle)  # closing gives the lock back, as the end of the process does


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@dataclass
class Outcome:
    """Counts over all buckets, and the buckets of the next snapshot. See ``merging.Merged``."""

    bits: int
    new: int = 0
    superseded: int = 0
    unchanged: int = 0
    repeated: int = 0
    victims: int = 0
    buckets: list[Bucket] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether there is anything to publish."""
        return bool(self.new or self.superseded)


class Publication:
    """One import's way into a store, under the writer's lock."""

    def __init__(self, files: StoreFiles) -> None:
        self._files = files
        snapshots = files.snapshots()
        self.previous = files.manifest(snapshots[-1]) if snapshots else None
        self._read: tuple[int, pa.Table] | None = None

    def merge(self, spill: Spill, conflict: Callable[[int, int], None], *, write: bool) -> Outcome:
        """Merge the spilled rows with the latest snapshot, bucket by bucket.

        Args:
            spill: Rows of the new file.
            conflict: Called with the row number of each conflicting row and of the row it conflicts with.
            write: False for a dry run: no bucket file is written.
        """
        bits = self._bits(spill.rows)
        outcome = Outcome(bits)
        resized = self.previous is not None and bits != self.previous.bits
        for index in range(2**bits):
            known = self._listed(index, bits)
            incoming = spill.bucket(index, bits)
            if incoming.num_rows == 0 and not resized:
                outcome.buckets += [known] if known else []
                outcome.victims += known.victims if known else 0
                continue
            merged = merge(self._previous_rows(index, bits), incoming)
            for row, first in merged.conflicts:
                conflict(row, first)
            _count(outcome, merged)
            if known is not None and not (merged.new or merged.superseded):
                outcome.buckets.append(known)
            elif write and merged.table.num_rows:
                outcome.buckets.append(self._files.write_bucket(index, merged.table, merged.victims))
        return outcome

    def _bits(self, spilled: int) -> int:
        """How many bits tell buckets apart: never fewer than before, or buckets would have to be joined."""
        previous = self.previous
        rows = max(spilled, previous.rows if previous else 0)
        wanted = max(0, (rows - 1) // ROWS_PER_BUCKET).bit_length()
        return max(previous.bits if previous else 0, min(BITS, wanted))

    def _listed(self, index: int, bits: int) -> Bucket | None:
        """The bucket of the snapshot before, if it had the same buckets and this one has rows."""
        if self.previous is None or self.previous.bits != bits:
            return None
        return next((bucket for bucket in self.previous.buckets if bucket.index == index), None)

    def _previous_rows(self, index: int, bits: int) -> pa.Table:
        """Rows of the snapshot before that belong into this bucket."""
        if self.previous is None:
            return RECORDS.empty_table()
        shift = bits - self.previous.bits
        parent = index >> shift
        if self._read is None or self._read[0] != parent:
            found = [bucket for bucket in self.previous.buckets if bucket.index == parent]
            rows = self._files.read_records(found[0]) if found else RECORDS.empty_table()
            self._read = (parent, rows)
        rows = self._read[1]
        if shift == 0:
            return rows
        edges = [f"{edge << (8 - bits):02x}" for edge in (index, index + 1)]
        prefix = pc.utf8_slice_codeunits(rows["victim"], 0, 2)
        inside = pc.greater_equal(prefix, edges[0])
        if index + 1 < 2**bits:  # the upper edge of the last bucket has three digits
            inside = pc.and_(inside, pc.less(prefix, edges[1]))
        return rows.filter(inside)

    def publish(self, outcome: Outcome) -> str:
        """Make the outcome the latest snapshot, and return its id."""
        manifest = following(self.previous, outcome.bits, tuple(outcome.buckets), datetime.now(UTC))
        sync_directory(self._files.data)
        self._files.write_manifest(manifest)
        return manifest.snapshot


def following(previous: Manifest | None, bits: int, buckets: tuple[Bucket, ...], now: datetime) -> Manifest:
    """The manifest of the snapshot after ``previous``."""
    number = 1 + (int(previous.snapshot.split("-")[0]) if previous else 0)
    return Manifest(
        snapshot=f"{number:06d}-{now:%Y%m%dT%H%M%SZ}",
        created=now.isoformat(timespec="seconds"),
        contract_version=contract.CONTRACT_VERSION,
        bits=bits,
        buckets=buckets,
    )


def _count(outcome: Outcome, merged: Merged) -> None:
    outcome.new += merged.new
    outcome.superseded += merged.superseded
    outcome.unchanged += merged.unchanged
    outcome.repeated += merged.repeated
    outcome.victims += merged.victims
