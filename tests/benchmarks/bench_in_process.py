"""What a round costs beyond its arithmetic: eight nodes in one process, `make bench-in-process`.

The arithmetic (contributions, noise, masks, signatures, one step of the coordinator) and durable writes
(ledger, audit log) are measured by themselves in the same run; what is left of a round's time is Flower's
grid, messages and bookkeeping.
"""

from __future__ import annotations

import json
import os
import platform
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
from safeborders_fed.coordinator.rounds import RoundDone
from safeborders_fed.node.ledger import Ledger
from safeborders_fed.node.session import Session
from safeborders_fed.privacy import accounting
from safeborders_fed.privacy.noise import discrete_gaussian
from safeborders_fed.study.messages import Contribution

ROUNDS = 60
PARTS = ("contribute", "noise", "mask", "signatures", "advance", "ledger", "audit log")


def timed(spent: dict[str, float], name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*arguments: Any, **named: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            spent[name] = spent.get(name, 0.0) + time.perf_counter() - began

    return wrapper


def main() -> None:
    spent: dict[str, float] = {}
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
    analysis.contribute = timed(spent, "contribute", analysis.contribute)
    analysis.prepare = timed(spent, "prepare", analysis.prepare)
    analysis.advance = timed(spent, "advance", analysis.advance)
    Ledger.spend = timed(spent, "ledger", Ledger.spend)
    noise = timed(spent, "noise", discrete_gaussian)
    Session.mask = timed(spent, "mask", Session.mask)
    Session.check_heads = timed(spent, "signatures", Session.check_heads)
    Contribution.signed = timed(spent, "signatures", Contribution.signed)
    Contribution.check = timed(spent, "signatures", Contribution.check)
    AuditLog.append_if_new = timed(spent, "audit log", AuditLog.append_if_new)
    rounds: list[RoundDone] = []

    def watch(done: RoundDone) -> None:
        if done.number <= 2:  # the first rounds read the cases and warm up
            spent.clear()
        else:
            rounds.append(done)

    with tempfile.TemporaryDirectory() as directory:
        nodes = [
            participant(Path(directory), node, analysis_table(1000, seed), noise=noise, ceremony=CEREMONY)
            for seed, node in enumerate(NODES)
        ]
        for node in nodes:
            approve(node, manifest)
        run_study(manifest, nodes, watch)
    whole = sum(done.seconds for done in rounds) / len(rounds)
    parts = {name: spent[name] / len(rounds) for name in PARTS}
    rest = whole - sum(parts.values())
    conditions = f"8 nodes, 1,000 victims each, {ROUNDS} rounds, {platform.machine()}, {os.cpu_count()} cores"
    figures = {"whole round": whole, **parts, "federation beyond all of these": rest}
    rows = []
    for name, seconds in figures.items():
        print(f"{name:45} {1000 * seconds:8.2f} ms   {seconds / parts['contribute']:6.2f} x contribute")
        rows.append(
            {
                "case": name,
                "method": "ours",
                "figure": "seconds",
                "value": seconds,
                "conditions": conditions,
            }
        )
    Path("bench").mkdir(exist_ok=True)
    Path("bench/in_process.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
