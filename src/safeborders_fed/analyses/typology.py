"""Typologies: ways in which the crime is done, found as latent classes by noisy expectation-maximisation.

Unit: one victim, with all their records, is one row. Persons found not to be victims do not count (they
contribute zero), nor does anybody outside the population.

A row is always an outer product of integers, and its L2 norm, the product of the two norms, is at most
``FINE_UNIT`` grid units: the bound of every stage. x are the ones of a victim's columns, z is x less a public
centre, r the responsibilities (not negative, adding up to at most 1, hence ``sum r_c^2 <= 1``).

- ``margins`` (1 round): (x, 1) in the victim's state; norm ``sqrt(1 + ones)`` before scaling.
- ``founding`` (1 round): r x (z, 1), where r are the victim's values of the founding field, each with an
  equal share; norm at most ``sqrt(1 + |z|^2)``. Values that stand out of the noise are the first classes.
- ``pairs`` (as many rounds as ``splits``): the upper triangle of ``(z, 1) (z, 1)^T`` of victims of one class,
  of all others zero; norm at most ``(1 + |z|^2)``. A class that is wider than noise is cut in two.
- ``classes`` (``rounds``): r x (z, 1), r being the posterior under the broadcast weights: the statistics of
  the M-step. Sensitivity ``sqrt(sum_c r_c^2 (1 + |z|^2))``.
- ``prevalence`` (1 round): r in the victim's state and r in the victim's year; norm at most ``sqrt(2)``.

Scaling is by the row's own norm, or by a public one if the row is shorter, rounded down in integers
(``typology_rows``): a row is a function of its victim and of public numbers alone, and leaving one victim out
moves a sum by at most the bound.

Noise: the door's, once a round; costs add. Everything after the private sums is post-processing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Limit
from pydantic import model_validator

from safeborders_fed.analyses import typology_rows
from safeborders_fed.analyses.base import FINE_UNIT, Analysis, Arrays, Parameters, Release, Setting, Stage
from safeborders_fed.analyses.expectation import VICTIMS, Expected
from safeborders_fed.analyses.typology_expected import expected_of
from safeborders_fed.analyses.typology_model import Layout
from safeborders_fed.analyses.typology_release import Findings, describe
from safeborders_fed.analyses.typology_rounds import (
    CLASSES,
    FOUNDING,
    MARGINS,
    PAIRS,
    PREVALENCE,
    Rounds,
    TypologyState,
)
from safeborders_fed.analyses.typology_rows import Floats, Rows
from safeborders_fed.cases.contract import Field, field
from safeborders_fed.cases.encoding import ABOUT_OTHERS, design
from safeborders_fed.errors import RefusedError
from safeborders_fed.privacy.bounded_sum import BoundedSumBuilder
from safeborders_fed.privacy.products import Indicators

if TYPE_CHECKING:
    from safeborders_fed.cases.encoding import Victims
    from safeborders_fed.privacy.bounded_sum import BoundedSum

SHARES: Final = {MARGINS: 0.14, FOUNDING: 0.09, PAIRS: 0.20, CLASSES: 0.47, PREVALENCE: 0.10}
"""Parts of rho; that of ``pairs`` is for each round, the others for the stage."""
OTHER_YEARS: Final = "Other"
_CHUNK: Final = 8192


class TypologyParameters(Parameters):
    """What a manifest says of a typology study.

    Attributes:
        features: Fields that describe how the crime is done. Two that say nearly the same (citizenship and
            country of recruitment) make classes of their own: name one of them, or none.
        founding: The feature whose values the first classes are made of.
        states: The participants, in the order of the tables.
        first_year: First year of the tables; with ``last_year``, public, not taken from data.
        last_year: Last year. Victims of other years are counted as year "Other".
        population: ``all`` or ``minors``.
        classes: The most classes there may be.
        splits: How many classes, from the largest, are examined for being two.
        rounds: Rounds of expectation-maximisation.
    """

    features: tuple[str, ...] = Limit(min_length=2)
    founding: str = "forms_of_exploitation"
    states: tuple[str, ...] = Limit(min_length=1, max_length=64)
    first_year: int = Limit(ge=1990, le=2100)
    last_year: int = Limit(ge=1990, le=2100)
    population: Literal["all", "minors"] = "all"
    classes: int = Limit(default=8, ge=2, le=20)
    splits: int = Limit(default=1, ge=0, le=4)
    rounds: int = Limit(default=4, ge=1, le=14)

    @model_validator(mode="after")
    def _fit_together(self) -> TypologyParameters:
        if not 0 <= self.last_year - self.first_year < 40:
            raise ValueError("last_year must not precede first_year, nor be 40 years or more after it")
        if len(set(self.states)) != len(self.states):
            raise ValueError("a state is named twice")
        if self.splits >= self.classes:
            raise ValueError("splits must leave at least one class to start from")
        return self


class Typology(Analysis[TypologyParameters, tuple[Rows, ...], TypologyState]):
    """Latent classes of victims by how the crime was done to them.

    Raises:
        RefusedError: ``bad-features``, or ``label-about-suspect`` for a founding field about others.
    """

    name = "typology"
    made_for = "modus-operandi"
    parameters_type = TypologyParameters

    def __init__(self, parameters: TypologyParameters) -> None:
        super().__init__(parameters)
        named = tuple(field(name) for name in parameters.features)
        if parameters.founding in ABOUT_OTHERS:
            raise RefusedError(
                "label-about-suspect",
                f"typologies founded on {parameters.founding!r} would sort victims by who the exploiter is",
                "choose a founding field about what was done, such as forms_of_exploitation",
            )
        wrong = [entry.name for entry in named if not entry.feature or entry.identifying]
        if wrong or len(set(named)) != len(named) or parameters.founding not in parameters.features:
            raise RefusedError(
                "bad-features",
                f"{wrong or [*parameters.features, parameters.founding]} cannot describe a typology",
                "name each feature once, no identifying field, and among them the founding field",
            )
        self._layout = Layout(named)
        self._founding = field(parameters.founding)
        span = range(parameters.first_year, parameters.last_year + 1)
        self.states = parameters.states
        self.years = (*(str(year) for year in span), OTHER_YEARS)
        rounds = {
            MARGINS: 1,
            FOUNDING: 1,
            PAIRS: parameters.splits,
            CLASSES: parameters.rounds,
            PREVALENCE: 1,
        }
        self._rounds = Rounds(
            layout=self._layout,
            states=len(self.states),
            years=len(self.years),
            founding=parameters.founding,
            most=parameters.classes,
            splits=parameters.splits,
            schedule=tuple(name for name, count in rounds.items() for _ in range(count)),
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of profiles, ``field=bin``."""
        return self._layout.names

    def fields(self) -> tuple[Field, ...]:
        """Date, features, the status that decides who counts, and age for a population."""
        named = [field("registration_date"), *self._layout.fields, field("trafficking_status")]
        if self.parameters.population == "minors":
            named.append(field("age_band"))
        return tuple(dict.fromkeys(named))

    def stages(self) -> tuple[Stage, ...]:
        """Margins, founding, pairs unless nothing is to be split, classes, prevalence."""
        columns, states = self._layout.size, len(self.states)
        pairs = (columns + 1) * (columns + 2) // 2
        most = self.parameters.classes
        sizes = {
            MARGINS: (columns + states) * states,
            FOUNDING: (columns + states + 1) * len(self._founding.bins),
            PAIRS: pairs,
            CLASSES: (columns + states + 1) * most,
            PREVALENCE: (states + len(self.years)) * most,
        }
        counts = {name: self._rounds.schedule.count(name) for name in sizes}
        shares = {**SHARES, PAIRS: SHARES[PAIRS] * counts[PAIRS]}
        total = sum(shares.values())
        return tuple(
            Stage(name, counts[name], size, FINE_UNIT, shares[name] / total)
            for name, size in sizes.items()
            if counts[name]
        )

    def expects(self, stage: str) -> dict[str, tuple[int, ...]]:
        """Centres by state; log-weights and which classes exist; for pairs the class and the columns."""
        states, columns, most = len(self.states), self._layout.size, self.parameters.classes
        centre: dict[str, tuple[int, ...]] = {"centre": (states, columns)}
        model: dict[str, tuple[int, ...]] = {"weights": (states, columns + 1, most), "active": (most,)}
        wanted: dict[str, dict[str, tuple[int, ...]]] = {
            MARGINS: {},
            FOUNDING: centre,
            PAIRS: {**centre, **model, "examined": (most,), "used": (columns,)},
            CLASSES: {**centre, **model},
            PREVALENCE: model,
        }
        return wanted[stage]

    def counted(self, victims: Victims) -> NDArray[np.bool_]:
        """bool, shape (n,): who belongs to the population and was not found to be no victim."""
        return victims.of_population(self.parameters.population)

    def prepare(self, victims: Victims, node: str) -> tuple[Rows, ...]:
        """The node's counted victims, in chunks.

        Raises:
            RefusedError: ``not-a-state-of-the-study``. Both names are public.
        """
        if node not in self.states:
            raise RefusedError(
                "not-a-state-of-the-study",
                f"node {node} is not among the states of the study: {', '.join(self.states)}",
                "draft the study again with all participants as states",
            )
        victims = victims.take(self.counted(victims))
        state = self.states.index(node)
        ones = design(victims, self._layout.fields)[:, self._layout.kept]
        founding = design(victims, (self._founding,)).toarray()[:, :-1].astype(np.int64)
        offset = victims.years.astype(np.int64) - self.parameters.first_year
        last = len(self.years) - 1
        years = np.where((offset < 0) | (offset >= last), last, offset)
        own = [
            np.full(len(victims), int(place == state), dtype=np.int64) for place in range(len(self.states))
        ]
        chunks = []
        for start in range(0, len(victims), _CHUNK):
            part = slice(start, start + _CHUNK)
            indicators = Indicators(ones[part]).with_columns(*(column[part] for column in own))
            chunks.append(Rows(indicators, founding[part], years[part], state))
        return tuple(chunks)

    def contribute(
        self, prepared: tuple[Rows, ...], stage: Stage, broadcast: Arrays, max_victims: int
    ) -> BoundedSum:
        """The bounded sum of one stage over this node's victims."""
        builder = BoundedSumBuilder(dimension=stage.dimension, bound=stage.bound, max_victims=max_victims)
        for rows in prepared:
            if stage.name == MARGINS:
                typology_rows.add_margins(builder, rows, len(self.states), self._rounds.typical)
            elif stage.name == FOUNDING:
                typology_rows.add_classes(builder, rows, rows.founding, broadcast["centre"])
            else:
                self._add_by_model(builder, rows, stage, broadcast)
        return builder.finish()

    def _add_by_model(self, builder: BoundedSumBuilder, rows: Rows, stage: Stage, broadcast: Arrays) -> None:
        chance = typology_rows.chances(rows, broadcast["weights"], broadcast["active"])
        if stage.name == PAIRS:
            # Of the likeliest classes the first; a victim of no class is in none.
            likeliest = np.where(chance.max(axis=1) > 0, chance.argmax(axis=1), -1)
            chosen = likeliest == int(broadcast["examined"].argmax())
            typology_rows.add_pairs(builder, rows, chosen, broadcast["centre"], broadcast["used"])
        elif stage.name == CLASSES:
            typology_rows.add_classes(builder, rows, chance, broadcast["centre"])
        else:
            typology_rows.add_prevalence(builder, rows, chance, len(self.states), len(self.years))

    def start(self, setting: Setting) -> TypologyState:
        """Nothing known, no class."""
        del setting
        return self._rounds.start()

    def broadcast(self, state: TypologyState) -> Arrays:
        """What the next round needs."""
        return self._rounds.broadcast(state)

    def advance(self, state: TypologyState, total: NDArray[np.int64], noise: float) -> TypologyState:
        """Takes a private sum in."""
        return self._rounds.advance(state, total, noise)

    def result(self, state: TypologyState) -> Release:
        """The typologies, largest first.

        Arrays: ``profiles`` (classes, columns), share of each value among those of whom the field is known;
        ``weights`` (classes,), shares of victims; ``tables`` (states, 1 + columns, classes), log-weights.
        """
        findings = Findings(
            layout=self._layout,
            states=self.states,
            years=self.years,
            margins=state.margins,
            mixture=state.mixture,
            totals=state.counts.sum(axis=1),
            sums=state.sums,
            noise=float(np.sqrt(state.variance)),
            prevalence=state.prevalence[:, : len(state.mixture.prior)],
            prevalence_noise=state.prevalence_noise,
        )
        facts, arrays = describe(findings)
        own = self.parameters.model_dump(mode="json")
        return Release(self.name, {**own, **facts}, arrays)

    def expected(self, noise: Mapping[str, float], victims: Sequence[int] = VICTIMS) -> Expected:
        """Standard errors of sizes and shares (``analyses.typology_expected``)."""
        return expected_of(self._rounds, noise, victims)

    def responsibilities(self, release: Release, prepared: tuple[Rows, ...]) -> Floats:
        """How far each victim belongs to each released typology, shape (n, classes); rows add up to 1.

        Zero throughout where the release has no typology.
        """
        tables = release.arrays["tables"]
        parts = [typology_rows.chances(rows, tables, np.ones(tables.shape[2])) for rows in prepared]
        chance = np.concatenate([np.zeros((0, tables.shape[2])), *parts])
        found: Floats = chance / np.maximum(chance.sum(axis=1, keepdims=True), 1.0)
        return found
