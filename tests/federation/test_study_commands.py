"""A study as people live it: the commands of both sides, with the nodes' services running all the while."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from enrolment_samples import WORDS, federation
from federation_of import EXPIRES, MemoryStore, analysis_table
from safeborders_fed.cli import main
from safeborders_fed.coordinator.federation import NOBODY
from safeborders_fed.coordinator.home import CoordinatorHome
from safeborders_fed.coordinator.studies import conduct, offer
from safeborders_fed.coordinator.study_files import StudyFiles
from safeborders_fed.errors import PeerError, RefusedError, UsageError
from safeborders_fed.node.approvals import load_approver_key
from safeborders_fed.node.approvers import revoke
from safeborders_fed.node.deciding import approve_study
from safeborders_fed.node.desks import open_desk
from safeborders_fed.node.participant import Participant
from safeborders_fed.node.settings import NodeSettings
from safeborders_fed.study.machine import user
from safeborders_fed.transport import control

STATES = ("BE", "BG", "FI", "GR")
POLICY = """
[policy]
analyses = ["trends"]
columns = ["registration_date", "forms_of_exploitation", "age_band", "trafficking_status"]
epsilon_per_study = 1.0
epsilon_per_year = 2.0
epsilon_lifetime = 3.0
delta = 1e-6
minimum_participants = 2
purposes = ["victim-identification", "modus-operandi", "statistics", "early-warning", "evaluation"]
populations = ["all", "minors"]
least_victims = 0
least_tolerated_colluders = 1
"""


KEYS: dict[bytes, Ed25519PrivateKey] = {}


def approver_key(path: Path) -> Ed25519PrivateKey:
    """A key under its passphrase, which takes its time on purpose: once for all tests."""
    content = path.read_bytes()
    if content not in KEYS:
        KEYS[content] = load_approver_key(path, WORDS)
    return KEYS[content]


@dataclass
class Scene:
    """Four states and a coordinator whose service is this process."""

    directory: Path
    capsys: pytest.CaptureFixture[str]
    nodes: dict[str, Participant] = field(default_factory=dict)
    started: list[tuple[str, str]] = field(default_factory=list)
    cut_at: int = -1
    running: bool = True

    def ask(self, requests: dict[str, bytes], optional: Any = NOBODY) -> dict[str, bytes]:
        self.cut_at -= 1
        if self.cut_at == 0:
            raise SystemExit
        return {node: self.nodes[node].answer(data).data for node, data in {**requests, **optional}.items()}

    def online(self) -> frozenset[str]:
        return frozenset(self.nodes)

    def start(self, home: CoordinatorHome, action: str, study: str) -> None:
        if not self.running:
            raise PeerError("coordinator-not-running", "the coordinator's service does not run", "start it")
        self.started.append((action, study))
        (offer if action == "offer" else conduct)(home, study, self)

    def coordinator(self, *arguments: str) -> int:
        home = ("--home", str(self.directory / "coordinator"))
        self.capsys.readouterr()
        return main.run(["coordinator", "study", *arguments, *home])

    def node(self, country: str, *arguments: str) -> int:
        self.capsys.readouterr()
        return main.run(["node", "study", *arguments, "--home", str(self.directory / country)])

    def text(self) -> str:
        read = self.capsys.readouterr()
        return read.out + read.err

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.capsys.readouterr().out.splitlines()]

    def content(self) -> dict[str, Any]:
        (found,) = self.lines()
        return found

    def draft(self, study: str = "tables-2026", *more: str) -> int:
        parameters = self.directory / "parameters.toml"
        parameters.write_text("first_year = 2018\nlast_year = 2025\n", encoding="utf-8")
        what = ["--analysis", "trends", "--epsilon", "0.5", "--parameters", str(parameters)]
        why = [
            "--purpose",
            "Tables for the yearly report",
            "--legal-basis",
            "Directive 2011/36/EU, article 19",
        ]
        how = ["--expires", EXPIRES.isoformat(), "--tick", "0.25", "--max-victims", "1000", "--by", "Olga"]
        return self.coordinator("draft", study, *what, *why, *how, *more)

    def hash(self, study: str = "tables-2026") -> str:
        home = CoordinatorHome.load(self.directory / "coordinator")
        return StudyFiles(home, study).manifest().hash()

    def publish(self, study: str = "tables-2026", *more: str) -> int:
        key = ["--key-file", str(self.directory / "olga")]
        return self.coordinator("publish", study, "--by", "Olga", *key, "--hash", self.hash(study), *more)

    def person(self, country: str, name: str) -> list[str]:
        passphrase = self.directory / "words"
        passphrase.write_text(WORDS, encoding="utf-8")
        key = str(self.directory / f"{country}-{name}.pem")
        return ["--name", name, "--key", key, "--passphrase-file", str(passphrase)]

    def approve(self, country: str, name: str, *more: str, study: str = "tables-2026") -> int:
        given = more if "--hash" in more else ("--hash", self.hash(study), *more)
        return self.node(country, "approve", study, *self.person(country, name), *given)

    def refuse(self, country: str, name: str, reason: str, study: str = "tables-2026") -> int:
        given = ["--reason", reason, "--hash", self.hash(study)]
        return self.node(country, "refuse", study, *self.person(country, name), *given)

    def approved_by_all(self) -> None:
        assert self.draft() == 0
        assert self.publish() == 0
        for country in STATES:
            desk = open_desk(NodeSettings.load(self.directory / country))
            for name in ("Anna", "Boris"):
                key = approver_key(self.directory / f"{country}-{name}.pem")
                signed = {"manifest_hash": self.hash(), "name": name, "key": key, "valid": timedelta(days=1)}
                approve_study(desk, "tables-2026", **signed)
            desk.ledger.close()


@pytest.fixture(scope="module")
def enrolled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("site")
    federation(directory, *STATES)
    for country in STATES:
        with (directory / country / "node.toml").open("a", encoding="utf-8") as file:
            file.write(POLICY)
    return directory


@pytest.fixture
def scene(
    enrolled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Scene]:
    directory = tmp_path / "site"
    copy_site(enrolled, directory)
    scene = Scene(directory, capsys)
    for country in STATES:
        node = NodeSettings.load(directory / country).open_participant()
        node._store = MemoryStore(analysis_table(50, STATES.index(country)), 1000)  # type: ignore[assignment]
        scene.nodes[country] = node
    monkeypatch.setattr(control, "start", scene.start)
    yield scene
    for node in scene.nodes.values():
        node._ledger.close()
        node._audit_log.close()


def copy_site(source: Path, target: Path) -> None:
    """Settings name their key files by absolute paths: the copy's are in the copy."""
    shutil.copytree(source, target)
    for path in [*target.glob("*/node.toml"), *target.glob("*/coordinator.toml")]:
        path.write_text(path.read_text(encoding="utf-8").replace(str(source), str(target)), encoding="utf-8")


