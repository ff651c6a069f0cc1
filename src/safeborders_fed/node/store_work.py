"""What changes the whole of a node's case store: it holds the writer's lock, and knows the studies under way.

Guarantees: such work runs beside no import and no other such work, and is done by the user that owns the
store, or else the service could not read what it leaves.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from safeborders_fed.cases.publication import lock
from safeborders_fed.cases.store import CaseStore
from safeborders_fed.errors import ConfigurationError
from safeborders_fed.node.caps import Caps
from safeborders_fed.node.ledger import Ledger

if TYPE_CHECKING:
    from safeborders_fed.node.settings import NodeSettings

_LEDGER_FILE = "ledger.sqlite"
_NOTHING = Caps(0.0, 0.0, 0.0)


@contextmanager
def alone(settings: NodeSettings) -> Iterator[CaseStore]:
    """The store, under the writer's lock, swept.

    Raises:
        ConfigurationError: ``store-busy``, ``wrong-user``, ``store-unwritable``; or as
            ``NodeSettings.open_store``.
    """
    _require_owner(settings)
    store = settings.open_store()
    with changing(settings), lock(settings.store_path):
        store.require_current()
        store.files.sweep()
        yield store


@contextmanager
def changing(settings: NodeSettings) -> Iterator[None]:
    """What the disk does not take is an error with a code."""
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            "store-unwritable",
            f"the case store in {settings.store_path} cannot be changed: {error.strerror or error}",
            "free space on its disk, or mend its rights, and run the command again; whatever was decided is "
            "finished then, and nothing else has changed",
        ) from error


def open_studies(settings: NodeSettings) -> dict[str, str]:
    """Studies under way here, and the snapshot that each runs on; by the ledger, open until they end."""
    path = settings.home / _LEDGER_FILE
    if not path.exists():
        return {}
    with closing(Ledger(path, _NOTHING)) as ledger:
        ids = [entry["id"] for entry in ledger.studies() if entry["ended"] is None]
        found = ((study, ledger.reservation(study)) for study in ids)
        return {study: held.snapshot for study, held in found if held is not None}


def rejected_files(store: CaseStore) -> list[Path]:
    """All files of rejected rows in the store's own directory."""
    return sorted(path for path in store.files.quarantine.iterdir() if path.is_file())


def _require_owner(settings: NodeSettings) -> None:
    try:
        owner = settings.store_path.stat().st_uid
    except OSError:
        return  # opening the store says it better
    if owner != os.geteuid():
        raise ConfigurationError(
            "wrong-user",
            f"{settings.store_path} belongs to user {owner}, and this is user {os.geteuid()}",
            "run the command as the user of the node's service, for instance with runuser",
        )
