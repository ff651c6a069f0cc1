"""Where a node keeps what belongs to a study, and how its files are written and read.

Guarantees: a name that is no study's leads nowhere; files are there as a whole or not at all; no document is
read that is longer than one can be.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from safeborders_fed.errors import ConfigurationError, PeerError, RefusedError, UsageError
from safeborders_fed.study import durable
from safeborders_fed.study.manifest import IDENTIFIER

DIRECTORY: Final = "studies"
_LONGEST_DOCUMENT: Final = 2**23


class StudyDirectory:
    """The directory of all studies of a node.

    Args:
        home: The node's directory.
    """

    def __init__(self, home: Path) -> None:
        self._directory = Path(home) / DIRECTORY

    def directory(self, study: str) -> Path:
        """Where a study's files are.

        Raises:
            UsageError: ``unknown-study``, when the id is none.
        """
        if not IDENTIFIER.fullmatch(study):
            raise unknown(study, self._directory)
        return self._directory / study


def write(path: Path, content: bytes, *, shared: bool = False) -> None:
    """Writes a file of a node as a whole or not at all, with the directories it needs.

    Args:
        path: The file.
        content: What it is to hold.
        shared: Whether those may read it to whom its directory is open (``study.durable``).

    Raises:
        ConfigurationError: ``node-unwritable``.
    """
    try:
        durable.make_directories(path.parent, shared=shared)
        durable.replace(path, content, shared=shared)
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> ConfigurationError:
    """The error for a directory of the node that cannot be written."""
    return ConfigurationError(
        "node-unwritable",
        f"{path} cannot be written: {error.strerror}",
        "free space on its disk, or mend the rights of the node's directory",
    )


def changed(study: str) -> RefusedError:
    """The error for something else under a name that stands for something already."""
    return RefusedError(
        "study-changed",
        f"study {study!r} is known here with other content",
        "draft the changed study under a new id",
    )


def read(path: Path) -> bytes:
    """A document, of the length that one can have.

    Raises:
        ConfigurationError: ``document-unreadable``.
        PeerError: ``document-too-long``.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST_DOCUMENT + 1)
    except OSError as error:
        raise ConfigurationError(
            "document-unreadable", f"{path} cannot be read: {error.strerror}", "restore it from backup"
        ) from error
    if len(data) > _LONGEST_DOCUMENT:
        raise PeerError("document-too-long", f"{path} is too long for what it should be", "remove it")
    return data


def damaged(path: Path) -> ConfigurationError:
    """The error for a document of the node's own that does not read as one."""
    return ConfigurationError("record-damaged", f"{path} is damaged", "restore it from backup")


def unknown(study: str, directory: Path) -> UsageError:
    """The error for a study that was not offered here."""
    return UsageError(
        "unknown-study",
        f"there is no study {study[:64]!r} in {directory}",
        "choose one that `safeborders node study list` shows; the coordinator offers studies",
    )
