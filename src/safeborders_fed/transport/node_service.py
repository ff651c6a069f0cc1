"""The node's service: the link to the coordinator and the executor, kept running together.

Guarantees: the link has the network and no cases; the executor has the cases and no network, and so has the
keeper, which removes what is past its retention period and answers nothing. Settings,
accepted keys and approvers that people change are taken up between studies, without a restart by hand. What
the service is doing stands in small files in ``run``, for ``safeborders node status`` and whoever watches.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import safeborders_fed
from safeborders_fed.audit import notices
from safeborders_fed.audit.chain import Operation
from safeborders_fed.errors import ConfigurationError, SafeBordersError
from safeborders_fed.links.desk import open_desk
from safeborders_fed.node import budget_statement
from safeborders_fed.node.expiries import log_warnings
from safeborders_fed.node.journal import now
from safeborders_fed.node.participant import Participant
from safeborders_fed.node.settings import APPROVERS_FILE, ROSTER_FILE, SETTINGS_FILE, NodeSettings, no_policy
from safeborders_fed.study.code_version import code_hash
from safeborders_fed.study.key_files import load_transport_key
from safeborders_fed.transport import executor, fleet, keeper
from safeborders_fed.transport.service_log import log_to_stderr
from safeborders_fed.transport.status import (
    EXECUTOR_FILE,
    LINK_FILE,
    RUN_DIRECTORY,
    node_summary,
    read_json,
    write_json,
)
from safeborders_fed.transport.supervisor import Supervisor

LOG: Final = logging.getLogger(__name__)
SOCKET_FILE: Final = "executor.sock"
_ENROLMENT_FILE: Final = "coordinator.json"
FLOWER_FILE: Final = "flower-node"
_SECONDS_OF_SILENCE: Final = 600.0
_SECONDS_BETWEEN_ENDINGS: Final = 600
_LOOKS_FOR_THE_LOG: Final = 60
_WATCHED: Final = (SETTINGS_FILE, ROSTER_FILE, APPROVERS_FILE, _ENROLMENT_FILE)


@dataclass
class NodeService:
    """The service of the node in a directory.

    Args:
        home: The node's directory.
        tell: Told what an operator wants to know at once.
    """

    home: Path
    tell: Callable[[str], None]
    _last: str = field(default="", init=False)
    _wrong: str = field(default="", init=False)

    @property
    def directory(self) -> Path:
        """Where the service keeps what it needs while it runs."""
        return self.home / RUN_DIRECTORY

    def run(self) -> int:
        """Runs until it is told to stop; the exit code.

        Raises:
            ConfigurationError: there is no policy, enrolment, roster, approver or key; another service runs
                here; or what a process of the service ended over.
            SafeBordersError: likewise.
        """
        settings = NodeSettings.load(self.home)
        if settings.policy is None:
            raise no_policy(self.home)
        settings.enrolment()
        load_transport_key(settings.transport_key_path)
        children = {"executor": self._execute, "link": self._link, "keeper": self._keep}
        code = Supervisor(self.directory, children, self._watch, self._forget).run()
        self.tell("stopped")
        return code

    def _forget(self) -> None:
        """Removes what the processes of a service before this one said."""
        for name in (LINK_FILE, EXECUTOR_FILE):
            (self.directory / name).unlink(missing_ok=True)

    def _watch(self) -> set[str]:
        """Says when the state changed; asks for a new link when the enrolment or the transport key did."""
        state = node_summary(self.home)
        if state["text"] != self._last:
            self._last = state["text"]
            self.tell(state["text"])
        wanted = {"executor"} if (self.directory / "overdue").exists() else set()
        (self.directory / "overdue").unlink(missing_ok=True)
        return wanted | ({"link"} if self._link_changed() else set())

    def _link_changed(self) -> bool:
        try:
            settings = NodeSettings.load(self.home)
        except SafeBordersError as error:  # somebody edits node.toml: what runs goes on as it is
            if self._wrong != error.cause:
                self._wrong = error.cause
                self.tell(f"{error}")
            return False
        self._wrong = ""
        stamp = _stamp(self.home / _ENROLMENT_FILE, settings.transport_key_path)
        used = read_json(self.directory / LINK_FILE).get("stamp")
        return used is not None and used != stamp

    def _execute(self) -> None:
        log_to_stderr()
        settings = NodeSettings.load(self.home)
        executor.limit_memory(settings.limits.memory_mib)
        stamp = _stamp(*(self.home / name for name in _WATCHED))
        participant = patiently(lambda: settings.open_participant(open_desk))
        participant.audit_log.append(
            Operation.START,
            who="service",
            why="the service takes up its work",
            details={"version": safeborders_fed.__version__, "code": code_hash()},
        )
        self._note(EXECUTOR_FILE, "ready", "the cases, the ledger and the audit log are open")

        stated = budget_statement.Stated(settings, participant.ledger)
        stated.keep_up()
        warned = ""

        def idle(seconds: float) -> bool:
            nonlocal warned
            today = now().date()
            if warned != today.isoformat():  # at the start, and once a day
                warned = today.isoformat()
                for entry in log_warnings(settings, participant.audit_log, today):
                    LOG.warning("%s; %s", entry.text, entry.expiry.fix)
            stated.keep_up()
            if int(seconds) % _SECONDS_BETWEEN_ENDINGS < executor.BEAT_SECONDS:
                participant.end_expired()
            changed = _stamp(*(self.home / name for name in _WATCHED)) != stamp or notices.waiting(self.home)
            if changed and (not participant.is_busy or seconds > _SECONDS_OF_SILENCE):
                LOG.info("settings, keys or approvers changed: they are read again")
                return True
            return False

        executor.serve(self.directory / SOCKET_FILE, participant, idle)

    def _keep(self) -> None:
        log_to_stderr()
        keeper.keep(self.home)

    def _link(self) -> None:
        log_to_stderr()
        settings = NodeSettings.load(self.home)
        enrolment = settings.enrolment()
        stamp = _stamp(self.home / _ENROLMENT_FILE, settings.transport_key_path)
        link = fleet.LinkSettings(
            node=settings.country,
            address=enrolment.address,
            ca_certificate=enrolment.ca_certificate.encode("ascii"),
            key=load_transport_key(settings.transport_key_path),
            state=self.directory / FLOWER_FILE,
            bundles=frozenset(settings.limits.bundles),
        )
        client = executor.ExecutorClient(
            self.directory / SOCKET_FILE,
            settings.limits.seconds_per_message,
            (self.directory / "overdue").touch,
        )
        stopped = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stopped.set())

        def tell(state: str, text: str) -> None:
            self._note(LINK_FILE, state, text, stamp=stamp)

        tell("connecting", f"connecting to {enrolment.address}")
        fleet.Link(link, client, tell).run(stopped.is_set)

    def _note(self, name: str, state: str, text: str, **further: Any) -> None:
        LOG.info("%s: %s", state, text)
        at = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(
            self.directory / name, {"state": state, "text": text, "at": at, "pid": os.getpid(), **further}
        )


def patiently(open_it: Callable[[], Participant], sleep: Callable[[float], None] = time.sleep) -> Participant:
    """The participant, once a command that holds the audit log or the case store has let go of it.

    Raises:
        SafeBordersError: As NodeSettings.open_participant; ``audit-log-busy`` or ``store-busy`` after a
            minute.
    """
    for _ in range(_LOOKS_FOR_THE_LOG):
        try:
            return open_it()
        except ConfigurationError as error:
            if error.code not in {"audit-log-busy", "store-busy"}:
                raise
            LOG.info("a command writes the audit log or the cases; the service waits for it")
        sleep(1.0)
    return open_it()


def _stamp(*files: Path) -> list[int]:
    return [file.stat().st_mtime_ns if file.exists() else 0 for file in files]
