"""From a seed to eight national files and their truth.

Guarantees: ``generate`` writes those nine files and nothing else, the same bytes for the same seed and
scale.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from safeborders_fed.cases.synthetic.networks import plant
from safeborders_fed.cases.synthetic.parameters import COUNTRIES, mapping_of, mapping_path, stream, table
from safeborders_fed.cases.synthetic.population import draw_population
from safeborders_fed.cases.synthetic.recording import STATUS, Recorded, forget, record
from safeborders_fed.cases.synthetic.registry import Rows, rows_of
from safeborders_fed.cases.synthetic.shapes import sheet_of
from safeborders_fed.cases.synthetic.signal import Decisions, decide
from safeborders_fed.cases.synthetic.truth import World, truth_of
from safeborders_fed.cases.synthetic.writers import write_file
from safeborders_fed.errors import UsageError

TRUTH: Final = "truth.json"
SMALLEST: Final = 0.05
"""Below it, a state may have too few victims for the networks."""
LARGEST: Final = 10.0
"""Above it, telephone numbers from the range for drama run out."""


@dataclass(frozen=True, slots=True)
class NationalFile:
    """One national file and the mapping that reads it."""

    country: str
    path: Path
    mapping: Path


def generate(directory: Path, seed: int, scale: float = 1.0) -> list[NationalFile]:
    """Write the eight national files and ``truth.json`` into ``directory``, which is made if need be.

    Args:
        directory: Where to; files of the same name are replaced.
        seed: 0 or more; each gives other files.
        scale: Factor on the number of persons, from 0.05 to 10: 1 gives about 20,000 in all, and 500 to
            6,000 victims a state.

    Raises:
        UsageError: ``bad-scale`` or ``bad-seed``.
    """
    if not SMALLEST <= scale <= LARGEST:
        raise UsageError(
            "bad-scale",
            f"the scale {scale} is not from {SMALLEST} to {LARGEST}",
            "choose 1 for files of full size",
        )
    if seed < 0:
        raise UsageError("bad-seed", f"the seed {seed} is negative", "choose 0 or a greater whole number")
    directory.mkdir(parents=True, exist_ok=True)
    population = draw_population(seed, scale)
    recorded = record(seed, population)
    decisions = decide(seed, population, recorded)
    links = plant(seed, scale, population, decisions.victim)
    rows = {country: rows_of(seed, country, population) for country in COUNTRIES}
    files, spoilt = [], {}
    entries = links.entries()
    for index, country in enumerate(COUNTRIES):
        habits = table("habits")["states"][country]
        rng = stream(seed, 8, index)
        own = [entry for entry in entries if population.state[entry.person] == index]
        sheet = sheet_of(rng, country, rows[country], _in_rows(rng, rows[country], recorded, decisions), own)
        spoilt[country] = sheet.spoilt
        mapping, path = mapping_of(country), directory / habits["file"]
        write_file(path, mapping, sheet.columns, habits.get("encoding", mapping.file.encoding))
        files.append(NationalFile(country, path, mapping_path(country.lower())))
    truth = truth_of(World(seed, scale, population, decisions, links, rows, spoilt))
    (directory / TRUTH).write_text(json.dumps(truth, ensure_ascii=False), encoding="utf-8")
    return files


def _in_rows(rng: np.random.Generator, rows: Rows, recorded: Recorded, decisions: Decisions) -> Recorded:
    """What each row holds: the second case of a person says the same or less, and the status always."""
    full = forget(rng, recorded, rows.person, 0.0)
    partial = forget(rng, recorded, rows.person, table("habits")["rates"]["second_case_forgets"])
    singles = {
        name: np.where(rows.second, partial.singles[name], column) for name, column in full.singles.items()
    }
    multis = {
        name: np.where(rows.second[:, None], partial.multis[name], column)
        for name, column in full.multis.items()
    }
    singles[STATUS] = decisions.status[rows.person]
    return Recorded(singles, multis)
