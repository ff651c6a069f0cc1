"""Operator, approver, auditor and analyst as users of one machine: what each may do."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer.main

from machine_users import User
from safeborders_fed.cli import needs, node
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.study.key_files import load_key
from users_site import (
    ANALYST,
    ANNA,
    APPROVERS,
    AUDITOR,
    BORIS,
    OPERATOR,
    OUTSIDER,
    SERVICE,
    USERS,
    Site,
    node_of_many_users,
)


@pytest.fixture(scope="module")
def made() -> Iterator[Site]:
    with node_of_many_users() as site:
        site.offer("study-1")
        yield site


def commands(
    group: click.Group, above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command of ``safeborders node``, by its words."""
    for name, command in group.commands.items():
        words = (*above, name)
        if isinstance(command, click.Group):
            if command.invoke_without_command:
                yield words, command
            yield from commands(command, words)
        else:
            yield words, command


def something(command: click.Command) -> list[str]:
    """What a command must be given, whatever it is: it is to be refused before any of it matters."""
    given: list[str] = []
    for option in command.params:
        if option.name == "home" or not option.required:
            continue
        word = option.type.choices[0] if isinstance(option.type, click.Choice) else "1"
        given += [word] if isinstance(option, click.Argument) else [option.opts[0], word]
    return given


APP = typer.main.get_command(node.app)
assert isinstance(APP, click.Group)
COMMANDS = dict(commands(APP))
GUARDED = [words for words in COMMANDS if needs.NODE.get(" ".join(words), needs.OPERATOR) != needs.NOBODY]


@pytest.mark.parametrize("words", GUARDED, ids=" ".join)
def test_a_command_is_refused_to_every_other_role_with_the_role_that_it_needs(
    made: Site, words: tuple[str, ...]
) -> None:
    needed = needs.NODE.get(" ".join(words), needs.OPERATOR)
    for user in USERS:
        if user.name in needed.split():
            continue
        done = made.node(user, *words, *something(COMMANDS[words]))
        assert (done.status, done.out) == (5, ""), done
        assert "Error [role-missing]" in done.err
        assert (
            f"`safeborders node {' '.join(words)}` needs the role {needed.replace(' ', ' or ')} at"
            in done.err
        )
        assert "Fix: ask " in done.err
        assert "Traceback" not in done.err


def test_every_command_says_its_role_in_its_help() -> None:
    for words, command in COMMANDS.items():
        assert command.epilog == needs.said(needs.NODE.get(" ".join(words), needs.OPERATOR))
    assert set(needs.NODE) - {" ".join(words) for words in COMMANDS} <= {"policy check"}


def test_a_coordinators_command_is_refused_to_all_but_the_user_of_its_service(made: Site) -> None:
    home = made.base / "coordinator"
    home.mkdir(mode=0o700)
    os.chown(home, OPERATOR.number, OPERATOR.number)
    for user in USERS:
        done = made.machine.run(user, "coordinator", "study", "list", "--home", home)
        assert (done.status, "needs the role operator at" in done.err) == (5, True)
        assert f"`runuser -u {OPERATOR.number} -- …`" in done.err
    done = made.machine.run(OPERATOR, "coordinator", "study", "list", "--home", home)
    assert "role-missing" not in done.err


@pytest.mark.parametrize("user", USERS, ids=lambda user: user.name)
def test_a_report_that_reads_a_nodes_directory_asks_for_the_role(made: Site, user: User) -> None:
    found = made.machine.run(user, "report", "warnings", "--home", made.home, "--study", "study-1")
    assert found.status == 5, found
    assert "`safeborders report warnings` needs the role operator at" in found.err
    file = made.base / "no.tables.json"
    read = made.machine.run(user, "report", "verify", file, "--node", made.home)
    if user == OUTSIDER:
        assert (read.status, "Error [role-missing]" in read.err) == (5, True)
    else:
        assert (read.status, "Error [file-missing]" in read.err) == (4, True)


def test_the_operator_and_readers_of_files_need_no_further_role(made: Site) -> None:
    found = made.machine.run(OPERATOR, "report", "warnings", "--home", made.home, "--study", "study-1")
    assert "role-missing" not in found.err
    for words in (("warnings", "no.json"), ("verify", "no.json"), ("extract", "no.json", "total")):
        read = made.machine.run(OUTSIDER, "report", *words)
        assert "role-missing" not in read.err


