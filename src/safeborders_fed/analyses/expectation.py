"""What can be said of a study's accuracy before anybody is asked, and the loss that noise brings a model.

Guarantees: pure functions of public quantities (parameters, bounds, planned noise, numbers that are assumed
and named as such). Nothing here depends on case data, so both sides can compute and show it.

``loss_of_area`` is a rule, not a theorem. A victim's standardised inputs have norm about 1, so each of k
columns bends the loss of n victims, a share p of them positive, by about ``n p (1 - p) / k``. The noise of
all rounds together, of deviation s, then moves a weight by ``s k / (n p (1 - p))``: the ratio of noise to
signal. If true log-odds are normal and the model's are they plus independent noise, the area under the curve
falls from ``Phi(a)`` to ``Phi(a / sqrt(1 + ratio^2))``; but the learners hold back directions that are below
their noise, and what is left of the fall is met by ``ratio^1.5``. a stands for an area of .85 without noise.

Fitted to 576 made-up studies in process (``tests/benchmarks/bench_expected.py``; 1,000 to 30,000 training
victims; 30, 100, 250 columns; 2, 10, 50% positives; independent and correlated; epsilon .5, 1, 3, 8 at 1e-6,
default rounds; loss against the pooled model without privacy): the true loss lies between a third and twice
the figure, give or take .003, in 94%: in 90% at 2% positives, in 82% at 1,000 victims. For the network of 16
units (against itself without noise; 144 studies from 3,000 victims on) it does so in 89% at 10% positives,
in 97% at 50%; at 2% the network learns too little even without noise, and nothing is said. On the synthetic
national files (13,000 training victims, 45 to 211 columns, 5, 53 and 68% positives, epsilon .5, 1, 3; looked
at once): 48 of 54. All six outside are of the rare label, the worst of them seven times the figure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from scipy.special import ndtr, ndtri

VICTIMS: Final = (1_000, 4_000, 12_000, 40_000)
"""Numbers of victims over all states that figures are given for. How many there are is not public."""

_AREA: Final = 0.85
"""Area under the curve without noise that a loss is stated for."""
_POWER: Final = 1.5
_LEAST_FACTOR: Final = 1 / 3
_LARGEST_FACTOR: Final = 2.0
_GIVE: Final = 0.003
"""What the factors leave out: below it a loss is not told from none."""


@dataclass(frozen=True)
class Figure:
    """One expected figure.

    Attributes:
        what: What it is of, with its unit.
        value: The figure.
        low: Where it is a rule that is only about right: nine in ten lie above this; else None.
        high: Likewise, below.
    """

    what: str
    value: float
    low: float | None = None
    high: float | None = None

    def contains(self, value: float) -> bool:
        """Whether a value, of which nothing below zero counts, is within what nine in ten keep to."""
        return self.low is not None and self.high is not None and self.low <= max(0.0, value) <= self.high

    def text(self) -> str:
        """As people read it, with no more digits than it has."""
        if self.low is None or self.high is None:
            return f"{float(f'{self.value:.3g}'):,.10g}"
        if self.low < _GIVE / 3:
            return f"at most about {self.high:.1g}"
        return f"about {self.value:.1g} ({self.low:.1g} to {self.high:.1g})"


@dataclass(frozen=True)
class Expected:
    """What is expected of a study.

    Attributes:
        figures: What can be said in numbers.
        remark: What they cover and what they do not, for people.
    """

    figures: tuple[Figure, ...]
    remark: str

    def content(self) -> dict[str, Any]:
        """For JSON."""
        return {"figures": [asdict(figure) for figure in self.figures], "remark": self.remark}


NOT_PREDICTED: Final = Expected(
    (), "Its accuracy is not predicted. What is known is the noise of each stage, given above."
)


def loss_of_area(*, deviation: float, columns: int, training: float, positives: float) -> Figure:
    """What noise takes from the area under the ROC curve, about.

    Args:
        deviation: Of the noise of all gradient rounds together, in gradients of a victim of norm 1.
        columns: One-hot columns.
        training: Victims that train, over all states; above 0.
        positives: Share of them that are positive, between 0 and 1.
    """
    ratio = deviation * columns / (training * positives * (1 - positives))
    without = float(ndtri(_AREA))
    loss = _AREA - float(ndtr(without / math.sqrt(1 + ratio**_POWER)))
    low = max(0.0, loss * _LEAST_FACTOR - _GIVE)
    return Figure("", loss, low, min(_AREA - 0.5, loss * _LARGEST_FACTOR + _GIVE))


def losses(
    *, deviation: float, columns: int, trains: float, positives: Sequence[float], victims: Sequence[int]
) -> tuple[Figure, ...]:
    """``loss_of_area`` for assumed numbers of labelled victims and shares of positives.

    Args:
        deviation: As of ``loss_of_area``.
        columns: Likewise.
        trains: Share of the victims that train.
        positives: Shares of positives.
        victims: Labelled victims over all states.
    """
    found = []
    for count in victims:
        for share in positives:
            figure = loss_of_area(
                deviation=deviation, columns=columns, training=count * trains, positives=share
            )
            what = f"loss of AUC to noise, {count:,} labelled victims, {share:.0%} positive"
            found.append(Figure(what, figure.value, figure.low, figure.high))
    return tuple(found)
