"""The analyses that this version knows. A further one needs its file and a line here."""

from __future__ import annotations

from typing import Any, Final

from safeborders_fed.analyses.base import Analysis, parse_parameters
from safeborders_fed.analyses.logistic import Logistic
from safeborders_fed.analyses.neural import Neural
from safeborders_fed.analyses.trends import Trends
from safeborders_fed.analyses.typology import Typology
from safeborders_fed.errors import RefusedError

ANALYSES: Final[dict[str, type[Analysis[Any, Any, Any]]]] = {
    kind.name: kind for kind in (Logistic, Neural, Trends, Typology)
}


def build(name: str, parameters: dict[str, Any]) -> Analysis[Any, Any, Any]:
    """The analysis called ``name`` with parameters from a manifest.

    Raises:
        RefusedError: ``unknown-analysis``.
        ConfigurationError: ``bad-parameters``.
    """
    if name not in ANALYSES:
        raise RefusedError(
            "unknown-analysis",
            f"this version has no analysis {name!r}",
            f"use one of {', '.join(sorted(ANALYSES))}, or upgrade",
        )
    kind = ANALYSES[name]
    return kind(parse_parameters(kind, parameters))
