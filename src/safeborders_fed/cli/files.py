"""Files that a command is given or asked to write."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_LARGEST: Final = 4 * 2**20


def read(path: Path) -> bytes:
    """The bytes of a document.

    Raises:
        ConfigurationError: ``file-missing``.
        DataError: ``file-too-large``.
    """
    from safeborders_fed.errors import ConfigurationError, DataError

    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise ConfigurationError(
            "file-missing", f"{path} cannot be read: {error.strerror}", "check the path of the file"
        ) from error
    if len(data) > _LARGEST:
        raise DataError("file-too-large", f"{path} has more than {_LARGEST:,} bytes", "give the right file")
    return data


def write_new(path: Path, content: bytes) -> None:
    """Writes a new file.

    Raises:
        UsageError: ``out-exists``.
        ConfigurationError: ``out-unwritable``.
    """
    from safeborders_fed.errors import ConfigurationError, UsageError
    from safeborders_fed.study import durable

    try:
        durable.create(path, content)
    except FileExistsError as error:
        raise UsageError("out-exists", f"{path} exists already", "name a new file with --out") from error
    except OSError as error:
        raise ConfigurationError(
            "out-unwritable",
            f"{path} cannot be written: {error.strerror}",
            "choose a directory that exists, has space and that this user may write to",
        ) from error
