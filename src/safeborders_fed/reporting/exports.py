"""Files made of published tables: SDMX-CSV 2.0, plain CSV with labels, Parquet; and the noisy measurements.

Guarantees: the same tables give the same bytes (Parquet: under the same version of pyarrow). A suppressed
count is an empty value with its flags, never a zero. Observation status and confidentiality status are apart,
after the lists that Eurostat has used since January 2025:

=============  ==========================================================================
OBS_STATUS     ``A`` normal; ``U`` low reliability: the interval reaches zero; ``Q`` missing, suppressed
CONF_STATUS    ``F`` free; ``C`` confidential: suppressed, whichever rule did it
=============  ==========================================================================

Why a count is suppressed is not told apart (``C``, not ``D``): a reader would learn on which side of the
threshold it lies. Text that a spreadsheet could take for a formula begins with an apostrophe in the CSV with
labels, and an SDMX code with an underscore. The noisy measurements are not rounded and not suppressed; they
are private by their noise like the rest, and are for analysts whom the publisher approves.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from safeborders_fed.reporting import codes
from safeborders_fed.reporting.noisy_tables import TableRelease
from safeborders_fed.study import canonical
from safeborders_fed.study.table_file import DisclosedTable, Tables

SDMX_COLUMNS: Final = (
    "STRUCTURE",
    "STRUCTURE_ID",
    "ACTION",
    "FREQ",
    "REF_AREA",
    "CITIZEN",
    "SEX",
    "AGE",
    "FORM",
    "MEANS",
    "TIME_PERIOD",
    "OBS_VALUE",
    "UNIT_MEASURE",
    "OBS_STATUS",
    "CONF_STATUS",
    "LOWER95",
    "UPPER95",
    "NOISE_MECHANISM",
    "NOISE_SIGMA",
    "ROUND_BASE",
    "RELEASE_ID",
)
DIMENSIONS: Final = ("REF_AREA", "CITIZEN", "SEX", "AGE", "FORM", "MEANS", "TIME_PERIOD")
STRUCTURE_ID: Final = "SAFEBORDERS:VICTIMS(1.0.0)"
REPLACE: Final = "R"
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_METADATA: Final = b"safeborders"


@dataclass(frozen=True, slots=True)
class Row:
    """One cell of a table as it is published.

    Attributes:
        codes: Code by axis.
        value: The count; None if it is suppressed.
        lower: Lower end of its interval.
        upper: Upper end.
    """

    codes: dict[str, str]
    value: int | None
    lower: int | None
    upper: int | None

    @property
    def status(self) -> tuple[str, str]:
        """Observation status and confidentiality status."""
        if self.value is None:
            return "Q", "C"
        return ("A" if self.lower else "U"), "F"


def names(tables_id: str) -> dict[str, str]:
    """File name by format of the exports of a release; the noisy measurements are ``noisy``."""
    endings = {"sdmx": "sdmx.csv", "csv": "csv", "parquet": "parquet", "noisy": "noisy.json"}
    return {kind: f"{tables_id}.{ending}" for kind, ending in endings.items()}


def exports(tables: Tables) -> dict[str, bytes]:
    """All public files of a release by name. Raises as ``sdmx_csv``."""
    called = names(tables.id)
    return {
        called["sdmx"]: sdmx_csv(tables),
        called["csv"]: labelled_csv(tables),
        called["parquet"]: parquet(tables),
    }


def rows_of(table: DisclosedTable) -> Iterator[Row]:
    """The cells of a table, in its order."""
    shape = tuple(len(axis.codes) for axis in table.axes)
    for place, value in zip(np.ndindex(*shape), table.cells, strict=True):
        chosen = {axis.name: axis.codes[at] for axis, at in zip(table.axes, place, strict=True)}
        lower, upper = (None, None) if value is None else table.interval(value)
        yield Row(chosen, value, lower, upper)


def columns_of(tables: Tables) -> dict[str, str]:
    """Axis by column: where several could fill one, the axis of most tables does, and no other."""
    known = [table for table in tables.tables if all(axis.name in codes.COLUMNS for axis in table.axes)]
    uses = Counter(axis.name for table in known for axis in table.axes)
    found: dict[str, str] = {}
    for axis, column in codes.COLUMNS.items():
        if uses[axis] > uses[found.get(column, "")]:
            found[column] = axis
    return found


def left_out(tables: Tables) -> tuple[str, ...]:
    """Tables that the columns of the SDMX-CSV cannot hold; the other files hold them."""
    held = {table.name for table in _in_sdmx(tables)}
    return tuple(table.name for table in tables.tables if table.name not in held)


def only_in_document(tables: Tables) -> tuple[str, ...]:
    """What a release says beside its counts, which no export holds."""
    held = {"what sets types apart": tables.types, "early warnings": tables.warnings}
    return tuple(name for name, content in held.items() if content is not None)


def _in_sdmx(tables: Tables) -> list[DisclosedTable]:
    """Tables each of whose axes fills a column; one for each set of axes."""
    filling = set(columns_of(tables).values())
    found: dict[frozenset[str], DisclosedTable] = {}
    for table in tables.tables:
        axes = frozenset(axis.name for axis in table.axes)
        if axes <= filling:
            found.setdefault(axes, table)
    return list(found.values())


def sdmx_csv(tables: Tables) -> bytes:
    """SDMX-CSV 2.0: codes, CRLF, ``_T`` for what is summed over, ``_Z`` for what no table has.

    Raises:
        DefectError: ``report-facts``, when two codes of an axis have one SDMX code.
    """
    chosen = _in_sdmx(tables)
    used = {codes.COLUMNS[axis.name] for table in chosen for axis in table.axes}
    unused = {name: codes.TOTAL if name in used else codes.NOT_APPLICABLE for name in DIMENSIONS}
    if "REF_AREA" not in used:
        unused["REF_AREA"] = codes.TOTAL  # all states that took part
    rows = [
        [line[name] for name in SDMX_COLUMNS]
        for table in chosen
        for line in _sdmx_rows(tables, table, unused)
    ]
    return _csv(SDMX_COLUMNS, rows)


def _sdmx_rows(tables: Tables, table: DisclosedTable, unused: dict[str, str]) -> Iterator[dict[str, object]]:
    mapped = {axis.name: codes.codes_of(axis.name, axis.codes) for axis in table.axes}
    fixed = {
        "STRUCTURE": "dataflow",
        "STRUCTURE_ID": STRUCTURE_ID,
        "ACTION": REPLACE,
        "FREQ": _frequency(table, tables),
        "UNIT_MEASURE": "PS",
        "NOISE_MECHANISM": tables.mechanism,
        "NOISE_SIGMA": f"{table.deviation:.6g}",
        "ROUND_BASE": tables.rules.base,
        "RELEASE_ID": tables.id,
    }
    for row in rows_of(table):
        own = {codes.COLUMNS[axis]: mapped[axis][code] for axis, code in row.codes.items()}
        observed, confidential = row.status
        yield {
            **fixed,
            **unused,
            **own,
            "OBS_VALUE": row.value,
            "OBS_STATUS": observed,
            "CONF_STATUS": confidential,
            "LOWER95": row.lower,
            "UPPER95": row.upper,
        }


def _frequency(table: DisclosedTable, tables: Tables) -> str:
    """``Q`` for tables by quarter, ``A`` for those by year; a table without periods is of the release's."""
    own = [axis for axis in table.axes if codes.COLUMNS.get(axis.name) == "TIME_PERIOD"]
    every = [
        axis for each in tables.tables for axis in each.axes if codes.COLUMNS.get(axis.name) == "TIME_PERIOD"
    ]
    found = own or every
    if not found:
        return codes.NOT_APPLICABLE
    return "Q" if any("Q" in code for code in found[0].codes) else "A"


