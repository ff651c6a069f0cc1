"""Drafting a mapping for a national file, for a human to review and complete.

Guarantees: the draft is TOML; it says which columns and codes it could not place, and what is still open
before it can be used. Codes of a column are written into it only if at least ``COMMON`` rows of the sample
have them, and never those of a column that may identify a person.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Final

from safeborders_fed.cases.column_hints import (
    ABSENT_WORDS,
    DATE_FORMATS,
    FIELD_HINTS,
    IDENTIFIER_HINTS,
    PRESENT_WORDS,
    SEX_CODES,
    best_hint,
    flag_value,
    plain,
)
from safeborders_fed.cases.contract import CONTRACT_VERSION, FIELDS, Field, Kind
from safeborders_fed.cases.mapping import SUFFIXES, parse_mapping
from safeborders_fed.cases.readers import open_reader
from safeborders_fed.cases.sources import FileFormat, clean
from safeborders_fed.cases.text_encoding import SAMPLE_BYTES, likely_encoding
from safeborders_fed.errors import ConfigurationError, UsageError

COMMON: Final = 5
_SAMPLE_CHUNKS: Final = 2
_MOST_CODES: Final = 40
_SEPARATORS: Final = ("|", ";", ",", "/")


@dataclass(frozen=True)
class Draft:
    """A drafted mapping: its TOML text, and what is still open before it loads or is right."""

    text: str
    open: tuple[str, ...]


def draft_mapping(path: Path) -> Draft:
    """Draft a mapping from the header and the first rows of a file.

    Raises:
        UsageError: ``unknown-format``.
        DataError: The file cannot be read.
    """
    path = Path(path)
    form = SUFFIXES.get(path.suffix.lower())
    if form is None:
        raise UsageError(
            "unknown-format",
            f"the ending of {path.name!r} does not say what kind of file it is",
            f"rename it to end in one of {' '.join(SUFFIXES)}",
        )
    file = _guess_file(path, form)
    with open_reader(path, form, file, None) as reader:
        chunks = list(islice(reader.chunks(), _SAMPLE_CHUNKS))
        columns = {
            name: [text for chunk in chunks for text in map(clean, chunk.column(name)) if text]
            for name in reader.names
        }
    return _Drafter(path, form, file, columns).draft()


def _guess_file(path: Path, form: str) -> FileFormat:
    if form not in {"csv", "jsonl"}:
        return FileFormat()
    try:
        with path.open("rb") as stream:
            start = stream.read(SAMPLE_BYTES)
    except OSError:
        return FileFormat()  # the reader says what is wrong with it
    encoding = likely_encoding(start)
    head = start.decode(encoding, "replace").lstrip("\ufeff").split("\n")[0]
    return FileFormat(encoding=encoding, delimiter=max(",;\t|", key=head.count) if form == "csv" else ",")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _array(texts: Iterable[str]) -> str:
    return f"[{', '.join(map(_quoted, texts))}]"


class _Drafter:
    """Writes a draft. ``columns`` holds the filled cells of the sample, by column."""

    def __init__(self, path: Path, form: str, file: FileFormat, columns: dict[str, list[str]]) -> None:
        self._path, self._form, self._file, self._columns = path, form, file, columns
        self._open: list[str] = []
        self._years: list[int] = []
        self._chosen, self._identifiers, self._flags = self._place()

    def _place(self) -> tuple[dict[str, str], dict[str, str], dict[str, dict[str, str]]]:
        """Columns by field, identifier types by column, and columns by value by multi field."""
        best: dict[str, tuple[int, str]] = {}
        identifiers: dict[str, str] = {}
        flags: dict[str, dict[str, str]] = {}
        for column, texts in self._columns.items():
            found = best_hint(column, FIELD_HINTS)
            identifier = best_hint(column, IDENTIFIER_HINTS)
            flag = flag_value(column)
            if flag is not None and {plain(text) for text in texts} <= PRESENT_WORDS | ABSENT_WORDS:
                flags.setdefault(flag[0], {}).setdefault(flag[1], column)
            elif identifier:  # "phone of exploiter" is a phone: mistaking it for a field would show it
                identifiers[column] = identifier[0]
            elif found and (found[0] not in best or found[1] > best[found[0]][0]):
                best[found[0]] = (found[1], column)
        return {name: column for name, (_, column) in best.items() if name not in flags}, identifiers, flags

    def draft(self) -> Draft:
        """The whole draft."""
        blocks = [self._field(entry) for entry in FIELDS]
        blocks += [
            f'[[identifiers]]\ntype = "{kind}"\nowner = "Unknown"              # say whose it is\n'
            f"column = {_quoted(column)}"
            for column, kind in self._identifiers.items()
        ]
        text = "\n\n".join(filter(None, [self._head(), *blocks, self._unplaced()])) + "\n"
        try:
            parse_mapping(text, "the draft")
        except ConfigurationError as error:
            self._open.append(f"the draft does not load yet: {error.cause}")
        return Draft(text, tuple(self._open))

    def _head(self) -> str:
        name = (
            "-".join(plain(self._path.stem).encode("ascii", "ignore").decode().split())[:60]
            or "national-file"
        )
        if self._years:
            period = f"period = {{ first = {min(self._years)}, last = {max(self._years)} }}"
        else:
            period = "# period = { first = , last = }   # MISSING: the years that the file covers"
        lines = [
            "# A draft. Review each table: names of columns were guessed, and nothing else is known of them.",
            "schema_version = 1",
            f"name = {_quoted(name)}",
            f"description = {_quoted(f'Draft for {self._path.name}')}",
            f'contract_version = "{CONTRACT_VERSION}"',
            f"{period}   # check: taken from a sample" if self._years else period,
            "",
            "[file]",
            f'format = "{self._form}"',
        ]
        if self._form in {"csv", "jsonl"}:
            lines.append(f"encoding = {_quoted(self._file.encoding)}")
        if self._form == "csv":
            lines.append(f"delimiter = {_quoted(self._file.delimiter)}")
        return "\n".join(lines)

    def _field(self, entry: Field) -> str:
        head, column = f"[fields.{entry.name}]", self._chosen.get(entry.name)
        if entry.kind == Kind.KEY:
            return f"{head}\n{self._key(entry, column)}"
        if entry.kind == Kind.DATE:
            return self._date(head, column)
        if entry.name in self._flags:
            return f"{head}\n{self._flag_lines(self._flags[entry.name])}"
        if column is None:
            return ""
        lines = self._single(entry, column) if entry.kind == Kind.SINGLE else self._multi(entry, column)
        return "\n".join([head, f"column = {_quoted(column)}", *lines])

    def _key(self, entry: Field, column: str | None) -> str:
        if column is not None:
            return f"column = {_quoted(column)}"
        self._open.append(f"no column was recognised for {entry.name}: the row number stands for it")
        return "row_number = true                  # no column was recognised"

    def _date(self, head: str, column: str | None) -> str:
        candidates = [column] if column else list(self._columns)
        for name in candidates:
            formats, years = _fitting_formats(self._columns[name])
            if formats:
                self._years = years
                return f"{head}\ncolumn = {_quoted(name)}\nformats = {_array(formats)}"
        self._open.append("no column was recognised for registration_date: complete its table")
        named = f"\n# column = {_quoted(column)}" if column else ""
        return f"# {head}                         # MISSING: column and formats{named}"

    def _flag_lines(self, columns: dict[str, str]) -> str:
        lines = ["flags = ["]
        for value, column in columns.items():
            texts = sorted(set(self._columns[column]))
            present = [text for text in texts if plain(text) in PRESENT_WORDS] or ["1"]
            absent = [text for text in texts if plain(text) in ABSENT_WORDS]
            lines.append(
                f"  {{ column = {_quoted(column)}, value = {_quoted(value)}, "
                f"present = {_array(present)}, absent = {_array(absent)} }},"
            )
        return "\n".join([*lines, "]"])

    def _single(self, entry: Field, column: str) -> list[str]:
        texts = self._columns[column]
        if entry.name == "age_band" and texts and all(text.isdecimal() for text in texts):
            return ["number = true"]
        return self._codes(entry, column, texts)

    def _multi(self, entry: Field, column: str) -> list[str]:
        texts = self._columns[column]
        counts = {mark: sum(mark in text for text in texts) for mark in _SEPARATORS}
        separator = max(counts, key=lambda mark: counts[mark])
        parts = [clean(part) for text in texts for part in text.split(separator)]
        return [f"separator = {_quoted(separator)}", *self._codes(entry, column, parts)]

    def _codes(self, entry: Field, column: str, texts: list[str]) -> list[str]:
        """The ``values`` of a column, with the codes that could not be placed as comments."""
        counts = Counter(text for text in texts if text)
        if len(counts) > _MOST_CODES and entry.codes and not set(counts) & set(entry.codes):
            self._open.append(f"the column {column!r} has too many different texts to be {entry.name}")
            return ["# too many different texts to list: is it this field?"]
        known = {plain(value.label): value.code for value in entry.values}
        known |= {plain(value.code): value.code for value in entry.values}
        known |= SEX_CODES if entry.name == "sex" else {}
        common = [text for text, count in counts.most_common(_MOST_CODES) if count >= COMMON]
        unplaced = [text for text in common if text not in entry.codes and plain(text) not in known]
        placed = {
            text: known[plain(text)] for text in common if text not in entry.codes and plain(text) in known
        }
        lines = []
        if placed:
            pairs = ", ".join(f"{_quoted(text)} = {_quoted(code)}" for text, code in placed.items())
            lines.append(f"values = {{ {pairs} }}")
        lines += [f"# not placed: {_quoted(text)}   # choose a code of {entry.name}" for text in unplaced]
        if unplaced:
            self._open.append(f"{len(unplaced)} codes of the column {column!r} have no meaning yet")
        return lines

    def _unplaced(self) -> str:
        used = {*self._chosen.values(), *self._identifiers}
        used |= {column for columns in self._flags.values() for column in columns.values()}
        names = [column for column in self._columns if column not in used]
        return "\n".join(f"# not recognised: {_quoted(name)}" for name in names)


def _fitting_formats(texts: list[str]) -> tuple[list[str], list[int]]:
    """Formats that read most of the texts between them, and the years that they give."""
    formats: list[str] = []
    years: list[int] = []
    left = set(texts)
    for form in DATE_FORMATS:
        fitting = {text: day for text in left if (day := _year(text, form))}
        if fitting:
            formats.append(form)
            years += fitting.values()
            left -= fitting.keys()
    return (formats, years) if texts and len(left) <= len(set(texts)) / 5 else ([], [])


def _year(text: str, form: str) -> int | None:
    try:
        year = datetime.strptime(text, form).year  # noqa: DTZ007 (a day has no time zone)
    except ValueError:
        return None
    return year if 1950 <= year <= 2100 else None
