"""What lies in a node's case store: for ``safeborders node cases list``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from safeborders_fed.cases.snapshots import Manifest, StoreFiles
from safeborders_fed.cases.withholding import Tombstones
from safeborders_fed.node.retention import next_due
from safeborders_fed.node.store_work import open_studies, rejected_files

if TYPE_CHECKING:
    from safeborders_fed.node.settings import NodeSettings


@dataclass(frozen=True)
class Listed:
    """One snapshot.

    Attributes:
        id: As the ledger names it.
        created: UTC, ISO 8601.
        rows: Pairs of case and victim.
        victims: Different victims.
        bytes: Of the files that it lists; other snapshots may list them too.
        studies: Studies under way that run on it.
    """

    id: str
    created: str
    rows: int
    victims: int
    bytes: int
    studies: tuple[str, ...]


@dataclass(frozen=True)
class Inventory:
    """A case store.

    Attributes:
        snapshots: Oldest first.
        erased: Erased victims whom imports leave out.
        rejected_files: Files of rejected rows.
        next_purge: When the next case is past its period; None without a period or a case.
        retention: The terms, in words.
    """

    snapshots: tuple[Listed, ...]
    erased: int
    rejected_files: int
    next_purge: date | None
    retention: str

    def content(self) -> dict[str, Any]:
        """It as JSON values."""
        return asdict(self) | {"next_purge": None if self.next_purge is None else self.next_purge.isoformat()}


def inventory(settings: NodeSettings) -> Inventory:
    """What a node's store holds. Raises as ``NodeSettings.open_store``."""
    store, held = settings.open_store(), open_studies(settings)
    manifests = [store.files.manifest(name) for name in store.files.snapshots()]
    due = None if settings.retention is None else next_due(store, settings.retention)
    return Inventory(
        snapshots=tuple(_listed(store.files, manifest, held) for manifest in manifests),
        erased=len(Tombstones(store.files, store.keys).digests),
        rejected_files=len(rejected_files(store)),
        next_purge=due,
        retention=_terms(settings, due),
    )


def _listed(files: StoreFiles, manifest: Manifest, held: dict[str, str]) -> Listed:
    stored = [file for bucket in manifest.buckets for file in (bucket.cases, bucket.identity)]
    return Listed(
        manifest.snapshot,
        manifest.created,
        manifest.rows,
        manifest.victims,
        sum((files.data / file.name).stat().st_size for file in stored),
        tuple(sorted(study for study, snapshot in held.items() if snapshot == manifest.snapshot)),
    )


def _terms(settings: NodeSettings, due: date | None) -> str:
    terms = settings.retention
    if terms is None:
        return "none in node.toml; nothing is removed by itself"
    minors = "" if terms.minors_months is None else f" ({terms.minors_months} of minors)"
    text = (
        f"cases {terms.months} months{minors} from registration, the latest {terms.snapshots_kept} snapshots"
    )
    return f"{text}; next case due {due}" if due else text
