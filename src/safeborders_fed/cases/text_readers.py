"""Readers of text files: delimited text (CSV) and JSON lines.

Guarantees: memory is bounded by the size of a chunk and of a line; a row that cannot be read (undecodable
bytes, NUL bytes, wrong number of fields, a stray quote, a malformed object) is rejected by itself, and the
rows after it are read. Row numbers are line numbers of the file, that of the first line where a record has
several.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO, Final

from safeborders_fed.cases.chunks import (
    Chunk,
    check_width,
    choose,
    empty,
    missing_columns,
    rows_at_once,
    unreadable,
)
from safeborders_fed.cases.rejection import Reason, Rejection
from safeborders_fed.cases.sources import FileFormat, clean
from safeborders_fed.cases.text_encoding import (
    CODE_PAGES,
    SAMPLE_BYTES,
    check_encoding,
    likely_encoding,
    wrong_encoding,
)
from safeborders_fed.errors import DataError

LONGEST_LINE: Final = 1 << 22
_LINES: Final = 256
LIST_MARK: Final = "|"
"""Between the members of a list in one cell of a JSON or Parquet file."""


class _TextFile:
    """Lines of a text file in the declared encoding; bytes that do not decode become lone surrogates."""

    def __init__(self, path: Path, file: FileFormat) -> None:
        self.path = path
        self._encoding = file.encoding
        self._size = path.stat().st_size
        self._raw: BinaryIO = path.open("rb")
        encoding = "utf-8-sig" if file.encoding == "utf-8" else file.encoding
        self._text = io.TextIOWrapper(self._raw, encoding, errors="surrogateescape", newline="")

    def start(self) -> None:
        """Look at the first bytes. Raises DataError ``empty-file``, ``wrong-encoding``."""
        self.sample = self._raw.read(SAMPLE_BYTES)
        self._raw.seek(0)
        if not self.sample.strip(b"\xef\xbb\xbf \t\r\n"):
            raise empty(self.path)
        check_encoding(self.path.name, self.sample, self._encoding)

    def blocks(self) -> Iterator[list[str]]:
        """All lines, with their ends, some at a time."""
        lines = iter(partial(self._text.readline, LONGEST_LINE), "")
        try:
            while block := list(islice(lines, _LINES)):
                if max(map(len, block)) == LONGEST_LINE:
                    raise DataError(
                        "line-too-long",
                        f"{self.path.name} has a line of more than {LONGEST_LINE:,} characters",
                        "check that it is a text file with one record a line",
                    )
                yield block
        except UnicodeDecodeError as error:  # encodings of several bytes know no surrogates
            raise wrong_encoding(self.path.name, self._encoding, likely_encoding(self.sample)) from error

    def check_share(self, undecodable: int, rows: int) -> None:
        """Refuse the whole file when most rows of a chunk do not decode."""
        if undecodable > rows / 2:
            raise wrong_encoding(self.path.name, self._encoding, likely_encoding(self.sample))

    def share(self) -> float:
        """The part of the file that has been read."""
        return min(1.0, self._raw.tell() / self._size)

    def close(self) -> None:
        """Close the file."""
        self._text.close()


def _decoded(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class CsvReader:
    """Reads delimited text. See ``chunks.Reader``."""

    typed = False

    def __init__(self, path: Path, file: FileFormat) -> None:
        self._file = _TextFile(path, file)
        self._delimiter = file.delimiter
        self._blocks = self._file.blocks()
        self._line = 0  # number of the last line of the last record
        self._buffer: list[str] = []  # lines after number self._dropped, as far as they were read
        self._dropped = 0
        self._records = self._read_records()

    def start(self, wanted: Sequence[str] | None) -> None:
        """Read the header."""
        path = self._file.path
        self._file.start()
        first = next(self._records, None)
        if first is None:
            raise empty(path)
        if isinstance(first, Rejection):
            raise unreadable(path, "CSV", f"its header: {first.explanation}")
        check_width(path, len(first[1]))
        self.header: tuple[str, ...] = tuple(clean(name) for name in first[1])
        self.names, self._positions = choose(path, self.header, wanted, self._hint(wanted))

    def _hint(self, wanted: Sequence[str] | None) -> str:
        """What to change in the mapping, if another delimiter or encoding would bring the columns up."""
        if wanted is None or set(wanted) <= set(self.header):
            return ""
        for encoding in ("utf-8", *CODE_PAGES):
            line = self._file.sample.decode(encoding, "replace").lstrip("\ufeff\r\n").splitlines()[0]
            for delimiter in ",;\t|":
                names = [clean(name.strip('"')) for name in line.split(delimiter)]
                if set(wanted) <= set(names):
                    return (
                        f'write encoding = "{encoding}" and delimiter = {json.dumps(delimiter)} in the '
                        "[file] table of the mapping"
                    )
        return ""

    def _drop(self) -> None:
        """Forget the lines of complete records."""
        del self._buffer[: self._line - self._dropped]
        self._dropped = self._line

    def _lines(self) -> Iterator[str]:
        """The lines after the last record. They are kept until their record is complete."""
        self._drop()
        yield from tuple(self._buffer)
        for block in self._blocks:
            self._drop()
            self._buffer += block
            yield from block

    def _read_records(self) -> Iterator[tuple[int, list[str]] | Rejection]:
        """Records with the number of their first line; lines without any text are passed over."""
        while True:
            start = self._line
            reader = csv.reader(self._lines(), delimiter=self._delimiter, strict=True)
            try:
                for record in reader:
                    row = self._line + 1
                    self._line = start + reader.line_num
                    if any(record):
                        yield row, record
            except csv.Error as error:
                # A stray quote swallows what follows: go on with the line after the first.
                self._line += 1
                text = f"quotes do not match: {error}"
                yield Rejection(self._line, "", "", Reason.MALFORMED_ROW, text)
            else:
                return

    def chunks(self) -> Iterator[Chunk]:
        """All rows, in order."""
        width, size = len(self.header), rows_at_once(len(self.header))
        while batch := list(islice(self._records, size)):
            rejected = [entry for entry in batch if isinstance(entry, Rejection)]
            found = [entry for entry in batch if not isinstance(entry, Rejection)]
            if any(len(record) != width for _, record in found):
                rejected += [
                    _wrong_width(row, len(record), width) for row, record in found if len(record) != width
                ]
                found = [entry for entry in found if len(entry[1]) == width]
            text = "".join(map("".join, (record for _, record in found)))
            if "\0" in text or not _decoded(text):
                bad = [_undecodable(row, record, self.header) for row, record in found]
                rejected += [entry for entry in bad if entry]
                found = [entry for entry, problem in zip(found, bad, strict=True) if not problem]
                undecodable = sum(entry.reason == Reason.WRONG_ENCODING for entry in rejected)
                self._file.check_share(undecodable, len(batch))
            records = [record for _, record in found]
            yield Chunk(
                self.names,
                [row for row, _ in found],
                tuple(list(map(itemgetter(position), records)) for position in self._positions),
                tuple(rejected),
            )

    def share(self) -> float:
        """The part of the file that has been read."""
        return self._file.share()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _wrong_width(row: int, found: int, width: int) -> Rejection:
    text = f"{found} fields where the header has {width}"
    return Rejection(row, "", "", Reason.WRONG_NUMBER_OF_FIELDS, text)


def _undecodable(row: int, record: Sequence[str], header: Sequence[str]) -> Rejection | None:
    for name, text in zip(header, record, strict=True):
        if "\0" in text:
            return Rejection(row, name, text, Reason.NUL_BYTE, "the cell holds a NUL byte")
        if not _decoded(text):
            return Rejection(
                row, name, text, Reason.WRONG_ENCODING, "the cell holds bytes that do not decode"
            )
    return None


class JsonLinesReader:
    """Reads one JSON object a line. See ``chunks.Reader``."""

    typed = False

    def __init__(self, path: Path, file: FileFormat) -> None:
        self._file = _TextFile(path, file)
        self._numbered = enumerate(chain.from_iterable(self._file.blocks()), start=1)
        self._seen: dict[str, None] = {}

    def start(self, wanted: Sequence[str] | None) -> None:
        """Read the first rows, which say the columns if none were asked for."""
        self._file.start()
        self._size = rows_at_once(len(wanted or ()) or 40)
        self._first = self._batch()
        self.names = tuple(wanted) if wanted is not None else self.header

    @property
    def header(self) -> tuple[str, ...]:
        """The columns seen so far."""
        return tuple(self._seen)

    def _batch(self) -> list[tuple[int, dict[str, Any]] | Rejection]:
        filled = ((row, line) for row, line in self._numbered if line.strip())
        batch = [_parsed(row, line) for row, line in islice(filled, self._size)]
        for entry in batch:
            if not isinstance(entry, Rejection):
                self._seen.update(dict.fromkeys(entry[1]))
        check_width(self._file.path, len(self._seen))
        return batch

    def chunks(self) -> Iterator[Chunk]:
        """All rows, in order. Raises DataError ``missing-column`` at the end for one that no row had."""
        batch = self._first
        while batch:
            rejected = [entry for entry in batch if isinstance(entry, Rejection)]
            undecodable = sum(entry.reason == Reason.WRONG_ENCODING for entry in rejected)
            self._file.check_share(undecodable, len(batch))
            rows: list[int] = []
            columns: list[list[str]] = [[] for _ in self.names]
            for row, content in (entry for entry in batch if not isinstance(entry, Rejection)):
                texts = [_json_text(content.get(name)) for name in self.names]
                if None in texts:
                    name = self.names[texts.index(None)]
                    why = "the cell holds an object, a list of lists or broken text"
                    rejected.append(Rejection(row, name, "", Reason.MALFORMED_ROW, why))
                    continue
                rows.append(row)
                for column, text in zip(columns, texts, strict=True):
                    column.append(text or "")
            yield Chunk(self.names, rows, tuple(columns), tuple(rejected))
            batch = self._batch()
        missing = [name for name in self.names if name not in self._seen]
        if missing:
            raise missing_columns(self._file.path, missing, self.header)

    def share(self) -> float:
        """The part of the file that has been read."""
        return self._file.share()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _parsed(row: int, line: str) -> tuple[int, dict[str, Any]] | Rejection:
    if "\0" in line:
        return Rejection(row, "", "", Reason.NUL_BYTE, "the line holds a NUL byte")
    if not _decoded(line):
        return Rejection(row, "", "", Reason.WRONG_ENCODING, "the line holds bytes that do not decode")
    try:
        # Numbers stay as they are written, so that codes such as 1.0 or 007 are not changed.
        content = json.loads(line, parse_float=str, parse_int=str, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        return Rejection(row, "", "", Reason.MALFORMED_ROW, f"the line is not JSON: {error}")
    if not isinstance(content, dict):
        return Rejection(row, "", "", Reason.MALFORMED_ROW, "the line is not a JSON object")
    return row, {clean(name): value for name, value in content.items()}


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _json_text(value: object) -> str | None:
    """The text of a cell; None for what cannot be one."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return value if _decoded(value) else None
        case list():
            texts = [None if isinstance(member, list) else _json_text(member) for member in value]
            return None if None in texts else LIST_MARK.join(text for text in texts if text)
        case _:
            return None
