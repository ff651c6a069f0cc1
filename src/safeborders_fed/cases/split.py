"""Splitting one raw file into national files by the values of a column, to try a federation on one data set.

Guarantees: each piece holds the raw cells of its rows and a mapping that reads them as the whole file's
mapping would; rows without a known value of the column are in no piece; memory does not grow with the file.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from safeborders_fed.cases import contract
from safeborders_fed.cases.interpreters import ISO_DATE, NULL, single
from safeborders_fed.cases.mapping import Mapping
from safeborders_fed.cases.readers import open_reader
from safeborders_fed.cases.sources import DateSource, FileFormat, SingleSource, clean
from safeborders_fed.errors import DataError, UsageError


@dataclass(frozen=True)
class Piece:
    """The rows of a file with one value of a column: a CSV file in UTF-8, and the mapping for it."""

    value: str
    path: Path
    mapping: Mapping


def split_file(path: Path, mapping: Mapping, column: str, directory: Path, largest: int = 8) -> list[Piece]:
    """Write one file for each of the most frequent values of a raw column.

    Args:
        path: The national file, read as ``mapping`` says.
        mapping: Its mapping. Values that it does not know, or takes as not known, are no piece.
        column: The raw column, mapped or not.
        directory: Where the pieces go; it must exist.
        largest: How many pieces at most.

    Returns:
        The pieces, the one with most rows first.

    Raises:
        UsageError: ``unknown-column``, listing the columns of the file.
        DataError: ``nothing-to-split``, or the file cannot be read (see ``readers.open_reader``).
    """
    counts = _counts(path, mapping, column)
    chosen = [value for value, _ in counts.most_common(largest)]
    if not chosen:
        raise DataError(
            "nothing-to-split",
            f"no row of {path.name} has a known value in the column {column!r}",
            "choose another column, or check the mapping's null values",
        )
    form = mapping.format_of(path)
    with open_reader(path, form, mapping.file, None) as reader, ExitStack() as files:
        pieces = [
            Piece(value, directory / f"{name}.csv", _adjusted(mapping, name, typed=reader.typed))
            for value, name in zip(chosen, _names(mapping.name, chosen), strict=True)
        ]
        writers = {}
        for piece in pieces:
            file = files.enter_context(piece.path.open("w", encoding="utf-8", newline=""))
            writers[piece.value] = csv.writer(file)
            writers[piece.value].writerow(reader.names)
        for chunk in reader.chunks():
            for value, cells in zip(chunk.column(column), zip(*chunk.columns, strict=True), strict=True):
                writer = writers.get(clean(value))
                if writer is not None:
                    writer.writerow(cells)
    return pieces


def _counts(path: Path, mapping: Mapping, column: str) -> Counter[str]:
    with open_reader(path, mapping.format_of(path), mapping.file, None) as reader:
        if column not in reader.names:
            raise UsageError(
                "unknown-column",
                f"{path.name} has no column {column!r}; it has {', '.join(reader.names)}",
                "choose one of these columns",
            )
        counts = Counter[str]()
        for chunk in reader.chunks():
            counts.update(map(clean, chunk.column(column)))
    known = _is_known(mapping, column)
    return Counter({value: count for value, count in counts.items() if known(value)})


def _is_known(mapping: Mapping, column: str) -> Callable[[str], bool]:
    """Whether a value stands for something, as far as the mapping tells."""
    nulls = set(map(clean, ("", *mapping.file.null_values)))
    readers = [
        single(contract.field(name), source, mapping.file.null_values)
        for name, source in mapping.fields.items()
        if isinstance(source, SingleSource) and source.column == column
    ]
    return lambda value: value not in nulls and all(reader[value] > NULL for reader in readers)


def _names(prefix: str, values: list[str]) -> list[str]:
    """A name for each piece that serves as file name and mapping name."""
    slugs = [re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")[:16] for value in values]
    return [f"{prefix[:40]}-{rank}-{slug}".strip("-") for rank, slug in enumerate(slugs, start=1)]


def _adjusted(mapping: Mapping, name: str, *, typed: bool) -> Mapping:
    """The mapping of a piece: the same, for comma-separated UTF-8."""
    fields = dict(mapping.fields)
    date = fields["registration_date"]
    if typed and isinstance(date, DateSource):
        fields["registration_date"] = date.model_copy(update={"formats": (*date.formats, ISO_DATE)})
    file = FileFormat(format="csv", null_values=mapping.file.null_values)
    return mapping.model_copy(update={"name": name, "file": file, "fields": fields})
