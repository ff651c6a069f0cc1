"""A message has one byte form; anything else is refused without an uncaught exception."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation_of import PUBLIC_KEYS, SIGNING_KEYS
from safeborders_fed.errors import PeerError
from safeborders_fed.study import canonical, wire
from safeborders_fed.study.handshake import Head
from safeborders_fed.study.messages import Contribution, Reason, Refusal, Round, decode

HEAD = Head(entries=0, value="0" * 64)
ROUND = Round(
    "study-1",
    "ab" * 32,
    "gradient",
    3,
    5,
    ("BE", "BG"),
    (),
    {"BE": Head(entries=3, value="cd" * 32, signature="ef" * 64)},
    {"weights": np.array([1.5, -2.0]), "a": np.zeros((2, 3))},
)


START = b"SBF%d%c\0" % (wire.PROTOCOL, wire.MINOR)


def test_a_round_comes_back_as_it_was() -> None:
    found = decode(ROUND.encode())
    assert isinstance(found, Round)
    assert found.encode() == ROUND.encode()
    assert found.participants == ("BE", "BG")
    assert found.broadcast["weights"].tolist() == [1.5, -2.0]
    assert found.broadcast["a"].shape == (2, 3)


@given(st.lists(st.integers(0, 2**64 - 1), max_size=20))
def test_a_contribution_comes_back_as_it_was(values: list[int]) -> None:
    sent = Contribution("s", 1, 2, "BG", HEAD, np.array(values, dtype=np.uint64))
    found = decode(sent.encode())
    assert isinstance(found, Contribution)
    assert found.vector.tolist() == values
    assert found.key == ("s", 1, 2)


@pytest.mark.parametrize("reason", list(Reason))
def test_a_refusal_carries_a_code_and_nothing_else(reason: Reason) -> None:
    found = decode(Refusal("PT", reason).encode())
    assert found == Refusal("PT", reason)


def test_the_length_of_a_contribution_does_not_depend_on_its_values() -> None:
    small = Contribution("s", 1, 2, "BG", HEAD, np.zeros(100, dtype=np.uint64)).encode()
    large = Contribution("s", 1, 2, "BG", HEAD, np.full(100, 2**64 - 1, dtype=np.uint64)).encode()
    assert len(small) == len(large) <= 8 * 100 + 2048


@given(st.binary(max_size=300))
def test_bytes_that_are_no_message_are_refused(data: bytes) -> None:
    with pytest.raises(PeerError):
        decode(data)


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_message_with_one_changed_byte_is_refused_or_another_message(place: int, value: int) -> None:
    data = bytearray(ROUND.encode())
    data[place % len(data)] = value
    try:
        found = decode(bytes(data))
    except PeerError:
        return
    assert wire.unversioned(found.encode()) == wire.unversioned(bytes(data))


@given(st.integers(0, 10_000))
def test_a_message_cut_off_anywhere_is_refused(length: int) -> None:
    data = ROUND.encode()
    with pytest.raises(PeerError):
        decode(data[: length % len(data)])


def test_bytes_after_the_end_are_refused() -> None:
    with pytest.raises(PeerError, match="follow its end"):
        decode(ROUND.encode() + b"\0")


def header(**changes: object) -> bytes:
    fields = {"type": "refusal", "node": "BE", "reason": "budget", "protocol": wire.PROTOCOL, "arrays": []}
    text = canonical.serialise({**fields, **changes})
    return START + len(text).to_bytes(4, "little") + text


@pytest.mark.parametrize(
    "data",
    [
        header(type="order"),
        header(reason="because"),
        header(protocol=wire.PROTOCOL + 1),
        header(node=7),
        header(arrays=None),
        header(arrays=[["a", "f8", [-1]]]),
        header(arrays=[["a", "f8", [2**40]]]),
        header(arrays=[["a", "O8", [1]]]),
        header(arrays=[["a", "f8", [1] * 70]]),
        header(arrays=[["a", "f8", [0]], ["a", "f8", [0]]]),
        header(
            type="contribution",
            study="s",
            head="",
            signature="",
            round=-1,
            attempt=0,
            arrays=[["vector", "u8", [0]]],
        ),
        header(
            type="contribution",
            study="s",
            head="",
            signature="",
            round=True,
            attempt=0,
            arrays=[["vector", "u8", [0]]],
        ),
        header(
            type="contribution",
            study="s",
            head="",
            signature="",
            round=0,
            attempt=0,
            arrays=[["vector", "f8", [0]]],
        ),
        header(type="contribution", study="s", round=0, attempt=0),
    ],
)
def test_headers_that_are_wrong_are_refused(data: bytes) -> None:
    with pytest.raises(PeerError):
        decode(data)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1, "b":2}',
        b'{"b":1,"a":2}',
        b'{"a":1,"a":1}',
        b"NaN",
        b"1" * 400,
        b"\xff",
        b"[" * 100_000,
        b"1.0e5",
    ],
)
def test_only_canonical_json_is_accepted(data: bytes) -> None:
    with pytest.raises(PeerError, match="canonical"):
        canonical.parse(data)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**60), 2**60)
        | st.text()
        | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_canonical_json_comes_back_as_it_was(value: object) -> None:
    try:
        data = canonical.serialise(value)
    except UnicodeEncodeError:  # a lone surrogate is no text
        return
    assert canonical.parse(data) == value


def test_a_text_that_no_utf8_can_hold_is_refused() -> None:
    """JSON can escape a lone surrogate; encoding it again must not end in a traceback."""
    text = b'{"arrays":[],"node":"\\ud800","protocol":%d,"reason":"budget","type":"refusal"}' % wire.PROTOCOL
    with pytest.raises(PeerError, match="missing or wrong"):
        decode(START + len(text).to_bytes(4, "little") + text)


def as_version(protocol: int, minor: int, data: bytes = ROUND.encode()) -> bytes:
    return b"SBF" + str(protocol).encode() + minor.to_bytes(2, "little") + data[6:]


@pytest.mark.parametrize("theirs", [4, 5, 6])
def test_minor_versions_one_apart_understand_each_other(monkeypatch: pytest.MonkeyPatch, theirs: int) -> None:
    monkeypatch.setattr(wire, "MINOR", 5)
    found = decode(as_version(wire.PROTOCOL, theirs))
    assert isinstance(found, Round)
    assert found.participants == ROUND.participants


@pytest.mark.parametrize(
    ("theirs", "old"),
    [
        ((0, 3), "the other side"),
        ((0, 7), "this side"),
        ((1, 5), "this side"),
        ((-1, 5), "the other side"),
        ((1, 0), "this side"),
    ],
)
def test_other_versions_are_told_both_versions_and_who_must_upgrade(
    monkeypatch: pytest.MonkeyPatch, theirs: tuple[int, int], old: str
) -> None:
    monkeypatch.setattr(wire, "MINOR", 5)
    protocol, minor = wire.PROTOCOL + theirs[0], theirs[1]
    named, ours = f"{protocol}.{minor}", f"{wire.PROTOCOL}.5"
    later = START + b"what a later protocol may hold"
    for data in (as_version(protocol, minor), as_version(protocol, minor, later)):
        with pytest.raises(PeerError, match=f"protocol {named}, this side {ours}: {old} is too old") as error:
            decode(data)
        assert error.value.code == "wrong-protocol"
        assert old in error.value.fix


def test_signatures_and_what_masks_are_bound_to_do_not_change_with_the_minor_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = SIGNING_KEYS["BG"]
    signed = Contribution("s", 1, 2, "BG", HEAD, np.arange(3, dtype=np.uint64)).signed(key)
    bound = ROUND.broadcast_hash()
    monkeypatch.setattr(wire, "MINOR", 1)
    found = decode(signed.encode())
    assert isinstance(found, Contribution)
    found.check(PUBLIC_KEYS["BG"])
    assert ROUND.broadcast_hash() == bound
    assert wire.version_of(ROUND.encode()) == (wire.PROTOCOL, 1)


def test_a_header_of_another_protocol_than_its_beginning_is_refused() -> None:
    with pytest.raises(PeerError, match="another protocol than its beginning"):
        decode(header(protocol=wire.PROTOCOL + 1))
