"""Nodes come back into a running study; nobody gains by letting them, or by asking them again."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from federation_of import EIGHT, PUBLIC_KEYS, SIGNING_KEYS
from restarting import MASKED, ROUNDS, Carrier, make, restart, run, spent
from safeborders_fed.coordinator.federation import NOBODY
from safeborders_fed.coordinator.gathering import gather
from safeborders_fed.errors import PeerError
from safeborders_fed.masking.keys import SignedKey
from safeborders_fed.masking.signing import Purpose, sign
from safeborders_fed.node.participant import Participant
from safeborders_fed.study import handshake
from safeborders_fed.study.handshake import Begin, Begun, Head, Join, Joined, Witness
from safeborders_fed.study.messages import Contribution, Reason, Refusal, Round, decode

SEVEN = tuple(node for node in EIGHT if node != "FI")
JOIN = Join(study=MASKED.id, manifest_hash=MASKED.hash()).encode()


@pytest.fixture
def nodes(tmp_path: Path) -> dict[str, Participant]:
    return {node: make(tmp_path, node) for node in EIGHT}


class Recording(Carrier):
    """Keeps who was asked what, and whether anybody waited for them."""

    def __init__(self, nodes: Mapping[str, Participant]) -> None:
        super().__init__(nodes)
        self.rounds: list[Round] = []
        self.beside: list[Mapping[str, bytes]] = []

    def ask(self, requests: Mapping[str, bytes], optional: Mapping[str, bytes] = NOBODY) -> dict[str, bytes]:
        message = decode(next(iter(requests.values())))
        if isinstance(message, Round):
            self.rounds.append(message)
            self.beside.append(optional)
        else:
            assert not optional
        return super().ask(requests, optional)


def test_a_node_that_restarted_takes_part_again_from_a_later_round_and_no_round_waits_for_it(
    tmp_path: Path, nodes: dict[str, Participant]
) -> None:
    carrier = Recording(nodes)
    stopped = 4  # in the second round

    def restart_fi(call: int) -> None:
        if call == stopped:
            carrier.nodes["FI"] = restart(tmp_path, carrier.nodes["FI"])

    carrier.before = restart_fi
    outcome = run(carrier, tmp_path / "history")
    assert outcome.attempts == ROUNDS + 1
    taking_part = [(request.round, "FI" in request.participants) for request in carrier.rounds]
    assert taking_part == [(0, True), (1, True), (1, False), (2, False), (3, True), (4, True), (5, True)]
    asked = [[type(decode(data)) for data in beside.values()] for beside in carrier.beside]
    assert asked == [[], [], [Join], [Begin], [], [], []]
    assert "FI" not in carrier.rounds[4].heads
    assert "FI" in carrier.rounds[5].heads
    rho = {stage.name: stage.rho for stage in MASKED.stages}
    contributed = [carrier.rounds[place].stage for place in (0, 4, 5, 6)]
    assert spent(carrier.nodes["FI"]) == pytest.approx(sum(rho[stage] for stage in contributed))
    assert spent(nodes["BE"]) == pytest.approx(outcome.rho_spent)


def test_a_node_whose_contribution_was_lost_comes_back_in_the_same_process(
    tmp_path: Path, nodes: dict[str, Participant]
) -> None:
    """It has stated a head that the coordinator never saw, and still need not restart."""

    class Losing(Recording):
        def ask(
            self, requests: Mapping[str, bytes], optional: Mapping[str, bytes] = NOBODY
        ) -> dict[str, bytes]:
            replies = super().ask(requests, optional)
            if len(self.rounds) == 2:
                replies.pop("FI", None)
            return replies

    carrier = Losing(nodes)
    outcome = run(carrier, tmp_path / "history")
    assert outcome.attempts == ROUNDS + 1
    assert ["FI" in request.participants for request in carrier.rounds][-3:] == [True] * 3
    assert {len(request.keys) for request in carrier.rounds} == {7, 8}


def test_a_node_that_was_missing_at_the_beginning_takes_part_later(
    tmp_path: Path, nodes: dict[str, Participant]
) -> None:
    carrier = Recording(nodes)
    carrier.before = lambda call: setattr(carrier, "silent", {"FI"} if call < 3 else set())
    outcome = run(carrier, tmp_path / "history")
    assert outcome.attempts == ROUNDS
    assert ["FI" in request.participants for request in carrier.rounds] == [False] * 3 + [True] * 3


def test_nobody_is_asked_to_join_when_no_round_would_be_left(
    tmp_path: Path, nodes: dict[str, Participant]
) -> None:
    carrier = Recording(nodes)
    carrier.before = lambda call: setattr(carrier, "silent", {"FI"} if call == 7 else set())
    run(carrier, tmp_path / "history")
    assert not any(carrier.beside)
    assert len(carrier.rounds) == ROUNDS + 1


def test_a_node_that_keeps_failing_does_not_use_up_the_retries(
    tmp_path: Path, nodes: dict[str, Participant]
) -> None:
    carrier = Recording(nodes)

    def fail(_: int) -> None:
        carrier.nodes["FI"] = restart(tmp_path, carrier.nodes["FI"])

    def only_rounds(call: int) -> None:
        if call > 3 and carrier.rounds and "FI" in carrier.rounds[-1].participants:
            fail(call)

    carrier.before = only_rounds
    outcome = run(carrier, tmp_path / "history")
    assert outcome.attempts <= ROUNDS + MASKED.retries


def test_a_key_that_another_node_offers_does_not_come_in(
    tmp_path: Path, nodes: dict[str, Participant]
) -> None:
    class Copying(Recording):
        def ask(
            self, requests: Mapping[str, bytes], optional: Mapping[str, bytes] = NOBODY
        ) -> dict[str, bytes]:
            if len(self.calls) == 4:
                self.silent = {"FI"}
            replies = super().ask(requests, optional)
            self.silent = set()
            joined = decode(replies["FI"]) if "FI" in optional else None
            if isinstance(joined, Joined):
                assert joined.key is not None
                copied = replace(SignedKey.from_json(joined.key), public=self.rounds[0].keys[0].public)
                signature = sign(SIGNING_KEYS["FI"], Purpose.STUDY_KEY, copied.payload())
                changed = {"key": replace(copied, signature=signature).to_json()}
                replies["FI"] = joined.model_copy(update=changed).signed(SIGNING_KEYS["FI"]).encode()
            return replies

    carrier = Copying(nodes)
    outcome = run(carrier, tmp_path / "history")
    assert outcome.attempts == ROUNDS + 1
    assert all("FI" not in request.participants for request in carrier.rounds[2:])
    assert any(carrier.beside)


def answered(node: Participant, data: bytes) -> object:
    return decode(node.answer(data).data)


def begun(nodes: Mapping[str, Participant]) -> Round:
    gathered = gather(MASKED, MASKED.hash(), Carrier(nodes), PUBLIC_KEYS)
    keys = tuple(gathered.keys[node] for node in EIGHT)
    return Round(MASKED.id, MASKED.hash(), "statistics", 0, 0, EIGHT, keys, {}, {})


def contribute(node: Participant, request: Round) -> Contribution:
    found = answered(node, request.encode())
    assert isinstance(found, Contribution)
    return found


def all_testify(nodes: Mapping[str, Participant], *joined: Joined) -> tuple[handshake.Testimony, ...]:
    request = Witness(study=MASKED.id, joined=joined).encode()
    found = []
    for node in nodes.values():
        said = answered(node, request)
        assert isinstance(said, handshake.Testimony)
        found.append(said)
    return tuple(found)


def join(node: Participant) -> Joined:
    found = answered(node, JOIN)
    assert isinstance(found, Joined)
    return found


def rejoin(nodes: Mapping[str, Participant], node: Participant) -> object:
    others = {name: other for name, other in nodes.items() if name != node.node}
    said = all_testify(others, join(node))
    return answered(node, Begin(study=MASKED.id, testimonies=said).encode())


def test_joining_again_gives_no_second_mask_under_one_key(
    nodes: dict[str, Participant], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two noises under one keystream would cancel the mask: not after any handshake in one process."""
    request = begun(nodes)
    first = contribute(nodes["FI"], request)
    before = spent(nodes["FI"])
    assert isinstance(rejoin(nodes, nodes["FI"]), Begun)
    again = contribute(nodes["FI"], request)
    assert again.encode() == first.encode()
    other = replace(request, participants=tuple(sorted((*SEVEN[:5], "FI"))))
    other = replace(other, keys=tuple(key for key in request.keys if key.node in other.participants))
    assert answered(nodes["FI"], other.encode()) == Refusal("FI", Reason.REPLAYED)
    monkeypatch.setattr(nodes["FI"]._ledger, "stored", lambda *_: None)  # the file was exchanged
    assert answered(nodes["FI"], request.encode()) == Refusal("FI", Reason.REPLAYED)
    assert spent(nodes["FI"]) == before


