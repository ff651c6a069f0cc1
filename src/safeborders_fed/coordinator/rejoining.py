"""The way back into a study that is running, for nodes that were missing or have restarted.

It takes the same three steps as at the beginning (``study.handshake``), beside the rounds:

- beside a round, missing nodes that seem to be there are asked to join;
- after it, those that take part testify to the ledger heads of those that joined;
- beside the next round these are shown the testimonies, and take part from the round after.

Guarantees: no round waits for a node that is on its way; whoever fails a step starts from the first; nobody
comes in under a study key that another node offered (ADR 14). A node that answered a round wrongly, or failed
again after it had come back, stays out: one bad node must not use up the retries of all.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Final

from safeborders_fed.coordinator.federation import NO_REPLY, Federation
from safeborders_fed.coordinator.gathering import answer_of, check_joined
from safeborders_fed.errors import SafeBordersError
from safeborders_fed.masking.keys import SignedKey
from safeborders_fed.study.anchors import Keep
from safeborders_fed.study.handshake import Begin, Begun, Join, Joined, Testimony, Witness
from safeborders_fed.study.manifest import Manifest
from safeborders_fed.study.messages import Reason

_JOINING: Final = 2
"""Rounds that must follow the one beside which a node joins, for it to take part in the last of them."""
_TOO_MANY: Final = 2
_HARMLESS: Final = frozenset({NO_REPLY, *Reason})
"""What a node that fell silent or has restarted does, too."""


class Rejoining:
    """Nodes on their way into one study.

    Args:
        manifest: The study.
        manifest_hash: Its hash.
        public_keys: Node name to public key of the roster.
        keep: Keeps what nodes sign when they join (``coordinator.anchors``).
    """

    def __init__(
        self, manifest: Manifest, manifest_hash: str, public_keys: Mapping[str, str], keep: Keep | None = None
    ) -> None:
        self._keep = keep
        self._manifest = manifest
        self._public_keys = public_keys
        self._hash = manifest_hash
        self._joined: dict[str, Joined] = {}
        self._begins: dict[str, bytes] = {}
        self._arrived: dict[str, SignedKey | None] = {}
        self._failures: Counter[str] = Counter()

    def failed(self, failures: Mapping[str, str]) -> None:
        """Takes note of who failed an attempt, and how."""
        for node, code in failures.items():
            self._failures[node] += 1 if code in _HARMLESS else _TOO_MANY

    def requests(self, participants: Collection[str], federation: Federation, left: int) -> dict[str, bytes]:
        """What to ask missing nodes beside an attempt.

        Args:
            participants: Those that take part in it.
            federation: Knows who is online.
            left: How many rounds follow this one.
        """
        out = {node for node, count in self._failures.items() if count >= _TOO_MANY}
        missing = set(self._manifest.participants) - set(participants) - self._arrived.keys() - out
        if not missing or not left:
            return {}
        asked = {}
        for node in sorted(missing & federation.online()):
            if node in self._begins:
                asked[node] = self._begins[node]
            elif node not in self._joined and left >= _JOINING:
                join = Join(study=self._manifest.id, manifest_hash=self._hash, call=secrets.token_hex(16))
                asked[node] = join.encode()
        return asked

    def heard(
        self, asked: Collection[str], replies: Mapping[str, bytes], taken: Mapping[str, SignedKey]
    ) -> None:
        """Takes the replies of missing nodes; ``taken`` are the study keys of those that take part."""
        for node in asked:
            if node not in replies:
                continue
            try:
                if node in self._begins:
                    answer_of(node, replies, Begun, self._manifest.id)
                    del self._begins[node]
                    self._arrived[node] = _key(self._joined.pop(node))
                else:
                    joined = answer_of(node, replies, Joined, self._manifest.id)
                    check_joined(joined, self._manifest, self._hash, self._public_keys)
                    if not self._is_copy(joined, taken):
                        self._joined[node] = joined
            except SafeBordersError:
                self._forget(node)

    def _is_copy(self, joined: Joined, taken: Mapping[str, SignedKey]) -> bool:
        """Whether another node offers the same study key: honest ones would refuse both."""
        others = {node: _key(other) for node, other in self._joined.items()} | {**self._arrived, **taken}
        key = _key(joined)
        return key is not None and any(
            other is not None and other.public == key.public
            for node, other in others.items()
            if node != joined.node
        )

    def witness(self, federation: Federation, participants: Collection[str]) -> None:
        """Has those that take part testify to whoever has joined since."""
        fresh = [joined for node, joined in sorted(self._joined.items()) if node not in self._begins]
        if not fresh:
            return
        if self._keep is not None:
            self._keep(fresh)
        request = Witness(study=self._manifest.id, joined=tuple(fresh)).encode()
        replies = federation.ask(dict.fromkeys(participants, request))
        testimonies = []
        for node in participants:
            try:
                testimony = answer_of(node, replies, Testimony, self._manifest.id)
                testimony.check(self._public_keys[node])
            except SafeBordersError:
                continue  # whether enough have testified is for the joining nodes to say
            testimonies.append(testimony)
        begin = Begin(study=self._manifest.id, testimonies=tuple(testimonies)).encode()
        self._begins |= {joined.node: begin for joined in fresh}

    def arrived(self) -> dict[str, SignedKey | None]:
        """Those that take part from this round on, with their study keys (None in trust mode local)."""
        arrived, self._arrived = self._arrived, {}
        return arrived

    def _forget(self, node: str) -> None:
        self._joined.pop(node, None)
        self._begins.pop(node, None)


def _key(joined: Joined) -> SignedKey | None:
    return None if joined.key is None else SignedKey.from_json(joined.key)
