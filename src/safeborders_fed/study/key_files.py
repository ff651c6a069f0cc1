"""Files that hold one private key each.

Three kinds: Ed25519 keys, which sign documents; the transport key of a node (EC P-384, in OpenSSH form, as
Flower's node authentication wants it); keys that sign certificates (EC P-384, PKCS #8).

Guarantees: a key file is readable by its owner only, and is refused otherwise; no key file is ever
overwritten; the key stands in no message.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

from safeborders_fed.cases.keys import credentials_directory, is_open_to_others, write_key_file
from safeborders_fed.errors import ConfigurationError


def save_key(key: Ed25519PrivateKey, path: Path) -> None:
    """Writes a signing key to a new file of mode 600. Raises as ``write_key_file``."""
    write_key_file(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def load_key(path: Path) -> Ed25519PrivateKey:
    """Reads a signing key.

    Raises:
        ConfigurationError: ``key-file-malformed``, or from ``read_key``.
    """
    key = _parsed(path, lambda data: load_pem_private_key(data, password=None))
    if not isinstance(key, Ed25519PrivateKey):
        raise _malformed(path, "an Ed25519 signing key")
    return key


def new_transport_key() -> ec.EllipticCurvePrivateKey:
    """A new key on the curve P-384."""
    return ec.generate_private_key(ec.SECP384R1())


def save_transport_key(key: ec.EllipticCurvePrivateKey, path: Path) -> None:
    """Writes a transport key to a new file of mode 600, in OpenSSH form. Raises as ``write_key_file``."""
    write_key_file(path, key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))


def load_transport_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Reads a transport key.

    Raises:
        ConfigurationError: ``key-file-malformed``, or from ``read_key``.
    """
    return _on_p384(path, _parsed(path, lambda data: load_ssh_private_key(data, password=None)))


def transport_public(key: ec.EllipticCurvePrivateKey) -> str:
    """The public half of a transport key, in one line as OpenSSH writes it, without a comment."""
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")


def save_certificate_key(key: ec.EllipticCurvePrivateKey, path: Path) -> None:
    """Writes the key of a certificate to a new file of mode 600. Raises as ``write_key_file``."""
    write_key_file(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def load_certificate_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Reads the key of a certificate.

    Raises:
        ConfigurationError: ``key-file-malformed``, or from ``read_key``.
    """
    return _on_p384(path, _parsed(path, lambda data: load_pem_private_key(data, password=None)))


def located(path: Path) -> Path:
    """Where a key file is for this process: at its path, or else systemd's credential of its name.

    So the same settings serve a service whose user cannot read the files on the disk, and an
    administrator's commands. Only at its path is a key renewed.
    """
    directory = credentials_directory()
    if directory is None or os.access(path, os.R_OK):
        return path
    handed = directory / path.name
    return handed if handed.exists() else path


def read_key(path: Path) -> bytes:
    """The bytes of a key file that nobody but its owner can open.

    Raises:
        ConfigurationError: ``key-file-missing`` or ``key-file-open-to-others``.
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
    if is_open_to_others(path, mode):
        raise ConfigurationError(
            "key-file-open-to-others",
            f"{path} has mode {mode:04o}, so others than its owner may open it",
            f"run `chmod 600 {path}`, and consider the key known to them",
        )
    return data


def _parsed(path: Path, parse: Callable[[bytes], object]) -> object:
    data = read_key(path)
    try:
        return parse(data)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _malformed(
            path, "a key of the kind that is needed here"
        ) from None  # it could quote the content


def _on_p384(path: Path, key: object) -> ec.EllipticCurvePrivateKey:
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP384R1):
        raise _malformed(path, "a key on the curve P-384")
    return key


def _malformed(path: Path, what: str) -> ConfigurationError:
    return ConfigurationError(
        "key-file-malformed", f"{path} does not hold {what}", "restore the file from its backup"
    )
