"""Attacks that must fail: by a coordinator, by colluding nodes, by whoever puts an old disk back."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from federation_of import (
    CEREMONY,
    EIGHT,
    POLICY,
    PUBLIC_KEYS,
    SIGNING_KEYS,
    MemoryStore,
    analysis_table,
    approve,
    participant,
    study,
)
from safeborders_fed.audit.log import AuditLog
from safeborders_fed.coordinator.federation import NOBODY
from safeborders_fed.coordinator.gathering import gather
from safeborders_fed.coordinator.rounds import StudyRun
from safeborders_fed.errors import PeerError, RefusedError
from safeborders_fed.masking.keys import SignedKey, StudyKey, offer
from safeborders_fed.masking.signing import Purpose, sign
from safeborders_fed.node.ledger import Ledger
from safeborders_fed.node.participant import Participant
from safeborders_fed.node.session import witnesses_needed
from safeborders_fed.study import handshake
from safeborders_fed.study.handshake import Begin, Begun, Join, Joined, Witness
from safeborders_fed.study.manifest import Manifest
from safeborders_fed.study.messages import Contribution, Reason, Refusal, Round, decode
from safeborders_fed.study.sums import add_up

MASKED = study(
    participants=EIGHT,
    trust="masked",
    parameters={"target": "actual_victim", "features": ["sex"], "rounds": 3},
)


class Carrier:
    """Carries messages; a test may change what one node is sent or answers."""

    def __init__(self, nodes: Mapping[str, Participant]) -> None:
        self.nodes = dict(nodes)
        self.sent: list[tuple[str, bytes, bytes]] = []

    def to(self, node: str, data: bytes) -> bytes:
        del node
        return data

    def online(self) -> frozenset[str]:
        return frozenset(self.nodes)

    def ask(self, requests: Mapping[str, bytes], optional: Mapping[str, bytes] = NOBODY) -> dict[str, bytes]:
        replies = {}
        for node, data in [*requests.items(), *optional.items()]:
            asked = self.to(node, data)
            replies[node] = self.nodes[node].answer(asked).data
            self.sent.append((node, asked, replies[node]))
        return replies

    def rounds(self, node: str) -> list[tuple[Round, Contribution]]:
        found = []
        for name, asked, replied in self.sent:
            question, answer = decode(asked), decode(replied)
            if name == node and isinstance(question, Round) and isinstance(answer, Contribution):
                found.append((question, answer))
        return found


@pytest.fixture
def nodes(tmp_path: Path) -> dict[str, Participant]:
    made = {
        node: participant(tmp_path, node, analysis_table(40, seed), ceremony=CEREMONY)
        for seed, node in enumerate(EIGHT)
    }
    for node in made.values():
        approve(node, MASKED)
    return made


def test_a_masked_vector_alone_says_nothing_and_the_sum_is_right(nodes: dict[str, Participant]) -> None:
    carrier = Carrier(nodes)
    outcome = StudyRun(MASKED, carrier, PUBLIC_KEYS).run()
    assert outcome.release.arrays["weights"].any()
    vectors = [carrier.rounds(node)[0][1].vector for node in EIGHT]
    largest = 2**20 * 40 + 30 * MASKED.share("statistics", 8)
    assert all((np.abs(vector.view(np.int64).astype(float)) > 1e15).mean() > 0.9 for vector in vectors)
    assert (np.abs(add_up(vectors).astype(float)) < largest * 8).all()
    seven = add_up(vectors[:7]).astype(float)
    assert (np.abs(seven) > 1e15).mean() > 0.9, "the sum of seven must still be masked"


def test_a_split_broadcast_gives_garbage(nodes: dict[str, Participant]) -> None:
    """One node is shown other weights than the rest: masks do not cancel, and no one vector is unmasked."""

    class Splitting(Carrier):
        def to(self, node: str, data: bytes) -> bytes:
            message = decode(data)
            if node == "FI" and isinstance(message, Round) and message.round == 1:
                shifted = {name: array + 1e-9 for name, array in message.broadcast.items()}
                return replace(message, broadcast=shifted).encode()
            return data

    carrier = Splitting(nodes)
    with pytest.raises(PeerError, match="implausible"):
        StudyRun(MASKED, carrier, PUBLIC_KEYS).run()


def test_a_split_list_of_participants_gives_garbage_or_a_refusal(nodes: dict[str, Participant]) -> None:
    class Splitting(Carrier):
        def to(self, node: str, data: bytes) -> bytes:
            message = decode(data)
            if node == "FI" and isinstance(message, Round) and message.round == 1:
                kept = tuple(name for name in message.participants if name != "RO")
                keys = tuple(key for key in message.keys if key.node != "RO")
                return replace(message, participants=kept, keys=keys).encode()
            return data

    with pytest.raises(PeerError, match="implausible"):
        StudyRun(MASKED, Splitting(nodes), PUBLIC_KEYS).run()


def begun(nodes: Mapping[str, Participant], manifest: Manifest = MASKED) -> tuple[Carrier, Round]:
    """All nodes past the handshake, and the first round's request."""
    carrier = Carrier(nodes)
    gathered = gather(manifest, manifest.hash(), carrier, PUBLIC_KEYS)
    keys = tuple(gathered.keys[node] for node in EIGHT)
    return carrier, Round(manifest.id, manifest.hash(), "statistics", 0, 0, EIGHT, keys, {}, {})


