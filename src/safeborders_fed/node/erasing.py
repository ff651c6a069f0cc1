"""The erasure of a victim from everything that the node holds: ``safeborders node cases erase``.

What is reached: every snapshot, also those that studies under way run on; review lists and verdicts; all
files of rejected rows, since such a row cannot be told to be nobody's. What is not: backups, files that
people wrote elsewhere (review lists, rejected rows, the national file), and what was released, which is
noised. The ledger stays as it is: what was spent on this person's records was spent, and giving it back
would let others be asked about more than was agreed.

Guarantees: all of it goes at once or nothing, whenever the process is killed. The audit log says that
victims were erased, how many and why, before it happens, and nothing that leads to them. They are remembered
by keyed hashes alone (``withholding``), so that the next import of the national file leaves them out.

Studies under way: the rows go at once (ADR 23). Every sum that left was noised and charged for with them in
it, and later ones are sums over one victim fewer: costs compose over changing data as they do over fixed.
A replay computes from what was sent, and needs no cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from safeborders_fed.audit.chain import Operation
from safeborders_fed.cases import rewriting, staging
from safeborders_fed.cases.conversion import Pseudonyms
from safeborders_fed.cases.keys import NodeKeys
from safeborders_fed.cases.sources import clean
from safeborders_fed.cases.staging import Staged
from safeborders_fed.cases.store import CaseStore
from safeborders_fed.cases.withholding import Tombstones
from safeborders_fed.errors import DataError, RefusedError
from safeborders_fed.node.reviews import Reviews
from safeborders_fed.node.store_rest import Resting, at_rest
from safeborders_fed.node.store_work import alone, open_studies, rejected_files

if TYPE_CHECKING:
    from safeborders_fed.node.settings import NodeSettings

_DIGITS = frozenset("0123456789abcdef")


@dataclass(frozen=True)
class Concerned:
    """What an erasure concerns, or has removed.

    Attributes:
        victims: Pseudonyms asked for.
        rows: Cases of theirs, each once however many snapshots hold it.
        snapshots: How many snapshots hold any.
        listed: Referrals of theirs on review lists.
        rejected_files: Files of rejected rows, which all go.
        erased_before: How many of the victims were erased before.
        studies: Studies under way on a snapshot that changes.
        snapshot: The new snapshot; None before it is done, or if no snapshot held any of it.
    """

    victims: tuple[str, ...]
    rows: int
    snapshots: int
    listed: int
    rejected_files: int
    erased_before: int
    studies: tuple[str, ...]
    snapshot: str | None = None

    @property
    def records(self) -> int:
        """What a person repeats to confirm: cases and listed referrals that go."""
        return self.rows + self.listed


def pseudonyms(keys: NodeKeys, ids: Sequence[str]) -> tuple[str, ...]:
    """The pseudonyms of national victim ids, as an import makes them.

    Raises:
        DataError: ``no-victim``, when no id is given.
    """
    texts = [text for text in map(clean, ids) if text]
    if not texts:
        raise DataError("no-victim", "no victim id is given", "give one id a line, as the national file has")
    hashes = Pseudonyms(keys.pseudonym, "victim_id")
    return tuple(dict.fromkeys(hashes.of([text]).hex() for text in texts))


def checked(given: Sequence[str]) -> tuple[str, ...]:
    """Pseudonyms that were typed. Raises DataError ``not-a-pseudonym``."""
    found = tuple(dict.fromkeys(text.strip().lower() for text in given))
    if any(len(text) != 32 or not set(text) <= _DIGITS for text in found):
        raise DataError(
            "not-a-pseudonym",
            "a pseudonym has 32 hexadecimal digits",
            "give it as the analysis table shows it, or the national victim id with --id-file",
        )
    return found


def concerned(settings: NodeSettings, victims: Sequence[str]) -> Concerned:
    """What an erasure would remove. Nothing changes. Raises as ``store_work.alone``."""
    with alone(settings) as store:
        return _concerned(settings, store, Reviews(settings.home, store.files.sealer), victims)


def erase(
    settings: NodeSettings, victims: Sequence[str], *, confirmed: int, by: str, why: str, now: datetime
) -> Concerned:
    """Erases victims.

    Args:
        settings: The node, whose service is stopped: it may have their cases in its memory.
        victims: Their pseudonyms.
        confirmed: The number of records that a person was shown and repeated.
        by: Who does it.
        why: For what reason; it is written down for good, and names nobody.
        now: The time, UTC.

    Raises:
        RefusedError: ``confirmation-differs``.
        ConfigurationError: as ``store_rest.at_rest``.
        UsageError: ``bad-audit-entry``.
    """
    with at_rest(settings) as resting:
        found = _concerned(settings, resting.store, resting.reviews, victims)
        if found.records != confirmed:
            raise RefusedError(
                "confirmation-differs",
                f"{confirmed} records were confirmed, and {found.records} would go",
                "look at what would go once more, and confirm that number",
            )
        try:
            snapshot = _stage(resting, found, by, why, now)
        except BaseException:
            if not staging.is_committed(resting.store.files.directory):
                staging.discard(resting.store.files.directory)
                resting.store.files.sweep()
            raise
        staging.finish(resting.store.files.directory)
        resting.store.files.sweep()
        return Concerned(**{**vars(found), "snapshot": snapshot})


def _concerned(
    settings: NodeSettings, store: CaseStore, reviews: Reviews, victims: Sequence[str]
) -> Concerned:
    only = frozenset(victims)
    found = rewriting.look(store.files, rewriting.of_victims(only), only=only)
    tombstones = Tombstones(store.files, store.keys)
    held = open_studies(settings)
    return Concerned(
        victims=tuple(victims),
        rows=found.rows,
        snapshots=len(found.snapshots),
        listed=reviews.holding(only),
        rejected_files=len(rejected_files(store)),
        erased_before=sum(map(tombstones.holds, victims)),
        studies=tuple(sorted(study for study, snapshot in held.items() if snapshot in found.snapshots)),
    )


def _stage(resting: Resting, found: Concerned, by: str, why: str, now: datetime) -> str | None:
    """Stages all of it, puts it on record and decides; the new snapshot."""
    store, only = resting.store, frozenset(found.victims)
    staged = Staged(store.files.directory)
    _, snapshot = rewriting.take_out(store.files, staged, rewriting.of_victims(only), now, only=only)
    resting.reviews.stage_without(only, staged)
    for path in rejected_files(store):
        staged.remove(path)
    tombstones = Tombstones(store.files, store.keys)
    staged.put(tombstones.path, tombstones.content(tombstones.digests | set(map(tombstones.digest, only))))
    details: dict[str, str | int] = {"victims": len(only), "cases": found.rows, "listed": found.listed}
    details |= {} if snapshot is None else {"snapshot": snapshot}
    resting.log.append(Operation.ERASE, who=by, why=why, details=details)
    staged.commit()
    return snapshot
