"""docs/operations.md: each command runs as it is written, in its order, with real services over TLS.

What people hear, read and type is filled in; services that the document starts in the background are child
processes here, ended by their numbers. What the document only tells of (a power failure, a lost machine) is
done where it tells of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from loopback import wait_for

from federation_of import ROOT
from safeborders_fed.audit.chain import verify
from safeborders_fed.cli.main import run
from safeborders_fed.configs import mappings
from safeborders_fed.coordinator.enrolment import current_roster
from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.coordinator.study_files import StudyFiles
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node.approvals import load_approver_key
from safeborders_fed.node.settings import NodeSettings
from safeborders_fed.simulation.nodes import synthetic_files
from safeborders_fed.study.accepted_keys import fingerprint
from safeborders_fed.study.enrolment import EnrolmentRequest
from safeborders_fed.study.key_files import load_key
from safeborders_fed.transport.status import node_summary

DOCUMENT = ROOT / "docs" / "operations.md"
STATES = ("BG", "BE", "FI", "PL", "RO")
"""The one that the document writes of comes first. Their national files are made of lines."""
WORDS = "correct horse battery"
REFERRALS = 12
BLOCK = re.compile(r"(?:<!-- ([^\n]*) -->\n)?```sh\n(.*?)```", flags=re.DOTALL)
COMMAND = re.compile(r"[^\n]*<<'END'\n.*?\nEND\n|[^\n]+\n", flags=re.DOTALL)
HOLE = re.compile(
    r"(PUBLIC-KEY|FINGERPRINT|HASH|RHO)-OF-(THE-[A-Z]+|[A-Z]+(?![a-z-])|[a-z]+-\d{4})|(LAST-DAY)"
)


def blocks() -> list[tuple[str, list[str]]]:
    """Each block with what is said of it, in order."""
    found = BLOCK.findall(DOCUMENT.read_text(encoding="utf-8"))
    return [(said, [command.rstrip("\n") for command in COMMAND.findall(block)]) for said, block in found]


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for found in sockets:
            found.bind(("127.0.0.1", 0))
        return [found.getsockname()[1] for found in sockets]


class Newcomer:
    """Types what the document says, below a directory of this test."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory = directory
        self.capsys = capsys
        self.port, self.superlink_port = free_ports(2)
        self.services: dict[str, subprocess.Popen[bytes]] = {}
        self.srv, self.media, self.data = (directory / name for name in ("srv", "media", "data"))
        for made in (self.srv, self.media, self.data):
            made.mkdir()
        self.passphrase = directory / "passphrase"
        self.passphrase.write_text(WORDS + "\n", encoding="utf-8")
        self._write_cases()

    def _write_cases(self) -> None:
        made = {file.node: file.path for file in synthetic_files(self.directory / "files", 100, 0.05)[0]}
        for state in STATES:
            cases = made[state].read_bytes()
            (self.data / f"{state}-cases").write_bytes(cases)
            (self.data / f"{state}-referrals").write_bytes(b"\n".join(cases.split(b"\n")[:REFERRALS]) + b"\n")
            mapping = Path(str(mappings.__path__[0])) / f"{state.lower()}.toml"
            (self.data / f"{state}.toml").write_bytes(mapping.read_bytes())

    @property
    def coordinator(self) -> CoordinatorHome:
        return CoordinatorHome.load(self.srv / "coordinator")

    def node(self, state: str) -> NodeSettings:
        return NodeSettings.load(self.srv / state)

    def follow(self, said: str, commands: list[str]) -> None:
        """Does one block."""
        if said.startswith("at each node"):
            for state in STATES:
                if said.endswith("connected"):
                    self.do(f"safeborders node status --home /srv/{state} --wait 40")
                for command in commands:
                    self.do(command.replace("BG", state))
            return
        if said:
            {"the power fails at the coordinator": self.power_fails, "BG is lost": self.lose_bg}[said]()
        for command in commands:
            self.do(command)

    def power_fails(self) -> None:
        wait_for(lambda: self.study("tables-2026").state().state == "running", 30, "the study of tables")
        self.kill("coordinator")

    def lose_bg(self) -> None:
        self.kill("BG")
        (self.srv / "BG").rename(self.directory / "lost")

    def kill(self, name: str) -> None:
        process = self.services.pop(name)
        process.kill()
        process.wait(20)

    def study(self, name: str) -> StudyFiles:
        return StudyFiles(self.coordinator, name)

    def do(self, command: str) -> None:
        """Does one command."""
        state = next((state for state in STATES if f"/{state}" in command), "BG")
        text = HOLE.sub(lambda hole: self.fill(state, *hole.groups()), command)
        text = re.sub(r"/(srv|media|data)/", rf"{self.directory}/\1/", text)
        text = text.replace("localhost:9443", f"127.0.0.1:{self.port}")
        if text.startswith("cat "):
            subprocess.run(["bash", "-c", text], check=True)
        elif text.endswith(" &"):
            self.start(shlex.split(text.removesuffix(" &")))
        else:
            self.type_in(shlex.split(text))

    def fill(self, state: str, kind: str | None, of: str | None, day: str | None) -> str:
        """What a person hears, reads on the screen, or knows."""
        if day:
            return str((datetime.now(UTC) + timedelta(days=20)).date())
        name = str(of)
        match kind, name:
            case "PUBLIC-KEY", "OLGA" | "OTTO":
                found = public_hex(load_key(self.media / f"{name.lower()}.key"))
            case "PUBLIC-KEY", _:
                found = public_hex(load_approver_key(self.media / f"{state}-{name.lower()}.key", WORDS))
            case "FINGERPRINT", "THE-REQUEST":
                request = self.srv / state / "requests" / f"{state}-request.json"
                found = fingerprint(EnrolmentRequest.from_bytes(request.read_bytes()).fingerprint())
            case "FINGERPRINT", _:
                found = fingerprint(self.coordinator.operators[0].public)
            case "HASH", "THE-MODEL":
                (model,) = (self.srv / "coordinator" / "models").glob("*.safetensors")
                found = hashlib.sha256(model.read_bytes()).hexdigest()
            case "HASH", _:
                found = self.study(name).manifest().hash()
            case _:
                found = str(self.study(name).manifest().rho)
        return found

    def start(self, words: list[str]) -> None:
        assert words[0] == "safeborders"
        name = Path(words[-1]).name
        with (self.directory / f"{name}.log").open("ab") as log:
            self.services[name] = subprocess.Popen(
                [sys.executable, "-m", "safeborders_fed", *words[1:]],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )

    def type_in(self, words: list[str]) -> None:
        """Runs a command in this process, with what would be typed at its questions."""
        assert words[0] == "safeborders"
        two = words[2:4]
        if two in (["approver", "create-key"], ["roster", "sign"], ["study", "approve"], ["ledger", "sign"]):
            words += ["--passphrase-file", str(self.passphrase)]
        if words[1:3] == ["coordinator", "init"]:
            words += ["--listen", f"127.0.0.1:{self.port}"]
        if words[1:4] == ["coordinator", "release", "model"]:
            words += ["--although-accuracy-unknown"]  # the made-up files are small
        if words[1:4] == ["node", "study", "show"]:
            published = Path(words[words.index("--home") + 1]) / "studies" / words[4] / "published.json"
            wait_for(published.exists, 30, f"{words[4]} at the node")
        status = run(words[1:])
        said = self.capsys.readouterr()
        assert status == 0, f"{shlex.join(words)}: {status}\n{said.out}{said.err}\n{self.logs()}"
        if words[1:3] == ["coordinator", "init"]:
            settings = self.srv / "coordinator" / "coordinator.toml"
            port = f"superlink_port = {self.superlink_port}"
            settings.write_text(re.sub(r"superlink_port = \d+", port, settings.read_text("utf-8")), "utf-8")

    def logs(self) -> str:
        return "\n".join(f"{log.name}: {log.read_text()}" for log in sorted(self.directory.glob("*.log")))

    def stop(self) -> dict[str, int]:
        """Ends all services with what Ctrl-C sends; their exit codes."""
        for process in self.services.values():
            process.send_signal(signal.SIGINT)
        codes = {}
        for name, process in self.services.items():
            try:
                codes[name] = process.wait(25)
            except subprocess.TimeoutExpired:
                process.kill()
                codes[name] = process.wait(10)
        self.services.clear()
        return codes


