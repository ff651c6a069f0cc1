"""Ways in which the crime is done, as latent classes of a private model: facts of a typology study.

Guarantees: plain, frozen facts; each type has a number for every state and year that any type has one for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from safeborders_fed.reporting.accuracy import Estimate
from safeborders_fed.reporting.checks import refuse, require_finite, require_share


@dataclass(frozen=True, slots=True)
class Trait:
    """A value of a field that sets a type apart.

    Attributes:
        field: Label of the field.
        value: Label of the value.
        share: Share of the type's victims who have it.
        error: Standard error of ``share``.
        overall: Share of all victims who have it.
    """

    field: str
    value: str
    share: float
    error: float
    overall: float

    def __post_init__(self) -> None:
        owner = f"trait {self.value!r}"
        require_share(owner, {"share": self.share, "overall": self.overall})
        require_finite(owner, {"standard error": self.error})


@dataclass(frozen=True, slots=True)
class TypologyFacts:
    """One type.

    Attributes:
        name: Stable name, such as ``T1``.
        victims: How many victims it stands for.
        share: Share of all victims.
        traits: What sets it apart, most telling first.
        by_state: State to its victims there.
        by_year: Year to its victims then.
        occurs_in: States where it is found beyond noise.
        planted: In made-up data: label of the planted way that it finds again; None if it finds none, or
            where the truth is not known.
    """

    name: str
    victims: Estimate
    share: float
    traits: tuple[Trait, ...]
    by_state: Mapping[str, Estimate]
    by_year: Mapping[str, Estimate]
    occurs_in: tuple[str, ...]
    planted: str | None = None

    def __post_init__(self) -> None:
        require_share(f"type {self.name!r}", {"share": self.share})
        if strange := set(self.occurs_in) - set(self.by_state):
            raise refuse(f"type {self.name!r} occurs in {min(strange)!r}, for which there is no number")


@dataclass(frozen=True, slots=True)
class Typologies:
    """All types of one study.

    Attributes:
        types: The types, largest first.
        states: States in report order.
        years: Years in report order.
        adjusted_rand: In made-up data: agreement of the types with the planted ways, 1 for perfect and 0 for
            chance.
        adjusted_rand_pooled: The same for types found in all files together without privacy.
    """

    types: tuple[TypologyFacts, ...]
    states: tuple[str, ...]
    years: tuple[str, ...]
    adjusted_rand: float | None = None
    adjusted_rand_pooled: float | None = None

    def __post_init__(self) -> None:
        for entry in self.types:
            if set(entry.by_state) != set(self.states) or set(entry.by_year) != set(self.years):
                raise refuse(f"type {entry.name!r} does not have one number for each state and year")
        for value in (self.adjusted_rand, self.adjusted_rand_pooled):
            if value is not None and not -1 <= value <= 1:
                raise refuse(f"an adjusted Rand index is {value}, not between -1 and 1")
