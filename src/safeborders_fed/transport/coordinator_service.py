"""The coordinator's service: SuperLink on loopback, the gate before it, and the executor of studies.

Guarantees: only the gate is reachable from outside. Nodes that are enrolled are known to SuperLink within
seconds, revoked ones are not. A study whose process died is taken up again where it was. SuperLink takes up a
renewed certificate between two studies.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from safeborders_fed.coordinator import pki, recording
from safeborders_fed.coordinator.enrolment import expiries, transport_keys
from safeborders_fed.coordinator.federation import Federation
from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.coordinator.studies import conduct, offer
from safeborders_fed.coordinator.study_files import StudyFiles, studies
from safeborders_fed.errors import ConfigurationError, SafeBordersError, UsageError
from safeborders_fed.links.conducting import conduct as conduct_links
from safeborders_fed.links.exchange_files import epochs
from safeborders_fed.study.validity import warnings
from safeborders_fed.transport import control, gate, superlink
from safeborders_fed.transport.ports import require_free
from safeborders_fed.transport.runner import Runner
from safeborders_fed.transport.service_log import log_to_stderr
from safeborders_fed.transport.status import EXECUTOR_FILE, RUN_DIRECTORY, coordinator_summary, write_json
from safeborders_fed.transport.superlink import SuperLinkSettings
from safeborders_fed.transport.supervisor import Supervisor

LOG: Final = logging.getLogger(__name__)
_MOST_BEGINNINGS: Final = 5
_SECONDS_TO_BEGIN: Final = 15.0


@dataclass
class CoordinatorService:
    """The service of a coordinator.

    Args:
        home: The coordinator.
        tell: Told what an operator wants to know at once.
    """

    home: CoordinatorHome
    tell: Callable[[str], None]
    _last: str = field(default="", init=False)
    _registered: dict[str, tuple[str, ...]] | None = field(default=None, init=False)
    _warned: date | None = field(default=None, init=False)
    _begun: dict[str, list[float]] = field(default_factory=dict, init=False)
    _certificate: Path | None = field(default=None, init=False)
    _unlogged: str = field(default="", init=False)

    @property
    def directory(self) -> Path:
        """Where the service keeps what it needs while it runs."""
        return self.home.path / RUN_DIRECTORY

    def run(self) -> int:
        """Runs until it is told to stop; the exit code.

        Raises:
            ConfigurationError: there is no address or certificate, another service runs here, or a port is
                taken.
        """
        self._certificate = SuperLinkSettings.of(self.home).certificate
        children = {"superlink": self._superlink, "gate": self._gate, "executor": self._execute}
        code = Supervisor(self.directory, children, self._watch, self._prepare).run()
        self.tell("stopped")
        return code

    def _prepare(self) -> None:
        """Makes sure of the ports and the secret, and removes what a service before this one said."""
        network = self.home.network
        require_free(network.listen_host, network.listen_port, "listen")
        require_free("127.0.0.1", network.superlink_port, "superlink_port")
        superlink.prepare(SuperLinkSettings.of(self.home))
        (self.directory / EXECUTOR_FILE).unlink(missing_ok=True)

    def _watch(self) -> set[str]:
        state = coordinator_summary(self.home)
        if state["text"] != self._last:
            self._last = state["text"]
            self.tell(state["text"])
        return {"superlink"} if self._is_renewed() else set()

    def _is_renewed(self) -> bool:
        """Whether SuperLink shows an old certificate and may start anew, now that nobody is at work.

        It reads its certificate once, and the gate would refuse it after its last day.
        """
        try:
            certificate, _ = pki.server_files(self.home)
        except ConfigurationError:  # half of a change
            return False
        if self._certificate is None:
            self._certificate = certificate
        if certificate == self._certificate or self._is_at_work():
            return False
        self._certificate = certificate
        LOG.info("SuperLink starts anew with the renewed certificate")
        return True

    def _is_at_work(self) -> bool:
        """Whether a study or an exchange of links is under way."""
        held = [files.is_held() for files in studies(self.home)]
        return any(held + [files.is_held() for files in epochs(self.home.path)])

    def _superlink(self) -> None:
        superlink.serve(SuperLinkSettings.of(self.home))

    def _gate(self) -> None:
        log_to_stderr()
        network, settings = self.home.network, SuperLinkSettings.of(self.home)
        gate.serve(
            gate.GateSettings(
                host=network.listen_host,
                port=network.listen_port,
                superlink_port=network.superlink_port,
                ca_certificate=settings.ca_certificate,
                certificate=self.home.path / "pki" / "server.crt",
                key=self.home.path / "pki" / "server.key",
            )
        )

    def _execute(self) -> None:
        log_to_stderr()
        settings = SuperLinkSettings.of(self.home)

        def between() -> None:
            self._log()
            self._register(settings)
            self._take_up(settings)

        Runner(settings, self.home.deadline_seconds, self._work, between).run()

    def _log(self) -> None:
        """Takes up what waits for the audit log. One that cannot be written stops what must be logged."""
        try:
            recording.take_up(self.home)
        except ConfigurationError as error:
            if error.code != self._unlogged:
                LOG.error("the audit log is not written: %s", error)  # noqa: TRY400 - its text says all
            self._unlogged = error.code
        else:
            self._unlogged = ""

    def _register(self, settings: SuperLinkSettings) -> None:
        """Makes SuperLink know the nodes that are enrolled now."""
        keys = self._keys()
        if keys != self._registered:
            control.register(settings, keys)
            self._registered = keys
            LOG.info("nodes that may connect: %s", ", ".join(keys) or "none")
            write_json(self.directory / EXECUTOR_FILE, {"nodes": sorted(keys), "pid": os.getpid()})

    def _keys(self) -> dict[str, tuple[str, ...]]:
        """Node to its transport keys that open the way today, the newest last. Says daily what ends soon."""
        today = datetime.now(UTC).date()
        if today != self._warned:
            self._warned = today
            for entry in warnings(expiries(self.home), today):
                LOG.warning("%s; %s", entry.text, entry.expiry.fix)
        return {node: tuple(reversed(keys)) for node, keys in transport_keys(self.home, today).items()}

    def _take_up(self, settings: SuperLinkSettings) -> None:
        """Begins again with studies that are under way in nobody's hands, each a few times."""
        for files in studies(self.home):
            begun = self._begun.setdefault(files.study, [])
            recent = bool(begun) and time.monotonic() - begun[-1] < _SECONDS_TO_BEGIN
            if recent or len(begun) >= _MOST_BEGINNINGS or not _is_left(files):
                continue
            begun.append(time.monotonic())
            LOG.warning("study %s is under way and nobody is at it: it is taken up again", files.study)
            control.start_run(settings, "conduct", files.study)

    def _work(self, action: str, study: str, federation: Federation) -> None:
        match action:
            case "offer":
                offer(self.home, study, federation)
            case "conduct":
                conduct(self.home, study, federation)
            case "links":
                conduct_links(self.home, study, federation)
            case _:
                raise UsageError("unknown-action", f"no action {action!r} is known", "upgrade the caller")


def _is_left(files: StudyFiles) -> bool:
    """Whether a study is running and no process is at it. One that stopped with an error waits for people.

    So does one whose files are damaged: it must not take the service of all others with it.
    """
    try:
        state = files.state()
    except SafeBordersError:
        return False
    return state.state == "running" and state.error is None and not files.is_held()
