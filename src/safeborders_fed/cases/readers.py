"""Opening a national file with the reader of its format.

Guarantees: the file is closed whatever happens, and each failure to open it is a DataError that names it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from safeborders_fed.cases.chunks import Reader, empty
from safeborders_fed.cases.sources import FileFormat
from safeborders_fed.cases.text_readers import CsvReader, JsonLinesReader
from safeborders_fed.cases.typed_readers import ExcelReader, ParquetReader
from safeborders_fed.errors import DataError

_READERS: Final[dict[str, Callable[[Path, FileFormat], Reader]]] = {
    "csv": CsvReader,
    "excel": ExcelReader,
    "jsonl": JsonLinesReader,
    "parquet": ParquetReader,
}


@contextmanager
def open_reader(path: Path, form: str, file: FileFormat, wanted: Sequence[str] | None) -> Iterator[Reader]:
    """A reader for ``path``.

    Args:
        path: The national file.
        form: ``csv``, ``excel``, ``jsonl`` or ``parquet``.
        file: How it is written.
        wanted: Columns to read; None for all that have a name.

    Raises:
        DataError: ``file-missing``, ``empty-file``, ``unreadable-file``, ``wrong-encoding``,
            ``too-many-columns``, ``missing-column``, ``duplicate-column``, ``column-type``,
            ``line-too-long``.
        ConfigurationError: ``missing-sheet``.
    """
    try:
        if path.stat().st_size == 0:
            raise empty(path)
        reader = _READERS[form](path, file)
    except OSError as error:
        raise DataError(
            "file-missing", f"{path} cannot be opened: {error.strerror}", "check the path of the file"
        ) from error
    try:
        reader.start(wanted)
        yield reader
    finally:
        reader.close()
