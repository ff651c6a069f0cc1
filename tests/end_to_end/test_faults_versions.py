"""Nodes of other versions, and a run with other code."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import books
import pytest
import strangers
from fault_federation import FaultFederation, paused
from fault_table import Table
from flwr.common.serde import run_from_proto
from flwr.proto.fab_pb2 import Fab
from flwr.proto.runtime_pb2 import AcquireTaskRequest, PullTaskInputRequest
from flwr.supercore.constant import TaskType
from flwr.supercore.task_identity import TaskIdentity
from loopback import Machine, wait_for

from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.study import wire
from safeborders_fed.study.handshake import Join
from safeborders_fed.transport import bundle
from safeborders_fed.transport.apps import FlowerFederation
from safeborders_fed.transport.control import registered
from safeborders_fed.transport.runner import PatientGrid, Runner
from safeborders_fed.transport.superlink import SuperLinkSettings

pytestmark = pytest.mark.slow


def start_as(machine: Machine, protocol: int, minor: int) -> None:
    """Starts a node with another version of the protocol."""
    assert machine.stop() == 0
    program = Path(__file__).with_name("other_version.py")
    arguments = [sys.executable, program, protocol, minor, "node", "start", "--home", machine.home]
    with machine.log.open("ab") as log:
        machine.process = subprocess.Popen(
            [str(part) for part in arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )


def test_other_versions(made: FaultFederation, table: Table) -> None:
    study = "versions"
    nodes = made.nodes
    with table.row(
        "Nodes of other versions",
        "BG is one minor version ahead, FI two, PT speaks another protocol. A study is offered to all. Then "
        "FI is put right, and the study runs.",
    ) as row:
        start_as(nodes["BG"], wire.PROTOCOL, wire.MINOR + 1)
        start_as(nodes["FI"], wire.PROTOCOL, wire.MINOR + 2)
        start_as(nodes["PT"], wire.PROTOCOL + 1, 0)
        for node in ("BG", "FI", "PT"):
            nodes[node].wait_ready()
        digest = made.draft(study, rounds=3, retries=2, tick=0.25, epsilon=0.5)
        made.coordinator_command("study", "publish", study, "--hash", digest, *made.operator())
        words = wait_for(lambda: made.state(study).nodes, 40, "what the nodes say")
        assert words["BG"].status == "pending"
        assert words["FI"].reason == "wrong-protocol"
        theirs, ours = f"{wire.PROTOCOL}.{wire.MINOR + 2}", f"{wire.PROTOCOL}.{wire.MINOR}"
        assert f"speaks protocol {theirs}, this side {ours}: this side is too old" in words["FI"].advice
        assert f"speaks protocol {ours}, this side {theirs}: the other side is too old" in nodes["FI"].text()
        assert words["PT"].reason == "no-reply"
        assert f"not that of protocol {wire.PROTOCOL + 1}" in nodes["PT"].text()
        assert f"PT: not the app bundle of protocol {wire.PROTOCOL + 1}" in made.coordinator.text()

        nodes["FI"].stop()
        nodes["FI"].start()
        nodes["FI"].wait_ready()
        made.coordinator_command("study", "offer", study)
        wait_for(lambda: made.offered("FI", study), 30, "the study at FI")
        made.approve(study, digest, ("BG", "FI", "GR", "IT"))
        made.launch(study)
        state = made.finish(study)
        assert (state.state, state.delivered) == ("finished", ("BG", "FI", "GR", "IT"))
        books.check(made, study)
        row.outcome = (
            "BG takes part. The coordinator shows that FI speaks a version too far from its own, which side "
            "is too old and what to install. PT refuses the run unread; both sides' logs name the protocol. "
            "The study finishes with the other four."
        )
    nodes["PT"].stop()
    nodes["BG"].stop()
    nodes["PT"].start()
    nodes["BG"].start()


def other_code() -> Fab:
    """An app bundle that Flower takes, with code of somebody else."""
    with mock.patch.object(bundle, "_APPS", "raise SystemExit('other code ran')\n"):
        content = bundle.bundle.__wrapped__()
    return Fab(hash_str=hashlib.sha256(content).hexdigest(), content=content)


def test_a_run_with_other_code(made: FaultFederation, table: Table) -> None:
    settings = SuperLinkSettings.of(CoordinatorHome.load(made.coordinator.home))
    ca = settings.ca_certificate.read_bytes()
    with table.row(
        "An app bundle with other code",
        "A run that names it is started over SuperLink's control API on loopback. First the coordinator's "
        "executor takes it. Then a program that has the executor's secret takes it, and asks the nodes to "
        "join.",
    ) as row:
        strangers.start_run(settings.address, ca, other_code())
        wait_for(lambda: "foreign-bundle" in made.coordinator.text(), 20, "the refusal of the executor")
        with paused(made.coordinator.pid("executor")):
            strangers.start_run(settings.address, ca, other_code())
            assert ask_as_executor(settings) == {}
        for node in made.nodes.values():
            assert f"names app bundle {other_code().hash_str}, which is not that of protocol" in node.text()
            assert "other code ran" not in node.text()
        row.outcome = "The executor does not do it. Every node refuses it by the hash of its bundle."


def ask_as_executor(settings: SuperLinkSettings) -> dict[str, bytes]:
    """Does what the coordinator's executor would not: takes the next task, and asks its nodes something."""
    client = Runner(settings, 8.0, lambda *_: None, lambda: None)._client()
    task = client.AcquireTask(AcquireTaskRequest(supported_task_types=[TaskType.SERVER_APP]))
    grid = PatientGrid(
        runtime_api_address=settings.address,
        root_certificates=settings.ca_certificate.read_bytes(),
        token=task.token,
    )
    found = grid._runtime_client.PullTaskInput(PullTaskInputRequest())
    TaskIdentity.task_id, TaskIdentity.run_id = found.task_id, found.run.run_id
    TaskIdentity.node_id = found.context.node_id
    grid.set_run(run_from_proto(found.run))
    nodes = registered(settings.directory)
    join = Join(study="none", manifest_hash="0" * 64).encode()
    try:
        return FlowerFederation(grid, nodes, 8.0).ask(dict.fromkeys(nodes, join))
    finally:
        grid.close()
        client.close()
