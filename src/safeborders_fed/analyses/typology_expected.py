"""How uncertain a typology study is expected to be, from its parameters and its noise alone.

Guarantees: sizes of typologies and their cells have exactly the standard errors that the release states for
the same noise. Those of shares depend on how far rows are stretched, which follows from the data: the figure
is what they are at most. A row is divided by the root of 1 plus ``STRETCH_PERCENT`` of the squared norm that
independent columns would have, ``sum m (1 - m)`` over centres m; for a field of b exclusive values that is at
most ``1 - 1/b``, for columns that may be set together at most a quarter each.

What is covered is the noise added for privacy. Which typologies are found is not predicted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from safeborders_fed.analyses.base import FINE_UNIT
from safeborders_fed.analyses.expectation import Expected, Figure
from safeborders_fed.analyses.typology_model import Layout
from safeborders_fed.analyses.typology_rounds import CLASSES, PREVALENCE, Rounds, gain_of
from safeborders_fed.analyses.typology_rows import STRETCH_PERCENT
from safeborders_fed.cases.contract import Kind

_PART: Final = 0.1
"""Share of all victims whom the typology of an example has."""
_REMARK: Final = (
    "They cover the noise added for privacy. Which typologies there are, and how far victims resemble them, "
    "follows from the cases and is not predicted."
)


def expected_of(rounds: Rounds, noise: Mapping[str, float], victims: Sequence[int]) -> Expected:
    """Standard errors of sizes, of cells, and of shares in a typology of a tenth of so many victims."""
    cell = noise[PREVALENCE] * math.sqrt(2) / FINE_UNIT
    states, years = rounds.states, rounds.years
    size = cell * math.sqrt(states * years / (states + years))
    entry = noise[CLASSES] / FINE_UNIT * math.sqrt(1 + largest_typical_squares(rounds.layout))
    entry *= math.sqrt(_kept_variance(rounds.schedule.count(CLASSES)))
    figures = [
        Figure("standard error of the size of a typology, in victims", size),
        Figure("standard error of a typology in one state or year, in victims", cell),
    ]
    figures += [
        Figure(f"standard error of a share in a typology of {members:,} victims, at most", entry / members)
        for members in (max(1, round(_PART * count)) for count in victims)
    ]
    return Expected(tuple(figures), _REMARK)


def largest_typical_squares(layout: Layout) -> float:
    """The most that a typical row can be taken for, whatever the shares of values are."""
    squares = 0.0
    for block in layout.blocks:
        width = len(block.field.bins)
        squares += 1 - 1 / width if block.field.kind == Kind.SINGLE else (width + 1) / 4
    return squares * STRETCH_PERCENT / 100


def _kept_variance(rounds: int) -> float:
    """Of the running statistics after so many rounds of classes, in that of one."""
    variance = 1.0
    for done in range(rounds):
        gain = gain_of(done)
        variance = gain**2 + (1 - gain) ** 2 * variance
    return variance
