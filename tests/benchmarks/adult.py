"""The Adult census data, in public bins, as eight unequal nodes.

The split is fixed by its seed: 9,768 people for testing, the same for all sizes; the others, or the first so
many of them, go to nodes of very unequal size, with labels and occupations unequally likely at each. Bins are
equal steps on the published range of each column, so they do not depend on any person's data.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from safeborders_fed.analyses.learner import Rows
from safeborders_fed.privacy.products import Indicators

ROOT = Path(__file__).resolve().parent.parent.parent
TESTING = 9_768
SHARES = np.array([0.32, 0.22, 0.15, 0.11, 0.08, 0.06, 0.04, 0.02])
POSITIVES = 0.24
LABEL = "income>50K"
UNUSED = "fnlwgt"


@dataclass(frozen=True)
class People:
    """All people: one-hot bins, labels, and the occupation by which nodes differ.

    Attributes:
        rows: Features, shape (48842, columns), and labels.
        occupation: Code, shape (48842,).
        questions: How many columns of the file became features: each sets one bin.
    """

    rows: Rows
    occupation: NDArray[np.int64]
    questions: int


@dataclass(frozen=True)
class Split:
    """Who trains where, as positions in ``People``: one array for each node, and those who test."""

    nodes: list[NDArray[np.int64]]
    testing: NDArray[np.int64]


def load() -> People:
    """Reads ``adult.csv`` from the data directory, or ends the program with what to do."""
    path = Path(os.environ.get("SAFEBORDERS_DATA", ROOT / ".." / "shared" / "data")) / "adult.csv"
    if not path.is_file():
        sys.exit(f"no Adult data at {path}: set SAFEBORDERS_DATA to the directory that holds adult.csv")
    table = pd.read_csv(path).drop(columns=UNUSED)
    target = table.pop(LABEL).to_numpy(np.int64)
    codes = {str(name): table[name].to_numpy(np.int64) for name in table}
    for name, step, last in (("age", 6, 12), ("hours-per-week", 8, 12)):
        codes[name] = np.minimum(codes[name] // step, last)
    for name in ("capital-gain", "capital-loss"):
        codes[name] = np.where(codes[name] == 0, 0, 1 + codes[name] // 10)
    country = codes["native-country"]
    codes["native-country"] = np.where(country == 0, 0, 1 + np.minimum(country // 6, 6))
    features = np.concatenate([np.eye(column.max() + 1)[column] for column in codes.values()], axis=1)
    return People(Rows(Indicators(features), target), codes["occupation"], len(codes))


def split(people: People, seed: int, size: int | None) -> Split:
    """Testing people, and training people (all, or ``size`` of them) by node."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(people.rows.target))
    testing, training = order[:TESTING], order[TESTING:][:size]
    label_skew = rng.normal(0, 0.8, len(SHARES))
    occupation_skew = rng.dirichlet(np.ones(len(SHARES)), size=people.occupation.max() + 1)
    surplus = people.rows.target.astype(np.float32)[training] - np.float32(POSITIVES)
    chances = SHARES * np.exp(label_skew * surplus[:, None])
    chances *= occupation_skew[people.occupation[training]] + 0.05
    chances /= chances.sum(axis=1, keepdims=True)
    node = (chances.cumsum(axis=1) > rng.random((len(training), 1))).argmax(axis=1)
    return Split([training[node == index] for index in range(len(SHARES))], testing)
