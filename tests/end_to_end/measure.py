"""``make federation``: a whole federation on loopback, from enrolment to a release, with what it took."""

from __future__ import annotations

import statistics
import sys
import time

from loopback import Loopback, cpu, federation, memory

STUDY = "federation-detection"
ROUNDS = 25


def main() -> int:
    """Sets up, measures, prints, stops."""
    began = time.monotonic()
    with federation() as made:
        print(f"set up and started in {time.monotonic() - began:.0f} s: enrolment, people, rosters, cases")
        time.sleep(75)  # links go to their patient pace a minute after their last message
        idle = idle_cpu(made, 20.0)
        print(
            f"idle: {idle['node']:.3f} CPU-seconds a second a node, {idle['coordinator']:.3f} the coordinator"
        )
        made.ready_study(STUDY, rounds=ROUNDS - 3)
        launched = time.monotonic()
        made.launch(STUDY)
        made.wait_round(STUDY, 3)
        used, at = {machine.name: cpu(machine.processes()) for machine in made.machines}, made.rounds(STUDY)
        made.wait_round(STUDY, ROUNDS - 3)
        rounds = made.rounds(STUDY) - at
        spent = {
            machine.name: (cpu(machine.processes()) - used[machine.name]) / rounds
            for machine in made.machines
        }
        held = {machine.name: memory(machine.processes()) for machine in made.machines}
        state = made.wait_over(STUDY)
        took = time.monotonic() - launched
        print(f"study {STUDY}: {state.state}, from launch to release {took:.1f} s")
        report(made, spent, held)
        return 0 if state.state == "finished" else 1


def idle_cpu(made: Loopback, seconds: float) -> dict[str, float]:
    """CPU seconds a second: of a node on average, and of the coordinator."""
    before = {machine.name: cpu(machine.processes()) for machine in made.machines}
    time.sleep(seconds)
    used = {
        machine.name: (cpu(machine.processes()) - before[machine.name]) / seconds for machine in made.machines
    }
    coordinator = used.pop("coordinator")
    return {"node": statistics.mean(used.values()), "coordinator": coordinator}


def report(made: Loopback, spent: dict[str, float], held: dict[str, float]) -> None:
    """Seconds a round, CPU and memory."""
    times = [line["seconds"] for line in made.progress(STUDY) if line["kind"] == "round"]
    print(
        f"seconds a round, {len(made.nodes)} nodes: median {statistics.median(times):.2f}, "
        f"largest {max(times):.2f} ({len(times)} rounds)"
    )
    print(f"CPU-seconds a round: {sum(spent.values()):.2f} in all, coordinator {spent['coordinator']:.2f}")
    for name, mebibytes in held.items():
        print(f"memory (PSS) of {name}: {mebibytes:.0f} MiB")
    print(f"memory (PSS) of all: {sum(held.values()):.0f} MiB")


if __name__ == "__main__":
    sys.exit(main())
