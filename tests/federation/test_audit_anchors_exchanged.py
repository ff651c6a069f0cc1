"""Anchors of audit logs go with each study to all others, and a log that lost one keeps its node out."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from test_study_commands import POLICY, STATES, Scene, copy_site

from enrolment_samples import federation
from federation_of import EIGHT, MemoryStore, analysis_table
from safeborders_fed.audit.chain import Operation
from safeborders_fed.cli import main
from safeborders_fed.errors import ConfigurationError
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node.auditing import of_home
from safeborders_fed.node.backup import back_up
from safeborders_fed.node.checkup_records import audit_anchors
from safeborders_fed.node.restoring import restore
from safeborders_fed.node.settings import NodeSettings
from safeborders_fed.node.visit import Visit
from safeborders_fed.study.anchors import AnchorFile, kept
from safeborders_fed.study.key_files import load_key
from safeborders_fed.transport import control
from study_life import LOGISTIC, Life

STUDY = "tables-2026"


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four nodes and a coordinator after a study."""
    site = tmp_path_factory.mktemp("lived") / "site"
    federation(site, *STATES)
    for country in STATES:
        with (site / country / "node.toml").open("a", encoding="utf-8") as file:
            file.write(POLICY)
    with pytest.MonkeyPatch.context() as patch:
        scene = Scene(site, _Quiet())  # type: ignore[arg-type] - what it reads of capsys
        for country in STATES:
            node = NodeSettings.load(site / country).open_participant()
            node._store = MemoryStore(analysis_table(50, STATES.index(country)), 1000)  # type: ignore[assignment]
            scene.nodes[country] = node
        patch.setattr(control, "start", scene.start)
        scene.approved_by_all()
        assert scene.coordinator("launch", STUDY) == 0
        for node in scene.nodes.values():
            node._ledger.close()
            node._audit_log.close()
    return site


class _Quiet:
    def readouterr(self) -> None:
        return None


@pytest.fixture
def site(lived: Path, tmp_path: Path) -> Path:
    copy_site(lived, tmp_path / "site")
    return tmp_path / "site"


def settings(site: Path, country: str = "BE") -> NodeSettings:
    return NodeSettings.load(site / country)


def cut_log(site: Path, country: str = "BE") -> None:
    """The log up to the anchor of the study, as its owner signed it: a log that holds by itself."""
    path = site / country / "audit.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    at = [json.loads(line)["operation"] for line in lines].index("anchor")
    path.write_bytes(b"".join(lines[:at]))


def verify(*more: str) -> int:
    return main.run(["node", "audit", "verify", *more])


def test_coordinator_and_all_peers_keep_what_a_node_signed(site: Path) -> None:
    line = next(
        line
        for line in (site / "BE" / "audit.jsonl").read_bytes().splitlines()
        if json.loads(line)["operation"] == "anchor"
    )
    digest = hashlib.sha256(line).hexdigest()
    key = public_hex(load_key(settings(site).signing_key_path))
    holders = [site / "coordinator" / "studies" / STUDY]
    holders += [site / country / "studies" / STUDY for country in STATES if country != "BE"]
    for holder in holders:
        (found,) = kept(holder, "BE")
        assert found.joined.anchor == digest
        assert found.is_signed_by(key)
    assert kept(site / "BE" / "studies" / STUDY, "BE") == ()
    assert len(kept(site / "coordinator" / "studies" / STUDY)) == len(STATES)


def test_a_node_whose_log_was_cut_or_deleted_does_not_start(site: Path) -> None:
    settings(site).open_participant().audit_log.close()
    cut_log(site)
    before = (site / "BE" / "audit.jsonl").read_bytes()
    with pytest.raises(ConfigurationError, match=STUDY) as caught:
        settings(site).open_participant()
    assert caught.value.code == "audit-log-cut"
    assert (site / "BE" / "audit.jsonl").read_bytes() == before, "evidence stays as it is"
    (site / "BE" / "audit.jsonl").unlink()
    with pytest.raises(ConfigurationError) as caught:
        settings(site).open_participant()
    assert caught.value.code == "audit-log-cut"
    assert not (site / "BE" / "audit.jsonl").exists()


def test_a_doctor_says_so_and_leaves_no_trace(site: Path) -> None:
    visit = Visit(settings(site), datetime.now(UTC), running=False)
    assert [finding.level for finding in audit_anchors(visit)] == ["ok"]
    cut_log(site)
    with pytest.raises(ConfigurationError, match="audit-log-cut"):
        list(audit_anchors(visit))


