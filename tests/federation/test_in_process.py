"""Whole studies over Flower's in-process grid, and what happens when a node misbehaves."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from federation_of import (
    MAX_VICTIMS,
    NODES,
    POLICY,
    SMALL,
    analysis_table,
    approve,
    participant,
    run_study,
    study,
)
from safeborders_fed.analyses.logistic import Logistic
from safeborders_fed.analyses.trends import Trends
from safeborders_fed.coordinator.federation import NOBODY
from safeborders_fed.coordinator.rounds import RoundDone, StudyRun
from safeborders_fed.errors import ConfigurationError, DefectError, PeerError, RefusedError
from safeborders_fed.node import door
from safeborders_fed.node.participant import Participant
from safeborders_fed.privacy.noise import discrete_gaussian
from safeborders_fed.study import handshake
from safeborders_fed.study.manifest import Manifest
from safeborders_fed.study.messages import Contribution, Reason, Refusal, Round, decode


@pytest.fixture
def nodes(tmp_path: Path) -> list[Participant]:
    return [participant(tmp_path, node, analysis_table(120, seed)) for seed, node in enumerate(NODES)]


def test_a_study_runs_to_its_release_and_every_round_is_charged(nodes: list[Participant]) -> None:
    manifest = study()
    for node in nodes:
        approve(node, manifest)
    watched: list[RoundDone] = []
    outcome = run_study(manifest, nodes, watched.append)
    assert outcome.rounds == outcome.attempts == 7  # counts, moments, four gradients, evaluation
    assert [done.number for done in watched] == [1, 2, 3, 4, 5, 6, 7]
    assert outcome.release.arrays["weights"].any()
    spent = sum(stage.rounds * stage.rho for stage in manifest.stages)
    assert outcome.rho_spent == pytest.approx(spent)
    for node in nodes:
        assert node._ledger.totals().spent == pytest.approx(spent)
        node.end(manifest.id)
        assert node._ledger.totals().reserved == 0
        node._ledger.verify()


@pytest.mark.parametrize("trust", ["local", "masked"])
def test_the_sum_is_the_exact_sum_of_inputs_and_noise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trust: str
) -> None:
    """Recorded by a test double only: sums and noise never leave a node in the product."""
    drawn: list[np.ndarray] = []
    inputs: list[np.ndarray] = []
    totals: list[np.ndarray] = []

    def recording(scale: float, size: int) -> np.ndarray:
        drawn.append(discrete_gaussian(scale, size))
        return drawn[-1]

    contribute, advance = Trends.contribute, Trends.advance

    def contributing(self: Trends, *arguments: object) -> object:
        found = contribute(self, *arguments)
        inputs.append(found.values.copy())
        return found

    def advancing(self: Trends, state: object, total: np.ndarray, noise: float) -> object:
        totals.append(total)
        return advance(self, state, total, noise)

    monkeypatch.setattr(Trends, "contribute", contributing)
    monkeypatch.setattr(Trends, "advance", advancing)
    manifest = study(analysis="trends", parameters={"first_year": 2018, "last_year": 2025}, trust=trust)
    nodes = [
        participant(tmp_path, node, analysis_table(120, seed), noise=recording)
        for seed, node in enumerate(NODES)
    ]
    for node in nodes:
        approve(node, manifest)
    run_study(manifest, nodes)
    assert len(drawn) == len(inputs) == len(nodes)
    assert (totals[0] == sum(inputs) + sum(drawn)).all()
    assert all(part.any() for part in drawn)


HEAD = handshake.Head(entries=0, value="0" * 64)


class Spy:
    """Records every byte on its way, and can change it."""

    def __init__(self, nodes: list[Participant]) -> None:
        self.nodes = {node.node: node for node in nodes}
        self.requests: list[bytes] = []
        self.replies: list[tuple[str, bytes]] = []
        self.silent: set[str] = set()
        self.changed: dict[str, bytes] = {}

    def online(self) -> frozenset[str]:
        return frozenset(self.nodes) - self.silent

    def ask(self, requests: Mapping[str, bytes], optional: Mapping[str, bytes] = NOBODY) -> dict[str, bytes]:
        self.requests.extend(requests.values())
        replies = {
            node: self.changed.get(node) or self.nodes[node].answer(data).data
            for node, data in [*requests.items(), *optional.items()]
            if node not in self.silent
        }
        self.replies.extend(replies.items())
        return replies


def test_nothing_but_typed_messages_of_fixed_length_leaves(tmp_path: Path) -> None:
    lengths = []
    for rows in (3, 400):
        directory = tmp_path / str(rows)
        directory.mkdir()
        nodes = [participant(directory, node, analysis_table(rows, seed)) for seed, node in enumerate(NODES)]
        manifest = study()
        for node in nodes:
            approve(node, manifest)
        spy = Spy(nodes)
        StudyRun(manifest, spy, SMALL.roster.keys()).run()
        for node, data in spy.replies:
            message = decode(data)
            assert isinstance(
                message, handshake.Joined | handshake.Testimony | handshake.Begun | Contribution
            )
            assert message.node == node
        assert isinstance(message, Contribution)
        lengths.append([len(data) for _, data in spy.replies])
    assert lengths[0] == lengths[1]


def test_the_same_request_gets_the_same_bytes_and_is_charged_once(nodes: list[Participant]) -> None:
    manifest = study()
    for node in nodes:
        approve(node, manifest)
    spy = Spy(nodes)
    StudyRun(manifest, spy, SMALL.roster.keys()).run()
    before = nodes[0]._ledger.totals().spent
    answer = nodes[0].answer(spy.requests[-1]).data
    assert answer == next(data for node, data in reversed(spy.replies) if node == nodes[0].node)
    assert nodes[0]._ledger.totals().spent == before


def test_the_same_attempt_with_other_weights_is_refused(nodes: list[Participant]) -> None:
    manifest = study()
    for node in nodes:
        approve(node, manifest)
    spy = Spy(nodes)
    StudyRun(manifest, spy, SMALL.roster.keys()).run()
    last = decode(spy.requests[-1])
    assert isinstance(last, Round)
    weights = {name: array + 1 for name, array in last.broadcast.items()}
    changed = Round(
        last.study,
        last.manifest_hash,
        last.stage,
        last.round,
        last.attempt,
        last.participants,
        (),
        last.heads,
        weights,
    )
    assert decode(nodes[0].answer(changed.encode()).data) == Refusal(NODES[0], Reason.REPLAYED)


def request(manifest: Manifest, **changes: object) -> bytes:
    terms: dict[str, object] = {
        "study": manifest.id,
        "manifest_hash": manifest.hash(),
        "stage": "statistics",
        "round": 0,
        "attempt": 0,
        "participants": NODES,
        "keys": (),
        "heads": {},
        "broadcast": {},
    }
    return Round(**{**terms, **changes}).encode()  # type: ignore[arg-type] - tests pass wrong values too


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"manifest_hash": "0" * 64}, Reason.NOT_APPROVED),
        ({"study": "other"}, Reason.NOT_APPROVED),
        ({"stage": "gradient"}, Reason.MALFORMED),
        ({"round": 1}, Reason.MALFORMED),
        ({"participants": ("BG", "FI")}, Reason.MALFORMED),
        ({"participants": ("BE",)}, Reason.MALFORMED),
        ({"participants": ("BE", "BE", "BG")}, Reason.MALFORMED),
        ({"participants": ("BE", "BG", "FI", "PT")}, Reason.MALFORMED),
        ({"broadcast": {"weights": np.zeros(3)}}, Reason.MALFORMED),
        (
            {
                "stage": "gradient",
                "round": 1,
                "broadcast": {"weights": np.full(17, np.nan), "centre": np.zeros(16)},
            },
            Reason.MALFORMED,
        ),
    ],
)
def test_requests_that_the_manifest_does_not_allow_are_refused(
    nodes: list[Participant], changes: dict[str, object], reason: Reason
) -> None:
    manifest = study()
    approve(nodes[0], manifest)
    assert decode(nodes[0].answer(request(manifest, **changes)).data) == Refusal("BE", reason)
    assert nodes[0]._ledger.totals().spent == 0


@pytest.mark.parametrize("data", [b"", b"garbage", Refusal("BE", Reason.BUDGET).encode()])
def test_bytes_that_are_no_request_are_refused(nodes: list[Participant], data: bytes) -> None:
    assert decode(nodes[0].answer(data).data) == Refusal("BE", Reason.MALFORMED)


def test_a_defect_while_answering_lets_no_text_out(
    nodes: list[Participant], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = study()
    approve(nodes[0], manifest)

    def broken(_: object) -> object:
        raise ValueError("the name of a victim")

    monkeypatch.setattr(nodes[0]._store, "cases", broken)
    answer = nodes[0].answer(request(manifest)).data
    assert decode(answer) == Refusal("BE", Reason.UNAVAILABLE)
    assert b"victim" not in answer
    assert nodes[0]._ledger.totals().spent == 0


@pytest.mark.parametrize("half", ["prepare", "contribute"])
@pytest.mark.parametrize("error", [ValueError, OverflowError, MemoryError])
def test_a_failure_on_the_cases_is_charged_and_answered_as_any_attempt(
    nodes: list[Participant], monkeypatch: pytest.MonkeyPatch, half: str, error: type[Exception]
) -> None:
    """A refusal would be an exact answer for free: whether a record is there that makes the sum fail."""
    manifest = study()
    for node in nodes:
        approve(node, manifest)

    def fails(*_: object) -> object:
        raise error("the name of a victim")

    monkeypatch.setattr(Logistic, half, fails)
    outcome = run_study(manifest, nodes)
    assert outcome.rounds == outcome.attempts == 7
    for node in nodes:
        assert node._ledger.totals().spent == pytest.approx(outcome.rho_spent)


def test_a_round_goes_on_without_a_node_that_fell_silent_and_pays_for_the_retry(
    nodes: list[Participant],
) -> None:
    manifest = study()
    for node in nodes:
        approve(node, manifest)
    spy = Spy(nodes)
    silence_after = 6  # three steps of the handshake, three rounds

    class Failing(Spy):
        def ask(
            self, requests: Mapping[str, bytes], optional: Mapping[str, bytes] = NOBODY
        ) -> dict[str, bytes]:
            if len(self.requests) >= silence_after * len(NODES):
                self.silent.add("FI")
            return super().ask(requests, optional)

    spy = Failing(nodes)
    outcome = StudyRun(manifest, spy, SMALL.roster.keys()).run()
    assert outcome.attempts == outcome.rounds + 1
    assert nodes[0]._ledger.totals().spent == pytest.approx(outcome.rho_spent)
    last = decode(spy.requests[-1])
    assert isinstance(last, Round)
    assert last.participants == ("BE", "BG", "GR")


@pytest.mark.parametrize(
    ("silent", "retries", "code"), [({"BG", "FI"}, 2, "too-few-nodes"), ({"FI"}, 0, "retries-exhausted")]
)
def test_a_study_that_cannot_go_on_ends_with_an_error_that_names_the_nodes(
    nodes: list[Participant], silent: set[str], retries: int, code: str
) -> None:
    manifest = study(retries=retries)
    for node in nodes:
        approve(node, manifest)

    class Silent(Spy):
        def ask(
            self, requests: Mapping[str, bytes], optional: Mapping[str, bytes] = NOBODY
        ) -> dict[str, bytes]:
            self.silent = silent if isinstance(decode(next(iter(requests.values()))), Round) else set()
            return super().ask(requests, optional)

    spy = Silent(nodes)
    with pytest.raises(PeerError, match="FI: no-reply") as caught:
        StudyRun(manifest, spy, SMALL.roster.keys()).run()
    assert caught.value.code == code


@pytest.mark.parametrize(
    "reply",
    [
        b"garbage",
        Refusal("BG", Reason.BUDGET).encode(),
        Refusal("FI", Reason.BUDGET).encode(),
        Contribution("study-1", 0, 7, "FI", HEAD, np.zeros(18, dtype=np.uint64)).encode(),
        Contribution("study-1", 0, 0, "BG", HEAD, np.zeros(18, dtype=np.uint64)).encode(),
        Contribution("study-1", 0, 0, "FI", HEAD, np.zeros(5, dtype=np.uint64)).encode(),
        Contribution("study-1", 0, 0, "FI", HEAD, np.zeros(18, dtype=np.uint64)).encode(),
    ],
)
def test_a_wrong_answer_never_gets_into_a_sum(nodes: list[Participant], reply: bytes) -> None:
    manifest = study(retries=0)
    for node in nodes:
        approve(node, manifest)

    class Wrong(Spy):
        def ask(
            self, requests: Mapping[str, bytes], optional: Mapping[str, bytes] = NOBODY
        ) -> dict[str, bytes]:
            if isinstance(decode(next(iter(requests.values()))), Round):
                self.changed = {"FI": reply}
            return super().ask(requests, optional)

    with pytest.raises(PeerError, match="FI: "):
        StudyRun(manifest, Wrong(nodes), SMALL.roster.keys()).run()


@pytest.mark.parametrize(
    ("changes", "policy", "says"),
    [
        ({"participants": ("BG", "FI")}, {}, "not among its participants"),
        ({}, {"analyses": frozenset({"trends"})}, "analysis 'logistic'"),
        ({}, {"columns": frozenset({"sex"})}, "columns age_band, registration_date, trafficking_status"),
        ({}, {"minimum_participants": 4}, "below 4"),
        ({"delta": 1e-5}, {}, "delta"),
        ({"tick_seconds": 0.1}, {}, "ticks of 0.1 s are below 0.25 s"),
        ({"tick_seconds": 0.0}, {"least_tick_seconds": 0.01}, "ticks of 0 s"),
        ({"max_victims": MAX_VICTIMS - 1}, {}, "at most"),
        ({"expires": date(2025, 1, 1)}, {}, "expired"),
        ({"rho": 0.5}, {"epsilon_per_study": 1.0}, "cap per study"),
        ({"rho": 0.5}, {"epsilon_per_year": 1.0}, "cap per year"),
        ({"rho": 0.5}, {"epsilon_lifetime": 1.0}, "cap per lifetime"),
    ],
)
def test_policy_and_budget_say_no(
    tmp_path: Path, changes: dict[str, object], policy: dict[str, object], says: str
) -> None:
    node = participant(tmp_path, "BE", analysis_table(10, 1), policy=POLICY.model_copy(update=policy))
    with pytest.raises(RefusedError, match=says):
        approve(node, study(**changes))
    assert node._ledger.totals().reserved == 0


def test_a_node_without_cases_does_not_take_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = participant(tmp_path, "BE", analysis_table(10, 1))
    monkeypatch.setattr(node._store, "latest_snapshot", lambda: None)
    with pytest.raises(ConfigurationError, match="holds no cases"):
        approve(node, study())


def test_only_the_door_lets_bytes_out() -> None:
    with pytest.raises(DefectError, match="around the door"):
        door.Outgoing(object(), b"case file")
