"""Files that are there as a whole or not at all, and directories for them.

Guarantees: after ``replace`` or ``create`` returns, the file and its name are on the disk; a crash before
that leaves the earlier file, or none. Files are for their owner only (mode 600), unless the caller says that
the file is one that may be shared and the directory is marked as shared: by its setgid bit, under which a new
file takes the directory's group, which may then read it; by its sticky bit, where people of a group leave
papers for the directory's owner. A directory without such a mark keeps everything to its owner.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from safeborders_fed.cases.snapshots import sync_directory, write_durably

PRIVATE_FILE: Final = 0o600
SHARED_FILE: Final = 0o640
LEFT_FILE: Final = 0o644
"""In a box where others leave files: its owner, who is not of their group, must read them; others cannot
enter it."""
PRIVATE_DIRECTORY: Final = 0o700
SHARED_DIRECTORY: Final = 0o750
"""Beside the setgid bit, which a directory inherits: the service may be barred from setting it."""
BOX: Final = 0o1770


def replace(path: Path, content: bytes, *, shared: bool = False) -> None:
    """Writes a file in place of the one that may be there.

    Args:
        path: The file.
        content: What it is to hold.
        shared: Whether it is open to the directory's group where the directory is marked as shared.

    Raises:
        OSError: when the disk is full or the directory is not writable; nothing has changed.
    """
    with _waiting(path, content, shared=shared) as waiting:
        waiting.replace(path)


def create(path: Path, content: bytes) -> None:
    """Writes a new file, for its owner only.

    Raises:
        FileExistsError: when there is one; it is left alone.
        OSError: as ``replace``.
    """
    with _waiting(path, content, shared=False) as waiting:
        os.link(waiting, path)


def make_directories(path: Path, *, shared: bool = False) -> None:
    """Makes a directory and those above it that are missing; one that is there is left as it is.

    Args:
        path: The directory.
        shared: Whether its group may look into it where the directory above is marked as shared.

    Raises:
        OSError: when it cannot be made.
    """
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for each in reversed(missing):
        open_to_group = shared and each.parent.stat().st_mode & stat.S_ISGID
        _make(each, SHARED_DIRECTORY if open_to_group else PRIVATE_DIRECTORY)


def make_box(path: Path) -> None:
    """Makes a directory where people of the group of the one above leave papers, and cannot touch others'.

    Where the directory above is not marked as shared, it is for its owner only.

    Raises:
        OSError: when it cannot be made.
    """
    make_directories(path.parent, shared=True)
    shared = path.parent.stat().st_mode & stat.S_ISGID
    if not path.is_dir():
        _make(path, BOX if shared else PRIVATE_DIRECTORY)


def is_box(mode: int) -> bool:
    """Whether a directory of this mode is one where its group leaves papers."""
    return mode & (stat.S_ISVTX | 0o077) == stat.S_ISVTX | 0o070


def _make(path: Path, mode: int) -> None:
    # To set the mode afterwards would take the inherited setgid bit away. A wide umask for this moment gives
    # nothing away: files are made with modes of their own.
    before = os.umask(0)
    try:
        path.mkdir(mode=mode, exist_ok=True)
    finally:
        os.umask(before)
    sync_directory(path.parent)


def _mode(directory: Path) -> int:
    """The mode of a file that may be shared, in a directory."""
    mode = directory.stat().st_mode
    if is_box(mode):
        return LEFT_FILE
    return SHARED_FILE if mode & stat.S_ISGID else PRIVATE_FILE


@contextmanager
def _waiting(path: Path, content: bytes, *, shared: bool) -> Iterator[Path]:
    """The content in a file beside the one that it is to become; removed if it does not."""
    waiting = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        write_durably(waiting, content)
        if shared:
            waiting.chmod(_mode(path.parent))
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
