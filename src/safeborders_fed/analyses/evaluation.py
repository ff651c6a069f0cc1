"""How good a detection model is, from a histogram of scores over held-out victims that is a private sum.

Unit: one victim, with all their records, who did not train. For each measured table t (score bin x label x
group of partition t) the victim adds ``w_t`` grid units at one cell, so a row has one entry in each table.
Bound: ``sum w_t^2 <= BOUND^2``; weights are rounded down, and ``BoundedSumBuilder.add_cells`` checks the sum
of their squares in integers. So k partitions of equal weight cost each table sqrt(k) times the noise of one.

A victim's cells follow from that victim's score, label and group alone. The bin is found by comparing the
score with every edge: a binary search over edges that a coordinator sent out of order could depend on the
score of the victim before. Any score and any edges give some bin, so data never decide whether a node
answers. Edges are public: quantiles of the scores of records drawn from the model's own noisy centre.

Noise: the door's, once; all else is post-processing. ``summarise`` works on counts that may be negative:
clipping them at zero would fill empty bins with noise and pull every area towards one half.

What the bins themselves do: scores in one bin count as tied, which takes about .01 from an area of .8 with
``BINS`` = 6. ``_shape`` and the slope of the calibration say how much order a bin hides; that is added back,
and half of it is counted as an error. Why 6, at 2,500 held-out victims, 30% of them positive, noise of 10
victims a cell (root mean square error of an area of .75 or .85, correction included): 4 bins .014, 5 .014,
6 .015, 8 .017, 16 .022; and for a group of 300: .09, .10, .12, .14, .18. Fewer bins lean on the correction
and leave too few points for a calibration curve.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.analyses import scoring
from safeborders_fed.analyses.base import UNIT, Arrays
from safeborders_fed.cases.contract import MINOR_BANDS, Field, field
from safeborders_fed.cases.countries import COUNTRY_GROUPS, STATES
from safeborders_fed.errors import ConfigurationError
from safeborders_fed.privacy.products import Indicators

if TYPE_CHECKING:
    from safeborders_fed.analyses.learner import Learner
    from safeborders_fed.cases.encoding import Victims

Partition = Literal["sex", "age", "citizenship", "state"]

BINS: Final = scoring.BINS
BOUND: Final = UNIT
"""L2 sensitivity of the histogram, grid units."""

NOT_KNOWN: Final = "Not known"
SEXES: Final = ("Female", "Male", "Other or not known")
AGES: Final = ("Minors", "Adults", NOT_KNOWN)
CITIZENSHIPS: Final = ("Own country", "Other EU country", "Country outside the EU", NOT_KNOWN)

_CHANCE: Final = 0.5
_OVERALL: Final = "overall"
_FIELDS: Final[dict[Partition, tuple[str, ...]]] = {
    "sex": ("sex",),
    "age": ("age_band",),
    "citizenship": ("citizenship",),
    "state": (),
}
_SHARES: Final[dict[str, float]] = {_OVERALL: 1.0, "sex": 1.0, "age": 1.0, "citizenship": 1.0, "state": 2.0}
"""Shares of the precision: states are many and small, so their table is measured more closely."""

_SAMPLE: Final = 4096
_SEED: Final = 20261121
"""For records drawn from public numbers: it hides nothing, and every node must draw the same."""
_ONE_VALUE: Final = 1.1
"""A field whose shares add up to no more holds one value; one with more may hold several."""


@dataclass(frozen=True, eq=False)
class Layout:
    """Where a victim's row has its entries.

    Attributes:
        partitions: Name of each measured table; ``overall`` alone where no partition is asked for.
        names: Names of the groups of each.
        weights: Grid units that a victim adds in each table, int64, shape (tables,).
    """

    partitions: tuple[str, ...]
    names: tuple[tuple[str, ...], ...]
    weights: NDArray[np.int64]

    @property
    def shapes(self) -> tuple[tuple[int, int, int], ...]:
        """(groups, labels, bins) of each table."""
        return tuple((len(names), 2, BINS) for names in self.names)

    @property
    def dimension(self) -> int:
        """Cells of all tables."""
        return sum(math.prod(shape) for shape in self.shapes)

    def groups(self, victims: Victims, node: str) -> NDArray[np.int64]:
        """Each victim's group in each table, shape (n, tables); all of it is local to the victim.

        Args:
            victims: With the fields that ``fields`` names.
            node: The node's name in the study.

        Raises:
            ConfigurationError: ``unknown-state``, when the evaluation is by state and does not know the node.
        """
        columns = [
            _group(partition, names, victims, node)
            for partition, names in zip(self.partitions, self.names, strict=True)
        ]
        return np.stack(columns, axis=1)

    def cells(
        self,
        groups: NDArray[np.int64],
        scores: NDArray[np.float64],
        target: NDArray[np.int64],
        edges: NDArray[np.float64],
    ) -> NDArray[np.int64]:
        """Coordinates of each victim's entries, shape (n, tables), for ``BoundedSumBuilder.add_cells``.

        Args:
            groups: From ``groups``.
            scores: Log-odds, shape (n,); any float.
            target: 0 or 1, shape (n,).
            edges: Any floats, shape (BINS - 1,).
        """
        bins = (scores[:, None] >= edges[None, :]).sum(axis=1, dtype=np.int64)  # nan is below every edge
        starts = np.cumsum([0, *(math.prod(shape) for shape in self.shapes)])[:-1]
        found: NDArray[np.int64] = starts[None, :] + ((groups * 2 + target[:, None]) * BINS + bins[:, None])
        return found


def beyond_chance(auc: Any, margin: Any) -> bool:
    """Whether an area is known, and its 95% interval lies above that of guessing.

    Whatever is no number, as facts of a file from elsewhere may be, is not known.
    """
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (auc, margin))
    return numbers and bool(auc - margin > _CHANCE)


def layout(partitions: Sequence[str], states: Sequence[str]) -> Layout:
    """The layout for an evaluation by some partitions.

    Args:
        partitions: Among ``sex``, ``age``, ``citizenship`` and ``state``, each at most once.
        states: Names of the nodes, for the partition ``state``.

    Raises:
        ConfigurationError: ``unknown-partition``, for any other or a second one.
    """
    if len(set(partitions)) != len(partitions) or not set(partitions) <= set(_FIELDS):
        raise ConfigurationError(
            "unknown-partition",
            f"an evaluation by {', '.join(partitions)} cannot be made",
            f"name each partition once, among {', '.join(_FIELDS)}",
        )
    known = {"sex": SEXES, "age": AGES, "citizenship": CITIZENSHIPS, "state": tuple(states)}
    measured = tuple(partitions) or (_OVERALL,)
    names = tuple(known.get(partition, ("All",)) for partition in measured)
    total = sum(_SHARES[partition] for partition in measured)
    # Rounded down, so that the squares of the weights cannot add up to more than BOUND squared.
    weights = [math.floor(BOUND * math.sqrt(_SHARES[partition] / total)) for partition in measured]
    return Layout(measured, names, np.array(weights, dtype=np.int64))


def fields(partitions: Sequence[Partition]) -> tuple[Field, ...]:
    """The fields of the data contract that the groups follow from."""
    return tuple(field(name) for partition in partitions for name in _FIELDS[partition])


def _group(partition: str, names: tuple[str, ...], victims: Victims, node: str) -> NDArray[np.int64]:
    """Each victim's position in ``names``, shape (n,)."""
    if partition == _OVERALL:
        return np.zeros(len(victims), dtype=np.int64)
    if partition == "state":
        if node not in names:
            raise ConfigurationError(
                "unknown-state",
                f"the evaluation by state names {', '.join(names)}, and this node is {node}",
                "draft the study with all participants as its states",
            )
        return np.full(len(victims), names.index(node), dtype=np.int64)
    entry = field(_FIELDS[partition][0])  # type: ignore[index]  # one of those that `layout` let through
    group_of = {"sex": _sex, "age": _age}.get(partition) or (lambda code: _citizenship(code, node))
    lookup = [*(group_of(code) for code in entry.codes), len(names) - 1]  # -1, not known, is the last
    return np.array(lookup, dtype=np.int64)[victims.singles[entry.name]]


