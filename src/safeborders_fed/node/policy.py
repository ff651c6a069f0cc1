"""What a node permits: read from the ``[policy]`` table of ``node.toml``.

Guarantees: nothing is permitted by default. A node without a policy does not answer; every cap must be
stated; a manifest passes only if each of its terms is permitted.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import BaseModel, ConfigDict
from pydantic import Field as Limit

from safeborders_fed.errors import RefusedError
from safeborders_fed.node.ledger import Caps
from safeborders_fed.privacy import accounting
from safeborders_fed.study.manifest import Manifest

_Epsilon = Annotated[float, Limit(gt=0, le=1000)]


class Policy(BaseModel):
    """A node's policy.

    Attributes:
        analyses: Names of permitted analyses.
        columns: Fields of the data contract that analyses may read.
        epsilon_per_study: Largest epsilon, at ``delta``, of one study.
        epsilon_per_year: Largest epsilon, at ``delta``, of all studies of a calendar year together.
        epsilon_lifetime: Largest epsilon, at ``delta``, of all studies ever.
        delta: The delta at which the caps are stated; a study with a larger delta is refused.
        minimum_participants: Fewest nodes that must take part.
        least_tick_seconds: Replies to rounds leave at multiples of a study's tick, since time tells size. A
            study with a shorter tick is refused. It should be longer than an answer takes here.
        approvals_needed: How many different people must approve a study; fewer than two only by policy.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    analyses: frozenset[str] = Limit(min_length=1, strict=False)
    columns: frozenset[str] = Limit(min_length=1, strict=False)
    epsilon_per_study: _Epsilon
    epsilon_per_year: _Epsilon
    epsilon_lifetime: _Epsilon
    delta: float = Limit(gt=0, le=1e-5)
    minimum_participants: int = Limit(ge=2)
    least_tick_seconds: float = Limit(default=0.25, ge=0, le=3600)
    approvals_needed: int = Limit(default=2, ge=1)

    def caps(self) -> Caps:
        """The caps in rho, which add."""
        return Caps(
            study=accounting.rho_for(self.epsilon_per_study, self.delta),
            year=accounting.rho_for(self.epsilon_per_year, self.delta),
            lifetime=accounting.rho_for(self.epsilon_lifetime, self.delta),
        )

    def check(self, manifest: Manifest, *, node: str, max_victims: int, today: date) -> None:
        """Holds a checked manifest against the policy.

        Raises:
            RefusedError: ``policy``, naming the first term that is not permitted, or ``study-expired``.
        """
        if today > manifest.expires:
            raise RefusedError("study-expired", f"study {manifest.id!r} has expired", "draft it again")
        forbidden = sorted(set(manifest.columns) - self.columns)
        for violated, what in (
            (node not in manifest.participants, f"this node, {node}, is not among its participants"),
            (manifest.analysis not in self.analyses, f"analysis {manifest.analysis!r} is not permitted"),
            (bool(forbidden), f"columns {', '.join(forbidden)} are not permitted"),
            (
                manifest.minimum_participants < self.minimum_participants,
                f"its least number of participants is below {self.minimum_participants}",
            ),
            (
                manifest.tick_seconds < self.least_tick_seconds,
                f"its ticks of {manifest.tick_seconds:g} s are below {self.least_tick_seconds:g} s",
            ),
            (manifest.delta > self.delta, f"its delta {manifest.delta:g} is above {self.delta:g}"),
            (
                manifest.max_victims < max_victims,
                f"it assumes at most {manifest.max_victims} victims, this node may hold {max_victims}",
            ),
        ):
            if violated:
                raise RefusedError(
                    "policy",
                    f"study {manifest.id!r} is not permitted here: {what}",
                    "decline the study, or change [policy] in node.toml by your own procedure",
                )
