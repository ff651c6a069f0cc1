"""The demonstration's tables as people get them: rounded, suppressed, released by two operators.

Guarantees: candidate and release are made by the code that a coordinator uses; only the operators are made
up.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

from safeborders_fed.coordinator import table_releases
from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.reporting import exports, table_release
from safeborders_fed.reporting.noisy_tables import tables_of
from safeborders_fed.study import canonical, release_file
from safeborders_fed.study.key_files import load_key
from safeborders_fed.study.table_file import Loaded, Rules

if TYPE_CHECKING:
    from safeborders_fed.simulation.demo import StudyDone

_REASON: Final = "Demonstration: shows published tables."


def release_tables(home: CoordinatorHome, done: StudyDone, keys: Sequence[Path], today: date) -> Loaded:
    """Keeps the tables of the demonstration's study as a candidate, and has the operators release them.

    Args:
        home: The demonstration's coordinator.
        done: The study of tables.
        keys: The operators' key files, in the order of their enrolment.
        today: UTC.
    """
    manifest, document = done.manifest, release_file.to_bytes(done.outcome.release, done.manifest)
    release = tables_of(release_file.from_bytes(document), manifest)
    origin = table_release.Origin(canonical.sha256(document), 1, today)
    made = table_release.document(release, Rules(), origin)
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