@pytest.fixture
def newcomer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Newcomer]:
    made = Newcomer(tmp_path, capsys)
    try:
        yield made
    finally:
        made.stop()


@pytest.mark.slow
def test_every_command_runs_as_written(newcomer: Newcomer) -> None:
    found = blocks()
    assert sum(len(commands) for _, commands in found) > 60
    for said, commands in found:
        newcomer.follow(said, commands)
    for study in ("detection-2026", "tables-2026"):
        assert newcomer.study(study).state().state == "finished"
    assert (newcomer.srv / "BG-list.csv").stat().st_size > 500
    assert set(current_roster(newcomer.coordinator).roster.keys()) == set(STATES) - {"RO"}
    revoked = newcomer.node("RO").home
    wait_for(lambda: node_summary(revoked)["state"] == "disconnected", 60, "RO being shut out")
    assert newcomer.stop() == dict.fromkeys(("coordinator", *STATES), 0)
    restored = newcomer.node("BG")
    spent = newcomer.study("detection-2026").manifest().rho + newcomer.study("tables-2026").manifest().rho
    with restored.open_audit_log():  # takes up what waited for it
        pass
    before = [load_key(path) for path in newcomer.directory.glob("media/BG.key.signing.old-*")]
    keys = [public_hex(key) for key in (*before, load_key(restored.signing_key_path))]
    verify(restored.audit_path, keys)
    log = [json.loads(line) for line in restored.audit_path.read_text(encoding="utf-8").splitlines()]
    assert {"score", "restore", "reconcile", "key-change"} <= {entry["operation"] for entry in log}
    assert 0 < restored.open_ledger().totals().spent <= spent * (1 + 1e-9)


def test_what_cannot_be_run_is_little() -> None:
    text = BLOCK.sub("", DOCUMENT.read_text(encoding="utf-8"))
    others = re.findall(r"```\n(.*?)```", text, flags=re.DOTALL)
    lines = [line for block in others for line in block.splitlines() if not set(line) & set("│┌└")]
    assert len([line for line in lines if "safeborders" in line or "systemctl" in line]) <= 5
