"""A backup is complete and whole, and what is restored from it must be reconciled before it spends."""

import io
import os
import signal
import tarfile
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation_of import CEREMONY
from safeborders_fed.audit import notices
from safeborders_fed.audit.chain import Operation, verify
from safeborders_fed.audit.log import AuditLog
from safeborders_fed.cases.intake import import_file
from safeborders_fed.cases.mapping import parse_mapping
from safeborders_fed.cases.publication import lock
from safeborders_fed.cli.main import run
from safeborders_fed.errors import ConfigurationError, DataError, RefusedError, UsageError
from safeborders_fed.masking import signing
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node import backup, restoring
from safeborders_fed.node.approvals import Approver, create_approver_key
from safeborders_fed.node.approvers import approvers_to_bytes
from safeborders_fed.node.backup import Manifest, back_up
from safeborders_fed.node.creating import create_node
from safeborders_fed.node.restoring import restore
from safeborders_fed.node.settings import NodeSettings
from safeborders_fed.study.handshake import Head
from safeborders_fed.study.key_files import load_key

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
name = "example"
description = "An example"
contract_version = "1"
period = { first = 2018, last = 2025 }
[file]
[fields.case_id]
column = "case"
[fields.victim_id]
column = "victim"
[fields.registration_date]
column = "day"
formats = ["%Y-%m-%d"]
[fields.sex]
column = "sex"
values = { "F" = "Feminine" }
"""
PASSPHRASES = {"Anna": "correct horse battery", "Boris": "staple stable table"}
RHO = 1e-5


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A node with a ledger, an audit log, a snapshot of cases and further files."""
    home = tmp_path / "be"
    create_node(home, "BE", tmp_path / "be.key", 1000)
    with (home / "node.toml").open("a", encoding="utf-8") as file:
        file.write(POLICY)
    people = []
    for name, passphrase in PASSPHRASES.items():
        public = create_approver_key(tmp_path / f"{name}.pem", passphrase)
        (tmp_path / f"{name}.txt").write_text(passphrase, encoding="utf-8")
        people.append(Approver(name=name, role="approver", public=public))
    (home / "approvers.json").write_bytes(approvers_to_bytes(people))
    (home / "studies" / "s1").mkdir(parents=True)
    (home / "studies" / "s1" / "published.json").write_text("{}")
    for name in ("run/secret", "store/quarantine/rows.csv", "studies/s1/x.part"):
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).write_text("stays here")
    settings = NodeSettings.load(home)
    import_cases(home)
    with closing(settings.open_ledger()) as ledger:
        ledger.reserve("study-1", "a" * 64, 0.02)
        ledger.spend(("study-1", 0, 0), "r", b"bytes", RHO)
    with AuditLog(settings.audit_path, load_key(settings.signing_key_path), "BE") as log:
        log.append(Operation.VIEW, who="Anna", why="a reason")
    return home


def import_cases(home: Path) -> None:
    path = home.parent / "cases.csv"
    path.write_text("case,victim,day,sex\n" + "".join(f"c{n},v{n},2020-01-0{n + 1},F\n" for n in range(9)))
    import_file(path, parse_mapping(MAPPING, "sample.toml"), NodeSettings.load(home).open_store())


def tree(home: Path) -> dict[str, bytes]:
    return {
        path.relative_to(home).as_posix(): path.read_bytes() for path in home.rglob("*") if path.is_file()
    }


def names(archive: Path) -> set[str]:
    with tarfile.open(archive) as tar:
        return set(tar.getnames())