DONE = [
    (ANNA, ("study", "list"), "study-1"),
    (ANNA, ("study", "show", "study-1"), "Left after:"),
    (ANNA, ("roster", "show"), "no roster"),
    (ANNA, ("approver", "list"), "Boris"),
    (ANNA, ("ledger",), "lifetime"),
    (ANNA, ("roles", "show"), "your roles here: approver."),
    (AUDITOR, ("audit", "export"), '"operation":"role-change"'),
    (AUDITOR, ("approver", "list"), "Anna"),
    (AUDITOR, ("ledger",), "lifetime"),
    (AUDITOR, ("whoami",), "your roles here: auditor."),
    (ANALYST, ("model", "list"), "No model"),
    (ANALYST, ("ledger",), "lifetime"),
    (ANALYST, ("whoami",), "your roles here: analyst."),
    (OUTSIDER, ("whoami",), "your roles here: none."),
    (OPERATOR, ("whoami",), "your roles here: operator."),
    (SERVICE, ("cases", "list"), "empty"),
    (SERVICE, ("study", "list"), "study-1"),
    (SERVICE, ("audit", "export"), '"operation":"role-change"'),
    (SERVICE, ("ledger",), "lifetime"),
    (SERVICE, ("roles", "show"), f"group {APPROVERS}"),
]


@pytest.mark.parametrize(
    ("user", "words", "said"), DONE, ids=lambda value: getattr(value, "name", str(value))
)
def test_a_role_does_what_it_is_for(made: Site, user: User, words: tuple[str, ...], said: str) -> None:
    done = made.node(user, *words)
    assert done.status == 0, done.err
    assert said in done.out


def test_an_auditor_verifies_the_log_itself(made: Site) -> None:
    key = public_hex(load_key(made.base / "keys" / "BE.key.signing"))
    words = ("node", "audit", "verify", made.home / "audit.jsonl", "--key", key)
    assert made.machine.run(AUDITOR, *words).status == 0
    assert made.machine.run(ANNA, *words).status != 0


def test_two_approvers_approve_as_users_of_their_own(made: Site) -> None:
    for user, name in ((ANNA, "Anna"), (BORIS, "Boris")):
        done = made.decide(user, name, "approve", study_id="study-1")
        assert done.status == 0, done.err
    found = made.standing("study-1")
    assert set(found["approved_by"]) == {"Anna", "Boris"}
    assert found["status"] == "approved"
    paper = next((made.study / "approvals").iterdir()).stat()
    assert (paper.st_uid, stat.S_IMODE(paper.st_mode)) in {(ANNA.number, 0o644), (BORIS.number, 0o644)}


def test_an_approver_is_shown_what_the_operator_is_shown(made: Site) -> None:
    for words in (
        ("study", "show", "study-1", "--json"),
        ("study", "list", "--json"),
        ("roster", "show", "--json"),
    ):
        seen, own = (made.node(user, *words).json() for user in (ANNA, SERVICE))
        if "population" in seen:  # but how many victims it is about
            assert "role operator" in seen.pop("population")["hidden"]
            assert own.pop("population")["hidden"] == "no case data was imported yet"
        assert seen == own
    seen, own = (made.node(user, "ledger", "--json").json() for user in (ANNA, SERVICE))
    assert seen.pop("stated") is not None
    assert own.pop("stated") is None
    assert seen == own


DISPUTE = """
from safeborders_fed.node.budget_statement import state
from safeborders_fed.node.settings import NodeSettings
settings = NodeSettings.load(Path(home))
ledger = settings.open_ledger()
ledger.mark_restored("a" * 64)
state(settings, ledger)
"""


def test_approvers_sign_a_settlement_and_the_operator_carries_it_out(made: Site) -> None:
    assert made.tried(SERVICE, DISPUTE) == ""
    made.base.chmod(0o1777)
    signed = []
    for user, name in ((ANNA, "Anna"), (BORIS, "Boris")):
        out = made.base / f"{name}.settlement"
        given = ("--lost-rho", 0, "--out", out, *made.person(user, name))
        done = made.node(user, "ledger", "sign", *given)
        assert done.status == 0, done.err
        signed += ["--approval", out]
    made.base.chmod(0o711)
    done = made.node(ANNA, "ledger", "reconcile", *signed, "--lost-rho", 0)
    assert (done.status, "role operator" in done.err) == (5, True)
    done = made.node(SERVICE, "ledger", "reconcile", *signed, "--lost-rho", 0)
    assert done.status == 0, done.err
    assert made.node(ANNA, "ledger", "--json").json()["disputes"] == []


