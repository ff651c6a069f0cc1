"""A node killed in the middle of attempts never has sent what it had not charged, nor lost a charge."""

import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from federation_of import CEREMONY, EIGHT, study
from safeborders_fed.audit.chain import Operation, verify
from safeborders_fed.audit.log import AuditLog
from safeborders_fed.node.caps import Caps
from safeborders_fed.node.door import Door
from safeborders_fed.node.ledger import Ledger
from safeborders_fed.privacy.bounded_sum import BoundedSum, BoundedSumBuilder
from safeborders_fed.study import canonical
from safeborders_fed.study.handshake import Head
from safeborders_fed.study.manifest import Manifest
from safeborders_fed.study.messages import Contribution, Round, decode

MANIFEST = study(
    participants=EIGHT,
    parameters={"target": "actual_victim", "features": ["sex"], "rounds": 1000},
    rho=2.0,
    retries=50,
)
CAPS = Caps(study=1e9, year=1e9, lifetime=1e9)


def open_node(directory: Path) -> tuple[Ledger, AuditLog, Door]:
    """As after a restart: recovery writes to the audit log what a crash kept from it."""
    ledger = Ledger(directory / "ledger.sqlite", CAPS)
    log = AuditLog(directory / "audit.jsonl", CEREMONY.identities["FI"].signing_key, "FI")

    def record() -> None:
        for key, facts in ledger.outbox():
            log.append_if_new(key, Operation.CONTRIBUTE, who="FI", why="test", details=facts)

    record()
    return ledger, log, Door(CEREMONY.identities["FI"], ledger, record)


def total(manifest: Manifest) -> BoundedSum:
    terms = manifest.terms("gradient")
    builder = BoundedSumBuilder(dimension=terms.dimension, bound=terms.bound, max_victims=10)
    builder.add_rows(np.full((3, terms.dimension), 7, dtype=np.int64))
    return builder.finish()


class Unmasked:
    """A session after the handshake, of a node that nobody masks with."""

    def check_heads(self, request: Round) -> dict[str, Head]:
        del request
        return {}

    def sign_head(self, head: Head) -> Head:
        return head

    def has_stated(self, head: Head) -> None:
        pass

    def mask(self, request: Round, dimension: int) -> np.ndarray:
        del request
        return np.zeros(dimension, dtype=np.uint64)


def answer_for_ever(directory: Path, first: int) -> None:
    """Answers attempts one after the other; what is sent goes to a file, whole lines at once."""
    ledger, _, door = open_node(directory)
    ledger.reserve(MANIFEST.id, MANIFEST.hash(), 1e6)
    sent = os.open(directory / "sent", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for attempt in range(first, first + 500):
        request = Round(MANIFEST.id, MANIFEST.hash(), "gradient", attempt, attempt, EIGHT, (), {}, {})
        digest = canonical.sha256(request.encode())
        outgoing = door.contribution(
            MANIFEST,
            request,
            digest,
            lambda: total(MANIFEST),
            Unmasked(),
        )
        message = decode(outgoing.data)
        assert isinstance(message, Contribution)
        os.write(sent, f"{message.attempt} {canonical.sha256(outgoing.data)}\n".encode())


def kill_often(directory: Path, kills: int, seed: int) -> None:
    rng = random.Random(seed)
    context = multiprocessing.get_context("fork")
    for _ in range(kills):
        first = 0
        path = directory / "ledger.sqlite"
        if path.exists():
            ledger = Ledger(path, CAPS)
            studies = ledger.studies()
            first = studies[0]["attempts"] if studies else 0
            ledger.close()
        process = context.Process(target=answer_for_ever, args=(directory, first))
        process.start()
        time.sleep(rng.random() * 0.2)  # from before the ledger is open to many attempts later
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()


def check(directory: Path) -> int:
    ledger, log, _ = open_node(directory)
    ledger.verify()
    rho = MANIFEST.terms("gradient").rho
    stored = {
        attempt: canonical.sha256(payload)
        for attempt, payload in ledger._db.execute("SELECT attempt, payload FROM contribution")
    }
    for line in (directory / "sent").read_text(encoding="ascii").splitlines():
        attempt, digest = line.split()
        assert stored[int(attempt)] == digest, "something was sent that was not charged, or other bytes"
    assert ledger.totals().spent == pytest.approx(rho * len(stored))
    log.close()
    verified = verify(directory / "audit.jsonl", [CEREMONY.roster.keys()["FI"]])
    logged = [
        entry["details"]["attempt"]
        for entry in map(json.loads, (directory / "audit.jsonl").read_bytes().splitlines())
        if entry["operation"] == "contribute"
    ]
    assert sorted(logged) == sorted(stored), "a charge is missing from the audit log, or there twice"
    assert verified.entries >= len(stored)
    return len(stored)


def test_fifty_kill_points(tmp_path: Path) -> None:
    kill_often(tmp_path, 50, seed=1)
    assert check(tmp_path) > 20


@pytest.mark.slow
def test_a_thousand_kill_points(tmp_path: Path) -> None:
    kill_often(tmp_path, 1000, seed=2)
    assert check(tmp_path) > 500
