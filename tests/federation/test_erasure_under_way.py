"""A victim is erased at a node while a study is under way there: it is finished, and replays everywhere.

The cases of the node lose the victim in place, on the snapshot that the study runs on, while its process is
stopped (``node cases erase`` refuses otherwise); it comes back into the study as after any restart.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from federation_of import CEREMONY, EIGHT, analysis_table, participant
from study_life import LOGISTIC, Life

ROUNDS = 6


@pytest.fixture
def life(tmp_path: Path) -> Life:
    return Life.begin(tmp_path)


def test_a_study_during_which_a_victim_is_erased_is_finished_and_replays(life: Life) -> None:
    life.ready(parameters={**LOGISTIC, "rounds": ROUNDS}, retries=2)
    begun = life.calls
    charged: list[float] = []

    def erase(call: int) -> None:
        if call != begun + 5:
            return
        old = life.nodes["FI"]
        charged.append(life.spent("FI"))
        old._ledger.close()
        old._audit_log.close()
        life.nodes["FI"] = participant(
            life.directory / "FI",
            "FI",
            analysis_table(40, EIGHT.index("FI")).slice(1),
            ceremony=CEREMONY,
            studies=life.studies("FI"),
            clock=life.now,
        )

    life.before = erase
    life.conduct()
    assert 0 < charged[0] < life.spent("FI")  # it took part before and after
    assert life.files().state().state == "finished"
    for node in EIGHT:
        assert life.verify(node).rounds == life.verify("BE").rounds > 0
