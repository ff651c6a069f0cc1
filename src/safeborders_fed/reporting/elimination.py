"""Which suppressed counts the published ones fix, exactly, while counts are suppressed one after the other.

A reader can combine sums, with any rational coefficients. A combination touches those suppressed counts that
are left in it with a coefficient other than zero, and tells one if it touches no other. For m sums this holds
m combinations that are independent of each other, each of one sort:

- silent: touches no suppressed count;
- telling: touches one suppressed count alone, with coefficient 1; no two tell the same;
- spent: dropped, since it touches several, and so does every combination that needs it.

A count k that is suppressed now was known before. If a silent combination touches it, that one is scaled to
tell k, and is subtracted from all others that touch k. If none does, no combination tells k, and each telling
one that touches k tells nothing any more, whatever else is combined with it: it is spent. A combination whose
suppressed part is one unit vector is therefore always a telling one plus silent ones (induction over k), so
that the counts told are exactly those that are fixed. What is not fixed is never fixed by suppressing more.

Guarantees: rational arithmetic, no tolerance. Work for one count is that of the combinations which touch it.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from safeborders_fed.reporting.sums import Sum

_SILENT: Final = -1
_Row = dict[int, Fraction]


class Told:
    """What the sums tell of the suppressed counts.

    Args:
        sums: What adds up to what.
        size: How many counts there are; none is suppressed at first.
    """

    def __init__(self, sums: Sequence[Sum], size: int) -> None:
        self._in_sums: list[list[tuple[int, int]]] = [[] for _ in range(size)]
        for at, each in enumerate(sums):
            self._in_sums[each.total].append((at, 1))
            for part in each.parts.tolist():
                self._in_sums[part].append((at, -1))
        self._rows: list[_Row] = [{at: Fraction(1)} for at in range(len(sums))]
        self._with_sum = [{at} for at in range(len(sums))]
        self._tells = [_SILENT] * len(sums)

    def fixed(self) -> list[int]:
        """Suppressed counts that the published ones fix, ascending."""
        return sorted(tells for tells, row in zip(self._tells, self._rows, strict=True) if tells >= 0 and row)

    def suppress(self, count: int) -> None:
        """Takes notice that a count, published until now, is suppressed."""
        touching = self._touching(count)
        silent = [row for row in touching if self._tells[row] == _SILENT]
        if not silent:
            for row in touching:
                self._spend(row)
            return
        # The shortest keeps the others short; the choice changes what is stored, not what is told.
        chosen = min(silent, key=lambda row: (len(self._rows[row]), row))
        scale = touching.pop(chosen)
        self._rows[chosen] = {at: value / scale for at, value in self._rows[chosen].items()}
        self._tells[chosen] = count
        for row, factor in touching.items():
            self._subtract(row, chosen, factor)

    def _touching(self, count: int) -> _Row:
        """Rows with a coefficient of the count, and the coefficient."""
        found: _Row = {}
        for at, sign in self._in_sums[count]:
            for row in self._with_sum[at]:
                found[row] = found.get(row, Fraction(0)) + sign * self._rows[row][at]
        return {row: value for row, value in found.items() if value}

    def _spend(self, row: int) -> None:
        for at in self._rows[row]:
            self._with_sum[at].discard(row)
        self._rows[row] = {}

    def _subtract(self, row: int, chosen: int, factor: Fraction) -> None:
        own = self._rows[row]
        for at, value in self._rows[chosen].items():
            left = own.get(at, Fraction(0)) - factor * value
            if left:
                own[at] = left
                self._with_sum[at].add(row)
            elif at in own:
                del own[at]
                self._with_sum[at].discard(row)
