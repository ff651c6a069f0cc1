"""Where a simulated process may die or find its disk full: at each durable write of the real code.

The writes are those of production code: a ledger's COMMIT (``node.journal``), ``fsync`` of a file or of a
directory. While ``installed`` they go through here. A process that dies before a write is durable loses some
of what it had written since the last one: a file is cut off anywhere behind its durable length, and a name
given by ``replace`` may be the old one again. After it, nothing is lost.

Guarantees: nothing in production code knows of this; without an acting process every write is as ever.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from random import Random
from unittest import mock

from safeborders_fed.errors import ConfigurationError
from safeborders_fed.node.journal import Journal

_FSYNC = os.fsync
_REPLACE = os.replace


class Crash(BaseException):
    """The acting process dies here."""


class Points:
    """Durable writes of the processes of one schedule.

    Args:
        random: Decides what a crash loses.
        dies: Asked at each point whether the acting process dies there.
        is_full: Asked before each write whether the acting process's disk is full.
    """

    def __init__(
        self, random: Random, dies: Callable[[str, str], bool], is_full: Callable[[str], bool]
    ) -> None:
        self._random = random
        self._dies = dies
        self._is_full = is_full
        self._actors: list[str] = []
        self._durable: dict[tuple[int, int], int] = {}
        self._renamed: tuple[Path, bytes | None] | None = None

    @contextmanager
    def acting(self, actor: str) -> Iterator[None]:
        """What is written within is written by this process."""
        self._actors.append(actor)
        try:
            yield
        finally:
            self._actors.pop()

    @property
    def actor(self) -> str:
        """The process that acts; empty when none does."""
        return self._actors[-1] if self._actors else ""

    def reach(self, point: str) -> None:
        """A point at which the acting process may die.

        Raises:
            Crash: It does.
        """
        if self._actors and self._dies(self._actors[-1], point):
            raise Crash

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Durable writes go through here."""
        with (
            mock.patch.object(os, "fsync", self._fsync),
            mock.patch.object(os, "replace", self._replace),
            mock.patch.object(Journal, "transaction", self._transaction(Journal.transaction)),
        ):
            yield

    def _transaction(
        self, original: Callable[[Journal], AbstractContextManager[None]]
    ) -> Callable[[Journal], AbstractContextManager[None]]:
        @contextmanager
        def transaction(journal: Journal) -> Iterator[None]:
            with original(journal):
                yield
                self.reach("before commit")
                if self._actors and self._is_full(self._actors[-1]):
                    raise ConfigurationError("ledger-unwritable", "the disk is full", "free space")
            self.reach("after commit")

        return transaction

    def _fsync(self, file: int) -> None:
        if not self._actors:
            _FSYNC(file)
            return
        status = os.fstat(file)
        is_directory = stat.S_ISDIR(status.st_mode)
        if self._is_full(self._actors[-1]):
            raise OSError(28, "No space left on device")
        try:
            self.reach("before the directory is synced" if is_directory else "before a file is synced")
        except Crash:
            self._lose(file, status, is_directory=is_directory)
            raise
        if is_directory:
            self._renamed = None
        else:
            self._durable[status.st_dev, status.st_ino] = status.st_size
        self.reach("after the directory is synced" if is_directory else "after a file is synced")

    def _lose(self, file: int, status: os.stat_result, *, is_directory: bool) -> None:
        if not is_directory:
            durable = min(self._durable.get((status.st_dev, status.st_ino), 0), status.st_size)
            left = durable + int(self._random.random() * (status.st_size - durable + 1))
            os.truncate(file, left)
        elif self._renamed is not None and self._random.random() < 0.5:
            path, before = self._renamed
            if before is None:
                path.unlink()
            else:
                path.write_bytes(before)
        self._renamed = None

    def _replace(self, source: str | Path, target: str | Path) -> None:
        if self._actors:
            path = Path(target)
            self._renamed = path, path.read_bytes() if path.exists() else None
        _REPLACE(source, target)

    def is_durable(self, path: Path) -> None:
        """A file that was there before the schedule began is on the disk as it is."""
        status = path.stat()
        self._durable[status.st_dev, status.st_ino] = status.st_size
