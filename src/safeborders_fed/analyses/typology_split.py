"""Whether a class of ``typology`` is two: the widest direction of its private second moments.

If columns were independent within a class, their products would be noise around zero. So the largest
eigenvalue of the matrix of products, without those within a field, is held against what noise alone reaches
(twice its deviation times the square root of the columns, the edge of Wigner's semicircle; noise is that of
privacy and of the sample). Beyond it, the class is cut along the eigenvector.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.analyses.typology_model import LEAST, Layout, Margins, Mixture
from safeborders_fed.analyses.typology_rows import PAIR_ONE, Floats, on_grid, pair_typical, unit_of

VARYING: Final = 0.08
"""Least variance of a column that takes part: rarer ones add noise and no direction."""
BEYOND: Final = 1.1
"""How far beyond the edge an eigenvalue must be."""


def used_columns(layout: Layout, margins: Margins, founding: str) -> Floats:
    """1 for columns that vary; those of the founding field are what classes differ in already."""
    used = margins.overall * (1 - margins.overall) > VARYING
    for block in layout.blocks:
        if block.field.name == founding:
            used[block.values] = False
        if block.unknown is not None:
            used[block.unknown] = False
    return used.astype(np.float64)


@dataclass(frozen=True)
class Direction:
    """The widest direction of a class.

    Attributes:
        step: Half the difference between the two ends, in expected indicators, shape (columns,).
        width: Its eigenvalue, in victims.
        edge: What noise alone reaches.
    """

    step: Floats
    width: float
    edge: float

    @property
    def real(self) -> bool:
        """Whether it stands out of the noise."""
        return self.width > BEYOND * self.edge and self.width > 0


def widest(layout: Layout, centre: Floats, used: Floats, total: NDArray[np.int64], noise: float) -> Direction:
    """The direction from a private sum of ``typology_rows.add_pairs``; noise in grid units."""
    kept = used > 0.5
    grid = np.where(kept, on_grid(centre, PAIR_ONE), 0)
    unit = float(unit_of(np.array([pair_typical(grid)]))[0]) * PAIR_ONE**2
    square = np.zeros((layout.size + 1, layout.size + 1))
    square[np.triu_indices(layout.size + 1)] = total / unit
    square = square + np.triu(square, 1).T
    victims = max(1.0, float(square[-1, -1]))
    products, field_of = square[:-1, :-1][np.ix_(kept, kept)], _fields(layout)[kept]
    if not kept.any():
        return Direction(np.zeros(layout.size), 0.0, 0.0)
    across = field_of[:, None] != field_of
    products = np.where(across, products, 0.0)
    values, vectors = np.linalg.eigh(products)
    # What the direction itself adds to products within a field was left out with the rest: put it back once.
    filled = products + np.where(across, 0.0, values[-1] * np.outer(vectors[:, -1], vectors[:, -1]))
    values, vectors = np.linalg.eigh(filled)
    mean = grid[:, kept].mean(axis=0) / PAIR_ONE
    sampling = victims * float((mean * (1 - mean)).mean()) ** 2
    edge = 2 * np.sqrt(kept.sum() * ((noise / unit) ** 2 + sampling))
    step = np.zeros(layout.size)
    # An eigenvector has either sign: the side with the larger entry is the first, whoever computes it.
    vector = vectors[:, -1] * np.sign(vectors[np.abs(vectors[:, -1]).argmax(), -1])
    step[kept] = np.sqrt(max(values[-1], 0.0) / victims) * vector
    return Direction(step, float(values[-1]), float(edge))


def _fields(layout: Layout) -> NDArray[np.int64]:
    field_of = np.zeros(layout.size, dtype=np.int64)
    for place, block in enumerate(layout.blocks):
        field_of[block.values] = place
        if block.unknown is not None:
            field_of[block.unknown] = place
    return field_of


def cut(layout: Layout, margins: Margins, mixture: Mixture, which: int, direction: Direction) -> Mixture:
    """The mixture with class ``which`` cut in two of equal size; the second stands behind all others."""
    known = margins.known.mean(axis=0)
    step = direction.step / np.maximum(known, 0.3)
    prior = np.concatenate([mixture.prior, mixture.prior[which : which + 1] / 2])
    prior[which] /= 2

    def ends(shares: Floats) -> Floats:
        own = shares[which]
        first, second = (np.clip(own + sign * step, own / 4, np.minimum(4 * own, 1)) for sign in (1, -1))
        both = np.concatenate([shares, second[None]])
        both[which] = first
        for block in layout.blocks:
            if block.unknown is None:
                part = both[..., block.values]
                both[..., block.values] = part / np.maximum(part.sum(axis=-1, keepdims=True), LEAST)
        kept: Floats = np.clip(both, LEAST, 1 - LEAST)
        return kept

    return Mixture(prior, ends(mixture.profiles), ends(mixture.shares))
