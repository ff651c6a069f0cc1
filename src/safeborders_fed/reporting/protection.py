"""Complementary suppression: no suppressed count follows from those that are published.

Guarantees, for a reader who knows all published tables and their sums (``sums``):

- No suppressed count is fixed by any linear combination of sums (the sums' row space holds no unit vector of
  a suppressed count). Tested with floating-point numbers: a count that is all but fixed counts as fixed.
- Where a published total has suppressed parts, what it leaves for them, with the slack of rounding, is at
  least the margin with which each of these would have been published. So a single sum, with counts known not
  to be negative, bounds no suppressed count more closely than its own uncertainty. Combinations of several
  such bounds are not searched.

Counts are suppressed smallest first, and never published again, so that the search ends: at the latest when
nothing is left to subtract from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from safeborders_fed.reporting.sums import Sum

_FIXED: Final = 1 - 1e-7
"""Squared length of what the sums fix of a unit vector; one if they fix all of it."""
_RANK: Final = 1e-9


@dataclass(frozen=True)
class Problem:
    """What is to be protected.

    Attributes:
        rounded: All counts, rounded.
        margins: Half the interval of each; zero for a count that nobody publishes, which needs no protection.
        base: The rounding base.
        sums: What adds up to what.
    """

    rounded: NDArray[np.int64]
    margins: NDArray[np.float64]
    base: int
    sums: Sequence[Sum]


def protect(problem: Problem, hidden: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which counts are to be suppressed, those that are already among them."""
    hidden = hidden.copy()
    while True:
        # Every sum and every count has its turn before the answer: a sum of truths, not a short cut.
        while sum(_widen(problem, hidden, each) for each in problem.sums):
            pass
        if not sum(_loosen(problem, hidden, int(cell)) for cell in determined(problem, hidden)):
            return hidden


def determined(problem: Problem, hidden: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Suppressed counts that the sums fix together."""
    unknown = np.flatnonzero(hidden)
    matrix = _matrix(problem.sums, unknown, hidden.size)
    # The space of the rows is what the sums tell.
    values, vectors = np.linalg.eigh((matrix @ matrix.T).toarray())
    kept = values > _RANK * max(1.0, float(values.max(initial=0.0)))
    basis = (matrix.T @ vectors[:, kept]) / np.sqrt(values[kept])
    told = np.square(np.asarray(basis)).sum(axis=1)
    fixed: NDArray[np.int64] = unknown[(told > _FIXED) & (problem.margins[unknown] > 0)]
    return fixed


def _matrix(sums: Sequence[Sum], unknown: NDArray[np.int64], size: int) -> csr_matrix:
    """The sums' coefficients of unknown counts, each different sum once."""
    column = np.full(size, -1)
    column[unknown] = np.arange(unknown.size)
    rows: dict[tuple[int, ...], None] = {}
    for each in sums:
        parts = column[each.parts]
        found = (int(column[each.total]), *sorted(parts[parts >= 0].tolist()))
        if len(found) > 1 or found[0] >= 0:
            rows[found] = None
    entries = [
        (row, at, 1.0 if place else -1.0)
        for row, found in enumerate(rows)
        for place, at in enumerate(found)
        if at >= 0
    ]
    row = np.array([entry[0] for entry in entries], dtype=np.int64)
    at = np.array([entry[1] for entry in entries], dtype=np.int64)
    value = np.array([entry[2] for entry in entries], dtype=np.float64)
    return csr_matrix((value, (row, at)), shape=(len(rows), unknown.size))


def _widen(problem: Problem, hidden: NDArray[np.bool_], each: Sum) -> bool:
    """Suppresses one count more where a single sum tells too much; whether it did."""
    parts = each.parts
    unknown = parts[hidden[parts]]
    if hidden[each.total]:
        alone = unknown.size == 0 and problem.margins[each.total] > 0
        return alone and _hide_smallest(problem, hidden, parts)
    if unknown.size == 0:
        return False
    known = parts[~hidden[parts]]
    left = problem.rounded[each.total] - each.known - problem.rounded[known].sum()
    slack = (1 + known.size + (each.known > 0)) * problem.base / 2
    if unknown.size > 1 and left + slack >= problem.margins[unknown].max():
        return False
    return _hide_smallest(problem, hidden, known) or _hide_smallest(problem, hidden, np.array([each.total]))


def _loosen(problem: Problem, hidden: NDArray[np.bool_], cell: int) -> bool:
    """Suppresses the smallest count in any sum with this one; whether there is one."""
    near = [
        np.append(each.parts, each.total)
        for each in problem.sums
        if hidden[cell] and (each.total == cell or (each.parts == cell).any())
    ]
    return bool(near) and _hide_smallest(problem, hidden, np.concatenate(near))


def _hide_smallest(problem: Problem, hidden: NDArray[np.bool_], among: NDArray[np.int64]) -> bool:
    left = among[~hidden[among]]
    if left.size == 0:
        return False
    # In the order of the numbering where counts are equal, so that the same tables give the same answer.
    hidden[left[np.lexsort((left, problem.rounded[left]))[0]]] = True
    return True
