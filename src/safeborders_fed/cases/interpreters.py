"""From the text of one cell to the number that stands for it in the store.

Guarantees: each distinct text of a column is interpreted once, so the cost of a code list or a date format
does not grow with the number of rows. What a text means follows, in this order, from the column's own null
values, the codes that its table lists, the file's null values (an empty cell is one always), and the codes of
the contract.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.cases.contract import Field
from safeborders_fed.cases.rejection import Reason
from safeborders_fed.cases.sources import (
    Coded,
    DateSource,
    Flag,
    MultiSource,
    Period,
    SingleSource,
    clean,
    date_directives,
)
from safeborders_fed.cases.tables import PRECISIONS

NULL: Final = -1
BAD: Final = -2
ISO_DATE: Final = "%Y-%m-%d"
"""How readers write the dates of typed files (Excel, Parquet)."""
_REMEMBERED: Final = 50_000
_OLDEST: Final = 120
_KNOWN_SHIFT: Final = 32
_LOW: Final = 2**32 - 1


class UnreadableError(Exception):
    """A text that means nothing in its column."""

    def __init__(self, reason: Reason, explanation: str) -> None:
        super().__init__(explanation)
        self.reason = reason
        self.explanation = explanation


class Interpreter(dict[str, int]):
    """Remembers what each text of a column means: a number of 0 and more, ``NULL`` or ``BAD``.

    Args:
        column: The column that it reads.
        read: Gives the number for a text, or raises UnreadableError.
    """

    def __init__(self, column: str, read: Callable[[str], int]) -> None:
        super().__init__()
        self.column = column
        self._read = read

    def __missing__(self, text: str) -> int:
        try:
            number = self._read(text)
        except UnreadableError:
            number = BAD
        if len(self) < _REMEMBERED:  # a bound on memory, for columns of free text
            self[text] = number
        return number

    def numbers(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """int64, one for each text."""
        return np.fromiter(map(self.__getitem__, texts), dtype=np.int64, count=len(texts))

    def problem(self, text: str) -> UnreadableError:
        """Why a text is ``BAD``."""
        try:
            self._read(text)
        except UnreadableError as error:
            return error
        return UnreadableError(Reason.UNKNOWN_CODE, f"{text!r} cannot be read")


def _nulls(source: Coded | None, null_values: Iterable[str]) -> dict[str, int]:
    fold = source.folded if source else clean
    return dict.fromkeys(map(fold, ("", *null_values)), NULL)


def _unknown(source: Coded, name: str, text: str) -> UnreadableError:
    hint = "" if source.ignore_case else "; mind capital letters, or set ignore_case = true"
    return UnreadableError(
        Reason.UNKNOWN_CODE,
        f"{text!r} is neither in the values of [fields.{name}] nor a code of the contract{hint}",
    )


def _lookup(entry: Field, source: Coded, null_values: Iterable[str]) -> dict[str, int]:
    """What each known text means; later entries win."""
    position = {code: index for index, code in enumerate(entry.codes)}
    table = {source.folded(code): index for code, index in position.items()}
    table |= _nulls(source, null_values)
    table |= {source.folded(text): position[code] for text, code in source.values.items()}
    return table | dict.fromkeys(map(source.folded, source.null_values), NULL)


def single(entry: Field, source: SingleSource, null_values: Iterable[str]) -> Interpreter:
    """Positions in the codes of a field with one value, read from ``source.column``."""
    column = source.column or ""
    if source.number:
        nulls = _nulls(source, (*null_values, *source.null_values))
        return Interpreter(column, partial(_age, entry, source, nulls))
    table = _lookup(entry, source, null_values)

    def read(text: str) -> int:
        found = table.get(source.folded(text))
        if found is not None:
            return found
        if source.unknown == "null":
            return NULL
        raise _unknown(source, entry.name, text)

    return Interpreter(column, read)


def _age(entry: Field, source: SingleSource, nulls: dict[str, int], text: str) -> int:
    folded = source.folded(text)
    if folded in nulls:
        return NULL
    if not re.fullmatch(r"[+-]?\d{1,9}([.,]0+)?", folded, re.ASCII):
        raise UnreadableError(Reason.NOT_A_NUMBER, f"{text!r} is not a whole number of years")
    years = int(re.split(r"[.,]", folded)[0])
    if not 0 <= years <= _OLDEST:
        raise UnreadableError(Reason.AGE_OUT_OF_RANGE, f"{years} is not an age from 0 to {_OLDEST}")
    for index, code in enumerate(entry.codes):
        first, _, last = code.partition("--")
        if code == "48+" or int(first) <= years <= int(last):
            return index
    raise UnreadableError(Reason.AGE_OUT_OF_RANGE, f"no age band holds {years}")


def flag(name: str, source: MultiSource, entry: Flag, null_values: Iterable[str]) -> Interpreter:
    """1 for present, 0 for absent, read from one flag's column."""
    table = _nulls(source, null_values)
    table |= dict.fromkeys(map(source.folded, entry.absent), 0)
    table |= dict.fromkeys(map(source.folded, entry.present), 1)
    table |= dict.fromkeys(map(source.folded, source.null_values), NULL)

    def read(text: str) -> int:
        found = table.get(source.folded(text))
        if found is not None:
            return found
        if source.unknown == "null":
            return NULL
        raise UnreadableError(
            Reason.UNKNOWN_CODE,
            f"{text!r} is neither present nor absent in the flag of [fields.{name}] for {entry.value}",
        )

    return Interpreter(entry.column, read)


