"""What a node is told of a study: state changes that it checks and logs, reviews that permit nothing."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation_of import CEREMONY, EIGHT, LONG_AGO, analysis_table, history_of, participant, study
from safeborders_fed.errors import RefusedError
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node.approvals import Approval
from safeborders_fed.node.deciding import approve_study, refuse_study, withdraw_approval
from safeborders_fed.node.participant import Participant
from safeborders_fed.node.showing import others_say
from safeborders_fed.node.studies import NodeStudies
from safeborders_fed.node.taking_back import ApprovalWithdrawal, take_back
from safeborders_fed.study.handshake import Join, Joined
from safeborders_fed.study.messages import Message, Reason, Refusal, decode
from safeborders_fed.study.offering import Finished, Kept, Offer, Offered, Status, Why
from safeborders_fed.study.publication import publish
from safeborders_fed.study.reviews import Decision, SharedReview, share

MANIFEST = study(participants=EIGHT)
DIGEST = MANIFEST.hash()
OPERATOR = CEREMONY.operator
PEOPLE = CEREMONY.people["BE"]
STRANGER = Ed25519PrivateKey.generate()


def told(*states: Any, **changes: Any) -> Any:
    return history_of(MANIFEST, *states, **{"operator": OPERATOR, **changes})


def offer(**changes: Any) -> Offer:
    published = publish(MANIFEST, OPERATOR).decode()
    return Offer(**{"study": MANIFEST.id, "published": published, "history": told(), **changes})


def ended(outcome: Any = "withdrawn", **changes: Any) -> Finished:
    terms = {
        "study": MANIFEST.id,
        "manifest_hash": DIGEST,
        "outcome": outcome,
        "history": told("running", outcome),
        "release_hash": "",
        "part": 0,
        "parts": 1,
        "content": "nothing",
    }
    return Finished(**{**terms, **changes})


def review(
    node: str = "FI", status: Decision = "approved", reason: Why = Why.NONE, days: int = 0, by: str = ""
) -> SharedReview:
    return share(
        CEREMONY.identities[by or node].signing_key,
        study=MANIFEST.id,
        manifest_hash=DIGEST,
        node=node,
        status=status,
        reason=reason,
        at=LONG_AGO + timedelta(days=days),
    )


@dataclass
class Node:
    directory: Path
    sharing: bool = False
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
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
            analysis_table(20, 1),
            ceremony=CEREMONY,
            studies=NodeStudies(self.directory, (public_hex(OPERATOR),)),
            share_reviews=self.sharing,
            clock=lambda: self.time,
        )

    @property
    def desk(self) -> Any:
        assert self.running._offers is not None
        return self.running._offers.desk

    def ask(self, request: Offer | Finished | Join) -> Message:
        return decode(self.running.answer(request.encode()).data)

    def offered(self, **changes: Any) -> Offered:
        found = self.ask(offer(**changes))
        assert isinstance(found, Offered)
        return found

    def approve(self, person: int) -> None:
        self.decide(approve_study, person, valid=timedelta(days=10))

    def decide(self, decision: Callable[..., Any], person: int, **terms: Any) -> Any:
        name, key = PEOPLE.enrolled[person].name, PEOPLE._keys[person]
        return decision(self.desk, MANIFEST.id, manifest_hash=DIGEST, name=name, key=key, **terms)

    def join(self) -> Message:
        return self.ask(Join(study=MANIFEST.id, manifest_hash=DIGEST, call="00" * 16))

    def entries(self, operation: str) -> list[dict[str, Any]]:
        lines = (self.directory / "BE.audit.jsonl").read_text(encoding="utf-8").splitlines()
        return [entry for entry in map(json.loads, lines) if entry["operation"] == operation]


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_each_change_is_in_the_audit_log_once_with_who_and_why(node: Node) -> None:
    node.offered()
    node.offered()
    node.start()
    node.offered(history=told("running"))
    node.ask(ended())
    node.ask(ended())
    logged = node.entries("study-state")
    assert [entry["details"]["state"] for entry in logged] == ["draft", "published", "running", "withdrawn"]
    assert [entry["details"]["number"] for entry in logged] == [1, 2, 3, 4]
    assert {(entry["who"], entry["why"]) for entry in logged} == {("Ana Ruiz", "a test")}
    assert [entry["details"]["hash"] for entry in logged] == [
        change.hash() for change in told("running", "withdrawn").changes
    ]


WRONG: dict[str, Callable[[], Any]] = {
    "another operator vouches": lambda: told(operator=STRANGER),
    "of another study": lambda: history_of(study(id="study-2", participants=EIGHT), operator=OPERATOR),
    "a signature is missing": lambda: told().model_copy(
        update={"changes": (*told().changes[:-1], told().changes[-1].model_copy(update={"by": "Bo"}))}
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_study_whose_history_does_not_hold_is_rejected_logged_and_not_kept(node: Node, name: str) -> None:
    found = node.offered(history=WRONG[name]())
    assert (found.status, found.reason) == (Status.REJECTED, Why.HISTORY)
    node.offered(history=WRONG[name]())
    (entry,) = node.entries("refuse-request")
    assert entry["details"] == {"study": MANIFEST.id, "manifest": DIGEST, "key": entry["details"]["key"]}
    assert node.desk.studies.ids() == ()
    assert not node.entries("study-state")


def test_a_history_that_does_not_continue_the_one_known_is_refused_and_the_known_one_stays(
    node: Node,
) -> None:
    node.offered(history=told("running"))
    for other in (told("failed"), told(), told(key=STRANGER)):
        assert node.offered(history=other).reason == Why.HISTORY
    assert len(node.entries("refuse-request")) == 3
    assert node.desk.studies.history(MANIFEST.id) == told("running")
    assert node.offered(history=told("running", "published")).status == Status.PENDING


def taken_on(node: Node) -> Node:
    node.offered()
    node.approve(0)
    node.approve(1)
    assert isinstance(node.join(), Joined)
    return node


@pytest.mark.parametrize(
    "history",
    [told("running"), told("running", "failed"), told("running", "withdrawn", operator=STRANGER), told()],
)
def test_nobody_ends_a_study_without_a_signed_change_that_says_so(node: Node, history: Any) -> None:
    taken_on(node)
    assert node.ask(ended(history=history)) == Refusal("BE", Reason.MALFORMED)
    assert node.running._ledger.totals().reserved > 0
    assert len(node.entries("refuse-request")) == 1
    assert node.desk.standing(MANIFEST).status == Status.TAKEN_ON
    assert isinstance(node.ask(ended()), Kept)
    assert node.running._ledger.totals().reserved == 0


def test_eight_shared_approvals_approve_nothing_here(node: Node) -> None:
    reviews = tuple(review(name) for name in EIGHT if name != "BE")
    found = node.offered(reviews=(*reviews, review("BE")))
    assert (found.status, found.review) == (Status.PENDING, None)
    assert node.desk.standing(MANIFEST).approved_by == ()
    assert node.join() == Refusal("BE", Reason.NOT_APPROVED)
    assert others_say(node.desk, MANIFEST) == "approved by BG, FI, GR, IT, PL, PT, RO"
    node.approve(0)
    assert node.join() == Refusal("BE", Reason.NOT_APPROVED)


def test_shared_refusals_refuse_nothing_here(node: Node) -> None:
    reviews = tuple(review(name, "refused", Why.COST) for name in EIGHT if name != "BE")
    node.offered(reviews=reviews)
    node.approve(0)
    node.approve(1)
    assert node.offered(reviews=reviews).status == Status.APPROVED
    assert isinstance(node.join(), Joined)


def test_a_newer_review_replaces_an_older_one_also_after_a_restart(node: Node) -> None:
    node.offered(reviews=(review(), review("GR", "refused", Why.LEGAL_BASIS)))
    node.start()
    node.offered(reviews=(review(status="withdrawn", days=1),))
    assert others_say(node.desk, MANIFEST) == "refused by GR (legal-basis); taken back by FI"
    assert not node.entries("refuse-request")


@pytest.mark.parametrize(
    "bad",
    [
        review("FI", days=-1),
        review("FI", "refused", Why.COST),
        review("GR", by="FI"),
        review("GR").model_copy(update={"study": "study-2"}),
        review("GR").model_copy(update={"node": "SE"}),
        review("BE"),
        review("GR", days=10_000),
    ],
    ids=["stale", "of the same time", "forged", "foreign study", "foreign state", "our own", "future"],
)
def test_a_forged_stale_or_foreign_review_is_ignored_and_logged_once(node: Node, bad: SharedReview) -> None:
    node.offered(reviews=(review("FI"),))
    for _ in range(2):
        assert node.offered(reviews=(bad, review("PL"))).status == Status.PENDING
    assert others_say(node.desk, MANIFEST) == "approved by FI, PL"
    assert len(node.entries("refuse-request")) == 1


def test_a_review_by_a_key_that_is_accepted_no_more_is_not_shown(node: Node) -> None:
    node.offered(reviews=(review("FI"),))
    later = replace(node.desk, accepted={**node.desk.accepted, "FI": public_hex(STRANGER)})
    assert others_say(later, MANIFEST) == ""


def test_nothing_is_shared_unless_the_settings_say_so(node: Node) -> None:
    node.offered()
    node.approve(0)
    node.approve(1)
    assert node.offered().review is None


def test_a_decision_is_shared_under_the_nodes_key_the_same_bytes_each_time(tmp_path: Path) -> None:
    node = Node(tmp_path, sharing=True)
    assert node.offered().review is None
    node.approve(0)
    assert node.offered().review is None, "one of two is no decision"
    node.approve(1)
    first = node.offered().review
    assert first is not None
    first.check(MANIFEST.id, DIGEST, CEREMONY.roster.keys(), node.time)
    assert (first.node, first.status, first.reason) == ("BE", "approved", Why.NONE)
    assert not any(person.name.encode() in first.to_bytes() for person in PEOPLE.enrolled)
    assert node.offered().review == first
    node.time += timedelta(minutes=1)
    node.decide(withdraw_approval, 0)
    back = node.offered().review
    assert back is not None
    assert back.status == "withdrawn"
    assert back.follows(first)
    node.time += timedelta(minutes=1)
    node.decide(refuse_study, 1, reason=Why.LEGAL_BASIS)
    refused = node.offered().review
    assert refused is not None
    assert (refused.status, refused.reason) == ("refused", Why.LEGAL_BASIS)
    assert refused.follows(back)


def test_an_approval_can_be_taken_back_until_the_study_is_taken_on_and_given_again(node: Node) -> None:
    node.offered()
    node.approve(0)
    node.approve(1)
    node.time += timedelta(minutes=1)
    withdrawal, standing = node.decide(withdraw_approval, 0)
    withdrawal.check()
    assert standing.approved_by == (PEOPLE.enrolled[1].name,)
    assert node.join() == Refusal("BE", Reason.NOT_APPROVED)
    (entry,) = node.entries("withdraw")
    assert entry["who"] == PEOPLE.enrolled[0].name
    with pytest.raises(RefusedError) as error:
        node.decide(withdraw_approval, 0)
    assert error.value.code == "nothing-to-take-back"
    node.time += timedelta(minutes=1)
    node.approve(0)
    assert isinstance(node.join(), Joined)
    with pytest.raises(RefusedError) as error:
        node.decide(withdraw_approval, 1)
    assert error.value.code == "study-running"
    node.join()
    assert len(node.entries("withdraw")) == 1


def test_an_earlier_approval_put_back_on_the_disk_does_not_count(node: Node) -> None:
    node.offered()
    node.approve(0)
    node.approve(1)
    (earlier,) = [
        entry for entry in node.desk.studies.approvals(MANIFEST.id) if entry.name == PEOPLE.enrolled[0].name
    ]
    node.decide(withdraw_approval, 0)
    node.desk.studies.add_approval(MANIFEST.id, earlier)
    assert node.join() == Refusal("BE", Reason.NOT_APPROVED)


def test_a_withdrawal_by_a_clock_that_went_back_counts_all_the_same(node: Node) -> None:
    node.offered()
    node.approve(0)
    node.approve(1)
    node.time -= timedelta(minutes=4)
    node.decide(withdraw_approval, 1)
    assert node.desk.standing(MANIFEST).status == Status.PENDING


def test_who_takes_back_while_the_service_takes_the_study_on_is_told_that_it_runs(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.offered()
    node.approve(0)
    node.approve(1)
    write = NodeStudies.add_withdrawal

    def meanwhile(studies: NodeStudies, withdrawal: ApprovalWithdrawal) -> Path:
        assert isinstance(node.join(), Joined)
        return write(studies, withdrawal)

    monkeypatch.setattr(NodeStudies, "add_withdrawal", meanwhile)
    with pytest.raises(RefusedError) as error:
        node.decide(withdraw_approval, 0)
    assert error.value.code == "study-running"


def test_nobody_takes_back_what_another_person_approved(node: Node) -> None:
    node.offered()
    node.approve(0)
    with pytest.raises(RefusedError) as error:
        node.decide(withdraw_approval, 1)
    assert error.value.code == "nothing-to-take-back"
    with pytest.raises(RefusedError) as error:
        withdraw_approval(
            node.desk, MANIFEST.id, manifest_hash=DIGEST, name=PEOPLE.enrolled[0].name, key=STRANGER
        )
    assert error.value.code == "not-an-approver"
    assert len(node.desk.standing(MANIFEST).approved_by) == 1


@pytest.mark.parametrize("content", [b"{}", None], ids=["damaged", "forged"])
def test_what_the_key_that_approved_has_not_signed_takes_nothing_back(
    node: Node, caplog: pytest.LogCaptureFixture, content: bytes | None
) -> None:
    """People of a group can leave papers there: see ``node.boxes``."""
    node.offered()
    node.approve(0)
    node.approve(1)
    node.decide(withdraw_approval, 0)
    (path,) = (node.desk.studies.directory(MANIFEST.id) / "withdrawals").iterdir()
    assert node.desk.standing(MANIFEST).status == Status.PENDING
    path.write_bytes(
        path.read_bytes().replace(b'"signature":"', b'"signature":"00')[:-4] + b'"}'
        if content is None
        else content
    )
    assert node.desk.standing(MANIFEST).status == Status.APPROVED
    assert "is passed over" in caplog.text


def test_approvals_expire_one_by_one(node: Node) -> None:
    node.offered()
    node.decide(approve_study, 0, valid=timedelta(days=2))
    node.decide(approve_study, 1, valid=timedelta(days=5))
    assert node.desk.standing(MANIFEST).status == Status.APPROVED
    node.time += timedelta(days=2)
    standing = node.desk.standing(MANIFEST)
    assert (standing.status, standing.approved_by) == (Status.PENDING, (PEOPLE.enrolled[1].name,))
    assert node.join() == Refusal("BE", Reason.NOT_APPROVED)


def leave(node: Node, box: str, paper: Approval | ApprovalWithdrawal, name: str = "left.json") -> None:
    """What anybody of the approvers' group can put into a box."""
    (node.desk.studies.directory(MANIFEST.id) / box / name).write_bytes(paper.to_bytes())


