"""Made-up typology releases for tests of what is published of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from safeborders_fed.reporting.noisy_tables import TableRelease
from safeborders_fed.reporting.noisy_typologies import types_in, typology_tables
from table_samples import release

STATES = ("BG", "GR", "RO")
YEARS = ("2020", "2021", "2022", "2023", "2024", "2025", "2026", "Other")
LARGE = ((120.0, 80.0, 60.0), (90.0, 12.0, 31.0), (40.0, 2.0, 15.0))


def trait(share: float = 0.72, **changes: Any) -> dict[str, Any]:
    return {
        "field": "method_of_recruitment",
        "value": "ThroughOnlineSocialNetworks",
        "label": "Through online social networks",
        "share_in_class": share,
        "share_error": 0.021,
        "share_overall": 0.2049,
        "share_overall_error": 0.004,
        "lift": 3.5,
        **changes,
    }


def facts(
    by_state: tuple[tuple[float, ...], ...] = LARGE, traits: tuple[Any, ...] | None = None
) -> dict[str, Any]:
    """As ``analyses.typology_release.describe`` makes them: the sums differ by noise."""
    classes = []
    for at, states in enumerate(by_state, start=1):
        size = sum(states)
        years = np.full(len(YEARS), (size + 1.3) / len(YEARS)) + 0.4
        classes.append(
            {
                "name": f"T{at}",
                "prevalence": size + 0.65,
                "share": size / max(sum(map(sum, by_state)), 1),
                "distinguishing": [trait()] if traits is None else list(traits),
                "occurs_in": list(STATES),
                "by_state": dict(zip(STATES, ([count, 2.0] for count in states), strict=True)),
                "by_year": dict(zip(YEARS, ([count, 2.0] for count in years.tolist()), strict=True)),
                "prevalence_error": 2.95,
            }
        )
    return {"prevalence_error": 2.95, "cell_error": 2.0, "classes": classes, "population": "all"}


def typed(made: dict[str, Any] | None = None, **changes: Any) -> TableRelease:
    made = facts() if made is None else made
    base = release(np.ones((1, 4, 4)), study=changes.pop("study", "types-one"), **changes)
    return replace(base, tables=typology_tables("types-one", made), types=types_in(made))
