"""What is said of a study before its first round and after its last has one form, from fixed lists."""

import pytest

from federation_of import history_of, study
from safeborders_fed.errors import PeerError
from safeborders_fed.study import canonical, wire
from safeborders_fed.study.messages import decode
from safeborders_fed.study.offering import (
    HUMAN_REASONS,
    LARGEST_PART,
    Finished,
    Kept,
    Offer,
    Offered,
    Status,
    Why,
    coded,
)

HASH = "ab" * 32
OFFERED = Offered(study="s", node="BG", manifest_hash=HASH, status=Status.PENDING)
HISTORY = history_of(study())
FINISHED = Finished(
    study="s",
    manifest_hash=HASH,
    history=HISTORY,
    outcome="finished",
    release_hash=HASH,
    part=1,
    parts=2,
    content="transcript",
    data=coded(b"\x00\xffpart"),
)


@pytest.mark.parametrize(
    "message",
    [
        Offer(study="s-1", published="{}", history=HISTORY),
        OFFERED,
        FINISHED,
        Kept(study="s", node="BG", part=0),
    ],
)
def test_a_message_comes_back_as_it_was(message: Offer | Offered | Finished | Kept) -> None:
    assert decode(message.encode()) == message


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("reason", list(Why))
def test_each_status_and_reason_of_the_lists_can_be_said(status: Status, reason: Why) -> None:
    said = OFFERED.model_copy(update={"status": status, "reason": reason})
    assert decode(said.encode()) == said


def test_parts_come_back_byte_by_byte_also_the_largest() -> None:
    data = bytes(range(256)) * (LARGEST_PART // 256)
    found = decode(FINISHED.model_copy(update={"data": coded(data)}).encode())
    assert isinstance(found, Finished)
    assert found.decoded() == data


def test_people_give_reasons_from_a_part_of_the_list_that_services_do_not_use() -> None:
    assert set(HUMAN_REASONS) < set(Why)
    assert Why.POLICY not in HUMAN_REASONS
    assert Why.NONE not in HUMAN_REASONS


def altered(message: Offered | Finished, **changes: object) -> bytes:
    return wire.encode({**message.model_dump(mode="json"), **changes}, {})


@pytest.mark.parametrize(
    "data",
    [
        altered(OFFERED, status="maybe"),
        altered(OFFERED, reason="because the file holds 3 victims"),
        altered(OFFERED, victims=3),
        altered(OFFERED, study="../../etc"),
        altered(OFFERED, manifest_hash="ab"),
        altered(FINISHED, outcome="lost"),
        altered(FINISHED, part=2),
        altered(FINISHED, parts=0),
        altered(FINISHED, part=True),
        altered(FINISHED, data="not base64"),
        altered(FINISHED, data=coded(b"0" * (LARGEST_PART + 4))),
        altered(FINISHED, content="cases"),
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(PeerError) as error:
        decode(data)
    assert error.value.code == "malformed-message"


def test_fields_in_another_order_are_refused() -> None:
    text = canonical.serialise({**OFFERED.model_dump(mode="json"), "protocol": wire.PROTOCOL, "arrays": []})
    moved = b'{"type":"offered",' + text[1:].replace(b',"type":"offered"', b"")
    with pytest.raises(PeerError):
        decode(b"SBF%d\0\0" % wire.PROTOCOL + len(moved).to_bytes(4, "little") + moved)
