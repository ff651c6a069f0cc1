"""A whole federation on loopback, made with the commands that people type: a coordinator and eight nodes.

Setting up calls the command line in this process; services are processes of their own, as they would be on
nine machines. Run as a program (``make federation``) it sets all up, runs a study, prints what it measured,
and stops.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from safeborders_fed.cases.contract import FIELDS
from safeborders_fed.cli.main import run as command
from safeborders_fed.configs import mappings
from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.coordinator.study_files import StudyFiles
from safeborders_fed.coordinator.study_state import StudyState
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.simulation.nodes import synthetic_files
from safeborders_fed.study.key_files import load_key
from safeborders_fed.transport import status

EIGHT = ("BE", "BG", "FI", "GR", "IT", "PL", "PT", "RO")
PASSPHRASE = "made up for a test only"  # noqa: S105 - it guards nothing
OPERATOR = "Olga Operator"
PEOPLE = ("Ana First", "Bo Second")
FEATURES = (
    "sex",
    "age_band",
    "citizenship",
    "country_of_recruitment",
    "recruiter_relationship",
    "means_of_control",
)
POLICY = """
[policy]
analyses = ["logistic", "trends", "typology"]
columns = [{columns}]
epsilon_per_study = 4.0
epsilon_per_year = 12.0
epsilon_lifetime = 40.0
delta = 1e-6
minimum_participants = 3
purposes = ["victim-identification", "modus-operandi", "statistics", "early-warning", "evaluation"]
populations = ["all", "minors"]
least_victims = 0
least_tolerated_colluders = 1
"""


class CommandFailedError(AssertionError):
    """A command did not end as expected."""


def wait_for(holds: Callable[[], Any], seconds: float, what: str) -> Any:
    """What ``holds`` returns, once it is true."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come about within {seconds:g} s")
        time.sleep(0.1)
    return found


def safeborders(*arguments: object, code: int = 0) -> dict[str, Any]:
    """Runs a command with ``--json`` in this process; the object that it printed last."""
    printed, said = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(said):
        status = command([*map(str, arguments), "--json"])
    if status != code:
        raise CommandFailedError(
            f"{' '.join(map(str, arguments))}: {status}\n{printed.getvalue()}{said.getvalue()}"
        )
    lines = printed.getvalue().strip().splitlines()
    content: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    return content


@dataclass
class Machine:
    """One of the nine: a directory, and the service that may run in it."""

    name: str
    home: Path
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def kind(self) -> str:
        return "coordinator" if self.name == "coordinator" else "node"

    def start(self, *prefix: str) -> None:
        """Starts the service."""
        assert self.process is None, f"{self.name} runs already"
        arguments = [
            *prefix,
            sys.executable,
            "-m",
            "safeborders_fed",
            self.kind,
            "start",
            "--home",
            self.home,
        ]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(part) for part in arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=os.environ | {"OMP_NUM_THREADS": "1"} | self.environment,
            )

    def status(self) -> dict[str, Any]:
        """What ``status`` says, whatever its exit code."""
        if self.kind == "node":
            return status.node_summary(self.home)
        return status.coordinator_summary(CoordinatorHome.load(self.home))

    def wait_ready(self, seconds: float = 40.0) -> float:
        """Waits until it is ready; the seconds that it took."""
        began = time.monotonic()
        wait_for(
            lambda: self.ended() or self.status()["state"] == "ready", seconds, f"{self.name} being ready"
        )
        if self.ended():
            raise AssertionError(f"{self.name} ended:\n{self.text()}")
        return time.monotonic() - began

    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def pid(self, part: str) -> int:
        """Process number of one of its processes (``executor``, ``link``, ``superlink``, ``gate``)."""

        def known() -> int:  # 0, which a signal must never be sent to, while it is being started anew
            number: int = self.status()["service"].get("processes", {}).get(part, {}).get("pid", 0)
            return number if status.is_alive(number) else 0

        found: int = wait_for(known, 20, f"a process of the {part} of {self.name}")
        return found

    def kill(self, part: str) -> int:
        """Ends one of its processes at once; its number."""
        pid = self.pid(part)
        os.kill(pid, signal.SIGKILL)
        return pid

    def kill_all(self) -> None:
        """What a power cut does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(20)
        self.process = None

    def stop(self) -> int:
        """Stops the service as an operator would; its exit code."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(25)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait(10)
        self.process = None
        return code

    def text(self) -> str:
        """Everything that it wrote to its logs."""
        logs = sorted((self.home / "run" / "logs").glob("*.log"))
        return "".join(
            f"--- {log.name}\n{log.read_text(errors='replace')}" for log in [self.log, *logs] if log.exists()
        )

    def processes(self) -> list[int]:
        """Numbers of all its processes."""
        return [] if self.process is None else family(self.process.pid)