def test_both_sides_are_shown_the_same_expected_accuracy(scene: Scene) -> None:
    assert scene.draft("tables-2026", "--json") == 0
    drafted = scene.content()["expected"]
    assert drafted["figures"]
    assert scene.publish() == 0
    assert scene.coordinator("show", "tables-2026", "--json") == 0
    assert scene.content()["expected"] == drafted
    assert scene.node("BE", "show", "tables-2026", "--json") == 0
    assert scene.content()["expected"] == drafted
    assert scene.node("BE", "show", "tables-2026", "--assume-victims", "0") == 2
    assert "--assume-victims" in scene.text()
    assert scene.draft("tables-2027", "--assume-victims", "0") == 2
    assert scene.coordinator("show", "tables-2027") == 2, "a draft that was refused is not there"


def test_from_draft_to_verified_release_by_commands_alone(scene: Scene) -> None:
    assert scene.draft() == 0
    text = scene.text()
    for part in ("epsilon 0.5 at delta 1e-06", "95% margin of a count by total", scene.hash(), "Hash"):
        assert part in text
    assert scene.publish() == 0
    assert scene.started == [("offer", "tables-2026")]
    assert scene.node("BE", "list", "--json") == 0
    (row,) = scene.content()["studies"]
    assert (row["study"], row["status"], row["approved"]) == ("tables-2026", "pending", "0 of 2")
    assert scene.node("BE", "show", "tables-2026") == 0
    text = scene.text()
    for part in (
        "Tables for the yearly report",
        "Directive 2011/36/EU, article 19",
        "registration_date",
        "BE BG FI GR; at least 3 of them",
        "Population",
        "Costs here",
        "this year",
        scene.hash(),
    ):
        assert part in text
    for country in STATES:
        assert scene.approve(country, "Anna", "--json") == 0
        assert scene.content()["missing"] == 1
        assert scene.approve(country, "Boris") == 0
        assert "It starts when the coordinator launches it." in scene.text()
    assert scene.coordinator("launch", "tables-2026") == 0
    text = scene.text()
    assert "Z round 1/1 · 4 of 4 states · 00:" in text
    assert "epsilon 0." in text
    assert "Study tables-2026 is finished" in text
    for country in STATES:
        assert scene.node(country, "verify", "tables-2026") == 0
        text = scene.text()
        assert "is right" in text
        assert f"1 contributions of {country}" in text
        assert "Not checked" in text
    assert scene.node("BE", "verify", "tables-2026", "--json") == 0
    assert scene.content()["rounds"] == 1
    log = (scene.directory / "BE" / "audit.jsonl").read_text(encoding="utf-8")
    assert [json.loads(line)["operation"] for line in log.splitlines()][-6:] == [
        "approve",
        "anchor",
        "contribute",
        "study-end",
        "study-state",  # it is running
        "study-state",  # it is finished
    ]
    assert scene.coordinator("list", "--json") == 0
    (row,) = scene.content()["studies"]
    assert (row["state"], row["approved"]) == ("finished", list(STATES))
    assert scene.node("BE", "show", "tables-2026", "--json") == 0
    assert scene.content()["status"] == "ended"


