"""``make federation``: nine machines' worth of processes on loopback, from enrolment to a release.

Prints seconds a round, CPU-seconds a round by part, memory, what idle nodes use, and how long starting and
reconnecting take, each beside what is asked of it. Whatever happens, nothing is left running.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from loopback import CommandFailedError, Loopback, cpu, family, memory, wait_for

from safeborders_fed.analyses.logistic import Logistic, LogisticParameters
from safeborders_fed.errors import SafeBordersError

STUDY = "federation-detection"
GRADIENTS = 22
FEATURES = (
    "sex", "age_band", "citizenship", "country_of_recruitment", "country_of_exploitation", "means_of_control",
    "forms_of_exploitation", "recruiter_relationship", "roles", "industry", "transport", "exploiter",
    "method_of_recruitment", "online_involvement", "exploiter_relationship", "source_organisation",
)  # fmt: skip
"""All there are: 249 coordinates a gradient, 497 numbers a request."""
ROUNDS = GRADIENTS + 3
_WARM_UP = 3
_SETTLING_SECONDS = 8.0
_IDLE_SECONDS = 15.0
_PATIENCE = 150.0


@dataclass
class Measured:
    """What a federation and one study took: seconds, CPU seconds, MiB."""

    ready: dict[str, float] = field(default_factory=dict)
    idle: dict[str, float] = field(default_factory=dict)
    rounds: list[float] = field(default_factory=list)
    release: float = 0.0
    spent: dict[str, float] = field(default_factory=dict)
    held: dict[str, float] = field(default_factory=dict)
    ready_again: float = 0.0
    connected_again: float = 0.0

    @property
    def spent_in_all(self) -> float:
        return sum(self.spent.values())

    @property
    def held_in_all(self) -> float:
        return sum(self.held.values())

    @property
    def largest_node(self) -> float:
        return max(held for (name, _), held in _by_machine(self.held).items() if name != "coordinator")


def free_port() -> int:
    """A port of loopback that is free now, as is the next one."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as first:
            port: int = first.getsockname()[1]
            with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port + 1)):
                return port


def what_is_run() -> str:
    """The study's stages: rounds and coordinates of each."""
    stages = Logistic(
        LogisticParameters(target="actual_victim", features=FEATURES, rounds=GRADIENTS)
    ).stages()
    listed = ", ".join(f"{stage.name} {stage.rounds} x {stage.dimension:,}" for stage in stages)
    mean = sum(stage.rounds * stage.dimension for stage in stages) / sum(stage.rounds for stage in stages)
    return (
        f"logistic, all 16 features, {ROUNDS} rounds; coordinates: {listed}; {mean:,.0f} a round on average"
    )


def conditions() -> str:
    """Where and beside what it was measured."""
    return (
        f"{time.strftime('%Y-%m-%d')}, 8 nodes and coordinator over TLS, {os.cpu_count()} cores, "
        f"{platform.machine()}, Python {platform.python_version()}, load average {os.getloadavg()[0]:.1f}"
    )


@contextlib.contextmanager
def running() -> Iterator[tuple[Loopback, dict[str, float]]]:
    """A federation and seconds to ready by machine; stopped and removed at the end."""
    directory = Path(tempfile.mkdtemp(prefix="safeborders-"))
    made = Loopback(directory / "federation", port=free_port(), deadline=60.0)
    try:
        made.found()
        made.coordinator.start()
        ready = {"coordinator": made.coordinator.wait_ready(_PATIENCE)}
        for node in made.nodes.values():
            node.start()
        ready |= {name: node.wait_ready(_PATIENCE) for name, node in made.nodes.items()}
        yield made, ready
    finally:
        stop(made)
        shutil.rmtree(directory, ignore_errors=True)


def stop(made: Loopback) -> None:
    """Tells all machines to stop, then waits for each."""
    for machine in made.machines:
        if machine.process is not None and machine.process.poll() is None:
            machine.process.send_signal(signal.SIGTERM)
    made.stop()


def parts(made: Loopback) -> dict[str, list[int]]:
    """Processes by machine and part: ``BE/link``; what supervises them is a part too."""
    found: dict[str, list[int]] = {}
    for machine in made.machines:
        if machine.process is None:
            continue
        found[f"{machine.name}/supervisor"] = [machine.process.pid]
        for part in machine.status()["service"]["processes"]:
            found[f"{machine.name}/{part}"] = family(machine.pid(part))
    return found


def used(made: Loopback) -> dict[str, float]:
    """CPU seconds by machine and part so far."""
    return {name: cpu(pids) for name, pids in parts(made).items()}


def _by_machine(figures: dict[str, float]) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = {}
    for name, figure in figures.items():
        key = (name.split("/")[0], "")
        found[key] = found.get(key, 0.0) + figure
    return found


def by_part(figures: dict[str, float]) -> dict[str, float]:
    """Figures of the coordinator's parts, and of all nodes together by part."""
    found: dict[str, float] = {}
    for name, figure in figures.items():
        machine, part = name.split("/")
        key = f"{machine if machine == 'coordinator' else 'nodes'} {part}"
        found[key] = found.get(key, 0.0) + figure
    return found