def test_verify_at_home_needs_nothing_but_the_home(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = str(site / "BE")
    assert verify("--home", home, "--json") == 0
    assert json.loads(capsys.readouterr().out)["anchors"] == 1
    cut_log(site)
    assert verify("--home", home) == 4
    text = capsys.readouterr().err
    assert "audit-log-cut" in text
    assert f"study {STUDY}" in text
    assert "kept by this node's ledger as entry" in text


def test_whoever_cuts_log_and_ledger_is_found_by_what_peers_and_coordinator_keep(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    peers, centre = str(tmp_path / "ro.json"), str(tmp_path / "centre.json")
    of = ["--of", "BE", "--out", peers]
    assert main.run(["node", "audit", "anchors", "--home", str(site / "FI"), *of]) == 0
    out = ["--home", str(site / "coordinator"), "--out", centre]
    assert main.run(["coordinator", "study", "anchors", STUDY, *out]) == 0
    assert len(AnchorFile.from_bytes(Path(centre).read_bytes()).anchors) == len(STATES)
    (site / "BE" / "ledger.sqlite").unlink()
    log, key = str(site / "BE" / "audit.jsonl"), public_hex(load_key(settings(site).signing_key_path))
    given = ["--key", key, "--anchors", peers, "--anchors", centre]
    capsys.readouterr()
    assert verify(log, *given, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["anchors"], found["foreign_anchors"]) == (2, len(STATES) - 1)
    cut_log(site)
    assert verify(log, "--key", key) == 0, "by itself the log holds"
    assert verify(log, *given) == 4
    text = capsys.readouterr().err
    assert "kept by FI" in text
    assert "kept by the coordinator" in text
    assert "audit-log-cut" in text


def test_no_home_and_no_key_is_a_matter_of_usage(site: Path) -> None:
    assert verify() == 2
    assert verify(str(site / "BE" / "audit.jsonl")) == 2
    assert verify("--home", str(site / "BE"), "--key", "0" * 64) == 2
    out = ["--of", "XX", "--out", str(site / "x")]
    assert main.run(["node", "audit", "anchors", "--home", str(site / "FI"), *out]) == 2


def test_the_ledgers_head_that_a_node_joins_with_stands_for_its_anchor(tmp_path: Path) -> None:
    """The anchor is in the ledger before the head is stated: who cuts both lacks a head that others hold."""
    life = Life.begin(tmp_path)
    manifest = life.draft()
    life.publish(manifest)
    life.offer()
    life.approve(manifest)
    life.conduct()
    for node in life.nodes:
        ledger = life.nodes[node]._ledger
        (anchor,) = ledger.anchors.all()
        (found,) = kept(life.files().path, node)
        assert found.joined.anchor == anchor.hash
        assert found.joined.head.entries == 2, "reserved and anchored"
        assert ledger._journal.passed_through(found.joined.head)
        assert anchor.study == "study-1"


def test_each_session_anchors_once_and_a_repeated_join_not_again(tmp_path: Path) -> None:
    life = Life.begin(tmp_path)
    manifest = life.draft()
    life.publish(manifest)
    life.offer()
    life.approve(manifest)
    session = life.nodes["BE"]._from_disk(life.nodes["BE"]._offers, manifest.id, manifest.hash())  # type: ignore[arg-type]
    assert session is not None
    assert {session.session.join().anchor for _ in range(5)} == {session.session.join("0" * 32).anchor}
    lines = (tmp_path / "BE" / "BE.audit.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["operation"] for line in lines].count(Operation.ANCHOR) == 1


def test_a_restored_node_has_log_and_ledger_of_one_time(site: Path, tmp_path: Path) -> None:
    back_up(settings(site), tmp_path / "be.tar", "a test")
    restore(tmp_path / "be.tar", tmp_path / "again", "a test")
    again = NodeSettings.load(tmp_path / "again")
    again.open_participant().audit_log.close()
    source = of_home(again)
    assert len(source.anchors) == 1
    assert source.result().holds


def test_the_anchor_of_a_node_that_comes_later_is_kept_as_well(tmp_path: Path) -> None:
    life = Life.begin(tmp_path)
    manifest = life.draft(parameters={**LOGISTIC, "rounds": 6})
    life.publish(manifest)
    life.offer()
    life.approve(manifest)
    begun = life.calls
    life.before = lambda call: setattr(life, "silent", {"FI"} if call < begun + 4 else set())
    life.conduct()
    holders = [
        life.files().path,
        *(tmp_path / node / "studies" / manifest.id for node in EIGHT if node != "FI"),
    ]
    (anchor,) = life.nodes["FI"]._ledger.anchors.all()
    for holder in holders:
        assert [found.joined.anchor for found in kept(holder, "FI")] == [anchor.hash], holder
