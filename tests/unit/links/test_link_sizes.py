"""The largest messages of links fit into what carries them, and are read back."""

from __future__ import annotations

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from safeborders_fed.links.batch_rounds import MOST_POINTS
from safeborders_fed.links.batch_statement import CHUNK
from safeborders_fed.links.board import MOST_TAGS
from safeborders_fed.links.matching_rounds import MOST_HITS, MOST_LETTERS, at_once
from safeborders_fed.study.link_messages import LONGEST_TEXT, MOST_SAID, LinkAnswer, LinkAsk, Said, say
from safeborders_fed.study.messages import decode
from safeborders_fed.transport.executor import LARGEST_FRAME

KEY = Ed25519PrivateKey.generate()
STATES = ("BE", "BG", "FI", "GR", "IT", "PL", "PT", "RO")


def fits(message: LinkAsk | LinkAnswer) -> bool:
    data = message.encode()
    found = decode(data)
    assert isinstance(found, LinkAsk | LinkAnswer)
    return len(data) < LARGEST_FRAME and found.encode() == data


def test_the_shares_of_eight_states_for_a_chunk_fit_into_a_message() -> None:
    points = np.full((MOST_POINTS, 4), 7, dtype=np.uint64)
    said = tuple(say(state, KEY, "shares", {"proof": "ab" * 64}) for state in STATES)
    arrays = {f"shares-{state}": points for state in STATES}
    assert fits(LinkAsk("2026-0001", "take", said, arrays=arrays))
    assert CHUNK <= MOST_POINTS


def test_a_million_tags_fit_into_a_message() -> None:
    rows = np.full((MOST_TAGS, 2), 7, dtype=np.uint64)
    said = say("BE", KEY, "tags", {"count": MOST_TAGS})
    assert fits(LinkAnswer("2026-0001", "tags", said, {"tags": rows, "handles": rows}))


def test_the_checks_of_as_many_hits_as_are_told_at_once_fit_into_a_text() -> None:
    check = {"partner": "BG", "their_handle": "ab" * 16, "mac": "cd" * 32}
    checks = {f"{number:032x}": check for number in range(MOST_HITS)}
    said = say("BE", KEY, "checks", {"epoch": "2026", "partner": "BG", "checks": checks})
    hits = [["BG", "ab" * 16, "cd" * 16]] * MOST_HITS
    assert fits(LinkAsk("2026-0001", "verify", (said,), {"partner": "BG", "hits": hits, "last": True}))


def _letters(count: int, size: int) -> list[Said]:
    said = say("BE", KEY, "letters", {})
    return [said.model_copy(update={"text": f"{number:0{size}d}"}) for number in range(count)]


def test_letters_beyond_what_a_message_holds_wait() -> None:
    large = at_once(_letters(40, LONGEST_TEXT))
    assert len(large) == MOST_LETTERS // LONGEST_TEXT
    assert fits(LinkAsk("2026-0001", "post", tuple(large), {"partner": "BE"}))
    assert len(at_once(_letters(100, 10))) == MOST_SAID
    assert len(at_once(_letters(1, LONGEST_TEXT))) == 1
