"""What the coordinator's service and commands do with links: run an exchange, say where it stands, forget.

Guarantees: the begin and the end of each exchange, and that an epoch was forgotten, stand in the
coordinator's audit log, with who wanted it; counts stand there, never a tag.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from safeborders_fed.audit.chain import Operation
from safeborders_fed.audit.log import Fact
from safeborders_fed.coordinator import recording
from safeborders_fed.coordinator.federation import Federation
from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.coordinator.members import current_roster
from safeborders_fed.errors import SafeBordersError, UsageError
from safeborders_fed.links.exchange import Exchange, Summary
from safeborders_fed.links.exchange_files import LinkFiles, epochs


def _now() -> datetime:
    return datetime.now(UTC)


def conduct(
    home: CoordinatorHome,
    epoch: str,
    federation: Federation,
    clock: Callable[[], datetime] = _now,
    sleep: Callable[[float], None] = time.sleep,
) -> Summary:
    """Runs an exchange of an epoch, as its wish says, to its end. Raises as ``Exchange.run``."""
    files = LinkFiles(home.path, epoch)
    wish, roster = files.wish(), current_roster(home).roster
    facts: dict[str, Fact] = {"epoch": epoch, "roster": roster.hash(), "letters_only": wish.letters_only}
    why = "links between states"
    recording.note(home, Operation.LINK_EXCHANGE, who=wish.by, why=f"{why}: begun", details=facts)
    try:
        summary = Exchange(home.path, federation, roster, epoch, wish=wish, clock=clock, sleep=sleep).run()
    except SafeBordersError as error:
        facts = {"epoch": epoch, "code": error.code}
        recording.record(home, Operation.LINK_EXCHANGE, who=wish.by, why=f"{why}: cut off", details=facts)
        raise
    recording.record(home, Operation.LINK_EXCHANGE, who=wish.by, why=f"{why}: ended", details=_facts(summary))
    return summary


def files_to_run(home: CoordinatorHome, epoch: str | None, today: datetime) -> LinkFiles:
    """The files of the epoch to run an exchange of: this year's, or an earlier one's that there is.

    Raises:
        UsageError: ``no-epoch``: keys of a year are made within it only.
    """
    current = f"{today.year:04}"
    return LinkFiles(home.path, current) if epoch in {None, current} else _known(home, str(epoch))


def forget(home: CoordinatorHome, epoch: str, by: str) -> None:
    """Removes tags and letters of an epoch.

    Raises:
        UsageError: ``no-epoch``.
        RefusedError: ``exchange-running``.
        ConfigurationError: ``coordinator-unwritable``.
    """
    files = _known(home, epoch)
    with files.lock():
        why = "tags and letters of an epoch were removed"
        recording.note(home, Operation.LINK_EXCHANGE, who=by, why=why, details={"epoch": epoch})
        files.forget()
    recording.log(home)


def standing(home: CoordinatorHome) -> list[dict[str, Any]]:
    """Where the exchanges of each epoch stand. Raises ConfigurationError for what is damaged."""
    rows = []
    for files in epochs(home.path):
        state, keys = files.state(), files.key_set()
        pairs = {name: count._asdict() for name, count in files.board.counts().items()}
        rows.append(
            {
                "epoch": files.epoch,
                "exchange": f"{files.epoch}-{state.number:04}" if state.number else None,
                "running": files.is_held(),
                "done": state.done,
                "nodes": list(keys.nodes) if keys is not None else [],
                "pairs": pairs,
                "letters_waiting": files.waiting_counts(),
                "summary": state.summary,
            }
        )
    return rows


def _known(home: CoordinatorHome, epoch: str) -> LinkFiles:
    files = LinkFiles(home.path, epoch)
    if not files.path.is_dir():
        raise UsageError(
            "no-epoch",
            f"there were no links in {epoch}",
            "see `safeborders coordinator links status` for the epochs that there are",
        )
    return files


def _facts(summary: Summary) -> dict[str, Fact]:
    return {
        "exchange": summary.exchange,
        "epoch": summary.epoch,
        "offline": " ".join(summary.offline),
        "points": sum(summary.points.values()),
        "tags": summary.tags,
        "hits": sum(summary.hits.values()),
        "verified": sum(summary.verified.values()),
        "letters": summary.letters,
        "refusals": len(summary.refused),
        "wrong": " ".join(sorted({*summary.liars, *(trouble.node for trouble in summary.wrong)})),
    }
