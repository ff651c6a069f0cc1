"""Every check gives a line, and the exit code says who must act first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import pytest

from safeborders_fed.errors import (
    ConfigurationError,
    DataError,
    DefectError,
    PeerError,
    RefusedError,
    SafeBordersError,
    UsageError,
)
from safeborders_fed.study import checkup
from safeborders_fed.study.checkup import Finding, failed, ok, skipped, warning
from safeborders_fed.study.validity import Expiry

TODAY = date(2026, 3, 1)


@pytest.mark.parametrize(
    ("who", "code"),
    [
        ([], 0),
        ([PeerError], 6),
        ([PeerError, RefusedError], 5),
        ([PeerError, RefusedError, DataError], 3),
        ([PeerError, DataError, ConfigurationError, RefusedError], 4),
        ([UsageError, ConfigurationError], 2),
        ([ConfigurationError, DefectError, PeerError], 1),
    ],
)
def test_the_exit_code_is_of_whoever_must_act_first(who: list[type[SafeBordersError]], code: int) -> None:
    found = [ok("a", ""), warning("b", "", "x"), skipped("c", "")]
    assert checkup.exit_code(found + [failed("d", "", "x", kind) for kind in who]) == code


def test_every_kind_of_error_has_a_place_in_the_order() -> None:
    kinds = set(SafeBordersError.__subclasses__())
    assert set(checkup.WORST_FIRST) == kinds


def raising(error: Exception) -> checkup.Check:
    def check() -> Iterator[Finding]:
        yield ok("first", "what came before")
        raise error

    return check


@pytest.mark.parametrize(
    ("error", "code", "shown"),
    [
        (ConfigurationError("no-policy", "there is none", "write it"), 4, "there is none [no-policy]"),
        (PeerError("gone", "it is gone", "wait"), 6, "it is gone [gone]"),
        (PermissionError(13, "Permission denied", "/x/y"), 4, "/x/y: Permission denied"),
        (ValueError("Maria, born 2009"), 1, "the check itself failed: ValueError"),
    ],
)
def test_a_check_that_raises_becomes_a_line(error: Exception, code: int, shown: str) -> None:
    (line,) = checkup.run("it", raising(error))
    assert (line.name, line.level, line.who, line.text) == ("it", "failed", code, shown)
    assert line.fix
    assert "Maria" not in str(line)


def test_lines_are_counted_by_level_and_missing_levels_are_zero() -> None:
    assert checkup.counts([ok("a", ""), ok("b", "")]) == {"ok": 2, "warning": 0, "failed": 0, "skipped": 0}


@pytest.mark.parametrize(
    ("days", "level"),
    [
        (400, "ok"),
        (61, "ok"),
        (60, "warning"),
        (30, "warning"),
        (7, "warning"),
        (0, "warning"),
        (-1, "failed"),
    ],
)
def test_what_ends_is_told_ahead(days: int, level: str) -> None:
    expiries = [
        Expiry("the key of BE", TODAY + timedelta(days=days), "renew it"),
        Expiry("the key of BG", TODAY + timedelta(days=500), "renew it"),
    ]
    (line,) = checkup.validity("validity", expiries, TODAY)
    assert line.level == level
    assert "the key of BE" in line.text
    assert line.fix == ("" if level == "ok" else "renew it")


def test_what_the_other_side_let_end_is_its_business() -> None:
    ended = [Expiry("the key of BG", TODAY - timedelta(days=1), "ask BG")]
    assert checkup.validity("validity", ended, TODAY)[0].who == ConfigurationError.exit_code
    assert checkup.validity("validity", ended, TODAY, lambda _: False)[0].who == PeerError.exit_code


def test_nothing_that_ends_is_not_the_same_as_all_being_well() -> None:
    assert checkup.validity("validity", [], TODAY)[0].level == "skipped"
