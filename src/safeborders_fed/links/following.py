"""Following an exchange from its files: what any process of the coordinator's user can do.

Guarantees: nothing is written, and the run does not notice. It ends with the run's last word; if the run's
process is gone without one, or none begins, it says so instead of waiting for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from safeborders_fed.errors import PeerError

if TYPE_CHECKING:
    from safeborders_fed.links.exchange_files import LinkFiles

INTERVAL: Final = 0.25
_GRACE: Final = 80
"""How often a run that was asked for is looked for: twenty seconds."""
LAST_WORDS: Final = frozenset({"summary", "error"})


def follow(files: LinkFiles, sleep: Callable[[float], None], *, after: int) -> Iterator[dict[str, Any]]:
    """The rows of a run, as they come, up to its last word.

    Args:
        files: The epoch.
        sleep: Waits for so many seconds.
        after: How many rows there were before the run was asked for.

    Raises:
        PeerError: ``run-not-started`` or ``run-interrupted``.
    """
    shown, idle = after, 0
    while idle <= _GRACE:
        held = files.is_held()  # before reading: what a run says last, it says while it holds the epoch
        rows = files.progress()
        for row in rows[shown:]:
            yield row
            if row["kind"] in LAST_WORDS:
                return
        idle = 0 if held or len(rows) > shown else idle + 1
        shown = len(rows)
        sleep(INTERVAL)
    if shown > after:
        raise PeerError(
            "run-interrupted",
            f"the process that ran the exchange of {files.epoch} is gone; what it did is kept",
            "start the coordinator, then go on with `safeborders coordinator links run`",
        )
    raise PeerError(
        "run-not-started",
        f"the coordinator did not take up the exchange of {files.epoch}",
        "see `safeborders coordinator status` and its log, then run it again",
    )
