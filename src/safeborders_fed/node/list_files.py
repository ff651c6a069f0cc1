"""Files of review lists: written for their owner only, and read again once reviewers have filled them in.

Guarantees: a file is new and made before anything is scored, with mode 600; if no list comes of it, it is
removed. A filled-in list is read as the usual spreadsheet programs save it.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from safeborders_fed.errors import ConfigurationError, DataError, UsageError
from safeborders_fed.node.review_list import VERDICT_COLUMNS, ReviewList, as_csv, as_json
from safeborders_fed.node.reviews import Wanted
from safeborders_fed.study.model_file import read_bounded

_LARGEST: Final = 256 * 2**20
_ID_COLUMN: Final = "review_id"
_REMARKS: Final = ("#", '"#')
"""How the lines above the header begin; the second, once a spreadsheet program has saved them."""
_SEPARATORS: Final = (",", ";", "\t")
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class ListFile:
    """A file that waits for its list. ``new_file`` makes it."""

    def __init__(self, path: Path, handle: int) -> None:
        self._path, self._handle = path, handle

    def write(self, review: ReviewList) -> None:
        """Writes the list: CSV, or JSON by the ending ``.json``.

        Raises:
            ConfigurationError: ``out-unwritable``, when the disk is full.
        """
        # Spreadsheet programs take CSV for UTF-8 only with a byte order mark.
        text, encoding = as_csv(review), "utf-8-sig"
        if self._path.suffix.lower() == ".json":
            content = {"schema_version": 1} | as_json(review)
            text, encoding = json.dumps(content, ensure_ascii=False, indent=1) + "\n", "utf-8"
        try:
            with open(self._handle, "wb", closefd=False) as file:
                file.write(text.encode(encoding))
            os.fsync(self._handle)
        except OSError as error:
            raise _unwritable(self._path, error) from error


@contextmanager
def new_file(path: Path) -> Iterator[ListFile]:
    """A new, empty file of mode 600 for a list; it is removed if an error ends the block.

    Raises:
        UsageError: ``unknown-format`` or ``out-exists``.
        ConfigurationError: ``out-unwritable``.
    """
    path = Path(path)
    if path.suffix.lower() not in {".csv", ".json"}:
        raise UsageError(
            "unknown-format",
            f"the ending of {path.name!r} is neither .csv nor .json",
            "name the file with one of these endings",
        )
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise UsageError("out-exists", f"{path} exists already", "choose a new name for the file") from error
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        with suppress(OSError):  # some file systems have no modes
            os.fchmod(handle, 0o600)  # whatever the umask
        yield ListFile(path, handle)
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise
    finally:
        os.close(handle)


def read_verdicts(path: Path) -> list[Wanted]:
    """The verdicts that a reviewer wrote into the CSV form of a review list; empty ones are passed over.

    Raises:
        DataError: ``not-a-review-list`` or ``no-verdicts``.
        ConfigurationError: ``model-missing``, when the file cannot be read.
    """
    rows = _rows(path)
    verdict, note = VERDICT_COLUMNS
    found = [
        Wanted(row[_ID_COLUMN] or "", (row[verdict] or "").strip().lower(), (row[note] or "").strip())
        for row in rows
        if (row[verdict] or "").strip()
    ]
    if not found:
        raise DataError(
            "no-verdicts",
            f"the column {verdict!r} of {path.name} is empty",
            "write agree, disagree or unsure",
        )
    return found


def _rows(path: Path) -> list[dict[str, str | None]]:
    data = read_bounded(path, _LARGEST)
    if len(data) > _LARGEST:
        raise _not_a_list(path, f"it has more than {_LARGEST:,} bytes")
    text = _decoded(path, data)
    while text.startswith(_REMARKS):
        text = text.partition("\n")[2]
    header = text.partition("\n")[0]
    separator = max(_SEPARATORS, key=header.count)
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True, delimiter=separator)
        missing = {_ID_COLUMN, *VERDICT_COLUMNS} - set(reader.fieldnames or ())
        if missing:
            raise _not_a_list(path, f"it has no column {', '.join(sorted(missing))}")
        return list(reader)
    except csv.Error as error:
        raise _not_a_list(path, f"it is not CSV ({error})") from error


def _decoded(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = "UTF-16" if data.startswith(_UTF_16) else "an 8-bit encoding such as Windows-1252"
        raise DataError(
            "not-a-review-list",
            f"{path.name} is not in UTF-8: it seems to be in {found}",
            'save it again as "CSV UTF-8"',
        ) from error


def _not_a_list(path: Path, why: str) -> DataError:
    return DataError(
        "not-a-review-list",
        f"{path.name} is not a review list: {why}",
        "give the CSV file that `safeborders node score --out` wrote, with its columns as they were",
    )


def _unwritable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        "out-unwritable",
        f"{path} cannot be written: {error.strerror}",
        "choose a directory that exists, has space and that this user may write to",
    )
