"""The round loop: asks all nodes the same question until the study ends, one way or the other.

Guarantees:

- Only answers to the attempt that is under way count, each node's once, and only of participants.
- A sum is taken over exactly the participants that the attempt named, or not at all. If some fail, a new
  attempt asks those that answered, if they are enough; every attempt is paid for, and a study ends when its
  retries are used up.
- A study ends as a ``Release`` or as an error that names what happened; it never hangs and never publishes
  a sum of fewer than ``minimum_participants``.
- A node that was missing or has restarted takes part from a later round on (``coordinator.rejoining``), never
  in another attempt at the same one, and no round waits for it.
- With a history, a run that was cut off goes on at the exact round: what is on record is replayed, the
  attempt that was under way is asked again with the very same bytes, which nodes answer again for free, and
  an end is an end. Everything that is sent is on record before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.analyses.base import Analysis, Arrays, Release, Stage
from safeborders_fed.coordinator.endings import defect, retries_exhausted, too_few_joined, too_few_nodes
from safeborders_fed.coordinator.federation import Federation, reply_of
from safeborders_fed.coordinator.gathering import gather
from safeborders_fed.coordinator.history import RELEASED, Answers, End, History, damaged
from safeborders_fed.coordinator.rejoining import Rejoining
from safeborders_fed.errors import PeerError, SafeBordersError
from safeborders_fed.masking.keys import SignedKey
from safeborders_fed.study.anchors import Keep
from safeborders_fed.study.handshake import Head
from safeborders_fed.study.manifest import Manifest
from safeborders_fed.study.messages import Contribution, Round, decode
from safeborders_fed.study.model_file import Model
from safeborders_fed.study.sums import (
    add_up,
    check_contribution,
    implausible,
    is_plausible,
    same_arrays,
    stages_by_round,
    starting_arrays,
)


@dataclass(frozen=True, slots=True)
class RoundDone:
    """What one round was, for whoever watches.

    Attributes:
        number: Counts from 1 over all stages.
        rounds: How many the study has.
        attempts: Attempts made in the study so far.
        participants: Nodes whose contributions were added up.
        rho_spent: Cost of all attempts so far.
        seconds: Duration of the round, all its attempts together.
        recorded: Whether an earlier run did all of it, and this one read it from the history.
    """

    number: int
    rounds: int
    attempts: int
    participants: tuple[str, ...]
    rho_spent: float
    seconds: float
    recorded: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished study.

    Attributes:
        release: What it publishes.
        rounds: Rounds run.
        attempts: Attempts made, retries included.
        rho_spent: What it cost.
        heads: Each node's ledger head as its last contribution stated it, for the coordinator to keep.
    """

    release: Release
    rounds: int
    attempts: int
    rho_spent: float
    heads: dict[str, Head]


