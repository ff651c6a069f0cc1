"""Reading what people left in a directory that others than the node's user may write to.

Guarantees: only plain files of that directory are read, never through a link, never one that makes its reader
wait, and never more than a paper can have or a node has people for. What cannot be read is passed over and
said in the service's log: nobody who may leave papers can stop the node by what they leave. Whether a paper
counts is not judged here: each is signed.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

LOG: Final = logging.getLogger(__name__)
LONGEST_PAPER: Final = 2**16
MOST_PAPERS: Final = 1000
SUFFIX: Final = ".json"


def papers(directory: Path) -> Iterator[tuple[Path, bytes]]:
    """Every paper in a box, by name, with its path. None where there is no box."""
    try:
        paths = sorted(path for path in directory.iterdir() if _is_paper(path.name))
    except (FileNotFoundError, NotADirectoryError):
        return
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


def _is_paper(name: str) -> bool:
    return name.endswith(SUFFIX) and not name.startswith(".")


def _read(path: Path) -> bytes | None:
    """The bytes of a paper; None if it is something else."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_size > LONGEST_PAPER:
            return None
        data = file.read(LONGEST_PAPER + 1)
    return data if len(data) <= LONGEST_PAPER else None
