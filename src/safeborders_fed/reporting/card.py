"""The model card: what a released model is, is not, and how far it can be trusted.

Headings follow the technical documentation of Regulation (EU) 2024/1689 (AI Act), Annex IV, 1 to 9.

Guarantees: a pure function of frozen facts; counts are published as in the report (rounded, with a margin
that stands around the rounded number); a cost is never shown too low; what was not measured is said to be so.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC
from typing import Any, Final

from safeborders_fed.reporting import card_sections
from safeborders_fed.reporting.accuracy import UNKNOWN, GroupAccuracy
from safeborders_fed.reporting.card_facts import MembershipTest, ModelCardFacts
from safeborders_fed.reporting.figures import count_of
from safeborders_fed.reporting.pages import page, require_extra

SCHEMA_VERSION: Final = 1


def card(facts: ModelCardFacts) -> dict[str, Any]:
    """The card as JSON values.

    Keys: ``schema_version``; ``name``, ``created``, ``synthetic``; ``warnings``, sentences for the top of the
    page; ``model`` (hashes and versions); ``sections`` (nine, each with ``id``, ``heading``, ``paragraphs``,
    ``facts`` as pairs, ``lists`` and ``tables``), which is the text; ``measurements``, the same numbers for
    machines.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "name": facts.name,
        "created": facts.created.astimezone(UTC).isoformat(timespec="seconds"),
        "synthetic": facts.synthetic,
        "warnings": [] if facts.accuracy_known else [UNKNOWN],
        "model": {
            "sha256": facts.model_hash,
            "manifest_sha256": facts.manifest_hash,
            "started_from": facts.started_from,
            "analysis": facts.analysis,
            "study": facts.study,
            "software_version": facts.software_version,
            "contract_version": facts.contract_version,
        },
        "sections": card_sections.sections(facts),
        "measurements": _measurements(facts),
    }


def render_card(card: dict[str, Any]) -> str:
    """The card as a page that works offline, without any script.

    Args:
        card: From ``card``.

    Raises:
        ConfigurationError: ``report-extra-missing``, when the packages of the extra are not installed.
    """
    require_extra()
    return page("card_page.html.j2", card=card)


def _measurements(facts: ModelCardFacts) -> dict[str, Any]:
    accuracy = facts.accuracy
    return {
        "privacy": {
            "unit": "victim",
            "rho": facts.rho,
            "epsilon": facts.epsilon,
            "delta": facts.delta,
            "trust": facts.trust,
            "tolerated_colluders": facts.tolerated_colluders,
        },
        "approvals": dict(facts.approvals),
        "accuracy": None
        if accuracy is None
        else {
            "overall": _group(accuracy.overall),
            "groups": {
                partition: {group.name: _group(group) for group in groups}
                for partition, groups in accuracy.groups.items()
            },
            "calibration": {"slope": accuracy.slope, "intercept": accuracy.intercept},
        },
        "membership": None if facts.membership is None else _attack(facts.membership),
    }


def _attack(found: MembershipTest) -> dict[str, Any]:
    return asdict(found) | {"guesses": [asdict(guess) for guess in found.guesses]}


def _group(group: GroupAccuracy) -> dict[str, Any]:
    victims = count_of(group.victims.value, group.victims.error)
    positives = count_of(group.positives.value, group.positives.error)
    return {
        "victims": victims.value,
        "victims_margin": victims.margin,
        "positives": positives.value,
        "positives_margin": positives.margin,
        "auc": group.auc,
        "auc_margin": group.margin,
        "reason": group.reason,
    }
