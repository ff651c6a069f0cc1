"""Holding a ledger's tables against its journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safeborders_fed.node.journal import altered
from safeborders_fed.node.population_counts import KIND
from safeborders_fed.study import canonical

if TYPE_CHECKING:
    from safeborders_fed.node.journal import Journal
    from safeborders_fed.node.population_counts import PopulationCounts


def verified(journal: Journal, counts: PopulationCounts) -> int:
    """Checks the journal, and that all on record is what its entries charged; the number of entries.

    Raises:
        ConfigurationError: ``ledger-altered``.
    """
    number, charged, counted = 0, [], []
    studies: dict[str, tuple[str, float, str, bool]] = {}
    for facts in journal.entries():
        number += 1
        match facts["kind"]:
            case "reserve":
                studies[facts["study"]] = (facts["manifest"], facts["rho"], facts["snapshot"], False)
            case "end":
                studies[facts["study"]] = (*studies[facts["study"]][:3], True)
            case "spend":
                charged.append((facts["study"], facts["attempt"], facts["rho"], facts["contribution"]))
            case kind if kind == KIND:
                counted.append(facts)
    found = [
        (study, attempt, rho, canonical.sha256(payload))
        for study, attempt, rho, payload in journal.db.execute(
            "SELECT study, attempt, rho, payload FROM contribution"
        )
    ]
    if sorted(charged) != sorted(found):
        raise altered("contributions are not those that its entries charged")
    kept = journal.db.execute(
        "SELECT id, manifest_hash, rho_reserved, snapshot, ended IS NOT NULL FROM study"
    )
    if studies != {study: (*terms, bool(ended)) for study, *terms, ended in kept}:
        raise altered("studies are not those that its entries opened and ended")
    counts.require_intact(counted)
    return number
