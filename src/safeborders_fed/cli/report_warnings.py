"""``safeborders report warnings``: what changed beyond noise and beyond its own past.

Guarantees: it reads releases and their manifests, and nothing else; a release is read only with the manifest
that its hash names. Several releases are put together by period, or refused. From a home, each manifest is
the one that an operator signed, verified again.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from safeborders_fed.cli import files, output

if TYPE_CHECKING:
    from safeborders_fed.reporting.early_warning import SeriesWarning, Warnings
    from safeborders_fed.reporting.noisy_tables import TableRelease
    from safeborders_fed.study.manifest import Manifest
    from safeborders_fed.study.release_file import Published

SHOWN: Final = 10
_HEADER: Final = ("", "series", "periods", "seen", "expected", "change a period", "evidence")
_MANIFEST: Final = "published.json"


def register(app: typer.Typer) -> None:
    """Makes ``warnings`` a command of the group ``report``."""
    app.command("warnings")(warnings)


def warnings(
    documents: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="RELEASE_DOCUMENT...", help="Releases, earliest first, instead of --home and --study."
        ),
    ] = None,
    manifest: Annotated[
        list[Path] | None,
        typer.Option(help="The study of each document, in order (default: published.json beside each)."),
    ] = None,
    home: Annotated[Path | None, typer.Option(help="The directory of a coordinator or a node.")] = None,
    study: Annotated[
        list[str] | None,
        typer.Option(help="A study's name, with --home; may be given again, earliest first."),
    ] = None,
    false_alarms: Annotated[
        float, typer.Option(help="Share of reports without a change that may raise any warning.")
    ] = 0.05,
    period: Annotated[str | None, typer.Option(help="The period to look at (default: the last).")] = None,
    table: Annotated[list[str] | None, typer.Option(help="Only this table; may be given again.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Show which series of one or several releases changed beyond noise and beyond their own past."""
    from safeborders_fed.errors import UsageError
    from safeborders_fed.reporting.over_time import warnings_over

    paths, manifests = documents or [], manifest or []
    if bool(paths) == (home is not None) or (home is None) == bool(study):
        raise UsageError(
            "which-release",
            "name either release documents, or --home with --study",
            "see `safeborders report warnings --help`",
        )
    if manifests and len(manifests) != len(paths):
        raise UsageError(
            "which-release",
            f"{len(paths)} documents and {len(manifests)} manifests are given",
            "give the manifest of each document, in the same order, or none",
        )
    if home is not None:
        releases = [_release(*_at_home(home, name)) for name in study or ()]
    else:
        beside = manifests or [path.parent / _MANIFEST for path in paths]
        releases = [_release(*_of_files(*pair)) for pair in zip(paths, beside, strict=True)]
    studies = [release.study for release in releases]
    found = warnings_over(releases, alpha=false_alarms, period=period, only=table or ())
    output.result(_content(studies, found), _text(studies, found), as_json=as_json)


def _release(published: Published, manifest: Manifest) -> TableRelease:
    from safeborders_fed.errors import UsageError
    from safeborders_fed.reporting.noisy_tables import tables_of

    if published.manifest_hash != manifest.hash():
        raise UsageError(
            "release-of-another-study",
            f"the release of study {published.study!r} is not one of this manifest",
            "give the manifest of the same study",
        )
    return tables_of(published, manifest)


def _at_home(home: Path, study: str) -> tuple[Published, Manifest]:
    """The release of a study and its verified manifest, at a coordinator or at a node."""
    from safeborders_fed.coordinator.home import SETTINGS_FILE, CoordinatorHome
    from safeborders_fed.coordinator.study_files import StudyFiles
    from safeborders_fed.node.desks import open_studies
    from safeborders_fed.node.records import Record
    from safeborders_fed.node.settings import NodeSettings
    from safeborders_fed.study import release_file

    if (home / SETTINGS_FILE).exists():
        held = StudyFiles(CoordinatorHome.load(home), study)
        return release_file.from_bytes(files.read(held.release)), held.published()
    kept = open_studies(NodeSettings.load(home))
    manifest = kept.manifest(study)
    return release_file.from_bytes(Record(kept.directory(study)).release()), manifest


def _of_files(document: Path, manifest: Path) -> tuple[Published, Manifest]:
    """A release and its manifest from files that somebody handed over."""
    from safeborders_fed.study import canonical, publication, release_file
    from safeborders_fed.study import manifest as manifests

    _, content = publication.unverified(files.read(manifest))
    return release_file.from_bytes(files.read(document)), manifests.parse(canonical.serialise(content))


def _content(studies: list[str], found: Warnings) -> dict[str, Any]:
    rows = [asdict(entry) | {"key": dict(entry.key), "verdict": str(entry.verdict)} for entry in found.series]
    return {
        "studies": studies,
        "false_alarm_rate": found.alpha,
        "period": found.period,
        "tested": found.tested,
        "too_short": found.short,
        "warnings": len(found.raised),
        "series": rows,
    }


def _text(studies: list[str], found: Warnings) -> str:
    raised = len(found.raised)
    said = f"{raised} of {found.tested} series changed beyond noise and their past"
    if not found.tested:
        said = "nothing can be said"
    named = "Study" if len(studies) == 1 else "Studies"
    lines = [
        f"{named} {', '.join(studies)}, {found.period}: {said}.",
        f"At most {found.alpha:.1%} of reports without any change raise a warning, if counts vary as",
        "docs/early-warning.md assumes; up to twice as many where they do not.",
    ]
    if found.short:
        lines.append(f"{found.short} series have too short a past for anything to be said.")
    shown = found.raised or tuple(entry for entry in found.series if entry.periods)[:SHOWN]
    if shown and not raised:
        lines.append(f"The {len(shown)} with the strongest evidence are not distinguishable from noise:")
    if shown:
        lines += ["", output.table(_HEADER, [_row(entry) for entry in shown])]
    return "\n".join(lines)


def _row(entry: SeriesWarning) -> tuple[str, ...]:
    return (
        str(entry.verdict),
        entry.name,
        " to ".join(dict.fromkeys((entry.periods[0], entry.periods[-1]))),
        f"{entry.observed:.0f}",
        f"{entry.expected:.0f}",
        f"{entry.low:+.0f} to {entry.high:+.0f}",
        f"{entry.evidence:.2g}",
    )
