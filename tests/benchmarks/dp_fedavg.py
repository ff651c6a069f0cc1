"""The peer: Flower's own FedAvg, with Opacus' DP-SGD at each node.

Each node adds all of its noise itself, since stock federated averaging shows its update to the coordinator.
Its privacy engine lives through all rounds, so what it says it spent is composed over all steps that the node
ever made. Averages are weighted by the number of a node's people, which it gives away for free.
"""

from __future__ import annotations

import logging
import math
import warnings
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import FedAvg
from numpy.typing import NDArray
from opacus import PrivacyEngine
from opacus.accountants.utils import get_noise_multiplier
from torch.utils.data import DataLoader, TensorDataset

from safeborders_fed.analyses.learner import Rows
from safeborders_fed.transport.in_process import InProcessGrid

warnings.filterwarnings("ignore", module="opacus")
warnings.filterwarnings("ignore", message="Secure RNG turned off")
warnings.filterwarnings("ignore", message="Optimal order is the largest alpha")
warnings.filterwarnings("ignore", message="Full backward hook is firing")
logging.getLogger("flwr").setLevel(logging.ERROR)
torch.set_num_threads(1)


@dataclass(frozen=True)
class Settings:
    """One configuration: each round is one pass over a node's people, in so many steps on average."""

    rounds: int
    steps: int
    rate: float
    clip: float


CONFIGURATIONS = (
    Settings(rounds=10, steps=10, rate=3.0, clip=1.0),
    Settings(rounds=20, steps=5, rate=10.0, clip=1.0),
    Settings(rounds=10, steps=10, rate=5.0, clip=0.5),
    Settings(rounds=20, steps=5, rate=10.0, clip=0.5),
    Settings(rounds=40, steps=5, rate=10.0, clip=0.5),
)
"""The benchmark takes the best of them by the test result at each epsilon, which favours this peer."""


@cache
def noise_multiplier(epsilon: float, delta: float, sample_rate: float, steps: int) -> float:
    return float(
        get_noise_multiplier(
            target_epsilon=epsilon,
            target_delta=delta,
            sample_rate=sample_rate,
            steps=steps,
            accountant="rdp",
            epsilon_tolerance=1e-3,
        )
    )


class Node:
    """One node: its people, and its privacy engine for the whole study."""

    def __init__(self, rows: Rows, settings: Settings, epsilon: float, delta: float, norm: float) -> None:
        inputs = np.column_stack([rows.dense(), np.ones(len(rows.target))]) / norm
        people = TensorDataset(
            torch.tensor(inputs, dtype=torch.float32),
            torch.tensor(rows.target, dtype=torch.float32),
        )
        self.size = len(people)
        self._settings = settings
        self._loader = DataLoader(people, batch_size=math.ceil(self.size / settings.steps))
        steps = settings.rounds * len(self._loader)
        self._noise = noise_multiplier(epsilon, delta, 1 / len(self._loader), steps)
        self.engine = PrivacyEngine(accountant="rdp")

    def train(self, arrays: ArrayRecord) -> ArrayRecord:
        model = torch.nn.Linear(arrays["weight"].shape[1], 1, bias=False)
        model.load_state_dict(arrays.to_torch_state_dict())
        private, optimizer, loader = self.engine.make_private(
            module=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=self._settings.rate),
            data_loader=self._loader,
            noise_multiplier=self._noise,
            max_grad_norm=self._settings.clip,
        )
        for features, target in loader:
            optimizer.zero_grad()
            logits = private(features).squeeze(1)
            torch.nn.functional.binary_cross_entropy_with_logits(logits, target).backward()
            optimizer.step()
        return ArrayRecord(private._module.state_dict())


def app(node: Node) -> ClientApp:
    flower = ClientApp()

    def train(message: Message, context: Context) -> Message:
        del context
        arrays = node.train(message.content.array_records["arrays"])
        content = {"arrays": arrays, "metrics": MetricRecord({"num-examples": node.size})}
        return Message(RecordDict(content), reply_to=message)

    flower.train()(train)
    return flower


def fit(
    parts: list[Rows], questions: int, settings: Settings, *, epsilon: float, delta: float, seed: int
) -> NDArray[np.float64]:
    """Weights, shape (columns + 1,), the intercept last.

    Raises:
        RuntimeError: when a node's engine spent more than epsilon.
    """
    torch.manual_seed(seed)
    norm = math.sqrt(questions + 1)  # with the intercept's input, each person's norm is exactly 1
    columns = parts[0].features.shape[1]
    nodes = [Node(rows, settings, epsilon, delta, norm) for rows in parts if len(rows.target)]
    grid = InProcessGrid({number: app(node) for number, node in enumerate(nodes, start=2)})
    zero = {"weight": Array(np.zeros((1, columns + 1), np.float32))}
    strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=len(nodes), min_available_nodes=len(nodes))
    found = strategy.start(grid=grid, initial_arrays=ArrayRecord(zero), num_rounds=settings.rounds)
    spent = max(node.engine.get_epsilon(delta) for node in nodes)
    if spent > epsilon * 1.001:
        raise RuntimeError(f"a node spent epsilon {spent}, not {epsilon}")
    return found.arrays["weight"].numpy().ravel().astype(np.float64) / norm
