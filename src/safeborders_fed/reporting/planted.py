"""What a demonstration knows of the ways that were planted in its made-up files, and no real federation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from safeborders_fed.reporting.checks import refuse


@dataclass(frozen=True, slots=True)
class Planted:
    """The truth beside the released types.

    Attributes:
        labels: Name of a type to the label of the planted way that it finds again; no others.
        adjusted_rand: Agreement of the types with the planted ways: 1 is perfect, 0 is chance.
        adjusted_rand_pooled: That of the same method on all files together without privacy.
    """

    labels: Mapping[str, str]
    adjusted_rand: float | None = None
    adjusted_rand_pooled: float | None = None

    def __post_init__(self) -> None:
        for value in (self.adjusted_rand, self.adjusted_rand_pooled):
            if value is not None and not -1 <= value <= 1:
                raise refuse(f"an adjusted Rand index is {value}, not between -1 and 1")
