"""A history of a study holds as the coordinator signed it, or not at all."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation_of import SERVICE_KEY, SMALL, history_of, study
from safeborders_fed.errors import PeerError, RefusedError, UsageError
from safeborders_fed.masking import signing
from safeborders_fed.masking.signing import Purpose, public_hex
from safeborders_fed.study import canonical
from safeborders_fed.study.state_changes import (
    MOST_CHANGES,
    NEXT,
    TERMINAL,
    History,
    ServiceKey,
    StateChange,
    first_change,
    next_change,
)

MANIFEST = study()
OTHER = study(id="study-2")
OPERATOR = public_hex(SMALL.operator)
NOW = datetime(2026, 5, 1, tzinfo=UTC)
WHOLE = history_of(MANIFEST, "running", "finished")
STRANGER = Ed25519PrivateKey.generate()


def check(history: History, operators: tuple[str, ...] = (OPERATOR,)) -> None:
    history.check(MANIFEST.id, MANIFEST.hash(), operators)


def signed(change: StateChange, key: Ed25519PrivateKey = SERVICE_KEY, **changes: object) -> StateChange:
    """The change with other content, signed by a thief of the service key."""
    changed = change.model_copy(update={**changes, "key": public_hex(key)})
    payload = canonical.serialise(changed.model_dump(mode="json", exclude={"signature"}))
    return changed.model_copy(update={"signature": signing.sign(key, Purpose.STATE_CHANGE, payload)})


def with_changes(*changes: StateChange) -> History:
    return WHOLE.model_copy(update={"changes": changes})


def test_a_whole_history_holds_for_who_has_pinned_the_operator() -> None:
    check(WHOLE)
    assert [change.state for change in WHOLE.changes] == ["draft", "published", "running", "finished"]
    assert History.from_bytes(WHOLE.to_bytes()) == WHOLE


A, B, C, D = WHOLE.changes
TAMPERED: dict[str, Callable[[], History]] = {
    "a change is missing": lambda: with_changes(A, C, D),
    "two are exchanged": lambda: with_changes(A, C, B, D),
    "the first is missing": lambda: with_changes(B, C, D),
    "one stands twice": lambda: with_changes(A, B, B, C, D),
    "the person is another": lambda: with_changes(A, B.model_copy(update={"by": "Bo"})),
    "the reason is another": lambda: with_changes(A, B.model_copy(update={"why": "because"})),
    "the time is another": lambda: with_changes(A, B.model_copy(update={"at": NOW.isoformat()})),
    "the state is another": lambda: with_changes(A, B.model_copy(update={"state": "withdrawn"})),
    "the signature is of another change": lambda: with_changes(
        A, B.model_copy(update={"signature": C.signature})
    ),
    "a stranger signed": lambda: with_changes(A, signed(B, STRANGER)),
    "it is of another study": lambda: history_of(OTHER),
    "a change of another study is put in": lambda: with_changes(A, history_of(OTHER).changes[1]),
    "it begins in the middle": lambda: with_changes(signed(A, state="published")),
    "a state cannot follow": lambda: with_changes(A, signed(B, state="finished")),
    "something follows the end": lambda: with_changes(
        A, B, C, D, signed(D, number=5, previous=D.hash(), state="running")
    ),
    "the number is another": lambda: with_changes(A, signed(B, number=3)),
    "nobody vouches for the key": lambda: history_of(MANIFEST, key=STRANGER).model_copy(
        update={"keys": WHOLE.keys}
    ),
    "the certificate is a stranger's": lambda: history_of(MANIFEST, operator=STRANGER),
    "the certificate's signature is another": lambda: WHOLE.model_copy(
        update={"keys": (WHOLE.keys[0].model_copy(update={"by": "Bo"}),)}
    ),
    "the certificate is for another key": lambda: WHOLE.model_copy(
        update={"keys": (WHOLE.keys[0].model_copy(update={"public": public_hex(STRANGER)}),)}
    ),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_a_history_that_was_tampered_with_does_not_hold(name: str) -> None:
    with pytest.raises(PeerError) as error:
        check(TAMPERED[name]())
    assert error.value.code == "bad-state-changes"


def test_it_holds_for_nobody_who_has_not_pinned_the_operator() -> None:
    with pytest.raises(PeerError, match="vouches"):
        check(WHOLE, (public_hex(STRANGER),))
    with pytest.raises(PeerError, match="vouches"):
        check(WHOLE, ())


def test_a_signature_of_an_operator_for_something_else_makes_no_service_key() -> None:
    entry = WHOLE.keys[0]
    payload = canonical.serialise(entry.model_dump(mode="json", exclude={"signature"}))
    for purpose in set(Purpose) - {Purpose.SERVICE_KEY}:
        forged = entry.model_copy(update={"signature": signing.sign(SMALL.operator, purpose, payload)})
        assert not forged.is_vouched_for([OPERATOR])
    assert entry.is_vouched_for([OPERATOR])


def test_a_second_operator_vouches_for_the_same_key() -> None:
    second = ServiceKey.certify(public_hex(SERVICE_KEY), by="Bo", operator=STRANGER, at=NOW)
    both = WHOLE.model_copy(update={"keys": (*WHOLE.keys, second)})
    check(both, (public_hex(STRANGER),))
    check(both)


def test_a_new_service_key_goes_on_with_the_chain_of_the_one_before() -> None:
    begun = history_of(MANIFEST)
    later = next_change(STRANGER, begun.changes[-1], "withdrawn", at=NOW, by="Bo", why="lost")
    certificate = ServiceKey.certify(public_hex(STRANGER), by="Bo", operator=SMALL.operator, at=NOW)
    check(History(keys=(*begun.keys, certificate), changes=(*begun.changes, later)))


def test_a_history_continues_its_beginnings_and_no_other() -> None:
    begun = history_of(MANIFEST)
    assert WHOLE.continues(None)
    assert WHOLE.continues(begun)
    assert WHOLE.continues(WHOLE)
    assert not begun.continues(WHOLE), "it was told more before"
    assert not history_of(MANIFEST, "failed").continues(history_of(MANIFEST, "withdrawn"))


@pytest.mark.parametrize("before", list(NEXT))
@pytest.mark.parametrize("after", list(NEXT))
def test_nothing_is_signed_that_cannot_follow(before: Any, after: Any) -> None:
    change = signed(A, state=before)
    if after in NEXT[before]:
        assert next_change(SERVICE_KEY, change, after, at=NOW, by="Bo", why="").previous == change.hash()
        return
    with pytest.raises(RefusedError, match=f"cannot become {after}"):
        next_change(SERVICE_KEY, change, after, at=NOW, by="Bo", why="because")


def test_a_study_changes_its_state_a_thousand_times_and_can_be_ended_then() -> None:
    last = signed(A, state="running", number=MOST_CHANGES - 1)
    with pytest.raises(RefusedError, match="withdraw it"):
        next_change(SERVICE_KEY, last, "published", at=NOW, by="Bo", why="")
    assert next_change(SERVICE_KEY, last, "withdrawn", at=NOW, by="Bo", why="").number == MOST_CHANGES
    assert all(not NEXT[state] for state in TERMINAL)


@pytest.mark.parametrize("by", ["", "x" * 201])
def test_who_changes_a_state_has_a_name(by: str) -> None:
    with pytest.raises(UsageError) as error:
        first_change(SERVICE_KEY, study="s", manifest_hash="ab" * 32, at=NOW, by=by, why="")
    assert error.value.code == "bad-words"


def test_a_long_reason_is_cut_off() -> None:
    change = first_change(SERVICE_KEY, study="s", manifest_hash="ab" * 32, at=NOW, by="Bo", why="x" * 9000)
    assert len(change.why) == 2000


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b'{"changes":[],"keys":[]}',
        WHOLE.to_bytes().replace(b'"number":1', b'"number":1.0', 1),
        WHOLE.to_bytes().replace(b'"number":1', b'"number":' + b"9" * 400, 1),
        WHOLE.to_bytes().replace(b'"keys":', b'"extra":1,"keys":', 1),
        b" " + WHOLE.to_bytes(),
    ],
)
def test_what_is_no_history_is_refused(data: bytes) -> None:
    with pytest.raises(PeerError) as error:
        History.from_bytes(data)
    assert error.value.code in {"not-canonical", "bad-state-changes"}
