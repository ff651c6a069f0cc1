"""Calls are repeated while the coordinator is away, and only then."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from safeborders_fed.transport.patience import PATIENCE, patiently


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def status(code: int) -> httpx.HTTPStatusError:
    request = httpx.Request("POST", "https://127.0.0.1:1/v1/fleet/push-messages")
    return httpx.HTTPStatusError("x", request=request, response=httpx.Response(code, request=request))


def failing(*errors: Exception) -> tuple[Callable[[], str], list[Exception]]:
    left = list(errors)

    def call() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return call, left


def test_a_coordinator_that_starts_again_is_waited_for() -> None:
    clock = Clock()
    call, left = failing(httpx.ConnectError("refused"), status(503), httpx.ReadTimeout("late"), status(500))
    assert patiently(call, lambda: False, clock=lambda: clock.now, sleep=clock.sleep) == "done"
    assert not left
    assert clock.now < 5


def test_a_refusal_is_not_repeated() -> None:
    call, left = failing(status(401), status(401))
    with pytest.raises(httpx.HTTPStatusError):
        patiently(call, lambda: False, sleep=lambda _: pytest.fail("it waited"))
    assert len(left) == 1


@pytest.mark.parametrize("error", [status(503), httpx.ConnectError("refused")])
def test_patience_ends(error: Exception) -> None:
    clock = Clock()
    call, _ = failing(*[error] * 1000)
    with pytest.raises(type(error)):
        patiently(call, lambda: False, clock=lambda: clock.now, sleep=clock.sleep)
    assert PATIENCE <= clock.now <= PATIENCE + 3


def test_it_does_not_hold_up_a_service_that_stops() -> None:
    call, left = failing(status(503), status(503))
    with pytest.raises(httpx.HTTPStatusError):
        patiently(call, lambda: True, sleep=lambda _: pytest.fail("it waited"))
    assert len(left) == 1