def test_a_key_that_its_node_did_not_sign_is_refused(nodes: dict[str, Participant]) -> None:
    _, request = begun(nodes)
    own = StudyKey.generate()
    forged = offer(
        own,
        SIGNING_KEYS["PL"],
        node="PL",
        study=MASKED.id,
        manifest_hash=MASKED.hash(),
        roster_hash=MASKED.roster_hash,
        boot_epoch="0" * 32,
    )
    stolen = replace(forged, node="FI")
    keys = tuple(stolen if key.node == "FI" else key for key in request.keys)
    assert decode(nodes["BE"].answer(replace(request, keys=keys).encode()).data) == Refusal(
        "BE", Reason.MALFORMED
    )


def test_an_honest_key_registered_by_a_colluder_as_its_own_is_refused(nodes: dict[str, Participant]) -> None:
    """Unknown key share: two equal keys could make two keystreams cancel."""
    _, request = begun(nodes)
    honest = next(key for key in request.keys if key.node == "FI")
    copied = {**honest.to_json(), "node": "PL"}
    payload = SignedKey.from_json(copied)
    signed = replace(payload, signature=SIGNING_KEYS["PL"].sign(payload.payload()).hex())
    keys = tuple(signed if key.node == "PL" else key for key in request.keys)
    answer = decode(nodes["BE"].answer(replace(request, keys=keys).encode()).data)
    assert answer == Refusal("BE", Reason.MALFORMED)


def test_a_disk_put_back_never_masks_two_noises_with_one_keystream(
    tmp_path: Path, nodes: dict[str, Participant]
) -> None:
    """Two-time pad: after a restart from an old disk the study key is new, so the old request is refused."""
    copy = yesterday(tmp_path, nodes["FI"])
    carrier, request = begun(nodes)
    first = decode(nodes["FI"].answer(request.encode()).data)
    assert isinstance(first, Contribution)
    restored = put_back(tmp_path, nodes, copy)
    approve(restored, MASKED)
    assert isinstance(decode(restored.answer(request.encode()).data), Refusal)
    carrier.nodes["FI"] = restored
    assert isinstance(decode(restored.answer(request.encode()).data), Refusal)


def gather_testimonies(nodes: Mapping[str, Participant], study_id: str, manifest: Manifest) -> Begin:
    joined = []
    for node in EIGHT:
        message = decode(
            nodes[node].answer(Join(study=study_id, manifest_hash=manifest.hash()).encode()).data
        )
        assert isinstance(message, Joined)
        joined.append(message)
    witness = Witness(study=study_id, joined=tuple(joined)).encode()
    said = [decode(nodes[node].answer(witness).data) for node in EIGHT]
    assert all(isinstance(message, handshake.Testimony) for message in said)
    return Begin(study=study_id, testimonies=tuple(said))


