"""Each thing that a doctor looks at in a node's directory: well, doubtful and wrong."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from enrolment_samples import Site, federation
from safeborders_fed.audit.chain import Operation
from safeborders_fed.cases.intake import import_file
from safeborders_fed.cases.mapping import load_mapping
from safeborders_fed.errors import ConfigurationError, DataError, PeerError, RefusedError
from safeborders_fed.node import checkup, own_keys
from safeborders_fed.node.approvals import create_approver_key
from safeborders_fed.node.approvers import add, revoke
from safeborders_fed.node.creating import create_node
from safeborders_fed.study.checkup import Finding
from safeborders_fed.study.handshake import Head
from safeborders_fed.study.key_files import load_key
from safeborders_fed.study.roster import SignedRoster

NOW = datetime.now(UTC)
POLICY = """
[policy]
analyses = ["logistic"]
columns = ["sex"]
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
MAPPING = """
schema_version = 1
name = "small"
description = "A small register"
contract_version = "1"
period = { first = 2018, last = 2025 }
[fields.case_id]
column = "case"
[fields.victim_id]
column = "victim"
[fields.registration_date]
column = "year"
formats = ["%Y"]
[fields.sex]
column = "sex"
values = { f = "Feminine", m = "Masculine" }
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A node that is well in every way: enrolled, with a policy, three approvers, cases, ledger and log."""
    directory = tmp_path_factory.mktemp("site") / "site"
    directory.mkdir(mode=0o700)
    site = federation(directory, "BE", "BG")
    settings = site.node("BE")
    with (settings.home / "node.toml").open("a", encoding="utf-8") as file:
        file.write(POLICY)
    public = create_approver_key(site.person("BE", "Carla"), "correct horse battery")
    add(settings, name="Carla", role="approver", public=public, by="IT", today=NOW.date())
    (directory / "cases.csv").write_text("case,victim,year,sex\nc1,v1,2020,f\n", encoding="utf-8")
    (directory / "map.toml").write_text(MAPPING, encoding="utf-8")
    import_file(directory / "cases.csv", load_mapping(directory / "map.toml"), site.node("BE").open_store())
    ledger = site.node("BE").open_ledger()
    ledger.reserve("study-1", "a" * 64, 0.002)
    ledger.close()
    shutil.copytree(directory, directory.with_name("kept"), symlinks=True)
    return site


@pytest.fixture
def site(template: Site) -> Site:
    """The same anew: settings name their key files by absolute paths, so it lies where it was made."""
    shutil.rmtree(template.directory)
    shutil.copytree(template.directory.with_name("kept"), template.directory, symlinks=True)
    return template


def look(site: Site, *, now: datetime | None = None, running: bool = False) -> list[Finding]:
    return checkup.examine(site.directory / "BE", now or datetime.now(UTC), running=running)


def line(site: Site, name: str, *, now: datetime | None = None, running: bool = False) -> Finding:
    """The worst line of a name."""
    order = ("skipped", "ok", "warning", "failed")
    found = [finding for finding in look(site, now=now, running=running) if finding.name == name]
    return max(found, key=lambda finding: order.index(finding.level))


def state(directory: Path) -> dict[str, tuple[str, int, int]]:
    """All files with their content, time and mode."""
    return {
        str(path): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
            path.stat().st_mtime_ns,
            path.stat().st_mode,
        )
        for path in directory.rglob("*")
    }


def settings_text(site: Site, old: str, new: str) -> None:
    path = site.directory / "BE" / "node.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_node_that_is_well_has_good_lines_only(site: Site) -> None:
    found = look(site)
    assert {finding.level for finding in found} == {"ok"}, [f for f in found if f.level != "ok"]
    assert {*checkup.CHECKS} - {"keys"} <= {finding.name for finding in found}


@pytest.mark.parametrize("crashed", [False, True])
def test_looking_leaves_no_trace(site: Site, *, crashed: bool) -> None:
    home = site.directory / "BE"
    ledger = site.node("BE").open_ledger() if crashed else None  # leaves companion files, as a service does
    before = state(home)
    look(site)
    after = state(home)
    if ledger is not None:
        ledger.close()
        shared = str(home / "ledger.sqlite-shm")  # marks of readers, shared memory
        before.pop(shared), after.pop(shared)
    assert after == before


