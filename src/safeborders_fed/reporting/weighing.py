"""How a report's false-alarm rate is divided between its series: by what the past says can be found in each.

Weighted Bonferroni (Genovese, Roeder, Wasserman, Biometrika 93 (2006) 509-524): tests at ``a_i`` keep the
familywise rate ``sum a_i`` whatever the ``a_i``, and under any dependence, as long as each is independent of
the values that its own test looks at. Here they follow from the past of the series alone.

``EQUAL`` of the rate is divided equally, so that no series is worse off than under plain Bonferroni of twice
as many: what comes out of nothing is still looked for everywhere. The rest is divided so that most doublings
are found (Roeder, Wasserman, Statistical Science 24 (2009) 398-413): a series whose doubling would stand
``e`` standard errors out gets a share in proportion to ``Q(e / 2 + c / e)``, Q being the normal tail and
``c`` such that the shares add up to the rate. Series within the noise get next to nothing of it. That share
is largest at ``e = sqrt(2 c)``; larger series, whose doubling can hardly be missed, keep it, since smaller
changes matter in them as well.

Guarantees: pure, deterministic; the shares are positive and add up to 1.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.special import ndtr

from safeborders_fed.reporting.surprise import Floats

EQUAL: Final = 0.5
"""Part of the false-alarm rate that all series share alike."""
_LEAST: Final = 0.05
"""Effects are taken to be no smaller, so that nothing is divided by zero."""
_REACH: Final = 60.0
"""Bound of ``c``: there every share is nothing."""


def shares(effects: Floats, alpha: float) -> Floats:
    """The share of each series in the false-alarm rate.

    Args:
        effects: By how many standard errors a doubling would stand out, for each series.
        alpha: The false-alarm rate of the report.
    """
    effects = np.maximum(effects, _LEAST)
    low, high = 0.0, _REACH
    for _ in range(60):
        middle = (low + high) / 2
        if float(_wanted(effects, middle).sum()) > alpha:
            low = middle
        else:
            high = middle
    wanted = _wanted(effects, low)
    return np.asarray(EQUAL / len(effects) + (1 - EQUAL) * wanted / wanted.sum())


def _wanted(effects: Floats, constant: float) -> Floats:
    effects = np.minimum(effects, max(np.sqrt(2 * constant), _LEAST))
    return np.asarray(ndtr(-(effects / 2 + constant / effects)))
