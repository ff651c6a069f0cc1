"""From a finished study to tables that operators can sign."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import safeborders_fed
from safeborders_fed.coordinator import table_releases
from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.coordinator.study_files import StudyFiles
from safeborders_fed.errors import ConfigurationError, PeerError, RefusedError
from safeborders_fed.reporting import exports
from safeborders_fed.reporting.disclosure import disclose
from safeborders_fed.reporting.noisy_tables import TableRelease, tables_of
from safeborders_fed.study import canonical, release_file
from safeborders_fed.study.table_file import Loaded, Rules, TableFile, Tables

MECHANISM = "discrete-gaussian"


@dataclass(frozen=True)
class Origin:
    """Where tables come from.

    Attributes:
        release_hash: SHA-256 of the document of the study's release.
        version: Of the tables.
        created: UTC.
    """

    release_hash: str
    version: int
    created: date


def document(
    release: TableRelease, rules: Rules, origin: Origin, before: tuple[Loaded, ...] = ()
) -> TableFile:
    """The tables as operators sign them: disclosed, with hashes of all exports. Raises as ``disclose``."""
    tables = Tables(
        study=release.study,
        version=origin.version,
        manifest_hash=release.manifest_hash,
        release_hash=origin.release_hash,
        population=release.population,
        states=release.states,
        epsilon=release.epsilon,
        delta=release.delta,
        rho=release.rho,
        mechanism=MECHANISM,
        rules=rules,
        compared={each.tables.id: each.sha256 for each in before},
        tables=disclose(release, rules, [each.tables for each in before]),
        created=origin.created,
        software_version=safeborders_fed.__version__,
    )
    files = exports.exports(tables)
    files[exports.names(tables.id)["noisy"]] = exports.noisy_measurements(release, tables.id)
    return TableFile(tables=tables, exports={name: canonical.sha256(data) for name, data in files.items()})


def prepare(home: CoordinatorHome, study: str, rules: Rules, today: date) -> Loaded:
    """Makes the tables of a finished study a candidate.

    Args:
        home: The coordinator.
        study: A trends study.
        rules: How to round and suppress.
        today: UTC.

    Raises:
        UsageError: ``unknown-study``, or ``no-tables``, for the study of another analysis.
        RefusedError: ``not-finished``, or as ``disclose``.
        PeerError: ``release-altered``, or as ``release_file.from_bytes``.
    """
    files = StudyFiles(home, study)
    state = files.state().state
    if state != "finished" or not files.release.exists():
        raise RefusedError(
            "not-finished", f"study {study!r} is {state} and has no release", "wait for the study to finish"
        )
    manifest, data = files.manifest(), _read(files)
    published = release_file.from_bytes(data)
    if (published.study, published.manifest_hash) != (manifest.id, manifest.hash()):
        raise PeerError(
            "release-altered",
            f"{files.release} is not the release of study {study!r}",
            "restore it from the backup; `safeborders node study verify` tells a node whether it is the one",
        )
    release = tables_of(published, manifest)
    origin = Origin(canonical.sha256(data), table_releases.next_version(home, manifest.id), today)
    made = document(release, rules, origin, table_releases.handed_out(home))
    return table_releases.store(home, made.to_bytes(), exports.noisy_measurements(release, made.tables.id))


def _read(files: StudyFiles) -> bytes:
    try:
        return files.release.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            "file-missing",
            f"{files.release} cannot be read: {error.strerror}",
            "check the rights of the file",
        ) from error
