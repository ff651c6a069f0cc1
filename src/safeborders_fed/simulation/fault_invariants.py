"""What must hold whatever fails: checked while a schedule runs, and after it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from safeborders_fed.coordinator.history import RELEASED, History
from safeborders_fed.errors import RefusedError
from safeborders_fed.node.session import witnesses_needed
from safeborders_fed.simulation.fault_nodes import Sent, SimulatedNode, holds
from safeborders_fed.simulation.fault_study import audit_file
from safeborders_fed.study import canonical
from safeborders_fed.study.manifest import Manifest
from safeborders_fed.study.messages import Round, decode


class BrokenInvariantError(AssertionError):
    """Something happened that must not, whatever fails."""


def check_leaving(node: SimulatedNode, others: Sequence[SimulatedNode], sent: Sent) -> None:
    """Holds a contribution that leaves a node against what its ledger holds at that moment.

    Raises:
        BrokenInvariantError: it is not charged, it is another one for the same attempt, or its node's ledger
            was put back and as many know it as guard a beginning.
    """
    request = decode(sent.request)
    if node.ledger is None or not isinstance(request, Round):
        raise BrokenInvariantError(f"{node.name} contributed without a ledger, or to no round")
    if not holds(node.ledger, request.key, sent):
        raise BrokenInvariantError(f"{node.name}'s contribution to attempt {request.attempt} is not charged")
    before = node.sent.get(request.attempt)
    if before is not None and before.data != sent.data:
        raise BrokenInvariantError(f"{node.name} sent two contributions to attempt {request.attempt}")
    if before is None and node.forgotten and not node.settled:
        _check_unnoticed(node, others)


def _check_unnoticed(node: SimulatedNode, others: Sequence[SimulatedNode]) -> None:
    """A ledger that was put back may go unnoticed only while too few have witnessed what it lost."""
    knowing = [
        other
        for other in others
        if other.ledger is not None
        and any(head.value in node.forgotten for head in other.ledger.witnesses.witnessed(node.name))
    ]
    manifest = node.prepared.manifest
    if len(knowing) >= witnesses_needed(len(manifest.participants), manifest.tolerated_colluders):
        names = ", ".join(other.name for other in knowing)
        raise BrokenInvariantError(f"{node.name} goes on with an old ledger, though {names} know it")


def check_sums(
    manifest: Manifest,
    history: History,
    nodes: Mapping[str, SimulatedNode],
    runs: Sequence[Sequence[NDArray[np.int64]]],
) -> None:
    """Each sum that a run of the coordinator took is that of the participants' inputs and noise.

    Raises:
        BrokenInvariantError: it is another one, or of too few.
    """
    expected = []
    for attempt in range(history.attempts()):
        answers, request = history.answers(attempt), decode(history.request(attempt))
        if answers is None or answers.failures or not isinstance(request, Round):
            continue
        if len(request.participants) < manifest.minimum_participants:
            raise BrokenInvariantError(f"attempt {attempt} has too few participants")
        for name in request.participants:
            sent = nodes[name].sent.get(attempt)
            if sent is None or sent.data != answers.contributions.get(name):
                raise BrokenInvariantError(f"attempt {attempt} counts what {name} never sent")
        expected.append(sum(nodes[name].sent[attempt].truth for name in request.participants))
    for totals in runs:
        for number, total in enumerate(totals):
            if number >= len(expected) or not np.array_equal(total, expected[number]):
                raise BrokenInvariantError(f"the sum of round {number + 1} is not that of inputs and noise")


def check_ledgers(manifest: Manifest, history: History, nodes: Mapping[str, SimulatedNode]) -> None:
    """Ledgers, audit logs and the coordinator's record agree.

    Raises:
        BrokenInvariantError: they do not.
    """
    requests = [history.request(attempt) for attempt in range(history.attempts())]
    asked = sum(manifest.terms(_round(data).stage).rho for data in requests)
    for node in nodes.values():
        if node.ledger is None:
            raise BrokenInvariantError(f"{node.name} cannot start again")
        node.ledger.verify()
        charged = {}
        for data in requests:
            request = _round(data)
            stored = _stored(node, request, data)
            if stored is not None:
                charged[request.attempt] = manifest.terms(request.stage).rho, canonical.sha256(stored)
        spent = node.ledger.totals(study=manifest.id).spent
        if not math.isclose(spent, math.fsum(rho for rho, _ in charged.values()), abs_tol=1e-12):
            raise BrokenInvariantError(f"{node.name}'s ledger has charged what the coordinator never asked")
        if spent > asked * (1 + 1e-9):
            raise BrokenInvariantError(f"{node.name} spent more than the coordinator knows")
        lost = {attempt for attempt, sent in node.sent.items() if sent.lost}
        if not node.sent.keys() - lost <= charged.keys():
            raise BrokenInvariantError(f"{node.name} sent what its ledger does not hold")
        owed = math.fsum(manifest.terms(_round(sent.request).stage).rho for sent in node.sent.values())
        if node.settled and node.ledger.totals().spent < owed * (1 - 1e-9):
            raise BrokenInvariantError(f"{node.name}'s people settled a dispute for less than was lost")
        _check_audit_log(node, charged)


def _check_audit_log(node: SimulatedNode, charged: Mapping[int, tuple[float, str]]) -> None:
    logged = []
    for line in audit_file(node.directory, node.name).read_bytes().splitlines():
        entry = json.loads(line)
        if entry["operation"] == "contribute":
            logged.append((entry["details"]["attempt"], entry["details"]["contribution"]))
    if len(set(logged)) != len(logged):
        raise BrokenInvariantError(f"{node.name}'s audit log has a charge twice")
    missing = {(attempt, digest) for attempt, (_, digest) in charged.items()} - set(logged)
    if missing:
        raise BrokenInvariantError(f"{node.name}'s audit log lacks {sorted(missing)}")
    sent = {(attempt, canonical.sha256(entry.data)) for attempt, entry in node.sent.items()}
    if not sent <= set(logged):
        raise BrokenInvariantError(f"{node.name} sent what its audit log does not hold")


def _round(data: bytes) -> Round:
    request = decode(data)
    if not isinstance(request, Round):
        raise BrokenInvariantError("the coordinator recorded what is no request")
    return request


def _stored(node: SimulatedNode, request: Round, data: bytes) -> bytes | None:
    try:
        return None if node.ledger is None else node.ledger.stored(request.key, canonical.sha256(data))
    except RefusedError:
        return None  # it answered a later attempt, and not this one


def check_end(history: History, outcome: str) -> None:
    """The study ended, and its record says how.

    Raises:
        BrokenInvariantError: it does not.
    """
    end = history.end()
    if outcome == "too-few-joined":
        if end is not None or history.attempts():
            raise BrokenInvariantError("a study that never began has a record")
    elif end is None or end.outcome != outcome:
        raise BrokenInvariantError(f"the study ended as {outcome}; its record says {end}")
    elif outcome == RELEASED and history.answers(history.attempts() - 1) is None:
        raise BrokenInvariantError("a study was released with an attempt under way")
