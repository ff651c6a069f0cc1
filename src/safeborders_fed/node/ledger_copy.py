"""A ledger to look at: a copy of the database in memory's reach, so that nothing touches the one in use.

Guarantees: no file in the node's directory is made, changed or removed, whether the service runs or not. The
copy is the ledger between two transactions. It lies in a directory of mode 700 that is gone afterwards.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from safeborders_fed.errors import ConfigurationError
from safeborders_fed.node.caps import Caps
from safeborders_fed.node.ledger import Ledger


@contextmanager
def ledger_copy(path: Path, caps: Caps) -> Iterator[Ledger]:
    """The ledger in a file, as a copy.

    Args:
        path: The database.
        caps: What the node allows.

    Raises:
        ConfigurationError: ``ledger-unreadable``.
        OSError: there is no room for the copy.
    """
    with tempfile.TemporaryDirectory(prefix="safeborders-") as name:
        copy = Path(name, path.name)
        try:
            _copy(path, copy)
        except sqlite3.Error as error:
            raise ConfigurationError(
                "ledger-unreadable",
                f"the ledger {path.name} cannot be read: {error}",
                "restore the node directory from backup; do not delete the ledger, it guards the budget",
            ) from error
        ledger = Ledger(copy, caps)
        try:
            yield ledger
        finally:
            ledger.close()


def _copy(path: Path, copy: Path) -> None:
    """Copies the database; how depends on whether a process has it open, as its companion files show."""
    journal, shared = (path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))
    if shared.exists():  # in use, or left by a crash: a reader joins and leaves no trace
        _back_up(f"{path.absolute().as_uri()}?mode=ro", copy)
    elif journal.exists():  # a crash's, and a reader would have to make the other file
        shutil.copyfile(path, copy)
        shutil.copyfile(journal, copy.with_name(copy.name + "-wal"))
    else:  # complete by itself
        _back_up(f"{path.absolute().as_uri()}?mode=ro&immutable=1", copy)


def _back_up(uri: str, copy: Path) -> None:
    with closing(sqlite3.connect(uri, uri=True)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