def family(pid: int) -> list[int]:
    """A process, and all that it and its children started."""
    children: list[str] = []
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            children += (thread / "children").read_text(encoding="ascii").split()
    except OSError:
        return []
    return [pid, *(found for child in children for found in family(int(child)))]


def memory(pids: list[int]) -> float:
    """Proportional set size of processes, MiB."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total / 1024


def cpu(pids: list[int]) -> float:
    """CPU seconds that processes have used, and children of theirs that have ended."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
            total += sum(int(fields[at]) for at in (11, 12, 13, 14))
    return total / os.sysconf("SC_CLK_TCK")


class Loopback:
    """A federation in a directory.

    Args:
        root: A new directory.
        nodes: Which states.
        port: The gate's port; SuperLink gets the next one.
        scale: Size of the synthetic files.
    """

    def __init__(
        self,
        root: Path,
        nodes: tuple[str, ...] = EIGHT,
        port: int = 19443,
        scale: float = 0.05,
        deadline: float = 30.0,
    ) -> None:
        self.root = root
        self.port = port
        self.scale = scale
        self.deadline = deadline
        self.coordinator = Machine("coordinator", root / "coordinator", root / "coordinator.log")
        self.nodes = {
            node: Machine(node, root / node.lower(), root / f"{node.lower()}.log") for node in nodes
        }
        self.keys = root / "keys"

    @property
    def machines(self) -> list[Machine]:
        return [self.coordinator, *self.nodes.values()]

    def found(self) -> None:
        """Sets everything up: coordinator, nodes with their cases, enrolment, people, rosters, policies."""
        self.keys.mkdir(parents=True)
        (self.keys / "passphrase").write_text(PASSPHRASE, encoding="utf-8")
        self.coordinator_command(
            "init",
            "--operator", OPERATOR,
            "--key-file", self.keys / "operator.key",
            "--address", f"127.0.0.1:{self.port}",
            "--listen", f"127.0.0.1:{self.port}",
            "--ca-key-file", self.keys / "ca.key",
        )  # fmt: skip
        settings = self.coordinator.home / "coordinator.toml"
        text = re.sub(
            r"superlink_port = .*", f"superlink_port = {self.port + 1}", settings.read_text("utf-8")
        )
        text = re.sub(r"deadline_seconds = .*", f"deadline_seconds = {self.deadline}", text)
        settings.write_text(text, encoding="utf-8")
        files = {file.node: file.path for file in synthetic_files(self.root / "files", 100, self.scale)[0]}
        for node in self.nodes:
            self.make_node(node, files[node])
        for node in self.nodes:
            self.enrol(node)
        for node in self.nodes:
            self.accept_roster(node, *sorted((self.coordinator.home / "rosters").glob("*.json")))

    def make_node(self, node: str, cases: Path) -> None:
        """A node with its people, policy and cases."""
        home = self.nodes[node].home
        safeborders(
            "node", "init", "--country", node, "--home", home, "--key-file", self.keys / f"{node}.key"
        )
        columns = ", ".join(json.dumps(entry.name) for entry in FIELDS if not entry.identifying)
        with (home / "node.toml").open("a", encoding="utf-8") as settings:
            settings.write(POLICY.format(columns=columns))
        for person in PEOPLE:
            made = safeborders(
                "node",
                "approver",
                "create-key",
                self.key(node, person),
                "--passphrase-file",
                self.keys / "passphrase",
            )
            self.node_command(
                node, "approver", "add", "--name", person, "--public", made["public_key"], "--by", "IT"
            )
        mapping = Path(str(mappings.__path__[0])) / f"{node.lower()}.toml"
        self.node_command(node, "import", cases, "--mapping", mapping)

    def enrol(self, node: str) -> dict[str, Any]:
        """The request goes to the operator, the bundle comes back; fingerprints are compared."""
        asked = self.node_command(node, "request")
        done = self.coordinator_command(
            "enrol", asked["request"], "--fingerprint", asked["fingerprint"], *self.operator()
        )
        self.node_command(
            node, "enrol", done["bundle"], "--by", "IT", "--fingerprint", self.operator_fingerprint()
        )
        return done

    def accept_roster(self, node: str, *files: Path) -> None:
        """Two people compare the keys and accept."""
        approvals: list[object] = []
        for person in PEOPLE:
            out = self.root / f"{node}-{person[0]}-{time.monotonic_ns()}.json"
            self.node_command(
                node, "roster", "sign", *files, "--name", person, "--key", self.key(node, person),
                "--passphrase-file", self.keys / "passphrase", "--out", out,
            )  # fmt: skip
            approvals += ["--approval", out]
        self.node_command(node, "roster", "accept", *files, *approvals)

    def operator(self) -> tuple[object, ...]:
        return "--by", OPERATOR, "--key-file", self.keys / "operator.key"

    def operator_fingerprint(self) -> str:
        return public_hex(load_key(self.keys / "operator.key"))

    def key(self, node: str, person: str) -> Path:
        return self.keys / f"{node}-{person.split(maxsplit=1)[0]}.approver"

    def node_command(self, node: str, *arguments: object, code: int = 0) -> dict[str, Any]:
        return safeborders("node", *arguments, "--home", self.nodes[node].home, code=code)

    def coordinator_command(self, *arguments: object, code: int = 0) -> dict[str, Any]:
        return safeborders("coordinator", *arguments, "--home", self.coordinator.home, code=code)

    def start(self) -> dict[str, float]:
        """Starts all services; seconds to ready by machine."""
        for machine in self.machines:
            machine.start()
        return {machine.name: machine.wait_ready() for machine in self.machines}

    def stop(self) -> None:
        for machine in reversed(self.machines):
            machine.stop()

    def draft(
        self,
        study: str,
        *,
        rounds: int = 20,
        retries: int = 4,
        tick: float = 0.25,
        epsilon: float = 2.0,
        features: tuple[str, ...] = FEATURES,
    ) -> str:
        """Drafts a detection study; its hash."""
        parameters = self.root / f"{study}.toml"
        parameters.write_text(
            f'target = "actual_victim"\nfeatures = {json.dumps(features)}\nrounds = {rounds}\n',
            encoding="utf-8",
        )
        drafted = self.coordinator_command(
            "study", "draft", study,
            "--analysis", "logistic",
            "--parameters", parameters,
            "--epsilon", epsilon,
            "--purpose", "A test of the federation",
            "--legal-basis", "None: made-up cases",
            "--expires", (datetime.now(UTC) + timedelta(days=20)).date(),
            "--retries", retries,
            "--tick", tick,
        )  # fmt: skip
        return str(drafted["hash"])

    def publish(self, study: str, digest: str) -> None:
        self.coordinator_command("study", "publish", study, "--hash", digest, *self.operator())
        for node in self.nodes:
            if self.nodes[node].process is not None:
                wait_for(lambda node=node: self.offered(node, study), 30, f"{study} at {node}")

    def offered(self, node: str, study: str) -> bool:
        return (self.nodes[node].home / "studies" / study / "published.json").exists()

    def approve(self, study: str, digest: str, nodes: tuple[str, ...] | None = None) -> None:
        for node in self.nodes if nodes is None else nodes:
            for person in PEOPLE:
                self.node_command(
                    node, "study", "approve", study, "--hash", digest, "--name", person,
                    "--key", self.key(node, person), "--passphrase-file", self.keys / "passphrase",
                )  # fmt: skip

    def launch(self, study: str) -> None:
        self.coordinator_command("study", "launch", study, "--detach")

    def state(self, study: str) -> StudyState:
        return StudyFiles(CoordinatorHome.load(self.coordinator.home), study).state()

    def progress(self, study: str) -> list[dict[str, Any]]:
        return StudyFiles(CoordinatorHome.load(self.coordinator.home), study).progress()

    def rounds(self, study: str) -> int:
        return sum(line["kind"] == "round" for line in self.progress(study))

    def wait_round(self, study: str, number: int, seconds: float = 60.0) -> None:
        def done() -> bool:
            if self.rounds(study) >= number:
                return True
            assert not self.is_over(study), (
                f"{study} ended before round {number}: {self.state(study)}\n{self.coordinator.text()[-6000:]}"
            )
            return False

        wait_for(done, seconds, f"round {number} of {study}")

    def is_over(self, study: str) -> bool:
        state = self.state(study)
        return state.has_ended or state.error is not None

    def wait_over(self, study: str, seconds: float = 180.0) -> StudyState:
        wait_for(lambda: self.is_over(study), seconds, f"the end of {study}")
        return self.state(study)

    def ready_study(self, study: str, **terms: Any) -> None:
        """Drafted, published, approved everywhere."""
        digest = self.draft(study, **terms)
        self.publish(study, digest)
        self.approve(study, digest)


@contextlib.contextmanager
def federation(root: Path | None = None, **terms: Any) -> Iterator[Loopback]:
    """A federation that is set up and running; stopped and removed at the end."""
    directory = Path(tempfile.mkdtemp(prefix="safeborders-")) if root is None else root
    made = Loopback(directory / "federation", **terms)
    try:
        made.found()
        made.start()
        yield made
    finally:
        made.stop()
        if root is None:
            shutil.rmtree(directory, ignore_errors=True)
