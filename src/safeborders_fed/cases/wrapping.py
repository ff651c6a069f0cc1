"""Key files that are themselves under a key: one made from a passphrase, or one that a key service keeps.

Guarantees: the secrets are sealed with AES-GCM (256 bits) under that key, and bound to all that stands beside
them in the file; the passphrase goes through scrypt (RFC 7914) with n = 2^17, r = 8, p = 1 and 16 random
bytes of salt, which takes 128 MiB and a good part of a second for each guess. A file with other parameters
is refused: nobody can hand over a weaker one. No message holds a secret.

The key service sees a wrapped key and gives it back unwrapped (an envelope): the secrets themselves can be
renewed without asking it to wrap anything.
"""

from __future__ import annotations

import json
import secrets
from base64 import b64decode, b64encode
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from safeborders_fed.cases.keys import KEY_BYTES, NodeKeys, malformed
from safeborders_fed.errors import ConfigurationError

SHORTEST_PASSPHRASE: Final = 12
LARGEST_WRAPPED_KEY: Final = 4096
"""Bytes. One page: a pipe takes it whole, so a hook that does not read cannot stop its caller."""
_N: Final = 2**17
_R: Final = 8
_P: Final = 1
_SALT_BYTES: Final = 16
_NONCE_BYTES: Final = 12

Base64 = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]+={0,2}$", max_length=2 * LARGEST_WRAPPED_KEY)]


class Protection(StrEnum):
    """What a key file is under."""

    NONE = "none"
    PASSPHRASE = "passphrase"  # noqa: S105 - the name of a kind
    KMS = "kms"


class _Wrapped(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)

    schema_version: Literal[1] = 1
    sealed: Base64

    def bound(self) -> bytes:
        """What the seal covers besides the secrets."""
        return json.dumps(self.model_dump(exclude={"sealed"}), sort_keys=True).encode("ascii")


class UnderPassphrase(_Wrapped):
    """A key file under a passphrase."""

    kind: Literal["safeborders-node-keys-under-passphrase"] = "safeborders-node-keys-under-passphrase"
    n: Literal[131072] = _N
    r: Literal[8] = _R
    p: Literal[1] = _P
    salt: Base64


class UnderService(_Wrapped):
    """A key file under a key that a key service wrapped; ``wrapped`` is what that service knows it by."""

    kind: Literal["safeborders-node-keys-under-kms"] = "safeborders-node-keys-under-kms"
    wrapped: Base64


_EITHER: TypeAdapter[UnderPassphrase | UnderService] = TypeAdapter(
    Annotated[UnderPassphrase | UnderService, Field(discriminator="kind")]
)


def under_passphrase(keys: NodeKeys, passphrase: str) -> bytes:
    """The content of a key file under a passphrase.

    Raises:
        ConfigurationError: ``passphrase-too-short``.
    """
    if len(passphrase.strip()) < SHORTEST_PASSPHRASE:
        raise ConfigurationError(
            "passphrase-too-short",
            f"a passphrase has {SHORTEST_PASSPHRASE} characters at least",
            "choose several words that nobody can guess",
        )
    head = UnderPassphrase(sealed="AA==", salt=_text(secrets.token_bytes(_SALT_BYTES)))
    return _filled(head, keys, _stretched(passphrase, head))


def under_service(keys: NodeKeys, wrapped: bytes, key: bytes) -> bytes:
    """The content of a key file under the key that ``wrapped`` is unwrapped to.

    Raises:
        ConfigurationError: ``wrapped-key-invalid``.
    """
    if not 1 <= len(wrapped) <= LARGEST_WRAPPED_KEY:
        raise ConfigurationError(
            "wrapped-key-invalid",
            f"a wrapped key has 1 to {LARGEST_WRAPPED_KEY:,} bytes, and this one has {len(wrapped):,}",
            "give the file with what the key service returned for a new 256-bit key",
        )
    return _filled(UnderService(sealed="AA==", wrapped=_text(wrapped)), keys, key)


def protection_of(content: bytes, path: Path) -> Protection:
    """What a key file is under. Raises ConfigurationError ``key-file-malformed``."""
    try:
        kind = json.loads(content)["kind"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise malformed(path) from None
    match kind:
        case "safeborders-node-keys":
            return Protection.NONE
        case "safeborders-node-keys-under-passphrase":
            return Protection.PASSPHRASE
        case "safeborders-node-keys-under-kms":
            return Protection.KMS
    raise malformed(path)


def wrapped_key(content: bytes, path: Path) -> bytes:
    """What the key service is to unwrap. Raises ConfigurationError ``key-file-malformed``."""
    parsed = _parsed(content, path)
    if not isinstance(parsed, UnderService):
        raise malformed(path)
    return _bytes(parsed.wrapped, path)


def open_with_passphrase(content: bytes, passphrase: str, path: Path) -> NodeKeys:
    """The secrets in a key file.

    Raises:
        ConfigurationError: ``wrong-passphrase`` (or the file was altered), ``key-file-malformed``.
    """
    parsed = _parsed(content, path)
    if not isinstance(parsed, UnderPassphrase):
        raise malformed(path)
    try:
        return _opened(parsed, _stretched(passphrase, parsed, path), path)
    except InvalidTag:
        raise ConfigurationError(
            "wrong-passphrase",
            f"{path} does not open with this passphrase, or is damaged",
            "give the passphrase that was set for this key file, or restore the file from its backup",
        ) from None


def open_with_key(content: bytes, key: bytes, path: Path) -> NodeKeys:
    """The secrets in a key file, under the unwrapped key.

    Raises:
        ConfigurationError: ``kms-wrong-key`` (or the file was altered), ``key-file-malformed``.
    """
    parsed = _parsed(content, path)
    if not isinstance(parsed, UnderService):
        raise malformed(path)
    try:
        return _opened(parsed, key, path)
    except InvalidTag:
        raise ConfigurationError(
            "kms-wrong-key",
            f"the key that the key service gave does not open {path}, or the file is damaged",
            "let the hook use the service and key that this file was made with, or restore the file",
        ) from None


def _filled(head: UnderPassphrase | UnderService, keys: NodeKeys, key: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    sealed = nonce + AESGCM(key).encrypt(nonce, keys.to_bytes(), head.bound())
    content = head.model_copy(update={"sealed": _text(sealed)}).model_dump()
    return json.dumps(content, indent=1).encode("ascii") + b"\n"


def _opened(parsed: UnderPassphrase | UnderService, key: bytes, path: Path) -> NodeKeys:
    sealed = _bytes(parsed.sealed, path)
    try:
        plain = AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], parsed.bound())
    except ValueError:  # too short for a nonce
        raise malformed(path) from None
    return NodeKeys.from_bytes(plain, path)


def _parsed(content: bytes, path: Path) -> UnderPassphrase | UnderService:
    try:
        return _EITHER.validate_json(content)
    except ValidationError:
        raise malformed(path) from None


def _stretched(passphrase: str, head: UnderPassphrase, path: Path | None = None) -> bytes:
    salt = _bytes(head.salt, path)
    return Scrypt(salt=salt, length=KEY_BYTES, n=head.n, r=head.r, p=head.p).derive(passphrase.encode())


def _bytes(text: str, path: Path | None) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise malformed(path or Path("key file")) from None


def _text(content: bytes) -> str:
    return b64encode(content).decode("ascii")
