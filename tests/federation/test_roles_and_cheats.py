"""Users of one machine who try more than their role lets them."""

from __future__ import annotations

import fcntl
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from federation_of import study
from safeborders_fed.node.approvals import create_approver_key
from users_site import ANALYST, ANNA, AUDITOR, BORIS, OPERATOR, OUTSIDER, WORDS, Site, node_of_many_users


@pytest.fixture(scope="module")
def made() -> Iterator[Site]:
    with node_of_many_users() as site:
        site.offer("study-1")
        yield site


PAPER = """
box = Path(study, "approvals")
(paper,) = [path for path in box.iterdir() if path.stat().st_uid == int(whose)]
"""
LEDGER = """
import sqlite3
sqlite3.connect(f"file:{home}/ledger.sqlite?mode=ro", uri=True).execute("SELECT 1 FROM entry")
"""
LINKED = """
link = Path(study, "approvals", "log.json")
os.link(Path(home, "audit.jsonl"), link)
link.read_bytes()
"""
CHEATS = {
    "overwrites another's approval": PAPER + "paper.write_bytes(b'x')",
    "removes another's approval": PAPER + "paper.unlink()",
    "moves another's approval away": PAPER + "paper.rename(box / 'x.json')",
    "puts an own approval in place of another's": PAPER
    + "(own,) = [path for path in box.iterdir() if path.stat().st_uid == os.getuid()]; own.replace(paper)",
    "opens another's approval to all": PAPER + "paper.chmod(0o666)",
    "replaces the published study": "Path(study, 'published.json').write_bytes(b'x')",
    "moves the published study away": "Path(study, 'published.json').rename(Path(study, 'x'))",
    "adds a file to the study": "Path(study, 'refusal.json').write_bytes(b'x')",
    "moves the box away": "Path(study, 'approvals').rename(Path(study, 'gone'))",
    "opens the box to all": "Path(study, 'approvals').chmod(0o777)",
    "edits the policy": "Path(home, 'node.toml').write_bytes(b'x')",
    "removes the policy": "Path(home, 'node.toml').unlink()",
    "enrols themselves": "Path(home, 'approvers.json').write_bytes(b'x')",
    "states another budget": "Path(home, 'budget.json').write_bytes(b'x')",
    "reads the ledger": "Path(home, 'ledger.sqlite').read_bytes()",
    "opens the ledger": LEDGER,
    "reads the store": "list(Path(home, 'store').iterdir())",
    "reads the secrets": "Path(home, '..', 'keys', 'BE.key').read_bytes()",
    "reads the audit log": "Path(home, 'audit.jsonl').read_bytes()",
    "links the audit log into the box": LINKED,
    "takes the lock of the directory": "os.open(home, os.O_RDONLY)",
    "lists the directory": "list(Path(home).iterdir())",
    "reads another's key": "Path(home, '..', 'Boris.pem').read_bytes()",
}


@pytest.mark.parametrize("code", CHEATS.values(), ids=CHEATS)
def test_an_approver_who_cheats_is_stopped_by_the_machine(made: Site, code: str) -> None:
    for user, name in ((ANNA, "Anna"), (BORIS, "Boris")):
        if not any(path.stat().st_uid == user.number for path in (made.study / "approvals").iterdir()):
            assert made.decide(user, name, "approve").status == 0
    assert made.tried(ANNA, code, whose=BORIS.number) in {"PermissionError", "sqlite3.OperationalError"}


def test_an_auditor_changes_nothing_and_keeps_nobody_out(made: Site) -> None:
    log = made.home / "audit.jsonl"
    for code in (
        "open(Path(home, 'audit.jsonl'), 'ab').write(b'x')",
        "os.truncate(Path(home, 'audit.jsonl'), 10)",
        "Path(home, 'audit.jsonl').unlink()",
        "Path(home, 'audit.jsonl').chmod(0o666)",
        "Path(study, 'published.json').read_bytes()",
        "Path(study, 'approvals', 'x.json').touch()",
    ):
        assert made.tried(AUDITOR, code) == "PermissionError", code
    with log.open("rb") as file:  # as an auditor can
        fcntl.flock(file, fcntl.LOCK_EX)
        before = log.stat().st_size
        assert made.node(OPERATOR, "roles", "set", "--by", "IT").status == 0
    assert log.stat().st_size > before


def test_an_analyst_with_a_key_approves_nothing(made: Site) -> None:
    made.offer("study-analyst")
    for user in (ANALYST, AUDITOR, OUTSIDER):
        key = made.base / f"{user.number}.pem"
        shutil.copyfile(made.base / "Anna.pem", key)  # stolen, say
        os.chown(key, user.number, user.number)
        words = ("study", "approve", "study-analyst", "--name", "Anna", "--key", key)
        done = made.node(user, *words, "--hash", study(id="study-analyst").hash())
        assert (done.status, "role approver" in done.err) == (5, True)
        box = made.home / "studies" / "study-analyst" / "approvals"
        assert made.tried(user, "Path(box, 'x.json').touch()", box=box) == "PermissionError"
    assert made.standing("study-analyst")["approved_by"] == []


