"""From a finished study to tables that operators can sign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import safeborders_fed
from safeborders_fed.coordinator import table_releases
from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.coordinator.study_files import StudyFiles
from safeborders_fed.errors import ConfigurationError, PeerError, RefusedError
from safeborders_fed.reporting import exports
from safeborders_fed.reporting.disclosure import disclose
from safeborders_fed.reporting.early_warning import ALPHA
from safeborders_fed.reporting.noisy_tables import TableRelease, tables_of
from safeborders_fed.reporting.published_types import by_size, comparable, types_of
from safeborders_fed.reporting.published_warnings import published_warnings
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
    release: TableRelease,
    rules: Rules,
    origin: Origin,
    before: tuple[Loaded, ...] = (),
    false_alarms: float | None = None,
    *,
    past: Sequence[TableRelease] = (),
) -> TableFile:
    """The tables as operators sign them: disclosed, with hashes of all exports.

    Args:
        release: The noisy tables.
        rules: How to round and suppress.
        origin: Where they come from.
        before: What was handed out earlier.
        false_alarms: False-alarm rate of the early warnings beside the tables; None for no warnings.
        past: Releases of earlier studies, earliest first, that the warnings look back on.

    Raises:
        SafeBordersError: As ``disclose`` and ``published_warnings``.
    """
    earlier = comparable(release, [each.tables for each in before])
    compared = {each.tables.id: each.sha256 for each in before}
    made = _disclosed(release, rules, origin, earlier).model_copy(update={"compared": compared})
    tables = _with_types(made, release, earlier)
    if false_alarms is not None:
        warnings = published_warnings(release, tables.tables, rules, false_alarms, past)
        tables = Tables(**{**dict(tables), "warnings": warnings})  # made anew, so that it checks itself
    files = exports.exports(tables)
    files[exports.names(tables.id)["noisy"]] = exports.noisy_measurements(release, tables.id)
    return TableFile(tables=tables, exports={name: canonical.sha256(data) for name, data in files.items()})


def _disclosed(release: TableRelease, rules: Rules, origin: Origin, earlier: list[Tables]) -> Tables:
    """The counts as they may be published, and what they come from."""
    return Tables(
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
        compared={},
        tables=disclose(release, rules, earlier),
        created=origin.created,
        software_version=safeborders_fed.__version__,
    )


def _with_types(made: Tables, release: TableRelease, earlier: list[Tables]) -> Tables:
    """What is said of types beside their counts; the document is made anew, so that it checks itself."""
    if release.types is None:
        return made
    tables = by_size(made, release, earlier)
    return Tables(**{**dict(made), "tables": tables, "types": types_of(release.types, tables)})


def prepare(
    home: CoordinatorHome,
    study: str,
    rules: Rules,
    today: date,
    false_alarms: float | None = ALPHA,
    *,
    past: Sequence[str] = (),
) -> Loaded:
    """Makes the tables of a finished study a candidate.

    Args:
        home: The coordinator.
        study: A trends or a typology study.
        rules: How to round and suppress.
        today: UTC.
        false_alarms: As ``document``.
        past: Earlier studies, as ``document``.

    Raises:
        UsageError: ``unknown-study``; ``no-tables``, for the study of another analysis; or as ``document``.
        RefusedError: ``not-finished`` or ``no-types``, or as ``document``.
        PeerError: ``release-altered``, or as ``release_file.from_bytes``.
    """
    release, release_hash = _finished(home, study)
    looked_back = [_finished(home, name)[0] for name in past]
    origin = Origin(release_hash, table_releases.next_version(home, release.study), today)
    made = document(release, rules, origin, table_releases.handed_out(home), false_alarms, past=looked_back)
    return table_releases.store(home, made.to_bytes(), exports.noisy_measurements(release, made.tables.id))


def _finished(home: CoordinatorHome, study: str) -> tuple[TableRelease, str]:
    """The noisy tables of a finished study, and the hash of the document of its release."""
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
    return tables_of(published, manifest), canonical.sha256(data)


def _read(files: StudyFiles) -> bytes:
    try:
        return files.release.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            "file-missing",
            f"{files.release} cannot be read: {error.strerror}",
            "check the rights of the file",
        ) from error
