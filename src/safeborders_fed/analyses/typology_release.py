"""What is published of typologies: each with its size, where and when it occurs, and what sets it apart.

Margins are standard errors, and cover the noise that was added for privacy, nothing else: not which victims
happened to be recorded, nor which of them were assigned to a wrong typology.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from safeborders_fed.analyses.base import Arrays
from safeborders_fed.analyses.typology_model import Block, Layout, Margins, Mixture
from safeborders_fed.analyses.typology_rows import Floats

CLEAR: Final = 2.5
"""Standard errors by which an estimate must exceed zero, or a share the overall one, to be named."""
LIFT: Final = 1.25
"""A value sets a typology apart if its share is so many times the overall one."""
MOST_NAMED: Final = 12
_LEAST: Final = 1e-9


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a study found. Classes in the order in which the coordinator carried them.

    Attributes:
        layout: The columns.
        states: Names of states.
        years: Names of years.
        margins: What all victims look like.
        mixture: The classes.
        totals: Statistics of the last rounds: victims by class, shape (classes,).
        sums: The same by column, shape (classes, columns).
        noise: Standard deviation of the noise in an entry of ``sums``.
        prevalence: Victims, shape (states + years, classes).
        prevalence_noise: Standard deviation of the noise in an entry of it.
    """

    layout: Layout
    states: tuple[str, ...]
    years: tuple[str, ...]
    margins: Margins
    mixture: Mixture
    totals: Floats
    sums: Floats
    noise: float
    prevalence: Floats
    prevalence_noise: float

    def sizes(self) -> tuple[Floats, float]:
        """Victims of each class from both tables, weighed by precision, and the standard error."""
        states, years = len(self.states), len(self.years)
        of_states = self.prevalence[:states].sum(axis=0)
        of_years = self.prevalence[states:].sum(axis=0)
        estimate = (years * of_states + states * of_years) / (states + years)
        return estimate, self.prevalence_noise * float(np.sqrt(states * years / (states + years)))


def describe(findings: Findings) -> tuple[dict[str, Any], Arrays]:
    """Facts and arrays of the release: classes above noise, the largest first, called T1, T2, ..."""
    sizes, error = findings.sizes()
    order = [int(place) for place in np.argsort(-sizes, kind="stable") if sizes[place] > CLEAR * error]
    total = max(float(sizes[order].sum()), 1.0)
    facts = {
        "columns": list(findings.layout.names),
        "years": list(findings.years),
        "prevalence_error": error,
        "cell_error": findings.prevalence_noise,
        "margins_cover": "noise added for privacy",
        "occurs_rule": f"an estimate above {CLEAR} standard errors",
        "classes": [
            _class(findings, place, f"T{rank}", float(sizes[place]), total) | {"prevalence_error": error}
            for rank, place in enumerate(order, start=1)
        ],
    }
    arrays = {
        "profiles": findings.mixture.profiles[order],
        "weights": sizes[order] / total,
        "tables": findings.mixture.weights(findings.layout)[..., order],
    }
    return facts, arrays


def _class(findings: Findings, place: int, name: str, size: float, total: float) -> dict[str, Any]:
    cells, error = findings.prevalence[:, place], findings.prevalence_noise
    states = cells[: len(findings.states)]
    return {
        "name": name,
        "prevalence": size,
        "share": size / total,
        "distinguishing": _distinguishing(findings, place),
        "occurs_in": [
            state for state, victims in zip(findings.states, states, strict=True) if victims > CLEAR * error
        ],
        "by_state": _table(findings.states, states, error),
        "by_year": _table(findings.years, cells[len(findings.states) :], error),
    }


def _table(names: tuple[str, ...], cells: Floats, error: float) -> dict[str, list[float]]:
    return {name: [float(victims), error] for name, victims in zip(names, cells, strict=True)}


def _distinguishing(findings: Findings, place: int) -> list[dict[str, Any]]:
    """The values that are clearly more frequent than over all victims, the clearest first."""
    found: list[tuple[float, dict[str, Any]]] = []
    for block in findings.layout.blocks:
        known = block.known(findings.totals, findings.sums)[place]
        error = findings.noise / max(float(known), 1.0)
        shares = findings.mixture.profiles[place, block.values]
        overall, overall_error = (
            values[block.values] for values in (findings.margins.overall, findings.margins.error)
        )
        apart = shares - overall
        clear = (apart > CLEAR * np.hypot(error, overall_error)) & (shares > LIFT * overall)
        for value in np.flatnonzero(clear):
            entry = {
                "field": block.field.name,
                "value": block.field.bins[value],
                "label": label(block, int(value)),
                "share_in_class": float(shares[value]),
                "share_error": error,
                "share_overall": float(overall[value]),
                "share_overall_error": float(overall_error[value]),
                "lift": float(shares[value] / max(overall[value], _LEAST)),
            }
            spread = np.sqrt(max(overall[value] * (1 - overall[value]), _LEAST))
            found.append((float(apart[value] / spread), entry))
    found.sort(key=lambda item: -item[0])
    return [entry for _, entry in found[:MOST_NAMED]]


def label(block: Block, value: int) -> str:
    """What a reader sees of a bin: the label of its only value, or the bin's own name."""
    name = block.field.bins[value]
    labels = [entry.label for entry in block.field.values if entry.bin == name]
    return labels[0] if len(labels) == 1 else name
