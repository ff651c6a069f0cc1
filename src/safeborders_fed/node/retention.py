"""Retention: cases, snapshots and rejected rows past their period go by themselves.

Guarantees: what ``[retention]`` of ``node.toml`` names goes in one step, when the service starts and daily,
and the audit log says so, with the numbers, before it happens. No row goes while a study is under way here:
it waits for the study's end, which its manifest bounds. A snapshot that a study under way runs on is never
removed, nor are the latest ones. It happens in a process that answers nothing, so it delays no answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from safeborders_fed.audit import notices
from safeborders_fed.audit.chain import Operation
from safeborders_fed.audit.log import Event
from safeborders_fed.cases import rewriting, staging
from safeborders_fed.cases.contract import MINOR_BANDS
from safeborders_fed.cases.staging import Staged
from safeborders_fed.cases.store import CaseStore
from safeborders_fed.errors import ConfigurationError
from safeborders_fed.node.retention_terms import Retention, months_after
from safeborders_fed.node.store_work import alone, open_studies, rejected_files
from safeborders_fed.study.key_files import load_key

if TYPE_CHECKING:
    from safeborders_fed.node.settings import NodeSettings

_WHO = "node"
_WHY = "retention: the periods in node.toml have passed"


@dataclass(frozen=True)
class Purged:
    """What went, or would go.

    Attributes:
        rows: Cases past their period, each once however many snapshots hold it.
        victims: Whose they are.
        snapshots: Snapshots that go as a whole.
        rejected_files: Files of rejected rows that go.
        waiting_for: Studies under way; while there are any, no row goes.
        snapshot: The new snapshot without the rows; None if no row went.
        dry_run: Whether nothing changed.
    """

    rows: int
    victims: int
    snapshots: tuple[str, ...]
    rejected_files: int
    waiting_for: tuple[str, ...]
    snapshot: str | None
    dry_run: bool

    @property
    def anything(self) -> bool:
        """Whether anything goes."""
        return bool(self.rows or self.snapshots or self.rejected_files)


def purge(settings: NodeSettings, now: datetime, *, dry_run: bool = False) -> Purged:
    """Removes what is past its period.

    Args:
        settings: The node; its service may run.
        now: The time, UTC.
        dry_run: Look only.

    Raises:
        ConfigurationError: ``no-retention``; as ``store_work.alone`` and ``notices.leave``.
    """
    terms = settings.retention
    if terms is None:
        raise ConfigurationError(
            "no-retention",
            "node.toml has no [retention]: nothing is removed by itself",
            "decide how long cases are kept and write it there; docs/case-store.md shows how",
        )
    with alone(settings) as store:
        try:
            return _purge(settings, store, terms, now, dry_run=dry_run)
        finally:
            if not staging.is_committed(store.files.directory):
                staging.discard(store.files.directory)
                store.files.sweep()


def _purge(
    settings: NodeSettings, store: CaseStore, terms: Retention, now: datetime, *, dry_run: bool
) -> Purged:
    files, held = store.files, open_studies(settings)
    staged = Staged(files.directory)
    # The oldest go first, so that no row is taken out of what goes as a whole.
    kept = frozenset({*files.snapshots()[-terms.snapshots_kept :], *held.values()})
    pruned = rewriting.prune(files, staged, kept)
    old = _old_rejected(store, now - timedelta(days=terms.quarantine_days))
    for path in old:
        staged.remove(path)
    chosen = terms.cutoffs(now.date()).expired
    removed, snapshot = rewriting.Removed(), None
    if dry_run:
        removed = rewriting.look(files, chosen, without=frozenset(pruned))
    elif not held:
        removed, snapshot = rewriting.take_out(files, staged, chosen, now, without=frozenset(pruned))
    found = Purged(
        removed.rows, removed.victims, tuple(pruned), len(old), tuple(sorted(held)), snapshot, dry_run
    )
    if found.anything and not dry_run:
        _put_on_record(settings, found)
        staged.commit()
        staging.finish(files.directory)
    return found


def _old_rejected(store: CaseStore, last: datetime) -> list[Path]:
    return [path for path in rejected_files(store) if path.stat().st_mtime < last.timestamp()]


def _put_on_record(settings: NodeSettings, found: Purged) -> None:
    details: dict[str, str | int] = {"cases": found.rows, "victims": found.victims}
    details |= {"snapshots": len(found.snapshots), "rejected_files": found.rejected_files}
    details |= {} if found.snapshot is None else {"snapshot": found.snapshot}
    event = Event(Operation.ERASE, _WHO, _WHY, details)
    notices.leave(settings.home, load_key(settings.signing_key_path), settings.country, event)


def next_due(store: CaseStore, terms: Retention) -> date | None:
    """The day on which the next case of the latest snapshot is past its period; None if there is no case."""
    if store.latest_snapshot() is None:
        return None
    table = store.cases()
    minors = terms.months if terms.minors_months is None else terms.minors_months
    ages = table["age_band"].cast("string")
    is_minor = pc.fill_null(pc.is_in(ages, value_set=pa.array(MINOR_BANDS)), False)
    groups = (
        (pc.is_null(ages), min(terms.months, minors)),
        (is_minor, minors),
        (pc.and_(pc.is_valid(ages), pc.invert(is_minor)), terms.months),
    )
    first = [(pc.min(table["registration_date"].filter(mask)).as_py(), months) for mask, months in groups]
    return min((months_after(day, months) for day, months in first if day is not None), default=None)
