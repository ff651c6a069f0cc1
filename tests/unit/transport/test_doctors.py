"""What doctors ask of services, and what they say when there is nobody to ask."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from enrolment_samples import Site, federation
from safeborders_fed.errors import PeerError
from safeborders_fed.node.creating import create_node
from safeborders_fed.study.checkup import Finding, ok
from safeborders_fed.transport import doctor_coordinator, doctor_node
from safeborders_fed.transport.probes import Answer, Deadline, Shown
from safeborders_fed.transport.status import write_json
from safeborders_fed.transport.way import Way


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return federation(tmp_path_factory.mktemp("site"), "BE", "BG")


def levels(found: list[Finding]) -> dict[str, str]:
    return {finding.name: finding.level for finding in found}


@pytest.mark.parametrize(
    ("state", "starts", "level", "who"),
    [
        ("ready", 1, "ok", 0),
        ("ready", 4, "warning", 0),
        ("starting", 1, "warning", 0),
        ("stopped", 1, "warning", 0),
        ("disconnected", 1, "failed", PeerError.exit_code),
    ],
)
def test_the_service(state: str, starts: int, level: str, who: int) -> None:
    summary = {
        "state": state,
        "text": state,
        "service": {"processes": {"link": {"pid": 1, "starts": starts}}},
    }
    (found,) = doctor_node.service(summary, "node")
    assert (found.level, found.who) == (level, who)


@pytest.mark.parametrize(
    "text", ["", "[]", "7", '{"pid": "x"}', '{"pid": null}', '{"state": "stopped", "pid": 1}']
)
def test_a_status_that_is_garbled_is_a_service_that_does_not_run(tmp_path: Path, text: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "status.json").write_text(text, encoding="utf-8")
    assert not doctor_node.is_running(tmp_path)


def test_a_service_that_runs(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    write_json(tmp_path / "run" / "status.json", {"state": "running", "pid": os.getpid()})
    assert doctor_node.is_running(tmp_path)


@pytest.fixture
def diverted() -> Iterator[int]:
    """A process whose environment names a proxy, and holds a secret."""
    environment = os.environ | {"HTTPS_PROXY": "http://proxy:3128", "SECRET": "hunter2"}
    process = subprocess.Popen(
        [sys.executable, "-c", "print(1, flush=True); input()"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout
    process.stdout.readline()
    yield process.pid
    process.communicate(b"\n")


def test_the_environment_of_the_service_counts_and_only_its_proxies_are_read(diverted: int) -> None:
    found = doctor_node.environment_of(diverted)
    assert found["HTTPS_PROXY"] == "http://proxy:3128"
    assert "SECRET" not in found
    assert all(name.lower().endswith("_proxy") for name in found)


@pytest.mark.parametrize("pid", [None, "x", -5, 2**30])
def test_a_process_that_is_gone_has_no_environment(pid: Any) -> None:
    assert doctor_node.environment_of(pid) == {}


def test_a_node_that_knows_no_coordinator_skips_the_network(tmp_path: Path) -> None:
    found = doctor_node.examine(None, now)
    assert levels(found) == dict.fromkeys(doctor_node.NETWORK_LINES, "skipped")
    alone = create_node(tmp_path / "fi", "FI", tmp_path / "fi.key", 10)
    assert set(levels(doctor_node.examine(alone, now)).values()) == {"skipped"}


def test_a_coordinator_that_is_away(site: Site) -> None:
    found = levels(doctor_node.examine(site.node("BE"), now, {}, seconds=2.0))
    assert found["port"] == "failed"
    assert found["tls"] == found["access"] == found["peer-versions"] == "skipped"
    assert found["proxy"] == "ok"
    assert set(found) == set(doctor_node.NETWORK_LINES)


class Refuses:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def __call__(self, *_: object) -> None:
        raise self.error


def status_error(status: int) -> httpx.HTTPStatusError:
    request = httpx.Request("POST", "https://x/")
    return httpx.HTTPStatusError("no", request=request, response=httpx.Response(status, request=request))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (status_error(401), "not enrolled, was revoked"),
        (status_error(503), "status 503"),
        (httpx.ConnectTimeout("no"), "ConnectTimeout"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_a_signature_that_is_not_taken(
    site: Site, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    settings = site.node("BE")
    run = settings.home / "run"
    run.mkdir(exist_ok=True)
    (run / doctor_node.FLOWER_FILE).write_text("7", encoding="ascii")
    monkeypatch.setattr(doctor_node, "_heartbeat", Refuses(error))
    found = doctor_node.access(settings, settings.enrolment(), "ready", Deadline(2.0))
    assert (found[0].level, found[0].who) == ("failed", PeerError.exit_code)
    assert words in found[0].text
    assert found[1].level == "skipped"


def test_no_heartbeat_is_sent_for_a_service_that_is_not_connected(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_node, "_heartbeat", Refuses(AssertionError()))
    settings = site.node("BE")
    for state in ("stopped", "starting", "disconnected"):
        found = doctor_node.access(settings, settings.enrolment(), state, Deadline(2.0))
        assert set(levels(found).values()) == {"skipped"}


def test_a_coordinator_whose_service_is_stopped(site: Site) -> None:
    found = levels(doctor_coordinator.examine(site.home, now, {}))
    assert set(found) == set(doctor_coordinator.NETWORK_LINES)
    assert found.pop("proxy") == found.pop("address") == "ok"
    assert set(found.values()) == {"skipped"}
    assert levels(doctor_coordinator.local(site.home))["service"] == "warning"


def test_a_coordinator_without_an_address_skips_the_network() -> None:
    assert set(levels(doctor_coordinator.examine(None, now)).values()) == {"skipped"}
    assert set(levels(doctor_coordinator.local(None)).values()) == {"skipped"}


def test_a_service_that_runs_with_dead_parts(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files say that it runs; nothing listens."""
    run = site.home.path / "run"
    run.mkdir(exist_ok=True)
    write_json(run / "status.json", {"state": "running", "pid": os.getpid()})
    write_json(run / "executor.json", {"nodes": ["BE"], "pid": os.getpid()})
    monkeypatch.setenv("no_proxy", "*")
    try:
        found = levels(doctor_coordinator.examine(site.home, now, {}, seconds=4.0))
    finally:
        (run / "status.json").unlink()
    assert found["port"] == found["superlink-health"] == found["nodes"] == "failed"


