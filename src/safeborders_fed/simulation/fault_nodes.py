"""A node of a simulated schedule: real code on a directory, in a process that can die and start again.

It also sees what nobody sees in the product: the true sums and the noise of each attempt, for the invariants.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.audit.chain import Operation
from safeborders_fed.audit.log import AuditLog
from safeborders_fed.errors import ConfigurationError, SafeBordersError
from safeborders_fed.node.ledger import Ledger
from safeborders_fed.node.participant import Participant
from safeborders_fed.privacy.noise import discrete_gaussian
from safeborders_fed.simulation.fault_points import Crash, Points
from safeborders_fed.simulation.fault_study import Prepared, audit_file, ledger_file
from safeborders_fed.study import canonical
from safeborders_fed.study.handshake import Joined
from safeborders_fed.study.messages import Contribution, Round, decode

_LEFT_BY_SQLITE: Final = ("-wal", "-shm")
_FULL: Final = frozenset({"ledger-unwritable", "audit-log-unwritable"})


@dataclass(frozen=True)
class Sent:
    """A contribution that left a node.

    Attributes:
        request: The bytes that it answers.
        data: Its bytes.
        truth: The true sum and the noise in it, added up: int64, shape (dimension,).
        lost: Whether the ledger that had charged it was put back to an older copy since.
    """

    request: bytes
    data: bytes
    truth: NDArray[np.int64]
    lost: bool = False


@dataclass
class SimulatedNode:
    """One node.

    Attributes:
        name: Its name.
        prepared: The study.
        directory: Where its files are.
        points: Its durable writes.
        skew: How far its clock is off.
        sent: Attempt to what left the node for it.
        forgotten: Ledger heads that it stated and that an older copy, put back since, does not hold.
        settled: Whether people have settled a dispute since.
    """

    name: str
    prepared: Prepared
    directory: Path
    points: Points
    skew: timedelta = timedelta(0)
    sent: dict[int, Sent] = field(default_factory=dict)
    forgotten: set[str] = field(default_factory=set)
    settled: bool = False
    ledger: Ledger | None = None
    _participant: Participant | None = None
    _log: AuditLog | None = None
    _approved: bool = False
    _drawn: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    _attempt: int = -1
    _sum: NDArray[np.int64] | None = None
    _copies: list[bytes] = field(default_factory=list)
    _stated: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ledger, log = self.prepared.files[self.name]
        ledger_file(self.directory, self.name).write_bytes(ledger)
        audit_file(self.directory, self.name).write_bytes(log)
        self._copies.append(ledger)
        self.points.is_durable(audit_file(self.directory, self.name))

    @property
    def is_up(self) -> bool:
        """Whether its process runs."""
        return self._participant is not None

    def _clock(self) -> datetime:
        return self.prepared.epoch + self.skew

    def _noise(self, scale: float, size: int) -> NDArray[np.int64]:
        noise = discrete_gaussian(scale, size)
        if self._sum is not None:
            self._drawn[self._attempt] = self._sum + noise
        return noise

    def added_up(self, values: NDArray[np.int64]) -> None:
        """Takes note of the true sum of the attempt that is being answered."""
        self._sum = values

    def start(self) -> bool:
        """Starts its process; whether it came up."""
        parts: dict[str, Any] = {"clock": self._clock, "noise": self._noise}
        try:
            with self.points.acting(self.name):
                self._participant, self.ledger, self._log = self.prepared.open(
                    self.name, self.directory, parts
                )
        except Crash:
            return False
        except ConfigurationError as error:
            if error.code not in _FULL:
                raise
            return False
        self._approved = False
        return self.take_on()

    def take_on(self) -> bool:
        """Takes the study on unless it has; whether the process still runs."""
        if self._participant is None or self._approved:
            return self.is_up
        try:
            with self.points.acting(self.name):
                self._participant.approve(self.prepared.manifest, self.prepared.approvals[self.name])
            self._approved = True
        except SafeBordersError:
            pass  # its clock is off, its disk full, or its ledger disputed: it says so when it is asked
        except Crash:
            self.stop()
        return self.is_up

    def stop(self) -> None:
        """Its process is gone, with all that was in memory."""
        if self._log is not None:
            self._log.close()
        if self.ledger is not None:
            self.ledger.close()
        self._participant, self.ledger, self._log = None, None, None

    def answer(self, data: bytes) -> bytes | None:
        """Its answer to a request; None when it died over it, or is not there."""
        if self._participant is None or not self.take_on():
            return None
        request = decode(data)
        self._attempt = request.attempt if isinstance(request, Round) else -1
        self._sum = None
        try:
            with self.points.acting(self.name):
                reply = self._participant.answer(data).data
        except Crash:
            self.stop()
            return None
        return reply

    def left(self, request: bytes, data: bytes) -> Sent | None:
        """What an answer that leaves the node has in it, if it is a contribution."""
        message = decode(data)
        if isinstance(message, Contribution | Joined):
            self._stated[message.head.value] = message.head.entries
        if not isinstance(message, Contribution):
            return None
        return Sent(request, data, self._drawn.get(message.attempt, np.zeros_like(message.vector, np.int64)))

    def record(self, sent: Sent) -> None:
        """Takes note of what has left; the first time decides what was in it."""
        request = decode(sent.request)
        if isinstance(request, Round):
            self.sent.setdefault(request.attempt, sent)

    def copy_ledger(self) -> None:
        """Keeps a copy of the ledger of now, as a backup would; only while the process is down."""
        self._copies.append(ledger_file(self.directory, self.name).read_bytes())

    def put_back(self, age: float) -> bool:
        """Puts an older copy of the ledger back, while the process is down; whether that lost anything."""
        path = ledger_file(self.directory, self.name)
        for suffix in _LEFT_BY_SQLITE:
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        path.write_bytes(self._copies[int(age**2 * len(self._copies))])
        ledger = Ledger(path, self.prepared.caps, self._clock)
        changed = False
        for attempt, sent in self.sent.items():
            request = decode(sent.request)
            key = (self.prepared.manifest.id, request.round if isinstance(request, Round) else 0, attempt)
            if not sent.lost and not holds(ledger, key, sent):
                self.sent[attempt] = Sent(sent.request, sent.data, sent.truth, lost=True)
                changed = True
        entries = ledger.head().entries
        ledger.close()
        self.forgotten |= {value for value, number in self._stated.items() if number > entries}
        self.settled = False
        return changed

    def settle(self) -> bool:
        """Two people settle a dispute, if there is one, and charge what was lost."""
        if self.ledger is None or self._log is None or not self.ledger.witnesses.disputes():
            return False
        manifest = self.prepared.manifest
        lost = sum(manifest.terms(_stage(sent)).rho for sent in self.sent.values() if sent.lost)
        try:
            with self.points.acting(self.name):
                self._log.append(Operation.RECONCILE, who="two people", why="the ledger was put back")
                self.ledger.settle(["first", "second"], lost)
        except SafeBordersError:
            return False
        except Crash:
            self.stop()
            return False
        self.settled = True
        return True


def holds(ledger: Ledger, key: tuple[str, int, int], sent: Sent) -> bool:
    """Whether a ledger has charged exactly these bytes for this request."""
    try:
        return ledger.stored(key, canonical.sha256(sent.request)) == sent.data
    except SafeBordersError:
        return False


def _stage(sent: Sent) -> str:
    request = decode(sent.request)
    return request.stage if isinstance(request, Round) else ""
