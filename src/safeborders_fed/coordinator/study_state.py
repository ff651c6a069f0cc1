"""How far a study is at the coordinator.

Guarantees: states follow each other as ``study.state_changes`` permits, and every change is signed with the
coordinator's service key in a chain that nodes check.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, ConfigDict
from pydantic import Field as Limit

from safeborders_fed.errors import ConfigurationError, SafeBordersError
from safeborders_fed.study.manifest import Identifier
from safeborders_fed.study.reviews import SharedReview
from safeborders_fed.study.roster import Digest
from safeborders_fed.study.state_changes import (
    TERMINAL,
    History,
    StateChange,
    StateName,
    first_change,
    next_change,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safeborders_fed.study.manifest import Manifest
    from safeborders_fed.study.state_changes import ServiceKey

_STRICT = ConfigDict(strict=True, frozen=True, extra="forbid")


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
        reviews: What nodes have said of it for the others to read, the newest of each.
    """

    model_config = _STRICT

    schema_version: Literal[2] = 2
    study: Identifier
    manifest_hash: Digest
    changes: tuple[StateChange, ...] = Limit(min_length=1)
    nodes: dict[str, NodeWord] = {}
    error: Problem | None = None
    model: str | None = None
    delivered: tuple[str, ...] = ()
    reviews: dict[str, SharedReview] = {}

    @property
    def state(self) -> StateName:
        """The state now."""
        return self.changes[-1].state

    @property
    def has_ended(self) -> bool:
        """Whether nothing can follow."""
        return self.state in TERMINAL

    @classmethod
    def drafted(cls, manifest: Manifest, key: Ed25519PrivateKey, *, at: datetime, by: str) -> StudyState:
        """The state of a new study.

        Raises:
            UsageError: ``bad-words``.
        """
        digest = manifest.hash()
        change = first_change(
            key, study=manifest.id, manifest_hash=digest, at=at, by=by, why=manifest.purpose
        )
        return cls(study=manifest.id, manifest_hash=digest, changes=(change,))

    def changed(
        self, state: StateName, key: Ed25519PrivateKey, *, at: datetime, by: str, why: str
    ) -> StudyState:
        """The same study in its next state, signed with the service key. Raises as ``next_change``."""
        change = next_change(key, self.changes[-1], state, at=at, by=by, why=why)
        return self.model_copy(update={"changes": (*self.changes, change)})

    def history(self, certificates: Sequence[ServiceKey]) -> History:
        """What nodes are given: all changes, and the certificates of the keys that signed them.

        Raises:
            ConfigurationError: ``no-certificate``.
        """
        signers = {change.key for change in self.changes}
        keys = tuple(entry for entry in certificates if entry.public in signers)
        if not signers <= {entry.public for entry in keys}:
            raise ConfigurationError(
                "no-certificate",
                f"no operator vouches for a key that signed what became of study {self.study!r}",
                "restore service-keys.json from backup, or run `safeborders coordinator service-key`",
            )
        return History(keys=keys, changes=self.changes)
