"""What every page is made with: its templates, its one style sheet, and the policy that permits no more.

Guarantees: text is escaped unless a template says otherwise; a name that a template does not know is an
error; the style sheet stands in the page, and its hash in the page's content security policy.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from safeborders_fed.errors import ConfigurationError
from safeborders_fed.reporting.figures import (
    MISSING_MARK,
    TOO_LITTLE,
    UNCLEAR_MARK,
    area_text,
    auc_difference,
    auc_text,
    chance_text,
    cost_text,
    count_of,
    one_in,
    thousandths,
)
from safeborders_fed.reporting.language import _, ngettext, tag

if TYPE_CHECKING:
    from jinja2 import Environment

EXTRA: Final = ("altair", "jinja2", "vl_convert")


def page(template: str, **facts: Any) -> str:
    """A page as text, by the packages of the extra."""
    style = resources.files("safeborders_fed.reporting").joinpath("templates/style.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    made: str = (
        _environment()
        .get_template(template)
        .render(style=style, style_hash=f"sha256-{digest}", language=tag(), **facts)
    )
    return made


def require_extra() -> None:
    """Refuses to go on without the packages of the extra.

    Raises:
        ConfigurationError: ``report-extra-missing``.
    """
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
        extensions=["jinja2.ext.i18n"],
    )
    # The extension adds the method; values are escaped, and a per cent sign in a message is written twice.
    install: Any = vars(environment)["install_gettext_callables"]
    install(_, ngettext, newstyle=True)
    environment.filters |= {
        "auc": auc_text,
        "against": auc_difference,
        "cost": cost_text,
        "one_in": one_in,
        "area": area_text,
        "chance": chance_text,
        "thousandths": thousandths,
    }
    environment.globals |= {
        "UNCLEAR": UNCLEAR_MARK,
        "MISSING": MISSING_MARK,
        "TOO_LITTLE": TOO_LITTLE,
        "count_of": count_of,
    }
    return environment
