"""Who a node is to the others: its signing key, and the keys of the others that it accepts.

Guarantees: the signing key is never shown or logged, lies in a file that only its user can read, and is never
overwritten. A node takes part only with a roster whose every key it has accepted.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from safeborders_fed.errors import ConfigurationError, PeerError
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.study.accepted_keys import AcceptedKeys
from safeborders_fed.study.handshake import Head


@dataclass(frozen=True)
class Identity:
    """One node among others.

    Attributes:
        node: Its name.
        signing_key: Long-term Ed25519 key.
        accepted: Name to public key (64 hexadecimal digits) of every node of the roster, itself included.
        roster_hash: Hash of the roster that holds exactly those keys.
        retired: Keys that were given up; heads that this node signed with one of them still count.
    """

    node: str
    signing_key: Ed25519PrivateKey = field(repr=False)
    accepted: Mapping[str, str]
    roster_hash: str
    retired: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.accepted.get(self.node) != public_hex(self.signing_key):
            raise ConfigurationError(
                "not-in-roster",
                f"the roster does not hold the signing key of {self.node}",
                "have the coordinator enrol this node's key, and accept the new roster",
            )

    def check_own(self, head: Head) -> None:
        """Checks that this node signed a ledger head, with its key of now or an earlier one.

        Raises:
            PeerError: ``bad-signature``.
        """
        for public in self.retired:
            try:
                head.check(public, self.node)
            except PeerError:
                continue
            return
        head.check(self.accepted[self.node], self.node)

    @classmethod
    def from_accepted(
        cls, node: str, signing_key: Ed25519PrivateKey, accepted: AcceptedKeys, today: date
    ) -> Identity:
        """The identity under the roster that the node's own people have accepted.

        Raises:
            ConfigurationError: ``no-roster`` or ``not-in-roster``.
            RefusedError: a key of the roster has expired or is not valid yet.
        """
        if accepted.roster is None:
            raise ConfigurationError(
                "no-roster",
                f"node {node} has accepted no roster",
                "have the roster sent by the coordinator accepted by two approvers",
            )
        accepted.roster.require_current(today)
        return cls(node, signing_key, accepted.keys(), accepted.roster.hash(), accepted.retired)


def save_signing_key(key: Ed25519PrivateKey, path: Path) -> None:
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
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def load_signing_key(path: Path) -> Ed25519PrivateKey:
    """Reads a signing key.

    Raises:
        ConfigurationError: ``key-file-missing``, ``key-file-open-to-others`` or ``key-file-malformed``.
    """
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise ConfigurationError(
                "key-file-open-to-others",
                f"other users can read the key file {path}",
                f"chmod 600 {path}, and consider the key known to them",
            )
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise ConfigurationError(
            "key-file-missing",
            f"{path} cannot be read: {error.strerror}",
            "restore the key file from its backup",
        ) from error
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            "key-file-malformed", f"{path} is not a signing key", "restore the key file from its backup"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(
            "key-file-malformed", f"{path} is not an Ed25519 key", "restore the key file from its backup"
        )
    return key
