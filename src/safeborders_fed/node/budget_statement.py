"""What the ledger says of the budget, in a file for people who may not open the ledger.

While SQLite's file is written, a user who may not write beside it cannot read it: a reader joins the
database's shared memory, and who can write that can spoil it. So whoever may write the ledger states from
time to time what people decide on: what is spent, reserved and left, study by study, and open disputes.

Guarantees: the statement holds nothing of contributions, and no salt of the ledger's chain. It is
information: nothing is decided by it, since what a study may spend the ledger decides when the study starts.
It is written as a whole, and says when.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic import Field as Limit

from safeborders_fed.audit.anchors import Anchor
from safeborders_fed.cases.store import CaseStore
from safeborders_fed.errors import ConfigurationError, RefusedError
from safeborders_fed.node import layout
from safeborders_fed.node.caps import Totals, exceeded, require_room
from safeborders_fed.node.journal import now
from safeborders_fed.node.ledger import Ledger, Reservation
from safeborders_fed.node.population_counts import NoisedCount
from safeborders_fed.study import canonical, durable
from safeborders_fed.study.handshake import Head

if TYPE_CHECKING:
    from collections.abc import Callable

    from safeborders_fed.node.caps import Caps
    from safeborders_fed.node.settings import NodeSettings

LOG: Final = logging.getLogger(__name__)
_STRICT: Final = ConfigDict(strict=True, frozen=True, extra="forbid")
_LARGEST: Final = 2**24


class _Study(BaseModel):
    """A study that reserved something, as ``Ledger.studies`` and ``Ledger.reservation`` have it."""

    model_config = _STRICT

    id: str
    manifest_hash: str
    opened: str
    ended: str | None
    attempts: int
    rho_reserved: float
    rho_spent: float


class _Dispute(BaseModel):
    model_config = _STRICT

    witness: str
    entries: int
    value: str


class _Count(BaseModel):
    """A population's noised count, as ``PopulationCounts`` has it."""

    model_config = _STRICT

    population: str
    snapshot: str
    sigma: float
    rho: float
    noised: int
    counted: str


class _Anchor(BaseModel):
    """An anchor of the audit log, as ``Anchored`` has it."""

    model_config = _STRICT

    line: str
    study: str
    day: str
    keeper: str


class Statement(BaseModel):
    """The budget at a moment.

    Attributes:
        node: Whose.
        at: When it was stated, ISO 8601, UTC.
        year: The calendar year of ``spent_year``.
        spent_year: Rho spent in that year.
        spent_ever: Rho ever spent.
        reserved: Rho that open studies hold and have not spent.
        max_victims: Public cap on victims in the case store.
        latest_snapshot: Of the case store; None while it is empty.
        studies: Every study that ever reserved.
        counts: Noised counts of populations.
        anchors: Of the audit log, in the ledger.
        disputes: Heads that witnesses know and the ledger lacks.
        disputes_hash: What people sign to settle them.
        entries: Length of the ledger's chain.
        head: Its head.
    """

    model_config = _STRICT

    schema_version: Literal[1] = 1
    node: str
    at: str
    year: int
    spent_year: float
    spent_ever: float
    reserved: float
    max_victims: int
    latest_snapshot: str | None
    studies: Annotated[tuple[_Study, ...], Limit(strict=False)]
    counts: Annotated[tuple[_Count, ...], Limit(strict=False)]
    anchors: Annotated[tuple[_Anchor, ...], Limit(strict=False)]
    disputes: Annotated[tuple[_Dispute, ...], Limit(strict=False)]
    disputes_hash: str
    entries: int
    head: str

    def all_anchors(self) -> list[Anchor]:
        """The anchors, as ``Anchored.all`` gives them."""
        return [Anchor(entry.line, entry.study, entry.day, entry.keeper) for entry in self.anchors]


