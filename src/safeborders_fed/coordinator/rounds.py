"""The round loop: asks all nodes the same question until the study ends, one way or the other.

Guarantees:

- Only answers to the attempt that is under way count, each node's once, and only of participants.
- A sum is taken over exactly the participants that the attempt named, or not at all. If some fail, a new
  attempt asks those that answered, if they are enough; every attempt is paid for, and a study ends when its
  retries are used up.
- A study ends as a ``Release`` or as an error that names what happened; it never hangs and never publishes
  a sum of fewer than ``minimum_participants``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.analyses.base import Analysis, Release, Stage
from safeborders_fed.errors import PeerError, SafeBordersError
from safeborders_fed.study.manifest import Manifest
from safeborders_fed.study.messages import Contribution, Reason, Refusal, Round, decode


class Federation(Protocol):
    """Whatever carries messages to nodes and back."""

    def ask(self, requests: Mapping[str, bytes]) -> dict[str, bytes]:
        """Sends each node its request and returns the replies that came before the deadline."""
        ...


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
    """

    number: int
    rounds: int
    attempts: int
    participants: tuple[str, ...]
    rho_spent: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished study: what it publishes and what it cost."""

    release: Release
    rounds: int
    attempts: int
    rho_spent: float


class StudyRun:
    """One run of one study.

    Args:
        manifest: The checked manifest, approved at the nodes.
        federation: Carries the messages.
        watch: Called after each round.
    """

    def __init__(
        self, manifest: Manifest, federation: Federation, watch: Callable[[RoundDone], None] | None = None
    ) -> None:
        self._manifest = manifest
        self._manifest_hash = manifest.hash()
        self._federation = federation
        self._watch = watch
        self._attempts = 0
        self._spent = 0.0
        self._participants = manifest.participants

    def run(self) -> Outcome:
        """Runs all rounds.

        Raises:
            PeerError: ``too-few-nodes`` or ``retries-exhausted``.
        """
        manifest = self._manifest
        analysis: Analysis[Any, Any, Any] = manifest.build_analysis()
        state = analysis.start(manifest.setting())
        schedule = [stage for stage in analysis.stages() for _ in range(stage.rounds)]
        for number, stage in enumerate(schedule):
            began = time.monotonic()
            total = self._private_sum(stage, number, analysis.broadcast(state))
            state = analysis.advance(state, total, self._manifest.noise(stage.name, len(self._participants)))
            if self._watch is not None:
                took = time.monotonic() - began
                self._watch(
                    RoundDone(
                        number + 1, len(schedule), self._attempts, self._participants, self._spent, took
                    )
                )
        return Outcome(analysis.result(state), len(schedule), self._attempts, self._spent)

    def _private_sum(
        self, stage: Stage, number: int, broadcast: dict[str, NDArray[np.float64]]
    ) -> NDArray[np.int64]:
        """The private sum of one round, shape (dimension,), over exactly ``self._participants``."""
        failures: dict[str, str] = {}
        while True:
            self._require_enough(number, failures)
            request = Round(
                self._manifest.id,
                self._manifest_hash,
                stage.name,
                number,
                self._attempts,
                self._participants,
                broadcast,
            )
            self._attempts += 1
            self._spent += self._manifest.terms(stage.name).rho
            data = request.encode()
            replies = self._federation.ask(dict.fromkeys(self._participants, data))
            answers, failures = _sort_out(replies, request, stage)
            if not failures:
                return add_up([answers[node] for node in self._participants])
            self._participants = tuple(node for node in self._participants if node in answers)

    def _require_enough(self, number: int, failures: dict[str, str]) -> None:
        told = "; ".join(f"{node}: {what}" for node, what in sorted(failures.items()))
        if len(self._participants) < self._manifest.minimum_participants:
            raise PeerError(
                "too-few-nodes",
                f"study {self._manifest.id!r} failed in round {number + 1}: {len(self._participants)} nodes "
                f"are left, {self._manifest.minimum_participants} are needed ({told})",
                "find out at those nodes why they did not answer, then draft a new study",
            )
        if self._attempts - number > self._manifest.retries:
            raise PeerError(
                "retries-exhausted",
                f"study {self._manifest.id!r} failed in round {number + 1}: its {self._manifest.retries} "
                f"retries are used up ({told})",
                "find out at those nodes why they did not answer, then draft a new study",
            )


def add_up(vectors: Sequence[NDArray[np.uint64]]) -> NDArray[np.int64]:
    """The sum modulo 2^64, read as signed: int64, shape (dimension,)."""
    total = np.zeros_like(vectors[0])
    for vector in vectors:
        total = total + vector
    return total.view(np.int64)


def _sort_out(
    replies: Mapping[str, bytes], request: Round, stage: Stage
) -> tuple[dict[str, NDArray[np.uint64]], dict[str, str]]:
    """Contributions by node, and for each node without one what it did instead."""
    answers: dict[str, NDArray[np.uint64]] = {}
    failures: dict[str, str] = {}
    for node in request.participants:
        try:
            answers[node] = _contribution(node, replies, request, stage)
        except SafeBordersError as error:
            failures[node] = error.code
    return answers, failures


def _contribution(
    node: str, replies: Mapping[str, bytes], request: Round, stage: Stage
) -> NDArray[np.uint64]:
    if node not in replies:
        raise PeerError("no-reply", f"{node} did not reply in time", "look at the node")
    message = decode(replies[node])
    match message:
        case Refusal(node=sender, reason=reason) if sender == node:
            raise PeerError(Reason(reason).value, f"{node} refused: {reason}", "ask the node's team")
        case Contribution() if (
            message.node == node and message.key == request.key and message.vector.shape == (stage.dimension,)
        ):
            return message.vector
    raise PeerError("wrong-reply", f"{node} answered something else", "look at the node")
