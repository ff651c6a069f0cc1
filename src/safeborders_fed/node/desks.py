"""Opening what a node's people decide on studies with, from its settings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import TYPE_CHECKING

from safeborders_fed.cases.store import CaseStore
from safeborders_fed.errors import ConfigurationError
from safeborders_fed.node.approvals import Approver
from safeborders_fed.node.budget_statement import StatedBudget, open_budget
from safeborders_fed.node.desk import Desk
from safeborders_fed.node.journal import now
from safeborders_fed.node.studies import NodeStudies

if TYPE_CHECKING:
    from datetime import datetime

    from safeborders_fed.node.ledger import Ledger
    from safeborders_fed.node.policy import Policy
    from safeborders_fed.node.settings import NodeSettings


class EnrolledNow(Collection[Approver]):
    """The people enrolled at a node at the moment of asking.

    A key that is revoked while the service runs counts no more from then on.

    Args:
        settings: The node.
    """

    def __init__(self, settings: NodeSettings) -> None:
        self._settings = settings

    def __iter__(self) -> Iterator[Approver]:
        return iter(self._settings.approvers())

    def __len__(self) -> int:
        return len(self._settings.approvers())

    def __contains__(self, person: object) -> bool:
        return person in self._settings.approvers()


def open_studies(settings: NodeSettings) -> NodeStudies:
    """The studies offered by operators whose keys ``node.toml`` pins or, if it pins none, the bundle.

    Raises:
        ConfigurationError: ``bad-enrolment``.
    """
    operators = settings.operator_keys
    if not operators:
        try:
            operators = settings.enrolment().operator_keys()
        except ConfigurationError as error:
            if error.code != "not-enrolled":
                raise
    return NodeStudies(settings.home, operators)


def open_desk(settings: NodeSettings) -> Desk:
    """What studies are held against at a node, for its service or for people. Opens no case data.

    Raises:
        ConfigurationError: ``no-policy``, ``no-approvers``; or as ``NodeSettings.accepted_keys`` and
            ``open_budget``.
    """
    budget = open_budget(settings)
    if settings.policy is None:
        raise ConfigurationError("no-policy", "the node has no [policy]", "write it in node.toml")
    return desk_over(settings, budget, settings.policy, settings.approvers(), now)


def desk_over(
    settings: NodeSettings,
    budget: Ledger | StatedBudget,
    policy: Policy,
    approvers: Collection[Approver],
    clock: Callable[[], datetime],
) -> Desk:
    """The same over an open budget, with these people, at another time.

    Raises:
        ConfigurationError: As ``NodeSettings.accepted_keys`` and ``open_studies``.
    """
    accepted = settings.accepted_keys()
    roster = accepted.roster
    said = budget.statement if isinstance(budget, StatedBudget) else None  # the store is not theirs to read
    return Desk(
        settings.country,
        "" if roster is None else roster.hash(),
        CaseStore.max_victims_of(settings.store_path) if said is None else said.max_victims,
        studies=open_studies(settings),
        ledger=budget,
        policy=policy,
        approvers=approvers,
        clock=clock,
        latest_snapshot=partial(CaseStore.latest_of, settings.store_path)
        if said is None
        else lambda: said.latest_snapshot,
        accepted=accepted.keys(),
    )
