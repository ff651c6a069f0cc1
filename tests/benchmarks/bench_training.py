"""What privacy costs in a training step: the built-in network, `make bench-training`.

Ours is a node's whole gradient step of one round: broadcast to grids, forward, errors, clipping, quantising,
the exact check of the bound, the exact sum. Noise, masks and ledger are measured by `bench_in_process`. Peers
in the same run, on the same victims, network and float64: a torch step without privacy (forward, backward,
SGD), and Opacus hooks (per-sample gradients of every layer, clipped and summed). Asked: at most 1.0 times the
former, and at least 20 times faster than the latter.

The runs of all methods take turns; figures are medians. They run on one thread and on torch's default number,
each in a process of its own, since numpy's matrix products are told the number of threads when it is loaded.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from opacus import GradSampleModule
from scipy.sparse import csr_array
from torch import nn

from safeborders_fed.analyses.gradient_rounds import GradientParameters
from safeborders_fed.analyses.learner import Rows
from safeborders_fed.analyses.network import Network
from safeborders_fed.privacy.products import Indicators

VICTIMS = 4_096
FIELDS = (8, 8, 8, 8, 8, 8, 8, 8, 8, 7, 7, 7, 7)
HIDDEN = ((32,), (64, 32))
RUNS = 60
HOOK_RUNS = 8
AT_MOST = 1.0
AT_LEAST = 20.0
OURS = "ours, private"
PLAIN = "torch, no privacy"
HOOKS = "opacus hooks"

Step = Callable[[], object]


def victims(seed: int) -> Rows:
    """One value of each field, some commoner than others."""
    rng = np.random.default_rng(seed)
    blocks = []
    for width in FIELDS:
        values = rng.choice(width, VICTIMS, p=rng.dirichlet(np.ones(width)))
        blocks.append(np.eye(width, dtype=np.int64)[values])
    return Rows(Indicators(csr_array(np.concatenate(blocks, axis=1))), rng.integers(0, 2, VICTIMS))


def our_step(rows: Rows, hidden: tuple[int, ...]) -> Step:
    model = Network(sum(FIELDS), hidden=hidden, parameters=GradientParameters())
    stage = model.stages()[1]
    rng = np.random.default_rng(1)
    sent = {name: rng.normal(0, 0.5, shape) for name, shape in model.model_shapes().items()}
    sent["centre"] = rows.dense().mean(axis=0)
    return lambda: model.contribute(rows, stage, sent, VICTIMS)


def torch_network(hidden: tuple[int, ...]) -> nn.Sequential:
    widths = (sum(FIELDS), *hidden)
    layers: list[nn.Module] = []
    for before, after in zip(widths, hidden, strict=False):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], 1)).double()


def plain_step(rows: Rows, hidden: tuple[int, ...]) -> Step:
    network = torch_network(hidden)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    inputs, target = torch.from_numpy(rows.dense()), torch.from_numpy(rows.target.astype(np.float64))

    def step() -> None:
        optimiser.zero_grad()
        margins = network(inputs)[:, 0]
        nn.functional.binary_cross_entropy_with_logits(margins, target).backward()
        optimiser.step()

    return step


def hooks_step(rows: Rows, hidden: tuple[int, ...]) -> Step:
    network = GradSampleModule(torch_network(hidden), loss_reduction="sum")
    inputs, target = torch.from_numpy(rows.dense()), torch.from_numpy(rows.target.astype(np.float64))

    def step() -> list[torch.Tensor]:
        network.zero_grad(set_to_none=True)
        margins = network(inputs)[:, 0]
        nn.functional.binary_cross_entropy_with_logits(margins, target, reduction="sum").backward()
        parts = [weights.grad_sample for weights in network.parameters()]
        norms = torch.stack([part.flatten(1).norm(dim=1) for part in parts], dim=1).norm(dim=1)
        factors = (1.0 / norms).clamp(max=1.0)
        return [torch.einsum("n,n...->...", factors, part) for part in parts]

    return step


def seconds(steps: dict[str, Step]) -> dict[str, float]:
    """Medians of runs that take turns; the slowest method runs less often."""
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for run in range(RUNS + 2):
        for name, step in steps.items():
            if name == HOOKS and run >= HOOK_RUNS + 2:
                continue
            before = time.perf_counter()
            step()
            taken[name].append(time.perf_counter() - before)
    return {name: float(np.median(values[2:])) for name, values in taken.items()}


def judged(ratio: float, *, met: bool, asked: str) -> str:
    return f"{ratio:6.2f} times   asked {asked}: {'met' if met else 'MISSED'}"


def bench_neural(threads: int) -> list[dict[str, str | float]]:
    rows = victims(1)
    found: list[dict[str, str | float]] = []
    for hidden in HIDDEN:
        case = f"network {'-'.join(map(str, hidden))}, {VICTIMS} victims, {sum(FIELDS)} columns"
        makers = {OURS: our_step, PLAIN: plain_step, HOOKS: hooks_step}
        medians = seconds({name: make(rows, hidden) for name, make in makers.items()})
        ours = medians[OURS]
        print(f"{case}, {threads} threads")
        for name, median in medians.items():
            print(f"  {name:20} {median * 1e3:8.2f} ms")
        plain, hooks = ours / medians[PLAIN], medians[HOOKS] / ours
        print(f"  ours to torch  {judged(plain, met=plain <= AT_MOST, asked=f'at most {AT_MOST}')}")
        print(f"  hooks to ours  {judged(hooks, met=hooks >= AT_LEAST, asked=f'at least {AT_LEAST}')}")
        sys.stdout.flush()
        conditions = f"float64, {threads} threads, median of runs in turns, {platform.machine()}"
        for name, median in medians.items():
            row = {"case": case, "method": name, "figure": "seconds", "value": median}
            found.append({**row, "conditions": conditions})
    return found


def main() -> None:
    if len(sys.argv) == 3:
        threads, out = int(sys.argv[1]), Path(sys.argv[2])
        torch.set_num_threads(threads)
        warnings.filterwarnings("ignore", message="Full backward hook is firing")
        out.write_text(json.dumps(bench_neural(threads)), encoding="utf-8")
        return
    found = []
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "rows.json"
        for threads in sorted({1, torch.get_num_threads()}):
            environment = {**os.environ, "OPENBLAS_NUM_THREADS": str(threads)}
            subprocess.run([sys.executable, __file__, str(threads), str(out)], env=environment, check=True)
            found += json.loads(out.read_text(encoding="utf-8"))
    Path("bench").mkdir(exist_ok=True)
    Path("bench/training.json").write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
