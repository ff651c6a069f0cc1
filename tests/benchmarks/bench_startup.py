"""How long `safeborders --help` takes, beside an empty Python program: `make bench-startup`."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time
from pathlib import Path

REPEATED = 9
PROGRAMS = {
    "safeborders --help": [sys.executable, "-m", "safeborders_fed", "--help"],
    "python -c pass": [sys.executable, "-c", "pass"],
}


def seconds(command: list[str]) -> float:
    """The best of several runs: whoever shares the machine can only make it slower."""
    taken = []
    for _ in range(REPEATED):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        taken.append(time.perf_counter() - began)
    return min(taken)


def main() -> None:
    found = {name: seconds(command) for name, command in PROGRAMS.items()}
    peer = found["python -c pass"]
    rows = []
    for name, value in found.items():
        print(f"{name:20} {1000 * value:7.1f} ms   {value / peer:5.1f} x python -c pass")
        rows.append(
            {
                "case": name,
                "method": "ours" if "safeborders" in name else "peer",
                "figure": "seconds",
                "value": value,
                "conditions": f"best of {REPEATED}, {platform.machine()}, Python {platform.python_version()}",
            }
        )
    Path("bench").mkdir(exist_ok=True)
    Path("bench/startup.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
