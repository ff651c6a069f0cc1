"""What a node's processes hold in memory: nothing that only a coordinator, a network or a report needs."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("torch", "opacus", "openpyxl", "sqlalchemy", "alembic", "uvicorn", "altair", "scipy.stats", "opendp")


def test_a_node_loads_no_torch_and_nothing_of_a_coordinators() -> None:
    program = "import sys; import safeborders_fed.transport.node_service; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not set(HEAVY) & set(done.stdout.split())
