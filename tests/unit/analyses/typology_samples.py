"""Made-up mixtures of four ways of doing the crime, and a coordinator that adds whatever noise is asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from safeborders_fed.analyses.base import Release, Setting, Stage
from safeborders_fed.analyses.typology import Typology, TypologyParameters
from safeborders_fed.analyses.typology_rows import Rows
from safeborders_fed.cases.contract import Kind, field
from safeborders_fed.cases.encoding import Victims

STATES = ("BG", "IT", "RO")
FEATURES = (
    "forms_of_exploitation",
    "means_of_control",
    "transport",
    "online_involvement",
    "exploiter",
    "exploiter_relationship",
    "recruiter_relationship",
)
MULTIS = ("forms_of_exploitation", "means_of_control")
MAX_VICTIMS = 100_000
SHARES = (0.35, 0.15, 0.25, 0.25)
"""Labour, begging, and two ways of sexual exploitation that no form tells apart."""
FORMS = ("ForcedLabour", "ForcedBegging", "SexualExploitation", "SexualExploitation")
USUAL = {
    "transport": (1, 2, 3, 0),
    "online_involvement": (0, 0, 3, 1),
    "exploiter": (1, 1, 0, 1),
    "exploiter_relationship": (4, 0, 1, 4),
    "recruiter_relationship": (4, 0, 1, 3),
}
"""Position of the value that 80% of a type have."""


def analysis(**changes: object) -> Typology:
    terms: dict[str, object] = {
        "features": FEATURES,
        "states": STATES,
        "first_year": 2020,
        "last_year": 2022,
    }
    return Typology(TypologyParameters(**{**terms, **changes}))  # type: ignore[arg-type] - wrong ones too


def victims(size: int, seed: int) -> tuple[Victims, np.ndarray]:
    """Victims and the types they are of."""
    rng = np.random.default_rng(seed)
    types = rng.choice(4, size, p=SHARES)
    singles = {}
    for name, usual in USUAL.items():
        others = rng.integers(0, len(field(name).codes), size)
        drawn = np.where(rng.random(size) < 0.8, np.array(usual)[types], others)
        singles[name] = np.where(rng.random(size) < 0.1, -1, drawn).astype(np.int16)
    singles["trafficking_status"] = np.ones(size, np.int16)
    singles["age_band"] = rng.integers(0, 9, size).astype(np.int16)
    forms = field("forms_of_exploitation").codes
    form = np.array([1 << forms.index(FORMS[kind]) for kind in range(4)])[types].astype(np.uint32)
    means = np.zeros(size, np.uint32)
    for bit in range(18):
        chance = np.where((bit + types) % 4 == 0, 0.5, 0.1)
        means |= np.where(rng.random(size) < chance, 1 << bit, 0).astype(np.uint32)
    everything = np.full(size, 2**18 - 1, np.uint32)
    return (
        Victims(
            pseudonyms=np.array([f"{seed:08x}{index:024x}" for index in range(size)], dtype=np.str_),
            years=rng.integers(2019, 2024, size).astype(np.int16),
            singles=singles,
            present={"forms_of_exploitation": form, "means_of_control": means},
            known={"forms_of_exploitation": everything, "means_of_control": everything},
            quarters=np.ones(size, np.int8),
        ),
        types,
    )


def unknown(own: Victims, name: str) -> Victims:
    """The same victims with nothing known of a field."""
    if field(name).kind == Kind.SINGLE:
        return replace(own, singles={**own.singles, name: np.full(len(own), -1, np.int16)})
    nothing = np.zeros(len(own), np.uint32)
    return replace(own, present={**own.present, name: nothing}, known={**own.known, name: nothing})


def study(
    made: Typology, prepared: list[tuple[Rows, ...]], rho: float | None = None, seed: int = 0
) -> Release:
    """Runs all rounds; noise for a total cost ``rho``, or none."""
    rng = np.random.default_rng(seed)
    state = made.start(Setting(len(prepared), {}))
    for stage in made.stages():
        for _ in range(stage.rounds):
            broadcast = made.broadcast(state)
            assert {name: array.shape for name, array in broadcast.items()} == made.expects(stage.name)
            assert all(np.isfinite(array).all() for array in broadcast.values())
            total = np.zeros(stage.dimension, np.int64)
            for rows in prepared:
                total += made.contribute(rows, stage, broadcast, MAX_VICTIMS).values
            noise = 0.0 if rho is None else deviation(stage, rho)
            total += np.rint(rng.normal(0, noise, total.shape)).astype(np.int64)
            state = made.advance(state, total, noise)
    return made.result(state)


def deviation(stage: Stage, rho: float) -> float:
    """Standard deviation of the noise of a round when all of the study costs ``rho``."""
    return float(stage.bound / np.sqrt(2 * rho * stage.share / stage.rounds))