def test_a_backup_holds_all_but_keys_clear_rows_and_what_runs(home: Path, tmp_path: Path) -> None:
    before = tree(home)
    manifest, logged = back_up(NodeSettings.load(home), tmp_path / "b.tar", "user x")
    assert logged
    found = names(tmp_path / "b.tar")
    assert {
        "node.toml",
        "approvers.json",
        "ledger.sqlite",
        "audit.jsonl",
        "studies/s1/published.json",
    } <= found
    assert any(name.startswith("store/data/") for name in found)
    assert not {name for name in found if "secret" in name or "quarantine" in name or name.endswith(".part")}
    assert found - {"manifest.json"} == {file.name for file in manifest.files}
    assert (tmp_path / "b.tar").stat().st_mode & 0o077 == 0
    after = tree(home)
    assert {name for name in after if after[name] != before.get(name)} == {"audit.jsonl"}
    assert b"backup of the node" in after["audit.jsonl"]
    for key in ("be.key", "be.key.signing"):
        secret = (tmp_path / key).read_bytes().splitlines()[1]
        assert secret not in (tmp_path / "b.tar").read_bytes()


def test_what_is_restored_is_what_was_backed_up(home: Path, tmp_path: Path) -> None:
    before = tree(home)
    back_up(NodeSettings.load(home), tmp_path / "b.tar", "user x")
    new = tmp_path / "new"
    restore(tmp_path / "b.tar", new, "user y")
    after = tree(new)
    kept = {name for name in before if not name.startswith(("run/", "store/quarantine/", "ledger", "audit"))}
    for name in kept - {"studies/s1/x.part", "store/lock"}:
        assert after[name] == before[name], name
    settings = NodeSettings.load(new)
    assert settings.open_store().cases().num_rows == 9
    with closing(settings.open_ledger()) as ledger:
        assert ledger.totals().spent == pytest.approx(RHO)
    public = public_hex(load_key(settings.signing_key_path))
    verify(settings.audit_path, [public])
    last = after["audit.jsonl"].splitlines()[-1]
    assert b'"operation":"restore"' in last
    assert b"user y" in last
    assert not list(tmp_path.glob(".*")), "nothing is left beside it"


def test_a_restored_ledger_spends_nothing_until_two_people_settle_it(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["node", "backup", "--home", str(home), "--out", str(tmp_path / "b.tar")]) == 0
    assert "back up" in capsys.readouterr().out
    new = tmp_path / "new"
    assert run(["node", "restore", str(tmp_path / "b.tar"), "--home", str(new)]) == 0
    assert "two people" in capsys.readouterr().out
    with closing(NodeSettings.load(new).open_ledger()) as ledger:
        for attempt in (
            lambda: ledger.reserve("study-2", "b" * 64, 0.001),
            lambda: ledger.spend(("study-1", 1, 1), "r", b"more", RHO),
        ):
            with pytest.raises(RefusedError, match="ledger-disputed"):
                attempt()
        head = ledger.head()
    approvals = []
    for name in PASSPHRASES:
        out = tmp_path / f"{name}.json"
        who = ["--name", name, "--key", str(tmp_path / f"{name}.pem"), "--out", str(out)]
        given = ["--passphrase-file", str(tmp_path / f"{name}.txt"), "--home", str(new)]
        assert run(["node", "ledger", "sign", "--lost-rho", "0.001", *who, *given]) == 0
        approvals += ["--approval", str(out)]
    settle = ["node", "ledger", "reconcile", "--home", str(new), "--lost-rho", "0.001"]
    assert run([*settle, *approvals[:2]]) == RefusedError.exit_code
    assert run([*settle, *approvals]) == 0
    with closing(NodeSettings.load(new).open_ledger()) as ledger:
        ledger.spend(("study-1", 1, 1), "r", b"more", RHO)
        assert ledger.totals().spent == pytest.approx(2 * RHO + 0.001)
        assert ledger.witnesses.holds(head), "what the others knew before the backup still holds"
        lost = Head(entries=head.entries + 1, value="b" * 64).signed(
            CEREMONY.identities["FI"].signing_key, "BE"
        )
        assert not ledger.witnesses.holds(lost), "what they knew after it is a dispute again"
        ledger.verify()


