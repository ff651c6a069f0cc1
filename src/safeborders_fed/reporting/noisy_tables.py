"""The noisy tables of a release, for everything that publishes them.

Guarantees: plain, frozen facts; what does not fit together (a table of another shape than its axes, a number
that is not finite, a negative standard error) is refused when it is put together. Counts are as the release
holds them: not negative, those of a trends study consistent; not rounded, not suppressed. They are private by
their noise alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.errors import UsageError
from safeborders_fed.reporting.checks import refuse

if TYPE_CHECKING:
    from safeborders_fed.analyses.base import Release
    from safeborders_fed.reporting.noisy_typologies import NoisyType
    from safeborders_fed.study.manifest import Manifest
    from safeborders_fed.study.release_file import Published

KIND: Final = "trends"
BETWEEN: Final = " x "
TOTAL_TABLE: Final = "total"
_AXES: Final = "axes"


@dataclass(frozen=True, slots=True)
class Axis:
    """One dimension of a table.

    Attributes:
        name: What it is: ``year``, ``form``, ``age``, ...
        codes: Its values, in report order.
    """

    name: str
    codes: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.codes or len(set(self.codes)) != len(self.codes):
            raise refuse(f"axis {self.name!r} has no codes, or one of them twice")


@dataclass(frozen=True, slots=True)
class NoisyTable:
    """Counts of victims by some dimensions.

    Attributes:
        name: Names of its axes joined by ``x``; ``total`` for the one without any.
        axes: Its dimensions.
        counts: float64, one dimension for each axis.
        deviation: Standard error of each count.
    """

    name: str
    axes: tuple[Axis, ...]
    counts: NDArray[np.float64]
    deviation: float

    def __post_init__(self) -> None:
        if self.counts.shape != tuple(len(axis.codes) for axis in self.axes):
            raise refuse(f"table {self.name!r} has another shape than its axes")
        if not np.isfinite(self.counts).all() or not 0 <= self.deviation < math.inf:
            raise refuse(f"table {self.name!r} holds a number that is none")


@dataclass(frozen=True, slots=True)
class TableRelease:
    """All tables of one release, and what their noise cost.

    Attributes:
        study: The study.
        manifest_hash: What its people approved.
        population: ``all`` or ``minors``.
        states: Who was asked.
        tables: Each with its standard error.
        epsilon: What all of the study may have cost, at ``delta``.
        delta: The delta of ``epsilon``.
        rho: The same as zero-concentrated differential privacy.
        types: What sets each type apart; None unless the tables are of typologies.
    """

    study: str
    manifest_hash: str
    population: str
    states: tuple[str, ...]
    tables: tuple[NoisyTable, ...]
    epsilon: float
    delta: float
    rho: float
    types: tuple[NoisyType, ...] | None = None

    def table(self, name: str) -> NoisyTable:
        """The table of this name.

        Raises:
            UsageError: ``unknown-table``.
        """
        for table in self.tables:
            if table.name == name:
                return table
        names = ", ".join(table.name for table in self.tables)
        raise UsageError("unknown-table", f"there is no table {name!r}", f"choose one of {names}")


def tables_of(published: Published, manifest: Manifest) -> TableRelease:
    """The tables of a trends or a typology study's release.

    Args:
        published: The release.
        manifest: The study that it is of.

    Raises:
        UsageError: ``no-tables``, for the release of another analysis.
        RefusedError: ``no-types``, for typologies none of which stands out from the noise.
        DefectError: ``report-facts``, for a release that does not fit together.
    """
    from safeborders_fed.reporting import noisy_typologies  # noqa: PLC0415 - it makes tables of this module

    release = published.release
    facts: dict[str, Any] = release.facts
    types = None
    if release.kind == noisy_typologies.KIND:
        tables = noisy_typologies.typology_tables(published.study, facts)
        types = noisy_typologies.types_in(facts)
    elif release.kind == KIND:
        tables = _chosen(release) if _AXES in facts else _cross(release)
    else:
        raise UsageError(
            "no-tables",
            f"study {published.study!r} released no tables ({release.kind})",
            "choose a study with the analysis trends or typology",
        )
    return TableRelease(
        study=published.study,
        manifest_hash=published.manifest_hash,
        population=str(facts["population"]),
        states=manifest.participants,
        tables=tables,
        epsilon=manifest.epsilon,
        delta=manifest.delta,
        rho=manifest.rho,
        types=types,
    )


def _kept(name: str) -> list[str]:
    return [] if name == TOTAL_TABLE else name.split(BETWEEN)


def _cross(release: Release) -> tuple[NoisyTable, ...]:
    """The margins of the cross of year, form and age."""
    axes = tuple(Axis(name, tuple(release.facts[f"{name}s"])) for name in ("year", "form", "age"))
    full = release.arrays["table"]
    tables = []
    for name, deviation in release.facts["standard_errors"].items():
        kept = _kept(name)
        summed = tuple(at for at, axis in enumerate(axes) if axis.name not in kept)
        chosen = tuple(axis for axis in axes if axis.name in kept)
        tables.append(NoisyTable(name, chosen, np.asarray(full.sum(axis=summed)), float(deviation)))
    return tuple(tables)


def _chosen(release: Release) -> tuple[NoisyTable, ...]:
    """The tables that a manifest chose, with their margins."""
    axes = {name: Axis(name, tuple(codes)) for name, codes in release.facts[_AXES].items()}
    errors = release.facts["standard_errors"]
    strange = [name for name in errors if name not in release.arrays or not set(_kept(name)) <= set(axes)]
    if strange:
        raise refuse(f"table {strange[0]!r} has no counts, or an axis that is none")
    return tuple(
        NoisyTable(name, tuple(axes[axis] for axis in _kept(name)), release.arrays[name], float(deviation))
        for name, deviation in errors.items()
    )
