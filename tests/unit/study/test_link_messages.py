"""Envelopes of links have one byte form, and a saying is believed only from its node and of its kind."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation_of import PUBLIC_KEYS, SIGNING_KEYS
from safeborders_fed.errors import PeerError
from safeborders_fed.study import wire
from safeborders_fed.study.link_messages import (
    LinkAnswer,
    LinkAsk,
    array_hash,
    say,
    to_rows,
    to_words,
)
from safeborders_fed.study.messages import decode

SAID = say("BG", SIGNING_KEYS["BG"], "chunk", {"count": 2, "points": "00"})
POINTS = to_words([bytes(range(32)), bytes(32)], 32)
ASK = LinkAsk("links-2026-11", "evaluate", (SAID,), {"partner": "RO"}, {"points": POINTS})
ANSWER = LinkAnswer("links-2026-11", "evaluate", SAID, {"shares": POINTS})


@pytest.mark.parametrize("sent", [ASK, ANSWER])
def test_an_envelope_comes_back_as_it_was(sent: LinkAsk | LinkAnswer) -> None:
    found = decode(sent.encode())
    assert type(found) is type(sent)
    assert found.encode() == sent.encode()


@given(st.lists(st.binary(min_size=16, max_size=16), max_size=9))
def test_rows_of_bytes_come_back_in_their_order(rows: list[bytes]) -> None:
    assert to_rows(to_words(rows, 16)) == rows


def test_the_hash_of_an_array_is_over_its_rows() -> None:
    assert array_hash(POINTS) != array_hash(POINTS[::-1])


def test_a_saying_is_of_its_node_its_kind_and_its_text() -> None:
    assert SAID.content(PUBLIC_KEYS["BG"], "chunk") == {"count": 2, "points": "00"}
    forged = [
        (SAID, PUBLIC_KEYS["RO"], "chunk"),
        (SAID, PUBLIC_KEYS["BG"], "shares"),
        (SAID.model_copy(update={"node": "RO"}), PUBLIC_KEYS["BG"], "chunk"),
        (SAID.model_copy(update={"text": '{"count":3,"points":"00"}'}), PUBLIC_KEYS["BG"], "chunk"),
        (SAID.model_copy(update={"kind": "shares"}), PUBLIC_KEYS["BG"], "shares"),
    ]
    for said, key, kind in forged:
        with pytest.raises(PeerError):
            said.content(key, kind)


def test_a_saying_that_is_no_object_is_refused() -> None:
    text = say("BG", SIGNING_KEYS["BG"], "chunk", {}).model_copy(update={"text": "[]"})
    with pytest.raises(PeerError):
        text.content(PUBLIC_KEYS["BG"], "chunk")


WRONG = {
    "an array of floats": {"arrays": {"points": np.zeros((1, 4))}},
    "an array of one dimension": {"arrays": {"points": np.zeros(4, dtype=np.uint64)}},
    "a step that is no word": {"step": "Evaluate!"},
    "too many sayings": {"said": (SAID,) * 65},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_is_no_envelope_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(PeerError):
        decode(replace(ASK, **wrong).encode())  # type: ignore[arg-type]


def test_a_cut_envelope_is_refused() -> None:
    for length in range(0, len(ASK.encode()), 7):
        with pytest.raises(PeerError):
            decode(ASK.encode()[:length])


def test_old_software_is_told_of_a_kind_that_it_does_not_know() -> None:
    assert wire.MINOR >= 1  # links came with minor version 1