def _sex(code: str) -> int:
    return {"Feminine": 0, "Masculine": 1}.get(code, 2)


def _age(code: str) -> int:
    return 0 if code in MINOR_BANDS else 1


def _citizenship(code: str, node: str) -> int:
    if code == node:
        return 0
    return 1 if code in STATES or COUNTRY_GROUPS[code] == "Other EU" else 2


def edges(learner: Learner[Any], model: Arrays, columns: Sequence[slice]) -> NDArray[np.float64]:
    """Edges between the score bins, ascending, shape (BINS - 1,): public, since the model is.

    Quantiles of the log-odds of records drawn from the model's centre, fields independent of each other.

    Args:
        learner: Gives the margins.
        model: Its arrays, with ``centre``.
        columns: The columns of each field.
    """
    draw = np.random.default_rng(_SEED)
    shares = np.clip(np.nan_to_num(model["centre"]), 0.0, 1.0)
    ones = np.zeros((_SAMPLE, len(shares)), dtype=bool)
    for part in columns:
        ones[:, part] = _drawn(draw, shares[part])
    with np.errstate(all="ignore"):
        margins = np.nan_to_num(learner.margins(model, Indicators(ones)), posinf=1e6, neginf=-1e6)
    return scoring.spaced(np.quantile(margins, np.arange(1, BINS) / BINS))


