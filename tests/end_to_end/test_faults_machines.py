"""Machines in a bad way: a full disk, a wrong clock, certificates and keys past their time."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import books
import pytest
from fault_federation import FaultFederation, power_cut
from fault_table import Table
from loopback import Machine, wait_for

from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.coordinator.pki import expiry, issue_server_certificate
from safeborders_fed.study.key_files import load_certificate_key

pytestmark = pytest.mark.slow

TICK = 0.5
FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
_SOCKETS = shutil.ignore_patterns("*.sock")


@contextmanager
def small_disk(machine: Machine, mebibytes: int) -> Iterator[None]:
    """Has a node's directory on a small file system of its own for a while. The service does not run."""
    home, aside = machine.home, machine.home.with_name(f"{machine.home.name}.aside")
    home.rename(aside)
    home.mkdir(mode=0o700)
    size = f"size={mebibytes}m,mode=700"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "safeborders-test", home], check=False)
    if mounted.returncode:
        home.rmdir()
        aside.rename(home)
        pytest.skip("no file system can be mounted here: this needs root and CAP_SYS_ADMIN")
    try:
        shutil.copytree(aside, home, dirs_exist_ok=True, ignore=_SOCKETS)
        yield
    finally:
        machine.stop()
        shutil.rmtree(aside)
        shutil.copytree(home, aside, ignore=_SOCKETS)
        # Lazily: commands that ran in this process may hold files open a little longer.
        subprocess.run(["umount", "--lazy", home], check=True)
        home.rmdir()
        aside.rename(home)


def fill(directory: Path) -> Path:
    """A file that takes all space that is left."""
    path = directory / "filling"
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    return path


def test_full_disk(made: FaultFederation, table: Table) -> None:
    study = "full-disk"
    node = made.nodes["BG"]
    node.stop()
    with small_disk(node, 64):
        node.start()
        node.wait_ready()
        seen = made.begin(study, rounds=7, retries=3, tick=TICK)
        made.wait_round(study, 1)
        with table.row(
            "Full disk at a node",
            "BG's directory, with its logs, is a file system of 64 MiB, which is filled. Then space "
            "is freed.",
        ) as row:
            with made.between_rounds(study) as attempt:
                filling = fill(node.home)
            assert made.settled(study, attempt).failures == {"BG": "unavailable"}
            assert attempt not in books.charged(made, "BG", study)
            wait_for(lambda: "No space left on device; free space there" in node.text(), 10, "a word of it")
            filling.unlink()
            made.wait_back(study, attempt, "BG")
            row.outcome = (
                "What cannot be charged is not answered: a retry at once among the other four. The service "
                "goes on and says on its standard error what to do; it takes part again by itself once there "
                "is space."
            )
        assert made.finish(study).state == "finished"
        books.check(made, study)
        assert "missing: BG: unavailable" in seen.read_text(encoding="utf-8")
    node.start()


@pytest.mark.skipif(not FAKETIME, reason="libfaketime is not installed: apt-get install faketime")
def test_wrong_clock(made: FaultFederation, table: Table) -> None:
    study = "wrong-clock"
    node = made.nodes["IT"]
    made.ready_study(study, rounds=6, retries=2, tick=TICK, epsilon=0.5)
    node.stop()
    with table.row(
        "Wrong clock at a node",
        "IT's clock is two hours fast (libfaketime) when its service and the study start. Then it is put "
        "right.",
    ) as row:
        node.environment = {"LD_PRELOAD": str(FAKETIME[0]), "FAKETIME": "+2h"}
        node.start()
        node.environment = {}
        wait_for(lambda: "this machine's clock is off" in node.status()["text"], 40, "a word of the clock")
        assert "node doctor" in node.status()["text"]
        seen = made.root / f"{study}.watch"
        made.launch(study)
        made.watch(study, seen)
        made.wait_round(study, 2)
        assert books.charged(made, "IT", study) == set()
        node.stop()
        node.start()
        made.wait_back(study, 0, "IT")
        row.outcome = (
            "SuperLink takes none of its requests (401); the node names its clock among the causes. The "
            "study runs with the other four, and with IT a few rounds after its clock is right."
        )
    assert made.finish(study).state == "finished"
    books.check(made, study)
    assert "missing: IT: " in seen.read_text(encoding="utf-8")


def issue(made: FaultFederation, before: timedelta) -> datetime:
    """Puts a certificate for a day in use that was made some time before; its end."""
    home = CoordinatorHome.load(made.coordinator.home)
    key = load_certificate_key(made.keys / "ca.key")
    issue_server_certificate(home, key, datetime.now(UTC) - before, days=1)
    return expiry(home)["server"]


def renew(made: FaultFederation) -> None:
    made.coordinator_command("renew-certificate", "--ca-key-file", made.keys / "ca.key")


def test_certificates_end(made: FaultFederation, table: Table) -> None:
    study = "certificates"
    node = made.nodes["FI"]
    made.ready_study(study, rounds=2, retries=2, tick=TICK, epsilon=0.5)
    with table.row(
        "Expired server certificate",
        "A certificate that ended an hour ago is put in use while the service runs, and FI has to connect "
        "anew. Then it is renewed.",
    ) as row:
        issue(made, timedelta(days=1, hours=1))

        def is_refused() -> bool:
            if node.status()["state"] == "ready":
                node.kill("link")
            return "certificate has expired" in node.status()["text"]

        wait_for(is_refused, 40, "a word of the certificate")
        assert "node doctor" in node.status()["text"]
        renew(made)
        node.wait_ready()
        wait_for(made.is_well, 40, "all nodes being connected")
        row.outcome = "The node connects to nobody and says why; after the renewal it comes back by itself."

    with table.row(
        "A certificate that is renewed in time, and the one before ends",
        "The service starts with one that ends 25 seconds later. It is renewed, the gate is killed after "
        "that end, so that all connections are made anew, and a study runs.",
    ) as row:
        end = issue(made, timedelta(days=1) - timedelta(seconds=25))
        power_cut(made.coordinator)
        made.coordinator.wait_ready()
        renew(made)
        wait_for(lambda: datetime.now(UTC) > end, 40, "the end of the certificate")
        made.coordinator.kill("gate")
        wait_for(made.is_well, 40, "all nodes being connected")
        made.launch(study)
        assert made.finish(study).state == "finished"
        books.check(made, study)
        row.outcome = "Gate and SuperLink show the new one; the study finishes."
