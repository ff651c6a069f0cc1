"""The pace of a node's link, and what it says of a connection that fails."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace

import httpx
import pytest
from flwr.app import Message
from flwr.common.constant import ErrorCode
from flwr.supercore.task_identity import TaskIdentity

from safeborders_fed.errors import PeerError
from safeborders_fed.study.wire import PROTOCOL
from safeborders_fed.transport import fleet
from safeborders_fed.transport.apps import pack, unpack
from safeborders_fed.transport.bundle import bundle_hash
from safeborders_fed.transport.fleet import Link, Pace, _explain


def test_it_looks_slowly_when_there_is_nothing_to_do() -> None:
    pace = Pace()
    assert pace.pause(0.0) == 2.0
    pace.answered(10.0)
    assert pace.pause(10.0) < 0.2
    assert pace.pause(80.0) == 2.0


def test_it_looks_when_the_next_round_may_be_expected() -> None:
    pace, now, looks = Pace(), 0.0, []
    for _ in range(20):  # a round each second
        pace.answered(now)
        due, count = now + 1.0, 0
        while now < due:
            now += pace.pause(now)
            count += 1
        looks.append(count)
        pace.came(now)
    assert looks[0] > 6
    assert max(looks[-5:]) <= 4


def test_quicker_rounds_are_followed() -> None:
    pace = Pace()
    for _ in range(10):
        pace.answered(0.0)
        pace.came(3.0)
    late = []
    now = 0.0
    for _ in range(12):
        pace.answered(now)
        due = now + 0.3
        now += pace.pause(now)
        while now < due:
            now += pace.pause(now)
        late.append(now - due)
        pace.came(now)
    assert late[0] > 1.0
    assert late[-1] < 0.15


@pytest.mark.parametrize(
    ("status", "word"),
    [(401, "revoked"), (412, "revoked"), (404, "address"), (503, "starting"), (500, "500"), (418, "418")],
)
def test_a_refusal_says_what_to_look_at(status: int, word: str) -> None:
    request = httpx.Request("POST", "https://127.0.0.1:1/v1/fleet/pull-messages")
    error = httpx.HTTPStatusError("x", request=request, response=httpx.Response(status, request=request))
    assert word in _explain(error)


def test_a_certificate_that_is_not_accepted_is_named() -> None:
    text = _explain(httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate has expired"))
    assert "expired" in text
    assert "doctor" in text
    assert "cannot be reached" in _explain(httpx.ConnectError("refused"))


class Counting:
    """An executor that counts what it is asked, and is slow: meanwhile the same is asked again."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def answer(self, data: bytes, meanwhile: Callable[[], None]) -> bytes:
        meanwhile()
        self.asked.append(data)
        return data + b"!%d" % len(self.asked)


def test_what_was_asked_again_meanwhile_makes_no_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers leave at ticks, which may be longer than the coordinator's patience."""
    TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1
    arriving = [b"round 1", b"round 1", b"round 1", b"round 2", None, b"round 2", None]
    link, executor = Link.__new__(Link), Counting()
    sent: list[bytes] = []
    monkeypatch.setattr(fleet, "_sleep", lambda *_: None)
    link.__dict__.update(_executor=executor, _given=None, _meanwhile=lambda: None, _heartbeat=lambda: None)
    link.__dict__.update(_node=None, _is_pinned=lambda _: True)

    def pull(_: object) -> SimpleNamespace:
        data = arriving.pop(0)
        return SimpleNamespace(messages_list=[] if data is None else [data], message_object_trees=[None])

    def answer(data: bytes, _: object) -> None:
        asked = Message(pack(data), dst_node_id=5, message_type="query.round", ttl=60.0)
        asked.metadata.__dict__["_message_id"] = "m"
        sent.append(unpack(link._reply(asked).content))

    link.__dict__.update(_client=SimpleNamespace(PullMessages=pull), _answer=answer)
    monkeypatch.setattr(fleet, "message_from_proto", lambda data: data)
    link._serve(lambda: not arriving)
    assert executor.asked == [b"round 1", b"round 2", b"round 2"], "anew once nothing waits"
    assert sent == [b"round 1!1", b"round 1!1", b"round 1!1", b"round 2!2", b"round 2!3"]


def asked(run: int) -> Message:
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = run, 1, 1
    message = Message(pack(b"data"), dst_node_id=5, message_type="query.round", ttl=60.0)
    message.metadata.__dict__["_message_id"] = "m"
    return message


class Superlink:
    """Knows which bundle a run names; whoever asks for anything else fails the test."""

    def __init__(self, named: str) -> None:
        self.named = named

    def GetRun(self, _: object) -> SimpleNamespace:  # noqa: N802 - Flower's name
        return SimpleNamespace(run=SimpleNamespace(fab_hash=self.named))


def a_link(named: str, executor: object, pinned: frozenset[str] = frozenset()) -> Link:
    made = Link.__new__(Link)
    made.__dict__.update(_executor=executor, _given=None, _client=Superlink(named), _node=None, _runs={})
    made.__dict__.update(_pinned=pinned | {bundle_hash()}, _meanwhile=lambda: None, _stopped=lambda: False)
    return made


@pytest.mark.parametrize("named", ["", "ab" * 32, bundle_hash().upper()])
def test_a_run_that_names_another_bundle_never_reaches_the_executor(named: str) -> None:
    executor = Counting()
    reply = a_link(named, executor)._reply(asked(1))
    text = f"not the app bundle of protocol {PROTOCOL}, which this node speaks"
    assert (reply.error.code, reply.error.reason) == (ErrorCode.INVALID_FAB, text)
    assert executor.asked == []
    assert a_link(bundle_hash(), executor)._reply(asked(1)).has_content()
    assert a_link("ab" * 32, executor, frozenset({"ab" * 32}))._reply(asked(1)).has_content()


def test_nothing_of_what_went_wrong_leaves_but_a_number() -> None:
    class Failing:
        def answer(self, data: bytes, meanwhile: Callable[[], None]) -> bytes:
            del data, meanwhile
            raise PeerError("executor-failed", "the case file of Maria K. is broken", "look at it")

    reply = a_link(bundle_hash(), Failing())._reply(asked(1))
    assert reply.error.code == ErrorCode.CLIENT_APP_RAISED_EXCEPTION
    assert re.fullmatch(r"executor-failed, incident [0-9a-f]{8}", reply.error.reason or "")