def test_what_is_left_counts_a_study_once(scene: Scene) -> None:
    scene.approved_by_all()
    left = []
    for launch in (False, True):
        if launch:
            assert scene.coordinator("launch", "tables-2026") == 0
        assert scene.node("BE", "show", "tables-2026", "--json") == 0
        left.append(scene.content()["epsilon_left_lifetime"])
    assert left[0] <= left[1]
    assert left[0] == pytest.approx(left[1], rel=0.2)  # the retries were given back


def test_a_refusal_is_shown_to_both_sides_and_stands(scene: Scene) -> None:
    assert scene.draft() == 0
    assert scene.publish() == 0
    assert scene.refuse("FI", "Anna", "legal-basis") == 0
    assert "refused study tables-2026 (legal-basis)" in scene.text()
    assert scene.approve("FI", "Boris") == RefusedError.exit_code
    assert scene.coordinator("offer", "tables-2026") == 0
    assert scene.coordinator("show", "tables-2026") == 0
    assert "FI: refused (legal-basis)" in scene.text()
    assert scene.coordinator("show", "tables-2026", "--json") == 0
    assert scene.content()["state"]["nodes"]["FI"]["reason"] == "legal-basis"
    assert scene.node("FI", "show", "tables-2026") == 0
    assert "Refused by:  Anna" in scene.text()
    log = (scene.directory / "FI" / "audit.jsonl").read_text(encoding="utf-8")
    assert json.loads(log.splitlines()[-1])["operation"] == "refuse"


