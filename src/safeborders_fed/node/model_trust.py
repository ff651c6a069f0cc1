"""What the facts of a model allow to be said of its scores.

Guarantees: a fact that is missing, or no finite number, counts as not known; nothing here raises.
"""

from __future__ import annotations

import math
from typing import Any, Final

from safeborders_fed.study.model_file import Model

RANK_NOT_KNOWN: Final = "! It is not known whether this model ranks better than chance."
AVERAGE_NOT_KNOWN: Final = (
    "! The average of the labelled victims is not known: scores are in order, and not compared with it."
)
_DEVIATIONS: Final = 3.0
"""Standard deviations of the noise that a count must exceed."""


def average_is_known(model: Model) -> bool:
    """Whether victims with and without the label both stand out from the noise of their counts."""
    facts = model.head.facts
    labelled, positives = _number(facts.get("labelled_noisy")), _number(facts.get("positives_noisy"))
    least = _DEVIATIONS * _number(facts.get("counts_error"))
    return positives > 0 and positives >= least and labelled - positives > 0 and labelled - positives >= least


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan
