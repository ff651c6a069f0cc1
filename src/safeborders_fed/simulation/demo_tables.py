"""The demonstration's tables and typologies as people get them, released by two operators.

Guarantees: candidates and releases are made by the code that a coordinator uses, and read back as a reader
does; only the operators are made up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

from safeborders_fed.coordinator import table_releases
from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.reporting import exports, reading, table_release
from safeborders_fed.reporting.early_warning import ALPHA
from safeborders_fed.reporting.noisy_tables import tables_of
from safeborders_fed.reporting.planted import Planted
from safeborders_fed.reporting.reading import Released
from safeborders_fed.study import canonical, release_file
from safeborders_fed.study.key_files import load_key
from safeborders_fed.study.table_file import SUFFIX, Loaded, Rules

if TYPE_CHECKING:
    from safeborders_fed.simulation.demo import Result, StudyDone

_REASON: Final = "Demonstration: shows published tables."


@dataclass(frozen=True)
class Documents:
    """What the demonstration's operators released.

    Attributes:
        tables: The trend tables, with early warnings.
        typologies: The tables of types; None where no type stood out from the noise.
    """

    tables: Released
    typologies: Released | None


def release_documents(home: CoordinatorHome, result: Result, keys: Sequence[Path], today: date) -> Documents:
    """Has the operators release the tables of both studies, those of the trends first.

    Args:
        home: The demonstration's coordinator.
        result: What the demonstration found.
        keys: The operators' key files, in the order of their enrolment.
        today: UTC.
    """
    trends = release_tables(home, result.tables, keys, today)
    typologies = None
    if result.typologies.outcome.release.facts["classes"]:
        typologies = _read(home, release_tables(home, result.typologies, keys, today))
    return Documents(_read(home, trends), typologies)


def planted(result: Result) -> Planted | None:
    """What is known of the planted ways; None for files that were not made up here."""
    recovery, exact = result.recovery, result.recovery_without_privacy
    if recovery is None or result.truth is None:
        return None
    best = {name: recovery.counterpart(name) for name in recovery.found}
    of = result.truth["typologies"]
    return Planted(
        labels={name: str(of[found[0]]["label"]) for name, found in best.items() if found is not None},
        adjusted_rand=recovery.agreement,
        adjusted_rand_pooled=None if exact is None else exact.agreement,
    )


def _read(home: CoordinatorHome, loaded: Loaded) -> Released:
    return reading.read(home.released / f"{loaded.tables.id}{SUFFIX}")


def release_tables(home: CoordinatorHome, done: StudyDone, keys: Sequence[Path], today: date) -> Loaded:
    """Keeps the tables of a study as a candidate, and has the operators release them.

    Args:
        home: The demonstration's coordinator.
        done: A study of trends or typologies.
        keys: The operators' key files, in the order of their enrolment.
        today: UTC.
    """
    manifest, document = done.manifest, release_file.to_bytes(done.outcome.release, done.manifest)
    release = tables_of(release_file.from_bytes(document), manifest)
    origin = table_release.Origin(canonical.sha256(document), 1, today)
    made = table_release.document(release, Rules(), origin, table_releases.handed_out(home), ALPHA)
    noisy = exports.noisy_measurements(release, made.tables.id)
    loaded = table_releases.store(home, made.to_bytes(), noisy)
    for place, (operator, path) in enumerate(zip(home.operators, keys, strict=True)):
        table_releases.release(
            home,
            loaded.tables.id,
            sha256=loaded.sha256,
            by=operator.name,
            key=load_key(path),
            today=today,
            reason=None if place else _REASON,
        )
    return loaded
