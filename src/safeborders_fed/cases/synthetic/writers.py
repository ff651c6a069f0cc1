"""Writers of national files: CSV, JSON lines, Excel and Parquet.

Guarantees: the same sheet gives the same bytes, whenever and wherever it is written: no file holds the
time of writing. (That is why Excel files are put together here: openpyxl stamps them, and takes ten
times as long.)
"""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from safeborders_fed.cases.mapping import Mapping
from safeborders_fed.cases.sources import SingleSource
from safeborders_fed.cases.synthetic.shapes import Texts

_FIRST_OF_ZIP: Final = (1980, 1, 1, 0, 0, 0)
_EXCEL_PARTS: Final = {
    "[Content_Types].xml": (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Override PartName="/xl/workbook.xml" '
        'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>'
        '<Override PartName="/xl/worksheets/sheet1.xml" '
        'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>'
        '<Override PartName="/xl/sharedStrings.xml" '
        'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"/></Types>'
    ),
    "_rels/.rels": (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        '<Relationship Id="rId1" Target="xl/workbook.xml" '
        'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"/>'
        "</Relationships>"
    ),
    "xl/_rels/workbook.xml.rels": (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        '<Relationship Id="rId1" Target="worksheets/sheet1.xml" '
        'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet"/>'
        '<Relationship Id="rId2" Target="sharedStrings.xml" '
        'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/sharedStrings"/>'
        "</Relationships>"
    ),
}
_SPREADSHEET: Final = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_HEADER: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'


def write_file(path: Path, mapping: Mapping, columns: dict[str, Texts], encoding: str) -> None:
    """Write ``columns`` in the format that ``mapping`` names; text files in ``encoding``."""
    numbers = {
        source.column
        for source in mapping.fields.values()
        if isinstance(source, SingleSource) and source.number and source.column is not None
    }
    match mapping.format_of(path):
        case "csv":
            _write_csv(path, columns, mapping.file.delimiter, encoding)
        case "jsonl":
            _write_json_lines(path, _typed(columns, numbers))
        case "parquet":
            _write_parquet(path, _typed(columns, numbers))
        case _:
            _write_excel(path, _typed(columns, numbers), mapping.file.sheet or "1")


def _typed(columns: dict[str, Texts], numbers: set[str]) -> dict[str, list[Any]]:
    """Empty cells as None, and numbers as numbers."""
    return {
        name: [int(text) if text.isdigit() else None for text in texts]
        if name in numbers
        else [text or None for text in texts]
        for name, texts in columns.items()
    }


def _write_csv(path: Path, columns: dict[str, Texts], delimiter: str, encoding: str) -> None:
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(columns)
        writer.writerows(np.column_stack(list(columns.values())).tolist())


def _write_json_lines(path: Path, columns: dict[str, list[Any]]) -> None:
    lines = (
        json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False)
        for row in zip(*columns.values(), strict=True)
    )
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


def _write_parquet(path: Path, columns: dict[str, list[Any]]) -> None:
    pq.write_table(pa.table(columns), path)


def _write_excel(path: Path, columns: dict[str, list[Any]], sheet: str) -> None:
    rows = [list(columns), *zip(*columns.values(), strict=True)]
    shared: dict[str, int] = {}
    body = "".join(
        f'<row r="{number}">{_excel_cells(row, number, shared)}</row>' for number, row in enumerate(rows, 1)
    )
    texts = "".join(f'<si><t xml:space="preserve">{escape(text)}</t></si>' for text in shared)
    parts = {
        **_EXCEL_PARTS,
        "xl/workbook.xml": (
            f"<workbook {_SPREADSHEET} "
            'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">'
            f'<sheets><sheet name="{escape(sheet)}" sheetId="1" r:id="rId1"/></sheets></workbook>'
        ),
        "xl/sharedStrings.xml": f"<sst {_SPREADSHEET}>{texts}</sst>",
        "xl/worksheets/sheet1.xml": f"<worksheet {_SPREADSHEET}><sheetData>{body}</sheetData></worksheet>",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in parts.items():
            info = zipfile.ZipInfo(name, _FIRST_OF_ZIP)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, _HEADER + text, compresslevel=3)


def _excel_cells(row: Sequence[Any], number: int, shared: dict[str, int]) -> str:
    """Cells of one row; a text goes to ``shared`` once and is referred to by its position."""
    return "".join(
        f'<c r="{_letters(at)}{number}"><v>{cell}</v></c>'
        if isinstance(cell, int)
        else f'<c r="{_letters(at)}{number}" t="s"><v>{shared.setdefault(cell, len(shared))}</v></c>'
        for at, cell in enumerate(row)
        if cell is not None
    )


def _letters(at: int) -> str:
    """The name of a column of a spreadsheet: A to Z, then AA."""
    return (chr(64 + at // 26) if at >= 26 else "") + chr(65 + at % 26)
