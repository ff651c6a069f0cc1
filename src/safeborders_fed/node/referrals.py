"""New referrals from a national file, for scoring: read with the mapping that imports use, and not stored.

Guarantees: cells mean here exactly what they mean at an import (same readers, same conversion, same keyed
pseudonyms); every row of the file is in a referral or among the rejections, with its reason; the node's own
references of a case stand beside the analysis columns, never in them. One thing differs: new referrals are
newer than the register that the mapping was written for, so its period goes on until today.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

import pyarrow as pa

from safeborders_fed.cases import encoding, merging
from safeborders_fed.cases.contract import Field
from safeborders_fed.cases.conversion import Converter
from safeborders_fed.cases.encoding import Victims
from safeborders_fed.cases.keys import NodeKeys
from safeborders_fed.cases.mapping import Mapping
from safeborders_fed.cases.readers import open_reader
from safeborders_fed.cases.rejection import Reason, Rejection
from safeborders_fed.cases.spill import ROW, SPILLED
from safeborders_fed.cases.tables import RECORDS, analysis_view
from safeborders_fed.errors import DataError

MOST_ROWS: Final = 200_000
"""Rows of a file: they are held in memory, and more are no list that people review."""


@dataclass(frozen=True)
class Reference:
    """How the node's own people know a referral.

    Attributes:
        cases: Case ids of the national file.
        person: Victim id of the national file.
        rows: Rows of the file that were merged.
    """

    cases: tuple[str, ...]
    person: str
    rows: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Referrals:
    """What a file holds: one referral for each person.

    Attributes:
        victims: Merged as for an analysis, shape (n,).
        references: One for each, in the same order.
        read: Rows of the file.
        repeated: Rows that an earlier row repeats exactly.
        rejections: What is wrong with the rows that are in no referral.
    """

    victims: Victims
    references: tuple[Reference, ...]
    read: int
    repeated: int
    rejections: tuple[Rejection, ...]

    @property
    def rejected(self) -> int:
        """Rows that are in no referral."""
        return len({rejection.row for rejection in self.rejections})


def read_referrals(path: Path, mapping: Mapping, keys: NodeKeys, fields: Sequence[Field]) -> Referrals:
    """The referrals in a file.

    Args:
        path: The national file.
        mapping: How to read it.
        keys: The node's secrets, for pseudonyms.
        fields: The single and multi fields that are needed of each.

    Raises:
        DataError: ``too-many-referrals``, or the file cannot be read at all (see ``readers.open_reader``).
        UsageError: ``unknown-format``.
    """
    path, mapping = Path(path), _until(mapping, datetime.now(UTC).date())
    tables, read = [SPILLED.empty_table()], 0
    rejections: list[Rejection] = []
    with open_reader(path, mapping.format_of(path), mapping.file, mapping.columns()) as reader:
        converter = Converter(mapping, keys, typed=reader.typed)
        for chunk in reader.chunks():
            converted = converter.convert(chunk)
            tables.append(converted.rows)
            rejections.extend(converted.rejections)
            read += len(chunk.rows) + len(chunk.rejected)
            if read > MOST_ROWS:
                raise DataError(
                    "too-many-referrals",
                    f"{path.name} has more than {MOST_ROWS:,} rows",
                    "score a file of new referrals, not the whole register; split it if need be",
                )
    rows = pa.concat_tables(tables)
    merged = merging.merge(RECORDS.empty_table(), rows)
    rejections.extend(_conflict(row, first) for row, first in merged.conflicts)
    victims = encoding.merge(analysis_view(merged.table), fields)
    references = _references(rows, {row for row, _ in merged.conflicts})
    return Referrals(
        victims=victims,
        references=tuple(references[pseudonym] for pseudonym in victims.pseudonyms.tolist()),
        read=read,
        repeated=merged.repeated,
        rejections=tuple(sorted(rejections, key=lambda rejection: rejection.row)),
    )


def _until(mapping: Mapping, today: date) -> Mapping:
    """The mapping with a period that does not end before this year."""
    last = max(mapping.period.last, today.year)
    return mapping.model_copy(update={"period": mapping.period.model_copy(update={"last": last})})


def _references(rows: pa.Table, conflicting: set[int]) -> dict[str, Reference]:
    """The reference of each pseudonym."""
    names = ("victim", "case_id", "victim_id", ROW)
    cases: dict[str, dict[str, None]] = defaultdict(dict)
    numbers: dict[str, list[int]] = defaultdict(list)
    persons: dict[str, str] = {}
    for pseudonym, case, person, number in zip(*(rows[name].to_pylist() for name in names), strict=True):
        if number not in conflicting:
            cases[pseudonym][case] = None
            numbers[pseudonym].append(number)
            persons[pseudonym] = person
    return {
        pseudonym: Reference(tuple(cases[pseudonym]), person, tuple(numbers[pseudonym]))
        for pseudonym, person in persons.items()
    }


def _conflict(row: int, first: int) -> Rejection:
    text = f"the same case and victim stand in row {first} with other content; row {first} was kept"
    return Rejection(row, "", "", Reason.DUPLICATE_KEY, text)
