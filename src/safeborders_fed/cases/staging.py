"""Changes of many files at once: all of them take place, or none, whenever the process is killed.

Layout, in the directory of the case store::

    next/        new files on their way, and ``plan.json`` once they are complete; rubbish after a crash
    committed/   the same directory after the one rename that decides; whoever finds it carries it out

Guarantees: until ``commit`` returns nothing has changed; after it, ``finish`` puts every file in its place
and removes what is to go, as often as it takes. No key is needed to finish. Only who holds the writer's lock
of the store calls anything in here, and nothing else is written to the store before a committed change is
done.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from safeborders_fed.cases.snapshots import sync_directory, write_durably
from safeborders_fed.errors import ConfigurationError

_NEXT: Final = "next"
_COMMITTED: Final = "committed"
_PLAN: Final = "plan.json"
_PARTIAL: Final = ".partial"


class _Plan(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    moves: tuple[tuple[str, str], ...] = Field(strict=False)
    removed: tuple[str, ...] = Field(strict=False)


class Staged:
    """A change in the making.

    Args:
        directory: That of the case store. What an unfinished change left there is discarded.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = Path(directory).absolute()
        discard(self._directory)
        self._next = self._directory / _NEXT
        self._next.mkdir(mode=0o700)
        self._moves: list[tuple[str, str]] = []
        self._removed: list[str] = []

    def put(self, target: Path, content: bytes) -> None:
        """``target`` is to hold ``content``."""
        name = f"{len(self._moves):06d}"
        write_durably(self._next / name, content)
        self._moves.append((name, self._relative(target)))

    def remove(self, target: Path) -> None:
        """``target`` is to go."""
        self._removed.append(self._relative(target))

    def commit(self) -> None:
        """Decides: from here on the change happens. Raises OSError before that, and nothing has changed."""
        plan = _Plan(moves=tuple(self._moves), removed=tuple(self._removed))
        write_durably(self._next / _PLAN, plan.model_dump_json().encode())
        sync_directory(self._next)
        self._next.rename(self._directory / _COMMITTED)
        sync_directory(self._directory)

    def _relative(self, target: Path) -> str:
        """Where a file is from the store: the node's directory may be moved meanwhile."""
        return os.path.relpath(target.absolute(), self._directory)


def is_committed(directory: Path) -> bool:
    """Whether a change waits to be finished."""
    return (Path(directory) / _COMMITTED).exists()


def finish(directory: Path) -> bool:
    """Carries out what was committed; false if there was nothing.

    Raises:
        ConfigurationError: ``store-damaged``, when what was decided cannot be read.
        OSError: when the disk is full or a directory is not writable; another call goes on.
    """
    directory = Path(directory).absolute()
    committed = directory / _COMMITTED
    if not committed.exists():
        return False
    plan = _plan(committed)
    places = set()
    for name, relative in plan.moves:
        target = directory / relative
        waiting = target.with_name(f".{target.name}{_PARTIAL}")
        write_durably(waiting, (committed / name).read_bytes())
        waiting.rename(target)
        places.add(target.parent)
    for relative in plan.removed:
        (directory / relative).unlink(missing_ok=True)
        places.add((directory / relative).parent)
    for place in places:
        if place.exists():
            sync_directory(place)
    committed.rename(directory / _NEXT)  # it is rubbish from now on, whether or not removing it succeeds
    sync_directory(directory)
    discard(directory)
    return True


def _plan(committed: Path) -> _Plan:
    try:
        return _Plan.model_validate_json((committed / _PLAN).read_bytes())
    except (OSError, ValidationError) as error:
        raise ConfigurationError(
            "store-damaged",
            f"{committed / _PLAN} cannot be used ({type(error).__name__}); a decided change is not done",
            "restore the node's directory from its backup, and repeat the change",
        ) from error


def discard(directory: Path) -> None:
    """Removes a change that was never decided on, or is done."""
    shutil.rmtree(Path(directory) / _NEXT, ignore_errors=True)
