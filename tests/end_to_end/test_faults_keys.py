"""Nodes that should not be there: revoked ones, and copies."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import books
import pytest
from fault_federation import FaultFederation, power_cut
from fault_table import Table
from loopback import Machine, wait_for

from safeborders_fed.node.settings import NodeSettings

pytestmark = pytest.mark.slow

TICK = 0.5


def test_copied_and_revoked_nodes(made: FaultFederation, table: Table) -> None:
    study = "keys"
    nodes = made.nodes
    copied = Machine("FI-copied", made.root / "fi-copied", made.root / "fi-copied.log")
    nodes["FI"].stop()
    shutil.copytree(nodes["FI"].home, copied.home, ignore=shutil.ignore_patterns("*.sock"))
    nodes["FI"].start()
    seconds = nodes["FI"].wait_ready()
    assert seconds < 20  # 10 are asked for on a machine that does nothing else
    table.note(
        "None: a node starts while the coordinator is up",
        "From `node start` to ready.",
        f"Ready after {seconds:.1f} s.",
        seconds,
    )
    seen = made.begin(study, rounds=17, retries=5, tick=TICK)
    made.wait_round(study, 1)

    with table.row(
        "Two nodes with the same key",
        "A copy of FI's directory and keys from before the study is started beside FI, first as it is, then "
        "with the number that SuperLink gave to FI, by which it can take FI's place.",
    ) as row:
        copied.start()
        wait_for(lambda: "another machine is connected" in copied.status()["text"], 30, "a word of FI")
        copied.stop()
        shutil.copy(nodes["FI"].home / "run" / "flower-node", copied.home / "run" / "flower-node")
        copied.start()
        copied.wait_ready()
        made.wait_round(study, made.rounds(study) + 4, 90)
        copied.stop()
        assert not charges_of(copied.home, study)
        row.outcome = (
            "The copy is not let in while FI is there. Once it takes FI's place, requests may reach either. "
            "The copy charges nothing; every contribution on record is FI's own, and the study goes on."
        )

    with table.row(
        "A revoked node that comes back",
        "PT is revoked while the study runs; then its service is killed and started.",
    ) as row:
        made.coordinator_command("revoke", "PT", "--reason", "A test", *made.operator())
        wait_for(lambda: "revoked" in nodes["PT"].status()["text"], 30, "a word of the revocation")
        before = books.charged(made, "PT", study)
        power_cut(nodes["PT"])
        wait_for(lambda: "revoked" in nodes["PT"].status()["text"], 30, "a word of the revocation")
        assert made.finish(study).state == "finished"
        assert books.charged(made, "PT", study) == before
        row.outcome = (
            "SuperLink takes none of its requests any more, before and after its start, and PT says why. The "
            "study finishes with the others."
        )

    books.check(made, study)
    assert re.search("missing: .*PT: no-reply", seen.read_text(encoding="utf-8"))
    made.stop()  # a roster without PT is of no use to others


def charges_of(home: Path, study: str) -> dict[int, bytes]:
    """What the ledger in a node's directory has charged for a study."""
    ledger = NodeSettings.load(home).open_ledger()
    try:
        return ledger.answers(study)
    finally:
        ledger.close()
