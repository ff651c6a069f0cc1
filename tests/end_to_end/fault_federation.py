"""Five nodes and a coordinator for the table of faults: set up once, and put back when a test needs it."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from books import asked, charged, files_of, history_of
from loopback import Loopback, Machine, wait_for
from tcp_proxy import Proxy

from safeborders_fed.coordinator.history import Answers
from safeborders_fed.coordinator.progress import LAST_WORDS
from safeborders_fed.coordinator.study_state import StudyState
from safeborders_fed.study.messages import Round, decode

FIVE = ("BG", "FI", "GR", "IT", "PT")
BEHIND_PROXY = "GR"
DEADLINE = 12.0
_READY = 90.0
"""Seconds for six services that start at the same time on two cores."""


def _free_port() -> int:
    """The first of three ports in a row that nobody uses, below those that the kernel gives to clients."""
    for _ in range(100):
        port = random.randrange(20_000, 32_000)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for number in range(port, port + 3):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", number))
            return port
    raise AssertionError("no free ports")


class FaultFederation(Loopback):
    """The federation.

    Args:
        root: A new directory.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root / "federation", nodes=FIVE, port=_free_port(), deadline=DEADLINE)
        self.proxy = Proxy(self.port + 2, self.port)
        self._prepared = root / "prepared"
        self._watchers: list[subprocess.Popen[bytes]] = []

    def prepare(self) -> None:
        """Sets up what ``renew`` puts back."""
        self.found()
        shutil.copytree(self.root, self._prepared, symlinks=True)

    def enrol(self, node: str) -> dict[str, Any]:
        """One node is told another address: that of the proxy."""
        if node != BEHIND_PROXY:
            return super().enrol(node)
        settings = self.coordinator.home / "coordinator.toml"
        text = settings.read_text(encoding="utf-8")
        settings.write_text(re.sub(r'address = ".*"', f'address = "127.0.0.1:{self.port + 2}"', text))
        done = super().enrol(node)
        settings.write_text(text, encoding="utf-8")
        return done

    def renew(self) -> None:
        """Everything as it was prepared, and running."""
        self.stop()
        self.proxy.heal()
        shutil.rmtree(self.root)
        shutil.copytree(self._prepared, self.root, symlinks=True)
        self.start()

    def start(self) -> dict[str, float]:
        for machine in self.machines:
            machine.start()
        return {machine.name: machine.wait_ready(_READY) for machine in self.machines}

    def stop(self) -> None:
        """Stops all services at the same time; what was stopped by a signal goes on first."""
        for watcher in self._watchers:
            watcher.kill()
            watcher.wait(10)
        self._watchers.clear()
        running = [machine for machine in self.machines if machine.process is not None]
        for machine in running:
            resume(*machine.processes())
            assert machine.process is not None
            machine.process.send_signal(signal.SIGTERM)
        for machine in running:
            machine.stop()

    def is_well(self) -> bool:
        """Whether all services run and are ready."""
        return all(
            machine.process is not None and not machine.ended() and machine.status()["state"] == "ready"
            for machine in self.machines
        )

    def begin(self, study: str, **terms: Any) -> Path:
        """Runs a study with somebody who watches it; the file of what they see."""
        self.ready_study(study, epsilon=0.5, **terms)
        self._launch_until_asked(study)
        seen = self.root / f"{study}.watch"
        self.watch(study, seen)
        return seen

    def _launch_until_asked(self, study: str) -> None:
        """Launches a study, and again, as an operator would, if nothing was asked of any node."""
        for _ in range(3):
            self.launch(study)
            wait_for(lambda: asked(self, study) or self.is_over(study), 60, f"a first attempt of {study}")
            if asked(self, study):
                return
            log = self.coordinator.text()[-4000:]
            sys.stderr.write(f"{study} was not begun: {self.state(study).error}\n{log}")
        raise AssertionError(f"{study} was not begun: {self.state(study)}")

    def watch(self, study: str, seen: Path) -> None:
        """Follows a study in another process, as an operator would."""
        wait_for(lambda: self.progress(study), 30, f"a run of {study}")
        command = [sys.executable, "-m", "safeborders_fed", "coordinator", "study", "watch", study]
        with seen.open("ab") as file:
            self._watchers.append(
                subprocess.Popen([*command, "--home", self.coordinator.home], stdout=file, stderr=file)
            )

    @contextlib.contextmanager
    def between_rounds(self, study: str) -> Iterator[int]:
        """Holds the round loop when all have answered; the number of the attempt that it asks next."""
        for _ in range(10):
            with paused(self.round_loop()):
                if self._all_have_answered(study):
                    yield asked(self, study)
                    return
            time.sleep(0.1)  # it was held between keeping a request and sending it
        raise AssertionError("no moment between two rounds was found")

    def _all_have_answered(self, study: str) -> bool:
        attempt = asked(self, study) - 1
        history = history_of(self, study)
        if history.answers(attempt) is not None:
            return True
        request = decode(history.request(attempt))
        assert isinstance(request, Round)
        try:
            self.wait_charged(study, attempt, *request.participants, seconds=3.0)
        except TimeoutError:
            return False
        time.sleep(2 * files_of(self, study).published().tick_seconds)  # and the way to the coordinator
        return True

    def settled(self, study: str, attempt: int, seconds: float = 60.0) -> Answers:
        """Waits until an attempt is settled; what came of it."""
        history = history_of(self, study)
        found: Answers = wait_for(lambda: history.answers(attempt), seconds, f"the end of attempt {attempt}")
        return found

    def wait_charged(self, study: str, attempt: int, *nodes: str, seconds: float = 30.0) -> None:
        """Waits until nodes have charged an attempt. Looks often: the answer leaves at the next tick."""
        end = time.monotonic() + seconds
        for node in nodes:
            while attempt not in charged(self, node, study):
                if time.monotonic() > end:
                    last = self.progress(study)[-1]
                    raise TimeoutError(f"{node} did not charge attempt {attempt} in {seconds:g} s: {last}")
                time.sleep(0.02)

    def wait_back(self, study: str, after: int, *nodes: str, seconds: float = 90.0) -> None:
        """Waits until nodes take part again, in a round whose attempts follow a given one."""

        def back() -> bool:
            assert not self.is_over(study), f"{study} is over: {self.state(study)}"
            rows = [row for row in self.progress(study) if row["kind"] == "round"]
            return any(
                row["attempts"] > after + 1 and {*nodes} <= {*row["participants"]} for row in rows[-1:]
            )

        wait_for(back, seconds, f"the return of {', '.join(nodes)}")

    def finish(self, study: str, seconds: float = 120.0) -> StudyState:
        """Waits for the last word of a study that has ended; its state."""

        def said() -> bool:
            return self.is_over(study) and self.progress(study)[-1]["kind"] in LAST_WORDS

        wait_for(said, seconds, f"the end of {study}")
        return self.state(study)

    def round_loop(self) -> int:
        """Process number of the child of the coordinator's executor that runs the study."""

        def found() -> int | None:
            pid = self.coordinator.pid("executor")
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
            return int(children[-1]) if children else None

        number: int = wait_for(found, 30, "the round loop")
        return number


def power_cut(*machines: Machine) -> None:
    """Kills services with all their processes, and starts them again, as their units would."""
    for machine in machines:
        machine.kill_all()
    for machine in machines:
        machine.start()


def pause(*processes: int) -> None:
    """Stops processes where they are."""
    for process in processes:
        os.kill(process, signal.SIGSTOP)


def resume(*processes: int) -> None:
    """Lets them go on."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGCONT)


@contextlib.contextmanager
def paused(*processes: int) -> Iterator[None]:
    """Processes that stand still for a while."""
    pause(*processes)
    try:
        yield
    finally:
        resume(*processes)
