"""A round on made-up records shows what is wrong with an installation, and leaves nothing behind."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from safeborders_fed.analyses.trends import Trends
from safeborders_fed.errors import DefectError
from safeborders_fed.node.caps import Totals
from safeborders_fed.node.ledger import Ledger
from safeborders_fed.simulation import dry_round as module
from safeborders_fed.simulation.dry_round import DryRound, dry_round, finding
from safeborders_fed.study import checkup


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_it_is_right_and_leaves_nothing_behind(scratch: Path) -> None:
    done = dry_round("RO")
    assert "RO" in done.nodes
    assert len(done.nodes) == 3
    assert done.seconds > 0
    assert list(scratch.iterdir()) == []


def test_a_result_that_is_wrong_is_a_defect(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Trends.advance

    def advance(self: Trends, state: Any, total: Any, noise: float) -> Any:
        return real(self, state, (total * 1.1).astype(np.int64), noise)

    monkeypatch.setattr(Trends, "advance", advance)
    with pytest.raises(DefectError, match="made-up victims"):
        dry_round()
    assert list(scratch.iterdir()) == []


def test_a_charge_that_is_wrong_is_a_defect(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ledger, "totals", lambda *_, **__: Totals(0.0, 0.0))
    with pytest.raises(DefectError, match="charged rho 0"):
        dry_round()
    assert list(scratch.iterdir()) == []


def test_a_defect_in_a_node_is_a_line(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> Any:
        raise RuntimeError

    monkeypatch.setattr("safeborders_fed.node.participant.canonical.sha256", broken)
    (line,) = checkup.run("dry-round", finding)
    assert line.level == "failed"
    assert list(scratch.iterdir()) == []


def test_a_slow_machine_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "dry_round", lambda _: DryRound(("BE", "BG", "FI"), module.SLOW_SECONDS + 1))
    assert finding()[0].level == "warning"


def test_without_room_for_it_there_is_a_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    (line,) = checkup.run("dry-round", finding)
    assert (line.level, line.who) == ("failed", 4)
