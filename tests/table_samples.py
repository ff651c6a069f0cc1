"""Made-up noisy tables for tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from itertools import combinations
from pathlib import Path
from typing import Any, cast

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from numpy.typing import NDArray

from safeborders_fed.analyses.trend_axes import age_axis, form_axis, further_axes
from safeborders_fed.analyses.trend_choice import CATALOGUE, PERIOD
from safeborders_fed.reporting.noisy_tables import Axis, NoisyTable, TableRelease
from safeborders_fed.reporting.reading import Released
from safeborders_fed.reporting.table_release import Origin, document
from safeborders_fed.study import table_statement
from safeborders_fed.study.table_file import DisclosedTable, Loaded, Rules, TableAxis, read
from safeborders_fed.study.table_statement import SignedTables, TableStatement

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


def catalogue(
    seed: int, periods: tuple[str, ...], states: tuple[str, ...] = ("BG", "GR", "RO"), **changes: Any
) -> TableRelease:
    """A release of all tables of the catalogue but those over time, with the margins of such a study."""
    draw = np.random.default_rng(seed)
    own = {axis.name: Axis(axis.name, axis.codes) for axis in further_axes()}
    own |= {axis.name: Axis(axis.name, axis.codes) for axis in (form_axis(), age_axis())}
    period = "quarter" if "Q" in periods[0] else "year"
    own |= {period: Axis(period, (*periods, "Other")), "state": Axis("state", states)}
    weights = {name: draw.dirichlet(np.full(len(axis.codes), 0.7)) for name, axis in own.items()}
    weights[period] = np.append(np.linspace(1, 1.6, len(periods)), 0.2)
    weights[period] /= weights[period].sum()
    followed = {name: axes for name, axes in CATALOGUE.items() if not name.endswith("-over-time")}
    kept = [tuple(period if name == PERIOD else name for name in axes) for axes in followed.values()]
    tables = []
    for names in (*kept, *((name,) for name in own), ()):
        cells = np.asarray(float(300 * len(periods)))
        for name in names:
            cells = np.multiply.outer(cells, weights[name])
        chosen = tuple(own[name] for name in names)
        tables.append(NoisyTable(" x ".join(names) or "total", chosen, cells, 4.0 if len(names) > 1 else 8.0))
    made = release(np.ones((1, len(FORMS), len(AGES))), **changes)
    return replace(made, tables=tuple(tables), states=states)


def largest() -> Loaded:
    """All tables of the catalogue for eight states over 40 quarters, suppressed by their floors alone.

    A page does not know why a count is suppressed, and protecting so many counts takes minutes.
    """
    quarters = tuple(f"{2016 + at // 4}-Q{at % 4 + 1}" for at in range(40))
    made, rules = catalogue(3, quarters, ("BE", "BG", "FI", "GR", "IT", "PL", "PT", "RO")), Rules()
    small = loaded(release(np.ones((1, len(FORMS), len(AGES))))).file
    tables = tuple(_floored(table, rules) for table in made.tables)
    one = small.tables.model_copy(update={"tables": tables, "states": made.states})
    return read(small.model_copy(update={"tables": one}).to_bytes())


def _floored(table: NoisyTable, rules: Rules) -> DisclosedTable:
    floor = rules.floor(table.deviation)
    counts_of = (rules.round(count) for count in table.counts.ravel())
    return DisclosedTable(
        name=table.name,
        axes=tuple(TableAxis(name=axis.name, codes=axis.codes) for axis in table.axes),
        deviation=table.deviation,
        margin=rules.margin(table.deviation),
        floor=floor,
        cells=tuple(count if count >= floor else None for count in counts_of),
    )


def loaded(made: TableRelease, rules: Rules | None = None, *before: Loaded, version: int = 1) -> Loaded:
    origin = Origin("b" * 64, version, TODAY)
    return read(document(made, rules or Rules(), origin, before).to_bytes())


def released(one: Loaded, path: Path = Path("made.tables.json"), day: date = TODAY) -> Released:
    """Tables as a reader holds them; two people signed."""
    tables = one.tables
    said = TableStatement(
        action="release", name=tables.study, version=tables.version, sha256=one.sha256, day=day, reason="Due."
    )
    signed = None
    for at, name in enumerate(("Ana", "Bo"), start=1):
        key = Ed25519PrivateKey.from_private_bytes(bytes([at]) * 32)
        signed = table_statement.sign(said, key, name, signed)
    return Released(one, cast("SignedTables", signed), path)
