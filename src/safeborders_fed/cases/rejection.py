"""Why a row of a national file is not taken, and the quarantine file that says so.

Guarantees: reasons are a fixed list; the quarantine file can be read by its owner only, exists under its
final name only when the import has ended, and holds no cell that a spreadsheet would run as a formula.
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from safeborders_fed.errors import ConfigurationError, UsageError

_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
_LONGEST: Final = 500
"""Longer values are cut: the row number leads to the rest."""


class Reason(StrEnum):
    """Why a row was rejected."""

    MALFORMED_ROW = "malformed-row"
    WRONG_NUMBER_OF_FIELDS = "wrong-number-of-fields"
    WRONG_ENCODING = "wrong-encoding"
    NUL_BYTE = "nul-byte"
    FORMULA = "formula"
    MISSING_KEY = "missing-key"
    MISSING_DATE = "missing-date"
    IMPOSSIBLE_DATE = "impossible-date"
    OUTSIDE_PERIOD = "outside-period"
    UNKNOWN_CODE = "unknown-code"
    NOT_A_NUMBER = "not-a-number"
    AGE_OUT_OF_RANGE = "age-out-of-range"
    DUPLICATE_KEY = "duplicate-key"


@dataclass(frozen=True, slots=True)
class Rejection:
    """One thing wrong with one row. ``column`` and ``value`` are empty where the row as a whole is wrong."""

    row: int
    column: str
    value: str
    reason: Reason
    explanation: str


class Quarantine:
    """Writes rejections to ``waiting``; ``keep`` gives the file its final name. No path: counts only."""

    def __init__(self, path: Path | None, waiting: Path | None = None) -> None:
        self.path = path
        self._waiting = waiting or (path.with_name(f"{path.name}.partial") if path else None)
        self._file = None
        self.written = 0
        if path is None or self._waiting is None:
            return
        if path.exists():
            raise UsageError(
                "quarantine-exists", f"{path} exists already", "choose a new name for the quarantine file"
            )
        try:
            handle = os.open(self._waiting, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise ConfigurationError(
                "quarantine-unwritable",
                f"{self._waiting} cannot be written: {error.strerror}",
                "choose a directory that exists and that this user may write to",
            ) from error
        os.fchmod(handle, 0o600)
        self._file = os.fdopen(handle, "w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file)
        self._writer.writerow(("row", "column", "value", "reason", "explanation"))

    def add(self, rejection: Rejection) -> None:
        """Write one line."""
        self.written += 1
        if self._file is not None:
            texts = (rejection.column, rejection.value, rejection.reason.value, rejection.explanation)
            self._writer.writerow((rejection.row, *map(_harmless, texts)))

    def keep(self) -> Path | None:
        """Give the file its final name, if anything is in it; None if nothing is."""
        if self._file is None or self._waiting is None or self.path is None or not self.written:
            return None
        self._file.flush()
        os.fsync(self._file.fileno())
        self._waiting.rename(self.path)
        return self.path

    def close(self) -> None:
        """Close the file, and remove it unless it was kept."""
        if self._file is not None and self._waiting is not None:
            self._file.close()
            self._waiting.unlink(missing_ok=True)


def _harmless(text: str) -> str:
    """``text`` without control characters, cut to size, and such that a spreadsheet shows it as text."""
    # What could not be decoded is shown as its bytes.
    text = text[:_LONGEST].encode("utf-8", "backslashreplace").decode().replace("\\udc", "\\x")
    text = "".join(mark if mark.isprintable() or mark in "\n\t\r" else f"\\x{ord(mark):02x}" for mark in text)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
