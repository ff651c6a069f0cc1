"""Deterministic simulation of faults: whole studies over real code, under a schedule that a seed decides.

Messages are lost, doubled, late and out of order; nodes and coordinator die at any durable write and start
again from what is on disk; clocks jump; disks are full; old ledgers are put back. After each schedule the
invariants of ``fault_invariants`` are checked, with the true sums and noise that only a simulation sees.

Guarantees: a seed decides the whole schedule. Keys and noise come from the operating system, as ever, and
decide nothing in it. So a seed that fails fails again, with the same trace.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, Final
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.coordinator.history import RELEASED, History
from safeborders_fed.coordinator.rounds import Outcome, StudyRun
from safeborders_fed.errors import ConfigurationError, PeerError
from safeborders_fed.privacy.bounded_sum import BoundedSum
from safeborders_fed.simulation import fault_invariants as invariants
from safeborders_fed.simulation import fault_shortcuts as shortcuts
from safeborders_fed.simulation.fault_invariants import BrokenInvariantError
from safeborders_fed.simulation.fault_network import SimulatedFederation
from safeborders_fed.simulation.fault_nodes import SimulatedNode
from safeborders_fed.simulation.fault_points import Crash, Points
from safeborders_fed.simulation.fault_study import KINDS, Counting, prepared, with_counting
from safeborders_fed.study.messages import Round, decode
from safeborders_fed.study.transcript import compare_releases, replay

COORDINATOR: Final = "coordinator"
_MOST_FAULTS: Final = 12
_MOST_RUNS: Final = 40
"""More runs of a coordinator than faults and refusals to begin can bring about."""
_TRIES: Final = 4
_RATES: Final = {
    "die": (0.0, 0.02, 0.1),
    "fill": (0.0, 0.005, 0.03),
    "event": (0.0, 0.02, 0.1),
    "restore": (0.0, 0.2, 0.6),
    "message": (0.0, 0.02, 0.1),
}
"""How often each kind of fault is drawn where it could happen; a seed chooses one rate of each."""
_JUMPS: Final = tuple(timedelta(minutes=m) for m in (-2000, -90, -1, 1, 90, 2000, 60 * 24 * 40))
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - thousands of schedules need no disk


@dataclass
class Result:
    """What a schedule came to.

    Attributes:
        seed: What decided it.
        outcome: ``released``, or the code of the error that ended the study.
        runs: How often the coordinator was started.
        attempts: Attempts made.
        returned: How often a node took part again that an attempt before had been without.
        trace: Every fault, in order.
    """

    seed: int
    outcome: str = ""
    runs: int = 0
    attempts: int = 0
    returned: int = 0
    trace: list[str] = field(default_factory=list)


def simulate(seed: int) -> Result:
    """Runs the schedule of a seed.

    Raises:
        BrokenInvariantError: something happened that must not; the message holds seed and trace.
    """
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as directory:
        schedule = _Schedule(seed, Path(directory))
        try:
            schedule.run()
        except Exception as error:
            told = "\n  ".join(schedule.result.trace)
            raise BrokenInvariantError(f"seed {seed}: {error}\n  {told}") from error
        finally:
            for node in schedule.nodes.values():
                node.stop()
        return schedule.result


class _Schedule:
    """One study under the faults of one seed."""

    def __init__(self, seed: int, directory: Path) -> None:
        self.result = Result(seed)
        self._random = random = Random(seed)
        self._study = prepared(*random.choice(KINDS))
        self._faults = random.randrange(_MOST_FAULTS + 1)
        self._rates = {name: random.choice(rates) for name, rates in _RATES.items()}
        self._points = Points(random, self._dies, self._is_full)
        self._full: set[str] = set()
        self.nodes = {
            name: SimulatedNode(name, self._study, directory, self._points)
            for name in self._study.manifest.participants
        }
        self._history = directory / "history"
        self._taken: list[list[NDArray[np.int64]]] = []
        self._federation = SimulatedFederation(
            self.nodes,
            random,
            rate=self._rates["message"],
            fault=self._fault,
            between=self._between,
            delivered=self._delivered,
        )

    def run(self) -> None:
        """Runs the study to its end, and checks everything."""
        with with_counting(), shortcuts.taken(), self._points.installed(), self._watched():
            for node in self.nodes.values():
                node.start()
            outcome = self._conduct()
            self._recover()
            history = History(self._history)
            self.result.outcome = RELEASED if isinstance(outcome, Outcome) else outcome
            self._count(history)
            invariants.check_end(history, self.result.outcome)
            invariants.check_sums(self._study.manifest, history, self.nodes, self._taken)
            invariants.check_ledgers(self._study.manifest, history, self.nodes)
            if isinstance(outcome, Outcome):
                self._check_release(outcome, history)

    def _conduct(self) -> Outcome | str:
        """Starts the coordinator as often as it takes; the outcome, or the code of the error."""
        tries = 0
        for run in range(_MOST_RUNS):
            self.result.runs = run + 1
            self._taken.append([])
            try:
                with self._points.acting(COORDINATOR):
                    keys = self._study.ceremony.roster.keys()
                    history = History(self._history)
                    return StudyRun(self._study.manifest, self._federation, keys, history=history).run()
            except Crash:
                continue
            except ConfigurationError as error:
                if error.code != "history-unwritable":
                    raise
                self._full.discard(COORDINATOR)  # the operator frees space, and resumes
            except PeerError as error:
                tries += error.code == "too-few-joined"
                if error.code != "too-few-joined" or tries == _TRIES:
                    return error.code
        raise BrokenInvariantError(f"the study did not end within {_MOST_RUNS} runs")

    def _count(self, history: History) -> None:
        requests = [decode(history.request(attempt)) for attempt in range(history.attempts())]
        parties = [set(request.participants) for request in requests if isinstance(request, Round)]
        self.result.attempts = len(parties)
        self.result.returned = sum(len(after - before) for before, after in pairwise(parties))

    def _recover(self) -> None:
        """Nothing fails any more: whoever is down starts."""
        self._faults = 0
        self._full.clear()
        for node in self.nodes.values():
            node.stop()
            node.start()

    def _check_release(self, outcome: Outcome, history: History) -> None:
        """Another run asks nobody and releases the same; so does whoever replays the record."""
        manifest, keys = self._study.manifest, self._study.ceremony.roster.keys()
        again = StudyRun(manifest, _Nobody(), keys, history=history).run()
        replayed = replay(manifest, history.transcript(manifest), keys)
        for release in (again.release, replayed):
            if compare_releases(outcome.release, release):
                raise BrokenInvariantError("the release is not the same when it is recomputed")

    def _fault(self, what: str) -> bool:
        """Whether there are faults left for this one; if so it happens."""
        if not self._faults:
            return False
        self._faults -= 1
        self.result.trace.append(what)
        return True

    def _chance(self, name: str) -> bool:
        return self._random.random() < self._rates[name]

    def _dies(self, actor: str, point: str) -> bool:
        return self._chance("die") and self._fault(f"{actor} dies {point}")

    def _is_full(self, actor: str) -> bool:
        if actor not in self._full and self._chance("fill") and self._fault(f"the disk of {actor} is full"):
            self._full.add(actor)
        return actor in self._full

    def _between(self) -> None:
        """Between two deliveries: those that are down may start, people may act, and things may go wrong."""
        for node in self.nodes.values():
            if not node.is_up and self._random.random() < 0.3:
                self._start(node)
            elif node.forgotten and not node.settled and self._random.random() < 0.2 and node.settle():
                self.result.trace.append(f"two people settle the ledger of {node.name}")
        for actor in sorted(self._full):
            if self._random.random() < 0.2:
                self._full.discard(actor)
        if self._chance("event"):
            self._event(self.nodes[self._random.choice(sorted(self.nodes))])

    def _start(self, node: SimulatedNode) -> None:
        if self._chance("restore") and self._fault(f"an old ledger of {node.name} is put back"):
            lost = node.put_back(self._random.random())
            self.result.trace.append(f"... which lost {'charges' if lost else 'nothing'}")
        node.copy_ledger()
        if node.start():
            self.result.trace.append(f"{node.name} starts")

    def _event(self, node: SimulatedNode) -> None:
        match self._random.randrange(3):
            case 0 if node.is_up and self._fault(f"{node.name} is killed"):
                node.stop()
            case 1 if self._fault(f"the clock of {node.name} jumps"):
                node.skew += self._random.choice(_JUMPS)
            case 2 if self._fault("the coordinator is killed"):
                raise Crash

    def _delivered(self, node: SimulatedNode, request: bytes, data: bytes) -> None:
        sent = node.left(request, data)
        if sent is not None:
            others = [other for other in self.nodes.values() if other is not node]
            invariants.check_leaving(node, others, sent)
            node.record(sent)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Sums are seen where they are made and where they are taken."""
        contribute, advance = Counting.contribute, Counting.advance

        def contributing(analysis: Counting, *parts: Any) -> BoundedSum:
            found = contribute(analysis, *parts)
            self.nodes[self._points.actor].added_up(found.values)
            return found

        def advancing(analysis: Counting, state: Any, total: NDArray[np.int64], noise: float) -> Any:
            if self._points.actor == COORDINATOR:
                self._taken[-1].append(total)
            return advance(analysis, state, total, noise)

        patched: Callable[..., Any] = mock.patch.object
        with patched(Counting, "contribute", contributing), patched(Counting, "advance", advancing):
            yield


class _Nobody:
    """A federation that must not be needed."""

    def online(self) -> frozenset[str]:
        """Nobody."""
        return frozenset()

    def ask(self, requests: Any, optional: Any = None) -> dict[str, bytes]:
        """Refuses."""
        del requests, optional
        raise BrokenInvariantError("a finished study asked a node again")
