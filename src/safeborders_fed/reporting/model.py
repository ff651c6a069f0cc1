"""What a report says: the only input of its page.

Guarantees:

- Plain, frozen facts. Nothing here reads a file or a clock, and nothing else of the project is needed but
  its errors and the rule for a known accuracy (``analyses.evaluation.beyond_chance``), so that every sentence
  and number of the page can be traced to one field below.
- Facts that contradict themselves (a value that is not finite, a negative standard error, a table with a
  hole or with two values for one cell) are refused when they are put together, not when they are drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import Final, Literal

from safeborders_fed.reporting.card_facts import ModelCardFacts
from safeborders_fed.reporting.checks import refuse, require_finite, require_share
from safeborders_fed.reporting.typologies import Typologies

TOTAL: Final = "Total"
"""Stands in the place of a year, form or age band that a margin sums over."""

OTHER_YEAR: Final = "Other"
"""Year of records outside the public period: shown in tables, never on a time axis."""


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """One study: what was asked, of whom, at what cost.

    Attributes:
        id: Identifier in the manifest.
        purpose: Why it was asked, as approved.
        question: What was asked, in words.
        analysis: Name of the analysis.
        states: Names of the states that were asked.
        rounds: Number of aggregations.
        rho: Cost as zero-concentrated differential privacy, per victim at one node.
        epsilon: The same cost as epsilon at ``delta``.
        delta: The delta of ``epsilon``; between 0 and 1, exclusive.
        trust: ``masked`` (noise shared between nodes) or ``local`` (each node adds all of it).
        noise: One sentence: which noise is in which number.
        columns: Labels of the fields of the data contract that were used.
    """

    id: str
    purpose: str
    question: str
    analysis: str
    states: tuple[str, ...]
    rounds: int
    rho: float
    epsilon: float
    delta: float
    trust: Literal["local", "masked"]
    noise: str
    columns: tuple[str, ...]

    def __post_init__(self) -> None:
        require_finite(f"study {self.id!r}", {"rho": self.rho, "epsilon": self.epsilon})
        if not 0 < self.delta < 1:
            raise refuse(f"delta of study {self.id!r} is {self.delta}, not between 0 and 1")
        if self.trust not in ("local", "masked"):
            raise refuse(f"trust mode of study {self.id!r} is {self.trust!r}, not 'local' or 'masked'")


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What intake at one node took in: exact counts, which only a demonstration may show.

    Attributes:
        name: Name of the state.
        victims: Number of persons in the store, those found not to be victims included.
        quarantined: Number of rows that intake put aside.
    """

    name: str
    victims: int
    quarantined: int

    def __post_init__(self) -> None:
        require_finite(f"node {self.name!r}", {"victims": self.victims, "quarantined": self.quarantined})


@dataclass(frozen=True, slots=True)
class Detection:
    """How well the detection model ranks records that it was not trained on.

    All figures are areas under the ROC curve, 0 to 1, without privacy noise.

    Attributes:
        label: The positive class as a noun phrase, such as ``actual victim of trafficking``.
        federated: The federated model on all held-out records.
        pooled_without_privacy: One model trained on everybody's records, without noise, likewise.
        alone: Per node: a model trained on its own records only, on all held-out records; ``None`` if
            there is none.
        alone_reasons: Per node without such a model: why.
        own_records: Per node, on its own held-out records: (federated model, own model); ``None`` where
            it cannot be computed.
        bayes_optimum: What the best possible model could reach, where the data's truth is known.
        records_held_out: Number of held-out records, all nodes together.
    """

    label: str
    federated: float
    pooled_without_privacy: float
    alone: Mapping[str, float | None]
    alone_reasons: Mapping[str, str]
    own_records: Mapping[str, tuple[float | None, float | None]]
    bayes_optimum: float | None
    records_held_out: int

    def __post_init__(self) -> None:
        require_share(
            "detection",
            {
                "federated": self.federated,
                "pooled_without_privacy": self.pooled_without_privacy,
                "bayes_optimum": self.bayes_optimum,
            },
        )
        require_share("the models of single nodes", self.alone)
        for name, pair in self.own_records.items():
            require_share(f"own records of {name!r}", dict(zip(("federated", "own"), pair, strict=True)))
        unexplained = [
            name for name, auc in self.alone.items() if auc is None and name not in self.alone_reasons
        ]
        if unexplained:
            raise refuse(f"no reason is given why node {unexplained[0]!r} has no model of its own")


