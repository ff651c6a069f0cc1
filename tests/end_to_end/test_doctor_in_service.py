"""The doctors against real services: all is well, then the certificate has been replaced by a stranger's."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from loopback import Loopback, federation, safeborders, wait_for

from safeborders_fed.cli.main import run as command
from safeborders_fed.coordinator import pki
from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.errors import ConfigurationError, PeerError
from safeborders_fed.study.key_files import load_certificate_key
from safeborders_fed.study.wire import PROTOCOL

pytestmark = pytest.mark.slow
NODES = ("BE", "BG", "FI")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    root = tmp_path_factory.mktemp("federation")
    with federation(root / "machines", nodes=NODES, port=free_port()) as loopback:
        yield loopback


def examined(said: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The worst line of each name."""
    order = ("ok", "skipped", "warning", "failed")
    worst: dict[str, dict[str, Any]] = {}
    for line in said["checks"]:
        if line["name"] not in worst or order.index(line["level"]) > order.index(
            worst[line["name"]]["level"]
        ):
            worst[line["name"]] = line
    return worst


def content(home: Path) -> dict[str, tuple[str, int]]:
    """Every file below a directory that its running service does not itself change, and when it changed."""
    return {
        str(path.relative_to(home)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(home.rglob("*"))
        if path.is_file() and "run" not in path.relative_to(home).parts
    }


def test_a_node_that_is_well_hears_so_within_time_and_is_left_as_it_was(running: Loopback) -> None:
    home = running.nodes["BE"].home
    before = content(home)
    began = time.monotonic()
    said = safeborders("node", "doctor", "--home", home)
    assert time.monotonic() - began < 15
    lines = examined(said)
    assert said["summary"]["failed"] == 0, said
    for name in (
        "port",
        "tls",
        "gate",
        "superlink",
        "clock",
        "access",
        "peer-versions",
        "service",
        "dry-round",
    ):
        assert lines[name]["level"] == "ok", lines[name]
    assert "TLSv1.3" in lines["tls"]["text"]
    assert f"protocol {PROTOCOL}." in lines["peer-versions"]["text"]
    assert content(home) == before


def test_a_coordinator_that_is_well_hears_so(running: Loopback) -> None:
    before = content(running.coordinator.home)
    said = safeborders("coordinator", "doctor", "--home", running.coordinator.home)
    lines = examined(said)
    assert said["summary"]["failed"] == 0, said
    for name in ("superlink-hidden", "superlink-health", "nodes", "tls", "gate", "superlink"):
        assert lines[name]["level"] == "ok", lines[name]
    assert " ".join(NODES) in lines["nodes"]["text"]
    assert content(running.coordinator.home) == before


def test_a_node_that_stopped_is_missing_at_the_coordinator(running: Loopback) -> None:
    machine = running.nodes["FI"]
    machine.stop()
    try:
        stopped = examined(safeborders("node", "doctor", "--home", machine.home))
        assert stopped["service"]["level"] == "warning"
        assert stopped["access"]["level"] == "skipped"
        assert stopped["port"]["level"] == "ok"
        seen = examined(safeborders("coordinator", "doctor", "--home", running.coordinator.home))
        assert seen["nodes"]["level"] == "warning"
        assert "missing: FI" in seen["nodes"]["text"]
    finally:
        machine.start()
        machine.wait_ready()


def test_an_expired_certificate_is_the_coordinators_business(running: Loopback) -> None:
    home = CoordinatorHome.load(running.coordinator.home)
    key = load_certificate_key(running.keys / "ca.key")
    try:
        pki.issue_server_certificate(home, key, datetime.now(UTC) - timedelta(days=3), days=2)
        code, lines = wait_for(
            lambda: refused("node", running.nodes["BE"].home), 30, "the expired certificate"
        )
        assert code == PeerError.exit_code
        assert "it has expired" in lines["tls"]["text"]
        assert "this clock is wrong" in lines["tls"]["text"]
        code, lines = doctor("coordinator", running.coordinator.home)
        assert code == ConfigurationError.exit_code
        assert lines["tls"]["exit_code"] == ConfigurationError.exit_code
        assert lines["validity"]["level"] == "failed"
    finally:
        pki.issue_server_certificate(home, key, datetime.now(UTC))


def doctor(kind: str, home: Path) -> tuple[int, dict[str, dict[str, Any]]]:
    """Exit code and lines, whatever they are."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = command([kind, "doctor", "--home", str(home), "--json"])
    return code, examined(json.loads(printed.getvalue()))


def refused(kind: str, home: Path) -> tuple[int, dict[str, dict[str, Any]]] | None:
    """The doctor's word once the certificate is refused."""
    code, lines = doctor(kind, home)
    return (code, lines) if lines["tls"]["level"] == "failed" else None
