"""Reading what people left in a directory that others than the node's user may write to.

Guarantees: only plain files of that directory are read, never through a link, never one that makes its
reader wait, and never more than a paper can have or a node has people for. What cannot be read is passed over
and said in the service's log; what has no paper's name is none. So nobody who may leave papers can stop the
node by what they leave. Whether a paper counts is not judged here: each is signed. Where a no may lie in a
box that holds more than is read, ``require_room`` refuses, which stops that one study.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from safeborders_fed.errors import ConfigurationError

LOG: Final = logging.getLogger(__name__)
LONGEST_PAPER: Final = 2**16
MOST_PAPERS: Final = 1000
_NAME: Final = re.compile(r"[0-9A-Za-z_-][0-9A-Za-z._-]{0,99}\.json", re.ASCII)


def papers(directory: Path) -> Iterator[tuple[Path, bytes]]:
    """Every paper in a box, by name, with its path. None where there is no box."""
    paths = _papers(directory)
    if len(paths) > MOST_PAPERS:
        LOG.warning(
            "%s holds %d papers; those after the first %d are not read", directory, len(paths), MOST_PAPERS
        )
    for path in paths[:MOST_PAPERS]:
        try:
            data = _read(path)
        except OSError as error:
            LOG.warning("%s is passed over: %s", path, error.strerror)
            continue
        if data is None:
            LOG.warning("%s is passed over: it is no plain file of a paper's size", path)
            continue
        yield path, data


def require_room(directory: Path) -> None:
    """Requires that ``papers`` reads all that lies in a box.

    Raises:
        ConfigurationError: ``box-overfull``.
    """
    if len(_papers(directory)) > MOST_PAPERS:
        raise ConfigurationError(
            "box-overfull",
            f"{directory} holds more than {MOST_PAPERS} papers, and a no could be among those not read",
            "see who left them (`ls -l`), ask why, and remove what is no paper; the study waits until then",
        )


def _papers(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in directory.iterdir() if _NAME.fullmatch(path.name))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _read(path: Path) -> bytes | None:
    """The bytes of a paper; None if it is something else."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_size > LONGEST_PAPER:
            return None
        data = file.read(LONGEST_PAPER + 1)
    return data if len(data) <= LONGEST_PAPER else None
