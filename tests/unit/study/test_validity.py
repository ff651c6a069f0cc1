"""Warnings before something ends: 60, 30 and 7 days ahead, and after."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from federation_of import CEREMONY
from safeborders_fed.study.validity import Expiry, roster_expiries, warnings

TODAY = date(2026, 3, 1)


@pytest.mark.parametrize(
    ("days", "level"),
    [
        (61, None),
        (60, "notice"),
        (31, "notice"),
        (30, "warning"),
        (8, "warning"),
        (7, "urgent"),
        (0, "urgent"),
        (-1, "expired"),
        (-400, "expired"),
    ],
)
def test_a_warning_comes_at_each_threshold_and_after_the_end(days: int, level: str | None) -> None:
    expiry = Expiry("the key of BG", TODAY + timedelta(days=days), "renew it")
    found = warnings([expiry], TODAY)
    assert [warned.level for warned in found] == ([level] if level else [])
    assert all(warned.days_left == days and str(expiry.until) in warned.text for warned in found)


def test_each_threshold_is_said_once_in_a_log() -> None:
    expiry = Expiry("the key of BG", TODAY + timedelta(days=100), "renew it")
    days = [TODAY + timedelta(days=day) for day in range(150)]
    keys = [warned.key for day in days for warned in warnings([expiry], day)]
    assert len(keys) == 61 + 49
    assert len(set(keys)) == 4


def test_the_most_urgent_stands_first() -> None:
    expiries = [
        Expiry(name, TODAY + timedelta(days=days), "") for name, days in (("a", 50), ("b", -3), ("c", 1))
    ]
    assert [warned.expiry.what for warned in warnings(expiries, TODAY)] == ["b", "c", "a"]
    assert "tomorrow" in warnings(expiries, TODAY)[1].text
    assert "ended on" in warnings(expiries, TODAY)[0].text


def test_every_member_of_a_roster_is_watched() -> None:
    found = roster_expiries(CEREMONY.roster)
    assert len(found) == 8
    end = CEREMONY.roster.members[0].valid_until
    assert len(warnings(found, end - timedelta(days=10))) == 8