def made_from(settings: NodeSettings, ledger: Ledger) -> Statement:
    """What a ledger says now. Raises ConfigurationError as ``CaseStore.max_victims_of``."""
    at, ever, head = now(), ledger.totals(), ledger.head()
    rows = []
    for row in ledger.studies():
        held = ledger.reservation(row["id"])
        rows.append(_Study(manifest_hash="" if held is None else held.manifest_hash, **row))
    return Statement(
        node=settings.country,
        at=at.isoformat(timespec="seconds"),
        year=at.year,
        spent_year=ledger.totals(year=at.year).spent,
        spent_ever=ever.spent,
        reserved=ever.reserved,
        max_victims=CaseStore.max_victims_of(settings.store_path),
        latest_snapshot=CaseStore.latest_of(settings.store_path),
        studies=tuple(rows),
        counts=tuple(_Count(**asdict(count)) for count in ledger.counts.listed()),
        anchors=tuple(
            _Anchor(line=anchor.hash, study=anchor.study, day=anchor.day, keeper=anchor.keeper)
            for anchor in ledger.anchors.all()
        ),
        disputes=tuple(
            _Dispute(witness=witness, entries=known.entries, value=known.value)
            for witness, known in ledger.witnesses.disputes()
        ),
        disputes_hash=ledger.witnesses.disputes_hash(),
        entries=head.entries,
        head=head.value,
    )


def state(settings: NodeSettings, ledger: Ledger) -> bool:
    """Writes the statement if the node's roles are set and the ledger has gone on since; whether it did.

    Raises:
        ConfigurationError: ``node-unwritable``, or as ``made_from``.
    """
    if not layout.is_shared(settings.home):
        return False
    new = made_from(settings, ledger)
    try:
        if _same(read(settings.home), new):
            return False
    except ConfigurationError:
        pass  # there is none yet, or a damaged one: written anew
    try:
        content = canonical.serialise(new.model_dump(mode="json"))
        durable.replace(settings.home / layout.BUDGET, content, shared=True)
    except OSError as error:
        raise ConfigurationError(
            "node-unwritable",
            f"{settings.home / layout.BUDGET} cannot be written: {error.strerror}",
            "free space on its disk, or mend the rights of the node's directory",
        ) from error
    return True


@dataclass
class Stated:
    """Keeps the statement up with the ledger of a running service. What keeps it from that ends nothing."""

    settings: NodeSettings
    ledger: Ledger
    _head: Head | None = None

    def keep_up(self) -> None:
        """States the budget anew if the ledger has gone on since, or the roles were set meanwhile."""
        head = self.ledger.head()
        if head == self._head and ((self.settings.home / layout.BUDGET).exists() or not self._is_wanted()):
            return
        try:
            state(self.settings, self.ledger)
        except ConfigurationError as error:
            LOG.warning("people with a role see an old budget: %s", error)
        else:
            self._head = head

    def _is_wanted(self) -> bool:
        return layout.is_shared(self.settings.home)


def _same(before: Statement, after: Statement) -> bool:
    return before.model_copy(update={"at": after.at}) == after


def read(home: Path) -> Statement:
    """The statement in a node's directory.

    Raises:
        ConfigurationError: ``budget-not-stated`` or ``budget-statement-damaged``.
    """
    path = home / layout.BUDGET
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST)
    except OSError as error:
        raise ConfigurationError(
            "budget-not-stated",
            f"{path} cannot be read: {error.strerror}",
            "ask the operator to start the node's service, which writes it, or to set the roles again",
        ) from error
    try:
        return Statement.model_validate_json(data)
    except ValidationError as error:
        raise ConfigurationError(
            "budget-statement-damaged",
            f"{path} is not what the node's service writes",
            "ask the operator to run `safeborders node roles set`, which writes it again",
        ) from error


