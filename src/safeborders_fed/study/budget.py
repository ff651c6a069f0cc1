"""A year of planned studies, and whether it fits what the states' policies permit. Nobody is asked anything.

Guarantees:

- What a study costs is what ``study.draft.draft`` reserves for it: all rounds and all retries.
- Costs in rho add; epsilon is computed once, from a total. A cap is held against the same sums as at a node
  (``node.ledger``): what is spent and reserved, and the study's whole cost. So a plan that fits here is
  refused by no ledger that has spent what is stated here, under these caps.
- Strict: unknown keys and whatever is no finite number are refused, and the error names the key.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from safeborders_fed.errors import ConfigurationError, RefusedError, SafeBordersError, rebuilt
from safeborders_fed.privacy import accounting
from safeborders_fed.study.budget_plan import Plan, PlannedCaps, PlannedStudy
from safeborders_fed.study.draft import Wish, draft
from safeborders_fed.study.manifest import Manifest

COUNT: Final = "count of victims"
_NO_ROSTER: Final = "0" * 64


@dataclass(frozen=True)
class Cost:
    """What one study of a plan costs.

    Attributes:
        study: Its name; ``COUNT`` for the counts that nodes draw to test their least number of victims.
        analysis: Its analysis, empty for counts.
        rho: Of one time, all retries paid.
        rho_without_retries: Of one time in which nobody falls silent.
        days: When it takes place.
    """

    study: str
    analysis: str
    rho: float
    rho_without_retries: float
    days: tuple[date, ...]


@dataclass(frozen=True)
class Excess:
    """A cap that a plan exceeds.

    Attributes:
        cap: ``study``, ``year`` or ``lifetime``.
        study: The first study that a node would refuse.
        day: When.
        held: What is spent or reserved by then, rho.
        rho: What the study costs.
        limit: The cap, rho.
    """

    cap: str
    study: str
    day: date
    held: float
    rho: float
    limit: float

    @property
    def quarter(self) -> int:
        """The quarter of ``day``, from 1."""
        return quarter_of(self.day)

    def error(self) -> RefusedError:
        """What to say of it."""
        return RefusedError(
            "plan-exceeds-caps",
            f"the plan exceeds the cap per {self.cap}: study {self.study!r} on {self.day} (quarter "
            f"{self.quarter}) costs rho {self.rho:.4g}; the cap is {self.limit:.4g}, of which "
            f"{self.held:.4g} is spent or planned by then",
            "ask less often, with less epsilon or with fewer retries",
        )


@dataclass(frozen=True)
class Quarter:
    """One quarter.

    Attributes:
        number: From 1.
        studies: What takes place in it, in order.
        rho: Its cost.
        year: Spent and planned in the year by its end, rho.
        lifetime: Spent and planned ever by its end, rho.
    """

    number: int
    studies: tuple[str, ...]
    rho: float
    year: float
    lifetime: float


@dataclass(frozen=True)
class Past:
    """What was spent or is reserved before the plan begins, rho: in the plan's year, and ever."""

    year: float
    lifetime: float


@dataclass(frozen=True)
class Outlook:
    """What a plan comes to.

    Attributes:
        costs: Of each study, counts last.
        past: What went before.
        rho: Of a whole year of the plan.
        quarters: The four, with what is still to come.
        exceeded: For each cap that is exceeded, where first; in order of time.
        repeatable: For how many whole years the plan can be repeated under the lifetime cap.
        limits: The caps in rho by name.
    """

    costs: tuple[Cost, ...]
    past: Past
    rho: float
    quarters: tuple[Quarter, ...]
    exceeded: tuple[Excess, ...]
    repeatable: int
    limits: dict[str, float]


def quarter_of(day: date) -> int:
    """The quarter that a day is in, from 1."""
    return (day.month - 1) // 3 + 1


def limits(caps: PlannedCaps) -> dict[str, float]:
    """The caps in rho, which add."""
    return {
        "study": accounting.rho_for(caps.epsilon_per_study, caps.delta),
        "year": accounting.rho_for(caps.epsilon_per_year, caps.delta),
        "lifetime": accounting.rho_for(caps.epsilon_lifetime, caps.delta),
    }


