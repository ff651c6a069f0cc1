"""Attacks on the key ceremony of links: keys chosen late, without their secrets, or shown differently."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from link_attacks import at_step, attack, content
from link_federation import CrashError, LinkFederation, federation
from safeborders_fed.cases.contract import IDENTIFIER_TYPES
from safeborders_fed.errors import PeerError
from safeborders_fed.links import ristretto
from safeborders_fed.links.key_shares import NodeSecrets, commitment, share_content
from safeborders_fed.study.link_messages import LinkAnswer, LinkAsk, Said, say


def planted(directory: Path) -> LinkFederation:
    """Three states, each with a batch that waits."""
    made = federation(directory, "BE", "BG", "GR")
    for node in made.nodes.values():
        node.add({"phone": "+32 2 555 12 12"})
        node.offer()
    return made


def _share(node: Any, epoch: str, secrets: NodeSecrets) -> Said:
    """A share of a node with other secrets, signed by it."""
    people = {name: ristretto.base(ristretto.random_scalar()).hex() for name in node.prosecutors}
    made = share_content(secrets, node.name, epoch, node.office.roster_hash, people)
    return say(node.name, node.office.key, "share", made)


@attack(
    "A key chosen after the others' keys were seen",
    by="a state",
    outcome="it is not the one that was committed to: the state is named, and nobody pins anything",
)
def test_a_key_chosen_after_the_others_is_not_the_one_committed_to(tmp_path: Path) -> None:
    made = planted(tmp_path)
    secrets = NodeSecrets.generate(["phone"])

    def lie(node: str, _: LinkAsk, answer: LinkAnswer) -> LinkAnswer:
        return replace(answer, said=_share(made[node], made.files.epoch, secrets))

    with made.lying(answer=at_step("reveal", "GR", lie)), pytest.raises(PeerError, match="GR"):
        made.exchange()
    epoch = made.files.epoch
    assert all(node.office.key_set(epoch) is None for node in made.nodes.values())
    assert set(made.exchange().points) == {"BE", "BG", "GR"}


@attack(
    "A key that cancels the others' (a rogue key), passed on by a coordinator that takes part in it",
    by="a state and the coordinator",
    outcome="no honest state reveals to a second commitment, and none pins a key without its proof",
)
def test_a_rogue_key_has_no_proof(tmp_path: Path) -> None:
    made = planted(tmp_path)
    revealed: dict[str, Said] = {}

    def note(node: str, _: LinkAsk, answer: LinkAnswer) -> LinkAnswer:
        revealed[node] = answer.said
        return answer

    with made.lying(answer=at_step("reveal", None, note)):
        made.wire.crash_at = "pin"
        with pytest.raises(CrashError):
            made.exchange()
    made.wire.crash_at = None
    rogue = _rogue(made, revealed)
    promise = {"epoch": made.files.epoch, "roster": made["GR"].office.roster_hash}
    promised = say(
        "GR", made["GR"].office.key, "commitment", {**promise, "commitment": commitment(rogue.text)}
    )
    commitments = [said for said in made.files.ceremony("commit") or () if said.node != "GR"]
    for node in ("BE", "BG"):
        office = made[node].office
        ask = LinkAsk(made.files.epoch + "-0001", "reveal", (*commitments, promised))
        made[node].participant.answer(ask.encode())
        shares = tuple(revealed[other] for other in ("BE", "BG"))
        answer = made.wire._one(node, replace(ask, step="pin", said=(*shares, rogue)).encode())
        assert not isinstance(made.wire.passed[-1][2], LinkAnswer), answer
        assert office.key_set(made.files.epoch) is None


def _rogue(made: LinkFederation, revealed: dict[str, Said]) -> Said:
    """GR's share with a key for telephone numbers that makes the sum one whose secret it knows."""
    secret = ristretto.random_scalar()
    found = content(revealed["GR"])
    others = [bytes.fromhex(content(revealed[node])["keys"]["phone"]) for node in ("BE", "BG")]
    key = ristretto.subtract(ristretto.base(secret), ristretto.add(*others))
    found["keys"]["phone"] = key.hex()
    return say("GR", made["GR"].office.key, "share", found)


@attack(
    "Different key sets shown to different states",
    by="the coordinator and a state that signs two shares",
    outcome="each sees signed what the others pinned: the epoch is not taken into use",
)
def test_states_that_were_shown_different_keys_do_not_use_them(tmp_path: Path) -> None:
    made = planted(tmp_path)
    second = _share(made["GR"], made.files.epoch, NodeSecrets.generate(IDENTIFIER_TYPES))
    promise = {"epoch": made.files.epoch, "roster": made["GR"].office.roster_hash}
    promised = say(
        "GR", made["GR"].office.key, "commitment", {**promise, "commitment": commitment(second.text)}
    )

    def show_another(_: str, ask: LinkAsk) -> LinkAsk:
        instead = {"reveal": promised, "pin": second}.get(ask.step)
        if instead is None:
            return ask
        return replace(ask, said=tuple(instead if said.node == "GR" else said for said in ask.said))

    def only_bg(node: str, ask: LinkAsk) -> LinkAsk:
        return show_another(node, ask) if node == "BG" else ask

    with made.lying(ask=only_bg), pytest.raises(PeerError) as caught:
        made.exchange()
    assert caught.value.code == "different-keys"
    sets = tuple(answer.said for _, _, answer in made.wire.asks("pin"))
    assert len({content(said)["keys"] for said in sets}) == 2
    for node in made.nodes:  # a coordinator that goes on all the same
        made.wire._one(node, LinkAsk(f"{made.files.epoch}-0001", "pinned", sets).encode())
        assert not isinstance(made.wire.passed[-1][2], LinkAnswer)
        assert made[node].office.key_set(made.files.epoch) is None


@attack(
    "A commitment made anew after the others' keys were seen (which would let a state choose the sum)",
    by="a state and the coordinator",
    outcome="no honest state reveals again: when the ceremony begins again, all make other keys",
)
def test_a_ceremony_that_begins_again_has_none_of_the_keys_that_were_seen(tmp_path: Path) -> None:
    made = planted(tmp_path)
    seen: dict[str, Said] = {}

    def keep_back(node: str, _: LinkAsk, answer: LinkAnswer) -> LinkAnswer:
        seen[node] = answer.said
        return replace(answer, step="pin") if node == "GR" else answer

    with made.lying(answer=at_step("reveal", None, keep_back)):
        assert not made.exchange().points
    assert set(made.exchange().points) == {"BE", "BG", "GR"}
    keys = made["BE"].office.require_key_set(made.files.epoch)
    for said in seen.values():
        shown, used = content(said)["keys"], content(keys.shares[keys.nodes.index(said.node)])["keys"]
        assert not set(shown.values()) & set(used.values())
