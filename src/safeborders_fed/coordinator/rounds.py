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

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.analyses.base import Analysis, Arrays, Release, Stage
from safeborders_fed.coordinator.federation import Federation, reply_of, wrong_reply
from safeborders_fed.coordinator.gathering import gather
from safeborders_fed.errors import PeerError, RefusedError, SafeBordersError
from safeborders_fed.masking.keys import SignedKey
from safeborders_fed.study.handshake import Head
from safeborders_fed.study.manifest import Manifest
from safeborders_fed.study.messages import Contribution, Round
from safeborders_fed.study.model_file import Model


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


def starting_arrays(manifest: Manifest, model: Model) -> Arrays:
    """The arrays of a published model that a study starts from.

    Raises:
        RefusedError: ``wrong-warm-start``, when it is not the model that the manifest names, or of another
            kind or other columns.
    """
    named = manifest.parameters.get("warm_start")
    same_columns = model.head.parameters["features"] == manifest.parameters.get("features")
    if model.sha256 != named or model.head.kind != manifest.analysis or not same_columns:
        raise RefusedError(
            "wrong-warm-start",
            f"model {model.head.id} is not the one that study {manifest.id!r} names to start from, or has "
            "another kind or other columns",
            "give the file whose SHA-256 the manifest has in `warm_start`",
        )
    return model.arrays


class StudyRun:
    """One run of one study.

    Args:
        manifest: The checked manifest, approved at the nodes.
        federation: Carries the messages.
        keys: Node name to public key (64 hexadecimal digits) of the roster.
        watch: Called after each round.
        warm: The model that the manifest names to start from.

    Raises:
        RefusedError: ``wrong-warm-start``, when it is another one.
    """

    def __init__(
        self,
        manifest: Manifest,
        federation: Federation,
        keys: Mapping[str, str],
        watch: Callable[[RoundDone], None] | None = None,
        warm: Model | None = None,
    ) -> None:
        self._manifest = manifest
        self._warm = None if warm is None else starting_arrays(manifest, warm)
        self._manifest_hash = manifest.hash()
        self._federation = federation
        self._keys = keys
        self._watch = watch
        self._study_keys: dict[str, SignedKey] = {}
        self._heads: dict[str, Head] = {}
        self._attempts = 0
        self._spent = 0.0
        self._participants = manifest.participants

    def run(self) -> Outcome:
        """Runs all rounds.

        Raises:
            PeerError: ``too-few-nodes`` or ``retries-exhausted``.
        """
        manifest = self._manifest
        joined = gather(manifest, self._manifest_hash, self._federation, self._keys)
        self._study_keys = joined.keys
        self._participants = joined.nodes
        self._require_enough(0, joined.failures)
        analysis: Analysis[Any, Any, Any] = manifest.build_analysis()
        state = analysis.start(manifest.setting(self._warm))
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
        return Outcome(analysis.result(state), len(schedule), self._attempts, self._spent, self._heads)

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
                tuple(self._study_keys[node] for node in self._participants if node in self._study_keys),
                {node: self._heads[node] for node in self._participants if node in self._heads},
                broadcast,
            )
            self._attempts += 1
            self._spent += self._manifest.terms(stage.name).rho
            data = request.encode()
            replies = self._federation.ask(dict.fromkeys(self._participants, data))
            answers, failures = self._sort_out(replies, request, stage)
            if not failures:
                total = add_up([answers[node] for node in self._participants])
                self._require_plausible(total, stage)
                return total
            self._participants = tuple(node for node in self._participants if node in answers)

    def _require_plausible(self, total: NDArray[np.int64], stage: Stage) -> None:
        """Masks that did not cancel leave numbers all over 64 bits; honest sums and noise stay far below."""
        count = len(self._participants)
        largest = count * self._manifest.max_victims * stage.bound
        largest += math.ceil(20 * self._manifest.noise(stage.name, count))
        if ((total > largest) | (total < -largest)).any():
            raise PeerError(
                "implausible-sum",
                f"study {self._manifest.id!r} failed: a sum of stage {stage.name} is implausible; not all "
                "nodes were asked the same, or one of them does not follow the protocol",
                "compare what each node was sent; repeat in trust mode local to see each contribution",
            )

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

    def _sort_out(
        self, replies: Mapping[str, bytes], request: Round, stage: Stage
    ) -> tuple[dict[str, NDArray[np.uint64]], dict[str, str]]:
        """Contributions by node, and for each node without one what it did instead."""
        answers: dict[str, NDArray[np.uint64]] = {}
        failures: dict[str, str] = {}
        for node in request.participants:
            try:
                message = reply_of(node, replies)
                if (
                    not isinstance(message, Contribution)
                    or message.node != node
                    or message.key != request.key
                ):
                    raise wrong_reply(node)
                if message.vector.shape != (stage.dimension,):
                    raise wrong_reply(node)
                message.check(self._keys[node])
            except SafeBordersError as error:
                failures[node] = error.code
            else:
                answers[node] = message.vector
                self._heads[node] = message.head
        return answers, failures


def add_up(vectors: Sequence[NDArray[np.uint64]]) -> NDArray[np.int64]:
    """The sum modulo 2^64, read as signed: int64, shape (dimension,)."""
    total = np.zeros_like(vectors[0])
    for vector in vectors:
        total = total + vector
    return total.view(np.int64)
