"""Files that are there as a whole or not at all.

Guarantees: after ``replace`` or ``create`` returns, the file and its name are on the disk; a crash before
that leaves the earlier file, or none. Files are for their owner only (mode 600).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from safeborders_fed.cases.snapshots import sync_directory, write_durably


def replace(path: Path, content: bytes) -> None:
    """Writes a file in place of the one that may be there.

    Raises:
        OSError: when the disk is full or the directory is not writable; nothing has changed.
    """
    with _waiting(path, content) as waiting:
        waiting.replace(path)


def create(path: Path, content: bytes) -> None:
    """Writes a new file.

    Raises:
        FileExistsError: when there is one; it is left alone.
        OSError: as ``replace``.
    """
    with _waiting(path, content) as waiting:
        os.link(waiting, path)


@contextmanager
def _waiting(path: Path, content: bytes) -> Iterator[Path]:
    """The content in a file beside the one that it is to become; removed if it does not."""
    waiting = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        write_durably(waiting, content)
        yield waiting
    finally:
        waiting.unlink(missing_ok=True)
    sync_directory(path.parent)


@contextmanager
def appearing(path: Path) -> Iterator[BinaryIO]:
    """A new file that gets its name when all that was written within is on the disk.

    Raises:
        FileExistsError: when there is one; it is left alone.
        OSError: as ``replace``.
    """
    waiting = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    handle = os.open(waiting, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.link(waiting, path)
    finally:
        waiting.unlink(missing_ok=True)
    sync_directory(path.parent)
