"""What national control costs a node in a round, `make bench-control`: at most 15 ms.

Whole answers of one node of a federation of eight are timed, without sockets, and what the analysis and its
noise take is timed within and left out. What is left is the control path: reading the request, policy and
approval, heads and keys of the others, masks, ledger, audit log, signatures. Beside it stand the round's own
arithmetic and, as the floor of any record that survives a power cut, two bare writes with fsync (what leaves
and its charge; the audit line) on the same disk in the same run.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from federation_of import CEREMONY, MAX_VICTIMS, analysis_table, approve, participant, run_study, study
from federation_of import EIGHT as NODES
from safeborders_fed.audit.log import AuditLog
from safeborders_fed.node.ledger import Ledger
from safeborders_fed.node.participant import Participant
from safeborders_fed.node.session import Session
from safeborders_fed.privacy import accounting
from safeborders_fed.privacy.noise import discrete_gaussian
from safeborders_fed.study.messages import Contribution

ROUNDS = 60
WARM_UP = 3
NODE = "PL"
TARGET_MS = 15.0
BYTES = (3_072, 600)
"""About what a round writes: contribution and charge, audit line."""


class Clock:
    """Milliseconds by name within one answer of the measured node."""

    def __init__(self) -> None:
        self.rounds: list[dict[str, float]] = []
        self._now: dict[str, float] | None = None

    def part(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed while the measured node answers."""

        def timed(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                if self._now is not None:
                    passed = 1000 * (time.perf_counter() - began)
                    self._now[name] = self._now.get(name, 0.0) + passed

        return timed

    def answers(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Answers of participants; those of the measured node to rounds are kept."""

        def timed(node: Participant, *arguments: Any) -> Any:
            if node.node != NODE:
                return function(node, *arguments)
            self._now, began = {}, time.perf_counter()
            try:
                return function(node, *arguments)
            finally:
                self._now["whole answer"] = 1000 * (time.perf_counter() - began)
                if "ledger" in self._now:
                    self.rounds.append(self._now)
                self._now = None

        return timed


def floor(directory: Path) -> float:
    """Milliseconds of two bare writes with fsync."""
    times = []
    with (directory / "bare").open("wb", buffering=0) as file:
        for _ in range(ROUNDS):
            began = time.perf_counter()
            for size in BYTES:
                file.write(bytes(size))
                os.fsync(file.fileno())
            times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)


def main() -> None:
    clock = Clock()
    parameters = {
        "target": "actual_victim",
        "features": ["sex", "age_band", "means_of_control"],
        "rounds": ROUNDS,
    }
    manifest = study(
        parameters=parameters,
        participants=NODES,
        trust="masked",
        rho=accounting.rho_for(3.0, 1e-6),
        max_victims=MAX_VICTIMS,
    )
    analysis = type(manifest.build_analysis())
    analysis.prepare = clock.part("arithmetic", analysis.prepare)
    analysis.contribute = clock.part("arithmetic", analysis.contribute)
    noise = clock.part("noise", discrete_gaussian)
    Session.mask = clock.part("masks and keys", Session.mask)
    Session.check_heads = clock.part("heads of others", Session.check_heads)
    Contribution.signed = clock.part("signature", Contribution.signed)
    Ledger.spend = clock.part("ledger", Ledger.spend)
    AuditLog.append_if_new = clock.part("audit log", AuditLog.append_if_new)
    Participant.answer = clock.answers(Participant.answer)
    with tempfile.TemporaryDirectory() as directory:
        nodes = [
            participant(Path(directory), node, analysis_table(1000, seed), noise=noise, ceremony=CEREMONY)
            for seed, node in enumerate(NODES)
        ]
        for node in nodes:
            approve(node, manifest)
        run_study(manifest, nodes)
        bare = floor(Path(directory))
    rounds = clock.rounds[WARM_UP:]
    control = sorted(row["whole answer"] - row["arithmetic"] - row["noise"] for row in rounds)
    names = ("masks and keys", "heads of others", "signature", "ledger", "audit log")
    figures = {name: statistics.median(row[name] for row in rounds) for name in names}
    report(
        {
            "control path, median": statistics.median(control),
            "control path, worst of a hundred": control[int(0.99 * (len(control) - 1))],
            **figures,
            "the rest: reading, policy, approval": statistics.median(
                row["whole answer"] - sum(passed for name, passed in row.items() if name != "whole answer")
                for row in rounds
            ),
        },
        {
            "the round's arithmetic": statistics.median(row["arithmetic"] for row in rounds),
            "the round's noise": statistics.median(row["noise"] for row in rounds),
            "two bare writes with fsync": bare,
        },
        f"1 of 8 nodes, 1,000 victims, {len(rounds)} rounds, {platform.machine()}, {os.cpu_count()} cores",
    )


def report(ours: dict[str, float], peers: dict[str, float], conditions: str) -> None:
    """Prints and keeps the figures."""
    bare, rows = peers["two bare writes with fsync"], []
    for method, figures in (("ours", ours), ("peer", peers)):
        for case, value in figures.items():
            print(f"{case:42} {value:8.2f} ms a round   {value / bare:6.2f} x bare writes")
            rows.append(
                {
                    "case": case,
                    "method": method if method == "ours" else case,
                    "figure": "milliseconds a round",
                    "value": value,
                    "conditions": conditions,
                }
            )
    within = "within" if ours["control path, median"] <= TARGET_MS else "ABOVE"
    print(f"{within} the {TARGET_MS:g} ms that a round may take at a node")
    Path("bench").mkdir(exist_ok=True)
    Path("bench/control.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
