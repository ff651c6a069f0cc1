"""The federation over a Flower grid: who is waited for, and what counts as a reply."""

from collections.abc import Iterable

import pytest
from flwr.app import Message
from flwr.clientapp import ClientApp

from safeborders_fed.transport.apps import FlowerFederation, pack
from safeborders_fed.transport.in_process import InProcessGrid


def echo(message: Message, context: object) -> Message:
    del context
    return Message(pack(b"reply"), reply_to=message)


def app() -> ClientApp:
    made = ClientApp()
    made.query("round")(echo)
    return made


class Slow(InProcessGrid):
    """Replies of some nodes are never there."""

    silent = frozenset({3})

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        kept = [message for message in messages if message.metadata.dst_node_id not in self.silent]
        return list(super().push_messages(kept))


def federation(timeout: float) -> FlowerFederation:
    return FlowerFederation(Slow({2: app(), 3: app(), 4: app()}), {"BE": 2, "BG": 3, "FI": 4}, timeout)


def test_nobody_waits_for_a_reply_that_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    def waiting(_: float) -> None:
        raise AssertionError

    monkeypatch.setattr("time.sleep", waiting)
    found = federation(60.0).ask({"BE": b"?"}, {"BG": b"?", "FI": b"?"})
    assert found == {"BE": b"reply", "FI": b"reply"}


def test_a_silent_node_is_waited_for_until_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("safeborders_fed.transport.apps.time.monotonic", lambda: clock[0])
    monkeypatch.setattr(
        "safeborders_fed.transport.apps.time.sleep", lambda by: clock.__setitem__(0, clock[0] + by)
    )
    assert federation(5.0).ask({"BE": b"?", "BG": b"?"}) == {"BE": b"reply"}
    assert 5.0 <= clock[0] < 6.0


def test_the_nodes_that_the_grid_knows_are_online() -> None:
    grid = InProcessGrid({2: app()})
    assert FlowerFederation(grid, {"BE": 2, "BG": 3}, 1.0).online() == {"BE"}
