"""Setting the roles of a node, by whom and to whom, and what a doctor says of rights that changed since."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from federation_of import SMALL
from machine_users import User
from safeborders_fed.masking.signing import public_hex
from users_site import (
    ANALYST,
    ANALYSTS,
    ANNA,
    APPROVERS,
    AUDITOR,
    AUDITORS,
    BORIS,
    OPERATOR,
    PEOPLE,
    SERVICE,
    Site,
    groups,
    node_of_many_users,
)

ROOT = User("root", 0)


@pytest.fixture
def closed() -> Iterator[Site]:
    with node_of_many_users(roles_set=False) as site:
        site.offer("study-1")
        yield site


@pytest.fixture(scope="module")
def made() -> Iterator[Site]:
    with node_of_many_users() as site:
        site.offer("study-1")
        yield site


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_without_roles_a_node_is_open_to_its_own_user_only(closed: Site) -> None:
    assert mode(closed.home) == 0o700
    assert {mode(path) for path in closed.study.rglob("*")} | {mode(closed.study)} == {0o700, 0o600}
    for user in (ANNA, AUDITOR, ANALYST):
        done = closed.node(user, "study", "list")
        assert (done.status, "role-missing" in done.err) == (5, True)
        assert "to whom alone this node is open" in done.err
        assert closed.node(user, "whoami", "--json").json()["roles"] == []
    shown = closed.node(OPERATOR, "roles", "show")
    assert "Nobody else may open it" in shown.out


def test_root_sets_roles_and_nothing_comes_to_belong_to_root(closed: Site) -> None:
    done = closed.node(ROOT, "roles", "set", *groups(), "--by", "IT")
    assert done.status == 0, done.err
    assert {path.stat().st_uid for path in (closed.home, *closed.home.rglob("*"))} == {OPERATOR.number}
    assert closed.decide(ANNA, "Anna", "approve").status == 0
    assert closed.node(AUDITOR, "audit", "export").status == 0


def test_the_user_of_the_node_must_be_of_the_groups(closed: Site) -> None:
    done = closed.node(SERVICE, "roles", "set", *groups(), "--by", "IT")
    assert (done.status, "not-of-the-group" in done.err) == (4, True)
    done = closed.node(OPERATOR, "roles", "set", *groups(auditors=APPROVERS), "--by", "IT")
    assert (done.status, "roles-overlap" in done.err) == (2, True)
    done = closed.node(OPERATOR, "roles", "set", "--people", "47010", "--by", "IT")
    assert (done.status, "group-missing" in done.err) == (2, True)
    done = closed.node(OPERATOR, "roles", "set", *groups()[:-1], "no-such-group", "--by", "IT")
    assert (done.status, "unknown-group" in done.err) == (2, True)
    assert mode(closed.home) == 0o700


def test_cleared_roles_leave_everything_to_the_node_s_user(closed: Site) -> None:
    assert closed.node(OPERATOR, "roles", "set", *groups(), "--by", "IT").status == 0
    assert closed.decide(ANNA, "Anna", "approve").status == 0
    done = closed.node(OPERATOR, "roles", "clear", "--by", "IT")
    assert done.status == 0, done.err
    owned = [path for path in closed.home.rglob("*") if path.stat().st_uid == OPERATOR.number]
    assert all(mode(path) & 0o7077 == 0 for path in (closed.home, *owned))
    assert closed.node(ANNA, "study", "list").status == 5
    log = (closed.home / "audit.jsonl").read_text(encoding="utf-8")
    assert log.count('"operation":"role-change"') == 2


WRONG = [
    ("node.toml", 0o660, "node.toml has mode 0660 instead of 0640"),
    ("audit.jsonl", 0o644, "audit.jsonl has mode 0644"),
    ("store", 0o750, "store has mode 0750 instead of 0700"),
    ("ledger.sqlite", 0o640, "ledger.sqlite has mode 0640"),
    ("studies/study-1/approvals", 0o770, "approvals has mode 0770"),
    ("studies/study-1/approvals", 0o1777, "approvals has mode 1777"),
    ("studies/study-1/refusals", 0o700, "closed to those whose role needs it"),
    ("studies/study-1/published.json", 0o660, "published.json has mode 0660"),
    (".", 0o2711, "has mode 2711 instead of 2710"),
    (".", 0o2770, "has mode 2770 instead of 2710"),
]


@pytest.mark.parametrize(("name", "wrong", "said"), WRONG)
def test_a_doctor_sees_rights_that_were_changed_and_setting_them_again_mends_them(
    made: Site, name: str, wrong: int, said: str
) -> None:
    (made.home / name).chmod(wrong)
    found = made.rights()
    assert said in found
    assert "run `safeborders node roles set`" in found
    assert made.node(OPERATOR, "roles", "set", "--by", "IT").status == 0
    found = made.rights()
    assert f"open as far as each role goes (people: {PEOPLE}, approvers: {APPROVERS}" in found
    assert "nothing but papers lies where approvers leave them" in found


def test_a_doctor_sees_a_file_of_another_user_or_group(made: Site) -> None:
    path = made.home / "approvers.json"
    for owner, group, said in (
        (ANNA.number, PEOPLE, "belongs to user"),
        (OPERATOR.number, AUDITORS, "is of the group"),
    ):
        os.chown(path, owner, group)
        assert said in made.rights()
        os.chown(path, OPERATOR.number, PEOPLE)


def test_a_doctor_sees_a_closed_way_and_an_open_key(made: Site) -> None:
    made.base.chmod(0o700)
    os.chown(made.base, OPERATOR.number, 0)
    assert "may not pass through" in made.rights()
    os.chown(made.base, 0, 0)
    made.base.chmod(0o711)
    key = made.base / "keys" / "BE.key"
    key.chmod(0o640)
    assert "others than its owner may open it" in made.rights()
    key.chmod(0o600)


LATER = """
from safeborders_fed.node.study_directory import write
from safeborders_fed.study import durable
home = Path(home)
write(home / "models" / "m-1.safetensors", b"x", shared=True)
write(home / "releases" / "study-1.json", b"x", shared=True)
write(home / "studies" / "study-1" / "transcript" / "0000001", b"x")
durable.replace(home / "accepted-keys.json", b"x", shared=True)
"""


def test_files_that_come_later_have_the_rights_of_their_place(made: Site) -> None:
    assert made.tried(SERVICE, LATER) == ""
    found = {
        name: (mode(made.home / name), (made.home / name).stat().st_gid)
        for name in ("models/m-1.safetensors", "releases/study-1.json", "accepted-keys.json")
    }
    (made.home / "accepted-keys.json").unlink()
    assert found == {
        "models/m-1.safetensors": (0o640, ANALYSTS),
        "releases/study-1.json": (0o640, ANALYSTS),
        "accepted-keys.json": (0o640, PEOPLE),
    }
    assert mode(made.study / "transcript") & 0o777 == 0o700
    assert mode(made.study / "transcript" / "0000001") == 0o600
    assert made.tried(ANALYST, "Path(home, 'releases', 'study-1.json').read_bytes()") == ""
    assert made.tried(BORIS, "Path(home, 'releases', 'study-1.json').read_bytes()") == "PermissionError"


WATCHED = """
def watched(call):
    def run(path, *args, **options):
        mode = options.get("mode", args[0] if args else 0)
        if mode & 0o6000:
            raise AssertionError(f"{path} {mode:o}")
        return call(path, *args, **options)
    return run
os.mkdir, os.chmod, os.fchmod = watched(os.mkdir), watched(os.chmod), watched(os.fchmod)
from safeborders_fed.node.studies import NodeStudies
NodeStudies(Path(home), (operator,)).keep(Path(offered).read_bytes())
"""


def test_the_service_sets_no_bit_that_its_unit_forbids_and_a_new_study_is_open_all_the_same(
    made: Site,
) -> None:
    made.offer("study-later")
    found = made.home / "studies" / "study-later"
    assert {path.stat().st_gid for path in (found, *found.rglob("*"))} == {APPROVERS}
    assert mode(found) == 0o2750
    assert {mode(path) & 0o1777 for path in found.iterdir() if path.is_dir()} == {0o1770}
    found.rename(made.base / "aside")
    names = {"offered": made.base / "study-later.offer", "operator": public_hex(SMALL.operator)}
    assert made.tried(SERVICE, WATCHED, **names) == ""
    assert mode(found) == 0o2750
