"""Accepted rows of an import on their way to the store, sorted into buckets on disk.

Guarantees: memory does not grow with the number of rows; nothing is written in clear (see
``sealing.PassingSealer``); rows of one victim always meet in the same bucket, since the bucket is the
beginning of the victim's pseudonym.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from safeborders_fed.cases.sealing import PassingSealer
from safeborders_fed.cases.tables import RECORDS

BITS: Final = 6
"""Buckets are told apart by this many first bits of the pseudonym."""
ROW: Final = "row"
SPILLED: Final = pa.schema([*RECORDS, (ROW, pa.int64())])
"""A record and the number of its row in the national file."""
_LENGTH_BYTES: Final = 4


class Spill:
    """Temporary buckets in ``directory``, which the owner removes afterwards."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._sealer = PassingSealer()
        self._files: dict[int, BinaryIO] = {}
        self.rows = 0

    def add(self, table: pa.Table, first_bytes: NDArray[np.uint8]) -> None:
        """Put rows (schema ``SPILLED``) into their buckets by the first byte of the victim's pseudonym."""
        buckets = first_bytes >> (8 - BITS)
        order = np.argsort(buckets, kind="stable")
        edges = np.searchsorted(buckets[order], np.arange(2**BITS + 1))
        ordered = table.take(order).combine_chunks()
        for bucket in np.flatnonzero(np.diff(edges)):
            start, end = int(edges[bucket]), int(edges[bucket + 1])
            self._append(int(bucket), ordered.slice(start, end - start))
        self.rows += table.num_rows

    def _append(self, bucket: int, rows: pa.Table) -> None:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, SPILLED) as writer:
            writer.write_table(rows)
        sealed = self._sealer.seal(sink.getvalue().to_pybytes(), str(bucket).encode())
        file = self._files.get(bucket)
        if file is None:
            file = self._files[bucket] = (self._directory / f"{bucket:02d}.spill").open("w+b")
        file.write(len(sealed).to_bytes(_LENGTH_BYTES, "big") + sealed)

    def bucket(self, index: int, bits: int) -> pa.Table:
        """All rows whose pseudonym begins with the ``bits`` (at most ``BITS``) bits of ``index``."""
        width = 2 ** (BITS - bits)
        tables = [table for part in range(index * width, (index + 1) * width) for table in self._frames(part)]
        return pa.concat_tables(tables) if tables else SPILLED.empty_table()

    def _frames(self, bucket: int) -> Iterator[pa.Table]:
        file = self._files.get(bucket)
        if file is None:
            return
        file.seek(0)
        while head := file.read(_LENGTH_BYTES):
            sealed = file.read(int.from_bytes(head, "big"))
            yield pa.ipc.open_stream(self._sealer.unseal(sealed, str(bucket).encode())).read_all()

    def close(self) -> None:
        """Close the files; they cannot be read again."""
        for file in self._files.values():
            file.close()
        self._files.clear()
