"""How far a study is at the coordinator.

Guarantees: states follow each other in one direction (``NEXT``), but for a launch that asked nothing of any
node, after which a study is published as before. Each change says when, by whom and why. There is no way out
of ``finished``, ``failed`` and ``withdrawn``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict
from pydantic import Field as Limit

from safeborders_fed.errors import RefusedError, SafeBordersError
from safeborders_fed.study.manifest import Identifier
from safeborders_fed.study.roster import Digest

_STRICT = ConfigDict(strict=True, frozen=True, extra="forbid")
Name = Literal["draft", "published", "running", "finished", "failed", "withdrawn"]
TERMINAL: Final = frozenset({"finished", "failed", "withdrawn"})
NEXT: Final[dict[str, frozenset[str]]] = {
    "draft": frozenset({"published", "withdrawn"}),
    "published": frozenset({"running", "failed", "withdrawn"}),
    "running": frozenset({"published", "finished", "failed", "withdrawn"}),
    "finished": frozenset(),
    "failed": frozenset(),
    "withdrawn": frozenset(),
}
_Words = Annotated[str, Limit(max_length=2000)]


class Change(BaseModel):
    """One change of state: when (ISO 8601, UTC), by whom, why."""

    model_config = _STRICT

    state: Name
    at: str
    by: _Words
    why: _Words


class Problem(BaseModel):
    """An error, to be shown again."""

    model_config = _STRICT

    code: str
    cause: str
    fix: str
    exit_code: int

    @classmethod
    def of(cls, error: SafeBordersError) -> Problem:
        """What can be kept of an error."""
        return cls(code=error.code, cause=error.cause, fix=error.fix, exit_code=error.exit_code)


class NodeWord(BaseModel):
    """What a node said last of a study: words of ``study.offering``, or why there was no answer.

    Attributes:
        advice: What is wrong and what to do, when there was no answer.
        at: When, ISO 8601, UTC.
    """

    model_config = _STRICT

    status: str
    reason: str
    advice: str = ""
    at: str


class StudyState(BaseModel):
    """How far a study is.

    Attributes:
        manifest_hash: Of the draft, which is that of the published manifest.
        changes: All of them, the last one is the state now.
        nodes: What each participant said last.
        error: What the last run ended with, if not with a release.
        model: The candidate that the release became, if it is a model.
        delivered: Nodes that hold the whole record of the study's end.
    """

    model_config = _STRICT

    schema_version: Literal[1] = 1
    study: Identifier
    manifest_hash: Digest
    changes: tuple[Change, ...] = Limit(min_length=1)
    nodes: dict[str, NodeWord] = {}
    error: Problem | None = None
    model: str | None = None
    delivered: tuple[str, ...] = ()

    @property
    def state(self) -> Name:
        """The state now."""
        return self.changes[-1].state

    @property
    def has_ended(self) -> bool:
        """Whether nothing can follow."""
        return self.state in TERMINAL

    def changed(self, state: Name, *, at: datetime, by: str, why: str) -> StudyState:
        """The same study in its next state.

        Raises:
            RefusedError: ``wrong-state``.
        """
        if state not in NEXT[self.state]:
            raise RefusedError(
                "wrong-state",
                f"study {self.study!r} is {self.state} and cannot become {state}",
                f"see `safeborders coordinator study show {self.study}`",
            )
        change = Change(state=state, at=at.isoformat(), by=by, why=why[:2000])
        return self.model_copy(update={"changes": (*self.changes, change)})
