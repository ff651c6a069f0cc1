"""The audit log as a record for authorities: JSON lines, JSON and CSV.

Guarantees:

- JSON lines are the log's own lines: all of them together can be verified.
- JSON and CSV say for each entry which processing operation of Article 25 of Directive (EU) 2016/680 it is,
  and who received something (``audit.led``).
- No cell of the CSV begins with a mark that a spreadsheet takes for a formula: such a cell gets an apostrophe
  before it, also after leading blanks. Line breaks stay within quotation marks.
- Constant memory: entries are written as they are read.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from safeborders_fed.audit.led import TREATMENTS, recipient
from safeborders_fed.audit.period import Row

COLUMNS: Final = ("number", "at", "category", "operation", "meaning", "who", "why", "recipient", "study")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def facts(row: Row) -> dict[str, Any]:
    """What is reported of an entry, in the order of ``COLUMNS``, and its details."""
    entry, treatment = row.entry, TREATMENTS[row.entry.operation]
    return {
        "number": entry.number,
        "at": entry.at,
        "category": treatment.category.value,
        "operation": entry.operation.value,
        "meaning": treatment.meaning,
        "who": entry.who,
        "why": entry.why,
        "recipient": recipient(entry),
        "study": str(entry.details.get("study", "")),
        "details": entry.details,
    }


def as_lines(rows: Iterable[Row]) -> Iterator[bytes]:
    """The log's own lines."""
    for row in rows:
        yield row.line + b"\n"


def as_json(rows: Iterable[Row], about: dict[str, Any]) -> Iterator[bytes]:
    """One JSON object: what ``about`` says, and ``entries``."""
    head = json.dumps(about, ensure_ascii=False, indent=1)
    yield head.removesuffix("\n}").encode("utf-8") + b',\n "entries": ['
    between = b"\n  "
    for row in rows:
        yield between + json.dumps(facts(row), ensure_ascii=False, allow_nan=False).encode("utf-8")
        between = b",\n  "
    yield b"\n ]\n}\n"


def as_csv(rows: Iterable[Row]) -> Iterator[bytes]:
    """A table with a heading, UTF-8 with a mark that spreadsheets know it by."""
    yield b"\xef\xbb\xbf" + _line([*COLUMNS, "details"])
    for row in rows:
        content = facts(row)
        details = json.dumps(content["details"], ensure_ascii=False, sort_keys=True)
        yield _line([*(content[name] for name in COLUMNS), details])


def safe(cell: object) -> object:
    """A cell that no spreadsheet computes."""
    if not isinstance(cell, str):
        return cell
    text = cell.replace("\0", "")
    return f"'{text}" if text.lstrip(" \u00a0").startswith(_FORMULA) else text


def _line(cells: list[Any]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_MINIMAL, lineterminator="\r\n").writerow(map(safe, cells))
    return text.getvalue().encode("utf-8")
