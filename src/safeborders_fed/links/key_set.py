"""The public keys of all nodes for an epoch, checked once and then pinned.

Guarantees, whatever the coordinator passes on and whatever other nodes say:

- A key set that ``key_set`` returns has exactly one signed share of each node of the roster, for this epoch
  and this roster, and each share is the one that its node had committed to.
- Each node knows the secret of each of its keys (proof of possession), each key is a point in canonical form
  other than the identity, no two keys are equal, and no sum of keys is the identity.
- Who is at fault is named in the error.

**Why commitments and proofs.** The key of a type is the sum of all k_i. The node that speaks last could
choose its public key as X minus the sum of the others and so force the sum to X, for which it knows the
discrete logarithm: it would then know the whole key. A proof of possession makes that impossible, since for
such a key it would have to know the secret, and the commitment makes its key independent of the others' (also
of keys derived from theirs by a known factor or offset, and of many tries until the sum has a form that it
likes). A node can still refuse to reveal, by name and in the sight of all; new keys are then made by
everybody. As long as one node kept its share secret and chose it at random, the sum is uniform and unknown to
all others together.

Pair keys need no proof: who publishes a key without its secret cannot derive anything from it, both keys are
bound in what is derived, and equal keys are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Annotated, Final, Self, TypeVar

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from safeborders_fed.errors import DataError, PeerError, RefusedError
from safeborders_fed.links import ristretto
from safeborders_fed.links.key_shares import Epoch, Hex32, Share, commitment, is_possessed
from safeborders_fed.masking.keys import public_bytes
from safeborders_fed.study import canonical
from safeborders_fed.study.link_messages import Said

COMMITMENT: Final = "commitment"
SHARE: Final = "share"
FEWEST: Final = 2
"""Nodes of a key set at least."""
_Model = TypeVar("_Model", bound=BaseModel)
_STRICT: Final = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)


class Commitment(BaseModel):
    """What a node says before it reveals its share.

    Attributes:
        epoch: The epoch.
        roster: Hash of the roster that it accepted.
        commitment: SHA-256 of the whole text of its share.
    """

    model_config = _STRICT

    epoch: Epoch
    roster: Hex32
    commitment: Hex32


class _Stored(BaseModel):
    model_config = _STRICT

    shares: Annotated[list[Said], Field(min_length=FEWEST, max_length=64)]


@dataclass(frozen=True)
class KeySet:
    """The pinned keys of an epoch.

    Attributes:
        epoch: The epoch.
        roster: Hash of the roster whose nodes these are.
        hash: SHA-256 over nodes and texts of their shares: what nodes sign as ``keys`` of their ``key-set``.
        nodes: The nodes, in order.
        shares: What each node said, in order of node.
    """

    epoch: str
    roster: str
    hash: str
    nodes: tuple[str, ...]
    shares: tuple[Said, ...]
    _parsed: Mapping[str, Share] = field(repr=False, compare=False)

    @property
    def kinds(self) -> frozenset[str]:
        """Types of identifiers that have keys."""
        return frozenset(self._parsed[self.nodes[0]].keys)

    def public(self, node: str, kind: str) -> bytes:
        """A node's public key for a type.

        Raises:
            DataError: ``no-link-key``.
        """
        keys = self._share(node).keys
        if kind not in keys:
            raise _no_key(f"identifiers of type {kind!r}")
        return bytes.fromhex(keys[kind])

    def pair_key(self, node: str) -> str:
        """A node's X25519 key, 64 hexadecimal digits. Raises ``DataError``: ``no-link-key``."""
        return self._share(node).pair_key

    def prosecutors(self, node: str) -> Mapping[str, str]:
        """Who approves for a node: public keys by name. Raises ``DataError``: ``no-link-key``."""
        return self._share(node).prosecutors

    def share_hash(self, node: str) -> str:
        """SHA-256 of the text that a node revealed, for the node to compare with its own."""
        self._share(node)
        return self.shares[self.nodes.index(node)].hash

    def to_bytes(self) -> bytes:
        """The set with its signatures, for the node's files: also its evidence of who published what."""
        return canonical.serialise({"shares": [each.model_dump() for each in self.shares]})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The set that ``to_bytes`` wrote, from the node's own files: its proofs were checked before.

        Raises:
            DataError: ``bad-key-set``.
        """
        try:
            return cls._of(_Stored.model_validate_json(data).shares)
        except ValidationError as error:
            raise DataError(
                "bad-key-set",
                "a stored key set of links is not what this program wrote",
                "restore the file from the node's backup",
            ) from error

    @classmethod
    def _of(cls, shares: Iterable[Said]) -> Self:
        ordered = tuple(sorted(shares, key=lambda each: each.node))
        parsed = {each.node: Share.model_validate_json(each.text) for each in ordered}
        first = parsed[ordered[0].node]
        listed = [[each.node, each.hash] for each in ordered]
        return cls(
            epoch=first.epoch,
            roster=first.roster,
            hash=canonical.sha256(canonical.serialise(listed)),
            nodes=tuple(parsed),
            shares=ordered,
            _parsed=parsed,
        )

    def _share(self, node: str) -> Share:
        if node not in self._parsed:
            raise _no_key(f"node {node!r}")
        return self._parsed[node]


def key_set(
    commitments: Sequence[Said],
    shares: Sequence[Said],
    accepted: Mapping[str, str],
    epoch: str,
    roster_hash: str,
) -> KeySet:
    """The key set of these sayings, after all checks. The node's own share is for the caller to compare.

    Args:
        commitments: What nodes said first.
        shares: What they revealed.
        accepted: Public keys of the nodes of the roster, as this node accepted them.
        epoch: The epoch that this node expects.
        roster_hash: Hash of the roster that this node accepted.

    Raises:
        PeerError: ``wrong-key-share``, naming the node.
        RefusedError: ``too-few-nodes``.
    """
    if len(accepted) < FEWEST:
        raise RefusedError(
            "too-few-nodes",
            f"a roster of {len(accepted)} has no links: the key would be in one hand",
            "enrol a second state first",
        )
    promised = _contents(commitments, COMMITMENT, Commitment, accepted)
    revealed = _contents(shares, SHARE, Share, accepted)
    for said in shares:
        _check_share(said, revealed[said.node], promised[said.node], epoch, roster_hash)
    _check_together(revealed)
    return KeySet._of(shares)  # noqa: SLF001


def _contents(
    sayings: Sequence[Said], kind: str, model: type[_Model], accepted: Mapping[str, str]
) -> dict[str, _Model]:
    contents: dict[str, _Model] = {}
    for said in sayings:
        if said.node not in accepted:
            raise _wrong(said.node, f"says a {kind} and is no node of the roster")
        if said.node in contents:
            raise _wrong(said.node, f"is passed on with two sayings of kind {kind}")
        try:
            contents[said.node] = model.model_validate(said.content(accepted[said.node], kind))
        except (PeerError, ValidationError) as error:
            raise _wrong(
                said.node, f"says a {kind} that is not signed or not one of this protocol"
            ) from error
    for node in sorted(set(accepted) - set(contents)):
        raise _wrong(node, f"has no {kind} among what is passed on")
    return contents


def _check_share(said: Said, share: Share, promised: Commitment, epoch: str, roster_hash: str) -> None:
    node = said.node
    if {share.epoch, promised.epoch} != {epoch}:
        raise _wrong(node, f"gives keys for another epoch than {epoch}")
    if {share.roster, promised.roster} != {roster_hash}:
        raise _wrong(node, "gives keys for another roster")
    if commitment(said.text) != promised.commitment:
        raise _wrong(node, "reveals another share than it had committed to")
    if set(share.keys) != set(share.proofs):
        raise _wrong(node, "does not prove exactly the keys that it gives")
    for kind, public in share.keys.items():
        _check_key(node, kind, bytes.fromhex(public), bytes.fromhex(share.proofs[kind]), share)
    _check_pair_key(node, share.pair_key)


def _check_key(node: str, kind: str, public: bytes, proof: bytes, share: Share) -> None:
    if not ristretto.is_valid(public):
        raise _wrong(node, f"gives a key for {kind} that is no point of the group, or the identity")
    if not is_possessed(public, proof, node=node, epoch=share.epoch, kind=kind, roster_hash=share.roster):
        raise _wrong(node, f"does not prove that it holds its key for {kind}")


def _check_pair_key(node: str, pair_key: str) -> None:
    try:
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(public_bytes(pair_key)))
    except (PeerError, ValueError) as error:
        raise _wrong(node, "gives a key for pairs that would hide nothing") from error


def _check_together(revealed: Mapping[str, Share]) -> None:
    kinds = frozenset().union(*(share.keys for share in revealed.values()))
    owner: dict[str, str] = {}
    for node, share in sorted(revealed.items()):
        if missing := sorted(kinds - set(share.keys)):
            raise _wrong(node, f"gives no key for {', '.join(missing)}, which other nodes give")
        for public in (*share.keys.values(), share.pair_key):
            if public in owner:
                raise _wrong(node, f"gives a key that {owner[public]} gives too")
            owner[public] = node
    for kind in sorted(kinds):
        keys = [bytes.fromhex(share.keys[kind]) for share in revealed.values()]
        if reduce(ristretto.add, keys) == ristretto.IDENTITY:
            raise _wrong(" and ".join(sorted(revealed)), f"give keys for {kind} that cancel each other")


def _wrong(node: str, what: str) -> PeerError:
    return PeerError(
        "wrong-key-share",
        f"{node} {what}",
        "make no tokens with these keys; ask that node's team, over another line, what happened",
    )


def _no_key(what: str) -> DataError:
    return DataError(
        "no-link-key",
        f"the key set of this epoch has nothing for {what}",
        "leave this out until the next epoch",
    )
