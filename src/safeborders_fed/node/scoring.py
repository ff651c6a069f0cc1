"""Scores of referrals by a released model, as numbers: what ``score_words`` puts into words.

Guarantees: everything about a referral is a function of the model and of that referral alone; nothing here
decides anything. All is vectorised over referrals.

A score is the model's log-odds, calibrated by the slope and intercept that the study measured on victims that
never trained. A field's contribution is how much lower the score would be with that field at the centre, the
noisy share of each of its values among the victims that the model learnt from.

How unusual a record is: the surprisal of its fields under the centre (``-log`` of the share of what it
holds), against what such records have on average, in standard deviations. Fields are taken as independent,
which they are not quite: of records of the synthetic files that no model has seen, 5% are called unusual and
.4% very unusual; of records with values drawn at random, 75% and 33%.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from safeborders_fed.cases.contract import Field, Kind, field
from safeborders_fed.cases.encoding import Victims, design
from safeborders_fed.errors import RefusedError
from safeborders_fed.privacy.products import Indicators
from safeborders_fed.study.model_file import Model

BANDS: Final = (
    "well below average",
    "below average",
    "about average",
    "above average",
    "well above average",
)
"""Where a score lies, compared with the average victim that the model learnt from."""
_BAND_EDGES: Final = np.log([1 / 4, 2 / 3, 3 / 2, 4])
"""Odds ratios to that average between the bands."""
RECORDS: Final = ("usual", "unusual", "very unusual")
_RECORD_EDGES: Final = np.array([2.0, 3.5])
"""Standard deviations between the words for records."""
_EXTREME_BASE: Final = 0.005
_FEWEST: Final = 100.0


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of n referrals over the model's fields.

    Attributes:
        log_odds: Calibrated, shape (n,).
        chance: ``log_odds`` as a probability, shape (n,).
        band: Position in ``BANDS``, shape (n,).
        contributions: Calibrated log-odds that each field adds, shape (n, fields).
        record: Position in ``RECORDS``, shape (n,).
        applies: Whether the referral is of the population that the model is for, shape (n,).
    """

    log_odds: NDArray[np.float64]
    chance: NDArray[np.float64]
    band: NDArray[np.int64]
    contributions: NDArray[np.float64]
    record: NDArray[np.int64]
    applies: NDArray[np.bool_]


def needed_fields(model: Model) -> tuple[Field, ...]:
    """The fields of the data contract that scoring with a model reads; never that of its label."""
    named = [entry for entry, _ in model.analysis.column_fields()]
    if model.analysis.parameters.population == "minors":
        named.append(field("age_band"))
    return tuple(dict.fromkeys(named))


def score(model: Model, victims: Victims) -> Scores:
    """Scores referrals.

    Args:
        model: As ``model_file.read`` returns it.
        victims: Merged with ``needed_fields(model)``.

    Raises:
        RefusedError: ``model-not-usable``, when the model gives a number that is not finite.
    """
    layout = model.analysis.column_fields()
    x = Indicators(design(victims, [entry for entry, _ in layout]))
    learner = model.analysis.learner
    slope, intercept = calibration(model) or (1.0, 0.0)
    with np.errstate(all="ignore"):
        log_odds = slope * learner.margins(model.arrays, x) + intercept
        contributions = slope * learner.explain(model.arrays, x, [columns for _, columns in layout])
    if not (np.isfinite(log_odds).all() and np.isfinite(contributions).all()):
        raise RefusedError(
            "model-not-usable",
            f"model {model.head.id} gives scores that are not finite numbers",
            "do not use it; tell the coordinator's operator",
        )
    minors_only = model.analysis.parameters.population == "minors"
    lift = log_odds - logit(np.clip(average(model), _EXTREME_BASE, 1 - _EXTREME_BASE))
    return Scores(
        log_odds=log_odds,
        chance=np.asarray(expit(log_odds), dtype=np.float64),
        band=np.digitize(lift, _BAND_EDGES),
        contributions=contributions,
        record=np.digitize(surprise(model, x), _RECORD_EDGES),
        applies=victims.minors() if minors_only else np.ones(len(victims), dtype=np.bool_),
    )


def calibration(model: Model) -> tuple[float, float] | None:
    """Slope and intercept that the study measured; None where it measured none."""
    found = model.head.facts.get("calibration")
    return None if found is None else (float(found["slope"]), float(found["intercept"]))


def average(model: Model) -> float:
    """Share of victims with the label among those that the model learnt from, from noisy counts."""
    facts = model.head.facts
    return float(min(1.0, max(0.0, facts["positives_noisy"] / max(facts["labelled_noisy"], 1.0))))


def surprise(model: Model, x: Indicators) -> NDArray[np.float64]:
    """How unusual records are, shape (n,): surprisal less its mean, in standard deviations.

    The values of a single field exclude each other; those of a multi field are taken as independent.
    """
    centre = model.arrays["centre"]
    # A share below one victim in all that were seen cannot be told from the noise.
    least = 1 / max(float(model.head.facts["labelled_noisy"]), _FEWEST)
    set_column, nothing = np.zeros(len(centre)), 0.0
    mean = variance = 0.0
    for entry, columns in model.analysis.column_fields():
        shares = np.clip(centre[columns], least, 1 - least)
        if entry.kind == Kind.SINGLE:
            shares = shares / shares.sum()
            bits = -np.log(shares)
            own = float(shares @ bits)
            set_column[columns] = bits
            variance += float(shares @ bits**2) - own**2
        else:
            bits = -np.log(shares / (1 - shares))
            rest = -np.log(1 - shares)
            own = float((shares * bits + rest).sum())
            set_column[columns] = bits
            nothing += float(rest.sum())
            variance += float((shares * (1 - shares) * bits**2).sum())
        mean += own
    found: NDArray[np.float64] = (x.matrix @ set_column + (nothing - mean)) / math.sqrt(max(variance, 1e-9))
    return found
