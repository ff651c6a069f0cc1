"""Anchors of audit logs as others keep them: what a node signed when it joined a study, and since when.

A ``Joined`` names the hash of a line of its node's audit log (``audit.anchors``). Its peers and the
coordinator keep it as it was signed, so that they can show years later that the log had this line, whoever
wrote to the node's disk since.

Guarantees: only the node's own signature makes an anchor; who keeps one can lose it, and cannot invent it.
The day on which it was kept is the word of who keeps it. For one study and node at most 64 are kept, the
first ones: a node that joins again and again fills nobody's disk and pushes no earlier anchor out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic import Field as Limit

from safeborders_fed.errors import DataError, PeerError
from safeborders_fed.study import canonical, durable
from safeborders_fed.study.handshake import Joined

LOG: Final = logging.getLogger(__name__)
DIRECTORY: Final = "anchors"
COORDINATOR: Final = "coordinator"
MOST: Final = 64
_LARGEST: Final = 64 * 1024
Keep = Callable[[Sequence[Joined]], None]
"""What to do with what nodes signed when they joined."""


class KeptAnchor(BaseModel):
    """One anchor: who keeps it (a node or ``coordinator``), since which day, and what its node signed."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)

    kept_by: Annotated[str, Limit(pattern=r"^([A-Z]{2}|coordinator)$")]
    kept_on: date
    joined: Joined

    def is_signed_by(self, public: str) -> bool:
        """Whether the node's key signed it."""
        try:
            self.joined.check(public)
        except PeerError:
            return False
        return True


class AnchorFile(BaseModel):
    """Anchors as they are handed to whoever verifies a log."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)

    schema_version: Literal[1] = 1
    anchors: Annotated[tuple[KeptAnchor, ...], Limit(max_length=100_000)]

    def to_bytes(self) -> bytes:
        """The canonical form."""
        return canonical.serialise(self.model_dump(mode="json"))

    @classmethod
    def from_bytes(cls, data: bytes) -> AnchorFile:
        """The anchors in a file that ``to_bytes`` wrote.

        Raises:
            DataError: ``bad-anchors``.
        """
        try:
            canonical.parse(data)
            return cls.model_validate_json(data)
        except (PeerError, ValidationError) as error:
            raise DataError(
                "bad-anchors",
                "a file does not hold anchors of audit logs",
                "give a file that `safeborders node audit anchors` or `safeborders coordinator study "
                "anchors` wrote, unchanged",
            ) from error


def keep(directory: Path, joined: Sequence[Joined], *, by: str, today: date) -> None:
    """Keeps what nodes signed when they joined the study whose directory this is; each anchor once.

    Args:
        directory: Of the study, at a node or at the coordinator.
        joined: Each with a signature that was checked.
        by: Who keeps them.
        today: The day.

    Raises:
        OSError: when the directory cannot be written.
    """
    below = directory / DIRECTORY
    for one in joined:
        path = below / f"{one.node}-{one.anchor[:16]}.json"
        if path.exists() or len(list(below.glob(f"{one.node}-*.json"))) >= MOST:
            continue
        durable.make_directories(below)
        kept = KeptAnchor(kept_by=by, kept_on=today, joined=one)
        durable.replace(path, canonical.serialise(kept.model_dump(mode="json")))


def kept(directory: Path, node: str = "*") -> tuple[KeptAnchor, ...]:
    """The anchors kept in a study's directory, of one node or of all; what is damaged is passed over."""
    found = []
    for path in sorted((directory / DIRECTORY).glob(f"{node}-*.json")):
        try:
            with path.open("rb") as file:
                found.append(KeptAnchor.model_validate_json(file.read(_LARGEST)))
        except (OSError, ValidationError):
            LOG.warning("the anchor %s is damaged and passed over", path)
    return tuple(found)
