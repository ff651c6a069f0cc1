"""Intake: one national file becomes the next snapshot of a case store.

Guarantees: good rows go in and bad rows go to the quarantine with their reason; memory does not grow with the
file; the same file twice changes nothing; a snapshot is published only at the very end, so an import that
fails, is refused or is killed leaves the store as it was. An import is refused when it would accept nothing,
reject more than the caller permits, or exceed the store's public cap on victims.
"""

from __future__ import annotations

import secrets
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from safeborders_fed.cases.chunks import Reader
from safeborders_fed.cases.conversion import Converted, Converter
from safeborders_fed.cases.keys import NodeKeys
from safeborders_fed.cases.mapping import Mapping
from safeborders_fed.cases.publication import Outcome
from safeborders_fed.cases.readers import open_reader
from safeborders_fed.cases.rejection import Quarantine, Reason, Rejection
from safeborders_fed.cases.snapshots import sync_directory, write_durably
from safeborders_fed.cases.sources import KeySource
from safeborders_fed.cases.spill import Spill
from safeborders_fed.cases.store import CaseStore
from safeborders_fed.cases.tables import MULTIS, analysis_view
from safeborders_fed.cases.withholding import Cutoffs, Tombstones, Withheld
from safeborders_fed.errors import ConfigurationError, DataError

PREVIEWED: Final = 5

Progress = Callable[[int, float | None], None]
"""Called with the rows read so far and the share of the file read (0 to 1, None if not known)."""
PreviewRow = dict[str, str | dict[str, list[str]] | None]
"""Contract values of a row: a code, None for not known, or for multi fields what is present and absent."""


@dataclass(frozen=True)
class ImportReport:
    """What an import did, or in a dry run would do.

    Attributes:
        read: Rows of the file, without its header and blank lines.
        accepted: new + superseded + unchanged + repeated. Rows read = accepted + rejected + erased + expired.
        new: Rows whose (case, victim) the store did not have.
        superseded: Rows that replace a differing one of the store.
        unchanged: Rows that the store has already.
        repeated: Rows that an earlier row of the file repeats exactly.
        rejected: Rows that went to the quarantine.
        reasons: Rejected rows by their first reason. The quarantine file has a line for each bad cell.
        snapshot: The store's latest snapshot afterwards; None if there is none.
        quarantine_file: Where the rejected rows are; None if there are none.
        ignored_columns: Columns of the file that the mapping does not name.
        dry_run: Whether this was a preview: the store is as before.
        preview: In a dry run, the first accepted rows as contract values, without keys and identifiers.
        erased: Rows of victims who were erased; they are left out, and in no quarantine.
        expired: Rows of cases past their retention period, left out likewise.
    """

    read: int
    accepted: int
    new: int
    superseded: int
    unchanged: int
    repeated: int
    rejected: int
    reasons: dict[str, int]
    snapshot: str | None
    quarantine_file: Path | None
    ignored_columns: tuple[str, ...]
    dry_run: bool
    preview: tuple[PreviewRow, ...] = ()
    erased: int = 0
    expired: int = 0


