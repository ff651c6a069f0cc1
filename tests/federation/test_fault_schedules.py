"""Thousands of schedules of faults: whatever fails, the invariants hold; and they would notice if not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

from federation_of import ROOT
from safeborders_fed.coordinator import rounds
from safeborders_fed.coordinator.history import History
from safeborders_fed.coordinator.rounds import StudyRun
from safeborders_fed.node import door, participant
from safeborders_fed.node.door import Door
from safeborders_fed.node.ledger import Ledger
from safeborders_fed.node.witnesses import Witnesses
from safeborders_fed.simulation.faults import BrokenInvariantError, Result, simulate
from safeborders_fed.study.messages import Round

QUICK = range(200)
MANY = range(1_000, 11_000)


def check(results: list[Result]) -> None:
    """Schedules that exercise nothing would hold whatever was broken."""
    outcomes = Counter(result.outcome for result in results)
    happened = Counter(line.split(" ", 1)[0] if "dies" in line else "" for r in results for line in r.trace)
    assert outcomes["released"] > len(results) / 2
    assert outcomes["too-few-nodes"]
    assert sum(result.runs > 1 for result in results) > len(results) / 10
    assert happened["coordinator"]
    assert sum(result.returned for result in results) > len(results) / 20
    trace = "\n".join(line for result in results for line in result.trace)
    for fault in (
        "before commit", "after commit", "before a file is synced", "after the directory is synced",
        "is full", "clock of", "put back", "is killed", "is late", "comes twice", "reply of", "is lost",
    ):  # fmt: skip
        assert fault in trace


def test_two_hundred_schedules() -> None:
    check([simulate(seed) for seed in QUICK])


def _chunk(seeds: range) -> list[Result]:
    return [simulate(seed) for seed in seeds]


@pytest.mark.slow
def test_ten_thousand_schedules() -> None:
    """About five minutes on two cores."""
    chunks = [MANY[start : start + 250] for start in range(0, len(MANY), 250)]
    with ProcessPoolExecutor(max_workers=os.cpu_count(), mp_context=get_context("spawn")) as pool:
        results = [result for chunk in pool.map(_chunk, chunks) for result in chunk]
    check(results)
    assert any("settle the ledger" in line for result in results for line in result.trace)


def test_a_seed_decides_the_whole_schedule_in_any_process() -> None:
    """Also where sets of names have another order."""
    seeds = range(3000, 3012)
    program = f"from safeborders_fed.simulation.faults import simulate; print([simulate(s) for s in {seeds}])"
    found = set()
    for order in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": order, "PYTHONPATH": str(ROOT / "src")}
        run = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program], env=environment, capture_output=True, check=True
        )
        found.add(run.stdout)
    assert found == {f"{[simulate(seed) for seed in seeds]}\n".encode()}


Patch = pytest.MonkeyPatch


def spend_after_send(patch: Patch) -> None:
    """The bytes leave, and are charged when the next request comes."""
    contribution, spend = Door.contribution, Ledger.spend
    owed: dict[int, Callable[[], bytes]] = {}

    def sending(self: Door, *parts: Any) -> Any:
        before = owed.pop(id(self), None)
        if before is not None:
            before()

        def later(ledger: Ledger, key: Any, digest: str, payload: bytes, rho: float, **heads: Any) -> bytes:
            owed[id(self)] = lambda: spend(ledger, key, digest, payload, rho, **heads)
            return payload

        with pytest.MonkeyPatch.context() as within:
            within.setattr(Ledger, "spend", later)
            return contribution(self, *parts)

    patch.setattr(Door, "contribution", sending)


def other_bytes_for_the_attempt_under_way(patch: Patch) -> None:
    """A coordinator that resumes composes the request anew instead of reading it."""
    recall = StudyRun._recall

    def composing(self: StudyRun, stage: Any, number: int, broadcast: Any) -> Any:
        request, data = recall(self, stage, number, broadcast)
        assert self._history is not None
        if self._history.answers(request.attempt) is not None:
            return request, data
        changed = {name: array * (1 + 1e-12) for name, array in request.broadcast.items()}
        anew = Round(
            request.study, request.manifest_hash, request.stage, request.round, request.attempt,
            request.participants, request.keys, request.heads, changed,
        )  # fmt: skip
        self._history.asking(request.attempt, anew.encode())
        return anew, anew.encode()

    patch.setattr(StudyRun, "_recall", composing)


def requests_recorded_after_they_are_sent(patch: Patch) -> None:
    asking, settled = History.asking, History.settled
    waiting: dict[int, bytes] = {}
    patch.setattr(History, "asking", lambda _, attempt, data: waiting.update({attempt: data}))

    def both(self: History, attempt: int, answers: Any) -> None:
        if attempt in waiting:
            asking(self, attempt, waiting.pop(attempt))
        settled(self, attempt, answers)

    patch.setattr(History, "settled", both)


def an_answered_attempt_built_again(patch: Patch) -> None:
    """Neither ledger nor session remembers what was answered."""
    stored = Ledger.stored
    patch.setattr(door.Door, "contribution", _forgetful(Door.contribution, stored))


def _forgetful(contribution: Callable[..., Any], stored: Callable[..., Any]) -> Callable[..., Any]:
    def built(self: Door, *parts: Any) -> Any:
        manifest, request, _, _, session = parts
        session._last_masked = -1
        session._stated = request.heads.get(session._identity.node)
        ledger = self._ledger
        if stored(ledger, request.key, parts[2]) is not None:
            with ledger._journal.transaction():
                ledger._db.execute(
                    "DELETE FROM contribution WHERE study = ? AND attempt = ?", (manifest.id, request.attempt)
                )
        return contribution(self, *parts)

    return built


def a_sum_of_those_who_answered(patch: Patch) -> None:
    """No retry: whoever answered is added up, whatever masks are left in the sum."""
    answers = StudyRun._answers

    def lenient(self: StudyRun, *parts: Any, new: bool) -> Any:
        vectors, failures = answers(self, *parts, new=new)
        return vectors, {} if len(vectors) >= self._manifest.minimum_participants else failures

    patch.setattr(StudyRun, "_answers", lenient)
    patch.setattr(rounds, "is_plausible", lambda *_: True)


def a_vector_counted_twice(patch: Patch) -> None:
    add_up = rounds.add_up
    patch.setattr(rounds, "add_up", lambda vectors: add_up([*vectors, *vectors[:1]]))


def audit_entries_lost_in_a_crash(patch: Patch) -> None:
    """The outbox is emptied without looking, as if all that is charged were logged."""
    patch.setattr(participant.Participant, "_record_charges", lambda _: None)


def old_ledgers_welcome(patch: Patch) -> None:
    patch.setattr(Witnesses, "holds", lambda *_: True)


def an_end_that_is_not_recorded(patch: Patch) -> None:
    patch.setattr(StudyRun, "_end", lambda *_: None)


def contributions_under_another_request(patch: Patch) -> None:
    """The ledger keeps the bytes, but not for the request that they answer."""
    spend = Ledger.spend

    def blurred(self: Ledger, key: Any, digest: str, payload: bytes, rho: float, **heads: Any) -> bytes:
        del digest
        spend(self, key, "0" * 64, payload, rho, **heads)
        return payload

    patch.setattr(Ledger, "spend", blurred)


def cheaper_than_the_manifest(patch: Patch) -> None:
    spend = Ledger.spend
    patch.setattr(
        Ledger, "spend", lambda self, key, digest, payload, rho, **heads: spend(
            self, key, digest, payload, rho / 2, **heads
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    "broken",
    [
        spend_after_send,
        other_bytes_for_the_attempt_under_way,
        requests_recorded_after_they_are_sent,
        an_answered_attempt_built_again,
        a_sum_of_those_who_answered,
        a_vector_counted_twice,
        audit_entries_lost_in_a_crash,
        old_ledgers_welcome,
        an_end_that_is_not_recorded,
        contributions_under_another_request,
        cheaper_than_the_manifest,
    ],
)
def test_what_is_broken_on_purpose_is_noticed(broken: Callable[[Patch], None], monkeypatch: Patch) -> None:
    broken(monkeypatch)
    with pytest.raises(BrokenInvariantError, match=r"^seed \d+: "):
        _chunk(QUICK)
