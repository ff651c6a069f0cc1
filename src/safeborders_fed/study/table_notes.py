"""What a document of published tables says beside its counts: typologies, and early warnings.

Guarantees: everything here is checked against the published counts of the document that holds it. A type
whose count is suppressed has no traits, and no trait stands for fewer victims than the floor of its table.
A warning is about periods whose counts are published, its numbers are multiples of the rounding base, and
it has numbers only where every count of its series is published.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic import Field as Limit

from safeborders_fed.study.manifest import Identifier

TYPE: Final = "type"
"""The axis of types, and the table of their counts."""
TIME_AXES: Final = ("period", "year", "quarter", "month")
PERIOD: Final = re.compile(r"\d{4}(-?Q[1-4]|-(0[1-9]|1[0-2]))?")
"""A code of time: a year, a quarter or a month."""
Text = Annotated[str, Limit(pattern=r"^[A-Za-z0-9_+<>= .:/-]{1,64}$")]
Percent = Annotated[int, Limit(ge=0, le=100)]
_STRICT = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)
Counts = Mapping[frozenset[tuple[str, str]], int | None]
"""Counts of a table by pairs of axis and code; None for what is suppressed."""


class Trait(BaseModel):
    """A value that sets a type apart. Shares are whole percentages.

    Attributes:
        field: The field of the data contract.
        value: Its value, or public bin.
        share: Of the type's victims of whom the field is known.
        margin: Half of its 95% interval: noise and rounding.
        overall: Share of all victims.
        overall_margin: Half of its interval.
    """

    model_config = _STRICT

    field: Text
    value: Text
    share: Percent
    margin: int = Limit(ge=1)
    overall: Percent
    overall_margin: int = Limit(ge=1)


class TypeFacts(BaseModel):
    """What sets one type apart; its counts are in the tables.

    Attributes:
        name: Its code on the axis ``type``. It means something within its study only.
        traits: The clearest first.
        withheld: How many further ones stand for too few victims to be published.
    """

    model_config = _STRICT

    name: Text
    traits: tuple[Trait, ...] = Limit(max_length=1000)
    withheld: int = Limit(ge=0)


class WarningNumbers(BaseModel):
    """How much a series changed, worked out from its published counts. Multiples of the rounding base.

    Attributes:
        observed: Victims a period.
        expected: Victims a period that the past leads to expect.
        low: The change is at least this, at the rate of the whole report.
        high: It is at most this.
    """

    model_config = _STRICT

    observed: int = Limit(ge=0)
    expected: int = Limit(ge=0)
    low: int
    high: int


class RaisedSeries(BaseModel):
    """One series that changed beyond noise and its own past.

    Attributes:
        table: The table that it is a cell of.
        codes: Code by axis, without that of time.
        verdict: ``rise`` or ``fall``.
        periods: The periods that differ, one or two.
        numbers: None where its published counts alone do not tell them.
    """

    model_config = _STRICT

    table: Text
    codes: dict[Identifier, Text]
    verdict: Literal["rise", "fall"]
    periods: tuple[Text, ...] = Limit(min_length=1, max_length=2)
    numbers: WarningNumbers | None = None


class EarlyWarnings(BaseModel):
    """The early warnings of a release.

    Attributes:
        false_alarm_rate: Of reports without any change, at most this share raises any warning.
        period: The period that was looked at; None where no table follows anything over time.
        tested: How many series share the rate.
        short: How many had too short a past.
        raised: How many changed.
        studies: Earlier studies whose releases were read as the past, earliest first.
        series: Those that are named, the strongest evidence first; of the others the latest counts are
            suppressed.
    """

    model_config = _STRICT

    false_alarm_rate: float = Limit(gt=0, le=0.5)
    period: Text | None = None
    tested: int = Limit(ge=0)
    short: int = Limit(ge=0)
    raised: int = Limit(ge=0)
    studies: tuple[Identifier, ...] = Limit(default=(), max_length=1000)
    series: tuple[RaisedSeries, ...] = Limit(max_length=100_000)

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if not len(self.series) <= self.raised <= self.tested:
            raise ValueError("more warnings than series that were tested")
        if self.period is None and self.tested + self.short:
            raise ValueError("series were followed over no time")
        return self

    @property
    def withheld(self) -> int:
        """How many raised series are not named."""
        return self.raised - len(self.series)


def require_types(types: tuple[TypeFacts, ...], counts: Mapping[str, int | None], floor: int) -> None:
    """Checks types against the published counts of the table of types.

    Raises:
        ValueError: If they say more than these permit.
    """
    if tuple(each.name for each in types) != tuple(counts):
        raise ValueError("the types are not those of the table of types")
    for each in types:
        count = counts[each.name]
        if any(count is None or not enough(trait.share, count, floor) for trait in each.traits):
            raise ValueError("a trait stands for fewer victims than may be published")


def enough(share: int, count: int, floor: int) -> bool:
    """Whether so many per cent of a published count are as many as may be published."""
    return share * count >= 100 * floor


def require_warnings(warnings: EarlyWarnings, tables: Mapping[str, Counts], base: int) -> None:
    """Checks warnings against the published counts.

    Raises:
        ValueError: If a series is none, or says more than its published counts permit.
    """
    for each in warnings.series:
        own = set(each.codes.items())
        found = {
            next(iter(codes - own)): count
            for codes, count in tables.get(each.table, {}).items()
            if own < codes and len(codes) == len(own) + 1
        }
        by_period = {code: count for (_, code), count in found.items() if PERIOD.fullmatch(code)}
        if any(by_period.get(period) is None for period in each.periods):
            raise ValueError("a warning is about a count that is not published")
        if each.numbers is None:
            continue
        if any(count is None for count in by_period.values()):
            raise ValueError("a warning has numbers although a count of its series is suppressed")
        if any(number % base for number in each.numbers.model_dump().values()):
            raise ValueError("a number of a warning is no multiple of the base")