@dataclass
class _Intake:
    """One import: what was read and rejected so far."""

    path: Path
    mapping: Mapping
    store: CaseStore
    quarantine: Quarantine
    withheld: Withheld
    read: int = 0
    erased: int = 0
    expired: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    preview: pa.Table | None = None

    @property
    def rejected(self) -> int:
        return self.reasons.total()

    def fill(self, spill: Spill, reader: Reader, progress: Progress | None) -> None:
        """Convert the whole file into the spill."""
        converter = Converter(self.mapping, self.store.keys, typed=reader.typed)
        for chunk in reader.chunks():
            converted = converter.convert(chunk)
            self.read += len(chunk.rows) + len(chunk.rejected)
            rows, first_bytes = self._permitted(converted)
            spill.add(rows, first_bytes)
            if self.preview is None and rows.num_rows:
                self.preview = rows.slice(0, PREVIEWED)
            if progress is not None:
                progress(self.read, reader.share())

    def _permitted(self, converted: Converted) -> tuple[pa.Table, NDArray[np.uint8]]:
        """The rows that are neither of erased victims nor past their period, with their first bytes.

        A rejected row of an erased victim is left out as well: the quarantine would show cells of it.
        """
        rows, rejected = converted.rows, converted.rejected_victims
        erased, hidden = np.zeros(rows.num_rows, dtype=np.bool_), set[int]()
        if self.withheld.knows_erased:
            erased = self.withheld.of_erased(rows["victim"].to_pylist())
            found = self.withheld.of_erased(list(rejected.values())).tolist()
            hidden = {row for row, gone in zip(rejected, found, strict=True) if gone}
        self.reject(entry for entry in converted.rejections if entry.row not in hidden)
        expired = self.withheld.expired(rows) & ~erased
        self.erased += int(erased.sum()) + len(hidden)
        self.expired += int(expired.sum())
        keep = ~(erased | expired)
        if keep.all():
            return rows, converted.first_bytes
        return rows.filter(pa.array(keep)), converted.first_bytes[keep]

    def reject(self, rejections: Iterable[Rejection]) -> None:
        """Note rejections, all those of one row together."""
        row = None
        for rejection in rejections:
            self.quarantine.add(rejection)
            if rejection.row != row:
                self.reasons[rejection.reason.value] += 1
            row = rejection.row

    def reject_duplicate(self, row: int, first: int) -> None:
        """Note a row whose key an earlier row of the file has, with other content."""
        sources = [self.mapping.fields[name] for name in ("case_id", "victim_id")]
        columns = [source.column for source in sources if isinstance(source, KeySource) and source.column]
        text = f"the same case and victim stand in row {first} with other content; row {first} was kept"
        self.reject([Rejection(row, " + ".join(columns), "", Reason.DUPLICATE_KEY, text)])

    def check(self, victims: int, max_rejected: int | None, kept: Path | None) -> None:
        """Refuse the import as a whole. ``kept`` is where the rejected rows are."""
        name = self.path.name
        if self.read == 0:
            raise DataError(
                "nothing-accepted", f"{name} has a header and no rows", "export the file again with its rows"
            )
        where = f"see {kept}" if kept else "run again with --quarantine FILE to see the rows"
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in self.reasons.most_common())
        if self.rejected == self.read:
            raise DataError(
                "nothing-accepted",
                f"all {self.read:,} rows of {name} were rejected ({reasons}); the store is unchanged",
                f"{where}, then correct the mapping or the file",
            )
        if max_rejected is not None and self.rejected > max_rejected:
            raise DataError(
                "too-many-rejected",
                f"{self.rejected:,} of {self.read:,} rows of {name} were rejected ({reasons}), more than the "
                f"{max_rejected:,} permitted; the store is unchanged",
                f"{where}, then correct the mapping or the file, or permit more",
            )
        if victims > self.store.max_victims:
            raise DataError(
                "too-many-victims",
                f"with {name} the store would exceed its cap of {self.store.max_victims:,} victims; it is "
                "unchanged",
                "check the file; if it is right, make a new store with a greater cap",
            )

    def report(
        self, outcome: Outcome, header: Iterable[str], kept: Path | None, *, dry_run: bool
    ) -> ImportReport:
        """What was done."""
        named = set(self.mapping.columns())
        return ImportReport(
            read=self.read,
            accepted=self.read - self.rejected - self.erased - self.expired,
            new=outcome.new,
            superseded=outcome.superseded,
            unchanged=outcome.unchanged,
            repeated=outcome.repeated,
            rejected=self.rejected,
            reasons=dict(self.reasons.most_common()),
            snapshot=self.store.latest_snapshot(),
            quarantine_file=kept,
            ignored_columns=tuple(name for name in header if name not in named),
            dry_run=dry_run,
            preview=_preview(self.preview) if dry_run and self.preview is not None else (),
            erased=self.erased,
            expired=self.expired,
        )


