"""Replies leave at ticks that the manifest sets, whatever the cases are."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation_of import NODES, SMALL, analysis_table, approve, participant, study
from safeborders_fed.coordinator.rounds import StudyRun
from safeborders_fed.node.participant import Participant
from safeborders_fed.study.messages import Reason, Refusal, Round, decode
from safeborders_fed.transport.apps import FlowerFederation, node_app
from safeborders_fed.transport.in_process import InProcessGrid
from safeborders_fed.transport.pacing import delay


@given(st.floats(0, 1000), st.floats(0.01, 100))
def test_a_reply_leaves_a_whole_number_of_ticks_after_its_request(elapsed: float, tick: float) -> None:
    whole = (elapsed + delay(elapsed, tick)) / tick
    assert delay(elapsed, tick) >= 0
    assert whole == pytest.approx(round(whole), abs=1e-6)
    assert round(whole) >= 1
    assert delay(elapsed, tick) <= tick * (1 + 1e-9)


def test_without_ticks_nobody_waits() -> None:
    assert delay(3.7, 0.0) == 0.0


def test_every_answer_to_a_round_carries_the_tick_of_its_study(tmp_path: Path) -> None:
    """Also a refusal after the cases were touched; the handshake, which touches none, leaves at once."""
    manifest = study(tick_seconds=7.5)
    nodes = [participant(tmp_path, node, analysis_table(20, seed)) for seed, node in enumerate(NODES)]
    paced: list[float] = []
    for node in nodes:
        approve(node, manifest)
    apps = {
        number: node_app(node, lambda _, tick: paced.append(tick))
        for number, node in enumerate(nodes, start=2)
    }
    names = {node: [number] for node, number in zip(NODES, apps, strict=True)}
    federation = FlowerFederation(InProcessGrid(apps), names, 10.0)
    StudyRun(manifest, federation, SMALL.roster.keys()).run()
    assert set(paced[: 3 * len(NODES)]) == {0.0}
    assert set(paced[3 * len(NODES) :]) == {7.5}


def test_a_failure_in_the_middle_leaves_at_the_same_tick(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = study(tick_seconds=7.5)
    node: Participant = participant(tmp_path, "BE", analysis_table(20, 1))
    approve(node, manifest)
    monkeypatch.setattr(node._studies[manifest.id].session, "require_begun", lambda: None)

    def broken(_: object) -> object:
        raise ValueError

    monkeypatch.setattr(node._store, "cases", broken)
    request = Round(manifest.id, manifest.hash(), "statistics", 0, 0, NODES, (), {}, {})
    answer = node.answer(request.encode())
    assert decode(answer.data) == Refusal("BE", Reason.UNAVAILABLE)
    assert answer.tick == 7.5
    assert node.answer(b"garbage").tick == 0.0
