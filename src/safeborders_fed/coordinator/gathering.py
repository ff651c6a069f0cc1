"""Gathering the nodes before the first round: the coordinator's side of ``study.handshake``.

Guarantees: only nodes that joined, testified and began take part, each under the key that the roster holds;
what nodes have signed is passed on to all others unchanged. ``coordinator.rejoining`` takes the same steps
with nodes that come later.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from safeborders_fed.coordinator.federation import Federation, reply_of
from safeborders_fed.errors import PeerError, SafeBordersError
from safeborders_fed.masking.keys import SignedKey
from safeborders_fed.study.handshake import Begin, Begun, Join, Joined, Testimony, Witness
from safeborders_fed.study.manifest import Manifest
from safeborders_fed.study.sums import wrong_reply


@dataclass(frozen=True)
class Gathered:
    """Who takes part.

    Attributes:
        nodes: Names, sorted.
        keys: Their study keys; empty in trust mode local.
        failures: For each other node what it did instead.
        joined: What each that joined has signed, whether or not it went on.
    """

    nodes: tuple[str, ...]
    keys: dict[str, SignedKey]
    failures: dict[str, str]
    joined: tuple[Joined, ...] = ()


Answer = TypeVar("Answer", Joined, Testimony, Begun)


def gather(
    manifest: Manifest, manifest_hash: str, federation: Federation, public_keys: Mapping[str, str]
) -> Gathered:
    """Takes all nodes that will through the three steps."""
    failures: dict[str, str] = {}

    def ask(
        nodes: list[str], data: bytes, kind: type[Answer], check: Callable[[Answer], None]
    ) -> dict[str, Answer]:
        replies = federation.ask(dict.fromkeys(nodes, data))
        answers: dict[str, Answer] = {}
        for node in nodes:
            try:
                message = answer_of(node, replies, kind, manifest.id)
                check(message)
                answers[node] = message
            except SafeBordersError as error:
                failures[node] = error.code
        return answers

    joined = ask(
        list(manifest.participants),
        Join(study=manifest.id, manifest_hash=manifest_hash, call=secrets.token_hex(16)).encode(),
        Joined,
        lambda answer: check_joined(answer, manifest, manifest_hash, public_keys),
    )
    _drop_copies(joined, failures)
    witness = Witness(study=manifest.id, joined=tuple(joined.values())).encode()
    testimonies = ask(list(joined), witness, Testimony, lambda answer: answer.check(public_keys[answer.node]))
    begin = Begin(study=manifest.id, testimonies=tuple(testimonies.values())).encode()
    begun = ask(list(testimonies), begin, Begun, lambda _: None)
    keys = {node: SignedKey.from_json(joined[node].key) for node in begun if joined[node].key is not None}
    return Gathered(tuple(begun), keys, failures, tuple(joined.values()))


def answer_of(node: str, replies: Mapping[str, bytes], kind: type[Answer], study: str) -> Answer:
    """A node's answer to a step of the handshake.

    Raises:
        PeerError: the same as ``federation.reply_of``.
    """
    message = reply_of(node, replies)
    if not isinstance(message, kind) or message.node != node or message.study != study:
        raise wrong_reply(node)
    return message


def check_joined(
    answer: Joined, manifest: Manifest, manifest_hash: str, public_keys: Mapping[str, str]
) -> None:
    """Checks what a node says when it joins.

    Raises:
        PeerError: ``bad-signature``, ``wrong-trust`` or ``wrong-study-key``.
    """
    answer.check(public_keys[answer.node])
    if (answer.key is not None) != (manifest.trust == "masked"):
        raise PeerError(
            "wrong-trust",
            f"{answer.node} joined in another trust mode",
            "compare the manifests of both sides",
        )
    if answer.key is not None:
        SignedKey.from_json(answer.key).check(
            public_keys[answer.node],
            node=answer.node,
            study=manifest.id,
            manifest_hash=manifest_hash,
            roster_hash=manifest.roster_hash,
        )


def _drop_copies(joined: dict[str, Joined], failures: dict[str, str]) -> None:
    """Leaves out all nodes that offered one key: honest ones would refuse them, and so the attempt."""
    owners: dict[str, list[str]] = {}
    for node, answer in joined.items():
        if answer.key is not None:
            owners.setdefault(answer.key["public"], []).append(node)
    for nodes in owners.values():
        if len(nodes) > 1:
            for node in nodes:
                del joined[node]
                failures[node] = "duplicate-key"