def import_file(
    path: Path,
    mapping: Mapping,
    store: CaseStore,
    *,
    max_rejected: int | None = None,
    dry_run: bool = False,
    quarantine: Path | None = None,
    progress: Progress | None = None,
    cutoffs: Cutoffs | None = None,
    restore: bool = False,
) -> ImportReport:
    """Import a national file.

    Args:
        path: The file.
        mapping: How to read it.
        store: Where it goes.
        max_rejected: Refuse the import if more rows than this are rejected. None: any number.
        dry_run: Do everything but change the store.
        quarantine: A new file for rejected rows. None: one in the store's ``quarantine`` directory, or none
            at all in a dry run.
        progress: Told how far it is.
        cutoffs: Cases past these are left out.
        restore: Let victims in who were erased; those of them that the file holds are erased no more.

    Raises:
        DataError: The file cannot be read at all (see ``readers.open_reader``), ``nothing-accepted``,
            ``too-many-rejected``, ``too-many-victims``. The quarantine file is kept for the last three.
        ConfigurationError: ``store-busy``, ``store-unwritable``, ``store-damaged``.
        UsageError: ``unknown-format``, ``quarantine-exists``.
    """
    path = Path(path)
    form = mapping.format_of(path)
    with open_reader(path, form, mapping.file, mapping.columns()) as reader, store.writing() as publication:
        spill = Spill(store.files.work)
        tombstones = Tombstones(store.files, store.keys)
        withheld = Withheld(None if restore else tombstones, cutoffs)
        intake = _Intake(path, mapping, store, _quarantine(store, quarantine, dry_run=dry_run), withheld)
        try:
            intake.fill(spill, reader, progress)
            outcome = publication.merge(spill, intake.reject_duplicate, write=not dry_run)
            kept = intake.quarantine.keep()
            intake.check(outcome.victims, max_rejected, kept)
            if outcome.changed and not dry_run:
                publication.publish(outcome)
            if restore and not dry_run:
                _forget(tombstones, store)
        except OSError as error:
            raise ConfigurationError(
                "store-unwritable",
                f"the import stopped: {error}",
                "free space on the disk, or mend the rights of the store's directory, then import again",
            ) from error
        finally:
            spill.close()
            intake.quarantine.close()
        return intake.report(outcome, reader.header, kept, dry_run=dry_run)


def _forget(tombstones: Tombstones, store: CaseStore) -> None:
    """Takes victims whom the latest snapshot holds from the list of those who were erased.

    It comes after the snapshot: a crash in between leaves a victim on the list, and the next import leaves
    rows out that it should take, which shows in its report.
    """
    if not tombstones.digests:
        return
    present = set(store.cases()["victim"].to_pylist())
    rest = tombstones.digests - {tombstones.digest(name) for name in present}
    if rest != tombstones.digests:
        waiting = store.files.work / tombstones.path.name
        write_durably(waiting, tombstones.content(rest))
        waiting.rename(tombstones.path)
        sync_directory(store.files.directory)


def _quarantine(store: CaseStore, asked: Path | None, *, dry_run: bool) -> Quarantine:
    if asked is not None:
        return Quarantine(Path(asked))
    if dry_run:
        return Quarantine(None)
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}.csv"
    # In the work directory it is swept should this process be killed.
    return Quarantine(store.files.quarantine / name, store.files.work / name)


def _preview(rows: pa.Table) -> tuple[PreviewRow, ...]:
    """Rows as contract values, without keys and identifiers."""
    view = analysis_view(rows).drop_columns(["victim", "case"]).to_pylist()
    for row in view:
        row["registration_date"] = row["registration_date"].isoformat()
        for entry in MULTIS:
            known, present = row.pop(f"{entry.name}_known"), row[entry.name]
            row[entry.name] = {
                "present": [code for bit, code in enumerate(entry.codes) if present >> bit & 1],
                "absent": [code for bit, code in enumerate(entry.codes) if (known & ~present) >> bit & 1],
            }
    return tuple(view)


def preview_file(path: Path, mapping: Mapping, progress: Progress | None = None) -> ImportReport:
    """What an import of ``path`` into an empty store would do. Nothing is kept. Raises as ``import_file``."""
    with tempfile.TemporaryDirectory(prefix="safeborders-") as directory:
        store = CaseStore.create(Path(directory) / "store", NodeKeys.generate())
        return import_file(path, mapping, store, dry_run=True, progress=progress)
