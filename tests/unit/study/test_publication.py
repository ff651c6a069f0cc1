"""A study counts only as its operator signed it."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation_of import study
from safeborders_fed.errors import PeerError, RefusedError
from safeborders_fed.masking.signing import Purpose, public_hex, sign
from safeborders_fed.study import canonical
from safeborders_fed.study.publication import publish, receive

OPERATOR, STRANGER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()


def test_a_published_study_comes_back_with_its_hash() -> None:
    manifest = study()
    assert receive(publish(manifest, OPERATOR), public_hex(OPERATOR)).hash() == manifest.hash()


def changed(**fields: object) -> bytes:
    return canonical.serialise({**json.loads(publish(study(), OPERATOR)), **fields})


def test_a_stranger_cannot_publish() -> None:
    with pytest.raises(PeerError, match="another key"):
        receive(publish(study(), STRANGER), public_hex(OPERATOR))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (changed(signer=public_hex(STRANGER)), "wrong-operator"),
        (changed(signature="0" * 128), "bad-signature"),
        (changed(signature="short"), "bad-publication"),
        (changed(extra=1), "bad-publication"),
        (changed(manifest=json.loads(study(purpose="another").canonical())), "bad-signature"),
        (
            changed(signature=sign(OPERATOR, Purpose.ROSTER, study().canonical())),
            "bad-signature",
        ),
        (publish(study(), OPERATOR) + b" ", "not-canonical"),
    ],
)
def test_a_changed_publication_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(PeerError) as caught:
        receive(data, public_hex(OPERATOR))
    assert caught.value.code == code


def test_a_signed_manifest_that_contradicts_itself_is_refused() -> None:
    content = {**json.loads(study().canonical()), "rho": 1e-9}
    data = canonical.serialise(
        {
            "manifest": content,
            "signer": public_hex(OPERATOR),
            "signature": sign(OPERATOR, Purpose.MANIFEST, canonical.serialise(content)),
        }
    )
    with pytest.raises(RefusedError, match="contradicts itself"):
        receive(data, public_hex(OPERATOR))