def test_a_launch_without_approvals_says_who_is_missing_with_one_error(scene: Scene) -> None:
    assert scene.draft() == 0
    assert scene.publish() == 0
    assert scene.coordinator("launch", "tables-2026", "--json") == PeerError.exit_code
    *rows, last = scene.lines()
    assert [set(row) for row in rows] == [{"schema_version", "status"}] * len(rows)
    assert last["error"]["code"] == "too-few-approvals"
    assert "BE: pending" in last["error"]["cause"]
    assert scene.coordinator("show", "tables-2026") == 0
    text = scene.text()
    assert "Last error [too-few-approvals]" in text
    assert "published" in text


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--expires", "2020-12-31"], "2020-12-31, is past"),
        (["--purpose", ""], "purpose"),
    ],
)
def test_a_draft_that_no_study_can_be_is_refused_in_words(scene: Scene, more: list[str], named: str) -> None:
    assert scene.draft("tables-2026", *more) == UsageError.exit_code
    text = scene.text()
    assert "[bad-terms]" in text
    assert named in text


def test_a_name_that_no_study_can_have_is_refused_in_words(scene: Scene) -> None:
    assert scene.draft("Tables_2026") == UsageError.exit_code
    assert "[bad-terms]: no such study can be drafted: id" in scene.text()


def test_json_lines_end_in_exactly_one_summary(scene: Scene) -> None:
    scene.approved_by_all()
    assert scene.coordinator("launch", "tables-2026", "--json") == 0
    *rows, last = scene.lines()
    assert [row["status"]["kind"] for row in rows] == ["started", "offered", "round", "delivered"]
    assert set(last) == {"schema_version", "summary"}
    assert last["summary"]["state"] == "finished"
    assert scene.coordinator("watch", "tables-2026", "--json") == 0
    assert scene.lines()[-1] == last


def test_a_run_that_was_cut_off_is_resumed(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.approved_by_all()

    scene.cut_at = 5
    with pytest.raises(SystemExit):
        scene.coordinator("launch", "tables-2026", "--detach")
    monkeypatch.setattr("time.sleep", lambda _: None)
    assert scene.coordinator("watch", "tables-2026", "--json") == PeerError.exit_code
    assert scene.lines()[-1]["error"]["code"] == "run-interrupted"
    assert scene.coordinator("launch", "tables-2026") == RefusedError.exit_code
    assert "study resume tables-2026" in scene.text()
    assert scene.coordinator("resume", "tables-2026") == 0
    assert "is finished" in scene.text()
    assert scene.node("GR", "verify", "tables-2026") == 0


def test_an_interruption_ends_the_watching_and_not_the_run(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.approved_by_all()
    home = CoordinatorHome.load(scene.directory / "coordinator")
    files = StudyFiles(home, "tables-2026")

    def start(home: CoordinatorHome, action: str, study: str) -> None:
        del home, action, study
        files.tell({**ROW, "kind": "started"})

    def interrupt(seconds: float) -> None:
        del seconds
        raise KeyboardInterrupt

    monkeypatch.setattr(control, "start", start)
    monkeypatch.setattr("time.sleep", interrupt)
    with files.lock():
        assert scene.coordinator("launch", "tables-2026") == main.INTERRUPTED
    text = scene.text()
    assert "The run goes on." in text
    assert "study watch tables-2026" in text


ROW = {"time": "2026-01-01T00:00:00.000", "study": "tables-2026", "rounds": 1, "nodes": list(STATES)}


def test_a_study_is_withdrawn_and_its_nodes_are_told(scene: Scene) -> None:
    scene.approved_by_all()
    assert scene.coordinator("withdraw", "tables-2026", "--reason", "not needed", "--by", "Olga") == 0
    assert scene.started[-1] == ("conduct", "tables-2026")
    assert "is withdrawn" in scene.text()
    assert scene.coordinator("launch", "tables-2026") == RefusedError.exit_code
    assert scene.coordinator("watch", "tables-2026") == RefusedError.exit_code
    assert "[study-withdrawn]" in scene.text()


def test_publishing_while_the_service_is_down_says_so_and_keeps_the_study(scene: Scene) -> None:
    scene.running = False
    assert scene.draft() == 0
    assert scene.publish("tables-2026", "--json") == 0
    read = scene.capsys.readouterr()
    assert json.loads(read.out)["offered"] is False
    assert "not told yet" in read.err
    assert scene.coordinator("launch", "tables-2026") == PeerError.exit_code
    assert "[coordinator-not-running]" in scene.text()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--hash", "0" * 64], "another-hash"),
        (["--hash", "yes"], "another-hash"),
        (["--name", "Carla"], "not-an-approver"),
        (["--name", "Boris"], "not-an-approver"),  # with Anna's key
    ],
)
def test_nobody_approves_by_another_hash_or_under_another_name(
    scene: Scene, arguments: list[str], code: str
) -> None:
    assert scene.draft() == 0
    assert scene.publish() == 0
    assert scene.approve("BE", "Anna", *arguments) == RefusedError.exit_code
    assert f"[{code}]" in scene.text()


