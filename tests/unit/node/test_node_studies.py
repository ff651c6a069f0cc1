"""What a node is offered waits for its people; what they sign, and nothing else, lets a study start."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation_of import POLICY, SMALL, analysis_table, history_of, participant, study
from safeborders_fed.errors import PeerError, RefusedError, UsageError
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node.participant import Participant
from safeborders_fed.node.policy import Policy
from safeborders_fed.node.records import Record, largest_record
from safeborders_fed.node.refusals import StudyRefusal, refuse
from safeborders_fed.node.studies import NodeStudies, Unreadable
from safeborders_fed.study import canonical
from safeborders_fed.study.handshake import Join, Joined
from safeborders_fed.study.manifest import Manifest
from safeborders_fed.study.messages import Message, Reason, Refusal, decode
from safeborders_fed.study.offering import Finished, Kept, Offer, Offered, Status, Why, coded
from safeborders_fed.study.publication import publish

OPERATOR = public_hex(SMALL.operator)
PEOPLE = SMALL.people["BE"]
NOW = datetime.now(UTC)


def offered(manifest: Manifest, key: Ed25519PrivateKey = SMALL.operator, **changes: object) -> Offer:
    return Offer(
        **{  # type: ignore[arg-type] - tests pass wrong values too
            "study": manifest.id,
            "published": publish(manifest, key).decode(),
            "history": history_of(manifest, operator=key),
            **changes,
        }
    )


@dataclass
class Node:
    """A node with its directory, that can be started again."""

    directory: Path
    policy: Policy = POLICY
    operators: tuple[str, ...] = (OPERATOR,)
    time: datetime | None = None  # what its clock shows; by default the time
    running: Participant = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        if hasattr(self, "running"):
            self.running._ledger.close()
            self.running._audit_log.close()
        self.running = participant(
            self.directory,
            "BE",
            analysis_table(40, 1),
            policy=self.policy,
            studies=self.studies,
            clock=lambda: self.time or datetime.now(UTC),
        )

    @property
    def studies(self) -> NodeStudies:
        return NodeStudies(self.directory, self.operators)

    def ask(self, request: Offer | Join | Finished) -> Message:
        return decode(self.running.answer(request.encode()).data)

    def offer(self, manifest: Manifest, key: Ed25519PrivateKey = SMALL.operator) -> Offered:
        told, before = history_of(manifest, operator=key), self.studies.history(manifest.id)
        if before is not None:
            told = told.model_copy(update={"changes": before.changes})
        found = self.ask(offered(manifest, key, history=told))
        assert isinstance(found, Offered)
        return found

    def approve(self, manifest: Manifest, people: int = 2) -> None:
        for approval in PEOPLE.approve("study", manifest.hash())[:people]:
            self.studies.add_approval(manifest.id, approval)

    def refuse(self, manifest: Manifest, reason: Why = Why.PURPOSE) -> StudyRefusal:
        refusal = refuse(
            PEOPLE._keys[0],
            study=manifest.id,
            manifest_hash=manifest.hash(),
            reason=reason,
            name=PEOPLE.enrolled[0].name,
            signed_at=NOW,
        )
        self.studies.add_refusal(refusal)
        return refusal

    def join(self, manifest: Manifest) -> Message:
        return self.ask(Join(study=manifest.id, manifest_hash=manifest.hash()))

    def logged(self) -> list[str]:
        """What is in its audit log, but for what the coordinator said became of the study."""
        lines = (self.directory / "BE.audit.jsonl").read_text(encoding="utf-8").splitlines()
        operations = [json.loads(line)["operation"] for line in lines]
        return [operation for operation in operations if operation != "study-state"]


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


MANIFEST = study()


def test_an_offered_study_waits_for_two_people_and_starts_with_them(node: Node) -> None:
    assert node.offer(MANIFEST).status == Status.PENDING
    assert node.join(MANIFEST) == Refusal("BE", Reason.NOT_APPROVED)
    node.approve(MANIFEST, people=1)
    assert node.offer(MANIFEST).status == Status.PENDING
    assert node.join(MANIFEST) == Refusal("BE", Reason.NOT_APPROVED)
    assert node.running._ledger.totals().reserved == 0
    node.approve(MANIFEST)
    assert node.offer(MANIFEST) == Offered(
        study="study-1", node="BE", manifest_hash=MANIFEST.hash(), status=Status.APPROVED
    )
    assert isinstance(node.join(MANIFEST), Joined)
    assert node.running._ledger.totals().reserved == pytest.approx(MANIFEST.rho)
    assert node.offer(MANIFEST).status == Status.TAKEN_ON
    assert node.logged() == ["approve", "anchor"]
    assert node.studies.keys("study-1") == SMALL.roster.keys()


def test_a_study_that_was_taken_on_goes_on_after_a_restart_though_approvals_have_expired(node: Node) -> None:
    node.offer(MANIFEST)
    node.approve(MANIFEST)
    node.join(MANIFEST)
    node.time = NOW + timedelta(days=2)  # approvals of the ceremony last a day
    node.start()
    assert isinstance(node.join(MANIFEST), Joined)
    assert node.logged() == ["approve", "anchor", "anchor"], "one for each session"
    assert len(node.running._ledger.studies()) == 1


def test_approvals_expire(node: Node) -> None:
    node.offer(MANIFEST)
    node.approve(MANIFEST)
    node.time = NOW + timedelta(days=2)
    assert node.offer(MANIFEST).status == Status.PENDING
    assert node.join(MANIFEST) == Refusal("BE", Reason.NOT_APPROVED)


def test_a_refusal_stands_against_any_number_of_approvals_until_the_study_is_taken_on(node: Node) -> None:
    node.offer(MANIFEST)
    node.approve(MANIFEST)
    node.refuse(MANIFEST, Why.LEGAL_BASIS)
    found = node.offer(MANIFEST)
    assert (found.status, found.reason) == (Status.REFUSED, Why.LEGAL_BASIS)
    node.offer(MANIFEST)
    assert node.join(MANIFEST) == Refusal("BE", Reason.NOT_APPROVED)
    assert node.logged() == ["refuse"]
    with pytest.raises(RefusedError, match="refused here already"):
        node.refuse(MANIFEST)


def test_a_damaged_refusal_does_not_pass_for_a_yes(node: Node) -> None:
    node.offer(MANIFEST)
    node.approve(MANIFEST)
    (node.directory / "studies" / "study-1" / "refusal.json").write_bytes(b"{}")
    assert node.offer(MANIFEST).status == Status.REJECTED
    assert not isinstance(node.join(MANIFEST), Joined)


def test_a_refusal_is_signed_by_an_enrolled_person_with_a_reason_of_the_list(node: Node) -> None:
    node.offer(MANIFEST)
    refusal = node.refuse(MANIFEST)
    assert StudyRefusal.from_bytes(refusal.to_bytes()) == refusal
    refusal.check(PEOPLE.enrolled)
    with pytest.raises(PeerError, match="does not verify"):
        refusal.model_copy(update={"reason": Why.COST}).check(PEOPLE.enrolled)
    with pytest.raises(RefusedError, match="not enrolled"):
        refusal.check(SMALL.people["BG"].enrolled)
    with pytest.raises(RefusedError, match="fixed list"):
        node.refuse(study(id="study-2"), Why.POLICY)
    with pytest.raises(PeerError, match="malformed"):
        StudyRefusal.from_bytes(canonical.serialise({**json.loads(refusal.to_bytes()), "more": 1}))


def test_another_manifest_under_the_same_id_is_refused_and_the_first_stays(node: Node) -> None:
    node.offer(MANIFEST)
    found = node.offer(study(purpose="another purpose"))
    assert (found.status, found.reason, found.manifest_hash) == (Status.REJECTED, Why.CHANGED, "")
    assert node.studies.manifest("study-1").hash() == MANIFEST.hash()


def test_only_a_pinned_operator_can_offer(node: Node) -> None:
    found = node.offer(MANIFEST, Ed25519PrivateKey.generate())
    assert (found.status, found.reason) == (Status.REJECTED, Why.UNKNOWN_OPERATOR)
    assert node.studies.ids() == ()
    with pytest.raises(UsageError, match="no study"):
        node.studies.manifest("study-1")


def test_a_study_whose_operator_is_no_longer_pinned_does_not_start_until_another_signs(node: Node) -> None:
    node.offer(MANIFEST)
    node.approve(MANIFEST)
    new = Ed25519PrivateKey.generate()
    node.operators = (public_hex(new),)
    node.start()
    assert not isinstance(node.join(MANIFEST), Joined)
    (listed,) = node.studies.listed()
    assert isinstance(listed, Unreadable)
    assert listed.error.code == "wrong-operator"
    assert node.offer(MANIFEST, new).status == Status.APPROVED
    assert isinstance(node.join(MANIFEST), Joined)


def test_a_manifest_altered_on_the_disk_does_not_start(node: Node) -> None:
    node.offer(MANIFEST)
    node.approve(MANIFEST)
    path = node.directory / "studies" / "study-1" / "published.json"
    path.write_bytes(path.read_bytes().replace(b'"a test"', b'"a fest"'))
    assert not isinstance(node.join(MANIFEST), Joined)
    assert node.running._ledger.totals().reserved == 0


@pytest.mark.parametrize(
    ("policy", "manifest", "reason"),
    [
        ({"analyses": frozenset({"trends"})}, MANIFEST, Why.POLICY),
        ({"epsilon_per_study": 0.5}, MANIFEST, Why.BUDGET),
        ({}, study(roster_hash="0" * 64), Why.ROSTER),
    ],
)
def test_what_would_keep_an_approved_study_from_starting_is_said_beforehand(
    tmp_path: Path, policy: dict[str, object], manifest: Manifest, reason: Why
) -> None:
    node = Node(tmp_path, POLICY.model_copy(update=policy))
    found = node.offer(manifest)
    assert (found.status, found.reason) == (Status.PENDING, reason)
    node.approve(manifest)
    assert not isinstance(node.join(manifest), Joined)


def test_what_is_no_published_study_is_rejected(node: Node) -> None:
    for text in ("{}", "garbage", publish(MANIFEST, SMALL.operator).decode()):
        found = node.ask(offered(MANIFEST, study="another", published=text))
        assert isinstance(found, Offered)
        assert (found.status, found.reason) == (Status.REJECTED, Why.MALFORMED)


def finished(**changes: object) -> Finished:
    terms: dict[str, object] = {
        "study": "study-1",
        "manifest_hash": MANIFEST.hash(),
        "outcome": "failed",
        "release_hash": "",
        "part": 0,
        "parts": 1,
        "content": "nothing",
    }
    terms |= changes
    ended = history_of(MANIFEST, "running", terms["outcome"])  # type: ignore[arg-type]
    return Finished(**{"history": ended, **terms})  # type: ignore[arg-type] - tests pass wrong values too


RELEASE = b'{"weights":[1.0,2.0]}'


def parts(release: bytes = RELEASE) -> list[Finished]:
    held = [
        ("transcript", b"one"),
        ("transcript", b"two"),
        ("release", release[:9]),
        ("release", release[9:]),
    ]
    return [
        finished(
            outcome="finished",
            release_hash=canonical.sha256(RELEASE),
            part=number,
            parts=4,
            content=content,
            data=coded(data),
        )
        for number, (content, data) in enumerate(held)
    ]


@pytest.fixture
def taken_on(node: Node) -> Node:
    node.offer(MANIFEST)
    node.approve(MANIFEST)
    node.join(MANIFEST)
    return node


@pytest.mark.parametrize("message", [finished(), finished(outcome="withdrawn"), parts()[2]])
def test_the_end_of_a_study_releases_its_reservation_once(taken_on: Node, message: Finished) -> None:
    assert taken_on.ask(message) == Kept(study="study-1", node="BE", part=message.part)
    assert taken_on.ask(message) == Kept(study="study-1", node="BE", part=message.part)
    assert taken_on.running._ledger.totals().reserved == 0
    assert taken_on.logged() == ["approve", "anchor", "study-end"]
    assert taken_on.offer(MANIFEST).status == Status.ENDED
    assert taken_on.join(MANIFEST) == Refusal("BE", Reason.EXPIRED)


def test_a_study_that_was_withdrawn_before_it_started_never_starts(node: Node) -> None:
    """Its approvals lie there still; whoever read that it has ended must be able to rely on it."""
    node.offer(MANIFEST)
    node.approve(MANIFEST)
    assert isinstance(node.ask(finished(outcome="withdrawn")), Kept)
    assert node.offer(MANIFEST).status == Status.ENDED
    assert node.join(MANIFEST) == Refusal("BE", Reason.EXPIRED)
    assert node.running._ledger.totals().reserved == 0


@pytest.mark.parametrize("order", [sorted, lambda found, key: sorted(found, key=key, reverse=True)])
def test_the_record_is_kept_in_any_order_and_the_release_put_together(
    taken_on: Node, order: Callable[..., list[Finished]]
) -> None:
    for message in order(parts(), key=lambda message: message.part):
        assert isinstance(taken_on.ask(message), Kept)
    record = Record(taken_on.studies.directory("study-1"))
    assert record.transcript() == [b"one", b"two"]
    assert record.release() == RELEASE
    outcome = record.outcome()
    assert outcome is not None
    assert outcome.outcome == "finished"
    assert isinstance(taken_on.ask(parts()[3]), Kept)  # a part again, after all is together


@pytest.mark.parametrize("kept", [{}, {"study-1.json": (RELEASE, 0o640)}], ids=["no-roles", "roles"])
def test_a_release_is_kept_once_more_for_analysts_where_roles_are_set(
    taken_on: Node, kept: dict[str, object]
) -> None:
    shown = taken_on.directory / "releases"
    if kept:
        shown.mkdir()
        shown.chmod(0o2750)
    for message in parts():
        taken_on.ask(message)
    assert {path.name: (path.read_bytes(), path.stat().st_mode & 0o777) for path in shown.glob("*")} == kept


def test_a_release_with_another_hash_than_named_is_not_kept(taken_on: Node) -> None:
    *before, last = parts(b'{"weights":[9.0,9.0]}')
    for message in before:
        assert isinstance(taken_on.ask(message), Kept)
    assert isinstance(taken_on.ask(last), Refusal)
    with pytest.raises(UsageError, match="whole record"):
        Record(taken_on.studies.directory("study-1")).release()


@pytest.mark.parametrize(
    "second",
    [
        parts()[0].model_copy(update={"data": coded(b"other")}),
        parts()[0].model_copy(update={"outcome": "failed"}),
        parts()[0].model_copy(update={"release_hash": "0" * 64}),
        parts()[0].model_copy(update={"parts": 5}),
    ],
)
def test_a_second_ending_or_another_part_is_refused(taken_on: Node, second: Finished) -> None:
    taken_on.ask(parts()[0])
    assert isinstance(taken_on.ask(second), Refusal)
    assert Record(taken_on.studies.directory("study-1")).transcript() == [b"one"]


def test_a_record_cannot_fill_the_disk(taken_on: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 2**26 < largest_record(MANIFEST) < 2**28
    monkeypatch.setattr("safeborders_fed.node.records.largest_record", lambda _: 5)
    assert isinstance(taken_on.ask(parts()[0]), Kept)
    assert isinstance(taken_on.ask(parts()[1]), Refusal)


@pytest.mark.parametrize("message", [finished(study="other"), finished(manifest_hash="0" * 64)])
def test_the_end_of_another_study_is_refused(taken_on: Node, message: Finished) -> None:
    assert taken_on.ask(message) == Refusal("BE", Reason.NOT_APPROVED)
    assert taken_on.running._ledger.totals().reserved > 0


def test_a_study_that_nobody_ended_ends_when_its_last_day_is_past(taken_on: Node) -> None:
    assert taken_on.running.end_expired() == ()
    taken_on.time = NOW + timedelta(days=31)
    assert taken_on.running.end_expired() == ("study-1",)
    assert taken_on.running.end_expired() == ()
    assert taken_on.running._ledger.totals().reserved == 0
    assert taken_on.logged() == ["approve", "anchor", "study-end"]


def test_it_ends_at_the_next_start_too_whoever_signs_for_the_coordinator_then(taken_on: Node) -> None:
    taken_on.time, taken_on.operators = NOW + timedelta(days=31), ()
    taken_on.start()
    assert taken_on.running._ledger.totals().reserved == 0


def test_a_node_that_is_offered_no_studies_refuses_offers(tmp_path: Path) -> None:
    alone = participant(tmp_path, "BE", analysis_table(10, 1))
    request = offered(MANIFEST)
    assert decode(alone.answer(request.encode()).data) == Refusal("BE", Reason.MALFORMED)
    assert alone.end_expired() == ()


def test_answers_have_one_length_whatever_the_store_holds(tmp_path: Path) -> None:
    lengths = set()
    for rows in (1, 300):
        directory = tmp_path / str(rows)
        directory.mkdir()
        node = Node(directory)
        node.running._store.table = analysis_table(rows, 2)
        request = offered(MANIFEST)
        lengths.add(len(node.running.answer(request.encode()).data))
    assert len(lengths) == 1


def test_an_id_that_is_a_path_is_no_study(node: Node) -> None:
    with pytest.raises(UsageError, match="no study"):
        node.studies.directory("../store")
