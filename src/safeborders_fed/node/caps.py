"""What a node allows its studies to cost, and whether a cost fits beside what is spent and reserved.

Guarantees: pure arithmetic in rho, which adds; a cost that is not a number fits nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from safeborders_fed.errors import RefusedError


@dataclass(frozen=True, slots=True)
class Caps:
    """Largest rho that a node allows: for one study, in a calendar year, and ever."""

    study: float
    year: float
    lifetime: float


@dataclass(frozen=True, slots=True)
class Totals:
    """Rho so far. ``reserved`` is what open studies hold and have not spent."""

    spent: float
    reserved: float


def exceeded(caps: Caps, rho: float, count: float, *, year: Totals, ever: Totals) -> dict[str, str]:
    """The caps that a cost would exceed beside what is spent and reserved, each with why.

    Args:
        caps: What the node allows.
        rho: What a study costs.
        count: What counting its population costs besides, in the year and the lifetime.
        year: What is spent in the year.
        ever: What is spent and reserved.
    """
    held = {"study": 0.0, "year": year.spent + ever.reserved, "lifetime": ever.spent + ever.reserved}
    each = {"study": caps.study, "year": caps.year, "lifetime": caps.lifetime}
    return {
        span: f"the cap per {span} is {cap:.6g}, of which {held[span]:.6g} is spent or reserved"
        for span, cap in each.items()
        if not held[span] + rho + (0.0 if span == "study" else count) <= cap
    }


def require_room(study: str, rho: float, count: float, found: dict[str, str]) -> None:
    """Raises RefusedError ``budget-exhausted`` if ``exceeded`` found a cap."""
    if found:
        raise RefusedError(
            "budget-exhausted",
            f"study {study!r} costs rho {rho:.6g}{f', its count {count:.6g} more' if count else ''}; "
            f"{'; '.join(found.values())}",
            "decline the study, or let two approvers raise the cap in node.toml",
        )
