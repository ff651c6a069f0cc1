"""What is said of a study before its first round and after its last.

1. ``Offer`` → ``Offered``: a node is shown a published study and says where it stands: whether its people
   have approved it, refused it, or not decided yet. Offering again is asking again.
2. ``Finished`` → ``Kept``: a node is told how the study ended, and given the record of it in parts, so that
   it can replay the release.

Both carry all signed changes of the study's state so far. An offer carries the reviews that other nodes
share, an answer this node's own, if its settings share it.

Guarantees: strict models, canonical bytes. What a node says in here depends on documents that people signed,
its policy, its opening hours and its budget, and on case data only through a noised count that was charged
and is remembered (``node.population``); every word is from a fixed list and of a length that no case decides.
The parts are received as they are: what they are worth is for ``study.transcript`` to find out.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Final, Literal

from pydantic import Field as Limit

from safeborders_fed.study.decisions import HUMAN_REASONS, Status, Why
from safeborders_fed.study.handshake import Hash, Name
from safeborders_fed.study.header_message import HeaderMessage, from_header
from safeborders_fed.study.reviews import SharedReview
from safeborders_fed.study.state_changes import History

__all__ = ["HUMAN_REASONS", "Status", "Why"]

LARGEST_PART: Final = 2**22
"""Bytes of one part; as text in a header a third more, which still fits a message."""
MOST_PARTS: Final = 2**20
_Identifier = Annotated[str, Limit(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
_Text = Annotated[str, Limit(min_length=1, max_length=2**18)]
_Coded = Annotated[str, Limit(max_length=(LARGEST_PART + 2) // 3 * 4)]
_HashOrNone = Annotated[str, Limit(pattern=r"^([0-9a-f]{64})?$")]


Ending = Literal["finished", "failed", "withdrawn"]
Content = Literal["transcript", "release", "nothing"]


class Offer(HeaderMessage):
    """The coordinator shows a node a published study.

    Attributes:
        published: ``study.publication.publish``, as text.
        history: What became of it so far.
        reviews: What other nodes let everybody know of their decision.
        call: Random for each time it is asked: a node's link answers the same bytes twice with the same, and
            where the node stands may have changed between.
    """

    type: Literal["offer"] = "offer"
    study: _Identifier
    published: _Text
    history: History
    reviews: tuple[SharedReview, ...] = Limit(default=(), max_length=64)
    call: Annotated[str, Limit(pattern=r"^([0-9a-f]{32})?$")] = ""


class Offered(HeaderMessage):
    """Where a node stands.

    Attributes:
        manifest_hash: Of the manifest that this node keeps under the study's id; empty if it keeps none.
        reason: Why, for ``refused`` and ``rejected``; for ``pending`` and ``approved`` what would keep the
            node from taking the study on as things stand now, if anything.
        review: Its decision for the other nodes to read, if it shares it.
    """

    type: Literal["offered"] = "offered"
    study: _Identifier
    node: Name
    manifest_hash: _HashOrNone
    status: Status
    reason: Why = Why.NONE
    review: SharedReview | None = None


class Finished(HeaderMessage):
    """The coordinator tells a node how a study ended, and gives it one part of the record.

    Attributes:
        history: What became of it: the last change is its end.
        release_hash: SHA-256 of the release's document; empty if nothing was released.
        part: Counts from 0.
        parts: How many there are, one at least.
        content: What the part belongs to.
        data: The part's bytes in base64.
    """

    type: Literal["finished"] = "finished"
    study: _Identifier
    manifest_hash: Hash
    outcome: Ending
    history: History
    release_hash: _HashOrNone
    part: int = Limit(ge=0, lt=MOST_PARTS)
    parts: int = Limit(ge=1, le=MOST_PARTS)
    content: Content
    data: _Coded = ""

    def decoded(self) -> bytes:
        """The part's bytes.

        Raises:
            ValueError: the text is not base64, or the part is not one of its parts.
        """
        if self.part >= self.parts:
            raise ValueError("part")
        try:
            return base64.b64decode(self.data, validate=True)
        except binascii.Error as error:
            raise ValueError("data") from error


class Kept(HeaderMessage):
    """A node has a part on its disk."""

    type: Literal["kept"] = "kept"
    study: _Identifier
    node: Name
    part: int = Limit(ge=0, lt=MOST_PARTS)


Offering = Offer | Offered | Finished | Kept
_KINDS: Final[dict[str, type[HeaderMessage]]] = {
    kind.model_fields["type"].default: kind for kind in (Offer, Offered, Finished, Kept)
}


def is_offering(kind: object) -> bool:
    """Whether a header's type is one of these messages."""
    return isinstance(kind, str) and kind in _KINDS


def parse_offering(header: dict[str, Any]) -> Offering:
    """The message of a header.

    Raises:
        ValueError: the fields are not those of the type.
    """
    message: Any = from_header(_KINDS, header)
    if isinstance(message, Finished):
        message.decoded()
    found: Offering = message
    return found


def coded(data: bytes) -> str:
    """The bytes of a part as ``Finished`` carries them."""
    return base64.b64encode(data).decode("ascii")