def test_nobody_takes_an_approval_back_in_anothers_name(node: Node) -> None:
    """A key that is nobody's signs well; the log must not say that a person did it."""
    node.offered()
    node.approve(0)
    (own,) = node.desk.studies.approvals(MANIFEST.id)
    leave(node, "withdrawals", take_back(STRANGER, own, study=MANIFEST.id, signed_at=node.time))
    offered = node.offered()
    assert node.desk.standing(MANIFEST).approved_by == (PEOPLE.enrolled[0].name,)
    assert (node.entries("withdraw"), offered.review) == ([], None)


def test_a_withdrawal_under_another_name_counts_and_is_logged_under_that_of_its_key(node: Node) -> None:
    node.offered()
    node.approve(0)
    (own,) = node.desk.studies.approvals(MANIFEST.id)
    renamed = own.model_copy(update={"name": PEOPLE.enrolled[1].name})
    leave(node, "withdrawals", take_back(PEOPLE._keys[0], renamed, study=MANIFEST.id, signed_at=node.time))
    node.offered()
    assert node.desk.standing(MANIFEST).approved_by == ()
    (entry,) = node.entries("withdraw")
    assert entry["who"] == PEOPLE.enrolled[0].name


def test_papers_that_nobody_signed_are_in_no_shared_review(tmp_path: Path) -> None:
    node = Node(tmp_path, sharing=True)
    node.offered()
    node.approve(0)
    node.approve(1)
    before = node.offered().review
    (own, _) = node.desk.studies.approvals(MANIFEST.id)
    later = node.time + timedelta(days=5)
    leave(
        node, "approvals", own.model_copy(update={"signed_at": later, "expires": later + timedelta(days=9)})
    )
    leave(node, "withdrawals", take_back(STRANGER, own, study=MANIFEST.id, signed_at=later))
    assert before is not None
    assert node.offered().review == before


