"""What a node's doctor asks of the service and of the network.

Guarantees: the node's files are read only. The transport key signs one heartbeat, and only while the node's
own link is connected, so that nobody takes the node for connected that is not.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.node_pb2 import Node
from flwr.supercore.protobuf.client import ProtobufCall, ProtobufRequestContext
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from safeborders_fed.coordinator.network import split_address
from safeborders_fed.errors import ConfigurationError, PeerError
from safeborders_fed.node.settings import NodeSettings
from safeborders_fed.study import checkup
from safeborders_fed.study.checkup import Finding, failed, ok, skipped, warning
from safeborders_fed.study.enrolment import EnrolmentBundle
from safeborders_fed.study.key_files import load_transport_key
from safeborders_fed.study.machine import versions
from safeborders_fed.transport import network_findings, probes
from safeborders_fed.transport.fleet import HEARTBEAT_INTERVAL
from safeborders_fed.transport.gate import VERSIONS
from safeborders_fed.transport.node_service import FLOWER_FILE
from safeborders_fed.transport.probes import Deadline
from safeborders_fed.transport.status import (
    RUN_DIRECTORY,
    STATUS_FILE,
    is_alive,
    node_summary,
    read_json,
)
from safeborders_fed.transport.way import LINES, Way

SECONDS: Final = 9.0
"""For all of the network together."""
NETWORK_LINES: Final = ("proxy", *LINES, "access", "peer-versions")
_OFTEN: Final = 3
_UNAUTHORISED: Final = 401


def service(summary: Mapping[str, Any], side: str) -> list[Finding]:
    """How the service is, by what it says of itself.

    Args:
        summary: From ``status.node_summary`` or ``status.coordinator_summary``.
        side: ``node`` or ``coordinator``.
    """
    state, text = summary["state"], str(summary["text"])
    processes = summary["service"].get("processes", {})
    restarted = [name for name, process in processes.items() if process.get("starts", 0) > _OFTEN]
    if state == "stopped":
        return [warning("service", text, f"start it with `safeborders {side} start` or its unit")]
    if state == "disconnected":
        return [failed("service", text, "see the lines on the network below", PeerError)]
    if state == "starting":
        return [warning("service", text, "wait some seconds, then look into run/logs")]
    if restarted:
        return [
            warning("service", f"{text}; started again and again: {', '.join(restarted)}", "see run/logs")
        ]
    return [ok("service", text)]


def is_running(home: Path) -> bool:
    """Whether the node's service runs."""
    said = read_json(home / RUN_DIRECTORY / STATUS_FILE)
    return said.get("state") != "stopped" and is_alive(said.get("pid"))


def environment_of(pid: Any) -> dict[str, str]:
    """The variables of a process that say how to reach others; nothing if it may not be read."""
    try:
        data = Path(f"/proc/{int(pid)}/environ").read_bytes()
    except (OSError, TypeError, ValueError):
        return {}
    pairs = [part.partition(b"=") for part in data.split(b"\0")]
    return {
        name.decode("ascii", "replace"): value.decode("utf-8", "replace")
        for name, _, value in pairs
        if name.lower().endswith(b"_proxy")
    }


def examine(
    settings: NodeSettings | None,
    clock: Callable[[], datetime],
    environment: Mapping[str, str] = os.environ,
    seconds: float = SECONDS,
) -> list[Finding]:
    """All that can be said of the way to the coordinator.

    Args:
        settings: The node's; None if they cannot be used.
        clock: This machine's.
        environment: Of this process.
        seconds: For all of it.
    """
    try:
        bundle = None if settings is None else settings.enrolment()
    except ConfigurationError:
        bundle = None
    if settings is None or bundle is None:
        return checkup.all_skipped(NETWORK_LINES, "the node knows of no coordinator yet")
    summary = node_summary(settings.home)
    host, port = split_address(bundle.address)
    environments = {"this shell": environment, "the service": environment_of(summary["link"].get("pid"))}
    deadline = Deadline(seconds)
    way = Way(host, host, port, bundle.ca_certificate, deadline, clock)
    found = [network_findings.proxy("proxy", host, environments), *checkup.run("name", way.findings)]
    return found + checkup.run("access", lambda: access(settings, bundle, summary["state"], deadline))


@dataclass
class _Noting:
    """Keeps the header with the gate's versions."""

    header: str | None = None

    def intercept(self, context: ProtobufRequestContext, call_next: ProtobufCall) -> httpx.Response:
        """Sends the request."""
        response = call_next(context)
        self.header = response.headers.get(VERSIONS)
        return response


def access(settings: NodeSettings, bundle: EnrolmentBundle, state: str, deadline: Deadline) -> list[Finding]:
    """Whether SuperLink takes this node's signature, and which versions are at the other end."""
    names = ("access", "peer-versions")
    try:
        number = int((settings.home / RUN_DIRECTORY / FLOWER_FILE).read_text(encoding="ascii"))
    except (OSError, ValueError):
        number = None
    if state != "ready" or number is None:
        return checkup.all_skipped(names, "asked only while the node's service is connected")
    noting = _Noting()
    try:
        probes.within(deadline, lambda: _heartbeat(settings, bundle, number, noting, deadline))
    except (httpx.HTTPStatusError, httpx.TransportError, TimeoutError) as error:
        return [_no_access(error), skipped("peer-versions", "the step before it failed")]
    return [
        ok("access", "SuperLink takes this node's signature"),
        network_findings.peer_versions("peer-versions", noting.header, versions()),
    ]


def _no_access(error: Exception) -> Finding:
    if isinstance(error, httpx.HTTPStatusError) and error.response.status_code == _UNAUTHORISED:
        return failed(
            "access",
            "SuperLink refuses this node's signature: its transport key is not enrolled, was revoked, or the "
            "clock is off",
            "see the line on the clock; then ask the operator whether this node's key is enrolled",
            PeerError,
        )
    what = (
        f"status {error.response.status_code}"
        if isinstance(error, httpx.HTTPStatusError)
        else type(error).__name__
    )
    return failed(
        "access", f"SuperLink did not take a heartbeat ({what})", "try again in a minute", PeerError
    )


def _heartbeat(
    settings: NodeSettings, bundle: EnrolmentBundle, number: int, noting: _Noting, deadline: Deadline
) -> None:
    key = load_transport_key(settings.transport_key_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=bundle.ca_certificate)
    client = FleetHttpClient(
        f"https://{bundle.address}",
        interceptors=[noting, NodeAuthHttpInterceptor(key, key.public_key())],
        verify=context,
        timeout=deadline.left(),
    )
    try:
        node = Node(node_id=number)
        client.SendNodeHeartbeat(SendNodeHeartbeatRequest(node=node, heartbeat_interval=HEARTBEAT_INTERVAL))
    finally:
        client.close()
