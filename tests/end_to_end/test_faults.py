"""Nodes that die, stand still or fall silent while a study runs."""

from __future__ import annotations

import re
import time

import books
import pytest
from fault_federation import FaultFederation, pause, power_cut, resume
from fault_table import Table

pytestmark = pytest.mark.slow

TICK = 1.0


def test_a_node_is_killed_in_each_phase_of_a_round(made: FaultFederation, table: Table) -> None:
    study = "killed-nodes"
    seen = made.begin(study, rounds=15, retries=6, tick=TICK)
    nodes = made.nodes
    made.wait_round(study, 2)

    with table.row(
        "SIGKILL of a node: before it has the request; and when it has charged its answer and not sent it",
        "The link of BG is stopped, so that the request waits at the coordinator. IT has the attempt in its "
        "ledger and waits for its tick. Both services are killed in the same round, and started again.",
    ) as row:
        with made.between_rounds(study) as attempt:
            pause(nodes["BG"].pid("link"))
        made.wait_charged(study, attempt, "IT")
        power_cut(nodes["IT"], nodes["BG"])
        answers = made.settled(study, attempt)
        assert answers.failures.keys() == {"BG", "IT"}
        made.wait_back(study, attempt, "BG", "IT")
        assert attempt not in books.charged(made, "BG", study)
        assert attempt in books.charged(made, "IT", study)
        row.outcome = (
            "A retry among the other three; IT's charge stands and its answer counts nowhere; both take part "
            "again a few rounds later."
        )

    with table.row(
        "SIGKILL of a node: while it computes; and between its answer and the next request",
        "The executor of FI stands still over the request. PT has answered. Both services are killed, and "
        "started again.",
    ) as row:
        with made.between_rounds(study) as attempt:
            pause(nodes["FI"].pid("executor"))
        made.wait_charged(study, attempt, "BG", "GR", "IT", "PT")
        time.sleep(2 * TICK)  # the tick, and the way to the coordinator
        power_cut(nodes["PT"], nodes["FI"])
        answers = made.settled(study, attempt)
        assert answers.failures.keys() == {"FI"}
        assert "PT" in answers.contributions
        assert made.settled(study, attempt + 1).failures.keys() == {"PT"}
        made.wait_back(study, attempt, "FI", "PT")
        assert attempt not in books.charged(made, "FI", study)
        row.outcome = (
            "FI fails the round, PT the retry, and the other three give the sum; both take part again a few "
            "rounds later."
        )

    assert made.finish(study).state == "finished"
    books.check(made, study)
    # Nothing of a node that is dead, or a refusal if it was there again before the deadline.
    assert re.search(
        r"3 of 5 states \(missing: BG: (no-reply|unavailable), IT: (no-reply|unavailable)\)",
        seen.read_text(encoding="utf-8"),
    )


def test_a_node_stands_still_or_is_cut_off(made: FaultFederation, table: Table) -> None:
    study = "silent-nodes"
    seen = made.begin(study, rounds=17, retries=6, tick=TICK)
    nodes = made.nodes
    made.wait_round(study, 2)

    with table.row(
        "SIGSTOP of a node for longer than the deadline; network that swallows everything, then heals",
        "All processes of BG stand still; what GR sends and should get goes nowhere. Both for a deadline.",
    ) as row:
        with made.between_rounds(study) as attempt:
            pause(*nodes["BG"].processes())
            made.proxy.swallow()
        answers = made.settled(study, attempt)
        assert answers.failures == {"BG": "no-reply", "GR": "no-reply"}
        resume(*nodes["BG"].processes())
        made.proxy.heal()
        made.wait_back(study, attempt, "BG", "GR")
        assert attempt in books.charged(made, "BG", study)
        row.outcome = (
            "A retry among the other three at the deadline. BG answers late: charged, and counted nowhere. "
            "Both take part again a few rounds later."
        )

    with table.row(
        "Network that is cut, then heals within the deadline",
        "All connections of GR are reset while it computes, and new ones for two seconds.",
    ) as row:
        with made.between_rounds(study) as attempt:
            pass
        made.wait_charged(study, attempt, "GR")
        made.proxy.cut()
        time.sleep(2)
        made.proxy.heal()
        assert made.settled(study, attempt).failures == {}
        assert "the coordinator does not answer" in nodes["GR"].text()
        row.outcome = "GR sends its answer once it gets through; the round needs no retry."

    with table.row(
        "SIGKILL of a node's link", "PT's link is killed when PT has charged its answer and not sent it."
    ) as row:
        with made.between_rounds(study) as attempt:
            pass
        made.wait_charged(study, attempt, "PT")
        nodes["PT"].kill("link")
        assert made.settled(study, attempt).failures == {}
        assert "link ended (by signal 9) and is started again" in nodes["PT"].text()
        row.outcome = "The coordinator asks again; the same bytes are sent. No retry, and no second charge."

    with table.row(
        "SIGKILL of a node's executor",
        "FI's executor is killed when it has charged its answer and not given it to the link.",
    ) as row:
        with made.between_rounds(study) as attempt:
            pass
        made.wait_charged(study, attempt, "FI")
        nodes["FI"].kill("executor")
        assert made.settled(study, attempt).failures == {"FI": "unavailable"}
        assert attempt in books.charged(made, "FI", study)
        made.wait_back(study, attempt, "FI")
        assert "executor ended (by signal 9) and is started again" in nodes["FI"].text()
        row.outcome = (
            "The next executor gets the same request and refuses it: it has not begun the study. A retry at "
            "once, among the other four; FI takes part again a few rounds later."
        )

    assert made.finish(study).state == "finished"
    books.check(made, study)
    text = seen.read_text(encoding="utf-8")
    assert "3 of 5 states (missing: BG: no-reply, GR: no-reply)" in text
    assert "4 of 5 states (missing: FI: unavailable)" in text
