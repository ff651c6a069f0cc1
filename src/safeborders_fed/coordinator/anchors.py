"""The anchors of the nodes' audit logs that the coordinator keeps, in each study's files (``study.anchors``).

Guarantees: what a node signed when it joined is on the disk before the study goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

from safeborders_fed.coordinator.study_files import StudyFiles
from safeborders_fed.errors import ConfigurationError
from safeborders_fed.study import anchors
from safeborders_fed.study.anchors import COORDINATOR, AnchorFile, Keep
from safeborders_fed.study.handshake import Joined


def keeper(files: StudyFiles, today: Callable[[], date]) -> Keep:
    """Keeps anchors in the files of a study.

    Raises, when it is called:
        ConfigurationError: ``coordinator-unwritable``.
    """

    def keep(joined: Sequence[Joined]) -> None:
        try:
            anchors.keep(files.path, joined, by=COORDINATOR, today=today())
        except OSError as error:
            raise ConfigurationError(
                "coordinator-unwritable",
                f"{files.path} cannot be written: {error.strerror}",
                "free space on the disk, or mend the rights of the coordinator's directory",
            ) from error

    return keep


def of_study(files: StudyFiles) -> AnchorFile:
    """All anchors kept of a study.

    Raises:
        UsageError: ``unknown-study``.
    """
    files.state()  # there is such a study
    return AnchorFile(anchors=anchors.kept(files.path))
