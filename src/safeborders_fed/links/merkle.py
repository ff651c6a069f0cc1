"""What a prosecutor approves, without showing it: one hash over all (identifier, case) of a batch.

Guarantees, if SHA-256 is collision-resistant and a pseudorandom function keyed by the salt:

- A root stands for one sequence of leaves: nobody can open it to an identifier, case or number of leaves
  other than those that were approved. Leaves, inner nodes and the root are hashed with different first bytes
  and the root covers the count, so no inner node passes for a leaf and no subtree for the whole (as in RFC
  9162 section 2.1.1, whose shape of tree this is).
- A root, and the siblings in an opening, tell nothing of leaves that are not opened: each has 32 random bytes
  of salt. Without salts, whoever sees a root could try all telephone numbers.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field

from safeborders_fed.errors import DefectError
from safeborders_fed.masking import layout

SALT_BYTES: Final = 32
_LEAF: Final = b"\x00"
_INNER: Final = b"\x01"
_ROOT: Final = b"\x02"
_STRICT: Final = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)
_Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Leaf(BaseModel):
    """One identifier in one case.

    Attributes:
        salt: 32 random bytes in hexadecimal digits.
        identifier: The identifier, with its type.
        case: The case in which it stands.
    """

    model_config = _STRICT

    salt: _Hash
    identifier: str
    case: str

    @classmethod
    def salted(cls, identifier: str, case: str) -> Self:
        """A leaf with a fresh salt."""
        return cls(salt=secrets.token_hex(SALT_BYTES), identifier=identifier, case=case)

    def hash(self) -> bytes:
        """Its hash in the tree."""
        fields = (bytes.fromhex(self.salt), self.identifier.encode("utf-8"), self.case.encode("utf-8"))
        return hashlib.sha256(_LEAF + layout.prefixed(*fields)).digest()


class Opening(BaseModel):
    """Shows that a leaf stands in a batch, and where.

    Attributes:
        leaf: The leaf.
        index: Its number, from 0.
        count: How many leaves the batch has.
        path: Hashes beside the way from the leaf to the top.
    """

    model_config = _STRICT

    leaf: Leaf
    index: Annotated[int, Field(ge=0)]
    count: Annotated[int, Field(ge=1, le=2**32)]
    path: Annotated[list[_Hash], Field(max_length=32)]

    def check(self, root: str) -> bool:
        """Whether a batch with this root has this leaf at this place."""
        if self.index >= self.count or len(self.path) != len(_sides(self.index, self.count)):
            return False
        found = self.leaf.hash()
        for beside, on_left in zip(self.path, _sides(self.index, self.count), strict=True):
            other = bytes.fromhex(beside)
            found = _inner(other, found) if on_left else _inner(found, other)
        return hmac.compare_digest(_top(found, self.count), root)


def root(leaves: Sequence[Leaf]) -> str:
    """The root over leaves in this order, 64 hexadecimal digits.

    Raises:
        DefectError: ``empty-batch``.
    """
    return _top(_subtree(_hashes(leaves)), len(leaves))


def opening(leaves: Sequence[Leaf], index: int) -> Opening:
    """The opening of one leaf.

    Raises:
        DefectError: ``empty-batch``, also for a number that no leaf has.
    """
    if not 0 <= index < len(leaves):
        raise _empty()
    path, hashes, at = [], _hashes(leaves), index
    while len(hashes) > 1:
        half = _half(len(hashes))
        if at < half:
            path.append(_subtree(hashes[half:]).hex())
            hashes = hashes[:half]
        else:
            path.append(_subtree(hashes[:half]).hex())
            hashes, at = hashes[half:], at - half
    return Opening(leaf=leaves[index], index=index, count=len(leaves), path=path[::-1])


def _hashes(leaves: Sequence[Leaf]) -> list[bytes]:
    if not leaves:
        raise _empty()
    return [leaf.hash() for leaf in leaves]


def _subtree(hashes: list[bytes]) -> bytes:
    """The hash over leaves: level by level, where the last of an odd number goes up as it is."""
    while len(hashes) > 1:
        level = [_inner(*hashes[at : at + 2]) for at in range(0, len(hashes) - 1, 2)]
        hashes = level + hashes[len(hashes) - len(hashes) % 2 :]
    return hashes[0]


def _half(count: int) -> int:
    """Leaves in the left part: the largest power of two below their number."""
    return 1 << ((count - 1).bit_length() - 1)


def _sides(index: int, count: int) -> list[bool]:
    """For each hash of the path, from the leaf up: whether it stands on the left."""
    sides = []
    while count > 1:
        half = _half(count)
        sides.append(index >= half)
        index, count = (index - half, count - half) if index >= half else (index, half)
    return sides[::-1]


def _inner(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_INNER + left + right).digest()


def _top(tree: bytes, count: int) -> str:
    return hashlib.sha256(_ROOT + count.to_bytes(8, "little") + tree).hexdigest()


def _empty() -> DefectError:
    return DefectError(
        "empty-batch",
        "a batch of links without such a leaf was to be hashed or opened",
        "report this to the developers",
    )
