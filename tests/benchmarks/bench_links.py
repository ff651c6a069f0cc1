"""What links cost eight states, beside OpenMined's PSI for the same 28 pairs: `make bench-links`.

- An identifier, over all parties and with the batched proofs of RFC 9497; asked: at most 3 CPU-ms.
- A month: 2,000 new identifiers at each node, in full, in two processes; asked: at most 30 s.
- A first load: 50,000 at each node; asked: at most 12 min on two cores. Measured with ``--full`` (some 15 min
  with the peer); otherwise the month's cost times 25, and the row says so: all costs are linear.
- The peer: all 28 intersections, GCS, one direction, two processes, in a virtual environment of its own in
  ``build/`` since it wants another protobuf. Asked: our first load at most 3 times as long as its 28
  intersections, our month at least 8 times faster than its full rerun. The ratios are of CPU seconds, which
  do not depend on who shares the machine; the peer has the better of its turns before and after ours.
- Chunks of other sizes, and the library's primitives.

Pure functions only: no messages, files or log lines, at neither.
"""

from __future__ import annotations

import argparse
import hmac
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from link_keys import EPOCH, Keyed
from safeborders_fed.links import oprf, ristretto
from safeborders_fed.links.pairs import PairKeys, bucket

NODES = ("BE", "BG", "FI", "GR", "IT", "PL", "PT", "RO")
KIND = "phone"
MONTH, FIRST_LOAD, CHUNK = 2_000, 50_000, 1_000
PEER_SAMPLE = 2_000
PROCESSES = 2
CANARIES = 16
PEER = "openmined-psi==2.0.6"
OURS, THEIRS = "ours", "openmined-psi"
_PEER_HOME = Path("build/openmined-psi")
_KEYED = Keyed(NODES, (KIND,))
_KEYS = _KEYED.pin()
Row = dict[str, str | float]


@dataclass
class Steps:
    """CPU seconds by step, over all parties."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        began = time.process_time()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - began

    def add(self, other: Steps) -> None:
        for name, seconds in other.seconds.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def total(self) -> float:
        return sum(self.seconds.values())


def tokens_of(forms: list[str]) -> tuple[list[bytes], Steps]:
    """One chunk of one node, at all parties."""
    steps = Steps()
    with steps.step("blind (asking node)"):
        inputs = [oprf.token_input(EPOCH, KIND, form) for form in forms]
        blinded = [oprf.blind(data) for data in inputs]
        points = [each.point for each in blinded]
    shares, proofs = {}, {}
    for node in NODES:
        secret, public = _KEYED.secrets[node].secret(KIND), _KEYS.public(node, KIND)
        with steps.step("evaluate (8 nodes)"):
            shares[node] = oprf.evaluate(secret, points)
        with steps.step("prove (8 nodes)"):
            proofs[node] = oprf.prove(secret, public, points, shares[node])
    with steps.step("verify 8 proofs (asking node)"):
        for node in NODES:
            if not oprf.verify(_KEYS.public(node, KIND), points, shares[node], proofs[node]):
                raise SystemExit(f"the proof of {node} does not hold")
    with steps.step("combine (asking node)"):
        combined = oprf.combine(list(shares.values()))
    with steps.step("finalize (asking node)"):
        made = zip(inputs, blinded, combined, strict=True)
        tokens = [oprf.finalize(data, each.scalar, point)[: oprf.TOKEN_BYTES] for data, each, point in made]
    return tokens, steps


def tags_of(node: str, tokens: list[bytes]) -> tuple[dict[str, list[bytes]], Steps]:
    """What a node sends for its seven pairs."""
    steps, sent = Steps(), {}
    secrets = _KEYED.secrets[node]
    handle_key = hmac.digest(secrets.handle_key, b"handles", "sha256")
    with steps.step("tags and handles for 7 pairs"):
        for partner in NODES:
            if partner != node:
                pair = PairKeys.derive(secrets, _KEYS, node, partner)
                names = Cipher(algorithms.AES(handle_key), modes.ECB()).encryptor()  # noqa: S305 - one block each
                rows = [(pair.tag(token), names.update(token[:16])) for token in tokens]
                rows += [(tag, os.urandom(16)) for tag in pair.canaries("e1", CANARIES)]
                rows += [(os.urandom(16), os.urandom(16)) for _ in range(bucket(len(rows)) - len(rows))]
                sent[partner] = [tag for tag, _ in sorted(rows)]
    return sent, steps


def identifiers(node: int, size: int) -> list[str]:
    """As at the peer: neighbours have half of theirs in common, others nothing."""
    start = node * size // 2
    return [f"phone:+32{number:08}" for number in range(start, start + size)]


@dataclass(frozen=True)
class Load:
    """What one load of all nodes took."""

    steps: Steps
    wall: float
    found: dict[str, int]


def load(size: int) -> Load:
    """``size`` new identifiers at each node, in two processes: tokens, tags and their comparison."""
    began, steps = time.perf_counter(), Steps()
    chunks = [
        (node, identifiers(number, size)[start : start + CHUNK])
        for number, node in enumerate(NODES)
        for start in range(0, size, CHUNK)
    ]
    tokens: dict[str, list[bytes]] = {node: [] for node in NODES}
    with multiprocessing.get_context("fork").Pool(PROCESSES) as pool:
        made = pool.imap(tokens_of, (forms for _, forms in chunks))
        for (node, _), (several, taken) in zip(chunks, made, strict=True):
            tokens[node] += several
            steps.add(taken)
        sent = {}
        for node, (tags, taken) in zip(NODES, pool.starmap(tags_of, tokens.items()), strict=True):
            sent[node] = tags
            steps.add(taken)
    with steps.step("compare 28 pairs (coordinator)"):
        found = {
            f"{NODES.index(one)}-{NODES.index(other)}": len(
                set(sent[one][other]).intersection(sent[other][one])
            )
            - CANARIES
            for one, other in combinations(NODES, 2)
        }
    return Load(steps, time.perf_counter() - began, found)


def peer_ready() -> Path | None:
    """The Python of the peer's environment, made if need be; ``None`` where its package cannot be had."""
    python = _PEER_HOME / "bin" / "python"
    if not python.exists():
        venv.create(_PEER_HOME, with_pip=True, clear=True)
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PEER]
    return python if subprocess.run(command, check=False, capture_output=True).returncode == 0 else None


