"""Files that hold one Ed25519 signing key each.

Guarantees: a key file is readable by its owner only, and is refused otherwise; no key file is ever
overwritten; the key stands in no message.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from safeborders_fed.errors import ConfigurationError


def save_key(key: Ed25519PrivateKey, path: Path) -> None:
    """Writes a signing key to a new file of mode 600.

    Raises:
        ConfigurationError: ``key-file-exists`` or ``key-file-unwritable``.
    """
    data = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ConfigurationError(
            "key-file-exists",
            f"the key file {path} exists already",
            "choose another path; keys are not replaced",
        ) from error
    except OSError as error:
        raise ConfigurationError(
            "key-file-unwritable", f"{path} cannot be written: {error.strerror}", "choose another path"
        ) from error
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), 0o600)  # whatever the umask
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def load_key(path: Path) -> Ed25519PrivateKey:
    """Reads a signing key.

    Raises:
        ConfigurationError: ``key-file-missing``, ``key-file-open-to-others`` or ``key-file-malformed``.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read()
    except OSError as error:
        raise ConfigurationError(
            "key-file-missing",
            f"{path} cannot be read: {error.strerror}",
            "give the path of your key file, or restore it from its backup",
        ) from error
    if mode & 0o077:
        raise ConfigurationError(
            "key-file-open-to-others",
            f"other users can read the key file {path}",
            f"run `chmod 600 {path}`, and consider the key known to them",
        )
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError):
        raise _malformed(path) from None  # the original error could quote the content
    if not isinstance(key, Ed25519PrivateKey):
        raise _malformed(path)
    return key


def _malformed(path: Path) -> ConfigurationError:
    return ConfigurationError(
        "key-file-malformed", f"{path} is not an Ed25519 signing key", "restore the file from its backup"
    )
