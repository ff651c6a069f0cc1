"""What whoever watches a study is told: one row for each thing that happens.

Guarantees: each run begins with a ``started`` row and has exactly one last word, ``summary`` or ``error``,
after which nothing of it follows; every row holds the same fields, so that each can be understood alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from safeborders_fed.errors import SafeBordersError
from safeborders_fed.privacy import accounting

if TYPE_CHECKING:
    from safeborders_fed.coordinator.history import History
    from safeborders_fed.coordinator.rounds import RoundDone
    from safeborders_fed.coordinator.study_files import StudyFiles
    from safeborders_fed.coordinator.study_state import NodeWord, StudyState

SCHEMA_VERSION: Final = 1
LAST_WORDS: Final = frozenset({"summary", "error"})
_OF_THE_SERVICE: Final = frozenset({"approved", "taken-on", "ended"})


class Progress:
    """The rows of one run.

    Args:
        files: Where they are kept.
        history: Tells which nodes fell silent, and how.
        clock: Gives the time, UTC.
        timer: Gives seconds; only differences count.
    """

    def __init__(
        self,
        files: StudyFiles,
        history: History,
        clock: Callable[[], datetime],
        timer: Callable[[], float],
    ) -> None:
        self._files, self._history = files, history
        self._clock, self._timer = clock, timer
        self._began = timer()
        self._asked = 0
        self._missing: dict[str, str] = {}
        self._now: dict[str, Any] = {}

    def started(self, state: StudyState) -> None:
        """A run begins: the first of a study, or one that goes on."""
        self._now = {
            "study": state.study,
            "state": state.state,
            "round": 0,
            "attempts": 0,
            "participants": [],
            "missing": {},
            "rho_spent": 0.0,
            "epsilon_spent": 0.0,
            **self._terms(),
        }
        self._tell("started")

    def offered(self, nodes: Mapping[str, NodeWord]) -> None:
        """The nodes have said where they stand."""
        self._now["missing"] = {
            node: word.reason or word.status
            for node, word in nodes.items()
            if word.status not in _OF_THE_SERVICE
        }
        self._tell("offered", nodes={node: [word.status, word.reason] for node, word in nodes.items()})

    def round(self, done: RoundDone, nodes: Mapping[str, NodeWord]) -> None:
        """A round is done."""
        for attempt in range(self._asked, done.attempts - 1):  # in the last of a round nobody failed
            answers = self._history.answers(attempt)
            self._missing |= {} if answers is None else dict(answers.failures)
        self._asked = done.attempts
        absent = [node for node in self._now["nodes"] if node not in done.participants]
        self._now |= {
            "state": "running",
            "round": done.number,
            "attempts": done.attempts,
            "participants": list(done.participants),
            "missing": {node: self._missing.get(node) or _standing(nodes.get(node)) for node in absent},
            "rho_spent": done.rho_spent,
            "epsilon_spent": accounting.epsilon(done.rho_spent, self._now["delta"]),
        }
        self._tell("round", round_seconds=done.seconds, recorded=done.recorded)

    def delivered(self, nodes: tuple[str, ...], missing: Mapping[str, str]) -> None:
        """The record of a study's end was handed out."""
        self._tell("delivered", delivered=list(nodes), undelivered=dict(missing))

    def ended(self, state: StudyState) -> None:
        """The last word of a run."""
        self._now["state"] = state.state
        if state.state == "finished":
            self._tell("summary", model=state.model, release=str(self._files.release))
            return
        error = state.error
        self._tell(
            "error",
            code="study-withdrawn" if error is None else error.code,
            cause=f"study {state.study!r} was withdrawn: {state.changes[-1].why}"
            if error is None
            else error.cause,
            fix="draft a new study" if error is None else error.fix,
            exit_code=5 if error is None else error.exit_code,
            resumable=not state.has_ended,
        )

    def _terms(self) -> dict[str, Any]:
        try:
            manifest = self._files.manifest()
        except SafeBordersError:  # the run will say so; its rows look the same all the same
            return {"rounds": 0, "nodes": [], "epsilon_total": 0.0, "delta": 0.0}
        return {
            "rounds": sum(stage.rounds for stage in manifest.stages),
            "nodes": list(manifest.participants),
            "epsilon_total": manifest.epsilon,
            "delta": manifest.delta,
        }

    def _tell(self, kind: str, **more: Any) -> None:
        row = {
            "schema_version": SCHEMA_VERSION,
            "time": self._clock().isoformat(timespec="milliseconds"),
            "kind": kind,
            **self._now,
            "seconds": round(self._timer() - self._began, 3),
            **more,
        }
        self._files.tell(row)


def _standing(word: NodeWord | None) -> str:
    """Why a node that was never asked for a contribution is not there."""
    if word is None or word.status in _OF_THE_SERVICE:
        return "not-joined"
    return f"{word.status} ({word.reason})" if word.reason else word.status
