"""What a demonstration adds to the page of its released tables, as its template takes it.

Guarantees: nothing here counts victims by a trait; charts come with the tables of their numbers, in the
template.
"""

from __future__ import annotations

from typing import Any

from safeborders_fed.reporting import card_sections, findings, shown_beside_links
from safeborders_fed.reporting.accuracy import UNKNOWN
from safeborders_fed.reporting.language import _
from safeborders_fed.reporting.model import Demonstration


def links(demonstration: Demonstration) -> tuple[tuple[str, str], ...]:
    """Id and heading of each section that a demonstration adds, in the order of the page."""
    return (
        ("privacy", _("Questions and privacy")),
        ("detection", _("Detection")),
        *(((shown_beside_links.ID, shown_beside_links.heading()),) if demonstration.links else ()),
        *((("card", _("Model card")),) if demonstration.card is not None else ()),
        ("nodes", _("Nodes")),
        ("timings", _("Timings")),
    )


def facts(demonstration: Demonstration) -> dict[str, Any]:
    """All charts and texts by their name in the template."""
    found: dict[str, Any] = {
        "epsilon_in_words": findings.epsilon_in_words(demonstration.total_epsilon, demonstration.delta),
        "trust_modes": [_(findings.TRUST_MODES[mode]) for mode in _modes(demonstration)],
        "not_for": [_(entry) for entry in card_sections.NOT_FOR],
        "steps": [(_(step), seconds) for step, seconds in demonstration.seconds.items()],
        **_charts(demonstration),
    }
    if demonstration.links is not None:
        found["links_beside"] = shown_beside_links.section(demonstration.links)
    if demonstration.card is not None:
        found["warnings"] = [] if demonstration.card.accuracy_known else [_(UNKNOWN)]
    return found


def _modes(demonstration: Demonstration) -> list[str]:
    return list(dict.fromkeys(study.trust for study in demonstration.studies))


def _charts(demonstration: Demonstration) -> dict[str, Any]:
    from safeborders_fed.reporting import charts, model_charts  # noqa: PLC0415 - needs the extra

    drawn: dict[str, Any] = {}
    if demonstration.detection is not None:
        drawn["models_chart"] = charts.models_chart(demonstration.detection, name="models")
        drawn["own_chart"] = charts.own_records_chart(demonstration.detection, name="own")
    card = demonstration.card
    if card is not None and card.accuracy is not None:
        drawn["groups_chart"] = model_charts.groups_chart(card.accuracy, name="groups")
        drawn["calibration_chart"] = model_charts.calibration_chart(card.accuracy, name="calibration")
    return drawn
