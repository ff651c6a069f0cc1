"""The two documents by which a node is enrolled: its request, and the bundle that comes back.

A node writes a request with its two public keys and signs it with both. Somebody at the node reads the
request's fingerprint to the coordinator's operator, who signs the next version of the roster and a bundle:
all that the node must know of the coordinator.

Guarantees: every byte counts. Both documents are canonical JSON; a request proves that its author holds both
keys, and a renewal also the key before them; a bundle is signed by an operator whom it names. Whose keys they
are is for people to say: nothing here trusts a key that was not compared.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Final, Literal, Self, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_public_key
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic import Field as Limit

from safeborders_fed.cases.countries import STATES
from safeborders_fed.errors import PeerError, RefusedError
from safeborders_fed.masking import signing
from safeborders_fed.masking.signing import Purpose
from safeborders_fed.study import canonical
from safeborders_fed.study.key_files import transport_public
from safeborders_fed.study.manifest import NodeName
from safeborders_fed.study.roster import Instant, PublicKey, Signature, SignedRoster, sign_renewal

REQUEST_DAYS: Final = 30
RENEWAL_VERSIONS: Final = 16
"""A renewal is signed for this many versions of the roster: others may come first."""
LARGEST: Final = 2**20
_CLOCK_TOLERANCE: Final = timedelta(minutes=5)
_STRICT = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)
_Document = TypeVar("_Document", bound=BaseModel)
TransportPublic = Annotated[str, Limit(pattern=r"^ecdsa-sha2-nistp384 [A-Za-z0-9+/]{100,300}={0,2}$")]


class Renews(BaseModel):
    """That a request comes from an enrolled node.

    Attributes:
        previous: The node's signing key so far.
        first_version: The roster version that the first of ``signatures`` is for.
        signatures: ``sign_renewal`` for successive versions; empty when the signing key stays.
    """

    model_config = _STRICT

    previous: PublicKey
    first_version: int = Limit(ge=1)
    signatures: tuple[Signature, ...] = Limit(max_length=64)

    def signature_for(self, version: int) -> str | None:
        """The old key's signature for the roster of this version, if there is one."""
        place = version - self.first_version
        return self.signatures[place] if 0 <= place < len(self.signatures) else None


