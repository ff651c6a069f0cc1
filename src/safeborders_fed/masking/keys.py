"""Study keys: one X25519 key pair for each study and process start, offered under the node's signature.

Guarantees:

- A study key comes from the operating system's generator and lives in memory only: nothing writes, copies or
  prints it, and a shared secret never leaves it except through a key derivation.
- An offer that ``check`` accepts was signed by the node's own long-term key for exactly this node, study,
  manifest and roster.
- A public key has one accepted form, and a peer key that would make the shared secret zero is refused.

The protocol to the byte is in ``docs/masking.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from safeborders_fed.errors import DefectError, PeerError
from safeborders_fed.masking import layout
from safeborders_fed.masking.signing import Purpose, sign, verify

PAIR_KEY_BYTES: Final = 32
_FIELD_PRIME: Final = 2**255 - 19


def public_bytes(public: str) -> bytes:
    """The 32 bytes of an X25519 public key in its one accepted form.

    X25519 takes several encodings for the same point; only the reduced one is accepted, or else a check for
    duplicate keys would miss the others.

    Raises:
        PeerError: ``malformed-masking``.
    """
    data = layout.raw(public, 32, "a public key")
    if int.from_bytes(data, "little") >= _FIELD_PRIME:
        raise layout.malformed("a public key is not a reduced number of its field")
    return data


class StudyKey:
    """An X25519 key pair in memory.

    Attributes:
        public: The public key, 64 hexadecimal digits.
    """

    __slots__ = ("_private", "_secrets", "public")

    def __init__(self, private: X25519PrivateKey) -> None:
        self._private = private
        self._secrets: dict[str, bytes] = {}  # a study asks for the same few every round
        self.public = private.public_key().public_bytes_raw().hex()

    @classmethod
    def generate(cls) -> Self:
        """A fresh key pair."""
        return cls(X25519PrivateKey.generate())

    @classmethod
    def from_private_bytes(cls, private: bytes) -> Self:
        """The key pair of 32 given bytes. For test vectors only: a key that lasts can be used twice."""
        return cls(X25519PrivateKey.from_private_bytes(private))

    def pair_key(self, public: str, info: bytes) -> bytes:
        """HKDF-SHA256 of the secret shared with another key: 32 bytes, the same at both ends.

        Args:
            public: The other end's public key.
            info: Everything that both ends must agree on.

        Raises:
            PeerError: ``malformed-masking`` or ``zero-secret``.
        """
        return HKDF(SHA256(), PAIR_KEY_BYTES, salt=None, info=info).derive(self._secret(public))

    def _secret(self, public: str) -> bytes:
        if public in self._secrets:
            return self._secrets[public]
        try:
            secret = self._private.exchange(X25519PublicKey.from_public_bytes(public_bytes(public)))
        except ValueError as error:
            raise PeerError(
                "zero-secret",
                f"the public key {public} gives the same secret with every key, so it would hide nothing",
                "ask that node's team why it offers such a key, and take no part until they know",
            ) from error
        self._secrets[public] = secret
        return secret

    def __repr__(self) -> str:
        return "StudyKey(hidden)"

    def __reduce__(self) -> NoReturn:
        raise DefectError(
            "study-key-copied",
            "something tried to copy or store a study key, which must stay in the memory of one process",
            "report this to the developers",
        )


@dataclass(frozen=True, slots=True)
class SignedKey:
    """A node's offer of its study key, under its long-term signature.

    Attributes:
        node: Who offers it.
        study: Study id.
        manifest_hash: Hash of the manifest that the node approved, 64 hexadecimal digits.
        roster_hash: Hash of the roster that the node accepted, 64 hexadecimal digits.
        boot_epoch: Random for each start of the node's process, 32 hexadecimal digits.
        public: X25519 public key, 64 hexadecimal digits.
        signature: Ed25519 over all of the above, 128 hexadecimal digits.

    Raises:
        PeerError: ``malformed-masking``, when a field does not have its form.
    """

    node: str
    study: str
    manifest_hash: str
    roster_hash: str
    boot_epoch: str
    public: str
    signature: str

    def __post_init__(self) -> None:
        self.payload()
        layout.raw(self.signature, 64, "a signature")

    def payload(self) -> bytes:
        """What is signed, without the prefix of its purpose."""
        return _payload(
            node=self.node,
            study=self.study,
            manifest_hash=self.manifest_hash,
            roster_hash=self.roster_hash,
            boot_epoch=self.boot_epoch,
            public=self.public,
        )

    def check(
        self, accepted_public: str, *, node: str, study: str, manifest_hash: str, roster_hash: str
    ) -> None:
        """Checks that a node made this offer, for this study.

        Args:
            accepted_public: The node's Ed25519 public key in the verifier's own roster.
            node: Who is said to offer it.
            study: The verifier's study id.
            manifest_hash: Hash of the manifest that the verifier approved.
            roster_hash: Hash of the roster that the verifier accepted.

        Raises:
            PeerError: ``bad-signature``, or ``wrong-study-key`` when the offer is genuine but for another
                node, study, manifest or roster.
        """
        verify(accepted_public, Purpose.STUDY_KEY, self.payload(), self.signature)
        offered = (self.node, self.study, self.manifest_hash, self.roster_hash)
        expected = (node, study, manifest_hash, roster_hash)
        names = ("node", "study", "manifest", "roster")
        differing = [
            name for name, ours, theirs in zip(names, expected, offered, strict=True) if ours != theirs
        ]
        if differing:
            raise PeerError(
                "wrong-study-key",
                f"the study key offered for {node} in study {study!r} was signed for another "
                f"{' and '.join(differing)}",
                "compare manifest and roster with that node's team: the coordinator may mix up studies",
            )

    def to_json(self) -> dict[str, str]:
        """The offer as a JSON object of seven texts."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """The offer that a JSON object holds.

        Raises:
            PeerError: ``malformed-masking``, also for missing and for further fields.
        """
        if not isinstance(value, Mapping) or set(value) != set(cls.__slots__):
            raise layout.malformed("a key offer does not have exactly its seven fields")
        return cls(**value)


def offer(
    key: StudyKey,
    signing_key: Ed25519PrivateKey,
    *,
    node: str,
    study: str,
    manifest_hash: str,
    roster_hash: str,
    boot_epoch: str,
) -> SignedKey:
    """A node's signed offer of its study key.

    Raises:
        PeerError: ``malformed-masking``, when a field does not have its form.
    """
    payload = _payload(
        node=node,
        study=study,
        manifest_hash=manifest_hash,
        roster_hash=roster_hash,
        boot_epoch=boot_epoch,
        public=key.public,
    )
    signature = sign(signing_key, Purpose.STUDY_KEY, payload)
    return SignedKey(node, study, manifest_hash, roster_hash, boot_epoch, key.public, signature)


def _payload(
    *, node: str, study: str, manifest_hash: str, roster_hash: str, boot_epoch: str, public: str
) -> bytes:
    return layout.prefixed(
        layout.name(node, "a node"),
        layout.name(study, "a study"),
        layout.raw(manifest_hash, 32, "a manifest hash"),
        layout.raw(roster_hash, 32, "a roster hash"),
        layout.raw(boot_epoch, 16, "a boot epoch"),
        public_bytes(public),
    )
