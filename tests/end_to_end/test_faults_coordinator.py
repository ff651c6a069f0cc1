"""Parts of the coordinator that die while a study runs."""

from __future__ import annotations

import os
import signal
import time

import books
import pytest
from fault_federation import FaultFederation, power_cut
from fault_table import Table

pytestmark = pytest.mark.slow

TICK = 1.0
DONE = "While an attempt is under way: some nodes have charged it, none has sent its answer."


def test_each_part_of_the_coordinator_is_killed(made: FaultFederation, table: Table) -> None:
    study = "killed-coordinator"
    seen = made.begin(study, rounds=16, retries=6, tick=TICK)
    made.wait_round(study, 2)

    def under_way() -> int:
        with made.between_rounds(study) as attempt:
            pass
        made.wait_charged(study, attempt, "IT")
        return attempt

    def check(attempt: int) -> None:
        assert made.settled(study, attempt).failures == {}
        assert made.state(study).error is None

    for part, what in (
        ("gate", "Nodes try again; the round needs no retry."),
        ("superlink", "It goes on from its database, nodes and round loop try again; no retry is needed."),
    ):
        with table.row(f"SIGKILL of the coordinator's {part}", DONE) as row:
            attempt = under_way()
            made.coordinator.kill(part)
            check(attempt)
            assert f"{part} ended (by signal 9) and is started again" in made.coordinator.text()
            row.outcome = what
    for part in ("executor", "round loop"):
        with table.row(f"SIGKILL of the coordinator's {part}", DONE) as row:
            attempt, began = under_way(), time.monotonic()
            os.kill(made.coordinator.pid(part) if part == "executor" else made.round_loop(), signal.SIGKILL)
            check(attempt)
            row.outcome = (
                "The service takes the study up by itself, at the same attempt, which nodes answer with the "
                f"same bytes: settled {time.monotonic() - began:.0f} s after the kill, without a retry."
            )

    with table.row("SIGKILL of the whole coordinator, and its start", DONE) as row:
        attempt, began = under_way(), time.monotonic()
        power_cut(made.coordinator)
        made.coordinator.wait_ready()
        ready = time.monotonic() - began
        check(attempt)
        # What a node says of its connection may be old; that it has answered shows that it is there.
        answered = time.monotonic() - began
        assert answered < 45  # nodes are to be back after 15 on a machine that does nothing else
        row.outcome = (
            f"Ready {ready:.0f} s after the kill. The study is taken up by itself at the same attempt; by "
            f"{answered:.0f} s after the kill all nodes have connected and answered it, without a retry."
        )

    assert made.finish(study).state == "finished"
    books.check(made, study)
    assert books.asked(made, study) == made.progress(study)[-1]["rounds"], "an attempt was paid for twice"
    text = seen.read_text(encoding="utf-8")  # of one watcher, which follows the study from run to run
    assert f"Study {study} is finished" in text or "start the coordinator, or use `safeborders" in text
    assert f"study {study} is under way and nobody is at it: it is taken up again" in made.coordinator.text()
