"""Opening hours: what reads as an entry, by whose clock, and when a node opens next."""

import subprocess
import sys
import zoneinfo
from datetime import UTC, datetime

import pytest

from safeborders_fed.node.opening_hours import Opening, is_open, next_opening, zone_of

WEEKDAYS = Opening.parse("Mon-Fri 08:00-18:00")
SATURDAY = Opening.parse("Sat 09:00-12:30")
SOFIA = zone_of("Europe/Sofia")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Mon-Fri 18:00-08:00", "ends before it begins"),
        ("Mon 08:00-08:00", "ends before it begins"),
        ("Fri-Mon 08:00-18:00", "ends on a day before"),
        ("Mon-Fri 08:00-24:01", "no day has"),
        ("Mon-Fri 08:60-18:00", "no day has"),
        ("Mon-Fri 25:00-26:00", "no day has"),
        ("Mon-Fri 8:00-18:00", "does not read like"),
        ("mon-fri 08:00-18:00", "does not read like"),
        ("Mon-Fri  08:00-18:00", "does not read like"),
        ("Mon,Fri 08:00-18:00", "does not read like"),
        ("Mon-Fri 08:00-18:00\n", "does not read like"),
        ("Mon-Fri ٠٨:00-18:00", "does not read like"),
        ("", "does not read like"),
        ("x" * 10_000, "does not read like"),
    ],
)
def test_what_is_no_entry_is_refused_in_words(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        Opening.parse(text)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("now", "opened"),
    [
        ("2026-11-23T05:59:59", False),  # Monday, 07:59:59 in Sofia in winter
        ("2026-11-23T06:00:00", True),
        ("2026-11-23T15:59:59", True),
        ("2026-11-23T16:00:00", False),
        ("2026-07-06T05:00:00", True),  # the same in summer time
        ("2026-07-06T15:00:00", False),
        ("2026-11-28T07:00:00", True),  # Saturday
        ("2026-11-28T10:30:00", False),
        ("2026-11-29T09:00:00", False),  # Sunday
    ],
)
def test_hours_are_those_of_the_wall_clock_in_the_zone(now: str, *, opened: bool) -> None:
    assert is_open((WEEKDAYS, SATURDAY), SOFIA, datetime.fromisoformat(now).replace(tzinfo=UTC)) is opened


def test_a_whole_week_is_always_open() -> None:
    always = (Opening.parse("Mon-Sun 00:00-24:00"),)
    for hour in range(24 * 8):
        assert is_open(always, SOFIA, datetime(2026, 10, 20 + hour // 24, hour % 24, 59, 59, tzinfo=UTC))


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-11-23T05:00:00", "2026-11-23T08:00:00+02:00"),
        ("2026-11-23T06:00:00", "2026-11-24T08:00:00+02:00"),
        ("2026-11-27T20:00:00", "2026-11-28T09:00:00+02:00"),
        ("2026-11-28T20:00:00", "2026-11-30T08:00:00+02:00"),
        ("2027-03-27T20:00:00", "2027-03-29T08:00:00+03:00"),  # over the change to summer time
    ],
)
def test_when_it_opens_next_is_told_by_the_same_clock(now: str, opens: str) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    found = next_opening((WEEKDAYS, SATURDAY), SOFIA, moment)
    assert found.isoformat() == opens


def test_a_single_entry_opens_again_in_a_week() -> None:
    only = (Opening.parse("Mon 08:00-09:00"),)
    at = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
    assert next_opening(only, SOFIA, at).isoformat() == "2026-11-30T08:00:00+02:00"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Europe/Sofja", "did you mean 'Europe/Sofia'"),
        ("Sofia/Europe", "there is no time zone"),
        ("../../etc/passwd", "there is no time zone"),
        ("/etc/localtime", "there is no time zone"),
        ("", "there is no time zone"),
        ("x" * 5000, "there is no time zone"),
        ("a\0b", "there is no time zone"),
    ],
)
def test_an_unknown_zone_is_refused_with_the_nearest(name: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        zone_of(name)


def test_zones_are_known_without_those_of_the_system() -> None:
    """The package tzdata holds them, so that a bare machine without a network reads a policy alike."""
    code = "from safeborders_fed.node.opening_hours import zone_of; print(zone_of('Europe/Sofia'))"
    found = subprocess.run(
        [sys.executable, "-c", f"import zoneinfo; zoneinfo.reset_tzpath(to=[]); {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == "Europe/Sofia\n"


def test_a_machine_without_any_zones_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoneinfo, "available_timezones", set)
    with pytest.raises(ValueError, match="install the package tzdata"):
        zone_of("Europe/Nowhere")
