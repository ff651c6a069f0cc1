"""Drafting a manifest: from a wish (an analysis and an epsilon) to bounds, noise and costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import safeborders_fed
from safeborders_fed.analyses.base import PurposeCategory
from safeborders_fed.analyses.registry import build
from safeborders_fed.cases.contract import CONTRACT_VERSION
from safeborders_fed.privacy import accounting
from safeborders_fed.study import wire
from safeborders_fed.study.code_version import code_hash
from safeborders_fed.study.manifest import (
    SCHEMA_VERSION,
    UNIT,
    Manifest,
    StageTerms,
    total_cost,
)


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What an operator wants of a study.

    Attributes:
        purpose_category: By default what the analysis is made for.
        rho: What all of it may cost, retries included.
        retries: Attempts reserved beyond one a round.
        minimum_participants: Fewer end the study; by default more than half of the participants.
    """

    id: str
    purpose: str
    legal_basis: str
    analysis: str
    parameters: dict[str, Any]
    participants: Sequence[str]
    roster_hash: str
    rho: float
    delta: float
    expires: date
    max_victims: int
    trust: Literal["masked", "local"] = "masked"
    retries: int = 2
    tick_seconds: float = 2.0
    tolerated_colluders: int = 1
    minimum_participants: int | None = None
    purpose_category: PurposeCategory | None = None


def draft(wish: Wish) -> Manifest:
    """The manifest that spends ``wish.rho``: noise as small as that allows.

    Raises:
        RefusedError: when the wish contradicts itself, or leaves less noise than two grid units.
        ConfigurationError: when parameters are wrong.
    """
    analysis = build(wish.analysis, wish.parameters)
    shapes = analysis.stages()
    # Retries cost what the dearest stage costs a round: scale all shares so that everything fits.
    dearest = max(shape.share / shape.rounds for shape in shapes)
    unit = wish.rho / (sum(shape.share for shape in shapes) + wish.retries * dearest) * (1 - 1e-11)
    participants = tuple(sorted(wish.participants))
    # With all participants each scale is smallest, so the correction for discreteness is largest.
    holders = 1 if wish.trust == "local" else max(1, len(participants) - wish.tolerated_colluders)
    stages = []
    for shape in shapes:
        rho = unit * shape.share / shape.rounds
        scale = accounting.scale_for(rho=rho, bound=shape.bound, holders=holders, dimension=shape.dimension)
        stages.append(
            StageTerms(
                name=shape.name,
                rounds=shape.rounds,
                dimension=shape.dimension,
                bound=shape.bound,
                sigma=scale * math.sqrt(holders) * (1 + 1e-9),  # beyond rounding for any number of holders
                rho=rho,
            )
        )
    rho = total_cost(tuple(stages), wish.retries)
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        id=wish.id,
        purpose=wish.purpose,
        purpose_category=wish.purpose_category or analysis.made_for,
        legal_basis=wish.legal_basis,
        analysis=wish.analysis,
        parameters=analysis.parameters.model_dump(mode="json"),
        columns=tuple(field.name for field in analysis.fields()),
        unit=UNIT,
        participants=participants,
        minimum_participants=wish.minimum_participants or len(participants) // 2 + 1,
        tolerated_colluders=wish.tolerated_colluders,
        trust=wish.trust,
        roster_hash=wish.roster_hash,
        stages=tuple(stages),
        retries=wish.retries,
        tick_seconds=wish.tick_seconds,
        rho=rho,
        epsilon=accounting.epsilon(rho, wish.delta),
        delta=wish.delta,
        max_victims=wish.max_victims,
        contract_version=CONTRACT_VERSION,
        protocol=wire.PROTOCOL,
        software_version=safeborders_fed.__version__,
        code_hash=code_hash(),
        expires=wish.expires,
    )
    manifest.check()
    return manifest
