"""Published tables as a document: rounded counts, with the suppressed ones missing, and what they come from.

Guarantees: canonical JSON, so that its hash, which operators sign, means one thing. Every published count is
a multiple of the rounding base and at least the table's floor, so never zero; margin and floor are those of
the rules, or the document is refused. What is suppressed is in no form in it. The counts are private by the
noise of their study alone: rounding and suppression protect readers from reading too much into small numbers,
and are legal custom, not the guarantee.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from itertools import product
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic import Field as Limit

from safeborders_fed.errors import PeerError, UsageError
from safeborders_fed.study import canonical
from safeborders_fed.study.manifest import Identifier
from safeborders_fed.study.roster import Digest
from safeborders_fed.study.table_notes import (
    TYPE,
    Counts,
    EarlyWarnings,
    Text,
    TypeFacts,
    require_types,
    require_warnings,
)

SUFFIX: Final = ".tables.json"
LARGEST: Final = 64 * 2**20
"""Bytes of a document at most."""
CELLS: Final = 100_000
"""Cells of a table at most."""
NORMAL_95: Final = 1.96
ID: Final = re.compile(r"([a-z0-9][a-z0-9-]{0,63})-([1-9][0-9]{0,5})")
_STRICT = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


class Rules(BaseModel):
    """How counts are made fit to be read.

    Attributes:
        base: Counts are rounded to a multiple of it.
        threshold: A rounded count below it is suppressed.
        widest: So is one whose noise (1.96 standard errors) exceeds this percentage of it.
    """

    model_config = _STRICT

    base: int = Limit(default=5, ge=1, le=100)
    threshold: int = Limit(default=10, ge=1, le=1000)
    widest: int = Limit(default=100, ge=1, le=1000)

    @model_validator(mode="after")
    def _no_zero(self) -> Self:
        if self.threshold < self.base:
            raise ValueError("a threshold below the base would let a published zero stand for a count")
        return self

    def round(self, count: float) -> int:
        """The nearest multiple of the base; halves go up."""
        return self.base * math.floor(count / self.base + 0.5)

    def margin(self, deviation: float) -> int:
        """Half of the interval around a published count: noise and rounding, rounded up."""
        return math.ceil(NORMAL_95 * deviation + self.base / 2)

    def floor(self, deviation: float) -> int:
        """The smallest count that is published: a multiple of the base."""
        least = max(self.threshold, NORMAL_95 * deviation * 100 / self.widest)
        return self.base * math.ceil(least / self.base)


class TableAxis(BaseModel):
    """One dimension: its name and codes, in report order."""

    model_config = _STRICT

    name: Identifier
    codes: tuple[Text, ...] = Limit(min_length=1, max_length=10_000)


class DisclosedTable(BaseModel):
    """One table as it is published.

    Attributes:
        name: Names of its axes.
        axes: Its dimensions.
        deviation: Standard error of each count before rounding.
        margin: Half of each published interval.
        floor: The smallest count that is published.
        cells: In the order of the axes, the last one fastest; None for what is suppressed.
    """

    model_config = _STRICT

    name: Text
    axes: tuple[TableAxis, ...] = Limit(max_length=8)
    deviation: float = Limit(ge=0)
    margin: int = Limit(ge=1)
    floor: int = Limit(ge=1)
    cells: tuple[int | None, ...] = Limit(min_length=1, max_length=CELLS)

    @model_validator(mode="after")
    def _of_its_shape(self) -> Self:
        if len(self.cells) != math.prod(len(axis.codes) for axis in self.axes):
            raise ValueError("a table has another number of cells than its axes")
        if any(cell is not None and cell < self.floor for cell in self.cells):
            raise ValueError("a published count lies below the floor of its table")
        if any(len(set(axis.codes)) != len(axis.codes) for axis in self.axes):
            raise ValueError("an axis names a code twice")
        return self

    @property
    def counts(self) -> Counts:
        """Every count by the pairs of axis and code that it is of."""
        pairs = [[(axis.name, code) for code in axis.codes] for axis in self.axes]
        return dict(zip(map(frozenset, product(*pairs)), self.cells, strict=True))

    def interval(self, cell: int) -> tuple[int, int]:
        """The 95% interval of a published count, from what is published alone.

        A lower end below the floor is zero. Small counts are published only if they have come out large;
        this keeps the interval valid among the counts that are published (``reporting.disclosure``).
        """
        low = cell - self.margin
        return (low if low >= self.floor else 0), cell + self.margin


class Tables(BaseModel):
    """All published tables of a study's release.

    Attributes:
        study: The study.
        version: Counts the releases of its tables.
        manifest_hash: What its people approved.
        release_hash: SHA-256 of the document of the study's release.
        population: ``all`` or ``minors``.
        states: Who was asked.
        epsilon: Cost of the whole study, at ``delta``.
        delta: The delta of ``epsilon``.
        rho: The same as zero-concentrated differential privacy.
        mechanism: What noise the counts carry.
        rules: How they were rounded and suppressed.
        compared: Earlier releases that they were compared with: SHA-256 by id.
        tables: The tables.
        types: What sets each type apart; None unless the tables are of typologies.
        warnings: Early warnings; None if nobody asked for them.
        created: UTC.
        software_version: What wrote this.
    """

    model_config = _STRICT

    study: Identifier
    version: int = Limit(ge=1, le=999_999)
    manifest_hash: Digest
    release_hash: Digest
    population: Identifier
    states: tuple[Text, ...] = Limit(min_length=1)
    epsilon: float = Limit(gt=0)
    delta: float = Limit(gt=0, lt=1)
    rho: float = Limit(gt=0)
    mechanism: Text
    rules: Rules
    compared: dict[Annotated[str, Limit(pattern=rf"^{ID.pattern}$")], Digest]
    tables: tuple[DisclosedTable, ...] = Limit(min_length=1, max_length=200)
    types: tuple[TypeFacts, ...] | None = None
    warnings: EarlyWarnings | None = None
    created: date
    software_version: Annotated[str, Limit(pattern=r"^[0-9A-Za-z.+-]{1,64}$")]

    @model_validator(mode="after")
    def _by_its_rules(self) -> Self:
        for table in self.tables:
            wanted = self.rules.margin(table.deviation), self.rules.floor(table.deviation)
            if (table.margin, table.floor) != wanted:
                raise ValueError("margin or floor of a table are not those of the rules")
            if any(cell is not None and cell % self.rules.base for cell in table.cells):
                raise ValueError("a published count is no multiple of the base")
        if len({table.name for table in self.tables}) != len(self.tables):
            raise ValueError("two tables have one name")
        return self

    @model_validator(mode="after")
    def _says_no_more_than_its_counts(self) -> Self:
        if self.types is not None:
            table = next((table for table in self.tables if table.name == TYPE), None)
            if table is None or [axis.name for axis in table.axes] != [TYPE]:
                raise ValueError("types are described, and no table counts them")
            counts = dict(zip(table.axes[0].codes, table.cells, strict=True))
            require_types(self.types, counts, table.floor)
        if self.warnings is not None and self.warnings.series:
            named = {each.table for each in self.warnings.series}
            counts_of = {table.name: table.counts for table in self.tables if table.name in named}
            require_warnings(self.warnings, counts_of, self.rules.base)
        return self

    @property
    def id(self) -> str:
        """``STUDY-VERSION``."""
        return f"{self.study}-{self.version}"

    def table(self, name: str) -> DisclosedTable:
        """The table of this name.

        Raises:
            UsageError: ``unknown-table``.
        """
        for table in self.tables:
            if table.name == name:
                return table
        names = [table.name for table in self.tables]
        raise UsageError("unknown-table", f"there is no table {name!r}", f"choose {nearest(name, names)}")


class TableFile(BaseModel):
    """What operators sign: the tables, and the hashes of the files made of them.

    Attributes:
        tables: The tables.
        exports: SHA-256 of each export by its file name.
    """

    model_config = _STRICT

    schema_version: Literal[1] = 1
    tables: Tables
    exports: dict[Annotated[str, Limit(pattern=r"^[a-z0-9.-]{1,100}$")], Digest]

    def to_bytes(self) -> bytes:
        """The canonical form. What a document does not have is left out; suppressed cells stay ``null``."""
        return canonical.serialise(self.model_dump(mode="json", exclude_none=True))


@dataclass(frozen=True)
class Loaded:
    """A document, checked, and the hash of its bytes."""

    file: TableFile
    sha256: str

    @property
    def tables(self) -> Tables:
        """Its tables."""
        return self.file.tables


def read(data: bytes) -> Loaded:
    """The document in the bytes of a file.

    Raises:
        PeerError: ``bad-tables``.
    """
    try:
        if len(data) > LARGEST:
            raise _malformed("it is too large")
        canonical.parse(data)
        found = TableFile.model_validate_json(data)
    except PeerError as error:
        raise _malformed(error.cause) from error
    except ValidationError as error:
        first = error.errors()[0]
        raise _malformed(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    if found.to_bytes() != data:
        raise _malformed("other bytes would stand for the same tables")
    return Loaded(found, canonical.sha256(data))


def ids_in(directory: Path) -> list[tuple[str, int]]:
    """Study and version of the documents that a directory holds, as their file names say."""
    names = (path.name.removesuffix(SUFFIX) for path in directory.glob(f"*{SUFFIX}"))
    return sorted((match[1], int(match[2])) for match in map(ID.fullmatch, names) if match)


def nearest(wanted: str, known: Iterable[str]) -> str:
    """What a reader who wrote ``wanted`` may have meant: the nearest names, or the first ones."""
    import difflib  # noqa: PLC0415 - for messages about mistakes only

    names = list(known)
    close = difflib.get_close_matches(wanted, names, n=3, cutoff=0.5)
    shown = close or names[:10]
    return " or ".join(repr(name) for name in shown) + ("" if close or len(names) <= 10 else " (and others)")


def _malformed(why: str) -> PeerError:
    return PeerError(
        "bad-tables",
        f"these are no published tables: {why}",
        "ask the publisher for the file again, unaltered",
    )
