"""A node dies at any point of a hit's life, is started again, and the same comes out of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from hit_pair import Pair, pair
from safeborders_fed.node.hit_book import HitRow
from safeborders_fed.node.link_database import LinkDatabase


class Crash(BaseException):
    """The process dies."""


class Bomb:
    """Dies at one transaction, counted from when it is armed: before it is committed, or after."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int, *, committed: bool) -> None:
        self.left, self._committed = at, committed
        honest = LinkDatabase.transaction

        @contextmanager
        def transaction(database: LinkDatabase) -> Iterator[None]:
            self.left -= 1
            dies = self.left == 0
            with honest(database):
                yield
                if dies and not self._committed:
                    raise Crash
            if dies:
                raise Crash

        monkeypatch.setattr(LinkDatabase, "transaction", transaction)

    @property
    def went_off(self) -> bool:
        return self.left <= 0


def life(found: Pair) -> None:
    """All that happens to a hit; who died is started again, and asked again."""

    def until_done(step: str, node: str) -> None:
        try:
            getattr(found, step)(node)
        except Crash:
            found.made[node] = found.made[node].reopened()
            getattr(found, step)(node)

    def ask(*args: object, **kwargs: object) -> object:
        try:
            return honest_ask(*args, **kwargs)  # type: ignore[arg-type]
        except Crash:
            node = str(args[0])
            found.made[node] = found.made[node].reopened()
            return honest_ask(*args, **kwargs)  # type: ignore[arg-type]

    honest_ask = found.ask
    found.ask = ask  # type: ignore[method-assign, assignment]
    found.tag()
    found.tell(found.equal())
    for node in ("BE", "BG"):
        found.sign(node)
        until_done("take", node)
    found.post(6)
    found.sign("BE", "outcome", "confirmed", people=1)
    until_done("take", "BE")
    found.post(4, exchange="x2")


def facts(found: Pair) -> list[HitRow]:
    """What the nodes know of the hit, without what is random in each run."""
    random = {"id": "", "digest": b"", "own_handle": "", "their_handle": "", "record": b""}
    return [replace(found.row(node), **random) for node in ("BE", "BG")]


@pytest.mark.parametrize("committed", [False, True])
def test_a_crash_at_any_transaction_changes_nothing_of_what_comes_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, committed: bool
) -> None:
    whole = pair(tmp_path / _made(tmp_path, "whole"))
    life(whole)
    expected = facts(whole)
    assert [row.state for row in expected] == ["confirmed", "exchanged"]
    at = 1
    while True:
        found = pair(tmp_path / _made(tmp_path, str(at)))
        with monkeypatch.context() as patched:
            bomb = Bomb(patched, at, committed=committed)
            life(found)
            went_off = bomb.went_off
        assert facts(found) == expected, f"transaction {at}"
        for node in ("BE", "BG"):
            log = found.logged(node)
            assert log.count("link-record") == log.count("link-hit") == log.count("link-tag") == 1, at
            assert found.alarms(node) == [], at
        if not went_off:
            break
        at += 3
    assert at > 20


def _made(directory: Path, name: str) -> str:
    (directory / name).mkdir()
    return name