@dataclass(frozen=True)
class StatedWitnesses:
    """What ``Ledger.witnesses`` says to people."""

    statement: Statement

    def disputes(self) -> list[tuple[str, Head]]:
        """As ``Witnesses.disputes``."""
        return [
            (entry.witness, Head(entries=entry.entries, value=entry.value))
            for entry in self.statement.disputes
        ]

    def disputes_hash(self) -> str:
        """As ``Witnesses.disputes_hash``."""
        return self.statement.disputes_hash


@dataclass(frozen=True)
class StatedCounts:
    """What ``Ledger.counts`` says to people."""

    statement: Statement

    def listed(self) -> tuple[NoisedCount, ...]:
        """As ``PopulationCounts.listed``."""
        return tuple(NoisedCount(**entry.model_dump()) for entry in self.statement.counts)

    def remembered(self, population: str, snapshot: str) -> NoisedCount | None:
        """As ``PopulationCounts.remembered``."""
        asked = (population, snapshot)
        return next((count for count in self.listed() if (count.population, count.snapshot) == asked), None)


@dataclass(frozen=True)
class StatedBudget:
    """What people without the ledger see of it: the same questions, answered from the statement.

    Args:
        statement: What was stated.
        caps: What the node allows.
        clock: Gives the time, UTC.
    """

    statement: Statement
    caps: Caps
    clock: Callable[[], datetime] = field(default=now)

    @property
    def witnesses(self) -> StatedWitnesses:
        """Disputes over the ledger."""
        return StatedWitnesses(self.statement)

    @property
    def counts(self) -> StatedCounts:
        """Noised counts of populations."""
        return StatedCounts(self.statement)

    def close(self) -> None:
        """Nothing is open."""

    def head(self) -> Head:
        """As ``Ledger.head``."""
        return Head(entries=self.statement.entries, value=self.statement.head)

    def verify(self) -> int:
        """How many entries the ledger had; only who may open it can check them."""
        return self.statement.entries

    def totals(self, *, year: int | None = None) -> Totals:
        """As ``Ledger.totals``: in the year of the statement, in a later one, or ever."""
        said = self.statement
        if year is None:
            return Totals(said.spent_ever, said.reserved)
        return Totals(said.spent_year if year == said.year else 0.0, said.reserved)

    def reservation(self, study: str) -> Reservation | None:
        """As ``Ledger.reservation``, without the snapshot."""
        found = next((row for row in self.statement.studies if row.id == study), None)
        return (
            None if found is None else Reservation(found.manifest_hash, found.rho_reserved, "", found.ended)
        )

    def studies(self) -> list[dict[str, Any]]:
        """As ``Ledger.studies``."""
        return [row.model_dump(exclude={"manifest_hash"}) for row in self.statement.studies]

    def require_budget(self, study: str, rho: float, *, count: float = 0.0) -> None:
        """As ``Ledger.require_budget``, by what was stated."""
        require_room(study, rho, count, self.exceeded(rho, count))

    def exceeded(self, rho: float, count: float = 0.0) -> dict[str, str]:
        """As ``Ledger.exceeded``, by what was stated."""
        year = self.totals(year=self.clock().year)
        return exceeded(self.caps, rho, count, year=year, ever=self.totals())


def open_budget(settings: NodeSettings) -> Ledger | StatedBudget:
    """The ledger, for who may write it; for others what was stated of it.

    Raises:
        ConfigurationError: as ``NodeSettings.open_ledger`` or ``read``.
    """
    if layout.is_operator(settings.home):
        return settings.open_ledger()
    if settings.policy is None:
        raise ConfigurationError("no-policy", "the node has no [policy]", "ask the operator to write it")
    return StatedBudget(read(settings.home), settings.policy.caps())


def own_ledger(budget: Ledger | StatedBudget) -> Ledger:
    """The ledger itself, for what changes it.

    Raises:
        RefusedError: ``role-missing``.
    """
    if isinstance(budget, Ledger):
        return budget
    raise RefusedError(
        "role-missing",
        "this needs the role operator: only the node's own user may write its ledger",
        "ask that person to do it",
    )
