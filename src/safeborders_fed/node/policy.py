"""What a node permits: read from the ``[policy]`` table of ``node.toml``; docs/policy.md explains each key.

Guarantees: nothing is permitted by default. A node without a policy does not answer; what is permitted and
every cap must be stated; a word that stands for nothing is refused, with the nearest one that does; a
manifest passes only if each of its terms is permitted, which ``objections`` alone decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator
from pydantic import Field as Limit

from safeborders_fed.analyses.base import PURPOSE_CATEGORIES
from safeborders_fed.cases.contract import FIELDS, LINKS
from safeborders_fed.errors import RefusedError
from safeborders_fed.node import opening_hours
from safeborders_fed.node.caps import Caps
from safeborders_fed.node.opening_hours import Opening, nearest
from safeborders_fed.privacy import accounting
from safeborders_fed.study.manifest import Manifest

POPULATIONS: Final = ("all", "minors")
_KNOWN: Final = {
    "columns": frozenset({LINKS.name, *(field.name for field in FIELDS)}),
    "purposes": frozenset(PURPOSE_CATEGORIES),
    "populations": frozenset(POPULATIONS),
}
"""The words that a key may hold."""
_CHANGE: Final = "decline the study, or change [policy] in node.toml by your own procedure"
EXPIRES: Final = "expires"
_REDRAFT: Final = "have the study drafted again"
_Epsilon = Annotated[float, Limit(gt=0, le=1000)]
_Words = Annotated[frozenset[str], Limit(min_length=1, strict=False)]


@dataclass(frozen=True, slots=True)
class Objection:
    """One term of a manifest that is not permitted.

    Attributes:
        term: The key of ``[policy]`` that stands against it, or the term of the manifest.
        what: What is wrong, a part of a sentence.
        fix: What to do about it.
    """

    term: str
    what: str
    fix: str = _CHANGE


class Policy(BaseModel):
    """A node's policy.

    Attributes:
        analyses: Names of permitted analyses.
        columns: Fields of the data contract that analyses may read, and ``links`` if they may count who has
            a link with another state.
        purposes: Categories of purpose for which case data may be used.
        populations: Whose records may be counted: ``all``, ``minors`` or both.
        epsilon_per_study: Largest epsilon, at ``delta``, of one study.
        epsilon_per_year: Largest epsilon, at ``delta``, of all studies of a calendar year together.
        epsilon_lifetime: Largest epsilon, at ``delta``, of all studies ever.
        delta: The delta at which the caps are stated; a study with a larger delta is refused.
        minimum_participants: Fewest nodes that must take part.
        least_victims: Fewest victims that a study's population must have here, tested on a noised count that
            is charged and remembered (``node.population``); 0 for no test and no charge.
        least_tolerated_colluders: Of how many other states, together with the coordinator, a masked study
            must withstand at least. In trust mode local each node's noise suffices alone: nothing is asked.
        least_tick_seconds: Replies to rounds leave at multiples of a study's tick, since time tells size. A
            study with a shorter tick is refused. It should be longer than an answer takes here.
        approvals_needed: How many different people must approve a study; fewer than two only by policy.
        opening_hours: When studies are taken on; at any time without it. One under way goes on to its end.
        time_zone: Whose wall clock ``opening_hours`` mean.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    analyses: _Words
    columns: _Words
    purposes: _Words
    populations: _Words
    epsilon_per_study: _Epsilon
    epsilon_per_year: _Epsilon
    epsilon_lifetime: _Epsilon
    delta: float = Limit(gt=0, le=1e-5)
    minimum_participants: int = Limit(ge=2, le=64)
    least_victims: int = Limit(ge=0, le=10**9)
    least_tolerated_colluders: int = Limit(ge=1, le=64)
    least_tick_seconds: float = Limit(default=0.25, ge=0, le=3600)
    approvals_needed: int = Limit(default=2, ge=1, le=64)
    opening_hours: tuple[str, ...] | None = Limit(default=None, min_length=1, max_length=64, strict=False)
    time_zone: str | None = Limit(default=None, max_length=64)

    @field_validator("columns", "purposes", "populations")
    @classmethod
    def _known_words(cls, words: frozenset[str], info: ValidationInfo) -> frozenset[str]:
        known = _KNOWN[str(info.field_name)]
        for word in sorted(words - known):
            raise ValueError(f"{word[:60]!r} is none of them{nearest(word, known)}")
        return words

    @field_validator("opening_hours")
    @classmethod
    def _readable(cls, entries: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for entry in entries or ():
            Opening.parse(entry)
        return entries

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str | None) -> str | None:
        if name is not None:
            opening_hours.zone_of(name)
        return name

    @model_validator(mode="after")
    def _hours_of_a_zone(self) -> Policy:
        if (self.opening_hours is None) != (self.time_zone is None):
            raise ValueError("opening_hours and time_zone belong together: give both or neither")
        return self

    def caps(self) -> Caps:
        """The caps in rho, which add."""
        return Caps(
            study=accounting.rho_for(self.epsilon_per_study, self.delta),
            year=accounting.rho_for(self.epsilon_per_year, self.delta),
            lifetime=accounting.rho_for(self.epsilon_lifetime, self.delta),
        )

    def objections(
        self, manifest: Manifest, *, node: str, max_victims: int, today: date
    ) -> tuple[Objection, ...]:
        """Every term of a checked manifest that is not permitted; none if it may pass."""
        return (
            *self._of_the_node(manifest, node, max_victims, today),
            *self._of_words(manifest),
            *self._of_numbers(manifest),
        )

    @staticmethod
    def _of_the_node(manifest: Manifest, node: str, max_victims: int, today: date) -> Iterator[Objection]:
        if today > manifest.expires:
            yield Objection(EXPIRES, f"it has expired on {manifest.expires}", _REDRAFT)
        if node not in manifest.participants:
            yield Objection("participants", f"this node, {node}, is not among its participants", _REDRAFT)
        if manifest.max_victims < max_victims:
            yield Objection(
                "max_victims",
                f"it assumes at most {manifest.max_victims} victims, this node may hold {max_victims}",
                _REDRAFT,
            )

    def _of_words(self, manifest: Manifest) -> Iterator[Objection]:
        if manifest.analysis not in self.analyses:
            yield Objection("analyses", f"analysis {manifest.analysis!r} is not permitted")
        forbidden = sorted(set(manifest.columns) - self.columns)
        if forbidden:
            yield Objection("columns", f"columns {', '.join(forbidden)} are not permitted")
        if manifest.purpose_category not in self.purposes:
            yield Objection("purposes", f"purposes of {manifest.purpose_category} are not permitted")
        if manifest.population not in self.populations:
            yield Objection("populations", f"population {manifest.population!r} is not permitted")

    def _of_numbers(self, manifest: Manifest) -> Iterator[Objection]:
        if manifest.minimum_participants < self.minimum_participants:
            yield Objection(
                "minimum_participants",
                f"its least number of participants, {manifest.minimum_participants}, is below "
                f"{self.minimum_participants}",
            )
        # In trust mode local others hold no noise that this node's victims would depend on.
        if manifest.trust == "masked" and manifest.tolerated_colluders < self.least_tolerated_colluders:
            yield Objection(
                "least_tolerated_colluders",
                f"it withstands {manifest.tolerated_colluders} colluding states, which is below "
                f"{self.least_tolerated_colluders}",
            )
        if manifest.tick_seconds < self.least_tick_seconds:
            yield Objection(
                "least_tick_seconds",
                f"its ticks of {manifest.tick_seconds:g} s are below {self.least_tick_seconds:g} s",
            )
        if manifest.delta > self.delta:
            yield Objection("delta", f"its delta {manifest.delta:g} is above {self.delta:g}")

    def check(self, manifest: Manifest, *, node: str, max_victims: int, today: date) -> None:
        """Holds a checked manifest against the policy.

        Raises:
            RefusedError: ``policy``, naming each term that is not permitted, or ``study-expired``.
        """
        refuse_for(manifest, self.objections(manifest, node=node, max_victims=max_victims, today=today))

    def hours(self) -> tuple[tuple[Opening, ...], ZoneInfo] | None:
        """When studies are taken on, and by whose clock; None for at any time."""
        if self.opening_hours is None or self.time_zone is None:
            return None
        return tuple(map(Opening.parse, self.opening_hours)), opening_hours.zone_of(self.time_zone)

    def require_open(self, now: datetime) -> None:
        """Raises RefusedError ``closed`` outside the opening hours; for studies that are not under way."""
        hours = self.hours()
        if hours is None or opening_hours.is_open(*hours, now):
            return
        opens = opening_hours.next_opening(*hours, now)
        raise RefusedError(
            "closed",
            f"this node is closed: it takes on studies again from {opens:%a %Y-%m-%d %H:%M} {self.time_zone}",
            "let the coordinator launch the study then; one that is under way goes on",
        )


def refuse_for(manifest: Manifest, found: Sequence[Objection]) -> None:
    """Raises RefusedError, as ``Policy.check``, if there is any objection."""
    if any(entry.term == EXPIRES for entry in found):
        raise RefusedError("study-expired", f"study {manifest.id!r} has expired", _REDRAFT)
    if found:
        raise RefusedError(
            "policy",
            f"study {manifest.id!r} is not permitted here: {'; '.join(entry.what for entry in found)}",
            _CHANGE,
        )