def test_a_backup_from_before_the_first_study_gives_back_no_budget(home: Path, tmp_path: Path) -> None:
    for path in home.glob("ledger.sqlite*"):
        path.unlink()
    back_up(NodeSettings.load(home), tmp_path / "b.tar", "user x")
    restore(tmp_path / "b.tar", tmp_path / "new", "user y")
    restored = NodeSettings.load(tmp_path / "new").open_ledger()
    with closing(restored) as ledger, pytest.raises(RefusedError, match="ledger-disputed"):
        ledger.reserve("study-2", "b" * 64, 0.001)


def test_approvals_of_one_restore_settle_no_other(home: Path, tmp_path: Path) -> None:
    back_up(NodeSettings.load(home), tmp_path / "b.tar", "user x")
    hashes = set()
    for name in ("one", "two"):
        restore(tmp_path / "b.tar", tmp_path / name, "user y")
        with closing(NodeSettings.load(tmp_path / name).open_ledger()) as ledger:
            hashes.add(ledger.witnesses.disputes_hash())
    assert len(hashes) == 2


def test_a_backup_of_a_running_node_misses_no_charge(home: Path, tmp_path: Path) -> None:
    settings, spent = NodeSettings.load(home), []
    key = load_key(settings.signing_key_path)
    stop, going = threading.Event(), threading.Event()

    def serve() -> None:
        """Charges and logs as the service does: the outbox holds what the log may lack."""
        with closing(settings.open_ledger()) as ledger, AuditLog(settings.audit_path, key, "BE") as log:
            for attempt in range(1, 100_000):
                if stop.is_set():
                    return
                ledger.spend(("study-1", attempt, attempt), "r", b"%d" % attempt, 1e-9)
                for name, facts in ledger.outbox():
                    log.append_if_new(name, Operation.CONTRIBUTE, who="BE", why="study", details=facts)
                spent.append(attempt)
                if attempt == 5:
                    going.set()

    service = threading.Thread(target=serve)
    service.start()
    try:
        assert going.wait(30)
        _, logged = back_up(settings, tmp_path / "b.tar", "user x")
    finally:
        stop.set()
        service.join()
    assert not logged, "the service had the log"
    assert notices.waiting(home)
    settings.open_audit_log().close()
    assert not notices.waiting(home)
    assert '"why":"backup of the node"' in settings.audit_path.read_text(encoding="utf-8")
    restore(tmp_path / "b.tar", tmp_path / "new", "user y")
    restored = NodeSettings.load(tmp_path / "new")
    with closing(restored.open_ledger()) as ledger:
        (study,) = ledger.studies()
        waiting = {facts["attempt"] for _, facts in ledger.outbox()}
    assert study["attempts"] > 5
    log = restored.audit_path.read_text(encoding="utf-8")
    missing = {n for n in range(1, study["attempts"]) if f'"attempt":{n},' not in log}
    assert missing <= waiting


def _rewrite(archive: Path, change: Callable[[str, bytes], tuple[str, bytes] | None]) -> Path:
    out = archive.with_name("changed.tar")
    with tarfile.open(archive) as old, tarfile.open(out, "w") as new:
        for member in old:
            content = old.extractfile(member)
            assert content is not None
            changed = change(member.name, content.read())
            if changed is not None:
                info = tarfile.TarInfo(changed[0])
                info.size = len(changed[1])
                new.addfile(info, io.BytesIO(changed[1]))
    return out


def _escape(name: str, data: bytes) -> tuple[str, bytes]:
    return ("../outside" if name == "approvers.json" else name, data)


def _another_policy(name: str, data: bytes) -> tuple[str, bytes]:
    return (name, data.replace(b"epsilon_lifetime = 3.0", b"epsilon_lifetime = 9.0"))


def _no_ledger(name: str, data: bytes) -> tuple[str, bytes] | None:
    return None if name == "ledger.sqlite" else (name, data)


def _no_manifest(name: str, data: bytes) -> tuple[str, bytes] | None:
    return None if name == "manifest.json" else (name, data)


