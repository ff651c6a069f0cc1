"""The part of a node's service that keeps its retention periods: at its start, and then once a day.

Guarantees: it answers nothing and speaks to nobody, so what it does and how long it takes shows in no answer.
Whatever goes wrong is in its log and is tried again; it ends neither itself nor the service.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from safeborders_fed.errors import SafeBordersError
from safeborders_fed.node.journal import now
from safeborders_fed.node.retention import purge
from safeborders_fed.node.settings import NodeSettings

LOG: Final = logging.getLogger(__name__)
SECONDS_BETWEEN_LOOKS: Final = 600.0


def keep(
    home: Path, *, clock: Callable[[], datetime] = now, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Keeps the periods of the node in a directory, for ever.

    Args:
        home: The node's directory.
        clock: Gives the time, UTC (tests inject it).
        sleep: Waits between two looks at the calendar (tests inject it).
    """
    done = ""
    while True:
        at = clock()
        if done != at.date().isoformat() and keep_once(home, at):
            done = at.date().isoformat()
        sleep(SECONDS_BETWEEN_LOOKS)


def keep_once(home: Path, at: datetime) -> bool:
    """Removes what is past its period; false if it is to be tried again, after a study or a fault."""
    try:
        settings = NodeSettings.load(home)
        if settings.retention is None:
            return False  # it may be written there any time
        found = purge(settings, at)
    except SafeBordersError as error:
        LOG.warning("retention: %s", error)
        return False
    except Exception:  # a defect here must not end the service
        LOG.exception("defect while retention periods were kept")
        return False
    if found.anything:
        LOG.info(
            "retention: %d cases, %d snapshots and %d files of rejected rows are removed",
            found.rows,
            len(found.snapshots),
            found.rejected_files,
        )
    if found.waiting_for:
        LOG.info("retention: cases wait for the end of %s", ", ".join(found.waiting_for))
    return not found.waiting_for
