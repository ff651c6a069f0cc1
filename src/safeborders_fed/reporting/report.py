"""The report: one HTML page that works offline.

Guarantees:

- The page is one file: no script, no link to anything outside, and a content security policy that permits
  nothing but its own style sheet (by hash). Whatever text the facts hold is escaped.
- The same facts give the same page, byte for byte.
- ``write`` puts the whole page at its path, or leaves what was there.
"""

from __future__ import annotations

import os
import secrets
from datetime import UTC
from pathlib import Path
from typing import Any, Final

from safeborders_fed.errors import ConfigurationError
from safeborders_fed.reporting import card_sections, findings, tables
from safeborders_fed.reporting.accuracy import UNKNOWN
from safeborders_fed.reporting.figures import PublishedTrends, publish
from safeborders_fed.reporting.model import TOTAL, Report
from safeborders_fed.reporting.pages import page, require_extra

PANELS: Final = 6
"""Forms of exploitation that get a chart of their own; the table holds all."""


def render(report: Report) -> str:
    """The page as text.

    Raises:
        ConfigurationError: ``report-extra-missing``, when the packages of the extra are not installed.
    """
    require_extra()
    trends = publish(report.trends)
    return page(
        "report.html.j2",
        report=report,
        created=report.created.astimezone(UTC),
        findings=findings.key_findings(report, trends),
        epsilon_in_words=findings.epsilon_in_words(report.total_epsilon, report.delta),
        trust_modes={study.trust: findings.TRUST_MODES[study.trust] for study in report.studies},
        tables=(tables.forms_table(trends), tables.ages_table(trends), tables.cells_table(trends)),
        trends=trends,
        further_forms=max(0, len(trends.forms) - PANELS),
        **_charts(report, trends),
        **_details(report),
    )


def write(report: Report, path: Path) -> None:
    """Renders the page and puts it at ``path``, in one step.

    Raises:
        ConfigurationError: ``report-extra-missing``; ``report-not-written``, when the directory does not
            exist or cannot be written to.
    """
    text = render(report)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with partial.open("x", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ConfigurationError(
            "report-not-written",
            f"the report cannot be written to {path}: {error.strerror}",
            "name a file in an existing directory that you may write to",
        ) from error


def _charts(report: Report, trends: PublishedTrends) -> dict[str, Any]:
    """All charts by their name in the template."""
    from safeborders_fed.reporting import charts  # noqa: PLC0415 - needs the extra

    drawn: dict[str, Any] = {
        "years_chart": charts.years_chart(trends, name="years", form=TOTAL, width=560, height=190),
        "form_charts": [
            (form, charts.years_chart(trends, name=f"form{number}", form=form, width=225, height=110))
            for number, form in enumerate(trends.largest_forms[:PANELS], start=1)
        ],
        "age_chart": charts.age_chart(trends, name="ages"),
    }
    if report.detection is not None:
        drawn["models_chart"] = charts.models_chart(report.detection, name="models")
        drawn["own_chart"] = charts.own_records_chart(report.detection, name="own")
    return drawn


def _details(report: Report) -> dict[str, Any]:
    """Charts and tables of typologies and of the model card."""
    from safeborders_fed.reporting import model_charts  # noqa: PLC0415 - needs the extra

    found: dict[str, Any] = {"not_for": card_sections.NOT_FOR}
    if report.card is not None:
        found["warnings"] = [] if report.card.accuracy_known else [UNKNOWN]
    if report.typologies is not None and report.typologies.types:
        found["states_chart"] = model_charts.states_chart(report.typologies, name="type-states")
        found["type_years_chart"] = model_charts.type_years_chart(report.typologies, name="type-years")
        found["type_tables"] = tables.type_tables(report.typologies)
    if report.card is not None and report.card.accuracy is not None:
        found["groups_chart"] = model_charts.groups_chart(report.card.accuracy, name="groups")
        found["calibration_chart"] = model_charts.calibration_chart(report.card.accuracy, name="calibration")
    return found