def costs(plan: Plan, participants: Sequence[str]) -> tuple[Cost, ...]:
    """What each study costs, for a federation of these states; the nodes' own counts last.

    Raises:
        RefusedError, ConfigurationError: As ``study.draft.draft``, naming the study.
    """
    found = []
    for study in plan.studies:
        manifest = drafted(plan, study, participants)
        rounds = sum(stage.rounds * stage.rho for stage in manifest.stages)
        days = study.dates or spread(plan.year, study.times)
        found.append(Cost(study.name, study.analysis, manifest.rho, rounds, days))
    count = plan.counts
    if count:
        rho = plan.rho_per_count
        found.append(Cost(COUNT, "", rho, rho, spread(plan.year, count)))
    return tuple(found)


def drafted(plan: Plan, study: PlannedStudy, participants: Sequence[str]) -> Manifest:
    """What a study of the plan would be, for nobody to sign.

    Raises:
        RefusedError, ConfigurationError: As ``study.draft.draft``, naming the study.
    """
    wish = Wish(
        id=study.name,
        purpose="a plan",
        legal_basis="a plan",
        analysis=study.analysis,
        parameters=study.parameters,
        participants=tuple(participants),
        roster_hash=_NO_ROSTER,
        rho=accounting.rho_for(study.epsilon, plan.caps.delta),
        delta=plan.caps.delta,
        expires=date(plan.year, 12, 31),
        max_victims=study.max_victims,
        trust=study.trust,
        retries=study.retries,
        tolerated_colluders=study.colluders,
        minimum_participants=study.minimum,
    )
    try:
        return draft(wish)
    except SafeBordersError as error:
        raise rebuilt(
            error.exit_code, error.code, f"study {study.name!r} of the plan: {error.cause}", error.fix
        ) from error
    except ValueError as error:  # what the strict manifest refuses
        raise ConfigurationError(
            "bad-plan",
            f"study {study.name!r} of the plan cannot be drafted: {str(error).splitlines()[0]}",
            "correct its terms; docs/budget.md shows a plan",
        ) from error


def spread(year: int, times: int) -> tuple[date, ...]:
    """So many days in the middle of equal parts of a year."""
    first, length = date(year, 1, 1), (date(year + 1, 1, 1) - date(year, 1, 1)).days
    return tuple(first + timedelta(days=(2 * part + 1) * length // (2 * times)) for part in range(times))


def outlook(plan: Plan, found: Sequence[Cost], past: Past, today: date) -> Outlook:
    """What a plan comes to after what went before.

    Args:
        plan: The plan; of the present year or a later one.
        found: From ``costs``.
        past: What was spent and is reserved now.
        today: In the plan's year days before it are not counted: ``past`` holds what they really cost.

    Raises:
        ConfigurationError: ``bad-plan``, for a year that is over.
    """
    if plan.year < today.year:
        raise ConfigurationError(
            "bad-plan", f"the plan is for {plan.year}, which is over", "plan this year or a later one"
        )
    caps = limits(plan.caps)
    exceeded: dict[str, Excess] = {}
    quarters, year, lifetime = [], past.year, past.lifetime
    for number in range(1, 5):
        studies, rho = [], 0.0
        for day, cost in _events(found):
            if quarter_of(day) != number or day < today:
                continue
            for cap, held in (("study", 0.0), ("year", year), ("lifetime", lifetime)):
                if not held + cost.rho <= caps[cap]:
                    exceeded.setdefault(cap, Excess(cap, cost.study, day, held, cost.rho, caps[cap]))
            studies.append(cost.study)
            rho, year, lifetime = rho + cost.rho, year + cost.rho, lifetime + cost.rho
        quarters.append(Quarter(number, tuple(studies), rho, year, lifetime))
    whole = sum(cost.rho * len(cost.days) for cost in found)
    order = sorted(exceeded.values(), key=lambda entry: entry.day)
    left = max(0.0, caps["lifetime"] - past.lifetime)
    repeatable = int(left / whole * (1 + 1e-12))
    return Outlook(tuple(found), past, whole, tuple(quarters), tuple(order), repeatable, caps)


def _events(found: Sequence[Cost]) -> Iterator[tuple[date, Cost]]:
    """What takes place, in order of time; of a day, in the order of the plan."""
    yield from sorted(
        ((day, cost) for cost in found for day in cost.days),
        key=lambda event: event[0],
    )
