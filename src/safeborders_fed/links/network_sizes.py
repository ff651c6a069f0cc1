"""How large a network is across states, in coarse words, without anybody knowing who is in it.

A **piece** is what one state sees of a network: its own cases that hang together, with the hits that both
states have **confirmed** (people of both sides looked and found them true). Over each confirmed hit the two
states write to each other, in the sealed letters of an exchange (step ``post``), two words about the piece
that the hit reaches into: the smallest label that is known there, and the largest size class.

A label is 128 bits that nobody can predict or trace: HMAC-SHA256 under a secret that the node has for the
epoch alone, of the piece's smallest case pseudonym. Whoever hears a smaller one, takes it on. Taking the
smaller of labels and the larger of classes is commutative, associative and idempotent, so order, repetition
and cycles do not matter, and after as many exchanges as the longest shortest path between two pieces has hits
(the diameter) all pieces of a network say the same, as long as no hit is added meanwhile.

What the size class is: a **lower bound**. Each state counts what it sees itself: own cases of the piece and
cases of others that stand in records it was given. The class of the largest such view travels, and no count
does: sums over pieces would need to know which are the same. Where one identifier is shared by all states of
a network, each sees all of it and the class is exact; a long chain of states is larger than its class says.

What a state learns, from letters that are sealed to a pair and so hidden from the coordinator:

- for each piece, a label that means nothing by itself, and one of four size classes;
- which of its own pieces are parts of one network (their labels become equal), and over how many hits a
  smaller label came at least (it hears it that many exchanges later);
- nothing of who, how many exactly, or which third states are in it. Two states that compare labels outside of
  this protocol learn whether pieces of theirs belong together.

Labels are of one epoch: the hits of another epoch carry none, and are not counted in these sizes.

Limits: a state may lie about both words; then labels or classes are wrong, and nobody's case is disclosed. A
label that came over a hit which is refuted later lingers between those who took it on, until the epoch ends
and all labels with it.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from safeborders_fed.errors import PeerError
from safeborders_fed.links.network import Network
from safeborders_fed.study import canonical

Size = Literal["2-3", "4-10", "11-30", "more"]
SIZES: Final[tuple[tuple[Size, int], ...]] = (("2-3", 3), ("4-10", 10), ("11-30", 30))
"""Classes and the most cases of each; beyond the last it is ``more``."""
_ORDER: Final[tuple[Size, ...]] = (*(size for size, _ in SIZES), "more")
_CONTEXT: Final = "safeborders network label v1"
_LABEL: Final = 16
_HEX: Final = r"^[0-9a-f]{32}$"


class Word(BaseModel):
    """What one state says over one confirmed hit.

    Attributes:
        label: The smallest label that the writer knows for its piece.
        size: The largest size class that it knows.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)

    label: Annotated[str, Field(pattern=_HEX)]
    size: Size


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of the network that a piece belongs to."""

    label: str
    size: Size


def size_of(cases: int) -> Size:
    """The class of a number of cases."""
    return next((size for size, most in SIZES if cases <= most), "more")


def standing(piece: Network, heard: Mapping[str, Word], *, key: bytes, epoch: str) -> Standing:
    """What is known of a piece's network: its own view, and what was heard over its hits.

    Args:
        piece: A network of this node, made from confirmed hits only.
        heard: What was said over each hit, by the name of the hit.
        key: The node's secret for the epoch.
        epoch: The epoch.
    """
    cases = [one.name for one in piece.of("case")]
    message = canonical.serialise([_CONTEXT, epoch, min(cases)])
    own = hmac.digest(key, message, "sha256")[:_LABEL].hex()
    told = [heard[hit] for hit in sorted(piece.hits) if hit in heard]
    view = size_of(len(cases) + len(piece.of("foreign")))
    return Standing(
        label=min([own, *(word.label for word in told)]),
        size=max([view, *(word.size for word in told)], key=_ORDER.index),
    )


def joined(one: Word, other: Word) -> Word:
    """What two words over one hit say together."""
    size = max(one.size, other.size, key=_ORDER.index)
    return Word(label=min(one.label, other.label), size=size)


def words(pieces: Sequence[Network], heard: Mapping[str, Word], *, key: bytes, epoch: str) -> dict[str, Word]:
    """What to say over each confirmed hit, by the name of the hit.

    Args:
        pieces: The networks of this node, made from confirmed hits only.
        heard: What was said over each hit, by the name of the hit.
        key: The node's secret for the epoch.
        epoch: The epoch.
    """
    said: dict[str, Word] = {}
    for piece in pieces:
        if piece.hits:
            known = standing(piece, heard, key=key, epoch=epoch)
            said |= dict.fromkeys(sorted(piece.hits), Word(label=known.label, size=known.size))
    return said


def read(sender: str, content: Any) -> Word:
    """The word that a partner's letter holds.

    Raises:
        PeerError: ``bad-label``.
    """
    try:
        return Word.model_validate(content)
    except ValidationError:
        raise PeerError(
            "bad-label",
            f"what {sender} writes of networks across states cannot be read",
            "check that both states run the same version; if they do, ask that node's team what happened",
        ) from None
