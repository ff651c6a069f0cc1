"""What nodes and coordinator exchange before the first round of a study.

Three steps, each asked of all participants by the coordinator, who only carries what nodes have signed:

1. ``Join`` → ``Joined``: a node offers its study key (masked mode) and states its ledger's head with a fresh
   nonce, and an anchor of its audit log.
2. ``Witness`` → ``Testimony``: each node is shown all ``Joined``, says which heads of each other node it knew
   before, signed together with that node's nonce, and remembers the new ones for good.
3. ``Begin`` → ``Begun``: each node is shown all testimonies. It goes on only if enough peers testify with its
   own fresh nonce that any two such groups share an honest one, and every head they knew is in its chain. So
   a ledger put back from an old copy is noticed even if the coordinator hides or repeats messages. Heads are
   signed by their own node, so a lying witness can keep silent but not invent.

Guarantees: strict models, canonical bytes; nothing in here depends on case data.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, ConfigDict
from pydantic import Field as Limit

from safeborders_fed.masking.signing import Purpose, sign, verify
from safeborders_fed.study import canonical, wire
from safeborders_fed.study.header_message import HeaderMessage, from_header

Name = Annotated[str, Limit(min_length=1, max_length=64)]
Hash = Annotated[str, Limit(pattern=r"^[0-9a-f]{64}$")]
Nonce = Annotated[str, Limit(pattern=r"^[0-9a-f]{32}$")]
Signature = Annotated[str, Limit(pattern=r"^([0-9a-f]{128})?$")]


class Head(BaseModel):
    """A ledger's head: how many entries it has, and the chain's hash over them.

    Attributes:
        study: The study in whose contribution the node stated it; empty when it was stated to be witnessed
            before a study. Only who has shown that its ledger is whole contributes, so a head with a study
            can take the place of an earlier one (``node.witnesses``), and one without cannot.
        signature: By the ledger's node, so that nobody can testify to a head that never was.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    entries: int = Limit(ge=0, lt=2**53)
    value: Hash
    study: Annotated[str, Limit(max_length=64)] = ""
    signature: Signature = ""

    def signed(self, key: Ed25519PrivateKey, node: str) -> Head:
        """The same, signed by its node."""
        return self.model_copy(update={"signature": sign(key, Purpose.LEDGER_HEAD, self._unsigned(node))})

    def check(self, public: str, node: str) -> None:
        """Raises PeerError ``bad-signature`` if the node's key did not sign it."""
        verify(public, Purpose.LEDGER_HEAD, self._unsigned(node), self.signature)

    def _unsigned(self, node: str) -> bytes:
        return canonical.serialise(
            {"node": node, "entries": self.entries, "value": self.value, "study": self.study}
        )


class Join(HeaderMessage):
    """The coordinator asks a node to join a study.

    Attributes:
        call: Random for each time it is asked: a message that arrives twice is answered twice with the same,
            where a further call gets a fresh nonce. Empty: always a further call.
    """

    type: Literal["join"] = "join"
    study: Name
    manifest_hash: Hash
    call: Annotated[str, Limit(pattern=r"^([0-9a-f]{32})?$")] = ""


class Joined(HeaderMessage):
    """A node joins.

    Attributes:
        key: Its offer of a study key, as ``masking.keys.SignedKey`` writes it; None in trust mode local.
        head: Its ledger's head.
        nonce: Fresh: testimonies must repeat it.
        anchor: SHA-256 of the line of its audit log that says so, salted: it stands for the log up to there
            and says nothing of it. Coordinator and peers keep it (``study.anchors``).
        signature: By the node, over all other fields.
    """

    type: Literal["joined"] = "joined"
    study: Name
    node: Name
    key: dict[str, str] | None
    head: Head
    nonce: Nonce
    anchor: Hash
    signature: Signature = ""

    def signed(self, key: Ed25519PrivateKey) -> Joined:
        """The same, signed."""
        return self.model_copy(update={"signature": sign(key, Purpose.JOINED, _unsigned(self))})

    def check(self, public: str) -> None:
        """Raises PeerError if the node's key did not sign it, or its head, or the head is of a study."""
        verify(public, Purpose.JOINED, _unsigned(self), self.signature)
        if self.head.study:
            raise wire.malformed("a node joined with the head of a contribution")
        self.head.check(public, self.node)


class Witness(HeaderMessage):
    """The coordinator shows a node all who joined."""

    type: Literal["witness"] = "witness"
    study: Name
    joined: tuple[Joined, ...]


class Known(BaseModel):
    """What a witness knew of another node: its nonce of now, and all its heads of before."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    node: Name
    nonce: Nonce
    heads: tuple[Head, ...]


class Testimony(HeaderMessage):
    """A node says which heads of the others it knew before this study.

    Attributes:
        node: The witness.
        known: One for each other node that joined, sorted.
        signature: By the witness, over all other fields.
    """

    type: Literal["testimony"] = "testimony"
    study: Name
    node: Name
    known: tuple[Known, ...]
    signature: Signature = ""

    def signed(self, key: Ed25519PrivateKey) -> Testimony:
        """The same, signed."""
        return self.model_copy(update={"signature": sign(key, Purpose.TESTIMONY, _unsigned(self))})

    def check(self, public: str) -> None:
        """Raises PeerError ``bad-signature`` if the witness's key did not sign it."""
        verify(public, Purpose.TESTIMONY, _unsigned(self), self.signature)


class Begin(HeaderMessage):
    """The coordinator shows a node all testimonies."""

    type: Literal["begin"] = "begin"
    study: Name
    testimonies: tuple[Testimony, ...]


class Begun(HeaderMessage):
    """A node is satisfied and will answer rounds."""

    type: Literal["begun"] = "begun"
    study: Name
    node: Name


Handshake = Join | Joined | Witness | Testimony | Begin | Begun
_KINDS: Final[dict[str, type[HeaderMessage]]] = {
    kind.model_fields["type"].default: kind for kind in (Join, Joined, Witness, Testimony, Begin, Begun)
}


def is_handshake(kind: object) -> bool:
    """Whether a header's type is one of a handshake message."""
    return isinstance(kind, str) and kind in _KINDS


def parse_handshake(header: dict[str, Any]) -> Handshake:
    """The handshake message of a header.

    Raises:
        ValueError: the fields are not those of the type.
    """
    message: Any = from_header(_KINDS, header)
    found: Handshake = message
    return found


def _unsigned(message: Joined | Testimony) -> bytes:
    return canonical.serialise(message.model_dump(mode="json", exclude={"signature"}))
