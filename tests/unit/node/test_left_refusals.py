"""A no that a person leaves in a box counts if their signature holds, and stands once the service saw it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation_of import SMALL, analysis_table, history_of, participant, study
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node import boxes
from safeborders_fed.node.approvals import Revoked
from safeborders_fed.node.participant import Participant
from safeborders_fed.node.refusals import StudyRefusal, refuse
from safeborders_fed.node.studies import NodeStudies
from safeborders_fed.node.study_papers import APPROVALS, REFUSALS, WITHDRAWALS
from safeborders_fed.node.taking_back import take_back
from safeborders_fed.study.handshake import Join, Joined
from safeborders_fed.study.messages import decode
from safeborders_fed.study.offering import Offer, Why
from safeborders_fed.study.publication import publish

PEOPLE = SMALL.people["BE"]
MANIFEST = study()


@pytest.fixture
def studies(tmp_path: Path) -> NodeStudies:
    return NodeStudies(tmp_path, (public_hex(SMALL.operator),))


@pytest.fixture
def node(tmp_path: Path, studies: NodeStudies) -> Iterator[Participant]:
    made = participant(tmp_path, "BE", analysis_table(40, 1), studies=studies)
    made.answer(offer())
    for approval in PEOPLE.approve("study", MANIFEST.hash()):
        studies.add_approval(MANIFEST.id, approval)
    yield made
    made.ledger.close()
    made.audit_log.close()


def offer() -> bytes:
    return Offer(
        study=MANIFEST.id,
        published=publish(MANIFEST, SMALL.operator).decode(),
        history=history_of(MANIFEST),
    ).encode()


def no(key: Ed25519PrivateKey | None = None, name: str | None = None) -> StudyRefusal:
    return refuse(
        key or PEOPLE._keys[0],
        study=MANIFEST.id,
        manifest_hash=MANIFEST.hash(),
        reason=Why.PURPOSE,
        name=name or PEOPLE.enrolled[0].name,
        signed_at=datetime.now(UTC),
    )


def leave(studies: NodeStudies, content: bytes, name: str = "paper.json") -> Path:
    path = studies.directory(MANIFEST.id) / REFUSALS / name
    path.write_bytes(content)
    return path


def starts(node: Participant) -> bool:
    answer = node.answer(Join(study=MANIFEST.id, manifest_hash=MANIFEST.hash()).encode())
    return isinstance(decode(answer.data), Joined)


def test_a_no_in_the_box_keeps_the_study_from_starting_and_outlives_its_paper(
    node: Participant, studies: NodeStudies
) -> None:
    paper = leave(studies, no().to_bytes())
    assert not starts(node)
    paper.unlink()
    assert studies.refusal(MANIFEST.id) is not None
    assert not starts(node)


def test_an_offer_makes_it_stand_as_well(node: Participant, studies: NodeStudies) -> None:
    leave(studies, no().to_bytes()).with_name("other.json").write_bytes(b"x")
    node.answer(offer())
    assert studies.refusal(MANIFEST.id) is not None


FORGED = {
    "nobody enrolled": no(Ed25519PrivateKey.generate()).to_bytes(),
    "in another's name": no(PEOPLE._keys[0], PEOPLE.enrolled[1].name).to_bytes(),
    "changed": no().to_bytes().replace(b'"purpose"', b'"columns"'),
    "for another study": no().to_bytes().replace(b'"study-1"', b'"study-2"'),
    "not canonical": json.dumps(json.loads(no().to_bytes()), indent=1).encode(),
    "an approval": PEOPLE.approve("study", MANIFEST.hash())[0].to_bytes(),
    "empty": b"",
    "noise": b"\xff\xfe\x00" * 1000,
    "deep": b"[" * 60_000,
    "digits": b'{"schema_version":' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("content", FORGED.values(), ids=FORGED)
def test_a_forged_one_counts_for_nothing(node: Participant, studies: NodeStudies, content: bytes) -> None:
    leave(studies, content)
    assert studies.left_refusals(MANIFEST.id, PEOPLE.enrolled) == ()
    assert starts(node)


def test_that_of_a_key_that_was_revoked_since_counts(studies: NodeStudies) -> None:
    studies.keep(publish(MANIFEST, SMALL.operator))
    said = no()
    leave(studies, said.to_bytes())
    gone = Revoked(on=date(2026, 1, 1), reason="left")
    people = [person.model_copy(update={"revoked": gone}) for person in PEOPLE.enrolled]
    assert studies.left_refusals(MANIFEST.id, people) == (said,)


def test_the_earliest_counts_first(studies: NodeStudies) -> None:
    studies.keep(publish(MANIFEST, SMALL.operator))
    said = [no(), no(PEOPLE._keys[1], PEOPLE.enrolled[1].name)]
    for name, refusal in zip(("b.json", "a.json"), said, strict=True):
        leave(studies, refusal.to_bytes(), name)
    assert studies.left_refusals(MANIFEST.id, PEOPLE.enrolled) == tuple(said)


@pytest.mark.parametrize("box", [REFUSALS, WITHDRAWALS])
def test_who_fills_a_box_hides_no_no(
    node: Participant, studies: NodeStudies, monkeypatch: pytest.MonkeyPatch, box: str
) -> None:
    monkeypatch.setattr(boxes, "MOST_PAPERS", 3)
    said: bytes = no().to_bytes()
    if box == WITHDRAWALS:
        (own,) = [paper for paper in studies.approvals(MANIFEST.id) if paper.name == PEOPLE.enrolled[0].name]
        said = take_back(PEOPLE._keys[0], own, study=MANIFEST.id, signed_at=datetime.now(UTC)).to_bytes()
    directory = studies.directory(MANIFEST.id) / box
    (directory / "z.json").write_bytes(said)
    for number in range(4):
        (directory / f"{number}.json").touch()
    assert not starts(node)
    for number in range(4):
        (directory / f"{number}.json").unlink()
    assert not starts(node)
    (directory / "z.json").unlink()


def test_boxes_that_a_crash_kept_from_being_made_are_made_with_the_next_offer(studies: NodeStudies) -> None:
    studies.keep(publish(MANIFEST, SMALL.operator))
    for name in (APPROVALS, REFUSALS, WITHDRAWALS):
        (studies.directory(MANIFEST.id) / name).rmdir()
    studies.keep(publish(MANIFEST, SMALL.operator))
    for name in (APPROVALS, REFUSALS, WITHDRAWALS):
        assert (studies.directory(MANIFEST.id) / name).is_dir()
