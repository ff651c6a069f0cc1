"""Who a person is and where it happened: age, sex, citizenship and the three countries.

Guarantees: expected sexes among minors and among adults of each state are those of ``calibration.toml``,
and age bands those of its conditional counts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.cases.contract import field
from safeborders_fed.cases.synthetic.parameters import COUNTRIES, GROUPS, position, table, typologies
from safeborders_fed.cases.synthetic.sampling import Floats, pick, shifted


def draw_people(
    rng: np.random.Generator,
    state: NDArray[np.int16],
    minor: NDArray[np.bool_],
    group: NDArray[np.int16],
    typology: NDArray[np.int16],
) -> dict[str, NDArray[np.int16]]:
    """Age band and sex."""
    bands = np.zeros((len(GROUPS), 2, len(field("age_band").codes)))
    for g, form in enumerate(GROUPS):
        for a, age in enumerate(("adults", "minors")):
            for band, count in table("calibration")["age_bands"][form][age].items():
                bands[g, a, position("age_band", band)] = count
    female = np.array([table("typologies")["typologies"][name]["female"] for name in typologies()])[typology]
    for index, country in enumerate(COUNTRIES):
        for among, rows in (("minors_by_sex", minor), ("adults_by_sex", ~minor)):
            counts = table("calibration")["states"][country][among]
            chosen = rows & (state == index)
            female[chosen] = shifted(female[chosen], counts["female"] / (counts["female"] + counts["male"]))
    sex = (rng.random(len(state)) >= female).astype(np.int16)
    others = rng.random(len(state)) < 0.006
    sex[others] = rng.integers(2, len(field("sex").codes), others.sum())
    return {"age_band": pick(rng, bands[group, minor.astype(int)]), "sex": sex}


def citizenships() -> tuple[str, ...]:
    """Every citizenship that occurs, sorted."""
    published = (set(entry["citizenship"]) for entry in table("calibration")["states"].values())
    return tuple(sorted(set(COUNTRIES).union(*published)))


def draw_places(
    rng: np.random.Generator, state: NDArray[np.int16], typology: NDArray[np.int16]
) -> dict[str, NDArray[np.int16]]:
    """Citizenship, country of exploitation and country of recruitment."""
    pool = citizenships()
    codes = np.array([position("citizenship", code) for code in pool], dtype=np.int16)
    odds = np.array([_citizenship_odds(country) for country in COUNTRIES])
    favour = np.array([table("typologies")["typologies"][name]["nationals"] for name in typologies()])
    own_in_pool = np.array([pool.index(country) for country in COUNTRIES])
    tilted = odds[state]
    tilted[np.arange(len(state)), own_in_pool[state]] *= favour[typology]
    chosen = pick(rng, tilted)
    citizenship = codes[chosen]
    own = np.array([position("citizenship", country) for country in COUNTRIES], dtype=np.int16)[state]
    abroad = table("habits")["abroad"]
    places = np.array([position("citizenship", code) for code in abroad], dtype=np.int16)
    elsewhere = places[pick(rng, np.tile(np.array(list(abroad.values()), dtype=np.float64), (len(state), 1)))]
    leaves = np.array([table("habits")["states"][country]["abroad"] for country in COUNTRIES])[state]
    exploited = np.where((citizenship == own) & (rng.random(len(state)) < leaves), elsewhere, own)
    kind = rng.random(len(state))
    recruited = np.where(kind < 0.75, citizenship, np.where(kind < 0.92, own, codes[rng.permutation(chosen)]))
    return {
        "citizenship": citizenship,
        "country_of_exploitation": exploited.astype(np.int16),
        "country_of_recruitment": recruited.astype(np.int16),
    }


def _citizenship_odds(country: str) -> Floats:
    published = table("calibration")["states"][country]["citizenship"]
    other = table("calibration")["assumptions"]["other_citizenship"]
    counts = np.array([published.get(code, 0) for code in citizenships()], dtype=np.float64)
    return np.asarray((1 - other) * counts / counts.sum() + other / len(counts), dtype=np.float64)
