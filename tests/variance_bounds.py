"""Between which bounds the variance of repeated noise lies, with a false-alarm rate that is proved.

Let each of C counts have normal noise of variance s^2, over n independent repeats; counts of one repeat may
depend on each other in any way. With v = n - 1 the sample variance of count c is s^2 X_c / v, X_c chi-square
with v degrees of freedom. For the mean R over counts of X_c / v and any t, by convexity of the exponential,
E exp(t R) <= mean of E exp(t X_c / v): the bound of Chernoff for one count holds for the mean of many,

    P(R >= r) <= (r e^(1 - r))^(v / 2) for r > 1, and the same for P(R <= r) with r < 1.

Both ends solve r - 1 - ln r = 2 ln(2 / alarm) / v, so that a ratio outside them has a chance of at most
``alarm``. Noise that is 30% too small has R about 0.49: it is told, with the same proof, if 0.49 times the
upper end is below the lower end.
"""

from __future__ import annotations

import math

from scipy.optimize import brentq

TOO_SMALL = 0.7**2
"""What noise that is 30% too small does to a variance."""


def bounds(repeats: int, alarm: float) -> tuple[float, float]:
    """The least and the largest ratio of the mean sample variance to the claimed one."""
    wanted = 2 * math.log(2 / alarm) / (repeats - 1)

    def excess(ratio: float) -> float:
        return ratio - 1 - math.log(ratio) - wanted

    return brentq(excess, 1e-12, 1), brentq(excess, 1, 10 + 10 * wanted)
