"""The three studies of the demonstration: what is asked, of which fields, at which share of the budget."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from safeborders_fed.analyses.trend_choice import CATALOGUE, OF_LINKS
from safeborders_fed.cases.contract import features
from safeborders_fed.cases.encoding import target_fields
from safeborders_fed.simulation.nodes import MAX_VICTIMS, CaseFile
from safeborders_fed.study.draft import Wish

if TYPE_CHECKING:
    from safeborders_fed.simulation.demo import Options
    from safeborders_fed.study.roster import Roster

HELD_OUT_PERCENT: Final = 25
SHARES: Final = {"demo-detection": 0.5, "demo-typologies": 0.3, "demo-trends": 0.2}
"""Shares of rho."""
_RETRIES: Final = {"logistic": 2, "typology": 1, "trends": 0}
"""A retry is reserved at the cost of the dearest round: where rounds are few, that is much of the study."""
_EVALUATION_SHARE: Final = 0.25
_LEGAL_BASIS: Final = "None needed: demonstration on one machine."
_TOO_MANY: Final = ("exploitation", "corridors", "recruitment", "means")
_LEFT_OUT: Final = frozenset({"forms-ages"} | {f"{name}-over-time" for name in _TOO_MANY})
"""Period by form by age has 882 counts, most of them suppressed, and no section of the page. Of what is
followed over time the citizenships are enough to try early warning: each table costs all others precision."""
_OF_THE_STATE: Final = "country_of_exploitation"
"""The node itself in most files: it would teach a model the state."""


def default_target(files: Sequence[CaseFile]) -> str:
    """By the mappings, which are public: a constant status cannot be learnt."""
    for file in files:
        status = file.mapping.fields.get("trafficking_status")
        if status is None or getattr(status, "constant", None) is not None:
            return "form:SexualExploitation"
    return "actual_victim"


def _mapped_features(files: Sequence[CaseFile]) -> list[str]:
    """Features that at least one mapping fills from a column."""
    filled = {
        name
        for file in files
        for name, source in file.mapping.fields.items()
        if getattr(source, "constant", None) is None
    }
    return [entry.name for entry in features() if entry.name in filled - {_OF_THE_STATE}]


def _years(files: Sequence[CaseFile]) -> dict[str, int]:
    return {
        "first_year": min(file.mapping.period.first for file in files),
        "last_year": max(file.mapping.period.last for file in files),
    }


def detection(options: Options, target: str, files: Sequence[CaseFile]) -> tuple[str, dict[str, Any]]:
    """Purpose and parameters of the detection study."""
    of_target = {entry.name for entry in target_fields(target)}
    return "Show that a detection model can be trained without any case record leaving its state.", {
        "target": target,
        "features": [name for name in _mapped_features(files) if name not in of_target],
        "rounds": options.rounds,
        "held_out": HELD_OUT_PERCENT,
        "partitions": ["sex", "age", "citizenship", "state"],
        "evaluation_share": _EVALUATION_SHARE,
        "states": sorted(file.node for file in files),
    }


def typologies(files: Sequence[CaseFile]) -> tuple[str, dict[str, Any]]:
    """Purpose and parameters of the typology study."""
    alike = {"citizenship", "country_of_recruitment"}  # two that say the same make classes of their own
    return "Show in which ways the crime is done, and that the same way occurs in several states.", {
        "features": [name for name in _mapped_features(files) if name not in alike],
        "states": sorted(file.node for file in files),
        **_years(files),
    }


def trends(files: Sequence[CaseFile], *, links: bool) -> tuple[str, dict[str, Any]]:
    """Purpose and parameters of the study of tables, with those of links if there was an exchange."""
    left_out = _LEFT_OUT if links else _LEFT_OUT | set(OF_LINKS)
    return "Show tables over all states with honest error margins.", {
        **_years(files),
        "tables": [name for name in CATALOGUE if name not in left_out],
        "states": sorted(file.node for file in files),
    }


def wish(
    options: Options,
    study: str,
    asked: tuple[str, dict[str, Any]],
    *,
    analysis: str,
    roster: Roster,
    rho: float,
) -> Wish:
    """A study of the demonstration, at its share of rho."""
    purpose, parameters = asked
    return Wish(
        id=study,
        purpose=purpose,
        legal_basis=_LEGAL_BASIS,
        analysis=analysis,
        parameters=parameters,
        participants=tuple(roster.keys()),
        roster_hash=roster.hash(),
        trust=options.trust,
        rho=rho * SHARES[study] * (1 - 1e-9),
        delta=options.delta,
        expires=(datetime.now(UTC) + timedelta(days=1)).date(),
        max_victims=MAX_VICTIMS,
        retries=_RETRIES[analysis],
    )
