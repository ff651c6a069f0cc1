"""The tables of a case store: their columns, in the order of the contract.

Guarantees: the analysis table holds pseudonyms and contract codes only; raw keys and identifiers stand in the
identity table, which is encrypted under another key. Files carry the version of the contract, and a file of
another version is refused. Rows of one victim stand together: tables are sorted by victim, then case.

On disk a single value is its position in the contract (int16, null for not known). ``analysis_view`` turns
positions into dictionary columns of contract codes.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from safeborders_fed.cases import contract
from safeborders_fed.cases.contract import FIELDS, Kind
from safeborders_fed.errors import ConfigurationError

KEYS: Final = ("victim", "case")
PRECISIONS: Final = ("day", "month", "year")
SINGLES: Final = tuple(entry for entry in FIELDS if entry.kind == Kind.SINGLE)
MULTIS: Final = tuple(entry for entry in FIELDS if entry.kind == Kind.MULTI)
VERSION_KEY: Final = b"safeborders.contract_version"

_KEY_COLUMNS: Final = [(name, pa.string()) for name in KEYS]
_MULTI_COLUMNS: Final = [
    (name, pa.uint32()) for entry in MULTIS for name in (entry.name, f"{entry.name}_known")
]

CASES_STORED: Final = pa.schema(
    [
        *_KEY_COLUMNS,
        ("registration_date", pa.date32()),
        ("registration_precision", pa.int8()),
        *((entry.name, pa.int16()) for entry in SINGLES),
        *_MULTI_COLUMNS,
    ]
)
"""The analysis table as files hold it."""

IDENTITY_STORED: Final = pa.schema(
    [*_KEY_COLUMNS, ("victim_id", pa.string()), ("case_id", pa.string()), ("identifiers", pa.string())]
)
"""Raw keys and identifiers, one row per (case, victim); ``identifiers`` holds a line for each, as type, owner
and value with tabs between."""

RECORDS: Final = pa.schema([*CASES_STORED, *list(IDENTITY_STORED)[len(KEYS) :]])
"""A whole record, as intake makes it: the analysis columns, then the identity columns."""

IDENTIFIERS_VIEW: Final = pa.schema(
    [*_KEY_COLUMNS, ("type", pa.string()), ("owner", pa.string()), ("value", pa.string())]
)
RAW_KEYS_VIEW: Final = pa.schema([*_KEY_COLUMNS, ("victim_id", pa.string()), ("case_id", pa.string())])


def stamped(table: pa.Table) -> pa.Table:
    """``table`` with the version of the contract in its metadata."""
    return table.replace_schema_metadata({VERSION_KEY: contract.CONTRACT_VERSION.encode()})


def check_version(version: str | None, where: str) -> None:
    """Refuse what was written under another contract.

    Raises:
        ConfigurationError: ``contract-version``.
    """
    if version != contract.CONTRACT_VERSION:
        raise ConfigurationError(
            "contract-version",
            f"{where} was written under data contract {version}; this program has "
            f"{contract.CONTRACT_VERSION}",
            "import the national file again into a new store, or use the program version that wrote it",
        )


def version_of(table: pa.Table) -> str | None:
    """The version of the contract that a stored table was stamped with."""
    value: bytes | None = (table.schema.metadata or {}).get(VERSION_KEY)
    return None if value is None else value.decode()


def _dictionary(column: pa.ChunkedArray, codes: tuple[str, ...]) -> pa.ChunkedArray:
    values = pa.array(codes, pa.string())
    kind = pa.dictionary(pa.int16(), pa.string())
    chunks = [pa.DictionaryArray.from_arrays(chunk.cast(pa.int16()), values) for chunk in column.chunks]
    return pa.chunked_array(chunks, kind)


def analysis_view(stored: pa.Table) -> pa.Table:
    """The analysis table for analyses, from stored rows.

    Columns: ``victim`` and ``case`` (32 hexadecimal digits), ``registration_date`` (date32, first day of the
    month or year where that is the precision), ``registration_precision``, each single field as
    dictionary<int16, string> of contract codes (null: not known), each multi field as two uint32 bit sets.
    """
    columns = {name: stored[name] for name in CASES_STORED.names}
    columns["registration_precision"] = _dictionary(stored["registration_precision"], PRECISIONS)
    for entry in SINGLES:
        columns[entry.name] = _dictionary(stored[entry.name], entry.codes)
    return stamped(pa.table(columns))


def identifiers_view(stored: pa.Table) -> pa.Table:
    """One row per identifier: victim, case, type, owner, value."""
    batch = stored.combine_chunks()
    filled = batch.filter(pc.not_equal(batch["identifiers"], ""))
    if filled.num_rows == 0:
        return IDENTIFIERS_VIEW.empty_table()
    lines = pc.split_pattern(filled["identifiers"].combine_chunks(), "\n")
    parents = pc.list_parent_indices(lines)
    parts = pc.split_pattern(pc.list_flatten(lines), "\t")
    columns = [filled[name].take(parents) for name in KEYS]
    columns += [pc.list_element(parts, index) for index in range(3)]
    return pa.table(columns, schema=IDENTIFIERS_VIEW)