def test_an_approval_counts_no_more_once_its_key_is_revoked_though_the_service_runs(scene: Scene) -> None:
    scene.approved_by_all()
    settings = NodeSettings.load(scene.directory / "BG")
    revoke(settings, name="Boris", reason="left the service", by="IT", today=EXPIRES)
    assert scene.coordinator("offer", "tables-2026") == 0
    assert scene.coordinator("show", "tables-2026", "--json") == 0
    words = scene.content()["state"]["nodes"]
    assert (words["BE"]["status"], words["BG"]["status"]) == ("approved", "pending")
    assert scene.approve("BG", "Boris") == RefusedError.exit_code
    assert "[not-an-approver]" in scene.text()


def test_without_a_terminal_nothing_asks_for_the_hash(scene: Scene) -> None:
    assert scene.draft() == 0
    assert scene.publish() == 0
    person = scene.person("BE", "Anna")
    assert scene.node("BE", "approve", "tables-2026", *person) == UsageError.exit_code
    assert "[no-terminal]" in scene.text()


def test_a_typed_hash_counts_like_a_passed_one(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    assert scene.draft() == 0
    assert scene.publish() == 0
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("builtins.input", lambda _: f" {scene.hash().upper()} ")
    assert scene.node("BE", "approve", "tables-2026", *scene.person("BE", "Anna")) == 0


def test_a_study_that_runs_is_not_decided_on_any_more(scene: Scene) -> None:
    scene.approved_by_all()
    scene.cut_at = 4
    with pytest.raises(SystemExit):
        scene.coordinator("launch", "tables-2026", "--detach")
    assert scene.refuse("BE", "Anna", "cost") == RefusedError.exit_code
    assert "[study-running]" in scene.text()


@pytest.mark.parametrize(
    ("arguments", "code", "exit_code"),
    [
        (["--reason", "because it is Tuesday"], "unknown-reason", UsageError.exit_code),
        (["--reason", "policy"], "unknown-reason", UsageError.exit_code),
    ],
)
def test_a_reason_that_is_none_of_the_list_is_refused(
    scene: Scene, arguments: list[str], code: str, exit_code: int
) -> None:
    assert scene.draft() == 0
    assert scene.publish() == 0
    given = ["--hash", scene.hash(), *arguments]
    assert scene.node("BE", "refuse", "tables-2026", *scene.person("BE", "Anna"), *given) == exit_code
    assert f"[{code}]" in scene.text()


def test_empty_lists_say_so(scene: Scene) -> None:
    assert scene.coordinator("list") == 0
    assert "There is no study yet." in scene.text()
    assert scene.node("BE", "list") == 0
    assert "No study was offered yet." in scene.text()
    assert scene.coordinator("watch", "unknown") == UsageError.exit_code
    assert scene.node("BE", "show", "unknown") == UsageError.exit_code


@pytest.mark.parametrize("text", ["first_year = ", None])
def test_parameters_that_cannot_be_read_are_named(scene: Scene, text: str | None) -> None:
    path = scene.directory / "wrong.toml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    assert scene.draft("tables-2026", "--parameters", str(path)) == 4
    assert "wrong.toml" in scene.text()
    assert scene.draft("tables-2026", "--trust", "blind") == UsageError.exit_code


def test_a_study_never_launched_cannot_be_watched(scene: Scene) -> None:
    assert scene.draft() == 0
    assert scene.coordinator("watch", "tables-2026") == UsageError.exit_code
    assert "[never-launched]" in scene.text()


def test_a_study_that_no_longer_verifies_is_listed_as_such(scene: Scene) -> None:
    assert scene.draft() == 0
    assert scene.publish() == 0
    path = scene.directory / "BE" / "studies" / "tables-2026" / "published.json"
    path.write_bytes(path.read_bytes().replace(b"yearly", b"weekly"))
    assert scene.node("BE", "list", "--json") == 0
    (row,) = scene.content()["studies"]
    assert (row["status"], row["reason"]) == ("unreadable", "bad-signature")
    assert scene.node("BE", "list") == 0
    assert "unreadable" in scene.text()


def test_what_would_keep_it_from_starting_is_said_to_who_approves(scene: Scene) -> None:
    assert scene.draft() == 0
    assert scene.publish() == 0
    settings = scene.directory / "BE" / "node.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace("epsilon_per_study = 1.0", "epsilon_per_study = 0.1"), encoding="utf-8")
    assert scene.node("BE", "show", "tables-2026") == 0
    assert "In the way:" in scene.text()
    assert scene.approve("BE", "Anna") == 0
    assert "As things stand it will not start: study 'tables-2026' costs rho" in scene.text()


def service_stopped(scene: Scene, country: str) -> Path:
    """A node whose service does not run, so that commands log by themselves."""
    scene.nodes[country]._audit_log.close()
    return scene.directory / country


def logged(home: Path, operation: str) -> list[dict[str, Any]]:
    lines = (home / "audit.jsonl").read_text(encoding="utf-8").splitlines()
    return [entry for entry in map(json.loads, lines) if entry["operation"] == operation]


def test_a_study_is_shown_with_all_that_people_decide_by(scene: Scene) -> None:
    scene.approved_by_all()
    assert scene.coordinator("launch", "tables-2026") == 0
    second = ("--purpose", "Another purpose", "--epsilon", "0.6", "--retries", "3")
    assert scene.draft("tables-2027", *second) == 0
    assert scene.publish("tables-2027") == 0
    home = service_stopped(scene, "BE")
    assert scene.node("BE", "show", "tables-2027", "--json") == 0
    content = scene.content()
    by_name = {column["name"]: column for column in content["columns"]}
    assert by_name["age_band"]["label"] == "Age"
    assert by_name["registration_date"]["what"] == "a date"
    assert content["code"]["same"]
    assert content["since_last_of_its_kind"]["study"] == "tables-2026"
    fields = [entry["field"] for entry in content["since_last_of_its_kind"]["differences"]]
    assert fields == ["purpose", "epsilon", "retries"]
    assert content["keys_changed"] == {"study": "tables-2026", "changed": []}
    assert [change["state"] for change in content["told"]] == ["draft", "published"]
    assert (content["told"][0]["by"], content["approvals"]) == ("Olga", [])
    assert scene.node("BE", "show", "tables-2027") == 0
    text = scene.text()
    for part in (
        "age_band: Age (one value of a list",
        "Against study tables-2026, the last of its kind here:",
        "purpose: Tables for the yearly report before, Another purpose now",
        "No state has another key than in study tables-2026",
        "the same.",
        "Coordinator: published since",
        f"approve tables-2027 --hash {scene.hash('tables-2027')}",
    ):
        assert part in text
    assert logged(home, "view") == [], "there were no victims to be seen"


def test_keys_that_changed_since_the_last_study_are_named(scene: Scene) -> None:
    scene.approved_by_all()
    assert scene.coordinator("launch", "tables-2026") == 0
    assert scene.draft("tables-2027") == 0
    assert scene.publish("tables-2027") == 0
    path = scene.directory / "BE" / "studies" / "tables-2026" / "keys.json"
    keys = json.loads(path.read_bytes())
    path.write_bytes(
        json.dumps({**keys, "FI": "ab" * 32, "PL": "cd" * 32}, sort_keys=True, separators=(",", ":")).encode()
    )
    assert scene.node("BE", "show", "tables-2027") == 0
    text = scene.text()
    assert "KEYS that changed since study tables-2026" in text
    assert f"FI: {' '.join(keys['FI'][at : at + 4] for at in range(0, 64, 4))}, before abab abab" in text
    assert "PL takes part no more" in text
    assert "  GR" not in text


def test_the_number_of_victims_is_for_who_may_open_the_case_store_and_each_look_is_logged(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.draft()
    scene.publish()
    home = service_stopped(scene, "FI")
    monkeypatch.setattr("safeborders_fed.cases.store.CaseStore.latest_snapshot", lambda _: "one")
    monkeypatch.setattr("safeborders_fed.cases.store.CaseStore.cases", lambda *_: None)
    monkeypatch.setattr("safeborders_fed.node.showing.count", lambda *_: 1234)
    monkeypatch.setenv("LOGNAME", "somebody else")  # whoever looks may write there what they like
    assert scene.node("FI", "show", "tables-2026") == 0
    assert "1,234 in all, exactly" in scene.text()
    (view,) = logged(home, "view")
    assert view["who"] == user()
    assert view["details"]["study"] == "tables-2026"
    assert "1234" not in json.dumps(view["details"])
    assert scene.node("FI", "show", "tables-2026", "--json") == 0
    assert scene.content()["population"] == {"population": "all", "victims": 1234, "hidden": ""}
    assert len(logged(home, "view")) == 2
    key_file = NodeSettings.load(home).key_path
    key_file.rename(key_file.with_name("elsewhere"))
    assert scene.node("FI", "show", "tables-2026", "--json") == 0
    population = scene.content()["population"]
    assert population["victims"] is None
    assert "role operator" in population["hidden"]
    assert len(logged(home, "view")) == 2


def test_what_cannot_be_put_on_record_is_not_shown(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.draft()
    scene.publish()
    home = service_stopped(scene, "FI")
    monkeypatch.setattr("safeborders_fed.cases.store.CaseStore.latest_snapshot", lambda _: "one")
    monkeypatch.setattr("safeborders_fed.cases.store.CaseStore.cases", lambda *_: None)
    monkeypatch.setattr("safeborders_fed.node.showing.count", lambda *_: 1234)
    signing_key = NodeSettings.load(home).signing_key_path
    signing_key.rename(signing_key.with_name("elsewhere"))
    assert scene.node("FI", "show", "tables-2026") == 0
    assert "1,234" not in scene.text()


def test_people_take_an_approval_back_by_command_until_the_study_runs(scene: Scene) -> None:
    scene.approved_by_all()
    terms = ["--hash", scene.hash(), *scene.person("BE", "Anna")]
    assert scene.node("BE", "withdraw-approval", "tables-2026", *terms) == 0
    assert "Approved by Boris now; 2 people must." in scene.text()
    assert scene.coordinator("offer", "tables-2026") == 0
    (entry,) = logged(scene.directory / "BE", "withdraw")
    assert entry["who"] == "Anna"
    assert scene.node("BE", "withdraw-approval", "tables-2026", *terms, "--json") == RefusedError.exit_code
    assert scene.approve("BE", "Anna") == 0
    assert scene.coordinator("launch", "tables-2026") == 0
    assert scene.node("BE", "withdraw-approval", "tables-2026", *terms) == RefusedError.exit_code
    assert "study-ended" in scene.text()


def test_shared_reviews_are_shown_on_both_sides_and_count_for_nothing(scene: Scene) -> None:
    for country in ("FI", "GR"):
        scene.nodes[country]._ledger.close()
        scene.nodes[country]._audit_log.close()
        path = scene.directory / country / "node.toml"
        path.write_text("share_reviews = true\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
        scene.nodes[country] = NodeSettings.load(scene.directory / country).open_participant()
    assert scene.draft() == 0
    assert scene.publish() == 0
    for name in ("Anna", "Boris"):
        assert scene.approve("FI", name) == 0
    assert scene.refuse("GR", "Anna", "legal-basis") == 0
    assert scene.coordinator("offer", "tables-2026") == 0
    assert scene.coordinator("offer", "tables-2026") == 0
    said = "approved by FI; refused by GR (legal-basis)"
    assert scene.node("BE", "show", "tables-2026") == 0
    assert f"Others say:  {said} (information; it counts for nothing here)" in scene.text()
    assert scene.node("BE", "list", "--json") == 0
    assert scene.content()["studies"][0]["others"] == said
    assert scene.node("FI", "list", "--json") == 0
    assert scene.content()["studies"][0]["others"] == "refused by GR (legal-basis)"
    assert scene.coordinator("show", "tables-2026") == 0
    assert f"Shared reviews: {said}" in scene.text()
    assert scene.node("BE", "show", "tables-2026", "--json") == 0
    content = scene.content()
    assert (content["status"], content["approved_by"], content["shares_reviews"]) == ("pending", [], False)


def test_the_coordinators_log_is_verified_and_exported_by_command(scene: Scene) -> None:
    scene.approved_by_all()
    assert scene.coordinator("launch", "tables-2026") == 0
    home = scene.directory / "coordinator"
    public = CoordinatorHome.load(home).service_keys[-1].public
    scene.capsys.readouterr()
    assert main.run(["coordinator", "audit", "verify", str(home / "audit.jsonl"), "--key", public]) == 0
    assert "holds" in scene.text()
    assert main.run(["coordinator", "audit", "export", "--home", str(home)]) == 0
    states = [row["details"]["state"] for row in scene.lines() if row["operation"] == "study-state"]
    assert states == ["draft", "published", "running", "finished"]


def test_an_operator_vouches_for_the_service_key_by_command(scene: Scene) -> None:
    home, key = scene.directory / "coordinator", scene.directory / "olga"
    command = ["coordinator", "service-key", "--home", str(home), "--by", "Olga", "--key-file", str(key)]
    assert main.run([*command, "--json"]) == 0
    before = CoordinatorHome.load(home).service_keys
    assert len(before) == 1
    scene.capsys.readouterr()
    assert main.run([*command, "--service-key-file", str(scene.directory / "new"), "--json"]) == 0
    assert scene.content()["public_key"] == CoordinatorHome.load(home).service_keys[-1].public
    assert len(CoordinatorHome.load(home).service_keys) == 2
    scene.approved_by_all()
    assert scene.coordinator("launch", "tables-2026") == 0


def test_one_study_that_is_damaged_does_not_hide_the_others(scene: Scene) -> None:
    scene.draft()
    scene.draft("tables-2027")
    path = scene.directory / "coordinator" / "studies" / "tables-2026" / "state.json"
    path.write_bytes(b"{}")
    assert scene.coordinator("list", "--json") == 0
    assert [row["state"] for row in scene.content()["studies"]] == ["study-damaged", "draft"]


def test_a_study_with_a_damaged_file_does_not_hide_the_others_at_a_node(scene: Scene) -> None:
    for study in ("tables-2026", "tables-2027"):
        scene.draft(study)
        scene.publish(study)
    path = scene.directory / "BE" / "studies" / "tables-2026" / "reviews" / "FI.json"
    path.parent.mkdir()
    path.write_bytes(b"{}")
    assert scene.node("BE", "list", "--json") == 0
    rows = scene.content()["studies"]
    assert [(row["status"], row["reason"]) for row in rows] == [
        ("unreadable", "record-damaged"),
        ("pending", ""),
    ]
