"""What must hold after every fault: charges, records and releases agree, and nothing took too long."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from loopback import Loopback

from safeborders_fed.audit.chain import Operation
from safeborders_fed.audit.chain import verify as verify_log
from safeborders_fed.audit.export import lines_after
from safeborders_fed.coordinator.history import History
from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.coordinator.study_files import StudyFiles
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node.settings import NodeSettings
from safeborders_fed.study import canonical, release_file
from safeborders_fed.study.key_files import load_key
from safeborders_fed.study.messages import Round, decode
from safeborders_fed.study.transcript import compare_releases, replay

MARGIN = 30.0
"""Seconds beyond the deadline that a round may take on a machine that others use, too: it must not hang."""


def files_of(made: Loopback, study: str) -> StudyFiles:
    return StudyFiles(CoordinatorHome.load(made.coordinator.home), study)


def history_of(made: Loopback, study: str) -> History:
    return History(files_of(made, study).history)


def asked(made: Loopback, study: str) -> int:
    """How many attempts were asked."""
    return len(list(files_of(made, study).history.glob("*.request")))


def charged(made: Loopback, node: str, study: str) -> set[int]:
    """Attempts that a node's ledger has charged, read while its service runs."""
    path = made.nodes[node].home / "ledger.sqlite"
    database = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=10)
    try:
        rows = database.execute("SELECT attempt FROM contribution WHERE study = ?", (study,))
        return {attempt for (attempt,) in rows}
    finally:
        database.close()


def check(made: Loopback, study: str, *, waited: tuple[int, ...] = ()) -> None:
    """Everything that must hold of a study, however it ended.

    Args:
        made: The federation.
        study: The study.
        waited: Attempts during which the coordinator itself was away, which the deadline does not bind.
    """
    state = made.state(study)
    check_charges(made, study)
    check_times(made, study, waited)
    if state.state == "finished":
        check_release(made, study, state.delivered)
    else:
        assert not files_of(made, study).release.exists(), "a study that did not finish has published"


def check_charges(made: Loopback, study: str) -> None:
    """Every contribution on record is in its node's ledger and audit log, with its price, to the byte."""
    history, manifest = history_of(made, study), files_of(made, study).published()
    received: dict[str, dict[int, tuple[bytes, float]]] = {node: {} for node in made.nodes}
    for attempt in range(history.attempts()):
        request, answers = decode(history.request(attempt)), history.answers(attempt)
        assert isinstance(request, Round)
        for node, data in ({} if answers is None else answers.contributions).items():
            received[node][attempt] = data, manifest.terms(request.stage).rho
    for node, contributions in received.items():
        settings = NodeSettings.load(made.nodes[node].home)
        ledger = settings.open_ledger()  # verified from its first entry to its last
        try:
            kept, spent = ledger.answers(study), ledger.totals(study=study).spent
        finally:
            ledger.close()
        logged = _logged(settings, study)
        for attempt, (data, rho) in contributions.items():
            assert kept.get(attempt) == data, f"{node} did not charge attempt {attempt} as it was received"
            facts = logged.get(attempt)
            assert facts is not None, f"attempt {attempt} is not in the audit log of {node}"
            assert (facts["rho"], facts["contribution"]) == (rho, canonical.sha256(data))
        assert spent >= sum(rho for _, rho in contributions.values()) * (1 - 1e-9)
        assert spent <= manifest.rho * (1 + 1e-9)
        assert kept.keys() - logged.keys() <= {max(kept, default=0)}, f"{node} charged what it did not log"


def _logged(settings: NodeSettings, study: str) -> dict[int, dict[str, Any]]:
    """Contributions to a study in an audit log whose chain and signatures hold."""
    verify_log(settings.audit_path, [public_hex(load_key(settings.signing_key_path))])
    entries = [json.loads(line) for line in lines_after(settings.audit_path, 0)]
    found = [
        entry["details"]
        for entry in entries
        if entry["operation"] == Operation.CONTRIBUTE and entry["details"]["study"] == study
    ]
    logged = {facts["attempt"]: facts for facts in found}
    assert len(logged) == len(found), "an attempt was logged twice"
    return logged


def check_times(made: Loopback, study: str, waited: tuple[int, ...]) -> None:
    """No attempt took longer than the deadline, and a little."""
    directory = files_of(made, study).history
    for attempt in range(history_of(made, study).attempts()):
        answers = directory / f"{attempt:04}.answers"
        if attempt in waited or not answers.exists():
            continue
        took = answers.stat().st_mtime - (directory / f"{attempt:04}.request").stat().st_mtime
        assert took <= made.deadline + MARGIN, f"attempt {attempt} took {took:.1f} s"


def check_release(made: Loopback, study: str, delivered: tuple[str, ...]) -> None:
    """The release follows from the record, here and at a node that was given it."""
    files = files_of(made, study)
    manifest = files.published()
    published = release_file.from_bytes(files.release.read_bytes())
    again = replay(manifest, history_of(made, study).transcript(manifest), files.roster().keys())
    document = release_file.from_bytes(release_file.to_bytes(again, manifest))
    assert compare_releases(document.release, published.release) == []
    assert delivered, "no node was given the record"
    verified = made.node_command(delivered[0], "study", "verify", study)
    assert verified["rounds"] == sum(stage.rounds for stage in manifest.stages)
