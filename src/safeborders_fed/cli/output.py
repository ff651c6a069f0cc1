"""The one way in which commands speak: results to stdout, messages to stderr.

Guarantees: with ``--json``, stdout holds JSON objects only, each with ``schema_version``; without it,
text for people. Text from data is shown without control characters, so that no cell can steer a terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any, Final

from safeborders_fed.errors import SafeBordersError

SCHEMA_VERSION: Final = 1


def printable(text: str) -> str:
    """``text`` with control characters other than line ends shown as escapes."""
    return "".join(mark if mark.isprintable() or mark == "\n" else repr(mark)[1:-1] for mark in text)


def one_line(text: str) -> str:
    """``text`` with line ends as escapes too: what somebody wrote must not pass for a line of the program."""
    return printable(text).replace("\n", "\\n")


def result(content: dict[str, Any], text: str, *, as_json: bool) -> None:
    """Print a result: ``content`` as one JSON object, or ``text``."""
    if as_json:
        print(json.dumps({"schema_version": SCHEMA_VERSION} | content, ensure_ascii=False, default=str))
    else:
        print(printable(text))


def message(text: str) -> None:
    """Print a message that is not a result."""
    print(printable(text), file=sys.stderr)


def error(problem: SafeBordersError, *, as_json: bool) -> None:
    """Print an error, with what to do about it."""
    if as_json:
        content = {"code": problem.code, "cause": problem.cause, "fix": problem.fix}
        result({"error": content}, "", as_json=True)
    else:
        message(f"Error [{problem.code}]: {problem.cause}\nFix: {problem.fix}")


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in plain text, columns aligned; numbers to the right."""
    texts = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *texts, strict=True)]
    numeric = [bool(rows) and all(isinstance(row[at], int) for row in rows) for at in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        aligned = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(cells, widths, numeric, strict=True)
        )
        return "  ".join(aligned).rstrip()

    return "\n".join([line(header), *map(line, texts)])