def test_no_secret_and_no_count_of_victims_is_shown(site: Site) -> None:
    said = repr(look(site))
    for name in ("BE.key", "BE.key.signing", "BE.key.transport"):
        for text in (site.directory / name).read_text(encoding="ascii").split():
            assert len(text) < 20 or text not in said
    assert "victim" not in said


def break_ledger(site: Site) -> None:
    with sqlite3.connect(site.directory / "BE" / "ledger.sqlite") as db:
        db.execute("UPDATE study SET rho_reserved = 0.001")
    db.close()


def dispute(site: Site) -> None:
    ledger = site.node("BE").open_ledger()
    ledger.witnesses.dispute("BG", Head(entries=40, value="b" * 64))
    ledger.close()


def spend_most(site: Site) -> None:
    ledger = site.node("BE").open_ledger()
    for number in range(2, 6):
        ledger.reserve(f"study-{number}", "b" * 64, 0.019)
    ledger.close()


def lose_ledger(site: Site) -> None:
    log = site.node("BE").open_audit_log()
    log.append(Operation.APPROVE, who="Anna", why="a study")
    log.close()
    (site.directory / "BE" / "ledger.sqlite").unlink()


def empty_ledger(site: Site) -> None:
    lose_ledger(site)
    (site.directory / "BE" / "ledger.sqlite").touch()


def forge_log(site: Site) -> None:
    path = site.directory / "BE" / "audit.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]) + lines[-1].replace(b'"who":"', b'"who":"x'))


def cut_log_inside(site: Site) -> None:
    path = site.directory / "BE" / "audit.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:1], *lines[2:]]))


def swap_log(site: Site) -> None:
    other = site.directory / "BG" / "audit.jsonl"
    (site.directory / "BE" / "audit.jsonl").write_bytes(other.read_bytes())


def tear_log(site: Site) -> None:
    with (site.directory / "BE" / "audit.jsonl").open("ab") as file:
        file.write(b'{"torn')


def lose_bucket(site: Site) -> None:
    for path in (site.directory / "BE" / "store" / "data").iterdir():
        path.unlink()


def forget_people(site: Site) -> None:
    for name in ("Anna", "Carla"):
        revoke(site.node("BE"), name=name, reason="left", by="IT", today=NOW.date())


def forget_one(site: Site) -> None:
    revoke(site.node("BE"), name="Anna", reason="left", by="IT", today=NOW.date())


def only_auditors(site: Site) -> None:
    forget_people(site)
    for name in ("Dora", "Emil"):
        public = create_approver_key(site.person("BE", name), "correct horse battery")
        add(site.node("BE"), name=name, role="auditor", public=public, by="IT", today=NOW.date())


def swap_signing_key(site: Site) -> None:
    (site.directory / "BE.key.signing").write_bytes((site.directory / "BG.key.signing").read_bytes())


def foreign_bundle(site: Site) -> None:
    bundle = site.home.path / "bundles" / "BG.json"
    (site.directory / "BE" / "coordinator.json").write_bytes(bundle.read_bytes())


def new_member(site: Site) -> None:
    """The coordinator has a third member; the node has the new bundle and has not accepted."""
    site.enrol("FI")
    roster = SignedRoster.model_validate_json(site.roster(3))
    bundle = site.node("BE").enrolment().model_copy(update={"roster": roster})
    signed = bundle.signed(load_key(site.directory / "olga"))
    (site.directory / "BE" / "coordinator.json").write_bytes(signed.to_bytes())


def edit(old: str, new: str) -> Callable[[Site], None]:
    return lambda site: settings_text(site, old, new)


def remove(name: str) -> Callable[[Site], None]:
    return lambda site: (site.directory / name).unlink()


def mode(name: str, bits: int) -> Callable[[Site], None]:
    return lambda site: (site.directory / name).chmod(bits)


def damage(name: str) -> Callable[[Site], None]:
    return lambda site: (site.directory / name).write_bytes(b"{ this is not what it should be")  # type: ignore[return-value]


def key_inside(site: Site) -> None:
    (site.directory / "BE" / "notes.pem").write_bytes((site.directory / "BE-Anna.pem").read_bytes())


