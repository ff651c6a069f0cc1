"""The pace of a node's link, and what it says of a connection that fails."""

from __future__ import annotations

import httpx
import pytest

from safeborders_fed.transport.fleet import _explain, _Pace


def test_it_looks_slowly_when_there_is_nothing_to_do() -> None:
    pace = _Pace()
    assert pace.pause(0.0) == 2.0
    pace.answered(10.0)
    assert pace.pause(10.0) < 0.2
    assert pace.pause(80.0) == 2.0


def test_it_looks_when_the_next_round_may_be_expected() -> None:
    pace, now, looks = _Pace(), 0.0, []
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
    pace = _Pace()
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