class EnrolmentRequest(BaseModel):
    """A node's wish to take part with these keys.

    Attributes:
        country: The state.
        public: Its Ed25519 key, which signs for it.
        transport: Its key on P-384, which opens the way to the coordinator; a line as OpenSSH writes it.
        created: When, UTC.
        renews: Of a node that is enrolled already, its key so far.
        signature: By ``public`` over all fields above.
        transport_signature: By ``transport``, likewise (ECDSA with SHA-384, DER).
        previous_signature: By the key so far, likewise.
    """

    model_config = _STRICT

    schema_version: Literal[1]
    country: NodeName
    public: PublicKey
    transport: TransportPublic
    created: Instant
    renews: Renews | None
    signature: Signature
    transport_signature: Annotated[str, Limit(pattern=r"^[0-9a-f]{16,220}$")]
    previous_signature: Signature | None

    def to_bytes(self) -> bytes:
        """The canonical form."""
        return canonical.serialise(self.model_dump(mode="json"))

    def fingerprint(self) -> str:
        """SHA-256 of the whole document: what two people compare, out of band."""
        return canonical.sha256(self.to_bytes())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The request in these bytes, whose author holds all its keys.

        Raises:
            PeerError: ``bad-request`` or ``request-altered``.
            RefusedError: ``unknown-state``.
        """
        request = _parsed(cls, data, "bad-request", "enrolment request")
        if request.country not in STATES:
            raise RefusedError(
                "unknown-state",
                f"{request.country!r} is not a state of the federation",
                f"only {' '.join(STATES)} can be enrolled",
            )
        if (request.renews is None) != (request.previous_signature is None):
            raise _malformed("bad-request", "enrolment request", "its renewal is not complete")
        payload = request._payload()  # noqa: SLF001 - its own class
        try:
            signing.verify(request.public, Purpose.ENROLMENT_REQUEST, payload, request.signature)
            _verify_transport(request.transport, payload, request.transport_signature)
            previous = request.previous_signature
            if request.renews is not None and previous is not None:
                signing.verify(request.renews.previous, Purpose.ENROLMENT_REQUEST, payload, previous)
        except PeerError as error:
            raise PeerError(
                "request-altered",
                f"the enrolment request of {request.country} was altered, or its author lacks its keys",
                "have the node send its request again, and compare the fingerprint with a person there",
            ) from error
        return request

    def require_recent(self, now: datetime) -> None:
        """Refuses an old request.

        Raises:
            RefusedError: ``request-expired`` or ``request-from-the-future``.
        """
        if now - self.created > timedelta(days=REQUEST_DAYS):
            raise RefusedError(
                "request-expired",
                f"the enrolment request of {self.country} was made on {self.created:%Y-%m-%d}, more than "
                f"{REQUEST_DAYS} days ago",
                "have the node write a new one with `safeborders node request`",
            )
        if self.created - now > _CLOCK_TOLERANCE:
            raise RefusedError(
                "request-from-the-future",
                f"the enrolment request of {self.country} is dated {self.created:%Y-%m-%d %H:%M} UTC",
                "compare the clocks of both machines",
            )

    def _payload(self) -> bytes:
        signatures = {"signature", "transport_signature", "previous_signature"}
        return canonical.serialise(self.model_dump(mode="json", exclude=signatures))


def request(
    country: str,
    key: Ed25519PrivateKey,
    transport: ec.EllipticCurvePrivateKey,
    created: datetime,
    *,
    previous: Ed25519PrivateKey | None = None,
    accepted_version: int = 0,
) -> EnrolmentRequest:
    """A node's request.

    Args:
        country: The state.
        key: Its signing key.
        transport: Its transport key.
        created: Aware time.
        previous: The key so far, of a node that is enrolled; the same as ``key`` if that stays.
        accepted_version: The roster version that the node has accepted.
    """
    public = signing.public_hex(key)
    renews = None
    if previous is not None:
        first = accepted_version + 1
        versions = range(first, first + RENEWAL_VERSIONS) if signing.public_hex(previous) != public else ()
        signatures = tuple(sign_renewal(previous, country, public, version) for version in versions)
        renews = Renews(previous=signing.public_hex(previous), first_version=first, signatures=signatures)
    unsigned = EnrolmentRequest(
        schema_version=1,
        country=country,
        public=public,
        transport=transport_public(transport),
        created=created,
        renews=renews,
        signature="0" * 128,
        transport_signature="0" * 16,
        previous_signature=None,
    )
    payload = unsigned._payload()  # noqa: SLF001 - this module's own class
    purpose = Purpose.ENROLMENT_REQUEST
    return unsigned.model_copy(
        update={
            "signature": signing.sign(key, purpose, payload),
            "transport_signature": transport.sign(
                signing.message(purpose, payload), ec.ECDSA(hashes.SHA384())
            ).hex(),
            "previous_signature": None if previous is None else signing.sign(previous, purpose, payload),
        }
    )


class OperatorKey(BaseModel):
    """An operator of the coordinator."""

    model_config = _STRICT

    name: Annotated[str, Limit(min_length=1, max_length=200)]
    public: PublicKey


class EnrolmentBundle(BaseModel):
    """What a node must know of its coordinator.

    Attributes:
        node: The node that it is for.
        address: Where the coordinator is, ``host:port``.
        ca_certificate: PEM of the only authority whose certificates the node takes there.
        operators: Who signs for the coordinator.
        transport: The node's transport keys that the coordinator lets in.
        roster: The version at the time.
        issued: When, UTC.
        signer: Public key of the operator who signed.
        signature: Over all other fields.
    """

    model_config = _STRICT

    schema_version: Literal[1]
    node: NodeName
    address: Annotated[str, Limit(min_length=3, max_length=300)]
    ca_certificate: Annotated[str, Limit(min_length=1, max_length=16_384)]
    operators: tuple[OperatorKey, ...] = Limit(min_length=1, max_length=16)
    transport: tuple[TransportPublic, ...] = Limit(max_length=16)
    roster: SignedRoster
    issued: Instant
    signer: PublicKey
    signature: Signature

    def signed(self, key: Ed25519PrivateKey) -> Self:
        """The same, signed by this operator."""
        unsigned = self.model_copy(update={"signer": signing.public_hex(key)})
        signature = signing.sign(key, Purpose.ENROLMENT_BUNDLE, unsigned._payload())  # noqa: SLF001
        return unsigned.model_copy(update={"signature": signature})

    def to_bytes(self) -> bytes:
        """The canonical form."""
        return canonical.serialise(self.model_dump(mode="json"))

    def operator_keys(self) -> tuple[str, ...]:
        """Public keys of the operators."""
        return tuple(operator.public for operator in self.operators)

    def authority_until(self) -> datetime:
        """The end of the authority's certificate, UTC."""
        return x509.load_pem_x509_certificate(self.ca_certificate.encode("ascii")).not_valid_after_utc

    def coordinator(self) -> str:
        """Hash of what makes it this coordinator and no other: its authority and its operators."""
        facts = {"authority": self.ca_certificate, "operators": sorted(self.operator_keys())}
        return canonical.sha256(canonical.serialise(facts))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The bundle in these bytes, signed by an operator whom it names.

        Raises:
            PeerError: ``bad-bundle``, ``bundle-altered`` or ``wrong-roster-signer``.
            RefusedError: from ``Roster.check``.
        """
        bundle = _parsed(cls, data, "bad-bundle", "enrolment bundle")
        try:
            authority = x509.load_pem_x509_certificate(bundle.ca_certificate.encode("ascii"))
            limits = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
        except (ValueError, x509.ExtensionNotFound) as error:
            raise _malformed("bad-bundle", "enrolment bundle", "its certificate is none") from error
        if not limits.ca or bundle.signer not in bundle.operator_keys():
            raise _malformed("bad-bundle", "enrolment bundle", "its authority or its signer is none")
        try:
            payload = bundle._payload()  # noqa: SLF001 - its own class
            signing.verify(bundle.signer, Purpose.ENROLMENT_BUNDLE, payload, bundle.signature)
        except PeerError as error:
            raise PeerError(
                "bundle-altered",
                f"the enrolment bundle of {bundle.node} was altered after it was signed",
                "ask the coordinator's operator for the file again",
            ) from error
        bundle.roster.check(bundle.operator_keys())
        return bundle

    def _payload(self) -> bytes:
        return canonical.serialise(self.model_dump(mode="json", exclude={"signature"}))


def _verify_transport(public: str, payload: bytes, signature: str) -> None:
    wrong = PeerError("bad-signature", "the transport key did not sign", "look at the file")
    try:
        key = load_ssh_public_key(public.encode("ascii"))
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise wrong
        if key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii") != public:
            raise wrong
        data = signing.message(Purpose.ENROLMENT_REQUEST, payload)
        key.verify(bytes.fromhex(signature), data, ec.ECDSA(hashes.SHA384()))
    except (InvalidSignature, UnsupportedAlgorithm, ValueError) as error:
        raise wrong from error


def _parsed(kind: type[_Document], data: bytes, code: str, what: str) -> _Document:
    """A document in canonical bytes."""
    try:
        if len(data) > LARGEST:
            raise _malformed(code, what, "it is too large")
        canonical.parse(data)
        document = kind.model_validate_json(data)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise _malformed(code, what, problems) from error
    except PeerError as error:
        raise error if error.code == code else _malformed(code, what, error.cause) from error
    if canonical.serialise(document.model_dump(mode="json")) != data:
        raise _malformed(code, what, "other bytes would stand for the same document")
    return document


def _malformed(code: str, what: str, why: str) -> PeerError:
    return PeerError(code, f"this is not an {what}: {why}", "ask for the file again, and send it unchanged")