C, D, R = ConfigurationError.exit_code, DataError.exit_code, RefusedError.exit_code


@pytest.mark.parametrize(
    ("change", "name", "level", "who", "words"),
    [
        (remove("BE/node.toml"), "settings", "failed", C, "settings-missing"),
        (edit('country = "BE"', 'country = "XX"'), "settings", "failed", C, "settings-invalid"),
        (mode("BE", 0o755), "directory", "warning", 0, "0755"),
        (mode("BE", 0o777), "directory", "failed", C, "0777"),
        (mode("BE.key", 0o640), "store-key", "failed", C, "0640"),
        (mode("BE.key.signing", 0o604), "signing-key", "failed", C, "0604"),
        (mode("BE.key.transport", 0o660), "transport-key", "failed", C, "0660"),
        (remove("BE.key"), "store-key", "failed", C, "key-file-missing"),
        (damage("BE.key.signing"), "signing-key", "failed", C, "key-file-malformed"),
        (damage("BE.key.transport"), "transport-key", "failed", C, "key-file-malformed"),
        (key_inside, "stray-keys", "warning", 0, "notes.pem"),
        (edit(POLICY, ""), "policy", "failed", C, "no-policy"),
        (edit('["logistic"]', '["logistics"]'), "policy", "failed", C, "no analysis logistics"),
        (edit('["sex"]', '["sexx"]'), "settings", "failed", C, "did you mean 'sex'"),
        (edit('["sex"]', '["sex", "case_id"]'), "policy", "failed", C, "identify people"),
        (edit("epsilon_per_year = 2.0", "epsilon_per_year = 0.5"), "policy", "failed", C, "do not grow"),
        (edit("delta = 1e-6", "delta = 1e-5"), "policy", "warning", 0, "delta 1e-05"),
        (
            edit("minimum_participants = 2", "minimum_participants = 2\napprovals_needed = 1"),
            "policy", "warning", 0, "one person alone",
        ),
        (forget_one, "approvers", "warning", 0, "2 people"),
        (forget_people, "approvers", "failed", C, "1 people"),
        (only_auditors, "approvers", "failed", C, "1 people"),
        (
            edit("minimum_participants = 2", "minimum_participants = 2\napprovals_needed = 4"),
            "approvers", "failed", C, "4 are needed",
        ),
        (remove("BE/approvers.json"), "approvers", "failed", C, "no-approvers"),
        (remove("BE/coordinator.json"), "enrolment", "failed", C, "not-enrolled"),
        (damage("BE/coordinator.json"), "enrolment", "failed", C, "bad-enrolment"),
        (foreign_bundle, "enrolment", "failed", C, "is for BG"),
        (
            edit('store = "store"', f'store = "store"\noperator_keys = ["{"a" * 64}"]'),
            "enrolment", "warning", 0, "does not name any more",
        ),
        (remove("BE/accepted-keys.json"), "roster", "failed", C, "no roster"),
        (damage("BE/accepted-keys.json"), "roster", "failed", C, "bad-accepted-keys"),
        (swap_signing_key, "roster", "failed", C, "does not hold the signing key"),
        (new_member, "roster", "warning", 0, "has sent version"),
        (break_ledger, "ledger", "failed", C, "ledger-altered"),
        (damage("BE/ledger.sqlite"), "ledger", "failed", C, "ledger-unreadable"),
        (dispute, "ledger", "failed", R, "BG knows entries"),
        (lose_ledger, "ledger", "failed", C, "is gone"),
        (empty_ledger, "ledger", "failed", C, "is empty"),
        (remove("BE/ledger.sqlite"), "ledger", "skipped", 0, "no ledger yet"),
        (spend_most, "budget", "warning", 0, "less than one study"),
        (forge_log, "audit-log", "failed", C, "not signed by this node's key"),
        (cut_log_inside, "audit-log", "failed", C, "audit-log-altered"),
        (swap_log, "audit-log", "failed", C, "not signed by this node's key"),
        (tear_log, "audit-log", "warning", 0, "6 unfinished bytes"),
        (remove("BE/audit.jsonl"), "audit-log", "skipped", 0, "no audit log yet"),
        (lose_bucket, "cases", "failed", C, "are gone"),
        (damage("BE/store/store.json"), "cases", "failed", C, "store-damaged"),
    ],
)  # fmt: skip
def test_what_is_not_well_has_a_line(
    site: Site, *, change: Callable[[Site], None], name: str, level: str, who: int, words: str
) -> None:
    change(site)
    found = line(site, name)
    assert (found.level, found.who) == (level, who), found
    assert words in found.text
    assert bool(found.fix) == (level in {"warning", "failed"})


