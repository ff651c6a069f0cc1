"""Sources: how one table of a mapping says where a field comes from.

Guarantees: a source that exists is right in itself: exactly one way to fill the field is given, date formats
hold a year and known directives only, and no code has two meanings. Texts are kept clean (Unicode NFC, no
white space at the ends), so that a file written on another system compares equal.
"""

from __future__ import annotations

import codecs
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from safeborders_fed.cases.contract import IDENTIFIER_OWNERS, IDENTIFIER_TYPES

_DIRECTIVES: Final = frozenset("dmYybBHMS%")


def clean(text: str) -> str:
    """``text`` as it is compared and kept: Unicode NFC, without white space at either end."""
    text = text.strip()
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def clean_all(texts: Sequence[str]) -> list[str]:
    """``clean`` of each text, for whole columns: most are clean, which one look at all of them tells."""
    stripped = list(map(str.strip, texts))
    if unicodedata.is_normalized("NFC", "\n".join(stripped)):
        return stripped
    return list(map(clean, stripped))


def _cleaned(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(clean(text) for text in texts)


def _date_formats(formats: tuple[str, ...]) -> tuple[str, ...]:
    for text in formats:
        used = date_directives(text)
        unknown = used - _DIRECTIVES
        if unknown:
            raise ValueError(f"%{min(unknown)} in {text!r} is not one of %d %m %Y %y %b %B %H %M %S %%")
        if not used & {"Y", "y"}:
            raise ValueError(f"{text!r} has no year (%Y or %y)")
        if "d" in used and not used & {"m", "b", "B"}:
            raise ValueError(f"{text!r} has a day and no month")
    return formats


def date_directives(text: str) -> frozenset[str]:
    """The letters that follow a percent sign in a date format."""
    pieces = text.replace("%%", "").split("%")[1:]
    return frozenset(piece[:1] for piece in pieces)


Texts = Annotated[tuple[str, ...], Field(strict=False), AfterValidator(_cleaned)]
Columns = Annotated[tuple[str, ...], Field(strict=False, min_length=2), AfterValidator(_cleaned)]
Formats = Annotated[tuple[str, ...], Field(strict=False, min_length=1), AfterValidator(_date_formats)]
Column = Annotated[str, Field(min_length=1), AfterValidator(clean)]


class Strict(BaseModel):
    """A table in which nothing unknown or of another type is let pass."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Period(Strict):
    """The public span of years that a file covers, both ends included."""

    first: int = Field(ge=1900, le=2100)
    last: int = Field(ge=1900, le=2100)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.first > self.last:
            raise ValueError(f"first ({self.first}) is later than last ({self.last})")
        return self


class FileFormat(Strict):
    """How the national file is written. ``format`` None: the suffix of its name decides."""

    format: Literal["csv", "excel", "parquet", "jsonl"] | None = None
    encoding: str = "utf-8"
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    sheet: str | None = None
    null_values: Texts = ("",)

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, name: str) -> str:
        try:
            "".encode(name)
        except LookupError:
            raise ValueError(f"{name!r} is not a text encoding that Python knows") from None
        return codecs.lookup(name).name

    @field_validator("delimiter")
    @classmethod
    def _usable_delimiter(cls, mark: str) -> str:
        if mark in '"\r\n\0 ':
            raise ValueError(f"{mark!r} cannot separate columns")
        return mark


class KeySource(Strict):
    """A key: the text of a column, or the number of the row."""

    column: Column | None = None
    row_number: Literal[True] | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.column is None) == (self.row_number is None):
            raise ValueError("give exactly one of column and row_number = true")
        return self


class DateSource(Strict):
    """A date: formats are tried in order, and the format that fits says how precise it is."""

    column: Column
    formats: Formats


class Coded(Strict):
    """What fields of national codes have in common."""

    values: dict[str, str] = {}
    unknown: Literal["error", "null"] = "error"
    null_values: Texts = ()
    ignore_case: bool = False

    def folded(self, text: str) -> str:
        """``text`` as this field compares it."""
        return clean(text).casefold() if self.ignore_case else clean(text)

    def _check_codes(self) -> None:
        self._check_once((*self.values, *self.null_values))

    def _check_once(self, texts: Iterable[str]) -> None:
        twice = [text for text, count in Counter(map(self.folded, texts)).items() if count > 1]
        if twice:
            raise ValueError(f"{twice[0]!r} is given two meanings")


class SingleSource(Coded):
    """A field with one value: from a column of codes, from a column of numbers, or the same for every row."""

    column: Column | None = None
    constant: str | None = None
    number: bool = False

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.column is None) == (self.constant is None):
            raise ValueError("give exactly one of column and constant")
        if self.constant is not None and (self.values or self.null_values or self.number):
            raise ValueError("a constant takes no values, null_values or number")
        if self.number and self.values:
            raise ValueError("number = true takes no values: the number decides")
        self._check_codes()
        return self


class Flag(Strict):
    """One column that says whether one value is present."""

    column: Column
    value: str
    present: Annotated[Texts, Field(min_length=1)]
    absent: Texts = ()


class MultiSource(Coded):
    """A field with many values: one column with a separator, or one column for each value."""

    column: Column | None = None
    separator: Annotated[str, Field(min_length=1)] | None = None
    complete: bool = True
    flags: Annotated[tuple[Flag, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.column is None) == (not self.flags):
            raise ValueError("give exactly one of column (with separator) and flags")
        if (self.column is None) != (self.separator is None):
            raise ValueError("column and separator belong together")
        if self.flags and (self.values or not self.complete):
            raise ValueError("flags take no values and no complete")
        twice = [value for value, count in Counter(flag.value for flag in self.flags).items() if count > 1]
        if twice:
            raise ValueError(f"{twice[0]!r} has two flags")
        for flag in self.flags:
            self._check_once((*flag.present, *flag.absent, *self.null_values))
        self._check_codes()
        return self


class Identifier(Strict):
    """One identifier for links: where it stands, what it is, and whose."""

    type: str
    owner: str
    column: Column | None = None
    columns: Columns | None = None
    separator: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.type not in IDENTIFIER_TYPES:
            raise ValueError(f"type {self.type!r} is not one of {', '.join(IDENTIFIER_TYPES)}")
        if self.owner not in IDENTIFIER_OWNERS:
            raise ValueError(f"owner {self.owner!r} is not one of {', '.join(IDENTIFIER_OWNERS)}")
        if (self.column is None) == (self.columns is None):
            raise ValueError("give exactly one of column and columns")
        if self.columns and self.separator:
            raise ValueError("separator goes with column, not with columns")
        return self

    @property
    def sources(self) -> tuple[str, ...]:
        """The columns it is read from."""
        return self.columns or ((self.column,) if self.column else ())
