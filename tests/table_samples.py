"""Made-up noisy tables for tests."""

from __future__ import annotations

from datetime import date
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.reporting.noisy_tables import Axis, NoisyTable, TableRelease
from safeborders_fed.reporting.table_release import Origin, document
from safeborders_fed.study.table_file import Loaded, Rules, read

TODAY = date(2026, 11, 25)
FORMS = ("LabourExploitation", "SexualExploitation", "SeveralForms", "Unknown")
AGES = ("0--8", "9--17", "18+", "Unknown")


def axes(years: int = 3) -> tuple[Axis, ...]:
    span = tuple(str(2020 + at) for at in range(years))
    return Axis("year", span), Axis("form", FORMS), Axis("age", AGES)


def tables_of_full(
    full: NDArray[np.float64], deviation: float = 2.0, own: tuple[Axis, ...] | None = None
) -> tuple[NoisyTable, ...]:
    """The full table and all its margins, consistent."""
    own = axes(full.shape[0]) if own is None else own
    found = []
    for size in reversed(range(len(own) + 1)):
        for kept in combinations(range(len(own)), size):
            summed = tuple(at for at in range(len(own)) if at not in kept)
            chosen = tuple(own[at] for at in kept)
            name = " x ".join(axis.name for axis in chosen) or "total"
            found.append(NoisyTable(name, chosen, np.asarray(full.sum(axis=summed)), deviation))
    return tuple(found)


def release(
    full: NDArray[np.float64], *, study: str = "trends-one", deviation: float = 2.0, manifest: str = "a"
) -> TableRelease:
    return TableRelease(
        study=study,
        manifest_hash=manifest * 64,
        population="all",
        states=("BG", "GR", "RO"),
        tables=tables_of_full(full, deviation),
        epsilon=1.0,
        delta=1e-6,
        rho=0.02,
    )


def counts(seed: int, years: int = 3) -> NDArray[np.float64]:
    draw = np.random.default_rng(seed)
    return draw.gamma(0.5, 40, size=(years, len(FORMS), len(AGES))).round(1)


def loaded(made: TableRelease, rules: Rules | None = None, *before: Loaded, version: int = 1) -> Loaded:
    origin = Origin("b" * 64, version, TODAY)
    return read(document(made, rules or Rules(), origin, before).to_bytes())
