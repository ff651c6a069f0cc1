"""The record of a study that has ended, as a node keeps it.

Guarantees:

- How a study ended is kept once: a second ending, release or number of parts is refused. So is another part
  in place of one that was kept. The same part again changes nothing.
- What one study may take of the disk follows from its manifest (``largest_record``).
- The release is kept only if its bytes have the hash that every part of the record named.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from safeborders_fed.errors import ConfigurationError, RefusedError, UsageError
from safeborders_fed.node.study_directory import changed, write
from safeborders_fed.study import canonical
from safeborders_fed.study.manifest import Manifest
from safeborders_fed.study.offering import Ending, Finished

_OUTCOME: Final = "outcome.json"
_TRANSCRIPT: Final = "transcript"
_RELEASE_PARTS: Final = "release.parts"
RELEASE: Final = "release.json"
RELEASES: Final = "releases"
"""In the node's directory: what was released, once more, for people who see nothing else of a study."""
_OF_A_NODE: Final = 4096
"""Bytes that keys, heads, names and signatures of one node take in a message, at most."""
_ALLOWANCE: Final = 2**26
"""For a release whose size its dimension does not tell."""


class Outcome(BaseModel):
    """How the coordinator said that a study ended.

    Attributes:
        release_hash: SHA-256 of the release; empty if nothing was released.
        parts: Of how many parts the record consists.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    outcome: Ending
    release_hash: str
    parts: int


def largest_record(manifest: Manifest) -> int:
    """Bytes that the record of a study may take: twice what its messages are, and its release."""
    analysis = manifest.build_analysis()
    nodes, total, widest = len(manifest.participants), 0, 0
    dearest = 0
    for stage in analysis.stages():
        shown = sum(_size(shape) for shape in analysis.expects(stage.name).values())
        attempt = nodes * (8 * stage.dimension + 2 * _OF_A_NODE) + 8 * shown
        total += stage.rounds * attempt
        dearest = max(dearest, attempt)
        widest = max(widest, stage.dimension, shown)
    return 2 * (total + manifest.retries * dearest) + 32 * widest + _ALLOWANCE


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size


class Record:
    """The record of one study, in its directory at the node."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def outcome(self) -> Outcome | None:
        """How it ended; None as long as nobody said.

        Raises:
            ConfigurationError: ``record-damaged``.
        """
        path = self._directory / _OUTCOME
        if not path.exists():
            return None
        try:
            return Outcome.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise _damaged(path) from error

    def keep(self, message: Finished, manifest: Manifest) -> None:
        """Keeps one part.

        Raises:
            RefusedError: ``study-changed``, ``record-too-large``, or ``wrong-release``, when the release does
                not have the hash that was named.
            ConfigurationError: ``node-unwritable`` or ``record-damaged``.
        """
        said = Outcome(outcome=message.outcome, release_hash=message.release_hash, parts=message.parts)
        known = self.outcome()
        if known is None:
            content = canonical.serialise(said.model_dump(mode="json"))
            write(self._directory / _OUTCOME, content, shared=True)
        elif known != said:
            raise changed(manifest.id)
        if message.content == "nothing" or (message.content == "release" and self.has_release()):
            return
        data = message.decoded()
        path = self._folder(message.content) / f"{message.part:07}"
        if path.exists():
            if path.read_bytes() != data:
                raise changed(manifest.id)
        else:
            self._require_room(manifest, len(data))
            write(path, data)
        self._assemble(said)

    def _require_room(self, manifest: Manifest, more: int) -> None:
        held = sum(path.stat().st_size for path in self._files())
        if held + more > largest_record(manifest):
            raise RefusedError(
                "record-too-large",
                f"the record of study {manifest.id!r} would be larger than its rounds can be",
                "ask the coordinator's operator what was sent",
            )

    def _assemble(self, said: Outcome) -> None:
        """Puts the release together once all parts are there."""
        parts = sorted(self._folder("release").glob("*"))
        if not parts or sum(1 for _ in self._files()) < said.parts:
            return
        release = b"".join(path.read_bytes() for path in parts)
        if canonical.sha256(release) != said.release_hash:
            raise RefusedError(
                "wrong-release",
                "the release that the coordinator sent is not the one that it named",
                "ask the coordinator's operator; do not use what was published",
            )
        write(self._directory / RELEASE, release)
        shown = self._directory.parent.parent / RELEASES
        if shown.is_dir():  # where the node's roles are set: for its analysts
            write(shown / f"{self._directory.name}.json", release, shared=True)
        for path in parts:
            path.unlink()

    def _folder(self, content: str) -> Path:
        return self._directory / (_TRANSCRIPT if content == "transcript" else _RELEASE_PARTS)

    def _files(self) -> Iterator[Path]:
        for content in ("transcript", "release"):
            yield from self._folder(content).glob("[0-9]" * 7)

    def has_release(self) -> bool:
        """Whether the whole record is here."""
        return (self._directory / RELEASE).exists()

    def transcript(self) -> list[bytes]:
        """The parts of the transcript in order, for ``study.transcript``."""
        return [path.read_bytes() for path in sorted(self._folder("transcript").glob("[0-9]" * 7))]

    def release(self) -> bytes:
        """The release's document.

        Raises:
            UsageError: ``record-incomplete``.
        """
        if not self.has_release():
            raise UsageError(
                "record-incomplete",
                "this node does not hold the whole record of the study",
                "ask the coordinator's operator to send it again: `safeborders coordinator study resume`",
            )
        return (self._directory / RELEASE).read_bytes()


def _damaged(path: Path) -> ConfigurationError:
    return ConfigurationError("record-damaged", f"{path} is damaged", "restore it from backup")
