"""New keys for a node's case store: ``safeborders node cases rekey``.

Guarantees: every file of every snapshot, the manifests, the review lists, the list of erased victims and the
secrets of links are encrypted anew under two new secrets, and each bucket file under a new data key;
snapshots keep their ids, so studies under way go on. Killed at any point, the store opens with the key file
that is there: with the old keys, or with the new ones. At the end the old secrets are gone from the key file.
The secret for pseudonyms stays (ADR 23): under another one the same person would be somebody else in the next
import.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from safeborders_fed.audit.chain import Operation
from safeborders_fed.cases import rewriting, staging
from safeborders_fed.cases.keys import NodeKeys
from safeborders_fed.cases.rewriting import Progress, Reencrypted
from safeborders_fed.cases.sealing import Sealer
from safeborders_fed.cases.staging import Staged
from safeborders_fed.cases.store import HEAD
from safeborders_fed.cases.withholding import Tombstones, sealed_list
from safeborders_fed.node import key_source, key_succession
from safeborders_fed.node.link_vault import LinkVault
from safeborders_fed.node.store_rest import Resting, at_rest

if TYPE_CHECKING:
    from safeborders_fed.node.settings import NodeSettings


@dataclass(frozen=True)
class Rekeyed:
    """What was encrypted anew, and the key file that holds the new secrets."""

    snapshots: int
    files: int
    rows: int
    review_files: int
    key_file: Path


def rekey(settings: NodeSettings, *, by: str, why: str, progress: Progress | None = None) -> Rekeyed:
    """Encrypts the store anew.

    Args:
        settings: The node, whose service is stopped.
        by: Who does it.
        why: For what reason.
        progress: Told how far it is.

    Raises:
        ConfigurationError: as ``store_rest.at_rest``; ``key-file-unwritable``, ``store-damaged``.
        UsageError: ``bad-audit-entry``.
    """
    with at_rest(settings) as resting:
        path, old = settings.key_path, resting.store.keys
        fresh = NodeKeys.generate()
        keys = NodeKeys(old.pseudonym, fresh.cases, fresh.identifiers)
        key_succession.prepare(path, key_source.renewed(settings, keys, path))
        try:
            done, reviews = _stage(resting, keys, by, why, progress)
        except BaseException:
            _undo(resting, path)
            raise
        files = replace(resting.store.files, sealer=Sealer(keys))
        staging.finish(files.directory)
        key_succession.take_over(path)
        files.sweep()
        resting.log.append(
            Operation.REKEY,
            who=by,
            why="the old keys are gone from the key file, and what they encrypted from the store",
            details={"key_file": path.name},
        )
        return Rekeyed(done.snapshots, done.files, done.rows, reviews, path)


def _stage(
    resting: Resting, keys: NodeKeys, by: str, why: str, progress: Progress | None
) -> tuple[Reencrypted, int]:
    """Encrypts all there is, puts it on record and decides."""
    store, sealer = resting.store, Sealer(keys)
    staged = Staged(store.files.directory)
    done = rewriting.encrypt_anew(store.files, sealer, staged, progress)
    reviews = resting.reviews.stage_under(sealer, staged)
    tombstones = Tombstones(store.files, store.keys)
    if tombstones.path.exists():
        new = replace(store.files, sealer=sealer)
        staged.put(tombstones.path, sealed_list(new, tombstones.digests))
    LinkVault(resting.home, store.keys).stage_under(keys, staged)
    staged.put(store.files.directory / HEAD, store.head_under(keys))
    resting.log.append(
        Operation.REKEY,
        who=by,
        why=why,
        details={"snapshots": done.snapshots, "files": done.files, "review_files": reviews},
    )
    staged.commit()
    return done, reviews


def _undo(resting: Resting, path: Path) -> None:
    """Removes the new keys and what they encrypted, unless it is decided already."""
    directory = resting.store.files.directory
    if staging.is_committed(directory):
        return
    key_succession.remove(key_succession.successor(path))
    staging.discard(directory)
    resting.store.files.sweep()
