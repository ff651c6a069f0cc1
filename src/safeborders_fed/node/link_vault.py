"""What a node's half of links keeps secret at rest, sealed under keys that follow from the node's secrets.

Sealed files lie in ``links/`` of the node's directory: ``epoch-2026.sealed`` with the secrets of an epoch,
``book.sealed`` with the key of what the link book keeps beyond an epoch.

Guarantees: AES-256-GCM under a key derived from the node's secret for identifiers, bound to the name; whoever
copies the directory without the key file, which lies outside, has neither tokens nor keys of pairs. The
digest by which a node knows one of its own identifiers again is keyed with a key derived from the secret for
pseudonyms, and stays the same when the store is given new keys (ADR 23). ``stage_under`` seals all files
anew in that case. The values in the book are under keys in these files and need no second sealing.
"""

from __future__ import annotations

import hmac
import os
import secrets
import struct
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from safeborders_fed.cases.keys import KEY_BYTES, NodeKeys
from safeborders_fed.cases.sealing import wrong_key
from safeborders_fed.cases.snapshots import sync_directory
from safeborders_fed.cases.staging import Staged
from safeborders_fed.study import durable

DIRECTORY: Final = "links"
DIGEST_BYTES: Final = 16
_SUFFIX: Final = ".sealed"
_NONCE: Final = 12
_BOOK: Final = "book"


class LinkVault:
    """Seals and opens what belongs to one node's links.

    Args:
        home: The node's directory.
        keys: The node's secrets.
    """

    def __init__(self, home: Path, keys: NodeKeys) -> None:
        self.directory = home / DIRECTORY
        self._cipher = AESGCM(_derived(keys.identifiers, b"safeborders links at rest v1"))
        self._digest_key = _derived(keys.pseudonym, b"safeborders link digest v1")

    def digest(self, kind: str, form: str) -> bytes:
        """By what this node knows an identifier again: 16 bytes, keyed, the same in every epoch."""
        parts = [part.encode("utf-8") for part in (kind, form)]
        data = b"".join(struct.pack("<I", len(part)) + part for part in parts)
        return hmac.digest(self._digest_key, data, "sha256")[:DIGEST_BYTES]

    def path(self, name: str) -> Path:
        """Where a sealed file lies."""
        return self.directory / f"{name}{_SUFFIX}"

    def save(self, name: str, content: bytes) -> None:
        """Writes a sealed file, durably, and never over another.

        Raises:
            FileExistsError: there is one of this name.
            OSError: when the directory cannot be written.
        """
        durable.make_directories(self.directory)
        durable.create(self.path(name), self._seal(content, name))

    def replace(self, name: str, content: bytes) -> None:
        """Writes a sealed file in place of the one that may be there. Raises OSError as ``save``."""
        durable.make_directories(self.directory)
        durable.replace(self.path(name), self._seal(content, name))

    def load(self, name: str) -> bytes | None:
        """What ``save`` wrote; None if it is not there.

        Raises:
            ConfigurationError: ``wrong-key``, also for a file that was altered or renamed.
        """
        try:
            sealed = self.path(name).read_bytes()
        except FileNotFoundError:
            return None
        return self._open(sealed, name)

    def destroy(self, name: str) -> bool:
        """Overwrites and removes a sealed file; false if it was gone already.

        What a disk keeps of overwritten blocks, and copies elsewhere, still need the node's key file.

        Raises:
            OSError: when it cannot be written.
        """
        path = self.path(name)
        if not path.exists():
            return False
        with path.open("r+b", buffering=0) as file:
            file.write(secrets.token_bytes(path.stat().st_size))
            os.fsync(file.fileno())
        path.unlink()
        sync_directory(self.directory)
        return True

    def names(self) -> list[str]:
        """The sealed files, by name."""
        return sorted(path.name.removesuffix(_SUFFIX) for path in self.directory.glob(f"*{_SUFFIX}"))

    def book_key(self) -> bytes:
        """The key of what the book keeps beyond an epoch; made once. Raises as ``save`` and ``load``."""
        found = self.load(_BOOK)
        if found is None:
            found = secrets.token_bytes(KEY_BYTES)
            try:
                self.save(_BOOK, found)
            except FileExistsError:  # another process was first
                return self.book_key()
        return found

    def stage_under(self, keys: NodeKeys, staged: Staged) -> int:
        """Puts every sealed file, sealed under other keys, into a change under way; how many.

        Raises:
            ConfigurationError: ``wrong-key``.
        """
        other = LinkVault(self.directory.parent, keys)
        names = self.names()
        for name in names:
            staged.put(self.path(name), other._seal(self._open(self.path(name).read_bytes(), name), name))
        return len(names)

    def _seal(self, content: bytes, name: str) -> bytes:
        # Random 96-bit nonces: a key seals a handful of files.
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._cipher.encrypt(nonce, content, name.encode())

    def _open(self, sealed: bytes, name: str) -> bytes:
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], name.encode())
        except (InvalidTag, ValueError):
            raise wrong_key() from None


def _derived(secret: bytes, info: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=info).derive(secret)