def test_a_refusal_that_an_approver_leaves_stands_once_the_service_saw_it(made: Site) -> None:
    made.offer("study-refused")
    done = made.decide(ANNA, "Anna", "refuse", "--reason", "purpose", study_id="study-refused")
    assert done.status == 0, done.err
    assert made.standing("study-refused")["refused_by"] == "Anna"
    code = """
from safeborders_fed.node.desks import open_desk
from safeborders_fed.node.settings import NodeSettings
desk = open_desk(NodeSettings.load(Path(home)))
desk.studies.keep_refusal(desk.refusal(desk.studies.manifest("study-refused")))
"""
    assert made.machine.do(SERVICE, code, umask=0o077, home=made.home).status == 0
    box = made.home / "studies" / "study-refused" / "refusals"
    assert made.tried(ANNA, "[path.unlink() for path in Path(box).iterdir()]", box=box) == ""
    assert made.standing("study-refused")["refused_by"] == "Anna"
    done = made.decide(BORIS, "Boris", "approve", study_id="study-refused")
    assert (done.status, "refused-already" in done.err) == (5, True)


READ = "Path(path).read_bytes() if Path(path).is_file() else list(Path(path).iterdir())"
WRITE = "open(path, 'ab').write(b'x') if Path(path).is_file() else Path(path, 'x').touch()"
BOXES = {"approvals", "refusals", "withdrawals", "papers"}
OPEN_TO_READ = {
    "approver": {
        "node.toml",
        "approvers.json",
        "budget.json",
        "studies",
        "studies/study-1",
        "studies/study-1/published.json",
        "studies/study-1/approvals",
        "studies/study-1/refusals",
        "hits",
        "hits/papers",
    },
    "auditor": {"node.toml", "approvers.json", "budget.json", "audit.jsonl"},
    "analyst": {"node.toml", "approvers.json", "budget.json", "models", "releases"},
    "outsider": set[str](),
}


@pytest.mark.parametrize("user", USERS, ids=lambda user: user.name)
def test_each_entry_is_open_to_those_whose_role_needs_it_and_only_boxes_are_writable(
    made: Site, user: User
) -> None:
    names = [
        path.relative_to(made.home).as_posix()
        for path in made.home.rglob("*")
        if "json" not in path.parent.name
    ]
    assert {"ledger.sqlite", "store", "audit.jsonl", "studies/study-1/approvals"} <= set(names)
    papers = {name for name in names if Path(name).parent.name in BOXES}
    more = {name for name in names if name.startswith("studies/study-") and user.name == "approver"}
    for name in (*names, "."):
        path = made.home / name
        readable = name in OPEN_TO_READ[user.name] or name in (more - {f"{name}/transcript"})
        assert (made.tried(user, READ, path=path) == "") is readable, (name, "read")
        writable = user.name == "approver" and path.name in BOXES
        own = name in papers and path.stat().st_uid == user.number
        if not own:
            assert (made.tried(user, WRITE, path=path) == "") is writable, (name, "write")
        if writable:
            (path / "x").unlink()
    for key in (made.base / "keys").iterdir():
        assert made.tried(user, READ, path=key) == "PermissionError"


def test_the_machines_own_tools_are_refused_as_well(made: Site) -> None:
    """The same with setpriv and programs that are not ours."""
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv")

    def allowed(user: User, *words: object) -> bool:
        groups = ["--groups", ",".join(map(str, user.groups))] if user.groups else ["--clear-groups"]
        become = ["setpriv", f"--reuid={user.number}", f"--regid={user.number}", *groups, "--inh-caps=-all"]
        found = subprocess.run([*become, *map(str, words)], capture_output=True, check=False)
        assert found.returncode in {0, 1}, found.stderr
        return found.returncode == 0

    key, log, settings = made.base / "keys" / "BE.key", made.home / "audit.jsonl", made.home / "node.toml"
    assert allowed(OPERATOR, "cat", key)
    assert [allowed(user, "cat", key) for user in USERS] == [False] * 4
    assert [allowed(user, "cat", log) for user in USERS] == [False, True, False, False]
    assert [allowed(user, "cat", settings) for user in USERS] == [True, True, True, False]
    assert [allowed(user, "test", "-w", log) for user in USERS] == [False] * 4
    assert [allowed(user, "test", "-w", settings) for user in USERS] == [False] * 4
    assert [allowed(user, "test", "-x", made.home / "store") for user in USERS] == [False] * 4
    assert [allowed(user, "test", "-w", made.study / "approvals") for user in USERS] == [True] + [False] * 3
