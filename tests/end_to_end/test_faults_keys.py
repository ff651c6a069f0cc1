"""Nodes that should not be there: revoked ones, and copies."""

from __future__ import annotations

import shutil

import pytest

import books
from fault_federation import FaultFederation, power_cut
from fault_table import Table
from loopback import Machine, wait_for

pytestmark = pytest.mark.slow

TICK = 0.5


def test_copied_and_revoked_nodes(made: FaultFederation, table: Table) -> None:
    first, study = "keys-before", "keys"
    nodes = made.nodes
    copied = made.root / "fi-copied"
    nodes["FI"].stop()
    shutil.copytree(nodes["FI"].home, copied, ignore=shutil.ignore_patterns("*.sock"))
    nodes["FI"].start()
    nodes["FI"].wait_ready()
    seen = made.begin(study, rounds=17, retries=5, tick=TICK)
    made.wait_round(study, 2)
    clone = Machine("FI-copied", copied, made.root / "fi-copied.log")

    with table.row(
        "Two nodes with the same key",
        "A copy of FI's directory and keys from before the study is started beside FI, while the study runs.",
    ) as row:
        clone.start()
        try:
            clone.wait_ready()
            made.wait_round(study, made.rounds(study) + 8)
            print(clone.text()[-3000:])
            print(nodes["FI"].text()[-3000:])
        finally:
            clone.stop()
        row.outcome = "..."

    with table.row(
        "A revoked node that comes back", "PT is revoked while the study runs, then killed and started."
    ) as row:
        attempt = books.asked(made, study)
        made.coordinator_command("revoke", "PT", "--reason", "A test", *made.operator())
        wait_for(lambda: "revoked" in nodes["PT"].status()["text"], 30, "a word of the revocation")
        power_cut(nodes["PT"])
        wait_for(lambda: "revoked" in nodes["PT"].status()["text"], 30, "a word of the revocation")
        print(nodes["PT"].status()["text"])
        row.outcome = "..."
    state = made.finish(study)
    print(state, seen.read_text())
    assert state.state == "finished"
    books.check(made, study)
    made.stop()  # a roster without PT is of no use to others
