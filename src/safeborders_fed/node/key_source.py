"""Where the secrets of a node come from: its key file, in clear, under a passphrase, or under a key service.

Guarantees: ``node.toml`` names one source, and only that one is tried: a file of another kind is refused, and
nothing falls back to something weaker. A passphrase comes from a file of mode 600 (or a systemd credential of
its name) or from the terminal, a service's key from a hook (``key_hook``); neither stands on a command line,
in the environment, or in a message.
"""

from __future__ import annotations

import functools
import getpass
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safeborders_fed.cases import wrapping
from safeborders_fed.cases.keys import NodeKeys, read_key_file
from safeborders_fed.cases.wrapping import Protection
from safeborders_fed.errors import ConfigurationError, UsageError
from safeborders_fed.node import key_hook

if TYPE_CHECKING:
    from safeborders_fed.node.settings import NodeSettings


@dataclass(frozen=True)
class Wanted:
    """What a new key file is to be under.

    Attributes:
        protection: Nothing, a passphrase, or a key service.
        passphrase_file: Where the passphrase is; None to ask for it at the terminal, twice.
        wrapped_key_file: What the key service is to unwrap to 32 bytes.
    """

    protection: Protection = Protection.NONE
    passphrase_file: Path | None = None
    wrapped_key_file: Path | None = None

    def __post_init__(self) -> None:
        extra = [
            self.passphrase_file is not None and self.protection != Protection.PASSPHRASE,
            (self.wrapped_key_file is not None) != (self.protection == Protection.KMS),
        ]
        if any(extra):
            raise UsageError(
                "key-protection",
                f"the options do not fit the protection {self.protection.value!r}",
                "give a passphrase file with 'passphrase' only, and a wrapped key with 'kms' and only there",
            )


def load(settings: NodeSettings, path: Path) -> NodeKeys:
    """The secrets in a key file, by the source that ``node.toml`` names.

    Raises:
        ConfigurationError: ``key-protection-differs``, ``key-file-missing``, ``key-file-exposed``,
            ``key-file-malformed``, ``wrong-passphrase``, ``passphrase-unreadable``, ``kms-wrong-key``; or as
            ``key_hook.unwrapped``.
        UsageError: ``no-terminal``, where the passphrase is in no file and there is nobody to ask.
    """
    content = read_key_file(path)
    found, wanted = wrapping.protection_of(content, path), settings.key_protection
    if found != wanted:
        raise ConfigurationError(
            "key-protection-differs",
            f"{path} is under {found.value!r}, and node.toml says key_protection = {wanted.value!r}",
            "find out who changed which of the two; name in node.toml what was decided",
        )
    match wanted:
        case Protection.NONE:
            return NodeKeys.from_bytes(content, path)
        case Protection.PASSPHRASE:
            passphrase = _passphrase(settings.key_passphrase_path)
            return wrapping.open_with_passphrase(content, passphrase, path)
        case Protection.KMS:
            key = key_hook.unwrapped(wrapping.wrapped_key(content, path))
            return wrapping.open_with_key(content, key, path)


def renewed(settings: NodeSettings, keys: NodeKeys, path: Path) -> bytes:
    """What a key file with other secrets is to hold, under exactly what the one at ``path`` is under.

    Raises:
        As ``load``.
    """
    match settings.key_protection:
        case Protection.NONE:
            return keys.to_bytes()
        case Protection.PASSPHRASE:
            passphrase = _passphrase(settings.key_passphrase_path)
            wrapping.open_with_passphrase(read_key_file(path), passphrase, path)  # it stays the same one
            return wrapping.under_passphrase(keys, passphrase)
        case Protection.KMS:
            wrapped = wrapping.wrapped_key(read_key_file(path), path)
            key = key_hook.unwrapped(wrapped)
            wrapping.open_with_key(read_key_file(path), key, path)
            return wrapping.under_service(keys, wrapped, key)


def content(keys: NodeKeys, wanted: Wanted) -> bytes:
    """What a new key file is to hold.

    Raises:
        ConfigurationError: ``passphrase-too-short``, ``passphrase-unreadable``, ``wrapped-key-invalid``; or
            as ``key_hook.unwrapped``.
        UsageError: ``no-terminal`` or ``passphrases-differ``.
    """
    if wanted.protection == Protection.PASSPHRASE:
        return wrapping.under_passphrase(keys, _passphrase(wanted.passphrase_file, twice=True))
    if wanted.wrapped_key_file is None:
        return keys.to_bytes()
    try:
        wrapped = wanted.wrapped_key_file.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            "wrapped-key-invalid",
            f"{wanted.wrapped_key_file} cannot be read: {error.strerror}",
            "give the file with what the key service returned for a new 256-bit key",
        ) from error
    return wrapping.under_service(keys, wrapped, key_hook.unwrapped(wrapped))


def _passphrase(file: Path | None, *, twice: bool = False) -> str:
    if file is not None:
        try:
            return read_key_file(file).decode("utf-8").removesuffix("\n")
        except UnicodeDecodeError:
            raise ConfigurationError(
                "passphrase-unreadable", f"{file} is not UTF-8", "give the file with the passphrase"
            ) from None
    if not sys.stdin.isatty():
        raise UsageError(
            "no-terminal",
            "the key file is under a passphrase, and there is no terminal to ask for it",
            "name a file of mode 600, or a credential of the service, as key_passphrase_file in node.toml",
        )
    if not twice:
        return _typed()
    typed = getpass.getpass("New passphrase of the node's key file: ")
    if getpass.getpass("The same again: ") != typed:
        raise UsageError("passphrases-differ", "the two passphrases differ", "try again")
    return typed


@functools.cache  # a command that opens the store several times asks once
def _typed() -> str:
    return getpass.getpass("Passphrase of the node's key file: ")
