"""From the text columns of a chunk to rows for the store, and the rows that cannot be taken.

Guarantees: raw keys are replaced by keyed pseudonyms here, and stand beside identifiers only, never in an
analysis column; a case id and a victim id of the same text have different pseudonyms; each bad cell is
reported with row, column, value and reason. No files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from safeborders_fed.cases import interpreters
from safeborders_fed.cases.chunks import Chunk
from safeborders_fed.cases.interpreters import BAD, NULL, Interpreter
from safeborders_fed.cases.keys import NodeKeys
from safeborders_fed.cases.mapping import Mapping
from safeborders_fed.cases.rejection import Reason, Rejection
from safeborders_fed.cases.sources import (
    DateSource,
    Identifier,
    KeySource,
    MultiSource,
    SingleSource,
    clean,
    clean_all,
)
from safeborders_fed.cases.spill import SPILLED
from safeborders_fed.cases.tables import MULTIS, SINGLES

PSEUDONYM_BYTES: Final = 16
_DATE: Final = "registration_date"
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Converted:
    """One chunk: accepted rows (schema ``spill.SPILLED``), first bytes of their pseudonyms, and the rest.

    ``rejected_victims`` gives the pseudonym of each row that could be read and was rejected.
    """

    rows: pa.Table
    first_bytes: NDArray[np.uint8]
    rejections: tuple[Rejection, ...]
    rejected_victims: dict[int, str]


class Converter:
    """Converts chunks of one file.

    Args:
        mapping: How to read it.
        keys: The node's secrets, for pseudonyms.
        typed: Whether dates may come as dates (Excel, Parquet) and not only in the mapping's formats.
    """

    def __init__(self, mapping: Mapping, keys: NodeKeys, *, typed: bool) -> None:
        self._mapping = mapping
        self._hashes = {name: Pseudonyms(keys.pseudonym, name) for name in ("case_id", "victim_id")}
        nulls = mapping.file.null_values
        self._nulls = frozenset(map(clean, ("", *nulls)))
        self._singles: dict[str, Interpreter | int] = {}
        self._multis: dict[str, Interpreter | list[tuple[int, Interpreter]]] = {}
        for entry in (*SINGLES, *MULTIS):
            source = mapping.fields.get(entry.name)
            if isinstance(source, SingleSource):
                self._singles[entry.name] = (
                    entry.codes.index(source.constant)
                    if source.constant is not None
                    else interpreters.single(entry, source, nulls)
                )
            if isinstance(source, MultiSource):
                self._multis[entry.name] = (
                    [
                        (entry.codes.index(flag.value), interpreters.flag(entry.name, source, flag, nulls))
                        for flag in source.flags
                    ]
                    if source.flags
                    else interpreters.many(entry, source, nulls)
                )
        date = mapping.fields[_DATE]
        if isinstance(date, DateSource):
            self._dates = interpreters.dates(date, mapping.period, nulls, typed=typed)

    def convert(self, chunk: Chunk) -> Converted:
        """The rows of a chunk that are right, and what is wrong with the others."""
        work = _Work(chunk)
        texts = {name: self._key_texts(name, chunk) for name in self._hashes}
        for name, column in texts.items():
            work.check_keys(column, getattr(self._mapping.fields[name], "column", None) or name)
        days, precisions = interpreters.unpack_dates(work.numbers(self._dates))
        columns: dict[str, object] = {}
        for entry in SINGLES:
            columns[entry.name] = self._single(entry.name, work)
        for entry in MULTIS:
            columns[entry.name], columns[f"{entry.name}_known"] = self._multi(entry.name, work)
        digests = {name: self._hashes[name].of(column) for name, column in texts.items()}
        columns |= {
            "victim": _hexadecimal(digests["victim_id"]),
            "case": _hexadecimal(digests["case_id"]),
            _DATE: pa.array(days, pa.int32()).cast(pa.date32()),
            "registration_precision": precisions,
            "identifiers": self._identifiers(chunk),
            "row": np.asarray(chunk.rows, dtype=np.int64),
            **texts,
        }
        table = pa.table([columns[name] for name in SPILLED.names], schema=SPILLED)
        first = np.frombuffer(digests["victim_id"], dtype=np.uint8)[::PSEUDONYM_BYTES]
        bad: dict[int, str] = {}
        if not work.good.all():
            rest = table.filter(pa.array(~work.good))
            bad = dict(zip(rest["row"].to_pylist(), rest["victim"].to_pylist(), strict=True))
            table, first = table.filter(pa.array(work.good)), first[work.good]
        return Converted(table, first, (*chunk.rejected, *work.rejections()), bad)

    def _key_texts(self, name: str, chunk: Chunk) -> list[str]:
        source = self._mapping.fields[name]
        if isinstance(source, KeySource) and source.column is None:
            # The mapping's name keeps row 17 of one register apart from case "17" of another.
            return [f"{self._mapping.name}: row {row}" for row in chunk.rows]
        return self._known(chunk.column(source.column or ""))

    def _known(self, texts: Sequence[str]) -> list[str]:
        """Clean texts; empty for those that mean "not known"."""
        return ["" if text in self._nulls else text for text in clean_all(texts)]

    def _single(self, name: str, work: _Work) -> pa.Array:
        source = self._singles.get(name)
        if source is None:
            return pa.nulls(work.size, pa.int16())
        if isinstance(source, int):
            return pa.array(np.full(work.size, source, dtype=np.int16))
        numbers = work.numbers(source)
        return pa.array(numbers.astype(np.int16), mask=numbers < 0)

    def _multi(self, name: str, work: _Work) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        source = self._multis.get(name)
        if isinstance(source, Interpreter):
            return interpreters.unpack(work.numbers(source))
        present, known = np.zeros(work.size, np.uint32), np.zeros(work.size, np.uint32)
        for index, flag in source or ():
            numbers = work.numbers(flag)
            present |= (numbers == 1).astype(np.uint32) << np.uint32(index)
            known |= (numbers >= 0).astype(np.uint32) << np.uint32(index)
        return present, known

    def _identifiers(self, chunk: Chunk) -> list[str]:
        parts = [self._identifier(entry, chunk) for entry in self._mapping.identifiers]
        if not parts:
            return [""] * len(chunk.rows)
        return ["\n".join(filter(None, lines)) for lines in zip(*parts, strict=True)]

    def _identifier(self, entry: Identifier, chunk: Chunk) -> Iterator[str]:
        head = f"{entry.type}\t{entry.owner}\t"
        if entry.columns:
            columns = [self._known(chunk.column(name)) for name in entry.columns]
            for texts in zip(*columns, strict=True):
                yield head + "|".join(map(_one_line, texts)) if all(texts) else ""
            return
        for text in self._known(chunk.column(entry.column or "")):
            if entry.separator and entry.separator in text:
                parts = self._known(text.split(entry.separator))
                yield "\n".join(head + _one_line(part) for part in parts if part)
            else:
                yield head + _one_line(text) if text else ""


class _Work:
    """One chunk on its way: which rows are good so far, and what is wrong with the others."""

    def __init__(self, chunk: Chunk) -> None:
        self._chunk = chunk
        self.size = len(chunk.rows)
        self.good = np.ones(self.size, dtype=np.bool_)
        self._found: list[tuple[int, Rejection]] = []

    def numbers(self, interpreter: Interpreter) -> Numbers:
        """What an interpreter makes of its column; bad cells are noted."""
        texts = self._chunk.column(interpreter.column)
        numbers = interpreter.numbers(texts)
        if len(numbers) and numbers.min() <= BAD:
            for index in np.flatnonzero(numbers == BAD).tolist():
                problem = interpreter.problem(texts[index])
                self._reject(index, interpreter.column, texts[index], problem.reason, problem.explanation)
            numbers[numbers == BAD] = NULL
        return numbers

    def check_keys(self, texts: Sequence[str], column: str) -> None:
        """Note rows whose key is empty."""
        if "" in texts:
            for index, text in enumerate(texts):
                if not text:
                    self._reject(index, column, "", Reason.MISSING_KEY, "the key is empty")

    def _reject(self, index: int, column: str, value: str, reason: Reason, explanation: str) -> None:
        self.good[index] = False
        row = self._chunk.rows[index]
        self._found.append((index, Rejection(row, column, value, reason, explanation)))

    def rejections(self) -> Iterator[Rejection]:
        """All that was noted, by row."""
        for _, rejection in sorted(self._found, key=lambda pair: pair[0]):
            yield rejection


def _one_line(text: str) -> str:
    """``text`` without tabs and line ends, which the store puts between identifiers."""
    return " ".join(text.split())


class Pseudonyms:
    """Keyed pseudonyms of one kind of id: HMAC-SHA256 (RFC 2104), cut to 128 bits.

    The two hash states that depend on the key alone are made once; ``hmac`` would make them for each id,
    which takes three times as long. A test holds the result against ``hmac``.

    Args:
        key: The node's secret, at most 64 bytes.
        kind: ``case_id`` or ``victim_id``: the same text has another pseudonym as the other.
    """

    def __init__(self, key: bytes, kind: str) -> None:
        block = key.ljust(sha256().block_size, b"\0")
        self._inner = sha256(bytes(byte ^ 0x36 for byte in block) + f"safeborders {kind}\0".encode())
        self._outer = sha256(bytes(byte ^ 0x5C for byte in block))

    def of(self, texts: Sequence[str]) -> bytes:
        """The pseudonyms of some texts, one after the other."""
        parts = []
        for text in texts:
            inner, outer = self._inner.copy(), self._outer.copy()
            inner.update(text.encode())
            outer.update(inner.digest())
            parts.append(outer.digest()[:PSEUDONYM_BYTES])
        return b"".join(parts)


def _hexadecimal(digests: bytes) -> pa.Array:
    """Strings of 32 hexadecimal digits, one for each pseudonym."""
    digits = 2 * PSEUDONYM_BYTES
    offsets = np.arange(0, len(digests) * 2 + 1, digits, dtype=np.int32)
    text = digests.hex().encode()
    return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(text))