def test_a_restart_logs_nobody_who_did_not_sign(node: Node) -> None:
    """Killed between the ledger and the audit log, the node logs the approval when it starts again."""
    node.offered()
    node.approve(0)
    node.approve(1)
    (own, _) = node.desk.studies.approvals(MANIFEST.id)
    leave(node, "approvals", own.model_copy(update={"name": "The Minister"}))
    snapshot = node.desk.latest_snapshot()
    node.running.ledger.reserve(MANIFEST.id, DIGEST, MANIFEST.rho, snapshot)
    node.start()
    assert isinstance(node.join(), Joined)
    (entry,) = node.entries("approve")
    assert sorted(entry["who"].split(", ")) == sorted(person.name for person in PEOPLE.enrolled[:2])


@pytest.mark.parametrize("state", ["withdrawn", "failed"])
def test_what_the_coordinator_signed_as_ended_is_not_taken_on(node: Node, state: Any) -> None:
    """The signed history reaches the node with an offer before the end itself does."""
    node.offered()
    node.approve(0)
    node.approve(1)
    assert node.offered(history=told(state)).status == Status.ENDED
    answer = node.join()
    assert isinstance(answer, Refusal)
    assert answer.reason == Reason.EXPIRED
    assert node.running.ledger.reservation(MANIFEST.id) is None