def _claims_no_ledger(name: str, data: bytes) -> tuple[str, bytes] | None:
    if name == "manifest.json":
        manifest = Manifest.model_validate_json(data)
        files = tuple(file for file in manifest.files if file.name != "ledger.sqlite")
        data = manifest.model_copy(update={"ledger": None, "files": files}).model_dump_json().encode()
    return _no_ledger(name, data)


@pytest.mark.parametrize(
    "change",
    [_escape, _another_policy, _no_ledger, _no_manifest, _claims_no_ledger],
    ids=lambda change: change.__name__,
)
def test_an_altered_backup_is_refused_whole(
    home: Path, tmp_path: Path, change: Callable[[str, bytes], tuple[str, bytes] | None]
) -> None:
    back_up(NodeSettings.load(home), tmp_path / "b.tar", "user x")
    with pytest.raises(DataError, match="backup-altered"):
        restore(_rewrite(tmp_path / "b.tar", change), tmp_path / "new", "user y")
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "outside").exists()


def test_a_link_in_a_backup_is_refused(home: Path, tmp_path: Path) -> None:
    back_up(NodeSettings.load(home), tmp_path / "b.tar", "user x")
    with tarfile.open(tmp_path / "l.tar", "w") as tar:
        link = tarfile.TarInfo("studies")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        tar.addfile(link)
    with pytest.raises(DataError, match="backup-altered"):
        restore(tmp_path / "l.tar", tmp_path / "new", "user y")


@pytest.mark.parametrize("kept", [0, 700, 30_000])
def test_a_backup_that_was_cut_off_is_refused(home: Path, tmp_path: Path, kept: int) -> None:
    back_up(NodeSettings.load(home), tmp_path / "b.tar", "user x")
    (tmp_path / "cut.tar").write_bytes((tmp_path / "b.tar").read_bytes()[:kept])
    with pytest.raises(DataError, match="backup-altered"):
        restore(tmp_path / "cut.tar", tmp_path / "new", "user y")
    assert not (tmp_path / "new").exists()


def test_a_backup_that_another_key_signed_is_refused(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = Ed25519PrivateKey.generate()
    monkeypatch.setattr("safeborders_fed.node.backup.load_key", lambda _: stranger)
    monkeypatch.setattr("safeborders_fed.node.backup._leave_record", lambda *_: None)
    back_up(NodeSettings.load(home), tmp_path / "b.tar", "user x")
    with pytest.raises(ConfigurationError, match="backup-of-another-key"):
        restore(tmp_path / "b.tar", tmp_path / "new", "user y")
    assert not (tmp_path / "new").exists()


def test_a_signature_for_another_purpose_is_none(home: Path, tmp_path: Path) -> None:
    manifest, _ = back_up(NodeSettings.load(home), tmp_path / "b.tar", "user x")
    key = load_key(NodeSettings.load(home).signing_key_path)
    other = signing.sign(key, signing.Purpose.NOTICE, manifest.signed_part())

    def change(name: str, data: bytes) -> tuple[str, bytes]:
        if name == "manifest.json":
            data = manifest.model_copy(update={"signature": other}).model_dump_json().encode()
        return name, data

    with pytest.raises(DataError, match="backup-altered"):
        restore(_rewrite(tmp_path / "b.tar", change), tmp_path / "new", "user y")


def test_nothing_that_exists_is_overwritten(home: Path, tmp_path: Path) -> None:
    back_up(NodeSettings.load(home), tmp_path / "b.tar", "user x")
    before = tree(home)
    with pytest.raises(ConfigurationError, match="target-not-empty"):
        restore(tmp_path / "b.tar", home, "user y")
    with pytest.raises(UsageError, match="out-exists"):
        back_up(NodeSettings.load(home), tmp_path / "b.tar", "user x")
    with pytest.raises(UsageError, match="out-inside-home"):
        back_up(NodeSettings.load(home), home / "b.tar", "user x")
    assert tree(home) == before
    (tmp_path / "empty").mkdir()
    restore(tmp_path / "b.tar", tmp_path / "empty", "user y")


def test_a_private_key_that_lies_in_the_directory_stops_the_backup(home: Path, tmp_path: Path) -> None:
    (home / "forgotten.pem").write_bytes((tmp_path / "Anna.pem").read_bytes())
    with pytest.raises(ConfigurationError, match="private-key-in-home"):
        back_up(NodeSettings.load(home), tmp_path / "b.tar", "user x")
    assert not (tmp_path / "b.tar").exists()


def test_a_damaged_store_is_found_when_it_is_backed_up(home: Path, tmp_path: Path) -> None:
    damaged = next((home / "store" / "data").iterdir())
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
    with pytest.raises(ConfigurationError, match="store-damaged"):
        back_up(NodeSettings.load(home), tmp_path / "b.tar", "user x")
    assert not list(tmp_path.glob("*b.tar*"))


def _killed(work: Callable[[], object], target: object, name: str, call: int) -> None:
    """Does the work in a child process that is killed at a call of one function."""
    child = os.fork()
    if not child:
        real, calls = getattr(target, name), 0

        def counted(*given: object, **named: object) -> object:
            nonlocal calls
            calls += 1
            if calls == call:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*given, **named)

        setattr(target, name, counted)
        work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)