def test_the_role_without_an_enrolled_key_approves_nothing(made: Site) -> None:
    made.offer("study-key")
    done = made.decide(ANNA, "Boris", "approve", study_id="study-key")  # who cannot open Boris' key
    assert (done.status, "is not readable" in done.err) == (2, True)
    key = made.base / "stranger.pem"
    create_approver_key(key, WORDS)
    os.chown(key, ANNA.number, ANNA.number)
    words = ["--name", "Anna", "--key", key, "--passphrase-file", made.base / f"{ANNA.number}"]
    done = made.node(ANNA, "study", "approve", "study-key", *words, "--hash", study(id="study-key").hash())
    assert (done.status, "not-an-approver" in done.err) == (5, True)
    assert made.standing("study-key")["approved_by"] == []


PLANTED = """
box = Path(box)
first = (Path(study) / "approvals")
(box / "link.json").symlink_to(key)
(box / "loop.json").symlink_to("loop.json")
(box / "home.json").symlink_to(home)
os.mkfifo(box / "waits.json")
(box / "directory.json").mkdir()
(box / "large.json").touch()
os.truncate(box / "large.json", 2**40)
(box / "closed.json").write_bytes(b"{}")
(box / "closed.json").chmod(0)
(box / "private.json").write_bytes(b"-----BEGIN PRIVATE KEY-----")
Path(os.fsdecode(os.fsencode(box) + bytes([47, 255]) + b".json")).write_bytes(b"x")
for path in first.glob("*.json"):
    if path.stat().st_uid == os.getuid():
        (box / f"copy-{path.name}").write_bytes(path.read_bytes())
        os.link(path, box / f"linked-{path.name}")
        forged = path.read_bytes().replace(b'"name":"Anna"', b'"name":"Boris"')
        (box / "forged.json").write_bytes(forged)
"""


def test_what_is_planted_in_a_box_counts_for_nothing_and_stops_nothing(made: Site) -> None:
    assert made.decide(ANNA, "Anna", "approve").status == 0
    made.offer("study-planted")
    for name in ("approvals", "refusals", "withdrawals"):
        names = {"box": made.home / "studies" / "study-planted" / name, "key": made.base / "keys" / "BE.key"}
        assert made.tried(ANNA, PLANTED, **names) == ""
    found = made.standing("study-planted")
    assert (found["approved_by"], found["refused_by"], found["status"]) == ([], None, "pending")
    assert made.decide(ANNA, "Anna", "approve", study_id="study-planted").status == 0
    assert made.decide(BORIS, "Boris", "approve", study_id="study-planted").status == 0
    assert set(made.standing("study-planted")["approved_by"]) == {"Anna", "Boris"}
    backup = made.base / "backup.tar"
    made.base.chmod(0o777)
    try:
        done = made.node(OPERATOR, "backup", "--out", backup)
    finally:
        made.base.chmod(0o711)
    assert done.status == 0, done.err
    with tarfile.open(backup) as tar:
        saved = [name for name in tar.getnames() if "study-planted/" in name]
        secret = (made.base / "keys" / "BE.key").read_bytes()
        assert all(secret not in tar.extractfile(name).read() for name in tar.getnames())  # type: ignore[union-attr]
    assert not [name for name in saved if Path(name).stem in {"link", "home", "waits", "large", "closed"}]
    assert f"link.json of user {ANNA.number}" in made.rights()


def test_who_takes_anothers_name_in_a_box_keeps_nobody_from_signing(made: Site) -> None:
    made.offer("study-name")
    box = made.home / "studies" / "study-name" / "approvals"
    taken = next(
        path.name for path in (made.study / "approvals").iterdir() if path.stat().st_uid == BORIS.number
    )
    assert made.tried(ANNA, "Path(box, name).write_bytes(b'x')", box=box, name=taken) == ""
    assert made.decide(BORIS, "Boris", "approve", study_id="study-name").status == 0
    assert made.standing("study-name")["approved_by"] == ["Boris"]


def test_who_has_approved_takes_it_back_by_themselves(made: Site) -> None:
    made.offer("study-back")
    for user, name in ((ANNA, "Anna"), (BORIS, "Boris")):
        assert made.decide(user, name, "approve", study_id="study-back").status == 0
    assert made.standing("study-back")["status"] == "approved"
    done = made.decide(ANNA, "Anna", "withdraw-approval", study_id="study-back")
    assert done.status == 0, done.err
    assert made.standing("study-back")["approved_by"] == ["Boris"]
