"""Whether enough victims of a study's population are known here: tested once, on a noised count.

Unit: one victim, with all their records, at this node, added or removed. Bound: each victim is one row of the
merged table, which depends on that victim's records alone, and counts one or nothing; so the count of a
population has L2 sensitivity 1. Noise: one exact discrete Gaussian of scale ``sigma`` victims
(``privacy.noise``). Theorem: ``1 / (2 sigma^2)``-zCDP (Canonne, Kamath, Steinke 2020, arXiv 2004.00010,
Theorem 4); costs add, also of nested populations and of successive snapshots (``privacy.accounting``).

Guarantees:

- A count decides nothing before its noised value and its charge are committed together; what decides is read
  back from there. So of one population in one snapshot there is one noised value, however often it is asked
  for and whenever the process dies, and asking again says nothing new. (ADR 19)
- It is drawn only for a study that enough people have approved and whose whole cost the budget permits.
- Whether and what the node answers follows from that value. A failure while counting is a count of nobody,
  noised and charged like any other (ADR 13); a store that cannot be read is refused before anything is drawn.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.cases.contract import field
from safeborders_fed.cases.encoding import merge
from safeborders_fed.errors import RefusedError
from safeborders_fed.node.population_counts import NoisedCount
from safeborders_fed.privacy import accounting
from safeborders_fed.privacy.noise import discrete_gaussian

if TYPE_CHECKING:
    import pyarrow as pa

    from safeborders_fed.cases.store import CaseStore
    from safeborders_fed.node.ledger import Ledger
    from safeborders_fed.study.manifest import Manifest

LOG: Final = logging.getLogger(__name__)
LEAST_SIGMA: Final = 20.0
_FIELDS: Final = (field("trafficking_status"), field("age_band"))
Noise = Callable[[float, int], NDArray[np.int64]]


def sigma_for(least_victims: int) -> float:
    """The scale of the noise, victims: a quarter of what is asked for, and 20 at least (ADR 19)."""
    return max(LEAST_SIGMA, least_victims / 4)


def cost(least_victims: int) -> float:
    """Rho of one count; 0 when nothing is tested."""
    if not least_victims:
        return 0.0
    return accounting.round_cost(bound=1, scale=sigma_for(least_victims), holders=1, dimension=1)


def count(table: pa.Table, population: str) -> int:
    """How many victims of an analysis table are of a population, exactly; never to be shown to anybody."""
    return int(merge(table, _FIELDS).of_population(population).sum())


def too_few(manifest: Manifest, least_victims: int) -> RefusedError:
    """The error for a population whose noised count is below what the policy asks for."""
    return RefusedError(
        "policy",
        f"study {manifest.id!r} is not permitted here: the noised count of its population "
        f"({manifest.population}) at this node is below least_victims, {least_victims}",
        "decline the study, or lower least_victims in [policy] by your own procedure; asking again changes "
        "nothing before cases are imported, erased or purged",
    )


class Census:
    """Counts populations of one node's case store, each once for a snapshot.

    Args:
        store: The case store.
        ledger: Where counts are charged and kept.
        least_victims: What the policy asks for; 0 for no test.
        record: Writes the ledger's outbox to the audit log, durably.
        noise: The sampler; only tests and a privacy audit pass another.
    """

    def __init__(
        self,
        store: CaseStore,
        ledger: Ledger,
        least_victims: int,
        record: Callable[[], None],
        noise: Noise = discrete_gaussian,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._least_victims = least_victims
        self._record = record
        self._noise = noise

    def require(self, manifest: Manifest, snapshot: str) -> None:
        """Lets a study pass that enough people have approved, if enough victims are of its population.

        Raises:
            RefusedError: ``policy``, ``budget-exhausted`` or ``ledger-disputed``.
            ConfigurationError: The store cannot be read, or the ledger or the audit log not be written.
        """
        if not self._least_victims:
            return
        known = self._ledger.counts.remembered(manifest.population, snapshot)
        if known is None:
            known = self._draw(manifest, snapshot)
        self._record()
        if known.noised < self._least_victims:
            raise too_few(manifest, self._least_victims)

    def _draw(self, manifest: Manifest, snapshot: str) -> NoisedCount:
        sigma, rho = sigma_for(self._least_victims), cost(self._least_victims)
        self._ledger.witnesses.require_undisputed()
        self._ledger.require_budget(manifest.id, manifest.rho, count=rho)
        self._record()  # what a failure kept from the audit log, before the ledger forgets it
        table = self._store.cases(snapshot)
        noise = int(self._noise(sigma, 1)[0])
        noised = self._counted(table, manifest.population) + noise
        drawn = NoisedCount(manifest.population, snapshot, sigma, rho, noised)
        return self._ledger.count_once(manifest.id, manifest.rho, drawn)

    @staticmethod
    def _counted(table: pa.Table, population: str) -> int:
        try:
            return count(table, population)
        except Exception:  # whether an answer comes must not depend on the cases (ADR 13)
            LOG.exception("defect: nobody counted in the population %s", population)
            return 0
