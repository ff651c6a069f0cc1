"""Recomputing a release from the record of its study, so that nobody need believe the coordinator.

Guarantees: pure. A release that ``replay`` returns follows from contributions that the roster's nodes signed
for exactly these attempts, asked with the broadcasts that follow from the sums before, with nobody's left out
or added. What does not fit is named by round and node.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from safeborders_fed.analyses.base import Analysis, Arrays, Release, Stage
from safeborders_fed.errors import PeerError
from safeborders_fed.study.manifest import Manifest
from safeborders_fed.study.messages import Round, decode
from safeborders_fed.study.model_file import Model
from safeborders_fed.study.record import DoneRound, Transcript
from safeborders_fed.study.sums import (
    TOLERANCE,
    add_up,
    check_contribution,
    implausible,
    is_plausible,
    same_array,
    same_arrays,
    stages_by_round,
    starting_arrays,
)

__all__ = ["Transcript", "compare_releases", "replay"]

_SMALLEST: Final = 1e-12


def replay(
    manifest: Manifest, transcript: Transcript, keys: Mapping[str, str], warm: Model | None = None
) -> Release:
    """The release of a finished study, recomputed.

    Args:
        manifest: The study as this node approved it.
        transcript: Its record.
        keys: Node name to public key (64 hexadecimal digits) that this node accepts.
        warm: The model that the manifest names to start from.

    Raises:
        PeerError: ``wrong-transcript``, ``missing-round``, ``wrong-attempts``, ``wrong-request``,
            ``wrong-broadcast``, ``wrong-contribution`` or ``implausible-sum``.
        RefusedError: ``wrong-warm-start``.
    """
    if (transcript.study, transcript.manifest_hash) != (manifest.id, manifest.hash()):
        raise _differs("wrong-transcript", "it is of another study, or of another manifest")
    analysis: Analysis[Any, Any, Any] = manifest.build_analysis()
    schedule = stages_by_round(analysis)
    if len(transcript.rounds) != len(schedule):
        raise _differs("missing-round", f"it has {len(transcript.rounds)} of {len(schedule)} rounds")
    state = analysis.start(manifest.setting(None if warm is None else starting_arrays(manifest, warm)))
    attempts = {}
    for number, (stage, done) in enumerate(zip(schedule, transcript.rounds, strict=True)):
        request = _request(manifest, done, number, stage, keys)
        if not same_arrays(request.broadcast, analysis.broadcast(state)):
            raise _differs(
                "wrong-broadcast",
                f"round {number + 1} asked with numbers that do not follow from those before",
            )
        attempts[request.attempt] = number
        total = add_up([_vector(done, node, request, stage, keys) for node in request.participants])
        count = len(request.participants)
        if not is_plausible(manifest, stage, total, count):
            raise implausible(manifest, stage)
        state = analysis.advance(state, total, manifest.noise(stage.name, count))
    _check_attempts(manifest, transcript, attempts, schedule)
    return analysis.result(state)


def _request(
    manifest: Manifest, done: DoneRound, number: int, stage: Stage, keys: Mapping[str, str]
) -> Round:
    """The request of a round, checked but for its broadcast."""
    try:
        request = decode(done.request)
    except PeerError as error:
        raise _differs("wrong-request", f"the request of round {number + 1} cannot be read") from error
    if not isinstance(request, Round) or request.key[:2] != (manifest.id, number):
        raise _differs("wrong-request", f"round {number + 1} is of another round or study")
    if (request.manifest_hash, request.stage) != (manifest.hash(), stage.name):
        raise _differs("wrong-request", f"round {number + 1} is of another manifest or stage")
    _check_participants(manifest, request, done)
    if not request.heads.keys() <= set(manifest.participants):
        raise _differs("wrong-request", f"round {number + 1} shows the ledger of a stranger")
    expected = request.participants if manifest.trust == "masked" else ()
    if tuple(key.node for key in request.keys) != expected:
        raise _differs("wrong-request", f"round {number + 1} has not its participants' study keys")
    if len({key.public for key in request.keys}) != len(request.keys):
        raise _differs("wrong-request", f"round {number + 1} has one study key twice")
    try:
        for node, head in request.heads.items():
            head.check(keys[node], node)
        _check_keys(manifest, request, keys)
    except PeerError as error:
        what = f"round {number + 1} holds a foreign signature ({error.code})"
        raise _differs("wrong-request", what) from error
    return request


def _check_participants(manifest: Manifest, request: Round, done: DoneRound) -> None:
    named = request.participants
    known = list(named) == sorted(set(named)) and set(named) <= set(manifest.participants)
    if not known or len(named) < manifest.minimum_participants:
        raise _differs(
            "wrong-request", f"round {request.round + 1} has participants that the manifest does not allow"
        )
    if set(done.contributions) != set(named):
        odd = ", ".join(sorted(set(done.contributions) ^ set(named)))
        raise _differs("wrong-contribution", f"round {request.round + 1} has one too many or too few: {odd}")


def _check_keys(manifest: Manifest, request: Round, keys: Mapping[str, str]) -> None:
    for key in request.keys:
        key.check(
            keys[key.node],
            node=key.node,
            study=manifest.id,
            manifest_hash=request.manifest_hash,
            roster_hash=manifest.roster_hash,
        )


def _vector(done: DoneRound, node: str, request: Round, stage: Stage, keys: Mapping[str, str]) -> Any:
    try:
        message = decode(done.contributions[node])
        return check_contribution(message, node, request, stage.dimension, keys[node]).vector
    except PeerError as error:
        raise _differs(
            "wrong-contribution",
            f"the contribution of {node} to round {request.round + 1} is not its own ({error.code})",
        ) from error


def _check_attempts(
    manifest: Manifest, transcript: Transcript, attempts: Mapping[int, int], schedule: list[Stage]
) -> None:
    """Every attempt is there once, failed ones with the round they belong to and their cost."""
    rounds = dict(attempts)
    for failed in transcript.failed:
        if failed.attempt in rounds or failed.round >= len(schedule) or not failed.failures:
            raise _differs("wrong-attempts", f"attempt {failed.attempt} is there twice or of no round")
        stage = schedule[failed.round].name
        if (failed.stage, failed.rho) != (stage, manifest.terms(stage).rho):
            raise _differs("wrong-attempts", f"attempt {failed.attempt} did not cost what the manifest says")
        rounds[failed.attempt] = failed.round
    in_order = [rounds[attempt] for attempt in sorted(rounds)]
    whole = sorted(rounds) == list(range(len(rounds))) and in_order == sorted(in_order)
    last = {number: max(a for a, r in rounds.items() if r == number) for number in set(in_order)}
    if not whole or any(last[number] != attempt for attempt, number in attempts.items()):
        raise _differs("wrong-attempts", "its attempts are not numbered one after the other, round by round")
    if len(transcript.failed) > manifest.retries:
        raise _differs("wrong-attempts", f"more attempts failed than the {manifest.retries} reserved")


def compare_releases(one: Release, other: Release) -> list[str]:
    """Names what differs between two releases by more than rounding on another machine: nothing if empty."""
    found = [] if one.kind == other.kind else ["kind"]
    found += _different(one.facts, other.facts, "facts")
    for name in sorted({*one.arrays, *other.arrays}):
        if name not in one.arrays or name not in other.arrays or not _same(one.arrays, other.arrays, name):
            found.append(f"arrays.{name}")
    return found


def _same(one: Arrays, other: Arrays, name: str) -> bool:
    return same_array(np.asarray(one[name], np.float64), np.asarray(other[name], np.float64))


def _different(one: Any, other: Any, where: str) -> list[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        found = [f"{where}.{name}" for name in sorted({*map(str, one.keys() ^ other.keys())})]
        for name in one.keys() & other.keys():
            found += _different(one[name], other[name], f"{where}.{name}")
        return sorted(found)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        return [
            entry
            for place, (left, right) in enumerate(zip(one, other, strict=True))
            for entry in _different(left, right, f"{where}[{place}]")
        ]
    if isinstance(one, float) or isinstance(other, float):
        numbers = all(
            isinstance(value, int | float) and not isinstance(value, bool) for value in (one, other)
        )
        if numbers and math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=_SMALLEST):
            return []
    elif type(one) is type(other) and one == other:
        return []
    return [where]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _differs(code: str, what: str) -> PeerError:
    return PeerError(
        code,
        f"the record of the study does not stand up to a replay: {what}",
        "do not use the release; ask the coordinator and the named node's team how this came about",
    )
