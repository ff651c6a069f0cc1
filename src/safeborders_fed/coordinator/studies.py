"""The life of a study at the coordinator: offered to the nodes, conducted to its end, its record handed out.

``offer`` and ``conduct`` are what the coordinator's executor calls, with a federation that reaches the nodes.

Guarantees:

- A study starts only if as many nodes as it needs say that their people have approved it. A launch that asked
  no node for a contribution leaves the study published; nothing was spent.
- ``conduct`` ends as a finished, failed or withdrawn study, or as one that can be resumed because what
  stopped it was the coordinator's own (its disk, its process, a defect). It always says which, last of all.
- Calling it again goes on where it stopped. A release is written once and never changed; a model becomes one
  candidate; a node that holds the record is not sent it again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from safeborders_fed.analyses.detection import Detection
from safeborders_fed.coordinator import anchors, models
from safeborders_fed.coordinator.asking import ask_all, require_quorum
from safeborders_fed.coordinator.delivery import deliver
from safeborders_fed.coordinator.federation import Federation
from safeborders_fed.coordinator.history import History
from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.coordinator.progress import Progress
from safeborders_fed.coordinator.rounds import Outcome, RoundDone, StudyRun
from safeborders_fed.coordinator.study_files import AN_OFFER, StudyFiles
from safeborders_fed.coordinator.study_state import Problem, StudyState
from safeborders_fed.errors import ConfigurationError, DefectError, RefusedError, SafeBordersError
from safeborders_fed.study import canonical, model_file, release_file
from safeborders_fed.study.manifest import Manifest
from safeborders_fed.study.model_file import Model
from safeborders_fed.study.offering import Offered
from safeborders_fed.study.state_changes import StateName

_SERVICE: Final = "coordinator service"
_DEFECT: Final = "coordinator-defect"
_SECONDS_OF_WAY: Final = 10.0
"""What an answer takes besides its tick, with room."""


class _Withdrawn(Exception):  # noqa: N818 - nothing is wrong: an operator wants it
    def __init__(self, by: str, why: str) -> None:
        super().__init__(by, why)
        self.by, self.why = by, why


def _now() -> datetime:
    return datetime.now(UTC)


def offer(
    home: CoordinatorHome, study: str, federation: Federation, clock: Callable[[], datetime] = _now
) -> dict[str, Offered | str]:
    """Shows the study to each of its nodes and keeps what they say; for silent ones, why there is no word.

    Raises:
        RefusedError: ``not-published``, ``study-over`` or ``study-busy``.
        UsageError: ``unknown-study``.
        PeerError, ConfigurationError: The study's files do not verify, or cannot be written.
    """
    files = StudyFiles(home, study)
    with files.lock():
        state = files.state()
        _require_open(state)
        answers, state = ask_all(home, files, state, federation, clock())
        files.save(state)
    return {node: found if isinstance(found, Offered) else found.code for node, found in answers.items()}


def conduct(
    home: CoordinatorHome,
    study: str,
    federation: Federation,
    clock: Callable[[], datetime] = _now,
    timer: Callable[[], float] = time.monotonic,
) -> None:
    """Brings a published study to its end, or one that has ended to the nodes.

    What stops a study is kept in its state and progress and is not raised.

    Raises:
        RefusedError: ``not-published`` or ``study-busy``.
        UsageError: ``unknown-study``.
        ConfigurationError: ``coordinator-unwritable``, when not even that can be kept.
    """
    files = StudyFiles(home, study)
    # Whoever launches a study right after it was published must not fail over the offer that is on its way.
    with files.lock(AN_OFFER) if files.state().state == "published" else files.lock():
        if files.state().state == "draft":
            raise _not_published(study)
        _Conductor(home, files, federation, clock, timer).run()


class _Conductor:
    """One run of ``conduct``."""

    def __init__(
        self,
        home: CoordinatorHome,
        files: StudyFiles,
        federation: Federation,
        clock: Callable[[], datetime],
        timer: Callable[[], float],
    ) -> None:
        self._home, self._files, self._federation = home, files, federation
        self._clock = clock
        self._state = files.state()
        self._history = History(files.history)
        self._progress = Progress(files, self._history, clock, timer)

    def run(self) -> None:
        self._progress.started(self._state)
        try:
            self._conduct()
        except _Withdrawn as wish:
            self._end("withdrawn", by=wish.by, why=wish.why, error=None)
        except SafeBordersError as error:
            self._stopped(error)
        except Exception as error:  # a defect is a last word too: the state says so, and it is raised again
            self._stopped(
                DefectError(
                    _DEFECT,
                    f"the run of study {self._state.study!r} stopped: {type(error).__name__}",
                    "look at the coordinator's log, report this, and resume the study",
                )
            )
            self._finish()
            raise
        self._finish()

    def _conduct(self) -> None:
        if self._state.has_ended:
            return
        manifest = self._files.published()
        keys = self._files.roster().keys()
        self._home.service_key()  # nothing starts whose end could not be signed
        self._look_for_withdrawal()
        if self._state.state == "published":
            self._require_in_time(manifest)
            self._require_patience(manifest)
            now = self._clock()
            answers, self._state = ask_all(self._home, self._files, self._state, self._federation, now)
            self._save(error=None)
            self._progress.offered(self._state.nodes)
            require_quorum(manifest, answers)
            self._enter("running", by=_SERVICE, why="enough nodes have approved it")
        self._save(error=None)
        outcome = StudyRun(
            manifest,
            self._federation,
            keys,
            self._round_done,
            warm=_starting_model(self._home, manifest),
            history=self._history,
            keep=anchors.keeper(self._files, lambda: self._clock().date()),
        ).run()
        self._publish(manifest, outcome)

    def _round_done(self, done: RoundDone) -> None:
        self._progress.round(done, self._state.nodes)
        self._look_for_withdrawal()

    def _look_for_withdrawal(self) -> None:
        wish = self._files.withdrawal()
        if wish is not None:
            raise _Withdrawn(*wish)

    def _require_in_time(self, manifest: Manifest) -> None:
        if self._clock().date() > manifest.expires:
            raise RefusedError("study-expired", f"study {manifest.id!r} has expired", "draft it again")

    def _require_patience(self, manifest: Manifest) -> None:
        """No answer comes before a tick: a shorter deadline would find all nodes silent, at full price."""
        deadline = self._home.deadline_seconds
        if manifest.tick_seconds + _SECONDS_OF_WAY > deadline:
            raise ConfigurationError(
                "deadline-too-short",
                f"nodes answer study {manifest.id!r} every {manifest.tick_seconds:g} s, and a round waits "
                f"for {deadline:g} s only",
                "raise deadline_seconds in coordinator.toml, restart the service, and launch it again",
            )

    def _publish(self, manifest: Manifest, outcome: Outcome) -> None:
        """Keeps what the study releases; each step only if an earlier run did not do it."""
        files = self._files
        document = release_file.to_bytes(outcome.release, manifest)
        model = None
        if isinstance(manifest.build_analysis(), Detection):
            model = _candidate(self._home, manifest, outcome, self._clock())
        heads = {node: head.model_dump() for node, head in outcome.heads.items()}
        files.write("heads.json", canonical.serialise(heads))
        for number, part in enumerate(self._history.transcript(manifest).parts()):
            files.write(f"{files.transcript.name}/{number:04}.part", part)
        if not files.release.exists():
            files.write(files.release.name, document)
        self._enter("finished", by=_SERVICE, why="all rounds are done")
        self._save(error=None, model=model)

    def _stopped(self, error: SafeBordersError) -> None:
        """Decides what an error means: the end of the study, or of this run only."""
        if self._state.has_ended:
            self._save(error=Problem.of(error))
            return
        problem = Problem.of(error)
        if self._is_final(error):
            # The code alone: the states read it, and the cause tells what each of them did.
            self._end("failed", by=_SERVICE, why=error.code, error=problem)
        elif self._state.state == "running" and not self._history.attempts():
            why = f"nothing was asked of the nodes: {error.code}"
            self._end("published", by=_SERVICE, why=why, error=problem)
        else:
            self._save(error=problem)

    def _is_final(self, error: SafeBordersError) -> bool:
        """Whether running again would come to the same: the history says so, or the calendar."""
        end = self._history.end()
        if end is None:
            return error.code == "study-expired"
        # Else all rounds are done, and what came of them cannot be published; not so if this machine or
        # this program is in the way.
        ours = isinstance(error, ConfigurationError) or error.code == _DEFECT
        return end.error() is not None or not ours

    def _finish(self) -> None:
        """Hands the end of a study to the nodes, and says the last word."""
        if self._state.has_ended and self._files.is_published():
            try:
                delivered = deliver(self._files, self._state, self._federation)
            except SafeBordersError as error:
                self._save(error=Problem.of(error))
            else:
                held = tuple(sorted({*self._state.delivered, *delivered.nodes}))
                self._state = self._state.model_copy(update={"delivered": held})
                self._save(error=self._state.error)
                self._progress.delivered(held, delivered.missing)
        self._progress.ended(self._state)

    def _end(self, name: StateName, *, by: str, why: str, error: Problem | None) -> None:
        """Ends the study, or this run; if that cannot be signed, the run alone, to be resumed."""
        try:
            self._enter(name, by=by, why=why)
        except SafeBordersError as unsigned:
            error = Problem.of(unsigned)
        self._save(error=error)

    def _enter(self, name: StateName, *, by: str, why: str) -> None:
        key = self._home.service_key()
        self._state = self._state.changed(name, key, at=self._clock(), by=by, why=why)

    def _save(self, *, error: Problem | None, model: str | None = None) -> None:
        update = {"error": error, "model": model or self._state.model}
        self._state = self._state.model_copy(update=update)
        self._files.save(self._state)


def _starting_model(home: CoordinatorHome, manifest: Manifest) -> Model | None:
    """The model that training starts from, if the manifest names one.

    Raises:
        RefusedError: ``no-warm-start``.
    """
    wanted = manifest.parameters.get("warm_start")
    if wanted is None:
        return None
    for entry in models.listed(home):
        if entry.model.sha256 == wanted:
            return entry.model
    raise RefusedError(
        "no-warm-start",
        f"study {manifest.id!r} starts from a model that is not in {home.models}",
        "put the model file whose SHA-256 the manifest names there, then launch the study again",
    )


def _candidate(home: CoordinatorHome, manifest: Manifest, outcome: Outcome, at: datetime) -> str:
    """The candidate that a release became, now or in an earlier run."""
    for known in model_file.ids_in(home.models):
        head = models.find(home, str(known)).model.head
        if head.manifest_hash == manifest.hash():
            return str(known)
    made = models.store(home, outcome.release, manifest, name=manifest.id, today=at.date())
    return str(made.head.id)


def _require_open(state: StudyState) -> None:
    if state.state == "draft":
        raise _not_published(state.study)
    if state.has_ended:
        raise RefusedError("study-over", f"study {state.study!r} is {state.state}", "draft a new study")


def _not_published(study: str) -> RefusedError:
    return RefusedError(
        "not-published",
        f"study {study!r} is a draft that no operator has signed",
        f"sign it with `safeborders coordinator study publish {study}`",
    )