@pytest.mark.parametrize(
    ("target", "name", "call"),
    [(tarfile.TarFile, "addfile", 1), (tarfile.TarFile, "addfile", 4), (os, "fsync", 1), (os, "link", 1)],
)
def test_a_killed_backup_leaves_none_and_the_next_one_works(
    home: Path, tmp_path: Path, target: object, name: str, call: int
) -> None:
    before = tree(home)
    out = tmp_path / "b.tar"
    _killed(lambda: back_up(NodeSettings.load(home), out, "user x"), target, name, call)
    assert not out.exists()
    after = {name for name, data in tree(home).items() if before.get(name) != data}
    assert all(name.startswith(("ledger.sqlite-", "notices/")) for name in after), "what it was asked for"
    back_up(NodeSettings.load(home), out, "user x")
    restore(out, tmp_path / "new", "user y")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".b.tar")]


@pytest.mark.parametrize(("target", "name", "call"), [(os, "fsync", 3), (restoring, "_sync", 1)])
def test_a_killed_restore_leaves_no_node_and_the_next_one_works(
    home: Path, tmp_path: Path, target: object, name: str, call: int
) -> None:
    back_up(NodeSettings.load(home), tmp_path / "b.tar", "user x")
    _killed(lambda: restore(tmp_path / "b.tar", tmp_path / "new", "user y"), target, name, call)
    assert not (tmp_path / "new").exists(), "no directory whose ledger is not marked"
    restore(tmp_path / "b.tar", tmp_path / "new", "user y")
    with closing(NodeSettings.load(tmp_path / "new").open_ledger()) as ledger:
        assert len(ledger.witnesses.disputes()) == 1


def test_two_backups_to_one_file_do_not_mix(home: Path, tmp_path: Path) -> None:
    import fcntl  # noqa: PLC0415

    with (tmp_path / ".b.tar.part").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(ConfigurationError, match="backup-busy"):
            back_up(NodeSettings.load(home), tmp_path / "b.tar", "user x")


def test_new_keys_and_erasures_wait_until_store_and_reviews_are_copied(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the two, a backup would hold cases under the old keys and reviews under the new ones."""
    add_others, tried = backup._add_others, []

    def meanwhile(archive: backup._Archive, settings: NodeSettings) -> None:
        with pytest.raises(ConfigurationError) as found, lock(settings.store_path, seconds=0.0):
            pass
        tried.append(found.value.code)
        add_others(archive, settings)

    monkeypatch.setattr(backup, "_add_others", meanwhile)
    back_up(NodeSettings.load(home), tmp_path / "b.tar", "user jan")
    assert tried == ["store-busy"]