@dataclass(frozen=True, slots=True)
class TrendCell:
    """One noisy count of victims.

    Attributes:
        year: A year, ``Other``, or ``Total``.
        form: Label of a form of exploitation, or ``Total``.
        age_band: Label of an age band, or ``Total``.
        value: The noisy count, zero or more; its decimals are never shown.
        standard_error: Standard deviation of the noise in ``value``.
    """

    year: str
    form: str
    age_band: str
    value: float
    standard_error: float

    @property
    def key(self) -> tuple[str, str, str]:
        """Year, form and age band."""
        return self.year, self.form, self.age_band

    def __post_init__(self) -> None:
        require_finite(f"cell {self.key}", {"value": self.value, "standard error": self.standard_error})


@dataclass(frozen=True, slots=True)
class TrendTables:
    """Consistent counts of victims: all cells and their margins, with ``Total`` where a margin sums.

    Every year, form and age band of ``cells`` is in each table that has that dimension. The order in which
    ``cells`` first name them is the order of the report.

    Attributes:
        cells: Year by form by age band.
        by_year_form: Year by form.
        by_year_age: Year by age band.
        by_year: Year.
        by_form: Form.
        total: All victims, if the analysis gives it with its own standard error.
    """

    cells: tuple[TrendCell, ...]
    by_year_form: tuple[TrendCell, ...]
    by_year_age: tuple[TrendCell, ...]
    by_year: tuple[TrendCell, ...]
    by_form: tuple[TrendCell, ...]
    total: TrendCell | None = None

    @property
    def years(self) -> tuple[str, ...]:
        """Years in report order, ``Other`` included."""
        return tuple(dict.fromkeys(cell.year for cell in self.cells))

    @property
    def forms(self) -> tuple[str, ...]:
        """Forms of exploitation in report order."""
        return tuple(dict.fromkeys(cell.form for cell in self.cells))

    @property
    def age_bands(self) -> tuple[str, ...]:
        """Age bands in report order."""
        return tuple(dict.fromkeys(cell.age_band for cell in self.cells))

    def __post_init__(self) -> None:
        total = (TOTAL,)
        years, forms, ages = self.years, self.forms, self.age_bands
        if not any(year.isdecimal() for year in years):
            raise refuse("the trend tables hold no year")
        _require_exactly("cells", self.cells, product(years, forms, ages))
        _require_exactly("by_year_form", self.by_year_form, product(years, forms, total))
        _require_exactly("by_year_age", self.by_year_age, product(years, total, ages))
        _require_exactly("by_year", self.by_year, product(years, total, total))
        _require_exactly("by_form", self.by_form, product(total, forms, total))
        if self.total is not None:
            _require_exactly("total", (self.total,), product(total, total, total))


def _require_exactly(
    table: str, cells: tuple[TrendCell, ...], expected: Iterable[tuple[str, str, str]]
) -> None:
    keys = [cell.key for cell in cells]
    if len(set(keys)) != len(keys):
        raise refuse(f"trend table {table} gives two values for one cell")
    if wrong := set(keys) ^ set(expected):
        raise refuse(f"trend table {table} lacks, or should not have, {min(wrong)}")


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that one page shows.

    Attributes:
        title: Heading of the page.
        created: When; with a time zone.
        synthetic: Whether the records are made up.
        software_version: Version of safeborders-fed.
        seed: Seed of the synthetic files and of the split; ``None`` if there is none.
        total_rho: Cost of all studies together (rho adds up).
        total_epsilon: ``total_rho`` as epsilon at ``delta`` (epsilons do not add up).
        delta: The delta of ``total_epsilon``.
        studies: What was asked.
        nodes: What each node took in.
        detection: How good the model is; ``None`` where it cannot be measured, as with one class only.
        trends: The noisy counts.
        seconds: Wall time per step, in the order in which steps ran.
        typologies: Ways in which the crime is done; ``None`` if that was not asked.
        card: The released model; ``None`` if there is none.
    """

    title: str
    created: datetime
    synthetic: bool
    software_version: str
    seed: int | None
    total_rho: float
    total_epsilon: float
    delta: float
    studies: tuple[StudyFacts, ...]
    nodes: tuple[NodeFacts, ...]
    detection: Detection | None
    trends: TrendTables
    seconds: Mapping[str, float]
    typologies: Typologies | None = None
    card: ModelCardFacts | None = None

    def __post_init__(self) -> None:
        require_finite("the report", {"total_rho": self.total_rho, "total_epsilon": self.total_epsilon})
        require_finite("the timings", self.seconds)
        if not 0 < self.delta < 1:
            raise refuse(f"delta of the report is {self.delta}, not between 0 and 1")
        if self.created.tzinfo is None:
            raise refuse("the report's time of creation has no time zone")
