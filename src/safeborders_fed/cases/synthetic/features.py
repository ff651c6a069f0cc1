"""Features that follow from the typology: means, methods, roles, relations and so on.

Guarantees: ``parameters_of`` gives the distributions that features are drawn from, before a state's own
skew.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.cases.contract import FIELDS, Kind, field
from safeborders_fed.cases.synthetic.parameters import COUNTRIES, table, typologies
from safeborders_fed.cases.synthetic.sampling import SKEW_OF_STATES, Floats, pick

_BASE_FIELDS: Final = ("age_band", "sex", "citizenship", "country_of_exploitation", "country_of_recruitment")


def parameters_of(name: str) -> Floats:
    """What each typology makes of a feature: probabilities, float64, shape (typologies, codes)."""
    tables, entry = table("typologies"), field(name)
    background = tables["background"].get(name, 0.0)
    own = np.array(
        [
            [tables["typologies"][typology][name].get(code, background) for code in entry.codes]
            for typology in typologies()
        ],
        dtype=np.float64,
    )
    if entry.kind == Kind.SINGLE:
        own /= own.sum(axis=1, keepdims=True)
    overlap = 0.0 if name == "forms_of_exploitation" else tables["overlap"]
    return np.asarray((1 - overlap) * own + overlap * own.mean(axis=0), dtype=np.float64)


def feature_names() -> tuple[str, ...]:
    """Contract fields whose values follow from the typology."""
    return tuple(entry.name for entry in FIELDS if entry.feature and entry.name not in _BASE_FIELDS)


def draw_features(
    rng: np.random.Generator, state: NDArray[np.int16], typology: NDArray[np.int16]
) -> tuple[dict[str, NDArray[np.int16]], dict[str, NDArray[np.bool_]]]:
    """Values of each person for every field of ``feature_names``: one position, or bool for each code."""
    singles: dict[str, NDArray[np.int16]] = {}
    multis: dict[str, NDArray[np.bool_]] = {}
    for name in feature_names():
        entry = field(name)
        skew = np.exp(rng.normal(0, SKEW_OF_STATES, (len(COUNTRIES), len(entry.codes))))
        odds = parameters_of(name)[typology]
        if entry.kind == Kind.SINGLE:
            singles[name] = pick(rng, odds * skew[state])
        else:
            tilted = odds * skew[state]
            multis[name] = rng.random(odds.shape) < tilted / (tilted + 1 - odds)
    return singles, multis
