"""What is published of typologies: their counts by the rules of all tables, and what sets each apart.

Beside the rules of ``disclosure``:

- Types are named by size, so a suppressed count of one would lie between those of its neighbours: where the
  count of a type is suppressed, those of all smaller ones are, too. It is then known to be at most the one
  before, as a primary suppression tells as well.
- A type whose count is suppressed has no traits. Nor is a trait published that stands for fewer victims
  than the floor: its rounded share times the rounded count, both published, so that the rule itself tells
  nothing.
- T1 of one study is not T1 of another: earlier releases of other studies are not compared, since no count
  of theirs is one of these.

Guarantees: shares are whole percentages, with margins of ``1.96`` standard errors and half a percentage
point. Nothing here depends on a suppressed count, nor on what rounding took away.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from safeborders_fed.reporting.disclosure import disclose
from safeborders_fed.reporting.noisy_tables import TableRelease
from safeborders_fed.reporting.noisy_typologies import NoisyTrait, NoisyType
from safeborders_fed.study.table_file import NORMAL_95, DisclosedTable, Tables
from safeborders_fed.study.table_notes import TYPE, Trait, TypeFacts, enough

_ALL: Final = 100


def comparable(release: TableRelease, before: Sequence[Tables]) -> list[Tables]:
    """The earlier releases whose counts can be these."""
    if release.types is None:
        return list(before)
    return [tables for tables in before if tables.manifest_hash == release.manifest_hash]


def by_size(made: Tables, release: TableRelease, before: Sequence[Tables]) -> tuple[DisclosedTable, ...]:
    """The tables with the counts of all types suppressed that are smaller than a suppressed one.

    Args:
        made: The document as ``disclose`` makes it.
        release: The noisy tables.
        before: What it was compared with.
    """
    held, tables = list(before), made.tables
    while True:
        sizes = _sizes(tables)
        kept = next((at for at, cell in enumerate(sizes.cells) if cell is None), len(sizes.cells))
        rest = tuple(None for _ in sizes.cells[kept:])
        if sizes.cells[kept:] == rest:
            return tables
        # As after a release that suppressed them: they stay so, and what tells them is protected again.
        less = sizes.model_copy(update={"cells": (*sizes.cells[:kept], *rest)})
        held.append(made.model_copy(update={"tables": (less,)}))
        tables = disclose(release, made.rules, held)


def types_of(types: Sequence[NoisyType], tables: Sequence[DisclosedTable]) -> tuple[TypeFacts, ...]:
    """What may be said of the types beside their published counts."""
    table = _sizes(tables)
    return tuple(_facts(each, count, table.floor) for each, count in zip(types, table.cells, strict=True))


def _sizes(tables: Sequence[DisclosedTable]) -> DisclosedTable:
    return next(table for table in tables if table.name == TYPE)


def _facts(found: NoisyType, count: int | None, floor: int) -> TypeFacts:
    every = [_trait(trait) for trait in found.traits]
    kept = tuple(trait for trait in every if count is not None and enough(trait.share, count, floor))
    return TypeFacts(name=found.name, traits=kept, withheld=len(every) - len(kept))


def _trait(found: NoisyTrait) -> Trait:
    return Trait(
        field=found.field,
        value=found.value,
        share=_percent(found.share),
        margin=_margin(found.error),
        overall=_percent(found.overall),
        overall_margin=_margin(found.overall_error),
    )


def _percent(share: float) -> int:
    return min(_ALL, max(0, math.floor(_ALL * share + 0.5)))


def _margin(error: float) -> int:
    return math.ceil(NORMAL_95 * _ALL * error + 0.5)
