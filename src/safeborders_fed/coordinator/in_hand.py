"""Which study somebody is at: one process at a time, and the lock of one that dies is free again.

Guarantees: the kernel holds the lock with the process, so no crash leaves a study locked, and no two
processes ever conduct one study.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.errors import RefusedError

LOCK_FILE: Final = "lock"


@contextmanager
def held(home: CoordinatorHome, study: str) -> Iterator[None]:
    """Holds a study.

    Raises:
        RefusedError: ``study-in-hand``, when another process does.
    """
    file = os.open(home.path / "studies" / study / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _take(file):
            raise RefusedError(
                "study-in-hand", f"another process is at study {study!r}", "wait for it, or watch it"
            )
        yield
    finally:
        os.close(file)


def is_free(home: CoordinatorHome, study: str) -> bool:
    """Whether nobody is at a study."""
    file = os.open(home.path / "studies" / study / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        return _take(file)
    finally:
        os.close(file)


def _take(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
