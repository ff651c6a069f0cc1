"""Noised counts of populations that a ledger remembers (``node.population``).

Guarantees: for one population of one snapshot there is one count, for ever; it stands here in the same
transaction as the entry of the journal that charges it, and ``require_intact`` finds an edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, fields, replace
from typing import Any, Final

from safeborders_fed.node.journal import Journal, altered

KIND: Final = "population"
"""The kind of its entries in the journal."""
_COLUMNS: Final = "population, snapshot, sigma, rho, noised, counted"


@dataclass(frozen=True, slots=True)
class NoisedCount:
    """How many victims a population has at this node, with noise.

    Attributes:
        population: ``all`` or ``minors``.
        snapshot: Of the case store.
        sigma: Scale of its discrete Gaussian noise, victims.
        rho: What it cost.
        noised: The count with its noise; it may be negative.
        counted: When, ISO 8601, UTC; empty before it is kept.
    """

    population: str
    snapshot: str
    sigma: float
    rho: float
    noised: int
    counted: str = ""


class PopulationCounts:
    """The counts in one ledger's database. Writing is up to the ledger, which charges them."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def remembered(self, population: str, snapshot: str) -> NoisedCount | None:
        """The count of a population in a snapshot, if it was drawn."""
        row = self._journal.db.execute(
            f"SELECT {_COLUMNS} FROM population WHERE population = ? AND snapshot = ?",  # noqa: S608 - names that stand above
            (population, snapshot),
        ).fetchone()
        return None if row is None else NoisedCount(*row)

    def listed(self) -> tuple[NoisedCount, ...]:
        """All counts, oldest first."""
        rows = self._journal.db.execute(
            f"SELECT {_COLUMNS} FROM population ORDER BY rowid"  # noqa: S608 - names that stand above
        )
        return tuple(NoisedCount(*row) for row in rows)

    def spent(self, year: int | None = None) -> float:
        """Rho of all counts, or of those drawn in a calendar year (UTC)."""
        row = self._journal.db.execute(
            "SELECT total(rho) FROM population WHERE ?1 IS NULL OR substr(counted, 1, 4) = ?1",
            (None if year is None else f"{year:04}",),
        ).fetchone()
        return float(row[0])

    def keep(self, count: NoisedCount, study: str) -> None:
        """Keeps a count and its charge, inside a transaction. ``study`` is the one that it was drawn for."""
        kept = replace(count, counted=self._journal.clock().isoformat())
        self._journal.db.execute("INSERT INTO population VALUES (?, ?, ?, ?, ?, ?)", astuple(kept))
        self._journal.record(KIND, study=study, **asdict(kept))

    def require_intact(self, charged: Sequence[dict[str, Any]]) -> None:
        """Holds the counts against what the journal charged.

        Raises:
            ConfigurationError: ``ledger-altered``.
        """
        names = [entry.name for entry in fields(NoisedCount)]
        if [asdict(count) for count in self.listed()] != [
            {name: facts[name] for name in names} for facts in charged
        ]:
            raise altered("counts of populations are not those that its entries charged")
