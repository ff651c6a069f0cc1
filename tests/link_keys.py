"""Nodes, their secrets and their pinned keys of an epoch of links, for tests."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from safeborders_fed.links.key_set import KeySet, key_set
from safeborders_fed.links.key_shares import NodeSecrets, commitment, share_content
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.study.link_messages import Said, say

NODES = ("BE", "BG", "GR")
KINDS = ("phone", "email")
EPOCH = "2026"
ROSTER = "0a" * 32


class Keyed:
    """Nodes with secrets, and what they say of them."""

    def __init__(self, nodes: tuple[str, ...] = NODES, kinds: tuple[str, ...] = KINDS) -> None:
        self.nodes = nodes
        self.signing = {node: Ed25519PrivateKey.generate() for node in nodes}
        self.accepted = {node: public_hex(key) for node, key in self.signing.items()}
        self.secrets = {node: NodeSecrets.generate(kinds) for node in nodes}
        self.shares = {node: self.share(node) for node in nodes}
        self.commitments = {node: self.committed(node) for node in nodes}

    def share(self, node: str, **changes: object) -> Said:
        content = share_content(self.secrets[node], node, EPOCH, ROSTER, {"Judge": "0b" * 32})
        return say(node, self.signing[node], "share", content | changes)

    def committed(self, node: str, **changes: object) -> Said:
        content = {"epoch": EPOCH, "roster": ROSTER, "commitment": commitment(self.shares[node].text)}
        return say(node, self.signing[node], "commitment", content | changes)

    def replace(self, node: str, **changes: object) -> None:
        """A node commits to a changed share, and reveals it."""
        self.shares[node] = self.share(node, **changes)
        self.commitments[node] = self.committed(node)

    def pin(self) -> KeySet:
        return key_set(
            list(self.commitments.values()), list(self.shares.values()), self.accepted, EPOCH, ROSTER
        )
