"""What a prosecutor signs before identifiers are asked for, and the chunks in which they are.

Guarantees: strict models; a statement's hash covers every field. Its counts are those that are charged,
padding included, so that they say only the size bucket of a batch. The root binds every (identifier, case)
without showing one (``links.merkle``).
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from safeborders_fed.cases.contract import IDENTIFIER_TYPES
from safeborders_fed.errors import PeerError
from safeborders_fed.links.key_shares import Epoch, Hex32
from safeborders_fed.node.approvals import Approval
from safeborders_fed.node.link_policy import PURPOSES
from safeborders_fed.study import canonical
from safeborders_fed.study.roster import Instant

CHUNK: Final = 2048
"""Points in one chunk at most: a few seconds of work for a node."""
_MOST_POINTS: Final = 10**7
_STRICT: Final = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)
_Count = Annotated[int, Field(ge=1, le=_MOST_POINTS)]


class BatchStatement(BaseModel):
    """What a batch is for and what it holds.

    Attributes:
        node: The state whose identifiers they are.
        epoch: For whose tokens.
        forms: Version of the rules for normal forms (``forms_base.VERSION``).
        purpose: One of ``link_policy.PURPOSES``.
        legal_basis: The law or order that permits it, for people.
        counts: Points by type, padding included.
        root: Salted Merkle root over (identifier, case).
        prepared: When it was put together, UTC.
        expires: The first moment at which nobody answers for it any more, UTC.
    """

    model_config = _STRICT

    schema_version: Literal[1] = 1
    node: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    epoch: Epoch
    forms: Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]
    purpose: str
    legal_basis: Annotated[str, Field(min_length=1, max_length=500)]
    counts: Annotated[dict[str, _Count], Field(min_length=1)]
    root: Hex32
    prepared: Instant
    expires: Instant

    @model_validator(mode="after")
    def _known_words(self) -> Self:
        if self.purpose not in PURPOSES or not set(self.counts) <= set(IDENTIFIER_TYPES):
            raise ValueError("a purpose or a type that is none")
        if not self.legal_basis.isprintable() or self.expires <= self.prepared:
            raise ValueError("a legal basis or times that cannot be")
        return self

    @property
    def total(self) -> int:
        """Points of all types."""
        return sum(self.counts.values())

    def to_bytes(self) -> bytes:
        """The canonical form."""
        return canonical.serialise(self.model_dump(mode="json"))

    def hash(self) -> str:
        """What is signed: SHA-256 of the canonical form."""
        return canonical.sha256(self.to_bytes())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """What ``to_bytes`` wrote. Raises pydantic.ValidationError."""
        return cls.model_validate_json(data)


class Chunk(BaseModel):
    """A part of a batch, of one type: what a node says of the points that it sends.

    Attributes:
        epoch: That of the batch.
        key_set: Hash of the key set that its node has pinned.
        batch: The statement.
        approvals: What its prosecutors signed.
        number: Of the chunk in the batch, from 0.
        type: Type of identifiers.
        count: How many points.
        points: SHA-256 of their array.
    """

    model_config = _STRICT

    epoch: Epoch
    key_set: Hex32
    batch: BatchStatement
    approvals: Annotated[tuple[Approval, ...], Field(max_length=16)]
    number: Annotated[int, Field(ge=0, lt=10**6)]
    type: str
    count: Annotated[int, Field(ge=1, le=CHUNK)]
    points: Hex32

    @classmethod
    def of(cls, text: str) -> Self:
        """The chunk of a text whose signature was checked.

        Raises:
            PeerError: ``link-malformed``.
        """
        try:
            chunk = cls.model_validate_json(text)
        except ValidationError as error:
            raise malformed("it is not the form of a chunk") from error
        if chunk.type not in chunk.batch.counts or chunk.epoch != chunk.batch.epoch:
            raise malformed("type or epoch is not that of its batch")
        return chunk


def malformed(what: str) -> PeerError:
    """The error for a chunk or points that are not what they must be."""
    return PeerError(
        "link-malformed",
        f"a chunk of another state is refused: {what}",
        "ask that state's team which software it runs, and who can write to its messages",
    )