def test_an_empty_store_is_a_matter_of_data(tmp_path: Path) -> None:
    found = line(federation(tmp_path, "BE"), "cases")
    assert (found.level, found.who) == ("failed", D)


def test_old_cases_are_asked_about(site: Site) -> None:
    assert line(site, "cases", now=NOW + timedelta(days=399)).level == "ok"
    assert line(site, "cases", now=NOW + timedelta(days=402)).level == "warning"


@pytest.mark.parametrize(
    ("days", "level", "who"), [(200, "ok", 0), (310, "warning", 0), (340, "warning", 0), (370, "failed", C)]
)
def test_keys_that_end(site: Site, days: int, level: str, who: int) -> None:
    found = line(site, "validity", now=NOW + timedelta(days=days))
    assert (found.level, found.who) == (level, who)


def test_the_key_of_another_state_is_its_own_business(site: Site) -> None:
    found = [entry for entry in look(site, now=NOW + timedelta(days=370)) if entry.name == "validity"]
    by_state = {entry.text.split()[3]: entry.who for entry in found}
    assert by_state == {"BE": C, "BG": PeerError.exit_code}


def test_a_log_from_the_future_means_a_wrong_clock(site: Site) -> None:
    assert line(site, "audit-log", now=NOW - timedelta(hours=1)).level == "warning"


def test_an_entry_that_is_being_written_is_no_crash(site: Site) -> None:
    tear_log(site)
    assert line(site, "audit-log", running=True).level == "ok"


def test_the_log_and_the_ledger_of_a_running_service_can_be_looked_at(site: Site) -> None:
    log, ledger = site.node("BE").open_audit_log(), site.node("BE").open_ledger()
    ledger.reserve("study-3", "c" * 64, 0.001)
    found = {entry.name: entry for entry in look(site, running=True)}
    log.close()
    ledger.close()
    assert found["audit-log"].level == "ok"
    assert found["ledger"].text.startswith("2 entries")


def test_a_ledger_that_a_crash_left_with_its_journal_alone_is_read_with_it(site: Site) -> None:
    home = site.directory / "BE"
    ledger = site.node("BE").open_ledger()
    ledger.reserve("study-3", "c" * 64, 0.001)
    kept = {name: (home / name).read_bytes() for name in ("ledger.sqlite", "ledger.sqlite-wal")}
    ledger.close()
    for name, data in kept.items():
        (home / name).write_bytes(data)
    assert not (home / "ledger.sqlite-shm").exists()
    assert line(site, "ledger").text.startswith("2 entries")
    assert not (home / "ledger.sqlite-shm").exists()


def test_a_renewed_key_that_waits_for_the_service_is_well(site: Site) -> None:
    """The roster has the new key; the running service has not taken it up yet."""
    settings = site.node("BE")
    own_keys.new_signing_key(settings.signing_key_path)
    found = line(site, "roster")
    assert found.level == "ok"


def test_a_directory_that_is_not_there_at_all(tmp_path: Path) -> None:
    found = checkup.examine(tmp_path / "nowhere", NOW, running=False)
    assert found[0].level == "failed"
    assert {entry.level for entry in found[1:]} == {"skipped"}


def test_a_file_that_may_not_be_read_gives_a_line(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.read_bytes

    def read(path: Path) -> bytes:
        if path.name == "approvers.json":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    found = line(site, "approvers")
    assert (found.level, found.who) == ("failed", C)


def test_a_node_right_after_init_is_told_what_is_missing(tmp_path: Path) -> None:
    create_node(tmp_path / "be", "BE", tmp_path / "be.key", 100)
    found = {entry.name: entry.level for entry in checkup.examine(tmp_path / "be", NOW, running=False)}
    assert found["policy"] == found["approvers"] == found["enrolment"] == found["roster"] == "failed"
    assert found["store-key"] == found["disk"] == "ok"
