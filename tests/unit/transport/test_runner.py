"""A reply that a node did not upload whole, or that is none, is that node's failure and nobody else's."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supercore.task_identity import TaskIdentity

from safeborders_fed.transport import runner
from safeborders_fed.transport.apps import pack, unpack
from safeborders_fed.transport.runner import PatientGrid


class Client:
    """Stands where SuperLink is: what nodes have uploaded, as trees and parts."""

    def __init__(self) -> None:
        self.trees: list[ObjectTree] = []
        self.parts: dict[str, bytes] = {}
        self.error: Exception | None = None

    def uploads(self, whole: Any) -> None:
        self.trees.append(get_object_tree(whole))
        self.parts |= {name: part.deflate() for name, part in get_all_nested_objects(whole).items()}

    def PullMessages(self, _: Any) -> Any:  # noqa: N802 - Flower's name
        return SimpleNamespace(message_object_trees=self.trees)

    def PullObject(self, request: Any) -> Any:  # noqa: N802 - likewise
        if self.error is not None:
            raise self.error
        content = self.parts.get(request.object_id)
        return SimpleNamespace(object_available=content is not None, object_content=content)

    def ConfirmMessageReceived(self, _: Any) -> None:  # noqa: N802 - likewise
        return


def reply(data: bytes) -> Message:
    TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1
    return Message(pack(data), dst_node_id=5, message_type="query.round", ttl=60.0)


def grid() -> PatientGrid:
    return PatientGrid.__new__(PatientGrid)  # without a connection: all that it uses is put there below


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    made = Client()
    monkeypatch.setattr(PatientGrid, "_runtime_client", made)
    monkeypatch.setattr(PatientGrid, "run", SimpleNamespace(run_id=7))
    monkeypatch.setattr(PatientGrid, "node", None, raising=False)
    monkeypatch.setattr("time.sleep", lambda _: None)
    return made


def killed_while_uploading(client: Client) -> None:
    whole = reply(b"never whole")
    client.uploads(whole)
    del client.parts[whole.object_id]


def no_message(client: Client) -> None:
    client.uploads(RecordDict({"safeborders": ConfigRecord({"message": b"x"})}))


def no_object(client: Client) -> None:
    client.trees.append(ObjectTree(object_id="ab" * 32))
    client.parts["ab" * 32] = b"\xff no object of Flower's"


def too_large(client: Client) -> None:
    client.uploads(reply(bytes(3000)))


@pytest.mark.parametrize("bad", [killed_while_uploading, no_message, no_object, too_large])
def test_a_reply_that_is_not_whole_does_not_end_the_round_of_the_others(
    client: Client, monkeypatch: pytest.MonkeyPatch, bad: Callable[[Client], None]
) -> None:
    monkeypatch.setattr(runner, "_MOST_BYTES", 2000)
    bad(client)
    client.uploads(reply(b"an honest node's"))
    (found,) = grid().pull_messages(["m"])
    assert unpack(found.content) == b"an honest node's"


def test_superlink_being_away_is_no_fault_of_a_node(client: Client) -> None:
    client.uploads(reply(b"x"))
    request = httpx.Request("POST", "https://127.0.0.1")
    client.error = httpx.ConnectError("x")
    with pytest.raises(httpx.ConnectError):
        grid().pull_messages(["m"])
    client.error = httpx.HTTPStatusError("x", request=request, response=httpx.Response(503, request=request))
    with pytest.raises(httpx.HTTPStatusError):
        grid().pull_messages(["m"])
    client.error = httpx.HTTPStatusError("x", request=request, response=httpx.Response(404, request=request))
    assert grid().pull_messages(["m"]) == []
