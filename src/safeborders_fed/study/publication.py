"""A published study: its manifest under the signature of the coordinator's operator.

Guarantees: ``receive`` returns a manifest only if the operator whose key the node pinned signed exactly these
bytes, and the manifest does not contradict itself. What people at a node approve is the manifest's hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic import Field as Limit

from safeborders_fed.errors import PeerError
from safeborders_fed.masking import signing
from safeborders_fed.masking.signing import Purpose
from safeborders_fed.study import canonical, manifest
from safeborders_fed.study.manifest import Manifest


class _Published(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    manifest: dict[str, Any]
    signer: Annotated[str, Limit(pattern=r"^[0-9a-f]{64}$")]
    signature: Annotated[str, Limit(pattern=r"^[0-9a-f]{128}$")]


def publish(study: Manifest, key: Ed25519PrivateKey) -> bytes:
    """The canonical bytes of a study, signed by the operator.

    Raises:
        RefusedError: from ``Manifest.check``.
    """
    study.check()
    signature = signing.sign(key, Purpose.MANIFEST, study.canonical())
    content = study.model_dump(mode="json")
    return canonical.serialise(
        {"manifest": content, "signer": signing.public_hex(key), "signature": signature}
    )


def receive(data: bytes, operator: str) -> Manifest:
    """The manifest that this operator signed. Raises as ``receive_from``."""
    return receive_from(data, (operator,))


def receive_from(data: bytes, operators: Sequence[str]) -> Manifest:
    """The manifest that one of these operators (public keys, 64 hexadecimal digits) signed.

    Raises:
        PeerError: ``not-canonical``, ``bad-publication``, ``wrong-operator`` or ``bad-signature``.
        ConfigurationError: ``bad-manifest``.
        RefusedError: from ``Manifest.check``.
    """
    published = _open(data)
    if published.signer not in tuple(operators):
        raise PeerError(
            "wrong-operator",
            "the study is signed by another key than those of the coordinator's operators",
            "ask the operator, by a way of your own, which key is theirs",
        )
    content = canonical.serialise(published.manifest)
    signing.verify(published.signer, Purpose.MANIFEST, content, published.signature)
    return manifest.parse(content)


def unverified(data: bytes) -> tuple[str, dict[str, Any]]:
    """Hash and content of the manifest in a published study, for who knows by the hash that it was approved.

    Raises:
        PeerError: ``not-canonical`` or ``bad-publication``.
    """
    content = _open(data).manifest
    return canonical.sha256(canonical.serialise(content)), content


def _open(data: bytes) -> _Published:
    canonical.parse(data)
    try:
        return _Published.model_validate_json(data)
    except ValidationError as error:
        raise PeerError(
            "bad-publication", "the published study is malformed", "ask the operator to publish it again"
        ) from error
