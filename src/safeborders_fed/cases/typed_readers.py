"""Readers of files with typed cells: Excel workbooks and Parquet.

Guarantees: memory is bounded by the size of a chunk; formulas are never evaluated and macros never run: a row
with a formula in a mapped column is rejected. Cells become text in one way: whole numbers without a decimal
point, dates as YYYY-MM-DD, truth values as true and false, an empty cell as empty text.
"""

from __future__ import annotations

import math
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import ParseError

import openpyxl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from safeborders_fed.cases.chunks import Chunk, check_width, choose, empty, rows_at_once, unreadable
from safeborders_fed.cases.rejection import Reason, Rejection
from safeborders_fed.cases.sources import FileFormat, clean
from safeborders_fed.cases.text_readers import LIST_MARK
from safeborders_fed.errors import ConfigurationError, DataError

_EXCEL_ERRORS: Final = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    ParseError,
    OSError,
    KeyError,
    ValueError,
    TypeError,
    EOFError,
    AttributeError,
    IndexError,
    OverflowError,
    RuntimeError,
    struct.error,
    zlib.error,
)
"""What openpyxl raises for broken or protected files."""
_PARQUET_ERRORS: Final = (OSError, ValueError, OverflowError, pa.ArrowException)
"""What pyarrow raises for broken or encrypted files."""
_FORMULA: Final = "f"


def _cell_text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case date():  # a date with a time is one too
            return str(value)[:10]
        case float():
            whole = str(int(value)) if value.is_integer() else repr(value)
            return "" if math.isnan(value) else whole
        case _:
            return str(value)


class ExcelReader:
    """Reads one sheet of an Excel workbook. See ``chunks.Reader``."""

    typed = True

    def __init__(self, path: Path, file: FileFormat) -> None:
        self._path = path
        self._sheet_name = file.sheet
        self._stream = path.open("rb")

    def start(self, wanted: Sequence[str] | None) -> None:
        """Open the sheet and read the header: its first row that is not blank."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of decorations that openpyxl passes over
                book = openpyxl.load_workbook(self._stream, read_only=True, keep_links=False)
        except _EXCEL_ERRORS as error:
            raise unreadable(self._path, "an Excel workbook", error) from error
        self._rows = self._numbered(self._sheet(book, self._sheet_name))
        header = next(self._fetch(1), None)
        if header is None:
            raise empty(self._path)
        cells = [clean(_cell_text(cell.value)) for cell in header[1]]
        while cells and not cells[-1]:
            cells.pop()
        check_width(self._path, len(cells))
        self.header = tuple(cells)
        self.names, self._positions = choose(self._path, self.header, wanted)

    def _sheet(self, book: Any, name: str | None) -> Any:
        sheets = {sheet.title: sheet for sheet in book.worksheets}
        if not sheets:
            raise empty(self._path)
        sheet = next(iter(sheets.values())) if name is None else sheets.get(name)
        if sheet is None:
            raise ConfigurationError(
                "missing-sheet",
                f"{self._path.name} has no sheet {name!r}; it has {', '.join(map(repr, sheets))}",
                "correct sheet in the [file] table of the mapping",
            )
        sheet.reset_dimensions()  # some programs write wrong ones, and cells would be lost
        return sheet

    @staticmethod
    def _numbered(sheet: Any) -> Iterator[tuple[int, tuple[Any, ...]]]:
        for row, cells in enumerate(sheet.iter_rows(), start=1):
            if any(cell.value not in {None, ""} for cell in cells):
                yield row, cells

    def _fetch(self, count: int) -> Iterator[tuple[int, tuple[Any, ...]]]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                return iter(list(islice(self._rows, count)))
        except _EXCEL_ERRORS as error:
            raise unreadable(self._path, "an Excel workbook", error) from error

    def chunks(self) -> Iterator[Chunk]:
        """All rows that are not blank, in order."""
        size = rows_at_once(len(self.header))
        while batch := list(self._fetch(size)):
            rows: list[int] = []
            columns: list[list[str]] = [[] for _ in self.names]
            rejected = []
            for row, cells in batch:
                chosen: list[Any] = [cells[at] if at < len(cells) else None for at in self._positions]
                kinds = [cell.data_type if cell is not None else "" for cell in chosen]
                if _FORMULA in kinds:
                    at = kinds.index(_FORMULA)
                    rejected.append(_formula(row, self.names[at], chosen[at].value))
                    continue
                rows.append(row)
                for column, cell in zip(columns, chosen, strict=True):
                    column.append(_cell_text(cell.value) if cell is not None else "")
            yield Chunk(self.names, rows, tuple(columns), tuple(rejected))

    def share(self) -> None:
        """Not known: a workbook does not say reliably how many rows it has."""

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def _formula(row: int, column: str, value: object) -> Rejection:
    text = value if isinstance(value, str) else str(getattr(value, "text", ""))
    return Rejection(
        row, column, text, Reason.FORMULA, "the cell holds a formula: paste its value as text or number"
    )


class ParquetReader:
    """Reads a Parquet file. See ``chunks.Reader``."""

    typed = True

    def __init__(self, path: Path, file: FileFormat) -> None:
        del file  # a Parquet file says all of it itself
        self._path = path
        self._done = 0
        self._stream = path.open("rb")

    def start(self, wanted: Sequence[str] | None) -> None:
        """Read the footer."""
        try:
            self._parquet = pq.ParquetFile(self._stream)
            schema = self._parquet.schema_arrow
        except _PARQUET_ERRORS as error:
            raise unreadable(self._path, "Parquet", error) from error
        check_width(self._path, len(schema.names))
        self.header: tuple[str, ...] = tuple(clean(name) for name in schema.names)
        self.names, self._positions = choose(self._path, self.header, wanted)
        for at in self._positions:
            _check_type(self._path, schema.field(at))
        self._total: int = self._parquet.metadata.num_rows

    def chunks(self) -> Iterator[Chunk]:
        """All rows, in order; row numbers count from 1."""
        columns = [self._parquet.schema_arrow.names[at] for at in self._positions]
        size = rows_at_once(len(columns))
        try:
            for batch in self._parquet.iter_batches(batch_size=size, columns=columns):
                rows = range(self._done + 1, self._done + 1 + batch.num_rows)
                self._done += batch.num_rows
                yield Chunk(self.names, rows, tuple(_texts(batch.column(name)) for name in columns), ())
        except _PARQUET_ERRORS as error:
            raise unreadable(self._path, "Parquet", error) from error

    def share(self) -> float:
        """The part of the file that has been read."""
        return self._done / max(1, self._total)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def _check_type(path: Path, column: Any) -> None:
    kind = column.type
    if pa.types.is_dictionary(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
        kind = kind.value_type
    nested = pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    if nested or pa.types.is_dictionary(kind):
        raise DataError(
            "column-type",
            f"the column {column.name!r} of {path.name} has type {column.type}, which is not text, number, "
            "date or a list of them",
            "export this column as text",
        )


def _texts(column: Any) -> list[str]:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.dictionary_decode(), kind.value_type
    if pa.types.is_timestamp(kind):
        # Midnight in Sofia is the day before in UTC: what counts is the day on the wall.
        column = (pc.local_timestamp(column) if kind.tz else column).cast(pa.date32())
    elif pa.types.is_date64(kind):
        column = column.cast(pa.date32())
    values = column.to_pylist()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [LIST_MARK.join(filter(None, map(_cell_text, value or ()))) for value in values]
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return [value or "" for value in values]
    return [_cell_text(value) for value in values]
