"""The way to a coordinator's gate, step by step: name, port, TLS, and what the gate shows.

Guarantees: it ends within its deadline; what lies behind a step that failed is skipped and says so.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from safeborders_fed.errors import PeerError, SafeBordersError
from safeborders_fed.study import checkup
from safeborders_fed.study.checkup import Finding, failed, ok
from safeborders_fed.transport import network_findings, probes
from safeborders_fed.transport.probes import Deadline, Endpoint

LINES: Final = ("name", "port", "tls", "gate", "superlink", "clock")
_NOT_THERE: Final = (
    ("GET", "/"),
    ("GET", "/health"),
    ("POST", "/v1/control/list-nodes"),
    ("POST", "/v1/fleet/register-node"),
)
_BEHIND: Final = "/v1/fleet/get-run"
_SECONDS_FOR_A_NAME: Final = 3.0
_SECONDS_FOR_A_PORT: Final = 4.0


@dataclass
class Way:
    """The way to a gate.

    Args:
        host: What its certificate is for.
        dialled: The host to connect to.
        port: Its port.
        authority: PEM of the authority.
        deadline: When to give up.
        clock: This machine's.
        who: Whose gate it is: who must act when it does not answer.
    """

    host: str
    dialled: str
    port: int
    authority: str
    deadline: Deadline
    clock: Callable[[], datetime]
    who: type[SafeBordersError] = PeerError
    shown: probes.Shown | None = field(default=None, init=False)

    def findings(self) -> list[Finding]:
        """A line for each step; the first of them that fails ends the way."""
        found = list(self._steps())
        missing = [name for name in LINES if name not in {finding.name for finding in found}]
        return found + checkup.all_skipped(missing, "the step before it failed")

    def _steps(self) -> Iterator[Finding]:
        try:
            addresses = probes.resolve(
                self.dialled, self.port, Deadline(min(_SECONDS_FOR_A_NAME, self._left()))
            )
        except OSError as error:
            why = "no answer in time" if isinstance(error, TimeoutError) else error.strerror
            yield failed(
                "name",
                f"{self.dialled} has no address: {why}",
                "check the name with the operator, and this machine's name servers",
                self.who,
            )
            return
        yield ok("name", f"{self.dialled} is {', '.join(addresses)}")
        try:
            probes.connect(addresses, self.port, Deadline(min(_SECONDS_FOR_A_PORT, self._left()))).close()
        except OSError as error:
            yield self._unreachable(error)
            return
        yield ok("port", f"{self.dialled}:{self.port} takes connections")
        yield from self._inside(Endpoint(tuple(addresses), self.port, self.host, self.authority))

    def _left(self) -> float:
        return self.deadline.left()

    def _unreachable(self, error: OSError) -> Finding:
        if isinstance(error, TimeoutError):
            why, fix = "no answer in time", "have firewalls on the way let this machine connect there"
        elif isinstance(error, ConnectionRefusedError):
            why, fix = "nothing listens there", "have the operator start the coordinator, or check the port"
        else:
            why, fix = str(error.strerror), "check this machine's routes and firewall"
        return failed("port", f"{self.dialled}:{self.port} cannot be reached: {why}", fix, self.who)

    def _inside(self, endpoint: Endpoint) -> Iterator[Finding]:
        try:
            self.shown = probes.handshake(endpoint, self.deadline)
        except OSError as error:
            yield failed("tls", f"no TLS connection: {_reason(error)}", _FIX_TLS, self.who)
            return
        found = network_findings.certificate("tls", self.shown, self.clock(), self.who)
        yield from found
        if any(finding.level == "failed" for finding in found):
            return
        try:
            answers = {
                path: probes.ask(endpoint, method, path, self.deadline, self.clock)
                for method, path in (*_NOT_THERE, ("POST", _BEHIND))
            }
        except OSError as error:
            yield failed("gate", f"the gate does not answer: {_reason(error)}", _FIX_TLS, self.who)
            return
        behind = answers.pop(_BEHIND)
        statuses = {path: answer.status for path, answer in answers.items()}
        yield network_findings.hidden("gate", statuses, self.who)
        yield network_findings.behind("superlink", behind.status, self.who)
        yield network_findings.clock("clock", answers["/"])


_FIX_TLS: Final = "check address and port with the operator; something in between may end the connection"


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLError):
        return str(error.reason or "not TLS").replace("_", " ").lower()
    return error.strerror or type(error).__name__
