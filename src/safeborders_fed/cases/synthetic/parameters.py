"""Parameters of the synthetic files: what is published, and what is assumed.

Guarantees: published figures stand in ``calibration.toml`` alone; typologies, signal, recording habits and
names stand in the tables beside it, and what a state records in its mapping. How an identifier is spelt and
how large a network is are decided in the modules that draw them.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np

from safeborders_fed.cases.contract import field
from safeborders_fed.cases.countries import STATES
from safeborders_fed.cases.mapping import Mapping, load_mapping

COUNTRIES: Final = tuple(sorted(STATES))
"""The eight states; arrays over states follow this order."""
GROUPS: Final = ("labour", "sexual", "other")
"""Forms of exploitation as GLOTIP publishes them."""


@cache
def table(name: str) -> dict[str, Any]:
    """The parameter table ``name`` (without the ending)."""
    text = files(__package__).joinpath(f"{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def mapping_path(name: str) -> Path:
    """Where the built-in mapping ``name`` (for example ``bg``) is installed."""
    return Path(str(files("safeborders_fed.configs") / "mappings" / f"{name}.toml"))


@cache
def mapping_of(country: str) -> Mapping:
    """The built-in mapping of a state."""
    return load_mapping(mapping_path(country.lower()))


def typologies() -> tuple[str, ...]:
    """Names of the typologies; arrays over typologies follow this order."""
    return tuple(table("typologies")["typologies"])


def years() -> tuple[int, ...]:
    """Years that the files cover."""
    assumed = table("calibration")["assumptions"]
    return tuple(range(assumed["first_year"], assumed["last_year"] + 1))


def year_profile(country: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Share of each year, float64, shape (years,): published to 2022, then the mean of the last three."""
    published = table("calibration")["states"][country]["victims_by_year"]
    later = len(years()) - len(published)
    counts = np.array([*published, *[np.mean(published[-3:])] * later], dtype=np.float64)
    return np.asarray(counts / counts.sum(), dtype=np.float64)


def position(name: str, code: str) -> int:
    """Position of ``code`` among the values of the contract field ``name``."""
    return field(name).codes.index(code)


def stream(seed: int, *path: int) -> np.random.Generator:
    """Random numbers of one part of the generation; parts do not disturb each other."""
    return np.random.default_rng([seed, *path])
