"""Who was in the training data? A released model, attacked with records that are known to be in and out.

The attack of Yeom et al. 2018 (arXiv 1709.01604): a record on which the model loses little is guessed to have
trained. It stands beside what differential privacy permits any attack at all.

Guarantees: pure functions of losses. Runs only where one process knows who trained: in the demonstration.
A weak result is no proof of privacy, which follows from the noise; a strong one is proof of a leak.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import beta

from safeborders_fed.cases.encoding import merge
from safeborders_fed.reporting.card_facts import Guess, MembershipTest
from safeborders_fed.simulation.peers import auc

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from safeborders_fed.analyses.base import Release
    from safeborders_fed.analyses.detection import Detection, DetectionParameters

FALSE_ALARMS: Final = (0.01, 0.05)
_Z_95: Final = 1.96


def attack(
    losses_in: NDArray[np.float64], losses_out: NDArray[np.float64], epsilon: float, delta: float
) -> MembershipTest | None:
    """The attack on one model; None where there are no records of one kind.

    Args:
        losses_in: Losses on records that trained, shape (n,), finite.
        losses_out: Losses on records that did not, shape (m,), finite.
        epsilon: What training cost at ``delta``.
        delta: Between 0 and 1.
    """
    inside, outside = len(losses_in), len(losses_out)
    trained = np.repeat(np.array([1, 0], dtype=np.int64), [inside, outside])
    area = auc(trained, -np.concatenate([losses_in, losses_out]))
    if area is None:
        return None
    ranked = max(area, 1 - area)
    first, second = ranked / (2 - ranked) - ranked**2, 2 * ranked**2 / (1 + ranked) - ranked**2
    variance = ranked * (1 - ranked) + (inside - 1) * first + (outside - 1) * second
    margin = _Z_95 * math.sqrt(variance / (inside * outside))
    ordered = np.sort(losses_out)
    guesses = tuple(_guess(losses_in, ordered, share, epsilon, delta) for share in FALSE_ALARMS)
    # The area below the curve of `permitted` at delta = 0; delta adds no more than itself.
    largest = min(1.0, float(expit(epsilon)) + delta)
    return MembershipTest(area, margin, largest, inside, outside, guesses)


def permitted(false_alarms: float, epsilon: float, delta: float) -> float:
    """The largest share of trained records that any attack with this share of false alarms can find.

    Both sides of (epsilon, delta): Kairouz, Oh, Viswanath 2015 (arXiv 1311.0776), Theorem 2.1.
    """
    # Beyond about 700 the exponential overflows, and nothing is ruled out long before.
    more = math.exp(min(epsilon, 500.0)) * false_alarms + delta
    fewer = 1 - math.exp(-epsilon) * max(0.0, 1 - false_alarms - delta)
    return min(1.0, more, fewer)


def _guess(
    losses_in: NDArray[np.float64], ordered: NDArray[np.float64], share: float, epsilon: float, delta: float
) -> Guess:
    # At most this share of held-out losses lies strictly below the threshold, whatever the ties.
    threshold = ordered[math.floor(share * len(ordered))]
    hits, count = int((losses_in < threshold).sum()), len(losses_in)
    low = float(beta.ppf(0.025, hits, count - hits + 1)) if hits else 0.0
    high = float(beta.ppf(0.975, hits + 1, count - hits)) if hits < count else 1.0
    return Guess(share, hits / count, low, high, permitted(share, epsilon, delta))


def losses(margins: NDArray[np.float64], target: NDArray[np.int64]) -> NDArray[np.float64]:
    """Logistic loss of each record, shape (n,), from its log-odds and its label (0 or 1)."""
    found: NDArray[np.float64] = np.logaddexp(0, np.where(target == 1, -margins, margins))
    return found


def of_release(
    analysis: Detection[DetectionParameters],
    release: Release,
    tables: Mapping[str, pa.Table],
    *,
    epsilon: float,
    delta: float,
) -> MembershipTest | None:
    """The attack on a released model, with the analysis tables of all nodes."""
    inside, outside = [np.zeros(0)], [np.zeros(0)]
    for node, table in tables.items():
        examples = analysis.prepare(merge(table, analysis.fields()), node)
        for rows, kept in ((examples.training, inside), (examples.testing, outside)):
            kept.append(losses(analysis.learner.margins(release.arrays, rows.features), rows.target))
    return attack(np.concatenate(inside), np.concatenate(outside), epsilon, delta)
