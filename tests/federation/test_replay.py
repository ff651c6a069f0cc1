"""Nodes recompute a release from the record of its study, and find whatever was changed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from federation_of import EIGHT, PUBLIC_KEYS, SIGNING_KEYS
from restarting import MASKED, ROUNDS, Carrier, make, run
from safeborders_fed.analyses.base import Release
from safeborders_fed.coordinator.history import History
from safeborders_fed.errors import ConfigurationError, PeerError
from safeborders_fed.study import bundle
from safeborders_fed.study import record as recording
from safeborders_fed.study.manifest import Manifest
from safeborders_fed.study.messages import Contribution, Round, decode
from safeborders_fed.study.record import DoneRound
from safeborders_fed.study.transcript import Transcript, compare_releases, replay


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Transcript, Release]:
    """A study in which FI fell silent once and came back."""
    directory = tmp_path_factory.mktemp("study")
    carrier = Carrier({node: make(directory, node) for node in EIGHT})
    carrier.before = lambda call: setattr(carrier, "silent", {"FI"} if call == 4 else set())
    outcome = run(carrier, directory / "history")
    assert outcome.attempts == ROUNDS + 1
    return History(directory / "history").transcript(MASKED), outcome.release


def test_the_release_is_recomputed_from_what_nodes_signed(finished: tuple[Transcript, Release]) -> None:
    record, release = finished
    again = replay(MASKED, Transcript.from_parts(record.parts()), PUBLIC_KEYS)
    assert compare_releases(release, again) == []
    (failed,) = record.failed
    assert (failed.attempt, failed.round, failed.failures) == (1, 1, {"FI": "no-reply"})
    assert failed.rho == MASKED.terms(failed.stage).rho
    assert len(record.contributions_of("BE")) == ROUNDS
    assert len(record.contributions_of("FI")) < ROUNDS


def edit(record: Transcript, number: int, done: DoneRound) -> Transcript:
    return replace(record, rounds=(*record.rounds[:number], done, *record.rounds[number + 1 :]))


def with_contribution(record: Transcript, number: int, node: str, data: bytes) -> Transcript:
    done = record.rounds[number]
    return edit(record, number, replace(done, contributions={**done.contributions, node: data}))


def with_request(record: Transcript, number: int, **changes: object) -> Transcript:
    request = decode(record.rounds[number].request)
    assert isinstance(request, Round)
    changed = replace(request, **changes)  # type: ignore[arg-type] - tests pass wrong values too
    return edit(record, number, replace(record.rounds[number], request=changed.encode()))


def contribution(record: Transcript, number: int, node: str) -> Contribution:
    found = decode(record.rounds[number].contributions[node])
    assert isinstance(found, Contribution)
    return found


def altered_vector(record: Transcript) -> Transcript:
    found = contribution(record, 2, "GR")
    return with_contribution(record, 2, "GR", replace(found, vector=found.vector + np.uint64(1)).encode())


def foreign_signature(record: Transcript) -> Transcript:
    found = contribution(record, 2, "GR").signed(SIGNING_KEYS["IT"])
    return with_contribution(record, 2, "GR", found.encode())


def of_another_round(record: Transcript) -> Transcript:
    return with_contribution(record, 2, "GR", record.rounds[3].contributions["GR"])


def of_another_node(record: Transcript) -> Transcript:
    return with_contribution(record, 2, "GR", record.rounds[2].contributions["IT"])


def vector_signed_anew(record: Transcript) -> Transcript:
    """A node that changes its mind afterwards: the masks no longer cancel, or the sum is another."""
    found = contribution(record, 2, "GR")
    vector = found.vector + np.uint64(2**60)
    return with_contribution(
        record, 2, "GR", replace(found, vector=vector).signed(SIGNING_KEYS["GR"]).encode()
    )


def left_out(record: Transcript) -> Transcript:
    done = record.rounds[2]
    left = {node: data for node, data in done.contributions.items() if node != "GR"}
    return edit(record, 2, replace(done, contributions=left))


def unreadable(record: Transcript) -> Transcript:
    return edit(record, 2, replace(record.rounds[2], request=b"x"))


def exchanged_broadcast(record: Transcript) -> Transcript:
    request = decode(record.rounds[3].request)
    assert isinstance(request, Round)
    shifted = {name: array + 1e-6 for name, array in request.broadcast.items()}
    return with_request(record, 3, broadcast=shifted)


def missing_round(record: Transcript) -> Transcript:
    return replace(record, rounds=record.rounds[:-1])


def rounds_in_another_order(record: Transcript) -> Transcript:
    first, second, *others = record.rounds
    return replace(record, rounds=(second, first, *others))


def participants_fewer(record: Transcript) -> Transcript:
    return with_request(record, 2, participants=EIGHT[:3])


def a_key_less(record: Transcript) -> Transcript:
    request = decode(record.rounds[3].request)
    assert isinstance(request, Round)
    return with_request(record, 3, keys=request.keys[1:])


def a_key_twice(record: Transcript) -> Transcript:
    request = decode(record.rounds[3].request)
    assert isinstance(request, Round)
    first, second, *others = request.keys
    return with_request(record, 3, keys=(first, replace(second, public=first.public), *others))


def a_key_of_nobody(record: Transcript) -> Transcript:
    request = decode(record.rounds[3].request)
    assert isinstance(request, Round)
    first, *others = request.keys
    return with_request(record, 3, keys=(replace(first, public="1" + "0" * 63), *others))


def a_head_of_nobody(record: Transcript) -> Transcript:
    request = decode(record.rounds[3].request)
    assert isinstance(request, Round)
    head = request.heads["BE"].model_copy(update={"entries": 77})
    return with_request(record, 3, heads={**request.heads, "BE": head})


def a_head_of_a_stranger(record: Transcript) -> Transcript:
    request = decode(record.rounds[3].request)
    assert isinstance(request, Round)
    return with_request(record, 3, heads={**request.heads, "XX": request.heads["BE"]})


def another_manifest(record: Transcript) -> Transcript:
    return replace(record, manifest_hash="0" * 64)


def failure_hidden(record: Transcript) -> Transcript:
    return replace(record, failed=())


def failure_cheaper(record: Transcript) -> Transcript:
    cheaper = record.failed[0].model_copy(update={"rho": record.failed[0].rho / 2})
    return replace(record, failed=(cheaper,))


def failure_twice(record: Transcript) -> Transcript:
    return replace(record, failed=record.failed * 2)


def failure_of_another_round(record: Transcript) -> Transcript:
    later = decode(record.rounds[3].request)
    assert isinstance(later, Round)
    terms = MASKED.terms(later.stage)
    moved = record.failed[0].model_copy(update={"round": 3, "stage": terms.name, "rho": terms.rho})
    return replace(record, failed=(moved,))


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        (altered_vector, "wrong-contribution", "GR to round 3"),
        (foreign_signature, "wrong-contribution", "GR to round 3"),
        (of_another_round, "wrong-contribution", "GR to round 3"),
        (of_another_node, "wrong-contribution", "GR to round 3"),
        (vector_signed_anew, "implausible-sum", "stage"),
        (left_out, "wrong-contribution", "round 3 .*: GR"),
        (unreadable, "wrong-request", "round 3"),
        (exchanged_broadcast, "wrong-broadcast", "round 4"),
        (missing_round, "missing-round", "5 of 6 rounds"),
        (rounds_in_another_order, "wrong-request", "round 1"),
        (participants_fewer, "wrong-request", "round 3"),
        (a_key_less, "wrong-request", "round 4"),
        (a_key_twice, "wrong-request", "round 4"),
        (a_key_of_nobody, "wrong-request", "round 4 holds a foreign signature"),
        (a_head_of_nobody, "wrong-request", "round 4 holds a foreign signature"),
        (a_head_of_a_stranger, "wrong-request", "round 4"),
        (another_manifest, "wrong-transcript", "another manifest"),
        (failure_hidden, "wrong-attempts", "one after the other"),
        (failure_cheaper, "wrong-attempts", "attempt 1 did not cost"),
        (failure_twice, "wrong-attempts", "attempt 1 is there twice"),
        (failure_of_another_round, "wrong-attempts", "one after the other"),
    ],
)
def test_whatever_was_changed_is_found_and_named(
    finished: tuple[Transcript, Release], change: Callable[[Transcript], Transcript], code: str, says: str
) -> None:
    changed = change(finished[0])
    with pytest.raises(PeerError, match=says) as caught:
        replay(MASKED, Transcript.decode(changed.encode()), PUBLIC_KEYS)
    assert caught.value.code == code


def test_a_key_that_this_node_does_not_accept_is_found(finished: tuple[Transcript, Release]) -> None:
    keys = {**PUBLIC_KEYS, "GR": PUBLIC_KEYS["IT"]}
    with pytest.raises(PeerError, match="foreign signature"):
        replay(MASKED, finished[0], keys)


def test_a_small_change_of_a_signed_vector_gives_another_release(
    finished: tuple[Transcript, Release],
) -> None:
    """Below what is implausible only the release itself tells, and the next broadcast."""
    record, _ = finished
    found = contribution(record, 2, "GR")
    changed = replace(found, vector=found.vector + np.uint64(2**20)).signed(SIGNING_KEYS["GR"]).encode()
    with pytest.raises(PeerError, match="do not follow"):
        replay(MASKED, with_contribution(record, 2, "GR", changed), PUBLIC_KEYS)
    last = contribution(record, ROUNDS - 1, "GR")
    changed = replace(last, vector=last.vector + np.uint64(2**16)).signed(SIGNING_KEYS["GR"]).encode()
    other = replay(MASKED, with_contribution(record, ROUNDS - 1, "GR", changed), PUBLIC_KEYS)
    assert compare_releases(finished[1], other)


@pytest.mark.parametrize(
    ("facts", "arrays", "differs"),
    [
        ({}, {}, []),
        ({"n": 4}, {}, ["facts.n"]),
        ({"n": 3.0}, {}, []),
        ({"n": True}, {}, ["facts.n"]),
        ({"names": ["a", "c"]}, {}, ["facts.names[1]"]),
        ({"names": ["a"]}, {}, ["facts.names"]),
        ({"part": {"x": 0.5 + 1e-12}}, {}, []),
        ({"part": {"x": 0.5 + 1e-6}}, {}, ["facts.part.x"]),
        ({"part": {"x": 0.5, "y": 1}}, {}, ["facts.part.y"]),
        ({"more": None}, {}, ["facts.more"]),
        ({}, {"w": np.array([1.0, np.nan, 1e-30])}, []),
        ({}, {"w": np.array([1.0, 2.0, 0.0])}, ["arrays.w"]),
        ({}, {"w": np.array([1.0 + 1e-8, np.nan, 0.0])}, ["arrays.w"]),
        ({}, {"w": np.array([1.0, np.nan])}, ["arrays.w"]),
        ({}, {"v": np.array([1.0])}, ["arrays.v"]),
    ],
)
def test_releases_are_compared_but_for_rounding(
    facts: dict[str, object], arrays: dict[str, np.ndarray], differs: list[str]
) -> None:
    whole = {"n": 3, "names": ["a", "b"], "part": {"x": 0.5}}
    one = Release("k", whole, {"w": np.array([1.0, np.nan, 0.0])})
    other = Release("k", {**whole, **facts}, {**one.arrays, **arrays})
    assert compare_releases(one, other) == differs
    assert compare_releases(other, one) == differs
    assert compare_releases(one, Release("l", whole, one.arrays)) == ["kind"]


def test_parts_are_small_and_whole(
    finished: tuple[Transcript, Release], monkeypatch: pytest.MonkeyPatch
) -> None:
    record, _ = finished
    assert all(len(part) <= 4 * 2**20 for part in record.parts())
    monkeypatch.setattr(recording, "LARGEST_PART", 4096 + 5000)
    parts = record.parts()
    assert len(parts) > 5
    assert all(len(part) <= 4096 + 5000 for part in parts)
    assert Transcript.from_parts(parts[::-1]) == record
    changed = bytearray(parts[1])
    changed[-1] ^= 1
    other = replace(record, study="other").parts()
    for wrong in (
        parts[:-1],
        [],
        [*parts, parts[0]],
        [parts[0], bytes(changed), *parts[2:]],
        [*parts[:-1], other[-1]],
        [b"x"],
        [bundle.pack({"type": "transcript-part"}, [b""])],
    ):
        with pytest.raises(PeerError):
            Transcript.from_parts(wrong)


@pytest.mark.parametrize("data", [b"", b"SBFB", bundle.pack({}, []), bundle.pack({"type": 1}, [b"x"])])
def test_bytes_that_are_no_record_are_refused(data: bytes) -> None:
    with pytest.raises(PeerError):
        Transcript.decode(data)


def test_no_record_of_a_study_that_was_not_released(tmp_path: Path) -> None:
    manifest: Manifest = MASKED
    with pytest.raises(ConfigurationError, match="not released"):
        History(tmp_path / "history").transcript(manifest)