def test_a_ledger_put_back_is_noticed_and_refused_until_two_people_settle_it(
    tmp_path: Path, nodes: dict[str, Participant]
) -> None:
    """Yesterday's copy would give back what was spent since."""
    copy = yesterday(tmp_path, nodes["FI"])
    StudyRun(MASKED, Carrier(nodes), PUBLIC_KEYS).run()
    for node in nodes.values():
        node.end(MASKED.id)
    second = study(id="study-2", participants=EIGHT, trust="masked")
    for node in nodes.values():
        approve(node, second)
    gather(second, second.hash(), Carrier(nodes), PUBLIC_KEYS)  # the others witness FI's head after study-1
    restored = put_back(tmp_path, nodes, copy)
    assert restored._ledger.totals().spent == 0, "the old copy has forgotten what was spent"
    third = study(id="study-3", participants=EIGHT, trust="masked")
    everybody = {**nodes, "FI": restored}
    for node in everybody.values():
        approve(node, third)
    begin = gather_testimonies(everybody, "study-3", third)
    assert decode(restored.answer(begin.encode()).data) == Refusal("FI", Reason.LEDGER)
    assert {witness for witness, _ in restored._ledger.witnesses.disputes()}
    with pytest.raises(RefusedError, match="put back from an old copy"):
        restored._ledger.reserve("study-4", "0" * 64, 0.01)
    assert isinstance(decode(nodes["BE"].answer(begin.encode()).data), Begun)
    restored._ledger.settle(["Maija", "Pekka"], lost_rho=0.25)
    assert restored._ledger.totals().spent == pytest.approx(0.25)
    restored._ledger.verify()
    again = gather_testimonies(everybody, "study-3", third)
    assert isinstance(decode(restored.answer(again.encode()).data), Begun)


def test_a_coordinator_that_hides_testimonies_is_refused(nodes: dict[str, Participant]) -> None:
    begin = gather_testimonies(nodes, MASKED.id, MASKED)
    only = tuple(entry for entry in begin.testimonies if entry.node in {"FI", "PL"})
    answer = nodes["FI"].answer(Begin(study=MASKED.id, testimonies=only).encode()).data
    assert decode(answer) == Refusal("FI", Reason.LEDGER)


