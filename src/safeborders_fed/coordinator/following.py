"""Following a run of a study from its files: what any process of the coordinator's user can do.

Guarantees: nothing is written, and the run does not notice. It ends with the run's last word. If the run's
process is gone without one, it goes on with the run that takes the study up again; if none does so soon, it
says so instead of waiting for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from safeborders_fed.coordinator.progress import LAST_WORDS
from safeborders_fed.errors import PeerError, UsageError

if TYPE_CHECKING:
    from safeborders_fed.coordinator.study_files import StudyFiles

INTERVAL: Final = 0.25
_GRACE: Final = 80
"""How often a run that was asked for, or that takes a study up again, is looked for: twenty seconds, some of
which a service that is started again needs."""


def runs(files: StudyFiles) -> int:
    """How many runs a study has had."""
    return _count(files.progress())


def follow(
    files: StudyFiles, sleep: Callable[[float], None], *, after: int | None = None
) -> Iterator[dict[str, Any]]:
    """The rows of a run, as they come, up to its last word.

    Args:
        files: The study.
        sleep: Waits for so many seconds.
        after: Follow the run that comes after so many; by default the last one.

    Raises:
        UsageError: ``never-launched``.
        PeerError: ``run-not-started``, or ``run-interrupted`` when its process is gone and no other follows.
    """
    number = runs(files) if after is None else after + 1
    if number == 0:
        raise UsageError(
            "never-launched",
            f"study {files.study!r} was never launched",
            f"launch it with `safeborders coordinator study launch {files.study}`",
        )
    shown, idle = 0, 0
    while True:
        held = files.is_held()  # before reading: what a run says last, it says while it holds the study
        progress = files.progress()
        rows = _run(progress, number)
        for row in rows[shown:]:
            yield row
            if row["kind"] in LAST_WORDS:
                return
        idle = 0 if held or len(rows) > shown else idle + 1
        shown = len(rows)
        if _count(progress) > number:  # the service has taken up what this run left
            number, shown, idle = number + 1, 0, 0
            continue
        if idle > _GRACE:
            raise _gone(files.study, started=bool(rows))
        sleep(INTERVAL)


def _count(rows: list[dict[str, Any]]) -> int:
    return sum(row["kind"] == "started" for row in rows)


def _run(rows: list[dict[str, Any]], number: int) -> list[dict[str, Any]]:
    """The rows of the run of this number, counted from 1."""
    found, seen = [], 0
    for row in rows:
        seen += row["kind"] == "started"
        if seen == number:
            found.append(row)
    return found


def _gone(study: str, *, started: bool) -> PeerError:
    if started:
        return PeerError(
            "run-interrupted",
            f"the process that ran study {study!r} is gone; what it did is kept",
            f"start the coordinator, or use `safeborders coordinator study resume {study}`",
        )
    return PeerError(
        "run-not-started",
        f"the coordinator did not take up study {study!r}",
        "see `safeborders coordinator status` and its log, then launch it again",
    )