def peer(python: Path, size: int) -> Load:
    """The peer's 28 intersections, in two processes."""
    script, began = Path(__file__).with_name("links_peer.py"), time.perf_counter()
    running = [
        subprocess.Popen([python, script, str(size), str(part), str(PROCESSES)], stdout=subprocess.PIPE)
        for part in range(PROCESSES)
    ]
    told = [json.loads(process.communicate()[0]) for process in running]
    found = {pair: count for each in told for pair, count in each["found"].items()}
    return Load(Steps({"all": sum(each["cpu"] for each in told)}), time.perf_counter() - began, found)


def check(found: dict[str, int], size: int) -> None:
    """Both must find exactly what was planted."""
    planted = {
        f"{one}-{other}": size // 2 if other - one == 1 else 0
        for one, other in combinations(range(len(NODES)), 2)
    }
    if found != planted:
        raise SystemExit("not every shared identifier was found, or some were invented")


def primitives() -> dict[str, float]:
    """CPU microseconds of the library's functions."""
    scalar, other = ristretto.random_scalar(), ristretto.random_scalar()
    point, second = ristretto.base(scalar), ristretto.base(other)
    uniform = os.urandom(64)
    functions: dict[str, Callable[[], object]] = {
        "multiplication": lambda: ristretto.multiply(other, point),
        "multiplication of the generator": lambda: ristretto.base(other),
        "addition": lambda: ristretto.add(point, second),
        "from_hash": lambda: ristretto.from_hash(uniform),
        "validity of a point": lambda: ristretto.is_valid(point),
        "inversion of a scalar": lambda: ristretto.invert(other),
    }
    return {name: best(function) for name, function in functions.items()}


def best(function: Callable[[], object], times: int = 500) -> float:
    taken = []
    for _ in range(5):
        began = time.process_time()
        for _ in range(times):
            function()
        taken.append(time.process_time() - began)
    return 1e6 * min(taken) / times


