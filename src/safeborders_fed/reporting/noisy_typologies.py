"""The noisy tables of a typology study, and what sets its types apart.

Three tables: ``type``, ``type x state`` and ``type x year``. The counts of types are estimated from the
other two, each weighed by its precision, so the three are added up from each other only up to noise. They
are published as if the sums were exact: what exact sums do not tell, sums with noise in them do not tell
either, and the one relation that does hold exactly (the weighted mean) is a combination of these sums.

Guarantees: as ``noisy_tables``; an estimate below zero, which noise alone makes, is zero here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from safeborders_fed.errors import RefusedError
from safeborders_fed.reporting.noisy_tables import BETWEEN, Axis, NoisyTable
from safeborders_fed.study.table_notes import TYPE

KIND: Final = "typology"
STATE: Final = "state"
YEAR: Final = "year"


@dataclass(frozen=True, slots=True)
class NoisyTrait:
    """A value that sets a type apart, as the study released it.

    Attributes:
        field: The field.
        value: Its value, or public bin.
        share: Of the type's victims of whom the field is known.
        error: Standard error of it.
        overall: Of all victims.
        overall_error: Standard error of it.
    """

    field: str
    value: str
    share: float
    error: float
    overall: float
    overall_error: float


@dataclass(frozen=True, slots=True)
class NoisyType:
    """A type's name, and its traits, the clearest first."""

    name: str
    traits: tuple[NoisyTrait, ...]


def typology_tables(study: str, facts: Mapping[str, Any]) -> tuple[NoisyTable, ...]:
    """The tables in the facts of a typology release (``analyses.typology_release.describe``).

    Raises:
        RefusedError: ``no-types``.
        DefectError: ``report-facts``.
    """
    found: Sequence[Mapping[str, Any]] = facts["classes"]
    if not found:
        raise RefusedError(
            "no-types",
            f"no type of study {study!r} stands out from the noise",
            "publish nothing of it; a study of more victims, or a larger budget, may find types",
        )
    axis = Axis(TYPE, tuple(str(entry["name"]) for entry in found))
    totals = np.array([entry["prevalence"] for entry in found], dtype=np.float64)
    whole = NoisyTable(TYPE, (axis,), np.maximum(totals, 0.0), float(facts["prevalence_error"]))
    return (whole, _by(axis, STATE, found, facts), _by(axis, YEAR, found, facts))


def _by(axis: Axis, name: str, found: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> NoisyTable:
    codes = tuple(found[0][f"by_{name}"])
    counts = [[entry[f"by_{name}"][code][0] for code in codes] for entry in found]
    own = (axis, Axis(name, codes))
    values = np.maximum(np.array(counts, dtype=np.float64), 0.0)
    return NoisyTable(f"{TYPE}{BETWEEN}{name}", own, values, float(facts["cell_error"]))


def types_in(facts: Mapping[str, Any]) -> tuple[NoisyType, ...]:
    """What sets each type apart."""
    return tuple(
        NoisyType(str(entry["name"]), tuple(map(_trait, entry["distinguishing"])))
        for entry in facts["classes"]
    )


def _trait(facts: Mapping[str, Any]) -> NoisyTrait:
    return NoisyTrait(
        field=facts["field"],
        value=facts["value"],
        share=facts["share_in_class"],
        error=facts["share_error"],
        overall=facts["share_overall"],
        overall_error=facts["share_overall_error"],
    )
