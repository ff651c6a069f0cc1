"""One federation for all faults, and the table of what came of them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from fault_federation import FaultFederation
from fault_table import Table
from loopback import wait_for

_FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, None, None]:
    """Stops the federation after the last of several tests that use it: others need the machine, too."""
    used = getattr(item, "funcargs", {}).get("shared")
    yield
    if used is not None and "shared" not in getattr(nextitem, "fixturenames", ()):
        used.stop()


@pytest.fixture(scope="session")
def table() -> Iterator[Table]:
    """What the faults came to; written to the file that SAFEBORDERS_FAULT_TABLE names."""
    made = Table()
    yield made
    path = os.environ.get("SAFEBORDERS_FAULT_TABLE")
    if path:
        made.write(Path(path))


@pytest.fixture(scope="session")
def shared() -> Iterator[FaultFederation]:
    root = Path(tempfile.mkdtemp(prefix="safeborders-faults-"))
    made = FaultFederation(root)
    try:
        made.prepare()
        yield made
    finally:
        made.stop()
        made.proxy.stop()
        kept = os.environ.get("SAFEBORDERS_FAULT_LOGS")
        if kept:
            Path(kept).mkdir(parents=True, exist_ok=True)
            for machine in made.machines:
                (Path(kept) / f"{machine.name}.log").write_text(machine.text(), encoding="utf-8")
        shutil.rmtree(root)


@pytest.fixture
def made(shared: FaultFederation, request: pytest.FixtureRequest) -> Iterator[FaultFederation]:
    """The federation, with all services ready. One that a failed test left is not used again."""
    if not shared.is_well():
        shared.renew()
    yield shared
    if request.node.stash.get(_FAILED, False):
        shared.stop()
        return
    if any(machine.process is not None for machine in shared.machines):
        wait_for(shared.is_well, 60, "all services being ready again")
