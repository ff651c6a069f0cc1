"""The three secrets of a node: for pseudonyms, for the analysis table, for the identifiers table.

Guarantees: the secrets are independent, 32 bytes each from the operating system; they never appear in a
``repr`` or a message; the file that holds them is readable by its owner only, and is refused otherwise.
"""

from __future__ import annotations

import binascii
import json
import os
import secrets
import stat
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from safeborders_fed.errors import ConfigurationError

KEY_BYTES: Final = 32
LARGEST_KEY_FILE: Final = 2**16
_KIND: Final = "safeborders-node-keys"
_NAMES: Final = ("pseudonym", "cases", "identifiers")


@dataclass(frozen=True, slots=True)
class NodeKeys:
    """The secrets of one node.

    Attributes:
        pseudonym: Key of the HMAC that makes pseudonyms.
        cases: Key that wraps the data keys of the analysis table.
        identifiers: Key that wraps the data keys of the identifiers table.
    """

    pseudonym: bytes = field(repr=False)
    cases: bytes = field(repr=False)
    identifiers: bytes = field(repr=False)

    def __post_init__(self) -> None:
        values = [getattr(self, name) for name in _NAMES]
        if any(len(value) != KEY_BYTES for value in values) or len(set(values)) != len(values):
            raise ConfigurationError(
                "key-invalid",
                f"node keys must be {len(_NAMES)} different secrets of {KEY_BYTES} bytes each",
                "restore the key file from its backup, or make a new node with `safeborders node init`",
            )

    @classmethod
    def generate(cls) -> NodeKeys:
        """Fresh secrets from the operating system's generator."""
        return cls(*(secrets.token_bytes(KEY_BYTES) for _ in _NAMES))

    def save(self, path: Path) -> None:
        """Write the secrets to a new file that only its owner can read.

        Raises:
            ConfigurationError: ``key-file-exists`` or ``key-file-unwritable``. No file is ever overwritten.
        """
        write_key_file(path, self.to_bytes())

    def to_bytes(self) -> bytes:
        """What a key file in clear holds."""
        text = {"kind": _KIND} | {name: b64encode(getattr(self, name)).decode() for name in _NAMES}
        return json.dumps(text, indent=1).encode("ascii") + b"\n"

    @classmethod
    def load(cls, path: Path) -> NodeKeys:
        """Read the secrets that ``save`` wrote.

        Raises:
            ConfigurationError: ``key-file-missing``, ``key-file-exposed`` (group or others may read or write
                it), ``key-file-malformed``.
        """
        return cls.from_bytes(read_key_file(path), path)

    @classmethod
    def from_bytes(cls, content: bytes, path: Path) -> NodeKeys:
        """What ``to_bytes`` gave. Raises ConfigurationError ``key-file-malformed`` or ``key-invalid``."""
        try:
            parts = json.loads(content.decode("ascii"))
            if parts.pop("kind") != _KIND or set(parts) != set(_NAMES):
                raise malformed(path)
            return cls(**{name: b64decode(parts[name], validate=True) for name in _NAMES})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error):
            raise malformed(path) from None  # the original error could quote the secret


def write_key_file(path: Path, content: bytes) -> None:
    """Write a new key file, for its owner only, and wait until it is on the disk.

    Raises:
        ConfigurationError: ``key-file-exists`` or ``key-file-unwritable``. No file is ever overwritten.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), 0o600)  # whatever the umask
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        raise ConfigurationError(
            "key-file-exists",
            f"{path} exists already",
            "choose another path; a key file is never replaced, since losing it loses what it opens",
        ) from error
    except OSError as error:
        raise ConfigurationError(
            "key-file-unwritable",
            f"{path} cannot be written: {error.strerror}",
            "choose a directory that exists and that this user may write to",
        ) from error


def read_key_file(path: Path) -> bytes:
    """The content of a key file that nobody but its owner can open.

    Raises:
        ConfigurationError: ``key-file-missing`` or ``key-file-exposed`` (group or others may read or write).
    """
    try:
        with Path(path).open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(LARGEST_KEY_FILE + 1)
    except OSError as error:
        raise ConfigurationError(
            "key-file-missing",
            f"{path} cannot be read: {error.strerror}",
            "mount or restore the key file that node.toml names",
        ) from error
    if is_open_to_others(Path(path), mode):
        raise ConfigurationError(
            "key-file-exposed",
            f"{path} has mode {mode:04o}, so others than its owner may open it",
            f"run `chmod 600 {path}`, and ask who has read it",
        )
    if len(content) > LARGEST_KEY_FILE:
        raise malformed(path)
    return content


def credentials_directory() -> Path | None:
    """Where systemd put the credentials of the service that this process belongs to."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    return Path(directory) if directory else None


def is_open_to_others(path: Path, mode: int) -> bool:
    """Whether others than its owner can open a key file, by its mode.

    A service may read its credentials by an access list, which shows as a right of the group; only that
    service can enter their directory.
    """
    permitted = 0o040 if path.parent == credentials_directory() else 0
    return bool(mode & 0o077 & ~permitted)


def malformed(path: Path) -> ConfigurationError:
    """The error for a file that is no key file."""
    return ConfigurationError(
        "key-file-malformed",
        f"{path} is not a key file of a node",
        "restore the key file from its backup; node.toml may name another file, or the wrong key_protection",
    )
