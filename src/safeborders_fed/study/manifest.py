"""The manifest: what a study is, to the last parameter, and what it costs.

Guarantees:

- Strict and frozen: unknown keys, wrong types, NaN and infinities are refused. Its hash is over canonical
  JSON, so approval of a hash is approval of every parameter.
- Bound, noise scale and cost stand in it as numbers, and ``check`` recomputes each from the analysis and
  the accounting: a manifest cannot claim a lower cost than the mechanism has.
- Nothing that a node computes on is taken from anywhere else.
"""

from __future__ import annotations

import math
import re
from datetime import date
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic import Field as Limit

from safeborders_fed.analyses.base import Analysis, Arrays, PurposeCategory, Setting
from safeborders_fed.analyses.registry import build
from safeborders_fed.cases.contract import CONTRACT_VERSION
from safeborders_fed.errors import ConfigurationError, RefusedError
from safeborders_fed.privacy import accounting
from safeborders_fed.privacy.bounded_sum import LARGEST_TOTAL
from safeborders_fed.study import canonical, wire

SCHEMA_VERSION: Final = 2
UNIT: Final = "one victim, with all their records, at one node, added or removed"

Text = Annotated[str, Limit(min_length=1, max_length=2000)]
IDENTIFIER: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
"""What names a study, also as a directory."""
Identifier = Annotated[str, Limit(pattern=rf"^{IDENTIFIER.pattern}$")]
NodeName = Annotated[str, Limit(pattern=r"^[A-Z][A-Z0-9]{1,15}$")]
_STRICT = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class StageTerms(BaseModel):
    """What one stage of the analysis does and costs.

    Attributes:
        name: Name of the stage.
        rounds: Rounds of the stage.
        dimension: Coordinates of each contribution.
        bound: L2 sensitivity in grid units.
        sigma: Standard deviation of the noise that an adversary cannot subtract, grid units: the square root
            of the holders times the scale that each of them adds.
        rho: Cost of one round.
    """

    model_config = _STRICT

    name: Identifier
    rounds: int = Limit(ge=1, le=10_000)
    dimension: int = Limit(ge=1, le=50_000_000)
    bound: int = Limit(ge=1)
    sigma: float = Limit(gt=0)
    rho: float = Limit(gt=0)