def test_a_call_to_join_that_arrives_twice_is_one_call(nodes: dict[str, Participant]) -> None:
    """A fresh nonce for the second copy would make the testimonies to the first worthless."""
    call = Join(study=MASKED.id, manifest_hash=MASKED.hash(), call="ab" * 16).encode()
    first = nodes["FI"].answer(call).data
    assert nodes["FI"].answer(call).data == first
    joined = decode(first)
    assert isinstance(joined, Joined)
    others = {name: node for name, node in nodes.items() if name != "FI"}
    said = all_testify(others, joined)
    nodes["FI"].answer(call)
    begin = Begin(study=MASKED.id, testimonies=said).encode()
    assert isinstance(answered(nodes["FI"], begin), Begun)
    nodes["FI"].answer(JOIN)
    assert answered(nodes["FI"], begin) == Refusal("FI", Reason.LEDGER)


def test_the_study_key_is_one_a_process(tmp_path: Path, nodes: dict[str, Participant]) -> None:
    first, second = join(nodes["FI"]), join(nodes["FI"])
    assert first.key == second.key
    assert first.nonce != second.nonce
    fresh = join(restart(tmp_path, nodes["FI"]))
    assert fresh.key is not None
    assert first.key is not None
    assert fresh.key["public"] != first.key["public"]