def many(entry: Field, source: MultiSource, null_values: Iterable[str]) -> Interpreter:
    """Two bit sets in one number, present and known (see ``unpack``), read from a column with a separator."""
    table = _lookup(entry, source, null_values)
    everything = 2 ** len(entry.values) - 1

    def read(text: str) -> int:
        if table.get(source.folded(text)) == NULL:
            return 0
        present, complete = 0, source.complete
        for part in text.split(source.separator):
            folded = source.folded(part)
            index = table.get(folded)
            if index is None and source.unknown == "error":
                raise _unknown(source, entry.name, part)
            if index is None or index == NULL:
                complete = complete and not folded  # something is there, and nobody knows what
            else:
                present |= 1 << index
        return present | (everything if complete else present) << _KNOWN_SHIFT

    return Interpreter(source.column or "", read)


def unpack(numbers: NDArray[np.int64]) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """The bit sets present and known, uint32 each, from the numbers of ``many``."""
    return (numbers & _LOW).astype(np.uint32), (numbers >> _KNOWN_SHIFT).astype(np.uint32)


def dates(source: DateSource, period: Period, null_values: Iterable[str], *, typed: bool) -> Interpreter:
    """Day and precision in one number (see ``unpack_dates``)."""
    formats = (*source.formats, ISO_DATE) if typed else source.formats
    precisions = [_precision(text) for text in formats]
    nulls = _nulls(None, null_values)

    def read(text: str) -> int:
        text = clean(text)
        if text in nulls:
            raise UnreadableError(Reason.MISSING_DATE, "the date of registration is missing")
        for form, precision in zip(formats, precisions, strict=True):
            day = _parsed(text, form)
            if day is None:
                continue
            if not period.first <= day.year <= period.last:
                raise UnreadableError(
                    Reason.OUTSIDE_PERIOD,
                    f"{day.year} is outside the period of the mapping, {period.first} to {period.last}",
                )
            return day.toordinal() * len(PRECISIONS) + precision
        raise UnreadableError(
            Reason.IMPOSSIBLE_DATE, f"{text!r} is not a date in the formats {', '.join(source.formats)}"
        )

    return Interpreter(source.column, read)


def _parsed(text: str, form: str) -> date | None:
    try:
        return datetime.strptime(text, form).date()  # noqa: DTZ007 (a day has no time zone)
    except ValueError:
        return None


def _precision(form: str) -> int:
    used = date_directives(form)
    if "d" in used:
        return PRECISIONS.index("day")
    return PRECISIONS.index("month" if used & {"m", "b", "B"} else "year")


def unpack_dates(numbers: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    """Days since 1970-01-01 (int32) and positions in ``tables.PRECISIONS`` (int8)."""
    epoch = date(1970, 1, 1).toordinal()
    days = numbers // len(PRECISIONS) - epoch
    return days.astype(np.int32), (numbers % len(PRECISIONS)).astype(np.int8)