class Table:
    """Prints figures and keeps them as rows."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def tell(
        self,
        case: str,
        method: str,
        figure: str,
        value: float,
        how: str,
        *,
        most: float | None = None,
        least: float | None = None,
    ) -> None:
        asked = ""
        if most is not None:
            asked = f"asked at most {most:g}: {'met' if value <= most else 'MISSED'}"
        if least is not None:
            asked = f"asked at least {least:g}: {'met' if value >= least else 'MISSED'}"
        print(f"{case:52} {method:14} {value:9.3f} {figure:13} {asked or how}", flush=True)
        conditions = f"8 nodes, {platform.machine()}, {os.cpu_count()} cores; {how}"
        self.rows.append(
            {"case": case, "method": method, "figure": figure, "value": value, "conditions": conditions}
        )


def tell_parts(table: Table, month: Load) -> None:
    items = MONTH * len(NODES)
    how = f"{items:,} identifiers in chunks of {CHUNK:,}, over all parties"
    for name, seconds in month.steps.seconds.items():
        table.tell(f"an identifier: {name}", OURS, "CPU-ms", 1000 * seconds / items, how)
    table.tell("an identifier, in all", OURS, "CPU-ms", 1000 * month.steps.total() / items, how, most=3)
    for name, microseconds in primitives().items():
        table.tell(name, "libsodium" if "HMAC" not in name else OURS, "CPU-us", microseconds, "best of 5")
    for size in (1, 16, 64, 256, 1024):
        repeats = max(1, 64 // size)
        taken = [tokens_of(identifiers(0, size))[1].total() for _ in range(repeats)]
        case = f"an identifier, tokens in chunks of {size:,}"
        table.tell(case, OURS, "CPU-ms", 1000 * sum(taken) / (size * repeats), f"{repeats} chunks")


def tell_loads(table: Table, month: Load, first: Load | None, theirs: Load | None, size: int) -> None:
    scale = FIRST_LOAD / MONTH
    cpu = first.steps.total() if first else scale * month.steps.total()
    wall = first.wall if first else scale * month.wall
    how = "measured in full" if first else f"extrapolated linearly from {MONTH:,} at each node"
    case, later = f"first load, {FIRST_LOAD:,} at each node", f"a month, {MONTH:,} new at each node"
    table.tell(case, OURS, "CPU-s", cpu, how)
    table.tell(case, OURS, "s", wall, f"two processes, {how}", most=720)
    table.tell(later, OURS, "CPU-s", month.steps.total(), "measured in full")
    table.tell(later, OURS, "s", month.wall, "two processes, measured in full", most=30)
    if theirs is None:
        print(f"{PEER} cannot be installed here: no figures beside it")
        return
    scale = FIRST_LOAD / size
    how = "measured in full" if size == FIRST_LOAD else f"extrapolated linearly from {size:,} at each node"
    peer_cpu = scale * theirs.steps.total()
    table.tell(f"28 intersections, {FIRST_LOAD:,} at each node", THEIRS, "CPU-s", peer_cpu, how)
    table.tell(f"28 intersections, {FIRST_LOAD:,} at each node", THEIRS, "s", scale * theirs.wall, how)
    table.tell("first load beside 28 intersections", OURS, "times as long", cpu / peer_cpu, how, most=3)
    times = peer_cpu / month.steps.total()
    table.tell("a month beside 28 intersections anew", OURS, "times faster", times, how, least=8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--full", action="store_true", help="measure first load and peer in full")
    full = parser.parse_args().full
    python, size = peer_ready(), FIRST_LOAD if full else PEER_SAMPLE
    turns = [peer(python, size)] if python else []
    month = load(MONTH)
    check(month.found, MONTH)
    first = load(FIRST_LOAD) if full else None
    if first:
        check(first.found, FIRST_LOAD)
    turns += [peer(python, size)] if python else []
    for turn in turns:
        check(turn.found, size)
    theirs = min(turns, key=lambda turn: turn.steps.total(), default=None)
    table = Table()
    tell_parts(table, month)
    tell_loads(table, month, first, theirs, size)
    Path("bench").mkdir(exist_ok=True)
    Path("bench/links.json").write_text(json.dumps(table.rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