def test_a_proxy_that_would_take_superlinks_own_calls_is_told(site: Site) -> None:
    found = doctor_coordinator.examine(site.home, now, {"HTTPS_PROXY": "http://proxy:3128"})
    assert levels(found)["proxy"] == "warning"


def test_a_gate_that_still_shows_the_certificate_before_is_told(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def findings(way: Way) -> list[Finding]:
        way.shown = Shown("TLSv1.3", now() + timedelta(days=3), now(), "CN=x")
        return [ok("tls", "")]

    monkeypatch.setattr(Way, "findings", findings)
    found = doctor_coordinator._gate(site.home, Deadline(1.0), now)
    assert [finding.level for finding in found if finding.name == "tls"] == ["ok", "failed"]


def test_a_superlink_that_is_not_well(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_coordinator.probes, "ask", lambda *_: Answer(500, None, 0.0, 0.0))
    assert doctor_coordinator._health(site.home, Deadline(1.0)).level == "failed"


def test_a_system_without_tables_of_listeners(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor_coordinator, "_TABLES", (tmp_path / "tcp",))
    assert doctor_coordinator._hidden(9092).level == "skipped"


def test_a_superlink_that_listens_outside_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    table = tmp_path / "tcp"
    table.write_text("head\n0: 00000000:2384 00000000:0000 0A 0\n", encoding="ascii")
    monkeypatch.setattr(doctor_coordinator, "_TABLES", (table,))
    assert doctor_coordinator._hidden(0x2384).level == "failed"
