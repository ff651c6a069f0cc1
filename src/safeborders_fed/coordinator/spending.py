"""What this coordinator's studies have cost so far, from its own files: what a plan of a year begins with.

Guarantees: never less than what a node was charged for them. Each attempt that was asked counts in full,
retries among them, also if a node did not answer it. A study that is published or running counts with all
that it may reserve. What a manifest of another version cost is taken from its draft, whole. Nothing is
written.

It does not know of studies of other coordinators, nor of the nodes' own counts: a plan states what else was
spent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from safeborders_fed.coordinator.history import History
from safeborders_fed.coordinator.study_files import StudyFiles, studies
from safeborders_fed.errors import ConfigurationError, PeerError, RefusedError
from safeborders_fed.study import canonical
from safeborders_fed.study.budget import Past
from safeborders_fed.study.messages import Round, decode

if TYPE_CHECKING:
    from safeborders_fed.coordinator.home import CoordinatorHome
    from safeborders_fed.study.manifest import Manifest

_OPEN = frozenset({"published", "running"})


@dataclass(frozen=True)
class Spent:
    """One study.

    Attributes:
        study: Its name.
        state: Its state.
        rho: What it has cost, or may still.
        year: The year in which it ended; None while it is open.
    """

    study: str
    state: str
    rho: float
    year: int | None


def spending(home: CoordinatorHome, today: date) -> tuple[Spent, ...]:
    """All studies that have cost something or may, by name. Drafts cost nothing: nobody was asked.

    Raises:
        ConfigurationError: ``study-damaged`` or ``history-damaged``: then nobody can tell what was spent.
        PeerError: A published manifest whose signature does not verify.
    """
    found = (_spent(files, today) for files in studies(home))
    return tuple(entry for entry in found if entry.rho > 0)


def past(entries: tuple[Spent, ...], year: int, today: date) -> Past:
    """The sums of a year, and ever. What is open counts in the year that it is now."""
    of_year = sum(entry.rho for entry in entries if (entry.year or today.year) == year)
    return Past(of_year, sum(entry.rho for entry in entries))


def _spent(files: StudyFiles, today: date) -> Spent:
    state = files.state()
    asked = files.history.is_dir() and History(files.history).attempts() > 0
    is_open = state.state in _OPEN
    if state.state == "draft" or not (is_open or asked):
        return Spent(files.study, state.state, 0.0, None)
    manifest, whole = _terms(files)
    if manifest is not None and state.state == "published" and not asked and today > manifest.expires:
        return Spent(files.study, state.state, 0.0, None)
    if is_open:
        return Spent(files.study, state.state, whole, None)
    charged = whole if manifest is None else _charged(files, manifest)
    return Spent(files.study, state.state, charged, int(state.changes[-1].at[:4]))


def _terms(files: StudyFiles) -> tuple[Manifest | None, float]:
    """The manifest and its whole cost; no manifest, if another version wrote it.

    Raises:
        ConfigurationError: ``study-damaged``.
        PeerError: The signature does not verify.
    """
    try:
        manifest = files.manifest()
    except (RefusedError, ConfigurationError):
        return None, _drafted_rho(files)
    return manifest, manifest.rho


def _drafted_rho(files: StudyFiles) -> float:
    path = files.path / "draft.json"
    try:
        rho = canonical.parse(path.read_bytes())["rho"]
    except (OSError, PeerError, KeyError, TypeError):
        rho = None
    if not isinstance(rho, float) or not rho > 0:
        raise ConfigurationError("study-damaged", f"{path} is damaged", "restore it from backup")
    return rho


def _charged(files: StudyFiles, manifest: Manifest) -> float:
    """Of every attempt that was asked; of the whole study, if another protocol asked."""
    history, total = History(files.history), 0.0
    for attempt in range(history.attempts()):
        try:
            request = decode(history.request(attempt))
        except PeerError:
            return manifest.rho
        if not isinstance(request, Round):
            return manifest.rho
        total += manifest.terms(request.stage).rho
    return total
