"""The commands that run a node and a coordinator as services, and say how they are."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from safeborders_fed.cli import output

if TYPE_CHECKING:
    from safeborders_fed.coordinator.home import CoordinatorHome
    from safeborders_fed.study.validity import Expiry

NodeHome = Annotated[Path, typer.Option("--home", help="The directory of the node.")]
Home = Annotated[Path, typer.Option("--home", help="The directory of the coordinator.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Wait = Annotated[
    float, typer.Option("--wait", min=0.0, help="Wait up to so many seconds for it to be ready.")
]
NOT_READY = 6
_PAUSE = 0.5


def node_start(home: NodeHome) -> int:
    """Run the node: the link to the coordinator and the executor of approved studies. Ends with Ctrl-C."""
    from safeborders_fed.transport.node_service import NodeService

    return NodeService(home, _tell).run()


def node_status(home: NodeHome, wait: Wait = 0.0, as_json: Json = False) -> int:
    """Show whether the node's service is running and connected. Exit code 0 if ready."""
    from safeborders_fed.node.expiries import expiries
    from safeborders_fed.node.settings import NodeSettings
    from safeborders_fed.transport.status import node_summary

    settings = NodeSettings.load(home)
    found = waited_for(lambda: node_summary(home), wait)
    _print(f"node {settings.country}", found, expiries(settings), as_json=as_json)
    return 0 if found["state"] == "ready" else NOT_READY


def coordinator_start(home: Home) -> int:
    """Run the coordinator: SuperLink on loopback, the gate, and the executor of studies. Ends with Ctrl-C."""
    from safeborders_fed.transport.coordinator_service import CoordinatorService

    return CoordinatorService(_coordinator(home), _tell).run()


def coordinator_status(home: Home, wait: Wait = 0.0, as_json: Json = False) -> int:
    """Show whether the coordinator's service is running, and which nodes may connect.

    Which nodes are connected, `safeborders coordinator doctor` shows.

    Exit code 0 if ready.
    """
    from safeborders_fed.coordinator.enrolment import expiries
    from safeborders_fed.transport.status import coordinator_summary

    coordinator = _coordinator(home)
    found = waited_for(lambda: coordinator_summary(coordinator), wait)
    _print("coordinator", found, expiries(coordinator), as_json=as_json)
    return 0 if found["state"] == "ready" else NOT_READY


def waited_for(
    look: Callable[[], dict[str, Any]],
    seconds: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """What ``look`` finds: at once if it is ready, else when it is or when the seconds are over."""
    end = clock() + seconds
    while (found := look())["state"] != "ready" and clock() < end:
        sleep(_PAUSE)
    return found


def _coordinator(home: Path) -> CoordinatorHome:
    from safeborders_fed.coordinator.home import CoordinatorHome

    return CoordinatorHome.load(home)


def _tell(text: str) -> None:
    from datetime import UTC, datetime

    output.message(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}Z {text}")


def _print(who: str, found: dict[str, Any], ends: list[Expiry], *, as_json: bool) -> None:
    from datetime import UTC, datetime

    from safeborders_fed.study.validity import warnings

    warned = warnings(ends, datetime.now(UTC).date())
    found = found | {"warnings": [{"level": w.level, "text": w.text, "fix": w.expiry.fix} for w in warned]}
    lines = [f"{who}: {found['text']}"]
    lines += [
        f"  {name}: process {process['pid'] or 'none'}, started {process['starts']} times"
        for name, process in found["service"].get("processes", {}).items()
    ]
    lines += [f"  {w.level}: {w.text}; {w.expiry.fix}" for w in warned]
    output.result(found, "\n".join(lines), as_json=as_json)
