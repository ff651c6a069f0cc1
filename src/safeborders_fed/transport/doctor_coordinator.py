"""What a coordinator's doctor asks of the service, of SuperLink and of its own gate.

Guarantees: SuperLink is asked for its health and its list of nodes, and nothing is changed there.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

import httpx
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from flwr.proto.control_pb2 import ListNodesRequest
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.primitives.asymmetric import public_key_to_bytes

from safeborders_fed.coordinator import pki
from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.coordinator.members import transport_keys
from safeborders_fed.errors import ConfigurationError
from safeborders_fed.study import checkup
from safeborders_fed.study.checkup import Finding, failed, ok, skipped
from safeborders_fed.transport import network_findings, probes
from safeborders_fed.transport.doctor_node import environment_of, service
from safeborders_fed.transport.probes import Deadline, Endpoint
from safeborders_fed.transport.status import coordinator_summary
from safeborders_fed.transport.way import LINES, Way

SECONDS: Final = 9.0
"""For all of the network together."""
LOCAL_LINES: Final = ("service", "superlink-hidden")
NETWORK_LINES: Final = ("proxy", "address", *LINES, "superlink-health", "nodes")
_LOOPBACK: Final = "127.0.0.1"
_ANYWHERE: Final = {"0.0.0.0": _LOOPBACK, "::": "::1"}  # noqa: S104 - it is compared, not listened to
_TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_SECONDS_FOR_A_NAME: Final = 2.0


def local(home: CoordinatorHome | None) -> list[Finding]:
    """What this machine knows without a network: the service, and who can reach SuperLink."""
    if home is None or home.reached_at is None:
        return checkup.all_skipped(LOCAL_LINES, "the coordinator has no address yet")
    found = checkup.run("service", lambda: service(coordinator_summary(home), "coordinator"))
    return found + checkup.run("superlink-hidden", lambda: [_hidden(home.network.superlink_port)])


def _hidden(port: int) -> Finding:
    texts = [table.read_text(encoding="ascii") for table in _TABLES if table.exists()]
    if not texts:
        return skipped("superlink-hidden", "this system does not say who listens where")
    addresses = [address for text in texts for address in probes.listeners(text, port)]
    return network_findings.exposed("superlink-hidden", addresses, port)


def examine(
    home: CoordinatorHome | None,
    clock: Callable[[], datetime],
    environment: Mapping[str, str] = os.environ,
    seconds: float = SECONDS,
) -> list[Finding]:
    """All that can be said of the gate and of SuperLink, seen from this machine.

    Args:
        home: The coordinator; None if its settings cannot be used.
        clock: This machine's.
        environment: Of this process.
        seconds: For all of it.
    """
    if home is None or home.reached_at is None:
        return checkup.all_skipped(NETWORK_LINES, "the coordinator has no address yet")
    summary = coordinator_summary(home)
    environments = {"this shell": environment, "the service": environment_of(summary["executor"].get("pid"))}
    found = [network_findings.proxy("proxy", _LOOPBACK, environments), _address(home)]
    if summary["state"] == "stopped":
        left = [name for name in NETWORK_LINES if name not in {"proxy", "address"}]
        return found + checkup.all_skipped(left, "the service is not running")
    deadline = Deadline(seconds - _SECONDS_FOR_A_NAME)
    found += checkup.run("gate", lambda: _gate(home, deadline, clock))
    found += checkup.run("superlink-health", lambda: [_health(home, deadline)])
    return found + checkup.run("nodes", lambda: [_nodes(home, clock(), deadline)])


def _address(home: CoordinatorHome) -> Finding:
    """Whether the name that nodes dial has an address, as far as this machine can tell."""
    host = home.network.host
    try:
        addresses = probes.resolve(host, home.network.port, Deadline(_SECONDS_FOR_A_NAME))
    except OSError:
        return checkup.warning(
            "address",
            f"{host}, which nodes dial, has no address on this machine",
            "check that it has one where the nodes are",
        )
    return ok("address", f"{host}, which nodes dial, is {', '.join(addresses)}")


def _gate(home: CoordinatorHome, deadline: Deadline, clock: Callable[[], datetime]) -> list[Finding]:
    """The gate from this machine, and whether it shows the certificate that is in use."""
    network = home.network
    way = Way(
        network.host,
        _ANYWHERE.get(network.listen_host, network.listen_host),
        network.listen_port,
        pki.ca_certificate(home).decode("ascii"),
        deadline,
        clock,
        ConfigurationError,
    )
    found = [finding for finding in way.findings() if finding.name != "clock"]
    until = pki.expiry(home)["server"]
    if way.shown is not None and not way.shown.code and way.shown.until != until:
        found.append(
            failed(
                "tls",
                f"the gate still shows a certificate until {way.shown.until:%Y-%m-%d}, not the one in use",
                "wait ten seconds and look again; then restart the service",
            )
        )
    return [*found, skipped("clock", "nodes measure their clocks against this one")]


def _health(home: CoordinatorHome, deadline: Deadline) -> Finding:
    """Whether SuperLink is well: it answers only with its database open."""
    authority = pki.ca_certificate(home).decode("ascii")
    endpoint = Endpoint((_LOOPBACK,), home.network.superlink_port, _LOOPBACK, authority)
    fix = "look into run/logs/superlink.log; the service starts SuperLink again by itself"
    try:
        status = probes.ask(endpoint, "GET", "/health", deadline).status
    except OSError as error:
        why = (
            "no answer in time" if isinstance(error, TimeoutError) else error.strerror or type(error).__name__
        )
        return failed("superlink-health", f"SuperLink does not answer: {why}", fix)
    if status != 200:
        return failed("superlink-health", f"SuperLink says that it is not well (status {status})", fix)
    return ok("superlink-health", "SuperLink is well")


def _nodes(home: CoordinatorHome, now: datetime, deadline: Deadline) -> Finding:
    """Which of the enrolled nodes are connected, as SuperLink's database says."""
    keys = {
        public_key_to_bytes(load_ssh_public_key(text.encode("ascii"))): node  # type: ignore[arg-type]
        for node, texts in transport_keys(home, now.date()).items()
        for text in texts
    }
    try:
        online = probes.within(deadline, lambda: _online(home, deadline))
    except (httpx.HTTPError, TimeoutError) as error:
        return failed(
            "nodes",
            f"SuperLink does not list its nodes ({type(error).__name__})",
            "look into run/logs/superlink.log",
        )
    names = sorted({node for key, node in keys.items() if key in online})
    return network_findings.connected("nodes", sorted(set(keys.values())), names)


def _online(home: CoordinatorHome, deadline: Deadline) -> set[bytes]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=pki.ca_certificate(home).decode("ascii"))
    client = ControlHttpClient(
        f"https://{_LOOPBACK}:{home.network.superlink_port}", verify=context, timeout=deadline.left()
    )
    try:
        nodes = client.ListNodes(ListNodesRequest()).nodes_info
        return {bytes(info.public_key) for info in nodes if info.status == "online"}
    finally:
        client.close()
