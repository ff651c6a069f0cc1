"""The report: one HTML page that works offline.

Guarantees:

- The page is one file: no script, no link to anything outside, and a content security policy that permits
  nothing but its own style sheet (by hash). Whatever text the facts hold is escaped.
- The same facts give the same page, byte for byte.
- ``write`` puts the whole page at its path, or leaves what was there.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import os
import secrets
from datetime import UTC
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from safeborders_fed.errors import ConfigurationError
from safeborders_fed.reporting import findings, tables
from safeborders_fed.reporting.figures import (
    MISSING_MARK,
    UNCLEAR_MARK,
    PublishedTrends,
    auc_difference,
    auc_text,
    cost_text,
    one_in,
    publish,
)
from safeborders_fed.reporting.model import TOTAL, Report

if TYPE_CHECKING:
    from jinja2 import Environment

EXTRA: Final = ("altair", "jinja2", "vl_convert")
PANELS: Final = 6
"""Forms of exploitation that get a chart of their own; the table holds all."""


def render(report: Report) -> str:
    """The page as text.

    Raises:
        ConfigurationError: ``report-extra-missing``, when the packages of the extra are not installed.
    """
    _require_extra()
    environment = _environment()
    style = resources.files("safeborders_fed.reporting").joinpath("templates/style.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    trends = publish(report.trends)
    return environment.get_template("report.html.j2").render(
        report=report,
        created=report.created.astimezone(UTC),
        style=style,
        style_hash=f"sha256-{digest}",
        findings=findings.key_findings(report, trends),
        epsilon_in_words=findings.epsilon_in_words(report.total_epsilon, report.delta),
        trust_modes={study.trust: findings.TRUST_MODES[study.trust] for study in report.studies},
        tables=(tables.forms_table(trends), tables.ages_table(trends), tables.cells_table(trends)),
        trends=trends,
        further_forms=max(0, len(trends.forms) - PANELS),
        **_charts(report, trends),
    )


def write(report: Report, path: Path) -> None:
    """Renders the page and puts it at ``path``, in one step.

    Raises:
        ConfigurationError: ``report-extra-missing``; ``report-not-written``, when the directory does not
            exist or cannot be written to.
    """
    page = render(report)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with partial.open("x", encoding="utf-8", newline="\n") as stream:
            stream.write(page)
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


def _require_extra() -> None:
    missing = [name for name in EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            "report-extra-missing",
            f"the report needs packages that are not installed: {', '.join(missing)}",
            "run `pip install 'safeborders-fed[report]'`",
        )


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - belongs to the extra

    environment = Environment(
        loader=PackageLoader("safeborders_fed.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"auc": auc_text, "against": auc_difference, "cost": cost_text, "one_in": one_in}
    environment.globals |= {"UNCLEAR": UNCLEAR_MARK, "MISSING": MISSING_MARK}
    return environment


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