def labelled_csv(tables: Tables) -> bytes:
    """Plain CSV for people: a column for each axis with its code, and one with its label."""
    axes = _axes(tables)
    header = ("table", *(part for name in axes for part in (name, f"{name}_label")), *_FIGURES)
    rows = [[guarded(record[name]) for name in header] for record in records(tables)]
    return _csv(header, rows)


_FIGURES: Final = (
    "count",
    "lower95",
    "upper95",
    "obs_status",
    "conf_status",
    "sigma",
    "round_base",
    "release",
)


def records(tables: Tables) -> Iterator[dict[str, Any]]:
    """All cells as flat records: codes and labels of every axis; the word Total where one is summed over."""
    blank: dict[str, Any] = {}
    for name in _axes(tables):
        blank |= {name: codes.TOTAL, f"{name}_label": "Total"}
    for table in tables.tables:
        for row in rows_of(table):
            own: dict[str, Any] = {}
            for axis, code in row.codes.items():
                own |= {axis: code, f"{axis}_label": codes.label_of(axis, code)}
            observed, confidential = row.status
            figures = (row.value, row.lower, row.upper, observed, confidential)
            rest = (table.deviation, tables.rules.base, tables.id)
            yield {"table": table.name, **blank, **own, **dict(zip(_FIGURES, (*figures, *rest), strict=True))}


def _axes(tables: Tables) -> tuple[str, ...]:
    return tuple(dict.fromkeys(axis.name for table in tables.tables for axis in table.axes))


def parquet(tables: Tables) -> bytes:
    """Parquet with the records of ``labelled_csv``, and what they cost in its schema's metadata."""
    import pyarrow as pa  # noqa: PLC0415 - heavy, and not needed to read a release
    import pyarrow.parquet as pq  # noqa: PLC0415 - likewise

    texts = ("table", *(part for name in _axes(tables) for part in (name, f"{name}_label")))
    kinds = [pa.field(name, pa.string(), nullable=False) for name in texts]
    types = (
        pa.int64(),
        pa.int64(),
        pa.int64(),
        pa.string(),
        pa.string(),
        pa.float64(),
        pa.int64(),
        pa.string(),
    )
    kinds += [pa.field(name, kind) for name, kind in zip(_FIGURES, types, strict=True)]
    schema = pa.schema(kinds, metadata={_METADATA: canonical.serialise(metadata(tables))})
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(records(tables)), schema=schema), sink, compression="zstd")
    return sink.getvalue()


def metadata(tables: Tables) -> dict[str, Any]:
    """What a reader must know to use the counts."""
    content = tables.model_dump(mode="json", exclude={"tables", "types", "warnings"})
    return content | {"release": tables.id, "unit": "one victim, with all their records, at one node"}


def noisy_measurements(release: TableRelease, tables_id: str) -> bytes:
    """Counts as the study released them: not rounded, not suppressed; canonical JSON."""
    content = {
        "schema_version": 1,
        "release": tables_id,
        "study": release.study,
        "manifest_hash": release.manifest_hash,
        "notice": "For approved analysts only: not rounded, not suppressed, private by noise.",
        "tables": [
            {
                "name": table.name,
                "axes": [{"name": axis.name, "codes": list(axis.codes)} for axis in table.axes],
                "deviation": table.deviation,
                "counts": table.counts.ravel().tolist(),
            }
            for table in release.tables
        ],
    }
    return canonical.serialise(content)


def guarded(value: object) -> object:
    """Text that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _csv(header: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode("utf-8")
