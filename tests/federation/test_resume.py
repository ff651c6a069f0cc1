"""A study whose coordinator is cut off goes on at the exact round, and an end is an end."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from federation_of import EIGHT
from restarting import MASKED, ROUNDS, Carrier, CutOffError, cut_at, make, restart, run, spent
from safeborders_fed.coordinator.history import Answers, End, History
from safeborders_fed.errors import ConfigurationError, PeerError
from safeborders_fed.node.participant import Participant
from safeborders_fed.study.messages import Round, decode


@pytest.fixture
def nodes(tmp_path: Path) -> dict[str, Participant]:
    return {node: make(tmp_path, node) for node in EIGHT}


@pytest.mark.parametrize("delivered", [False, True])
@pytest.mark.parametrize("call", range(ROUNDS + 3))
def test_a_run_cut_off_anywhere_goes_on_and_nothing_is_charged_twice(
    tmp_path: Path, nodes: dict[str, Participant], call: int, *, delivered: bool
) -> None:
    carrier, history = Carrier(nodes), tmp_path / "history"
    setattr(carrier, "after" if delivered else "before", cut_at(call))
    with pytest.raises(CutOffError):
        run(carrier, history)
    first = [data for requests in carrier.calls for data in requests.values()]
    again, watched = Carrier(nodes), []
    outcome = run(again, history, watched)
    assert outcome.attempts == outcome.rounds == ROUNDS
    assert all(spent(node) == pytest.approx(outcome.rho_spent) for node in nodes.values())
    done = max(0, call - 3)
    assert [entry.recorded for entry in watched] == [number < done for number in range(ROUNDS)]
    assert [entry.number for entry in watched] == list(range(1, ROUNDS + 1))
    if call >= 3:  # the attempt that was under way, to the byte, and no gathering
        assert len(again.calls) == ROUNDS - done
        assert set(again.calls[0].values()) == {History(history).request(done)}
        assert not delivered or set(again.calls[0].values()) <= set(first)


def test_a_finished_study_is_read_from_its_history_and_nobody_is_asked(
    tmp_path: Path, nodes: dict[str, Participant]
) -> None:
    outcome = run(Carrier(nodes), tmp_path / "history")
    carrier = Carrier(nodes)
    again = run(carrier, tmp_path / "history")
    assert not carrier.calls
    assert (again.release.arrays["weights"] == outcome.release.arrays["weights"]).all()
    assert (again.heads, again.rho_spent) == (outcome.heads, outcome.rho_spent)
    assert History(tmp_path / "history").end() == End("released")


def test_a_node_that_restarted_meanwhile_is_left_out_by_a_paid_retry(
    tmp_path: Path, nodes: dict[str, Participant]
) -> None:
    carrier, history = Carrier(nodes), tmp_path / "history"
    carrier.before = cut_at(5)
    with pytest.raises(CutOffError):
        run(carrier, history)
    nodes["FI"] = restart(tmp_path, nodes["FI"])
    again = Carrier(nodes)
    outcome = run(again, history)
    assert outcome.attempts == ROUNDS + 1
    assert "FI" in again.calls[0]
    assert "FI" not in again.calls[1]
    assert spent(nodes["BE"]) == pytest.approx(outcome.rho_spent)
    answers = History(history).answers(2)
    assert answers is not None
    assert answers.failures == {"FI": "unavailable"}


def test_what_failed_before_the_cut_stays_failed(tmp_path: Path, nodes: dict[str, Participant]) -> None:
    """FI was silent in the attempt that is settled: it is not asked for it again."""
    carrier, history = Carrier(nodes), tmp_path / "history"
    carrier.silent = {"FI"}

    def silence(call: int) -> None:
        carrier.silent = {"FI"} if call == 5 else set()
        cut_at(6)(call)

    carrier.before = silence
    with pytest.raises(CutOffError):
        run(carrier, history)
    again = Carrier(nodes)
    run(again, history)
    retry = decode(again.calls[0]["BE"])
    assert isinstance(retry, Round)
    assert (retry.round, retry.attempt) == (2, 3)
    assert "FI" not in retry.participants
    assert set(retry.heads) == set(EIGHT) - {"FI"}


def test_a_study_that_could_not_begin_can_be_run_again(tmp_path: Path, nodes: dict[str, Participant]) -> None:
    carrier, history = Carrier(nodes), tmp_path / "history"
    carrier.silent = set(EIGHT[:4])
    with pytest.raises(PeerError) as caught:
        run(carrier, history)
    assert caught.value.code == "too-few-joined"
    assert History(history).end() is None
    carrier.silent = set()
    assert run(carrier, history).rounds == ROUNDS


def test_a_study_that_failed_stays_so(tmp_path: Path, nodes: dict[str, Participant]) -> None:
    carrier, history = Carrier(nodes), tmp_path / "history"

    def silence(call: int) -> None:
        carrier.silent = set(EIGHT[:5]) if call >= 4 else set()

    carrier.before = silence
    with pytest.raises(PeerError) as caught:
        run(carrier, history)
    again = Carrier(nodes)
    with pytest.raises(PeerError) as same:
        run(again, history)
    assert not again.calls
    assert (same.value.code, str(same.value)) == ("too-few-nodes", str(caught.value))


def test_an_end_that_could_not_be_kept_is_found_again(tmp_path: Path, nodes: dict[str, Participant]) -> None:
    carrier, history = Carrier(nodes), tmp_path / "history"
    carrier.before = lambda call: setattr(carrier, "silent", set(EIGHT[:5]) if call >= 4 else set())
    with pytest.raises(PeerError):
        run(carrier, history)
    (history / "end.json").unlink()
    again = Carrier(nodes)
    with pytest.raises(PeerError, match="failed in round 2: 3 nodes are left"):
        run(again, history)
    assert not again.calls


def cut_off(tmp_path: Path, nodes: dict[str, Participant]) -> Path:
    carrier, history = Carrier(nodes), tmp_path / "history"
    carrier.before = cut_at(6)
    with pytest.raises(CutOffError):
        run(carrier, history)
    return history


def damage_request(history: Path) -> None:
    path = history / "0001.request"
    path.write_bytes(path.read_bytes()[:-1])


def damage_broadcast(history: Path) -> None:
    request = decode((history / "0003.request").read_bytes())
    assert isinstance(request, Round)
    shifted = {name: array + 1e-6 for name, array in request.broadcast.items()}
    (history / "0003.request").write_bytes(replace(request, broadcast=shifted).encode())


def damage_vector(history: Path) -> None:
    path = history / "0001.answers"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def lose_answers(history: Path) -> None:
    (history / "0001.answers").unlink()


def lose_request(history: Path) -> None:
    (history / "0001.request").unlink()


def forget_a_node(history: Path) -> None:
    known = History(history).answers(1)
    assert known is not None
    left = {node: data for node, data in known.contributions.items() if node != "FI"}
    History(history).settled(1, Answers(left, {}))


@pytest.mark.parametrize(
    "damage",
    [damage_request, damage_broadcast, damage_vector, lose_answers, lose_request, forget_a_node],
)
def test_a_damaged_history_is_refused_before_anybody_is_asked(
    tmp_path: Path, nodes: dict[str, Participant], damage: Callable[[Path], None]
) -> None:
    history = cut_off(tmp_path, nodes)
    damage(history)
    carrier = Carrier(nodes)
    with pytest.raises(ConfigurationError) as caught:
        run(carrier, history)
    assert caught.value.code == "history-damaged"
    assert not carrier.calls
    assert History(history).end() is None


def test_a_full_disk_at_the_coordinator_sends_nothing_and_can_be_resumed(
    tmp_path: Path, nodes: dict[str, Participant], monkeypatch: pytest.MonkeyPatch
) -> None:
    carrier, history = Carrier(nodes), tmp_path / "history"

    def full(_: History, attempt: int, request: bytes) -> None:
        del attempt, request
        with monkeypatch.context() as patch:
            patch.setattr("safeborders_fed.coordinator.history.write_durably", no_space)
            History(history)._write("x", b"")

    with monkeypatch.context() as patch:
        patch.setattr(History, "asking", full)
        with pytest.raises(ConfigurationError, match="free space"):
            run(carrier, history)
    assert len(carrier.calls) == 3, "nothing but the gathering"
    assert all(spent(node) == 0 for node in nodes.values())
    assert run(carrier, history).rounds == ROUNDS


def no_space(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_study_runs_once_at_a_time(tmp_path: Path, nodes: dict[str, Participant]) -> None:
    carrier, history = Carrier(nodes), tmp_path / "history"

    def resume(call: int) -> None:
        if call == 5:
            with pytest.raises(ConfigurationError) as caught:
                run(Carrier(nodes), history)
            assert caught.value.code == "study-running"

    carrier.before = resume
    assert run(carrier, history).attempts == ROUNDS


@pytest.mark.parametrize("error", [MemoryError, OSError])
def test_a_failure_of_the_machine_does_not_end_the_study(
    tmp_path: Path, nodes: dict[str, Participant], monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def broken(*_: object) -> object:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(type(MASKED.build_analysis()), "advance", broken)
        with pytest.raises(error):
            run(Carrier(nodes), tmp_path / "history")
    assert run(Carrier(nodes), tmp_path / "history").attempts == ROUNDS


def test_a_failure_of_the_analysis_ends_the_study_for_good(
    tmp_path: Path, nodes: dict[str, Participant], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> object:
        raise np.linalg.LinAlgError("a secret number")

    monkeypatch.setattr(type(MASKED.build_analysis()), "advance", broken)
    for _ in range(2):
        with pytest.raises(Exception, match="LinAlgError in its analysis") as caught:
            run(Carrier(nodes), tmp_path / "history")
        assert "secret" not in str(caught.value)
    end = History(tmp_path / "history").end()
    assert end is not None
    assert end.outcome == "study-defect"
