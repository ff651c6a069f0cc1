"""The commands ``safeborders node doctor`` and ``safeborders coordinator doctor``.

Guarantees: one line for each thing that was looked at; the exit code says who must act, 0 if nobody must.
Nothing in the node's or the coordinator's directory is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from safeborders_fed.cli import output

if TYPE_CHECKING:
    from datetime import datetime

    from safeborders_fed.study.checkup import Finding

NodeHome = Annotated[Path, typer.Option("--home", help="The directory of the node.")]
Home = Annotated[Path, typer.Option("--home", help="The directory of the coordinator.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Offline = Annotated[bool, typer.Option("--offline", help="Skip what needs the network.")]
_OFFLINE = "--offline was given"


def node_doctor(home: NodeHome, offline: Offline = False, as_json: Json = False) -> int:
    """Look at a node from its keys to the coordinator's gate, and say what to mend. Changes nothing.

    Exit code 0 if nothing failed, else who must act: 4 this machine, 3 its data, 5 its people, 6 the other
    side or the network.
    """
    from safeborders_fed.node import checkup as local
    from safeborders_fed.simulation import dry_round
    from safeborders_fed.study import checkup, machine
    from safeborders_fed.transport import doctor_node
    from safeborders_fed.transport.status import node_summary

    settings = local.load(home)[0]
    found = local.examine(home, _now(), running=doctor_node.is_running(home))
    found += checkup.run("versions", lambda: [machine.packages("versions")])
    found += checkup.run("time", lambda: [machine.clock("time")])
    found += checkup.run("service", lambda: doctor_node.service(node_summary(home), "node"))
    if offline:
        found += checkup.all_skipped(doctor_node.NETWORK_LINES, _OFFLINE)
    else:
        found += doctor_node.examine(settings, _now)
    found += checkup.run("dry-round", lambda: dry_round.finding(settings.country if settings else None))
    return _print(f"node {settings.country}" if settings else "node", found, as_json=as_json)


def coordinator_doctor(home: Home, offline: Offline = False, as_json: Json = False) -> int:
    """Look at a coordinator from its certificates to its SuperLink, and say what to mend. Changes nothing.

    Exit code 0 if nothing failed, else who must act: 4 this machine, 5 its people, 6 the other side.
    """
    from safeborders_fed.coordinator import checkup as local
    from safeborders_fed.simulation import dry_round
    from safeborders_fed.study import checkup, machine
    from safeborders_fed.transport import doctor_coordinator

    coordinator = local.load(home)[0]
    found = local.examine(home, _now())
    found += checkup.run("versions", lambda: [machine.packages("versions")])
    found += checkup.run("time", lambda: [machine.clock("time")])
    found += doctor_coordinator.local(coordinator)
    if offline:
        found += checkup.all_skipped(doctor_coordinator.NETWORK_LINES, _OFFLINE)
    else:
        found += doctor_coordinator.examine(coordinator, _now)
    found += checkup.run("dry-round", dry_round.finding)
    return _print("coordinator", found, as_json=as_json)


def _now() -> datetime:
    from datetime import UTC, datetime

    return datetime.now(UTC)


def _print(who: str, found: Sequence[Finding], *, as_json: bool) -> int:
    from safeborders_fed.study import checkup

    code, counts = checkup.exit_code(found), checkup.counts(found)
    content = {
        "who": who,
        "checks": [finding.content() for finding in found],
        "summary": {**counts, "exit_code": code},
    }
    width = max(len(finding.name) for finding in found)
    lines = []
    for finding in found:
        lines.append(f"{finding.level:<7}  {finding.name:<{width}}  {finding.text}")
        if finding.fix:
            lines.append(f"{'':<7}  {'':<{width}}  Fix: {finding.fix}")
    totals = ", ".join(f"{count} {level}" for level, count in counts.items() if count)
    output.result(content, "\n".join([*lines, f"{who}: {totals}"]), as_json=as_json)
    return code