def put_back(tmp_path: Path, nodes: dict[str, Participant], copy: Path) -> Participant:
    """FI's machine comes back with an old copy of its ledger."""
    nodes["FI"]._ledger.close()
    nodes["FI"]._audit_log.close()
    for name in ("FI.ledger.sqlite", "FI.ledger.sqlite-wal", "FI.ledger.sqlite-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    shutil.copy(copy, tmp_path / "FI.ledger.sqlite")
    return participant(tmp_path, "FI", analysis_table(40, 2), ceremony=CEREMONY)


def yesterday(tmp_path: Path, node: Participant) -> Path:
    node._ledger._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return Path(shutil.copy(tmp_path / "FI.ledger.sqlite", tmp_path / "yesterday.sqlite"))


def test_repeating_the_handshake_does_not_make_witnesses_forget(
    tmp_path: Path, nodes: dict[str, Participant]
) -> None:
    """The coordinator throws the first testimonies away; the restored journal has grown past the old head."""
    copy = yesterday(tmp_path, nodes["FI"])
    StudyRun(MASKED, Carrier(nodes), PUBLIC_KEYS).run()
    everybody = {**nodes, "FI": put_back(tmp_path, nodes, copy)}
    for number in range(2, 12):
        later = study(id=f"study-{number}", participants=EIGHT, trust="masked", rho=0.01)
        for node in everybody.values():
            approve(node, later)
    for _ in range(3):
        begin = gather_testimonies(everybody, "study-11", later)
    assert decode(everybody["FI"].answer(begin.encode()).data) == Refusal("FI", Reason.LEDGER)


def test_a_ledger_put_back_right_after_a_study_is_noticed_at_the_next(
    tmp_path: Path, nodes: dict[str, Participant]
) -> None:
    """Peers witness heads in every round, not only at the beginning."""
    copy = yesterday(tmp_path, nodes["FI"])
    StudyRun(MASKED, Carrier(nodes), PUBLIC_KEYS).run()
    everybody = {**nodes, "FI": put_back(tmp_path, nodes, copy)}
    later = study(id="study-2", participants=EIGHT, trust="masked", rho=0.01)
    for node in everybody.values():
        approve(node, later)
    begin = gather_testimonies(everybody, "study-2", later)
    assert decode(everybody["FI"].answer(begin.encode()).data) == Refusal("FI", Reason.LEDGER)


def test_a_coordinator_that_shows_one_node_an_old_head_of_another_gets_garbage(
    nodes: dict[str, Participant],
) -> None:
    class Hiding(Carrier):
        def to(self, node: str, data: bytes) -> bytes:
            message = decode(data)
            if isinstance(message, Round) and message.round == 2 and node != "FI":
                heads = {name: head for name, head in message.heads.items() if name != "FI"}
                return replace(message, heads=heads).encode()
            return data

    with pytest.raises(PeerError, match="implausible"):
        StudyRun(MASKED, Hiding(nodes), PUBLIC_KEYS).run()


def test_two_groups_of_witnesses_cannot_be_kept_apart(tmp_path: Path, nodes: dict[str, Participant]) -> None:
    """The coordinator lets two nodes see FI's ledger in one study and asks others in the next."""

    def begin_with(
        everybody: Mapping[str, Participant], manifest: Manifest, groups: tuple[str, ...]
    ) -> bytes:
        full = gather_testimonies(everybody, manifest.id, manifest)
        chosen = tuple(entry for entry in full.testimonies if entry.node in groups)
        return everybody["FI"].answer(Begin(study=manifest.id, testimonies=chosen).encode()).data

    del tmp_path
    assert witnesses_needed(8, 1) == 5
    for group in (("BE", "BG"), ("BE", "BG", "GR", "IT")):
        assert decode(begin_with(nodes, MASKED, group)) == Refusal("FI", Reason.LEDGER)
    assert isinstance(decode(begin_with(nodes, MASKED, ("BE", "BG", "GR", "IT", "PL"))), Begun)


@pytest.mark.parametrize("nodes_count", range(3, 31))
@pytest.mark.parametrize("colluders", [1, 2, 3])
def test_any_two_groups_of_witnesses_share_an_honest_node(nodes_count: int, colluders: int) -> None:
    needed = witnesses_needed(nodes_count, colluders)
    assert 2 * needed - (nodes_count - 1) > colluders
    assert 2 * (needed - 1) - (nodes_count - 1) <= colluders


def test_a_copied_key_offer_does_not_end_the_study_for_the_honest(nodes: dict[str, Participant]) -> None:
    """PL copies RO's study key: both are left out before the first round, the others go on."""

    class Copying(Carrier):
        def ask(
            self, requests: Mapping[str, bytes], optional: Mapping[str, bytes] = NOBODY
        ) -> dict[str, bytes]:
            replies = super().ask(requests, optional)
            joined = {node: decode(data) for node, data in replies.items()}
            if all(isinstance(message, Joined) for message in joined.values()):
                own, other = joined["PL"], joined["RO"]
                assert isinstance(own, Joined)
                assert isinstance(other, Joined)
                assert own.key is not None
                assert other.key is not None
                copied = replace(SignedKey.from_json(own.key), public=other.key["public"])
                signature = sign(SIGNING_KEYS["PL"], Purpose.STUDY_KEY, copied.payload())
                offer_ = replace(copied, signature=signature).to_json()
                changed = own.model_copy(update={"key": offer_}).signed(SIGNING_KEYS["PL"])
                replies["PL"] = changed.encode()
            return replies

    gathered = gather(MASKED, MASKED.hash(), Copying(nodes), PUBLIC_KEYS)
    assert gathered.failures == {"PL": "duplicate-key", "RO": "duplicate-key"}
    assert gathered.nodes == tuple(node for node in EIGHT if node not in {"PL", "RO"})


def test_old_testimonies_do_not_count(nodes: dict[str, Participant]) -> None:
    old = gather_testimonies(nodes, MASKED.id, MASKED)
    nodes["FI"].answer(Join(study=MASKED.id, manifest_hash=MASKED.hash()).encode())
    assert decode(nodes["FI"].answer(old.encode()).data) == Refusal("FI", Reason.LEDGER)


def test_a_witness_cannot_invent_a_head(nodes: dict[str, Participant]) -> None:
    begin = gather_testimonies(nodes, MASKED.id, MASKED)
    testimony = next(entry for entry in begin.testimonies if entry.node == "PL")
    known = tuple(
        entry.model_copy(update={"heads": (nodes["FI"]._ledger.head().model_copy(update={"entries": 99}),)})
        if entry.node == "FI"
        else entry
        for entry in testimony.known
    )
    lie = testimony.model_copy(update={"known": known}).signed(SIGNING_KEYS["PL"])
    others = tuple(lie if entry.node == "PL" else entry for entry in begin.testimonies)
    # It does not count, so with four honest witnesses FI does not begin; with six it does, whatever PL says.
    few = tuple(entry for entry in others if entry.node in {"BE", "BG", "GR", "IT", "PL"})
    answer = nodes["FI"].answer(Begin(study=MASKED.id, testimonies=few).encode()).data
    assert decode(answer) == Refusal("FI", Reason.LEDGER)
    answer = nodes["FI"].answer(Begin(study=MASKED.id, testimonies=others).encode()).data
    assert decode(answer) == Begun(study=MASKED.id, node="FI")
    assert not nodes["FI"]._ledger.witnesses.disputes()


@pytest.mark.parametrize("lie", [{"entries": 99}, {"study": "study-9"}])
def test_a_node_that_states_a_head_which_is_none_stays_out_and_stops_nobody(
    nodes: dict[str, Participant], lie: dict[str, int | str]
) -> None:
    class Lying(Carrier):
        def ask(
            self, requests: Mapping[str, bytes], optional: Mapping[str, bytes] = NOBODY
        ) -> dict[str, bytes]:
            replies = super().ask(requests, optional)
            message = decode(replies["PL"]) if "PL" in replies else None
            if isinstance(message, Contribution):
                head = message.head.model_copy(update=lie)
                if "study" in lie:
                    head = head.signed(SIGNING_KEYS["PL"], "PL")
                replies["PL"] = replace(message, head=head).signed(SIGNING_KEYS["PL"]).encode()
            return replies

    outcome = StudyRun(MASKED, Lying(nodes), PUBLIC_KEYS).run()
    assert outcome.attempts == outcome.rounds + 1
    assert "PL" not in outcome.heads


def test_puppets_in_the_roster_are_refused(nodes: dict[str, Participant]) -> None:
    """A study for a roster that this node has not accepted, with keys of the coordinator's own making."""
    puppets = study(participants=EIGHT, trust="masked", roster_hash="f" * 64)
    with pytest.raises(RefusedError, match="another roster"):
        approve(nodes["FI"], puppets)
    assert CEREMONY.identities["FI"].roster_hash != puppets.roster_hash


def test_a_contribution_changed_on_its_way_is_refused(nodes: dict[str, Participant]) -> None:
    class Changing(Carrier):
        def ask(
            self, requests: Mapping[str, bytes], optional: Mapping[str, bytes] = NOBODY
        ) -> dict[str, bytes]:
            replies = super().ask(requests, optional)
            message = decode(replies["FI"]) if "FI" in replies else None
            if isinstance(message, Contribution):
                replies["FI"] = replace(message, vector=message.vector + np.uint64(1)).encode()
            return replies

    # FI is left out, and the study goes on with the others after a paid retry.
    outcome = StudyRun(MASKED, Changing(nodes), PUBLIC_KEYS).run()
    assert outcome.attempts == outcome.rounds + 1
    assert nodes["BE"]._ledger.totals().spent > sum(s.rounds * s.rho for s in MASKED.stages)


def test_a_retry_has_fresh_noise_and_fresh_masks_and_is_paid_for(nodes: dict[str, Participant]) -> None:
    carrier, request = begun(nodes)
    first = decode(nodes["BE"].answer(request.encode()).data)
    assert isinstance(first, Contribution)
    seven = tuple(node for node in EIGHT if node != "RO")
    keys = tuple(key for key in request.keys if key.node != "RO")
    heads = {"BE": first.head}
    lone = replace(request, attempt=1, participants=seven, keys=keys)
    assert decode(nodes["BE"].answer(lone.encode()).data) == Refusal("BE", Reason.MALFORMED)
    retry = replace(lone, heads=heads)
    answers = [decode(nodes[node].answer(retry.encode()).data) for node in seven]
    assert isinstance(first, Contribution)
    assert all(isinstance(answer, Contribution) for answer in answers)
    second = answers[0]
    assert isinstance(second, Contribution)
    assert not (first.vector == second.vector).any()
    statistics = MASKED.terms("statistics")
    assert nodes["BE"]._ledger.totals().spent == pytest.approx(2 * statistics.rho)
    total = add_up([answer.vector for answer in answers if isinstance(answer, Contribution)])
    assert (np.abs(total.astype(float)) < 1e12).all()
    assert MASKED.share("statistics", 7) > MASKED.share("statistics", 8)
    assert carrier.sent


def test_nested_population_filters_are_one_query_each_and_paid_for(tmp_path: Path) -> None:
    """No refusal tells a node's size: an empty node answers like any other, and each question costs."""
    lengths = {}
    for rows in (1, 400):
        (tmp_path / str(rows)).mkdir()
        node = participant(tmp_path / str(rows), "FI", analysis_table(rows, 7), ceremony=CEREMONY)
        others = {
            name: participant(tmp_path / str(rows), name, analysis_table(30, 1), ceremony=CEREMONY)
            for name in EIGHT
            if name != "FI"
        }
        everybody = {**others, "FI": node}
        for population in ("all", "minors"):
            parameters = {"first_year": 2018, "last_year": 2025, "population": population}
            question = study(
                id=f"nested-{population}",
                analysis="trends",
                parameters=parameters,
                participants=EIGHT,
                trust="masked",
                rho=0.1,
            )
            for entry in everybody.values():
                approve(entry, question)
            carrier = Carrier(everybody)
            StudyRun(question, carrier, PUBLIC_KEYS).run()
            lengths[rows, population] = [len(reply) for name, _, reply in carrier.sent if name == "FI"]
        assert node._ledger.totals().spent == pytest.approx(
            sum(stage.rho for stage in question.stages) * 2, rel=1e-6
        )
    for population in ("all", "minors"):
        assert lengths[1, population] == lengths[400, population]


def test_a_ledger_that_is_cut_off_is_refused(tmp_path: Path, nodes: dict[str, Participant]) -> None:
    StudyRun(MASKED, Carrier(nodes), PUBLIC_KEYS).run()
    ledger = nodes["FI"]._ledger
    ledger._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    ledger.close()
    path = tmp_path / "FI.ledger.sqlite"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(Exception, match=r"cannot be read|altered"):
        Ledger(path, POLICY.caps()).verify()


@pytest.mark.parametrize("hours", [-25, 25])
def test_a_clock_that_is_off_by_a_day_refuses_approvals_and_charges_nothing(
    tmp_path: Path, hours: int
) -> None:
    """A clock ahead finds them expired, one behind finds them signed in the future."""
    shifted = Participant(
        identity=replace(CEREMONY.identities["FI"], roster=None),  # whose keys would be refused first
        store=MemoryStore(analysis_table(10, 1)),
        ledger=Ledger(tmp_path / "l.sqlite", POLICY.caps()),
        policy=POLICY,
        approvers=CEREMONY.people["FI"].enrolled,
        audit_log=AuditLog(tmp_path / "a.jsonl", SIGNING_KEYS["FI"], "FI"),
        clock=lambda: datetime.now(UTC) + timedelta(hours=hours),
    )
    with pytest.raises(RefusedError) as caught:
        approve(shifted, MASKED)
    assert caught.value.code == "not-enough-approvals"
    assert shifted._ledger.totals().reserved == 0
