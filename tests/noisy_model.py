"""A learner's study in one process with simulated noise: quick enough for many studies."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from safeborders_fed.analyses.base import Arrays, Setting
from safeborders_fed.analyses.learner import Learner, Rows
from safeborders_fed.privacy import accounting

STATES = 8
RETRIES = 2
DELTA = 1e-6


def noisy_model(
    learner: Learner[Any], rows: Rows, epsilon: float, seed: int
) -> tuple[Arrays, dict[str, float]]:
    """The model, and the noise of each stage, for what reserved retries leave of epsilon.

    Normal noise of eight states of which one may collude, rounded; all victims at one node: same sums.
    """
    stages, rng = learner.stages(), np.random.default_rng(seed)
    shares = sum(stage.share for stage in stages)
    shares += RETRIES * max(stage.share / stage.rounds for stage in stages)
    unit = accounting.rho_for(epsilon, DELTA) / shares
    more = math.sqrt(STATES / (STATES - 1))
    noise = {
        stage.name: stage.bound / math.sqrt(2 * unit * stage.share / stage.rounds) * more for stage in stages
    }
    state = learner.start(Setting(STATES, noise))
    for stage in stages:
        for _ in range(stage.rounds):
            total = learner.contribute(rows, stage, learner.broadcast(state), 10**6).values
            drawn = np.rint(rng.normal(0, noise[stage.name], len(total))).astype(np.int64)
            state = learner.advance(state, total + drawn, noise[stage.name])
    return learner.model(state), noise