class Manifest(BaseModel):
    """A study. See the attributes' names; costs are for the unit that ``unit`` states.

    Attributes:
        purpose_category: What ``purpose`` comes under; policies permit categories.
        retries: Attempts that may be paid for beyond one a round, at the cost of the dearest stage.
        tick_seconds: Replies to rounds leave a node a whole number of ticks after the request, since time
            tells size; 0 for at once.
        rho: Cost of all rounds and all retries together: what a node reserves.
        epsilon: ``rho`` as epsilon at ``delta``.
        max_victims: Public cap on victims at a node.
        protocol: The protocol that both sides must speak.
        software_version: What drafted it. Shown to people, compared with nothing (ADR 15).
        code_hash: Of the package that drafted it, likewise (``study.code_version``).
    """

    model_config = _STRICT

    schema_version: Literal[2]
    id: Identifier
    purpose: Text
    purpose_category: PurposeCategory
    legal_basis: Text
    analysis: Identifier
    parameters: dict[str, Any]
    columns: tuple[Text, ...]
    unit: Literal["one victim, with all their records, at one node, added or removed"]
    participants: tuple[NodeName, ...] = Limit(min_length=1, max_length=64)
    minimum_participants: int = Limit(ge=1)
    tolerated_colluders: int = Limit(ge=0)
    trust: Literal["masked", "local"]
    roster_hash: Annotated[str, Limit(pattern=r"^[0-9a-f]{64}$")]
    stages: tuple[StageTerms, ...] = Limit(min_length=1)
    retries: int = Limit(ge=0, le=100)
    tick_seconds: float = Limit(ge=0, le=3600)
    rho: float = Limit(gt=0)
    epsilon: float = Limit(gt=0)
    delta: float = Limit(gt=0, lt=1)
    max_victims: int = Limit(ge=1)
    contract_version: str
    protocol: int
    software_version: Annotated[str, Limit(pattern=r"^[0-9A-Za-z.+-]{1,64}$")]
    code_hash: Annotated[str, Limit(pattern=r"^[0-9a-f]{64}$")]
    expires: date

    @property
    def population(self) -> str:
        """Whose records count: ``all``, unless the parameters narrow it."""
        return str(self.parameters.get("population", "all"))

    def holders(self, participants: int) -> int:
        """Independent noise shares certainly present in what an adversary sees (``h``).

        Masked, the coordinator sees sums only and up to ``tolerated_colluders`` participants can subtract
        their own shares. In trust mode local it sees each node's vector, so each share must suffice alone.
        """
        return 1 if self.trust == "local" else participants - self.tolerated_colluders

    def share(self, stage: str, participants: int) -> float:
        """Scale of the discrete Gaussian that each of so many participants adds, grid units."""
        return self.terms(stage).sigma / math.sqrt(self.holders(participants))

    def hash(self) -> str:
        """SHA-256 of the canonical form."""
        return canonical.sha256(self.canonical())

    def canonical(self) -> bytes:
        """The canonical form."""
        return canonical.serialise(self.model_dump(mode="json"))

    def build_analysis(self) -> Analysis[Any, Any, Any]:
        """The analysis with this manifest's parameters."""
        return build(self.analysis, self.parameters)

    def noise(self, stage: str, participants: int) -> float:
        """Standard deviation of the noise really present in a private sum of so many participants."""
        return self.share(stage, participants) * math.sqrt(participants)

    def setting(self, warm: Arrays | None = None) -> Setting:
        """Public quantities for the coordinator's rules; ``warm`` holds a model that training starts from."""
        count = len(self.participants)
        return Setting(count, {stage.name: self.noise(stage.name, count) for stage in self.stages}, warm)

    def terms(self, stage: str) -> StageTerms:
        """The terms of a stage.

        Raises:
            RefusedError: ``unknown-stage``.
        """
        for entry in self.stages:
            if entry.name == stage:
                return entry
        raise RefusedError("unknown-stage", f"study {self.id!r} has no stage {stage!r}", "draft it again")

    def check(self) -> None:
        """Recomputes everything that follows from something else.

        Raises:
            RefusedError: ``manifest-inconsistent``, naming what does not follow; or the errors of
                ``build_analysis`` and ``accounting``.
        """
        analysis = self.build_analysis()
        found = [(entry.name, entry.rounds, entry.dimension, entry.bound) for entry in self.stages]
        expected = [(entry.name, entry.rounds, entry.dimension, entry.bound) for entry in analysis.stages()]
        _require(found == expected, "stages are not those of the analysis with these parameters")
        _require(self.columns == tuple(f.name for f in analysis.fields()), "columns are not those it reads")
        _require(self.contract_version == CONTRACT_VERSION, "it is made for another data contract")
        _require(self.protocol == wire.PROTOCOL, f"it is made for another protocol than {wire.PROTOCOL}")
        whole = analysis.parameters.model_dump(mode="json")
        _require(self.parameters == whole, "it leaves parameters to defaults")
        _require(len(set(self.participants)) == len(self.participants), "a participant is named twice")
        _require(list(self.participants) == sorted(self.participants), "participants are not in order")
        _require(self.minimum_participants <= len(self.participants), "more participants needed than named")
        states = whole.get("states") or self.participants
        _require(tuple(states) == self.participants, "its tables by state are not by its participants")
        self._check_holders()
        for entry in self.stages:
            _require(
                entry.rho >= self.round_cost(entry), f"stage {entry.name} claims less than its noise costs"
            )
            worst = self.max_victims * entry.bound * len(self.participants)
            spread = 20 * self.noise(entry.name, len(self.participants))
            _require(worst < LARGEST_TOTAL - spread, f"sums of stage {entry.name} could exceed 62 bits")
        _require(self.rho >= total_cost(self.stages, self.retries), "rho is below the sum of its rounds")
        _require(self.epsilon >= accounting.epsilon(self.rho, self.delta), "epsilon is below that of its rho")

    def _check_holders(self) -> None:
        _require(self.minimum_participants > len(self.participants) // 2, "half of the participants could do")
        if self.trust == "masked":
            _require(
                self.tolerated_colluders >= 1, "each node knows its own noise: tolerate at least 1 colluder"
            )
            fewest = self.holders(self.minimum_participants)
            _require(fewest >= 2, "its fewest participants leave less than 2 holders of noise")

    def round_cost(self, terms: StageTerms) -> float:
        """Rho of one round of a stage at the most expensive permitted number of participants."""
        counts = range(self.minimum_participants, len(self.participants) + 1)
        return max(
            accounting.round_cost(
                bound=terms.bound,
                scale=terms.sigma / math.sqrt(self.holders(count)),
                holders=self.holders(count),
                dimension=terms.dimension,
            )
            for count in counts
        )


def total_cost(stages: tuple[StageTerms, ...], retries: int) -> float:
    """Cost of all rounds and of the retries, each at the cost of the dearest stage."""
    try:
        rounds = math.fsum(stage.rounds * stage.rho for stage in stages)
    except OverflowError:  # finite terms whose sum no float holds
        return math.inf
    return (rounds + retries * max(stage.rho for stage in stages)) * (1 + 1e-12)


def _require(condition: bool, what: str) -> None:  # noqa: FBT001 - a condition and nothing else
    if not condition:
        raise RefusedError(
            "manifest-inconsistent", f"the manifest contradicts itself: {what}", "draft it again"
        )


def parse(data: bytes) -> Manifest:
    """A manifest from its canonical bytes, checked.

    Raises:
        PeerError: ``not-canonical``.
        ConfigurationError: ``bad-manifest``, naming each wrong field.
        RefusedError: from ``Manifest.check``.
    """
    canonical.parse(data)
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise ConfigurationError(
            "bad-manifest", f"the manifest is wrong: {problems}", "draft it again"
        ) from error
    manifest.check()
    return manifest
