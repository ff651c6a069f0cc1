"""A case store at rest: for what must not happen while the node's service has cases in its memory.

Guarantees: the audit log, which a running service holds, is held meanwhile, and so are the writer's lock of
the store and that of the reviews: nothing else of the node reads under keys that go, or writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safeborders_fed.audit.log import AuditLog
from safeborders_fed.cases.store import CaseStore
from safeborders_fed.errors import ConfigurationError
from safeborders_fed.node.reviews import Reviews
from safeborders_fed.node.store_work import alone, changing

if TYPE_CHECKING:
    from safeborders_fed.node.settings import NodeSettings


@dataclass(frozen=True)
class Resting:
    """A store at rest: nothing else of the node writes to it or to the audit log."""

    home: Path
    store: CaseStore
    reviews: Reviews
    log: AuditLog


@contextmanager
def at_rest(settings: NodeSettings) -> Iterator[Resting]:
    """The store, its reviews and the audit log, alone.

    Raises:
        ConfigurationError: ``service-running``, ``store-busy``, ``wrong-user``, ``store-unwritable``; or as
            ``NodeSettings.open_store`` and AuditLog.
    """
    with alone(settings) as store:
        reviews = Reviews(settings.home, store.files.sealer, store.require_current)
        with _log(settings) as log, reviews.writing(), changing(settings):
            yield Resting(settings.home, store, reviews, log)


def _log(settings: NodeSettings) -> AuditLog:
    try:
        return settings.open_audit_log()
    except ConfigurationError as error:
        if error.code != "audit-log-busy":
            raise
        raise ConfigurationError(
            "service-running",
            "the node's service, or another command, has the cases and the audit log open",
            "stop the service (`systemctl stop safeborders-node`), run the command, and start it again; "
            "studies under way go on",
        ) from error
