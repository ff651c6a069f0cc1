"""Encryption of everything that a case store keeps, and of what an import leaves on disk for a moment.

Guarantees: Parquet files use modular encryption (AES-GCM, 256 bits, encrypted footer) with a fresh data key
for each file, wrapped by the node's key for cases or for identifiers; manifests are sealed with AES-GCM under
a key derived from the one for cases; temporary files are sealed under a key that exists in this process only,
so what a crash leaves behind can be opened by nobody.
"""

from __future__ import annotations

import io
import secrets
from base64 import b64decode, b64encode
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pyarrow.parquet import encryption as parquet_encryption

from safeborders_fed.cases.keys import KEY_BYTES, NodeKeys
from safeborders_fed.errors import ConfigurationError

CASES: Final = "cases"
IDENTIFIERS: Final = "identifiers"
_NONCE_BYTES: Final = 12


def wrong_key() -> ConfigurationError:
    """The error for a store that the given keys do not open."""
    return ConfigurationError(
        "wrong-key",
        "the key file does not open this case store",
        "use the key file that was made together with the store; node.toml names it",
    )


class _NodeKms(parquet_encryption.KmsClient):  # type: ignore[misc]  # pyarrow is untyped
    """Wraps the data keys of Parquet files with the node's keys, in this process."""

    def __init__(self, keys: NodeKeys) -> None:
        super().__init__()
        self._ciphers = {CASES: AESGCM(keys.cases), IDENTIFIERS: AESGCM(keys.identifiers)}

    def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> str:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        cipher = self._ciphers[master_key_identifier]
        return b64encode(nonce + cipher.encrypt(nonce, key_bytes, master_key_identifier.encode())).decode()

    def unwrap_key(self, wrapped_key: str | bytes, master_key_identifier: str) -> bytes:
        sealed = b64decode(wrapped_key)
        cipher = self._ciphers.get(master_key_identifier)
        if cipher is None:
            raise wrong_key()
        try:
            nonce, text = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
            return cipher.decrypt(nonce, text, master_key_identifier.encode())
        except InvalidTag:
            raise wrong_key() from None


class Sealer:
    """Seals and opens what belongs to one store."""

    def __init__(self, keys: NodeKeys) -> None:
        self._factory = parquet_encryption.CryptoFactory(lambda _: _NodeKms(keys))
        self._connection = parquet_encryption.KmsConnectionConfig()
        derived = HKDF(SHA256(), KEY_BYTES, salt=None, info=b"safeborders case store manifest v1")
        self._manifest = AESGCM(derived.derive(keys.cases))

    def parquet(self, table: pa.Table, key: str) -> bytes:
        """``table`` as an encrypted Parquet file under the key named ``cases`` or ``identifiers``."""
        configuration = parquet_encryption.EncryptionConfiguration(
            footer_key=key,
            uniform_encryption=True,
            encryption_algorithm="AES_GCM_V1",
            plaintext_footer=False,
            double_wrapping=False,
            data_key_length_bits=8 * KEY_BYTES,
        )
        properties = self._factory.file_encryption_properties(self._connection, configuration)
        sink = io.BytesIO()
        with pq.ParquetWriter(
            sink, table.schema, encryption_properties=properties, use_dictionary=False, compression="zstd"
        ) as writer:
            writer.write_table(table, row_group_size=max(1, table.num_rows))
        return sink.getvalue()

    def open_parquet(self, content: bytes) -> pa.Table:
        """The table in an encrypted Parquet file.

        Raises:
            ConfigurationError: ``wrong-key``.
            OSError: The file is damaged.
        """
        properties = self._factory.file_decryption_properties(
            self._connection, parquet_encryption.DecryptionConfiguration()
        )
        with pq.ParquetFile(pa.BufferReader(content), decryption_properties=properties) as file:
            return file.read()

    def seal(self, content: bytes, name: str) -> bytes:
        """``content`` sealed, and bound to ``name``."""
        return _sealed(self._manifest, content, name.encode())

    def unseal(self, sealed: bytes, name: str) -> bytes:
        """What ``seal`` took. Raises ConfigurationError ``wrong-key`` for another key, name or content."""
        try:
            return _opened(self._manifest, sealed, name.encode())
        except InvalidTag:
            raise wrong_key() from None


class PassingSealer:
    """Seals temporary files of this process under a key that is never stored."""

    def __init__(self) -> None:
        self._cipher = AESGCM(secrets.token_bytes(KEY_BYTES))

    def seal(self, content: bytes, name: bytes) -> bytes:
        """``content`` sealed, and bound to ``name``."""
        return _sealed(self._cipher, content, name)

    def unseal(self, sealed: bytes, name: bytes) -> bytes:
        """What ``seal`` took. Raises cryptography's InvalidTag if anything was changed."""
        return _opened(self._cipher, sealed, name)


def _sealed(cipher: AESGCM, content: bytes, name: bytes) -> bytes:
    # Random 96-bit nonces: a key seals far fewer than the 2^32 messages that they allow.
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, content, name)


def _opened(cipher: AESGCM, sealed: bytes, name: bytes) -> bytes:
    return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], name)
