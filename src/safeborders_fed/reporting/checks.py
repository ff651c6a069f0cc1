"""Checks of facts when they are put together: what contradicts itself is never drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping

from safeborders_fed.errors import DefectError


def refuse(cause: str) -> DefectError:
    """The error for facts that contradict themselves."""
    return DefectError("report-facts", cause, "report this as a defect of safeborders-fed")


def require_finite(owner: str, values: Mapping[str, float | None]) -> None:
    """Refuses numbers that are not finite or negative; ``None`` stands for a missing one.

    Raises:
        DefectError: ``report-facts``.
    """
    for name, value in values.items():
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise refuse(f"{name} of {owner} is {value}, not a finite number of zero or more")


def require_share(owner: str, values: Mapping[str, float | None]) -> None:
    """Refuses what is not between 0 and 1 either.

    Raises:
        DefectError: ``report-facts``.
    """
    require_finite(owner, values)
    for name, value in values.items():
        if value is not None and value > 1:
            raise refuse(f"{name} of {owner} is {value}, more than 1")
