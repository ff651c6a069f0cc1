"""The mixture behind ``typology``, from noisy sums to log-weights. All of it is post-processing.

A class is a product of independent columns, the same way of doing the crime in every state, seen through the
state's own habits: the odds of a value in a state are those of the class times those of the state
(a log-linear model of class, state and value without their interaction, fitted by raking). Without that,
classes are states: what a file records, and in which codes, differs more between states than typologies do.

What is not known leaves the likelihood. As a category of its own it would make classes of recording habits,
and a column that some state lacks would tell states apart.

Shares are drawn towards the overall ones as far as noise explains how they differ (empirical Bayes, one
factor a column and class): most columns say nothing of most classes, and each adds its noise to every
victim's likelihood otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from safeborders_fed.analyses.typology_rows import Floats
from safeborders_fed.cases.contract import Field, Kind
from safeborders_fed.cases.encoding import bin_names

SMOOTHING: Final = 10.0
"""Victims with overall shares that every class is given beyond its own."""
RAKING_CYCLES: Final = 10
LEAST: Final = 1e-5
_TINY: Final = 1e-15


@dataclass(frozen=True)
class Block:
    """The columns of one field.

    Attributes:
        field: The field.
        values: Its columns, one a bin.
        unknown: For a field of many values, the column that says that nothing is known of it.
    """

    field: Field
    values: slice
    unknown: int | None

    def outcomes(self, shares: Floats) -> Floats:
        """Shares (..., columns) as (..., variables, outcomes): a variable a field, or one a value."""
        own = shares[..., self.values]
        return own[..., None, :] if self.unknown is None else np.stack([own, 1 - own], axis=-1)

    def known(self, counts: Floats, sums: Floats) -> Floats:
        """Of how many victims the field is known, shape (...), from counts (...) and sums (..., columns)."""
        found = (
            sums[..., self.values].sum(axis=-1) if self.unknown is None else counts - sums[..., self.unknown]
        )
        known: Floats = np.clip(found, 0.02 * counts, counts)
        return known


class Layout:
    """The columns of some fields: bins of single fields; of others their values and one for nothing known."""

    def __init__(self, fields: Sequence[Field]) -> None:
        blocks, kept, names, start, place = [], [], [], 0, 0
        for field in fields:
            width, single = len(field.bins), field.kind == Kind.SINGLE
            end = start + width
            blocks.append(Block(field, slice(start, end), None if single else end))
            kept += list(range(place, place + width + (not single)))
            names += [f"{field.name}={name}" for name in bin_names(field)[: width + (not single)]]
            place += width + 1
            start = end + (not single)
        self.fields = tuple(fields)
        self.blocks = tuple(blocks)
        self.kept = np.array(kept, dtype=np.int64)
        """Which columns of ``encoding.design`` these are: what is not known of a single field is left out."""
        self.names = tuple(names)
        self.size = start


def shrunk(shares: Floats, towards: Floats, variance: Floats, weight: Floats) -> Floats:
    """Shares (groups, columns) drawn towards others (columns,) as far as noise explains the difference.

    Args:
        shares: Noisy.
        towards: What they are if they do not differ.
        variance: Of the noise in a share, shape (groups, 1).
        weight: Of each group in finding how much shares really differ, shape (groups, 1).
    """
    differing = weight * ((shares - towards) ** 2 - variance)
    real = np.maximum(differing.sum(axis=0) / weight.sum(), 0.0)
    kept: Floats = towards + real / (real + variance + _TINY) * (shares - towards)
    return np.clip(kept, 0.0, 1.0)


@dataclass(frozen=True)
class Margins:
    """What all classes together look like.

    Attributes:
        counts: Victims by state, shape (states,), at least 1.
        known: Share of them whose field is known, by column, shape (states, columns).
        shares: Share of each value among those known, drawn towards the overall one; 0 for unknown columns.
        overall: The same over all states, shape (columns,).
        error: Standard deviation of the noise in ``overall``.
    """

    counts: Floats
    known: Floats
    shares: Floats
    overall: Floats
    error: Floats

    def centre(self, layout: Layout) -> Floats:
        """Expected indicators of a victim of each state, shape (states, columns)."""
        return expected(layout, self.shares, self.known)


def expected(layout: Layout, shares: Floats, known: Floats) -> Floats:
    """Expected indicators from shares among those known (..., columns) and shares known (states, columns)."""
    means = shares * known
    for block in layout.blocks:
        if block.unknown is not None:
            means[..., block.unknown] = 1 - known[..., block.unknown]
    return means


def margins_of(layout: Layout, counts: Floats, sums: Floats, noise: float) -> Margins:
    """Margins from noisy counts (states,) and sums (states, columns), in victims."""
    counts = np.maximum(counts, 1.0)
    known, shares = np.zeros_like(sums), np.zeros_like(sums)
    overall, error = np.zeros(layout.size), np.zeros(layout.size)
    for block in layout.blocks:
        those, values = block.known(counts, sums), block.values
        total = those.sum()
        overall[values] = np.clip(sums[:, values].sum(axis=0) / total, LEAST, 1.0)
        if block.unknown is None:
            overall[values] /= overall[values].sum()
        error[values] = noise * np.sqrt(len(counts)) / total
        variance = ((noise / those) ** 2)[:, None]
        shares[:, values] = shrunk(
            sums[:, values] / those[:, None], overall[values], variance, those[:, None]
        )
        known[:, values] = (those / counts)[:, None]
        if block.unknown is not None:
            known[:, block.unknown] = those / counts
    return Margins(counts, known, shares, overall, error)


@dataclass(frozen=True)
class Mixture:
    """Classes as they are believed to be.

    Attributes:
        prior: Share of each class in a state, shape (classes, states).
        profiles: Share of each value in a class over all states, among those known; (classes, columns).
        shares: The same in each state, shape (classes, states, columns).
    """

    prior: Floats
    profiles: Floats
    shares: Floats

    def weights(self, layout: Layout) -> Floats:
        """Log-weights, shape (states, 1 + columns, classes): their sums over ones are log-likelihoods."""
        columns, base = np.zeros_like(self.shares), np.log(self.prior)
        for block in layout.blocks:
            if block.unknown is None:
                columns[..., block.values] = np.log(self.shares[..., block.values])
            else:
                absent = np.log1p(-self.shares[..., block.values])
                columns[..., block.values] = np.log(self.shares[..., block.values]) - absent
                base = base + absent.sum(axis=-1)
                columns[..., block.unknown] = -absent.sum(axis=-1)
        return np.moveaxis(np.concatenate([base[..., None], columns], axis=-1), 0, -1)

    def expected(self, layout: Layout, margins: Margins) -> Floats:
        """Expected indicators of a victim of each class and state, shape (classes, states, columns)."""
        return expected(layout, self.shares, margins.known)


def mixture_of(layout: Layout, margins: Margins, counts: Floats, sums: Floats, noise: float) -> Mixture:
    """Classes from noisy counts (classes, states) and sums (classes, columns), in victims."""
    totals = np.maximum(counts.sum(axis=1), 1.0)
    prior = _prior(margins, counts, noise)
    weight_of_class = prior * margins.counts
    profiles = np.zeros_like(sums)
    shares = np.full((*counts.shape, layout.size), 0.5)
    for block in layout.blocks:
        those, values = block.known(totals, sums)[:, None], block.values
        overall = margins.overall[values]
        raw = np.clip(sums[:, values] / those, 0.0, None)
        own = shrunk(raw, overall, (noise / those) ** 2, those)
        own = (own * those + SMOOTHING * overall) / (those + SMOOTHING)
        if block.unknown is None:
            own = own / np.maximum(own.sum(axis=1, keepdims=True), LEAST)
        profiles[:, values] = own
        weight = weight_of_class * margins.known[:, values.start]
        table = rake(
            weight,
            block.outcomes(profiles),
            block.outcomes(_smooth(margins, block)),
            block.outcomes(margins.overall),
        )
        shares[..., values] = table[..., 0, :] if block.unknown is None else table[..., 0]
    return Mixture(prior, profiles, np.clip(shares, LEAST, 1 - LEAST))


def _prior(margins: Margins, counts: Floats, noise: float) -> Floats:
    """Shares of classes in each state, drawn towards those over all states; shape (classes, states)."""
    overall = np.maximum(counts.sum(axis=1), 1.0)
    size = margins.counts[:, None]
    found = shrunk(counts.T / size, overall / margins.counts.sum(), (noise / size) ** 2, size)
    found = np.maximum(found, 1e-3)
    prior: Floats = (found / found.sum(axis=1, keepdims=True)).T
    return prior


def _smooth(margins: Margins, block: Block) -> Floats:
    """A state's shares, with some victims of overall ones, all columns but the block's left alone."""
    own = margins.shares.copy()
    those = (margins.counts * margins.known[:, block.values.start])[:, None]
    mixed = own[:, block.values] * those + SMOOTHING * margins.overall[block.values]
    if block.unknown is None:
        mixed = mixed / np.maximum(mixed.sum(axis=1, keepdims=True), _TINY)
    else:
        mixed = mixed / (those + SMOOTHING)
    own[:, block.values] = mixed
    return own


def rake(weight: Floats, of_class: Floats, of_state: Floats, overall: Floats) -> Floats:
    """Shares (classes, states, variables, outcomes) that agree with both margins, without interaction.

    Args:
        weight: Victims of a class in a state, shape (classes, states), positive.
        of_class: Shares in a class over all states, shape (classes, variables, outcomes).
        of_state: Shares in a state over all classes, shape (states, variables, outcomes).
        overall: Shares over all, shape (variables, outcomes).
    """
    table = of_class[:, None] * of_state / np.maximum(overall, LEAST) + _TINY
    table /= table.sum(axis=-1, keepdims=True)
    size = weight[:, :, None, None]
    for _ in range(RAKING_CYCLES):
        table *= of_state * size.sum(axis=0) / np.maximum((size * table).sum(axis=0), _TINY)
        ratio = of_class * size.sum(axis=1) / np.maximum((size * table).sum(axis=1), _TINY)
        table *= ratio[:, None]
        table = np.maximum(table, _TINY)
        table /= table.sum(axis=-1, keepdims=True)
    return table
