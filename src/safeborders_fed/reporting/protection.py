"""Complementary suppression: no suppressed count follows from those that are published.

Guarantees, for a reader who knows all published tables and their sums (``sums``):

- No suppressed count is fixed by any linear combination of sums (the sums' row space holds no unit vector of
  a suppressed count). Exactly, without a tolerance (``elimination``).
- Where a published total has suppressed parts, what it leaves for them, with the slack of rounding, is at
  least the margin with which each of these would have been published. So a single sum, with counts known not
  to be negative, bounds no suppressed count more closely than its own uncertainty. Combinations of several
  such bounds are not searched.

Counts are suppressed smallest first, and never published again, so that the search ends: at the latest when
nothing is left to subtract from. A sum has its turn again only after one of its counts was suppressed, since
nothing else changes what it tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.reporting.elimination import Told
from safeborders_fed.reporting.sums import Sum


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
    search = _Search(problem, hidden)
    while True:
        search.widen_all()
        # Every one has its turn before the answer: a sum of truths, not a short cut.
        if not sum(search.loosen(cell) for cell in search.fixed()):
            return search.hidden


def determined(problem: Problem, hidden: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Suppressed counts that the sums fix together."""
    return np.array(_Search(problem, hidden).fixed(), dtype=np.int64)


class _Search:
    """What is suppressed so far, and what that tells."""

    def __init__(self, problem: Problem, hidden: NDArray[np.bool_]) -> None:
        self.hidden = hidden.copy()
        self._problem = problem
        self._told = Told(problem.sums, hidden.size)
        for cell in np.flatnonzero(hidden).tolist():
            self._told.suppress(cell)
        self._with: list[list[int]] = [[] for _ in range(hidden.size)]
        for at, each in enumerate(problem.sums):
            for cell in (each.total, *each.parts.tolist()):
                self._with[cell].append(at)
        self._waiting = [True] * len(problem.sums)

    def fixed(self) -> list[int]:
        """Suppressed counts, of those that need protection, that the sums fix together."""
        return [cell for cell in self._told.fixed() if self._problem.margins[cell] > 0]

    def widen_all(self) -> None:
        """Suppresses counts until no single sum tells too much."""
        while any(self._waiting):
            for at, each in enumerate(self._problem.sums):
                if self._waiting[at]:
                    self._waiting[at] = False
                    self._widen(each)

    def _widen(self, each: Sum) -> None:
        """Suppresses one count more where a single sum tells too much."""
        problem, hidden = self._problem, self.hidden
        parts = each.parts
        unknown = parts[hidden[parts]]
        if hidden[each.total]:
            if unknown.size == 0 and problem.margins[each.total] > 0:
                self._hide_smallest(parts)
            return
        if unknown.size == 0:
            return
        known = parts[~hidden[parts]]
        left = problem.rounded[each.total] - each.known - problem.rounded[known].sum()
        slack = (1 + known.size + (each.known > 0)) * problem.base / 2
        if unknown.size == 1 or left + slack < problem.margins[unknown].max():
            _ = self._hide_smallest(known) or self._hide_smallest(np.array([each.total]))

    def loosen(self, cell: int) -> bool:
        """Suppresses the smallest count in any sum with this one; whether there is one."""
        sums = [self._problem.sums[at] for at in self._with[cell]]
        near = [np.append(each.parts, each.total) for each in sums]
        return bool(near) and self._hide_smallest(np.concatenate(near))

    def _hide_smallest(self, among: NDArray[np.int64]) -> bool:
        left = among[~self.hidden[among]]
        if left.size == 0:
            return False
        # In the order of the numbering where counts are equal, so that the same tables give the same answer.
        cell = int(left[np.lexsort((left, self._problem.rounded[left]))[0]])
        self.hidden[cell] = True
        self._told.suppress(cell)
        for at in self._with[cell]:
            self._waiting[at] = True
        return True
