"""The coordinator's half of ``typology``: from each private sum to what the next round asks.

Guarantees: deterministic, so that nodes can replay it; everything follows from private sums and public
parameters; however noisy or empty the sums, there is always at least one class, and nothing is divided by
zero.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.analyses import typology_rows
from safeborders_fed.analyses.base import Arrays
from safeborders_fed.analyses.typology_model import Layout, Margins, Mixture, margins_of, mixture_of
from safeborders_fed.analyses.typology_rows import ONE, Floats, on_grid
from safeborders_fed.analyses.typology_split import cut, used_columns, widest

MARGINS: Final = "margins"
FOUNDING: Final = "founding"
PAIRS: Final = "pairs"
CLASSES: Final = "classes"
PREVALENCE: Final = "prevalence"
LEAST_SHARE: Final = 0.02
"""A founding value that fewer have makes no class."""
ABOVE_NOISE: Final = 2.5
"""Standard errors by which a class must exceed zero."""


def gain_of(done: int) -> float:
    """The weight of a round of classes in the running statistics, after so many of them."""
    return min(1.0, 2 / (done + 1))


@dataclass(frozen=True)
class TypologyState:
    """What the coordinator carries.

    Attributes:
        step: Rounds done.
        margins: What all victims look like.
        mixture: The classes that exist.
        examined: Which of them have been examined for being two.
        counts: Running statistics of the classes that exist, victims, shape (classes, states).
        sums: The same by column, shape (classes, columns).
        variance: Of the noise in an entry of the running statistics.
        prevalence: Noisy victims, shape (states + years, classes).
        prevalence_noise: Standard deviation of the noise in an entry.
    """

    step: int
    margins: Margins
    mixture: Mixture
    examined: NDArray[np.bool_]
    counts: Floats
    sums: Floats
    variance: float
    prevalence: Floats
    prevalence_noise: float


@dataclass(frozen=True)
class Rounds:
    """What happens round by round.

    Attributes:
        layout: The columns.
        states: How many states.
        years: How many years.
        founding: Name of the founding field.
        most: The most classes.
        splits: How many of them come from splitting.
        schedule: The stage of each round.
    """

    layout: Layout
    states: int
    years: int
    founding: str
    most: int
    splits: int
    schedule: tuple[str, ...]

    @property
    def typical(self) -> int:
        """Ones of a victim of whom one value of every field is known, and the one of the state."""
        return len(self.layout.fields) + 1

    def start(self) -> TypologyState:
        """Nothing known, no class."""
        states, columns = self.states, self.layout.size
        nobody = margins_of(self.layout, np.zeros(states), np.zeros((states, columns)), 1.0)
        none = Mixture(np.zeros((0, states)), np.zeros((0, columns)), np.zeros((0, states, columns)))
        prevalence = np.zeros((states + self.years, self.most))
        return TypologyState(
            0, nobody, none, np.zeros(0, bool), none.prior, none.profiles, 0.0, prevalence, 1.0
        )

    def broadcast(self, state: TypologyState) -> Arrays:
        """What the next round needs."""
        stage = self.schedule[state.step]
        if stage == MARGINS:
            return {}
        centre = state.margins.centre(self.layout)
        if stage == FOUNDING:
            return {"centre": centre}
        most, existing = self.most, len(state.mixture.prior)
        weights = np.zeros((self.states, self.layout.size + 1, most))
        weights[..., :existing] = state.mixture.weights(self.layout)
        model = {"weights": weights, "active": (np.arange(most) < existing).astype(np.float64)}
        if stage == PREVALENCE:
            return model
        if stage == CLASSES:
            return {**model, "centre": centre}
        chosen = self._examined(state)
        return {
            **model,
            "centre": state.mixture.expected(self.layout, state.margins)[chosen],
            "examined": (np.arange(most) == chosen).astype(np.float64),
            "used": used_columns(self.layout, state.margins, self.founding),
        }

    def _examined(self, state: TypologyState) -> int:
        """The largest class that was not examined yet, or the largest of all."""
        size = (state.mixture.prior * state.margins.counts).sum(axis=1)
        return int(np.where(state.examined, size - size.sum(), size).argmax())

    def advance(self, state: TypologyState, total: NDArray[np.int64], noise: float) -> TypologyState:
        """Takes a private sum in."""
        stage = self.schedule[state.step]
        if stage == MARGINS:
            state = self._take_margins(state, total, noise)
        elif stage == PAIRS:
            state = self._take_pairs(state, total, noise)
        elif stage == PREVALENCE:
            unit = float(typology_rows.unit_of(np.array([2]))[0])
            table = total.astype(np.float64).reshape(state.prevalence.shape) / unit
            state = replace(state, prevalence=table, prevalence_noise=noise / unit)
        else:
            state = self._take_classes(state, total, noise, first=stage == FOUNDING)
        return replace(state, step=state.step + 1)

    def _take_margins(self, state: TypologyState, total: NDArray[np.int64], noise: float) -> TypologyState:
        columns, states = self.layout.size, self.states
        unit = float(typology_rows.unit_of(np.array([self.typical]))[0])
        table = total.astype(np.float64).reshape(columns + states, states) / unit
        counts, sums = np.diagonal(table[columns:]).copy(), table[:columns].T
        return replace(state, margins=margins_of(self.layout, counts, sums, noise / unit))

    def _take_classes(
        self, state: TypologyState, total: NDArray[np.int64], noise: float, *, first: bool
    ) -> TypologyState:
        """One M-step: of the founding values, or of the classes that exist."""
        columns, states = self.layout.size, self.states
        grid = on_grid(state.margins.centre(self.layout), ONE)
        squares = ONE * ONE + typology_rows.typical_squares(grid, ONE)
        unit = float(typology_rows.unit_of(np.array([squares]))[0]) * ONE
        table = total.astype(np.float64).reshape(columns + states + 1, -1) / unit
        counts = table[columns:-1].T
        sums = table[:columns].T + counts @ (grid / ONE)
        variance = (noise / unit) ** 2
        if not first:
            # The first two rounds stand for themselves, later ones are mixed in less and less.
            gain = gain_of(self.schedule[: state.step].count(CLASSES))
            existing = len(state.mixture.prior)
            counts = gain * counts[:existing] + (1 - gain) * state.counts
            sums = gain * sums[:existing] + (1 - gain) * state.sums
            variance = gain**2 * variance + (1 - gain) ** 2 * state.variance
        kept = self._kept(counts, np.sqrt(variance), first=first)
        counts, sums = counts[kept], sums[kept]
        examined = np.zeros(len(kept), bool) if first else state.examined[kept]
        return replace(
            state,
            mixture=mixture_of(self.layout, state.margins, counts, sums, np.sqrt(variance)),
            examined=examined,
            counts=counts,
            sums=sums,
            variance=variance,
        )

    def _kept(self, counts: Floats, noise: float, *, first: bool) -> NDArray[np.int64]:
        """Classes above noise, the largest of them if all are below; founding ones also above a share."""
        sizes = counts.sum(axis=1)
        least = ABOVE_NOISE * noise * np.sqrt(counts.shape[1])
        if not first:
            kept = np.flatnonzero(sizes > least)
            return kept if len(kept) else np.array([sizes.argmax()])
        order = np.argsort(-sizes, kind="stable")[: self.most - self.splits]
        found = order[sizes[order] > max(least, LEAST_SHARE * np.maximum(sizes, 0).sum())]
        return found if len(found) else order[:1]

    def _take_pairs(self, state: TypologyState, total: NDArray[np.int64], noise: float) -> TypologyState:
        """Cuts the examined class in two if it is wider than noise."""
        chosen = self._examined(state)
        centre = state.mixture.expected(self.layout, state.margins)[chosen]
        used = used_columns(self.layout, state.margins, self.founding)
        direction = widest(self.layout, centre, used, total, noise)
        examined = state.examined.copy()
        examined[chosen] = True
        if not direction.real:
            return replace(state, examined=examined)
        mixture = cut(self.layout, state.margins, state.mixture, chosen, direction)
        # The running statistics lose their classes here: the first round of classes replaces them.
        blank = np.zeros((len(mixture.prior), 1))
        return replace(
            state,
            mixture=mixture,
            examined=np.append(examined, True),
            counts=blank * np.zeros(self.states),
            sums=blank * np.zeros(self.layout.size),
        )