class StudyRun:
    """One run of one study.

    Args:
        manifest: The checked manifest, approved at the nodes.
        federation: Carries the messages.
        keys: Node name to public key (64 hexadecimal digits) of the roster.
        watch: Called after each round.
        warm: The model that the manifest names to start from.
        history: Where the run is recorded, and where it goes on after a crash. Without one, a run that is
            cut off is lost.
        keep: Keeps what nodes sign when they join: anchors of their audit logs (``coordinator.anchors``).

    Raises:
        RefusedError: ``wrong-warm-start``, when it is another one.
    """

    def __init__(
        self,
        manifest: Manifest,
        federation: Federation,
        keys: Mapping[str, str],
        watch: Callable[[RoundDone], None] | None = None,
        *,
        warm: Model | None = None,
        history: History | None = None,
        keep: Keep | None = None,
    ) -> None:
        self._keep = keep
        self._manifest = manifest
        self._warm = None if warm is None else starting_arrays(manifest, warm)
        self._manifest_hash = manifest.hash()
        self._federation = federation
        self._keys = keys
        self._watch = watch
        self._history = history
        self._recorded = 0
        self._asked = False
        self._study_keys: dict[str, SignedKey] = {}
        self._heads: dict[str, Head] = {}
        self._shown: dict[str, Head] = {}
        self._attempts = 0
        self._spent = 0.0
        self._participants = manifest.participants
        self._rejoining = Rejoining(manifest, self._manifest_hash, keys, keep)
        self._left = 0

    def run(self) -> Outcome:
        """Runs all rounds that are not on record yet.

        Raises:
            PeerError: ``too-few-nodes``, ``retries-exhausted`` or ``implausible-sum``: the study has ended,
                perhaps in an earlier run. ``too-few-joined``: it has not begun, and can be run again.
            ConfigurationError: ``study-running``, ``history-unwritable`` or ``history-damaged``: once that is
                mended, the study can be resumed.
        """
        if self._history is None:
            return self._run()
        with self._history.running():
            end = self._history.end()
            error = None if end is None else end.error()
            if error is not None:
                raise error
            self._recorded = self._history.attempts()
            return self._run()

    def _run(self) -> Outcome:
        if not self._recorded:
            self._gather()
        analysis: Analysis[Any, Any, Any] = self._manifest.build_analysis()
        with self._final():
            state = analysis.start(self._manifest.setting(self._warm))
        schedule = stages_by_round(analysis)
        for number, stage in enumerate(schedule):
            began, self._asked, self._left = time.monotonic(), False, len(schedule) - number - 1
            self._welcome(number)
            with self._final():
                broadcast = analysis.broadcast(state)
            total = self._private_sum(stage, number, broadcast)
            with self._final():
                state = analysis.advance(
                    state, total, self._manifest.noise(stage.name, len(self._participants))
                )
            self._tell(number + 1, len(schedule), time.monotonic() - began)
            if self._left:
                self._rejoining.witness(self._federation, self._participants)
        with self._final():
            release = analysis.result(state)
        self._end(End(RELEASED))
        return Outcome(release, len(schedule), self._attempts, self._spent, self._heads)

    def _gather(self) -> None:
        joined = gather(self._manifest, self._manifest_hash, self._federation, self._keys)
        self._study_keys = joined.keys
        self._participants = joined.nodes
        if self._keep is not None:
            self._keep(joined.joined)
        if len(joined.nodes) < self._manifest.minimum_participants:
            raise too_few_joined(self._manifest, len(joined.nodes), joined.failures)

    def _welcome(self, number: int) -> None:
        """Takes in those that have come back, unless no retry is left for when they fail again."""
        if self._attempts - number >= self._manifest.retries:
            return
        for node, key in self._rejoining.arrived().items():
            self._participants = tuple(sorted({*self._participants, node}))
            self._shown.pop(node, None)  # what it last stated was witnessed when it joined
            if key is not None:
                self._study_keys[node] = key

    def _tell(self, number: int, rounds: int, seconds: float) -> None:
        if self._watch is not None:
            spent, recorded = self._spent, not self._asked
            self._watch(
                RoundDone(number, rounds, self._attempts, self._participants, spent, seconds, recorded)
            )

    def _private_sum(self, stage: Stage, number: int, broadcast: Arrays) -> NDArray[np.int64]:
        """The private sum of one round, shape (dimension,), over exactly ``self._participants``."""
        failures: Mapping[str, str] = {}
        while True:
            self._require_enough(number, failures)
            new = self._attempts >= self._recorded
            request, data = (self._compose if new else self._recall)(stage, number, broadcast)
            vectors, failures = self._answers(request, data, stage, new=new)
            self._attempts += 1
            self._spent += self._manifest.terms(stage.name).rho
            self._participants = tuple(vectors)
            self._rejoining.failed(failures)
            if not failures:
                total = add_up(list(vectors.values()))
                with self._final():
                    if not is_plausible(self._manifest, stage, total, len(vectors)):
                        raise implausible(self._manifest, stage)
                return total

    def _compose(self, stage: Stage, number: int, broadcast: Arrays) -> tuple[Round, bytes]:
        """The request of a new attempt; it is on record."""
        request = Round(
            self._manifest.id,
            self._manifest_hash,
            stage.name,
            number,
            self._attempts,
            self._participants,
            tuple(self._study_keys[node] for node in self._participants if node in self._study_keys),
            {node: self._shown[node] for node in self._participants if node in self._shown},
            broadcast,
        )
        data = request.encode()
        if self._history is not None:
            self._history.asking(self._attempts, data)
        return request, data

    def _recall(self, stage: Stage, number: int, broadcast: Arrays) -> tuple[Round, bytes]:
        """The request of an attempt of an earlier run, to the byte; who takes part follows from it."""
        data = b"" if self._history is None else self._history.request(self._attempts)
        try:
            request = decode(data)
        except PeerError as error:
            raise damaged(f"attempt {self._attempts} cannot be read") from error
        if (
            not isinstance(request, Round)
            or request.key != (self._manifest.id, number, self._attempts)
            or (request.manifest_hash, request.stage) != (self._manifest_hash, stage.name)
            or not same_arrays(request.broadcast, broadcast)
        ):
            raise damaged(
                f"attempt {self._attempts} is not one of this study, or does not follow from others"
            )
        self._participants = request.participants
        self._study_keys = {key.node: key for key in request.keys}
        self._shown = dict(request.heads)
        return request, data

    def _answers(
        self, request: Round, data: bytes, stage: Stage, *, new: bool
    ) -> tuple[dict[str, NDArray[np.uint64]], Mapping[str, str]]:
        """The vectors of those that contributed, in order, and what others did instead; it is on record."""
        known = None if new or self._history is None else self._history.answers(request.attempt)
        replies = self._ask(request, data) if known is None else known.contributions
        found, failures = self._sort_out(request, stage, replies)
        if known is None and self._history is not None:
            answers = Answers({node: replies[node] for node in found}, failures)
            self._history.settled(request.attempt, answers)
        if known is not None:
            if found.keys() != known.contributions.keys() or failures.keys() != known.failures.keys():
                raise damaged(f"the answers to attempt {request.attempt} are not those of its participants")
            failures = dict(known.failures)
        for node, message in found.items():
            self._heads[node] = self._shown[node] = message.head
        return {node: message.vector for node, message in found.items()}, failures

    def _ask(self, request: Round, data: bytes) -> dict[str, bytes]:
        """Asks the participants of an attempt, and beside it those that are on their way back."""
        self._asked = True
        spare = request.attempt - request.round < self._manifest.retries
        left = self._left if spare else 0
        beside = self._rejoining.requests(request.participants, self._federation, left)
        replies = self._federation.ask(dict.fromkeys(request.participants, data), beside)
        self._rejoining.heard(beside, replies, {key.node: key for key in request.keys})
        return replies

    def _sort_out(
        self, request: Round, stage: Stage, replies: Mapping[str, bytes]
    ) -> tuple[dict[str, Contribution], dict[str, str]]:
        """Contributions by node, and for each participant without one what it did instead."""
        found: dict[str, Contribution] = {}
        failures: dict[str, str] = {}
        for node in request.participants:
            try:
                message = reply_of(node, replies)
                found[node] = check_contribution(message, node, request, stage.dimension, self._keys[node])
            except SafeBordersError as error:
                failures[node] = error.code
        return found, failures

    def _require_enough(self, number: int, failures: Mapping[str, str]) -> None:
        """Ends the study when nodes or retries are used up."""
        left = len(self._participants)
        with self._final():
            if left < self._manifest.minimum_participants:
                raise too_few_nodes(self._manifest, number, left, failures)
            if self._attempts - number > self._manifest.retries:
                raise retries_exhausted(self._manifest, number, failures)

    @contextmanager
    def _final(self) -> Iterator[None]:
        """An error within follows from what is on record: it ends the study for good."""
        try:
            yield
        except SafeBordersError as error:
            self._end(End.of(error))
            raise
        except (MemoryError, OSError):
            raise  # of this machine, not of the study: it may be resumed
        except Exception as error:  # it would recur, since it follows from what is on record
            broken = defect(self._manifest, error)
            self._end(End.of(broken))
            raise broken from error

    def _end(self, end: End) -> None:
        if self._history is not None:
            self._history.ended(end)