def idle(made: Loopback, measured: Measured) -> None:
    """What services use that nobody asks anything: links that had no message yet look patiently."""
    time.sleep(_SETTLING_SECONDS)
    before = used(made)
    time.sleep(_IDLE_SECONDS)
    measured.idle = {
        name: figure / _IDLE_SECONDS
        for (name, _), figure in _by_machine(
            {name: figure - before[name] for name, figure in used(made).items()}
        ).items()
    }


def study(made: Loopback, measured: Measured, name: str = STUDY) -> None:
    """Runs a study from draft to release; the first rounds warm up and do not count for CPU."""
    digest = made.draft(name, rounds=GRADIENTS, features=FEATURES, epsilon=1.0, retries=2)
    made.publish(name, digest)
    made.approve(name, digest)
    launched = time.monotonic()
    made.launch(name)
    made.wait_round(name, _WARM_UP, _PATIENCE)
    before, at = used(made), made.rounds(name)
    made.wait_round(name, ROUNDS - 2, 2 * _PATIENCE)
    counted = made.rounds(name) - at
    measured.spent = {part: (figure - before[part]) / counted for part, figure in used(made).items()}
    measured.held = {part: memory(pids) for part, pids in parts(made).items()}
    state = made.wait_over(name, _PATIENCE)
    measured.release = time.monotonic() - launched
    if state.state != "finished":
        raise CommandFailedError(f"the study ended as {state.state}: {state.error}")
    measured.rounds = [line["round_seconds"] for line in made.progress(name) if line["kind"] == "round"]


def restarts(made: Loopback, measured: Measured) -> None:
    """A node is started again, then the coordinator is killed with all its processes and started again."""
    node = made.nodes["BE"]
    node.stop()
    node.start()
    measured.ready_again = node.wait_ready(_PATIENCE)
    made.coordinator.kill_all()
    wait_for(
        lambda: all(node.status()["state"] == "disconnected" for node in made.nodes.values()),
        _PATIENCE,
        "nodes noticing that the coordinator is away",
    )
    made.coordinator.start()
    made.coordinator.wait_ready(_PATIENCE)
    began = time.monotonic()
    wait_for(
        lambda: all(node.status()["state"] == "ready" for node in made.nodes.values()),
        _PATIENCE,
        "nodes being connected again",
    )
    measured.connected_again = time.monotonic() - began


def report(measured: Measured) -> None:
    """Prints each figure beside what is asked."""
    nodes = {name: figure for name, figure in measured.idle.items() if name != "coordinator"}
    lines = [
        ("seconds a round, median", statistics.median(measured.rounds), "1.8"),
        ("seconds a round, largest", max(measured.rounds), ""),
        (f"seconds from launch to release, {ROUNDS} rounds", measured.release, "60"),
        ("CPU-seconds a round", measured.spent_in_all, ""),
        *((f"  {part}", figure, "") for part, figure in by_part(measured.spent).items()),
        ("CPU-seconds a second of an idle node", statistics.mean(nodes.values()), "0.05"),
        ("CPU-seconds a second of an idle coordinator", measured.idle["coordinator"], ""),
        *(
            (f"memory (PSS, MiB) of {name}", held, "" if name == "coordinator" else "250")
            for (name, _), held in _by_machine(measured.held).items()
        ),
        *(
            (f"  {part}", held, "")
            for part, held in by_part(measured.held).items()
            if part.startswith("coordinator")
        ),
        ("memory (PSS, MiB) of all nine", measured.held_in_all, "1,843"),
        ("seconds from the start of a node to ready", measured.ready_again, "10"),
        ("seconds to ready, eight nodes at once", max(measured.ready.values()), ""),
        ("seconds from a coordinator's restart to all connected", measured.connected_again, "15"),
    ]
    for text, figure, asked in lines:
        print(f"{text:55} {figure:9.3f}{f'   (asked: {asked})' if asked else ''}")


def end_upon_signals() -> None:
    """Has SIGTERM and SIGHUP end this process as an error would: once, so that stopping is not cut off."""
    both = (signal.SIGTERM, signal.SIGHUP)

    def end(number: int, frame: object) -> NoReturn:
        del frame
        for each in both:
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    for each in both:
        signal.signal(each, end)


def main() -> int:
    """Sets up, measures, prints, stops; exit code 1 with one line of why if something failed."""
    end_upon_signals()
    began, measured = time.monotonic(), Measured()
    try:
        with running() as (made, ready):
            measured.ready = ready
            print(f"enrolled and started in {time.monotonic() - began:.0f} s; what is run: {what_is_run()}")
            idle(made, measured)
            study(made, measured)
            print(f"study {STUDY} is finished; {conditions()}")
            restarts(made, measured)
    except KeyboardInterrupt:
        print("interrupted; everything was stopped", file=sys.stderr)
        return 130
    except (AssertionError, TimeoutError, OSError, SafeBordersError) as error:
        print(f"it failed, and everything was stopped: {error}", file=sys.stderr)
        return 1
    report(measured)
    print(f"all was stopped; {time.monotonic() - began:.0f} s in all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