def test_showing_others_the_key_of_before_the_restart_gives_garbage(
    tmp_path: Path, nodes: dict[str, Participant]
) -> None:
    class Splitting(Recording):
        old: SignedKey | None = None

        def ask(
            self, requests: Mapping[str, bytes], optional: Mapping[str, bytes] = NOBODY
        ) -> dict[str, bytes]:
            message = decode(next(iter(requests.values())))
            if isinstance(message, Round) and message.round == 0:
                self.old = next(key for key in message.keys if key.node == "FI")
            if isinstance(message, Round) and message.round == 1 and message.attempt == 1:
                self.nodes["FI"] = restart(tmp_path, self.nodes["FI"])
            if isinstance(message, Round) and message.round == 3:
                assert self.old is not None
                keys = tuple(self.old if key.node == "FI" else key for key in message.keys)
                shown = replace(message, keys=keys).encode()
                requests = {node: data if node == "FI" else shown for node, data in requests.items()}
            return super().ask(requests, optional)

    with pytest.raises(PeerError, match="implausible"):
        run(Splitting(nodes), tmp_path / "history")


def put_back(tmp_path: Path, node: Participant, copy: Path) -> Participant:
    node._ledger.close()
    for name in ("FI.ledger.sqlite", "FI.ledger.sqlite-wal", "FI.ledger.sqlite-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    shutil.copy(copy, tmp_path / "FI.ledger.sqlite")
    return restart(tmp_path, node)


def copy_of(tmp_path: Path, node: Participant) -> Path:
    node._ledger._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return Path(shutil.copy(tmp_path / "FI.ledger.sqlite", tmp_path / "copy.sqlite"))


def test_a_node_whose_ledger_was_put_back_does_not_come_back_and_the_study_goes_on(
    tmp_path: Path, nodes: dict[str, Participant]
) -> None:
    carrier = Recording(nodes)
    copy = copy_of(tmp_path, nodes["FI"])

    def restore(call: int) -> None:
        if call == 5:
            carrier.nodes["FI"] = put_back(tmp_path, nodes["FI"], copy)

    carrier.before = restore
    outcome = run(carrier, tmp_path / "history")
    assert outcome.attempts == ROUNDS + 1
    assert all("FI" not in request.participants for request in carrier.rounds[3:])
    assert carrier.nodes["FI"]._ledger.witnesses.disputes()
    assert spent(carrier.nodes["FI"]) == 0


def two_rounds(nodes: Mapping[str, Participant]) -> tuple[Round, dict[str, Head]]:
    """Two attempts that all answered: the second shows the heads of the first."""
    request = begun(nodes)
    heads = {name: contribute(node, request).head for name, node in nodes.items()}
    request = replace(request, attempt=1, heads=heads)
    return request, {name: contribute(node, request).head for name, node in nodes.items()}


def earlier_head(nodes: Mapping[str, Participant], request: Round) -> Head:
    del nodes
    return request.heads["FI"]


def head_of_a_handshake(nodes: Mapping[str, Participant], request: Round) -> Head:
    del request
    return join(nodes["FI"]).head


@pytest.mark.parametrize("shown", [earlier_head, head_of_a_handshake])
def test_showing_another_head_makes_no_witness_forget(
    nodes: dict[str, Participant], shown: Callable[[Mapping[str, Participant], Round], Head]
) -> None:
    """The coordinator leaves FI out and shows the others a head of FI of its choice, to hide the latest."""
    request, latest = two_rounds(nodes)
    third = replace(request, attempt=2, heads=latest)
    for name in SEVEN:
        contribute(nodes[name], third)
    keys = tuple(key for key in request.keys if key.node != "FI")
    own = {name: nodes[name]._studies[MASKED.id].session._stated for name in SEVEN}
    trick = replace(
        request,
        attempt=3,
        participants=SEVEN,
        keys=keys,
        heads={**own, "FI": shown(nodes, request)},  # type: ignore[dict-item] - all have stated one
    )
    for name in SEVEN:
        nodes[name].answer(trick.encode())
    for said in all_testify({name: nodes[name] for name in SEVEN}, join(nodes["FI"])):
        known = next(entry for entry in said.known if entry.node == "FI")
        assert latest["FI"] in known.heads


def test_a_head_of_another_study_is_refused_in_a_round(nodes: dict[str, Participant]) -> None:
    request, latest = two_rounds(nodes)
    foreign = join(nodes["FI"]).head
    asked = replace(request, attempt=2, heads={**latest, "FI": foreign})
    assert answered(nodes["BE"], asked.encode()) == Refusal("BE", Reason.MALFORMED)


def test_testimonies_from_before_a_contribution_do_not_let_a_head_be_skipped(
    nodes: dict[str, Participant],
) -> None:
    request, latest = two_rounds(nodes)
    others = {name: node for name, node in nodes.items() if name != "FI"}
    said = all_testify(others, join(nodes["FI"]))
    third = replace(request, attempt=2, heads=latest)
    contribute(nodes["FI"], third)
    begin = Begin(study=MASKED.id, testimonies=said).encode()
    assert answered(nodes["FI"], begin) == Refusal("FI", Reason.UNAVAILABLE)
    hiding = replace(request, attempt=3, heads={})
    assert answered(nodes["FI"], hiding.encode()) == Refusal("FI", Reason.MALFORMED)


def test_coming_back_needs_as_many_witnesses_as_the_beginning(nodes: dict[str, Participant]) -> None:
    begun(nodes)
    few = {name: nodes[name] for name in ("BE", "BG", "GR", "IT")}
    assert rejoin(few, nodes["FI"]) == Refusal("FI", Reason.LEDGER)
    enough = {**few, "PL": nodes["PL"]}
    assert isinstance(rejoin(enough, nodes["FI"]), Begun)


def test_a_round_before_the_handshake_is_complete_is_refused(
    tmp_path: Path, nodes: dict[str, Participant]
) -> None:
    request = begun(nodes)
    fresh = restart(tmp_path, nodes["FI"])
    keys = tuple(SignedKey.from_json(join(fresh).key) if key.node == "FI" else key for key in request.keys)
    answer = answered(fresh, replace(request, keys=keys).encode())
    assert answer == Refusal("FI", Reason.UNAVAILABLE)
    assert spent(fresh) == 0
    assert not np.array_equal(request.keys, keys)
