"""Statements about a model file: that it is released, or that it is withdrawn, under operators' signatures.

A statement is a small file of canonical JSON beside the model file, which it names by SHA-256. It carries one
or several signatures, so that a release can need two people. Statements about published tables
(``table_statement``) are made and checked in the same way, and signed for a purpose of their own.

Guarantees: every byte counts. A signature covers the whole statement and the name of the person who signs;
``parse`` accepts only bytes that ``SignedStatement.to_bytes`` would write, and ``check`` refuses a file in
which any signature is wrong, also one that is not needed. A key counts once.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Annotated, ClassVar, Final, Literal, Self, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic import Field as Limit

from safeborders_fed.errors import PeerError, RefusedError
from safeborders_fed.masking import signing
from safeborders_fed.masking.signing import Purpose
from safeborders_fed.study import canonical
from safeborders_fed.study.manifest import Identifier
from safeborders_fed.study.model_file import ModelId
from safeborders_fed.study.roster import Digest, PublicKey, Signature

Action = Literal["release", "withdrawal"]
LARGEST_STATEMENT: Final = 64 * 1024
"""Bytes of a statement at most."""
LONGEST_REASON: Final = 2000
_STRICT = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)
_Signed = TypeVar("_Signed", bound="SignedStatement")


class Statement(BaseModel):
    """What is said of a model file.

    Attributes:
        action: ``release`` or ``withdrawal``.
        name: Name of the model.
        version: Version of the model.
        sha256: SHA-256 of the model file.
        day: When the first person signed, UTC.
        reason: Why it is released or withdrawn, for the people at the nodes.
    """

    model_config = _STRICT
    purpose: ClassVar[Purpose] = Purpose.MODEL
    about: ClassVar[str] = "model"

    schema_version: Literal[1] = 1
    action: Action
    name: Identifier
    version: int = Limit(ge=1, le=999_999)
    sha256: Digest
    day: date
    reason: Annotated[str, Limit(min_length=1, max_length=LONGEST_REASON)]

    @property
    def id(self) -> ModelId:
        """The model that it is about."""
        return ModelId(self.name, self.version)

    @property
    def says(self) -> str:
        """What is said of what, for messages."""
        return f"the {self.action} of {self.about} {self.id}"


class StatementSignature(BaseModel):
    """One person's signature under a statement.

    Attributes:
        by: Name of the person.
        signer: Their public key.
        signature: Over the statement and ``by``.
    """

    model_config = _STRICT

    by: Annotated[str, Limit(min_length=1, max_length=200)]
    signer: PublicKey
    signature: Signature


class SignedStatement(BaseModel):
    """A statement with its signatures, in the order in which they were made."""

    model_config = _STRICT

    statement: Statement
    signatures: tuple[StatementSignature, ...] = Limit(min_length=1, max_length=16)

    @model_validator(mode="after")
    def _each_key_once(self) -> Self:
        keys = [entry.signer for entry in self.signatures]
        if len(set(keys)) != len(keys):
            raise ValueError("a key has signed twice")
        return self

    def to_bytes(self) -> bytes:
        """The canonical form."""
        return canonical.serialise(self.model_dump(mode="json"))

    def check(self, operators: Collection[str], needed: int) -> None:
        """Checks every signature, and that enough of them are by operators whom the reader trusts.

        Args:
            operators: Public keys that the reader has pinned.
            needed: How many different ones of them must have signed.

        Raises:
            PeerError: ``bad-signature`` or ``wrong-operator``.
        """
        for entry in self.signatures:
            payload = _payload(self.statement, entry.by)
            signing.verify(entry.signer, self.statement.purpose, payload, entry.signature)
        found = len(set(operators) & {entry.signer for entry in self.signatures})
        if found < needed:
            signers = ", ".join(f"{entry.by} ({entry.signer[:12]}...)" for entry in self.signatures)
            raise PeerError(
                "wrong-operator",
                f"{self.statement.says} is signed by {signers}, and "
                f"{found} of these keys are pinned here where {needed} must be",
                "ask the coordinator's operators, by a way of your own, which keys are theirs",
            )


def sign(
    statement: Statement, key: Ed25519PrivateKey, by: str, before: SignedStatement | None = None
) -> SignedStatement:
    """The statement with one more signature.

    Args:
        statement: What is said.
        key: The signing person's key.
        by: Their name.
        before: The same statement as others have signed it, if they have.

    Raises:
        RefusedError: ``another-statement``, when the others have signed something else, or
            ``signed-already``.
    """
    others = before.signatures if before is not None else ()
    if before is not None and before.statement != statement:
        raise RefusedError(
            "another-statement",
            f"{statement.says} that others have signed says something else",
            "sign what they signed, or begin again without their signatures",
        )
    public = signing.public_hex(key)
    if any(entry.signer == public for entry in others):
        raise RefusedError(
            "signed-already",
            f"this key has signed {statement.says} already",
            "let another person sign",
        )
    signature = signing.sign(key, statement.purpose, _payload(statement, by))
    own = StatementSignature(by=by, signer=public, signature=signature)
    return SignedStatement(statement=statement, signatures=(*others, own))


def parse(data: bytes) -> SignedStatement:
    """The statement in the bytes of a file; its signatures are still to ``check``.

    Raises:
        PeerError: ``bad-statement``.
    """
    return parse_as(data, SignedStatement)


def parse_as(data: bytes, kind: type[_Signed]) -> _Signed:
    """A statement of that kind. Raises as ``parse``."""
    about = kind.model_fields["statement"].annotation
    what = about.about if isinstance(about, type) and issubclass(about, Statement) else Statement.about
    try:
        return _parsed(data, kind)
    except PeerError as error:
        raise PeerError(
            "bad-statement",
            f"this is not a statement about a {what}: {error.cause}",
            "ask the coordinator's operator for the file again",
        ) from error


def _parsed(data: bytes, kind: type[_Signed]) -> _Signed:
    try:
        if len(data) > LARGEST_STATEMENT:
            raise _malformed("it is too large")
        canonical.parse(data)
        signed = kind.model_validate_json(data)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise _malformed(problems) from error
    if signed.to_bytes() != data:
        raise _malformed("other bytes would stand for the same statement")
    return signed


def _payload(statement: Statement, by: str) -> bytes:
    return canonical.serialise({"statement": statement.model_dump(mode="json"), "by": by})


def _malformed(why: str) -> PeerError:
    return PeerError("bad-statement", why, "ask the coordinator's operator for the file again")
