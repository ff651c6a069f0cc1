"""What a policy says, in plain figures, and what stands against a study: for ``node policy check``.

Guarantees: a study is held against the policy by the same functions as when it is taken on, and everything
that stands against it is told, not only the first; nothing is written, also while the service runs.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from safeborders_fed.analyses.registry import ANALYSES
from safeborders_fed.cases.contract import FIELDS
from safeborders_fed.errors import UsageError
from safeborders_fed.node import layout, opening_hours, population
from safeborders_fed.node.approvals import NEEDED_FOR_KEYS
from safeborders_fed.node.budget_statement import StatedBudget, read
from safeborders_fed.node.caps import Caps
from safeborders_fed.node.desks import desk_over, open_studies
from safeborders_fed.node.ledger import Ledger
from safeborders_fed.node.ledger_copy import ledger_copy
from safeborders_fed.node.policy import Objection, Policy
from safeborders_fed.node.settings import LEDGER_FILE, NodeSettings, no_policy
from safeborders_fed.study import canonical, manifest, publication
from safeborders_fed.study.manifest import Manifest

_RECOMMENDED_DELTA: Final = 1e-6
_LONGEST_DOCUMENT: Final = 2**20
_QUARTERS: Final = 4


def wrong(policy: Policy) -> Iterator[str]:
    """What can never be meant."""
    unknown = sorted(policy.analyses - ANALYSES.keys())
    if unknown:
        yield f"this version has no analysis {', '.join(unknown)}"
    identifying = sorted(policy.columns & {field.name for field in FIELDS if field.identifying})
    if identifying:
        yield f"columns {', '.join(identifying)} identify people and are never analysed"
    if not policy.epsilon_per_study <= policy.epsilon_per_year <= policy.epsilon_lifetime:
        yield "the caps on epsilon do not grow from a study to a year to the lifetime"


def doubtful(policy: Policy) -> Iterator[str]:
    """What is possible, and seldom meant."""
    if policy.approvals_needed < NEEDED_FOR_KEYS:
        yield "one person alone may approve a study"
    if policy.delta > _RECOMMENDED_DELTA:
        yield f"delta {policy.delta:g} is above {_RECOMMENDED_DELTA:g}"
    if population.cost(policy.least_victims) * _QUARTERS > policy.caps().year / 4:
        yield "counting victims each quarter takes more than a quarter of a year's cap: raise least_victims"


def explained(settings: NodeSettings, now: datetime) -> dict[str, Any]:
    """All that the policy of a node says and what follows from it, as JSON values.

    Raises:
        ConfigurationError: ``no-policy``, or as Ledger.
    """
    policy = _policy(settings)
    caps, counting = policy.caps(), population.cost(policy.least_victims)
    with _ledger(settings, caps) as ledger:
        year, ever = ledger.totals(year=now.year), ledger.totals()
    return {
        "node": settings.country,
        **policy.model_dump(mode="json"),
        **{
            name: sorted(getattr(policy, name)) for name in ("analyses", "columns", "purposes", "populations")
        },
        "caps_rho": {"study": caps.study, "year": caps.year, "lifetime": caps.lifetime},
        "left_rho": {
            "year": max(0.0, caps.year - year.spent - ever.reserved),
            "lifetime": max(0.0, caps.lifetime - ever.spent - ever.reserved),
        },
        "lasts": _lasts(caps, counting),
        "count": {
            "sigma": population.sigma_for(policy.least_victims) if policy.least_victims else None,
            "rho": counting,
            "share_of_year": counting / caps.year,
            "share_of_lifetime": counting / caps.lifetime,
        },
        "hours": _hours(policy, now),
        "links": _links(settings),
        "wrong": list(wrong(policy)),
        "doubtful": list(doubtful(policy)),
    }


def _links(settings: NodeSettings) -> dict[str, Any] | None:
    """What the node permits in links with other states; None if it takes no part in them."""
    if settings.links is None:
        return None
    words = settings.links.model_dump(mode="json")
    return {name: sorted(said) if isinstance(said, list) else said for name, said in words.items()}


def _lasts(caps: Caps, counting: float) -> dict[str, Any]:
    """How long the caps last if each study is of the largest size, and each counts its population anew."""
    dearest = (caps.study + counting) * (1 - 1e-9)  # a cap of exactly two studies admits two
    yearly, all_in_all = math.floor(caps.year / dearest), math.floor(caps.lifetime / dearest)
    at_most = min(yearly, _QUARTERS)
    return {
        "studies_a_year": yearly,
        "studies_ever": all_in_all,
        "quarters_a_year": at_most,
        "years": all_in_all / at_most if at_most else 0.0,
    }


def _hours(policy: Policy, now: datetime) -> dict[str, Any] | None:
    hours = policy.hours()
    if hours is None:
        return None
    return {
        "open_now": opening_hours.is_open(*hours, now),
        "next_opening": opening_hours.next_opening(*hours, now).isoformat(),
    }


def against(settings: NodeSettings, study: Manifest, now: datetime) -> tuple[Objection, ...]:
    """All that stands against a study here but people's approvals and the hour; none if it is permitted.

    Raises:
        ConfigurationError: ``no-policy``, ``bad-enrolment``, ``store-missing``; or as Ledger.
    """
    policy = _policy(settings)
    with _ledger(settings, policy.caps()) as ledger:
        return desk_over(settings, ledger, policy, (), lambda: now).objections(study)


def study_of(settings: NodeSettings, name: str) -> tuple[Manifest, bool]:
    """The study that a name or a file stands for, and whether an operator's signature was checked.

    Args:
        settings: The node.
        name: A study that this node was offered, or a file: a manifest in canonical form, or a published one.

    Raises:
        UsageError: ``unknown-study``, when it is neither.
        PeerError: ``not-canonical`` or ``bad-publication``.
        ConfigurationError, RefusedError: The manifest is wrong, or contradicts itself.
    """
    studies = open_studies(settings)
    if name in studies.ids():
        return studies.manifest(name), True
    try:
        with Path(name).open("rb") as file:
            data = file.read(_LONGEST_DOCUMENT)
    except OSError as error:
        raise UsageError(
            "unknown-study",
            f"{name[:200]!r} is no study that this node was offered, and no file that can be read: "
            f"{error.strerror}",
            "name a study that `safeborders node study list` shows, or the file of a manifest",
        ) from error
    content = canonical.parse(data)
    if isinstance(content, dict) and "manifest" in content:
        data = canonical.serialise(publication.unverified(data)[1])
    return manifest.parse(data), False


@contextmanager
def _ledger(settings: NodeSettings, caps: Caps) -> Iterator[Ledger | StatedBudget]:
    """A copy of the node's ledger, an empty one if it has none; for other people what was stated of it."""
    path = settings.home / LEDGER_FILE
    if not layout.is_operator(settings.home):
        yield StatedBudget(read(settings.home), caps)
        return
    if path.exists():
        with ledger_copy(path, caps) as copy:
            yield copy
        return
    with tempfile.TemporaryDirectory(prefix="safeborders-") as name:
        ledger = Ledger(Path(name, LEDGER_FILE), caps)
        try:
            yield ledger
        finally:
            ledger.close()


def _policy(settings: NodeSettings) -> Policy:
    if settings.policy is None:
        raise no_policy(settings.home)
    return settings.policy