def _drawn(draw: np.random.Generator, shares: NDArray[np.float64]) -> NDArray[np.bool_]:
    """One-hot rows of a field, shape (_SAMPLE, columns)."""
    total = shares.sum()
    if total > _ONE_VALUE:
        return draw.random((_SAMPLE, len(shares))) < shares
    even = np.full(len(shares), 1 / len(shares))
    chosen = draw.choice(len(shares), size=_SAMPLE, p=shares / total if total > 0 else even)
    return np.eye(len(shares), dtype=bool)[chosen]


def summarise(
    layout: Layout, total: NDArray[np.int64], noise: float, edges: NDArray[np.float64]
) -> dict[str, Any]:
    """What the histogram says, as JSON values; never a number that is not finite.

    Keys: ``bins``; ``noise`` (standard deviation in a cell of each table, victims); ``overall`` and
    ``groups`` (partition to group), each with ``victims``, ``positives``, their standard errors, ``auc`` with
    the 95% ``margin`` of noise and sampling together, or None and a ``reason``; ``calibration`` and
    ``reliability`` of ``scoring.calibrate`` and ``scoring.reliability``.

    Args:
        layout: Of the study.
        total: The private sum, shape (dimension,), grid units.
        noise: Standard deviation of the noise in it, grid units.
        edges: Of the score bins.
    """
    tables, start = [], 0
    for shape, weight in zip(layout.shapes, layout.weights, strict=True):
        stop = start + math.prod(shape)
        counts = total[start:stop].astype(np.float64).reshape(shape) / weight
        tables.append(scoring.Histogram(counts, noise / float(weight)))
        start = stop
    overall = scoring.combined(tables)
    calibration = scoring.calibrate(overall, edges)
    groups: dict[str, dict[str, Any]] = {}
    for partition, names, table in zip(layout.partitions, layout.names, tables, strict=True):
        if partition != _OVERALL:
            fitted = scoring.fitted(table, overall)
            groups[partition] = {
                name: scoring.accuracy(scoring.Histogram(counts, fitted.noise), calibration, noisy)
                for name, counts, noisy in zip(names, fitted.counts, scoring.surplus(fitted), strict=True)
            }
    return {
        "bins": BINS,
        "noise": dict(zip(layout.partitions, (table.noise for table in tables), strict=True)),
        "overall": scoring.accuracy(overall, calibration, np.zeros(2)),
        "groups": groups,
        "calibration": calibration.facts(),
        "reliability": scoring.reliability(overall, calibration, edges),
    }
