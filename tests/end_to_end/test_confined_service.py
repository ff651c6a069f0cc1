"""Services run where they may write to their own directories only, and a node is backed up while it runs.

No systemd runs in these tests. A mount namespace stands in for the part of the units that could stop a
service from working: everything read-only but its own directory, an empty /tmp, no processes of others in
/proc, no capability, no new privileges. The units' system call filter is not in force here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from loopback import Loopback, Machine, safeborders, wait_for

from federation_of import ROOT
from safeborders_fed.errors import RefusedError
from safeborders_fed.node.settings import NodeSettings

CONFINE = """
set -e
mount --make-rprivate /
mount --bind "$0" "$0"
mount -o remount,bind,ro /
exec 3< "$KEPT"
mount -t tmpfs tmpfs /tmp
if [[ "$KEPT" == /tmp/* ]]; then  # the software itself, if that is where it lies
  mkdir -p "$KEPT"
  mount --no-canonicalize --bind /proc/self/fd/3 "$KEPT"
fi
exec 3<&-
mount -t proc -o subset=pid proc /proc
exec setpriv --bounding-set=-all --inh-caps=-all --ambient-caps=-all --no-new-privs "$@"
"""

ENVIRONMENT = os.environ | {"KEPT": str(ROOT)}


def _can_confine() -> bool:
    if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("setpriv") is None:
        return False
    command = ["unshare", "--mount", "bash", "-c", CONFINE, "/var/tmp", "true"]  # noqa: S108
    return subprocess.run(command, capture_output=True, check=False, env=ENVIRONMENT).returncode == 0


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not _can_confine(), reason="needs root, unshare and setpriv"),
]


def start_confined(machine: Machine) -> None:
    machine.environment = {"KEPT": str(ROOT)}
    machine.start("unshare", "--mount", "bash", "-c", CONFINE, str(machine.home))


@pytest.fixture
def running() -> Iterator[Loopback]:
    """A coordinator and four nodes, confined; not below /tmp, which they see empty."""
    root = Path(tempfile.mkdtemp(prefix="safeborders-", dir="/var/tmp"))
    made = Loopback(root / "federation", nodes=("BE", "BG", "FI", "GR"), port=19743)
    try:
        made.found()
        for machine in made.machines:
            start_confined(machine)
        for machine in made.machines:
            machine.wait_ready(90)
        yield made
    finally:
        made.stop()
        shutil.rmtree(root)


def test_confined_services_get_ready_and_a_running_node_is_backed_up_and_restored(running: Loopback) -> None:
    node = running.nodes["BG"]
    with node.log.open(encoding="utf-8") as log:
        assert "Read-only file system" not in log.read()

    out = running.root / "bg.tar"
    backed_up = running.node_command("BG", "backup", "--out", out)
    assert backed_up["logged"] is False, "the service has the log"
    log_file = node.home / "audit.jsonl"
    wait_for(lambda: backed_up["hash"] in log_file.read_text("utf-8"), 60, "the backup in the audit log")
    node.wait_ready()

    assert node.stop() == 0
    restored = running.root / "restored"
    done = safeborders("node", "restore", out, "--home", restored)
    assert done["node"] == "BG"
    settings = NodeSettings.load(restored)
    if done["must_reconcile"]:
        with closing(settings.open_ledger()) as ledger, pytest.raises(RefusedError, match="ledger-disputed"):
            ledger.reserve("a-study", "a" * 64, 1e-6)
    again = Machine("BG", restored, running.root / "restored.log")
    start_confined(again)
    try:
        again.wait_ready()
    finally:
        again.stop()
    assert '"operation":"restore"' in settings.audit_path.read_text("utf-8")
