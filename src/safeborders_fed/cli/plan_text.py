"""A budget plan as people and machines read it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from safeborders_fed.cli import output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safeborders_fed.coordinator.spending import Spent
    from safeborders_fed.study.budget import Outlook
    from safeborders_fed.study.budget_plan import Plan


def content(plan: Plan, found: Outlook, spent: Sequence[Spent]) -> dict[str, Any]:
    """The plan for machines: rho and epsilon of everything."""
    from safeborders_fed.privacy.accounting import epsilon

    delta = plan.caps.delta
    year, lifetime = found.quarters[-1].year, found.quarters[-1].lifetime
    return {
        "year": plan.year,
        "delta": delta,
        "caps": plan.caps.model_dump(mode="json"),
        "limits_rho": found.limits,
        "costs": [asdict(cost) | {"epsilon": epsilon(cost.rho, delta)} for cost in found.costs],
        "plan": {"rho": found.rho, "epsilon": epsilon(found.rho, delta)},
        "past": asdict(found.past),
        "past_studies": [asdict(entry) for entry in spent],
        "quarters": [
            asdict(entry)
            | {"epsilon_year": epsilon(entry.year, delta), "epsilon_lifetime": epsilon(entry.lifetime, delta)}
            for entry in found.quarters
        ],
        "left": {
            "year_rho": found.limits["year"] - year,
            "lifetime_rho": found.limits["lifetime"] - lifetime,
        },
        "repeatable_years": found.repeatable,
        "exceeded": [asdict(entry) | {"quarter": entry.quarter} for entry in found.exceeded],
    }


def text(plan: Plan, found: Outlook, spent: Sequence[Spent]) -> str:
    """The plan for people."""
    delta = plan.caps.delta
    lines = [
        f"Plan for {plan.year}. What it costs one victim, retries paid; epsilon at delta {delta:g}.",
        "Nothing is drafted.",
        "",
        _costs(found, delta),
        "",
        _quarters(found, delta),
        "",
        _past(plan, found, spent),
        *_left(plan, found),
    ]
    return "\n".join(lines)


def _costs(found: Outlook, delta: float) -> str:
    from safeborders_fed.privacy.accounting import epsilon

    rows: list[tuple[object, ...]] = [
        (
            cost.study,
            cost.analysis or "-",
            len(cost.days),
            f"{cost.rho:.5f}",
            f"{epsilon(cost.rho, delta):.3g}",
            f"{cost.rho * len(cost.days):.5f}",
            f"{cost.rho_without_retries * len(cost.days):.5f}",
        )
        for cost in found.costs
    ]
    rows.append(("the whole plan", "", "", "", f"{epsilon(found.rho, delta):.3g}", f"{found.rho:.5f}", ""))
    header = ("study", "analysis", "times", "rho each", "epsilon", "rho a year", "without retries")
    return output.table(header, rows)


def _quarters(found: Outlook, delta: float) -> str:
    from safeborders_fed.privacy.accounting import epsilon

    rows = []
    for entry in found.quarters:
        names = {name: entry.studies.count(name) for name in entry.studies}
        studies = ", ".join(name if count == 1 else f"{count} x {name}" for name, count in names.items())
        rows.append(
            (
                f"Q{entry.number}",
                f"{entry.rho:.5f}",
                f"{entry.year:.5f}",
                f"{epsilon(entry.year, delta):.3g}",
                f"{max(0.0, found.limits['year'] - entry.year):.5f}",
                _over(found, entry.number),
                studies or "-",
            )
        )
    header = ("quarter", "rho", "year so far", "epsilon", "left of year", "cap exceeded", "studies")
    return output.table(header, rows)


def _over(found: Outlook, quarter: int) -> str:
    return " ".join(entry.cap for entry in found.exceeded if entry.quarter == quarter) or "-"


def _past(plan: Plan, found: Outlook, spent: Sequence[Spent]) -> str:
    open_now = [entry.study for entry in spent if entry.year is None]
    reserved = f" ({', '.join(open_now)} still open, at all they may cost)" if open_now else ""
    studies = "1 study" if len(spent) == 1 else f"{len(spent)} studies"
    return (
        f"Before it:   rho {found.past.year:.5f} in {plan.year}, {found.past.lifetime:.5f} ever, "
        f"by {studies} of this coordinator{reserved}"
    )


def _left(plan: Plan, found: Outlook) -> list[str]:
    from safeborders_fed.privacy.accounting import epsilon

    caps, delta, last = plan.caps, plan.caps.delta, found.quarters[-1]
    years = "once" if found.repeatable == 1 else f"for {found.repeatable} years"
    year, lifetime = (f"{epsilon(rho, delta):.3g}" for rho in (last.year, last.lifetime))
    left = {cap: found.limits[cap] - rho for cap, rho in (("year", last.year), ("lifetime", last.lifetime))}
    return [
        f"Year:        epsilon {year} of {caps.epsilon_per_year:g}; left rho {left['year']:.5f}",
        f"Lifetime:    epsilon {lifetime} of {caps.epsilon_lifetime:g}; left rho {left['lifetime']:.5f}",
        f"Repeated:    such a year can be had {years} under the lifetime cap, from now on",
    ]
