"""A node that has accepted a small model, and made-up referrals with a mapping."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from model_samples import Operators
from safeborders_fed.cases.contract import field
from safeborders_fed.node.creating import create_node
from safeborders_fed.node.score_session import accept_model
from safeborders_fed.node.settings import NodeSettings

MAPPING = """
schema_version = 1
name = "referrals"
description = "Made-up referrals"
contract_version = "1"
period = { first = 2018, last = 2026 }
[fields.case_id]
column = "case"
[fields.victim_id]
column = "person"
[fields.registration_date]
column = "date"
formats = ["%Y-%m-%d"]
[fields.sex]
column = "sex"
values = { f = "Feminine", m = "Masculine" }
[fields.age_band]
column = "age"
number = true
[fields.recruiter_relationship]
column = "recruiter"
[fields.means_of_control]
column = "means"
separator = "|"
"""
HEADER = ("case", "person", "date", "sex", "age", "recruiter", "means")
Row = Sequence[str]


def rows(count: int, seed: int = 5) -> list[Row]:
    """Good rows of different persons."""
    rng = np.random.default_rng(seed)
    relations, means = field("recruiter_relationship").codes, field("means_of_control").codes
    return [
        (
            f"C-2026-{number:04d}",
            f"P-{number:05d}",
            f"2026-{rng.integers(1, 12):02d}-{rng.integers(1, 28):02d}",
            str(rng.choice(["f", "m", ""])),
            str(rng.integers(4, 50)),
            str(rng.choice([*relations, ""])),
            "|".join(rng.choice(means, rng.integers(0, 4), replace=False)),
        )
        for number in range(1, count + 1)
    ]


def write(path: Path, content: Iterable[Row]) -> Path:
    """A file of referrals."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        writer.writerows(content)
    return path


def mapping(directory: Path) -> Path:
    """The mapping as a file."""
    path = directory / "referrals.toml"
    path.write_text(MAPPING, encoding="utf-8")
    return path


def pin(home: Path, operators: Operators) -> NodeSettings:
    """A node's settings with both operators' keys in them."""
    file = home / "node.toml"
    keys = ", ".join(f'"{operators.public(name)}"' for name in ("Ana", "Bo"))
    text = file.read_text(encoding="utf-8").replace('# operator_keys = ["..."]', f"operator_keys = [{keys}]")
    file.write_text(text.replace("# operator_signatures = 1", "operator_signatures = 2"), encoding="utf-8")
    return NodeSettings.load(home)


def node(directory: Path) -> tuple[NodeSettings, Operators]:
    """A node that has accepted the small model, and those who released it."""
    operators = Operators.enrol(directory)
    home = create_node(directory / "node", "BG", directory / "node.keys", 1000).home
    settings = pin(home, operators)
    accept_model(settings, operators.release(), by="Dana")
    return settings, operators
