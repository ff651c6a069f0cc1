"""What was seen on the network, and what it means."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from flwr.common.constant import SYSTEM_TIME_TOLERANCE, TIMESTAMP_TOLERANCE

from safeborders_fed.errors import ConfigurationError, PeerError
from safeborders_fed.transport import network_findings as judge
from safeborders_fed.transport.probes import Answer, Shown

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOST = "coordinator.example.eu"


@pytest.mark.parametrize(
    ("variables", "level"),
    [
        ({}, "ok"),
        ({"https_proxy": ""}, "ok"),
        ({"HTTP_PROXY": "http://proxy:3128"}, "ok"),  # not for https addresses
        ({"HTTPS_PROXY": "http://proxy:3128"}, "warning"),
        ({"https_proxy": "proxy:3128"}, "warning"),
        ({"ALL_PROXY": "socks5://proxy:1080"}, "warning"),
        ({"https_proxy": "http://proxy:3128", "no_proxy": "other.example"}, "warning"),
        ({"https_proxy": "http://proxy:3128", "NO_PROXY": "localhost,coordinator.example.eu"}, "ok"),
        ({"https_proxy": "http://proxy:3128", "no_proxy": ".example.eu"}, "ok"),
        ({"https_proxy": "http://proxy:3128", "no_proxy": "*"}, "ok"),
    ],
)
def test_a_proxy_is_told(variables: dict[str, str], level: str) -> None:
    assert judge.proxy("proxy", HOST, {"the service": variables}).level == level


@pytest.mark.parametrize(
    "url", ["http://user:hunter2@proxy:3128", "user:hunter2@proxy:3128", "http://user:hunter2@[bad"]
)
def test_a_proxys_password_is_not_shown(url: str) -> None:
    found = judge.proxy("proxy", HOST, {"this shell": {}, "the service": {"HTTPS_PROXY": url}})
    assert found.level == "warning"
    assert "the service" in found.text
    assert "hunter2" not in found.text


def shown(days: int = 300, *, version: str = "TLSv1.3", code: int = 0, reason: str = "") -> Shown:
    return Shown(version, NOW + timedelta(days=days), NOW - timedelta(days=9), "CN=x", code, reason)


@pytest.mark.parametrize(
    ("seen", "level", "words"),
    [
        (shown(), "ok", "TLSv1.3"),
        (shown(59), "warning", "ends in 59 days"),
        (shown(3), "warning", "ends in 3 days"),
        (shown(version="TLSv1.2"), "warning", "TLSv1.2"),
        (
            shown(-2, code=10, reason="it has expired"),
            "failed",
            "this clock is wrong: it says 2026-03-01 12:00",
        ),
        (shown(code=9, reason="it is not valid yet"), "failed", "this clock is wrong"),
        (shown(code=62, reason="it is for another name"), "failed", "another name"),
        (shown(code=20, reason="it is not signed by the pinned authority"), "failed", "pinned authority"),
    ],
)
def test_certificates(seen: Shown, level: str, words: str) -> None:
    (found,) = judge.certificate("tls", seen, NOW)
    assert found.level == level
    assert words in found.text
    assert bool(found.fix) == (level != "ok")
    if level == "failed":
        assert found.who == PeerError.exit_code
        assert judge.certificate("tls", seen, NOW, ConfigurationError)[0].who == ConfigurationError.exit_code


def answer(ahead: float, accuracy: float = 0.6) -> Answer:
    return Answer(404, NOW, ahead, accuracy)


@pytest.mark.parametrize(
    ("ahead", "level"),
    [
        (0.0, "ok"),
        (1.9, "ok"),
        (2.0, "warning"),
        (4.9, "warning"),
        (5.0, "failed"),
        (3600.0, "failed"),
        (-29.0, "ok"),
        (-30.0, "warning"),
        (-299.0, "warning"),
        (-300.0, "failed"),
    ],
)
def test_a_clock_that_is_off(ahead: float, level: str) -> None:
    found = judge.clock("clock", answer(ahead))
    assert found.level == level
    assert bool(found.fix) == (level != "ok")


def test_an_error_smaller_than_the_measurement_is_none() -> None:
    assert judge.clock("clock", answer(2.5, accuracy=3.0)).level == "ok"


def test_a_gate_without_a_date_is_skipped() -> None:
    assert judge.clock("clock", Answer(404, None, 0.0, 0.0)).level == "skipped"


def test_the_limits_on_clocks_are_flowers() -> None:
    assert SYSTEM_TIME_TOLERANCE == judge.AHEAD_FAILED > judge.AHEAD_WARNING
    assert TIMESTAMP_TOLERANCE == judge.BEHIND_FAILED > judge.BEHIND_WARNING


def test_only_fleet_paths_are_shown() -> None:
    assert judge.hidden("gate", {"/": 404, "/health": 404}).level == "ok"
    found = judge.hidden("gate", {"/": 404, "/v1/control/list-nodes": 200})
    assert (found.level, found.who) == ("failed", PeerError.exit_code)
    assert "/v1/control/list-nodes (200)" in found.text


@pytest.mark.parametrize(
    ("status", "level"), [(401, "ok"), (415, "ok"), (503, "failed"), (404, "failed"), (200, "failed")]
)
def test_what_stands_behind_the_gate(status: int, level: str) -> None:
    assert judge.behind("superlink", status).level == level


@pytest.mark.parametrize(
    ("addresses", "level"),
    [
        (["127.0.0.1"], "ok"),
        (["127.0.0.1", "::1"], "ok"),
        ([], "skipped"),
        (["0.0.0.0"], "failed"),  # noqa: S104 - it is judged, not bound to
        (["::"], "failed"),
        (["127.0.0.1", "10.0.0.5"], "failed"),
    ],
)
def test_superlink_is_on_loopback_only(addresses: list[str], level: str) -> None:
    assert judge.exposed("superlink-hidden", addresses, 9092).level == level


def test_connected_nodes() -> None:
    assert judge.connected("nodes", [], []).level == "skipped"
    assert judge.connected("nodes", ["BE", "BG"], ["BE", "BG"]).level == "ok"
    found = judge.connected("nodes", ["BE", "BG"], ["BE"])
    assert found.level == "warning"
    assert found.text.endswith("missing: BG")


OWN = {"software": "0.1.0", "protocol": "1.3", "flower": "1.41.0", "python": "3.11.7", "contract": "1"}


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({}, "ok"),
        ({"python": "3.12.1"}, "ok"),
        ({"protocol": "1.4"}, "ok"),
        ({"protocol": "1.2", "software": "0.0.9"}, "warning"),
        ({"contract": "2"}, "warning"),
        ({"protocol": "1.5"}, "failed"),
        ({"protocol": "2.3"}, "failed"),
        ({"protocol": "new"}, "failed"),
        ({"protocol": "1.3.1"}, "failed"),
    ],
)
def test_versions_of_both_ends(changes: dict[str, str], level: str) -> None:
    found = judge.peer_versions("peer-versions", judge.versions_header(OWN | changes), OWN)
    assert found.level == level


def test_a_gate_that_says_nothing_of_its_version_is_skipped() -> None:
    assert judge.peer_versions("peer-versions", None, OWN).level == "skipped"
    assert judge.peer_versions("peer-versions", "nonsense", OWN).level == "failed"
