"""Bad input, named in two tables: what is no study, and what is no approval. Neither starts anything."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from federation_of import EXPIRES, SMALL, analysis_table, history_of, participant, study
from safeborders_fed.masking import signing
from safeborders_fed.masking.signing import Purpose, public_hex
from safeborders_fed.node.approvals import Approval, Approver, Revoked, approve
from safeborders_fed.node.participant import Participant
from safeborders_fed.node.studies import NodeStudies
from safeborders_fed.study import canonical
from safeborders_fed.study.handshake import Join
from safeborders_fed.study.messages import Message, Reason, Refusal, decode
from safeborders_fed.study.offering import Offer, Offered, Status, Why
from safeborders_fed.study.publication import publish

MANIFEST = study()
OTHER = study(id="study-1", purpose="another purpose")
PEOPLE = SMALL.people["BE"]
CONTENT: dict[str, Any] = MANIFEST.model_dump(mode="json")


def signed(content: dict[str, Any], payload: bytes | None = None) -> str:
    """A manifest of this content as a careless or hostile operator publishes it, with a true signature."""
    covered = canonical.serialise(content) if payload is None else payload
    return canonical.serialise(
        {
            "manifest": content,
            "signer": public_hex(SMALL.operator),
            "signature": signing.sign(SMALL.operator, Purpose.MANIFEST, covered),
        }
    ).decode("utf-8")


GOOD = signed(CONTENT)
RHO = f'"rho":{json.dumps(MANIFEST.rho)},"roster'
NO_STUDIES: dict[str, str] = {
    "an extra field": signed({**CONTENT, "export": True}),
    "a field is missing": signed({name: value for name, value in CONTENT.items() if name != "retries"}),
    "a repeated key": GOOD.replace(RHO, f'"rho":1e-9,{RHO}'),
    "NaN": GOOD.replace(RHO, '"rho":NaN,"roster'),
    "infinity": GOOD.replace(RHO, '"rho":Infinity,"roster'),
    "a number beyond floats": GOOD.replace(RHO, '"rho":1e999,"roster'),
    "a number of 400 digits": GOOD.replace(RHO, f'"rho":{"9" * 400},"roster'),
    "400 digits, signed": signed({**CONTENT, "max_victims": 10**39}),
    "a negative epsilon": signed({**CONTENT, "epsilon": -1.0}),
    "a negative rho": signed({**CONTENT, "rho": -1.0}),
    "an epsilon below its rho": signed({**CONTENT, "epsilon": MANIFEST.epsilon / 2}),
    "a number as text": signed({**CONTENT, "epsilon": str(MANIFEST.epsilon)}),
    "a column that does not exist": signed({**CONTENT, "columns": ["eye_colour"]}),
    "a column that it does not read": signed({**CONTENT, "columns": [*CONTENT["columns"], "citizenship"]}),
    "a feature that does not exist": signed(
        {**CONTENT, "parameters": {**CONTENT["parameters"], "features": ["eye_colour"]}}
    ),
    "a parameter that does not exist": signed(
        {**CONTENT, "parameters": {**CONTENT["parameters"], "suspects": True}}
    ),
    "a parameter below its range": signed({**CONTENT, "parameters": {**CONTENT["parameters"], "rounds": -1}}),
    "a date that does not exist": signed({**CONTENT, "expires": "2026-02-30"}),
    "a date with a time": signed({**CONTENT, "expires": "2027-01-01T00:00:00"}),
    "a signature over another canonical form": signed(
        CONTENT, json.dumps(CONTENT, sort_keys=True).encode("utf-8")
    ),
    "a signature over another order": signed(
        CONTENT, json.dumps(dict(reversed(CONTENT.items())), separators=(",", ":")).encode("utf-8")
    ),
    "a signature over another manifest": signed(CONTENT, OTHER.canonical()),
    "a signature for another purpose": GOOD.replace(
        json.loads(GOOD)["signature"], signing.sign(SMALL.operator, Purpose.MODEL, MANIFEST.canonical())
    ),
    "another canonical form": json.dumps(json.loads(GOOD), indent=1),
    "a lone surrogate": GOOD.replace("a test", "\\ud800"),
    "nested too deep": '{"manifest":' + "[" * 5_000 + "]" * 5_000 + "}",
    "nothing": "{}",
}


def node(directory: Path, approvers: tuple[Approver, ...] = PEOPLE.enrolled) -> Participant:
    made = participant(
        directory,
        "BE",
        analysis_table(20, 1),
        studies=NodeStudies(directory, (public_hex(SMALL.operator),)),
    )
    assert made._offers is not None
    object.__setattr__(made._offers.desk, "approvers", approvers)
    return made


def ask(made: Participant, request: Offer | Join) -> Message:
    return decode(made.answer(request.encode()).data)


def offered(made: Participant, published: str) -> Message:
    return ask(made, Offer(study="study-1", published=published, history=history_of(MANIFEST)))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Participant:
    return node(tmp_path_factory.mktemp("node"))


@pytest.mark.parametrize("name", NO_STUDIES)
def test_what_is_no_study_is_rejected_and_not_kept(shared: Participant, name: str) -> None:
    assert NO_STUDIES[name] != GOOD
    found = offered(shared, NO_STUDIES[name])
    assert isinstance(found, Offered)
    assert (found.status, found.reason) == (Status.REJECTED, Why.MALFORMED)
    assert shared._offers is not None
    assert shared._offers.desk.studies.ids() == ()


def test_the_same_study_without_any_of_it_is_taken(tmp_path: Path) -> None:
    found = offered(node(tmp_path), GOOD)
    assert isinstance(found, Offered)
    assert (found.status, found.reason) == (Status.PENDING, Why.NONE)


def test_an_expired_study_is_shown_as_such_and_never_starts(tmp_path: Path) -> None:
    made, old = node(tmp_path), study(expires=datetime(2026, 1, 1, tzinfo=UTC).date())
    assert old.expires < EXPIRES
    request = Offer(study="study-1", published=publish(old, SMALL.operator).decode(), history=history_of(old))
    found = ask(made, request)
    assert isinstance(found, Offered)
    assert (found.status, found.reason) == (Status.PENDING, Why.EXPIRED)
    for approval in PEOPLE.approve("study", old.hash()):
        made._offers.desk.studies.add_approval("study-1", approval)  # type: ignore[union-attr]
    join = Join(study="study-1", manifest_hash=old.hash(), call="00" * 16)
    assert isinstance(ask(made, join), Refusal)


def approval(person: int, signed_hash: str, *, days: int = 1, **changes: Any) -> Approval:
    now = datetime.now(UTC)
    terms: dict[str, Any] = {
        "name": PEOPLE.enrolled[person].name,
        "subject": "study",
        "subject_hash": signed_hash,
        "signed_at": now + timedelta(days=min(0, days - 1)),
        "expires": now + timedelta(days=days),
    }
    return approve(PEOPLE._keys[person], **{**terms, **changes})


FIRST, SECOND = PEOPLE.enrolled
RIGHT = MANIFEST.hash()
YESTERDAY = Revoked(on=datetime(2026, 1, 1, tzinfo=UTC).date(), reason="left")
NO_APPROVALS: dict[str, Callable[[], tuple[list[Approval], tuple[Approver, ...]]]] = {
    "by the same person twice": lambda: ([approval(0, RIGHT), approval(0, RIGHT)], (FIRST, SECOND)),
    "by the same person with two keys": lambda: (
        [approval(0, RIGHT), approval(1, RIGHT, name=FIRST.name)],
        (FIRST, SECOND.model_copy(update={"name": FIRST.name})),
    ),
    "by a revoked key": lambda: (
        [approval(0, RIGHT), approval(1, RIGHT)],
        (FIRST, SECOND.model_copy(update={"revoked": YESTERDAY})),
    ),
    "by a key that nobody knows": lambda: ([approval(0, RIGHT), approval(1, RIGHT)], (FIRST,)),
    "by an auditor": lambda: (
        [approval(0, RIGHT), approval(1, RIGHT)],
        (FIRST, SECOND.model_copy(update={"role": "auditor"})),
    ),
    "for another manifest": lambda: ([approval(0, RIGHT), approval(1, OTHER.hash())], (FIRST, SECOND)),
    "for another manifest, relabelled": lambda: (
        [approval(0, RIGHT), approval(1, OTHER.hash()).model_copy(update={"subject_hash": RIGHT})],
        (FIRST, SECOND),
    ),
    "of a roster's key": lambda: (
        [approval(0, RIGHT), approval(1, RIGHT, subject="key-acceptance")],
        (FIRST, SECOND),
    ),
    "that has expired": lambda: (
        [approval(0, RIGHT), approval(1, RIGHT, days=-1, signed_at=datetime(2026, 1, 1, tzinfo=UTC))],
        (FIRST, SECOND),
    ),
    "that was made to last longer": lambda: (
        [
            approval(0, RIGHT),
            approval(1, RIGHT).model_copy(update={"expires": datetime.now(UTC) + timedelta(days=99)}),
        ],
        (FIRST, SECOND),
    ),
    "in the name of another": lambda: (
        [approval(0, RIGHT), approval(0, RIGHT).model_copy(update={"approver": SECOND.public})],
        (FIRST, SECOND),
    ),
}


@pytest.mark.parametrize("name", NO_APPROVALS)
def test_what_is_no_second_approval_starts_nothing(tmp_path: Path, name: str) -> None:
    given, approvers = NO_APPROVALS[name]()
    made = node(tmp_path, approvers)
    offered(made, GOOD)
    assert made._offers is not None
    for entry in given:
        made._offers.desk.studies.add_approval("study-1", entry)
    found = ask(made, Join(study="study-1", manifest_hash=RIGHT, call="00" * 16))
    assert found == Refusal("BE", Reason.NOT_APPROVED)
    assert made._ledger.totals().reserved == 0


def test_two_people_do_start_it(tmp_path: Path) -> None:
    made = node(tmp_path)
    offered(made, GOOD)
    assert made._offers is not None
    for person in (0, 1):
        made._offers.desk.studies.add_approval("study-1", approval(person, RIGHT))
    assert not isinstance(ask(made, Join(study="study-1", manifest_hash=RIGHT, call="00" * 16)), Refusal)
