"""Machines in a bad way: a full disk, a wrong clock, certificates and keys past their time."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import books
from fault_federation import FaultFederation, power_cut
from fault_table import Table
from loopback import Machine, wait_for

from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.coordinator.pki import expiry, issue_server_certificate
from safeborders_fed.study.key_files import load_certificate_key

pytestmark = pytest.mark.slow

TICK = 0.5
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
        subprocess.run(["umount", home], check=True)
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
        seen = made.begin(study, rounds=10, retries=3, tick=TICK)
        made.wait_round(study, 2)
        with table.row(
            "Full disk at a node", "BG's directory is a file system of 64 MiB, which is filled."
        ) as row:
            with made.between_rounds(study) as attempt:
                filling = fill(node.home)
            answers = made.settled(study, attempt)
            print(answers.failures)
            time.sleep(3)
            print(node.text()[-9000:])
            print(node.status(), node.ended())
            filling.unlink()
            made.wait_back(study, attempt, "BG")
            row.outcome = "..."
        assert made.finish(study).state == "finished"
        books.check(made, study)
        print(seen.read_text())


@pytest.mark.skipif(
    shutil.which("faketime") is None, reason="faketime is not installed: apt-get install faketime"
)
def test_wrong_clock(made: FaultFederation, table: Table) -> None:
    study = "wrong-clock"
    node = made.nodes["IT"]
    made.ready_study(study, rounds=8, retries=2, tick=TICK, epsilon=0.5)
    node.stop()
    with table.row(
        "Wrong clock at a node", "IT's clock is two hours fast when its service starts; then it is put right."
    ) as row:
        node.environment = {"DONT_FAKE_MONOTONIC": "1"}
        node.start("faketime", "-f", "+2h")
        node.environment = {}
        wait_for(lambda: "doctor" in node.status()["text"], 40, "a word about the clock")
        print(node.status()["text"])
        made.launch(study)
        made.watch(study, made.root / f"{study}.watch")
        made.wait_round(study, 2)
        node.stop()
        node.start()
        made.wait_back(study, 0, "IT")
        row.outcome = "..."
    assert made.finish(study).state == "finished"
    books.check(made, study)
    print((made.root / f"{study}.watch").read_text())


def issue(made: FaultFederation, begin: timedelta, days: int = 1) -> datetime:
    """Puts a certificate in use that was made some time ago; its end."""
    home = CoordinatorHome.load(made.coordinator.home)
    key = load_certificate_key(made.keys / "ca.key")
    issue_server_certificate(home, key, datetime.now(UTC) - begin, days)
    return expiry(home)["server"]


def renew(made: FaultFederation) -> None:
    made.coordinator_command("renew-certificate", "--ca-key-file", made.keys / "ca.key")


def test_expired_certificate(made: FaultFederation, table: Table) -> None:
    study = "certificates"
    node = made.nodes["FI"]
    made.ready_study(study, rounds=8, retries=2, tick=TICK, epsilon=0.5)
    with table.row(
        "Expired server certificate",
        "A certificate that ended an hour ago is put in use while the service runs; FI connects anew; then it is renewed.",
    ) as row:
        issue(made, timedelta(days=1, hours=1))

        def refused() -> bool:
            node.kill("link")
            time.sleep(1)
            return "certificate" in node.status()["text"]

        wait_for(refused, 30, "a word about the certificate")
        print(node.status()["text"])
        renew(made)
        print("back after", node.wait_ready())
        wait_for(made.is_well, 30, "all")
        row.outcome = "..."
    with table.row(
        "A certificate that is renewed in time, and the one before ends",
        "The service starts with a certificate that ends 25 seconds later; it is renewed, and a study runs after the end.",
    ) as row:
        end = issue(made, timedelta(days=1) - timedelta(seconds=25))
        power_cut(made.coordinator)
        made.coordinator.wait_ready()
        renew(made)
        wait_for(lambda: datetime.now(UTC) > end, 40, "the end of the certificate")
        made.coordinator.kill("gate")
        wait_for(made.is_well, 30, "all")
        made.launch(study)
        assert made.finish(study).state == "finished"
        books.check(made, study)
        row.outcome = "..."
