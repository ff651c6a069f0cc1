"""A node whose people are users of one machine, for tests that run as root."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from federation_of import SMALL, study
from machine_users import Done, Machine, User, public_directory
from safeborders_fed.masking.signing import public_hex
from safeborders_fed.node.approvals import create_approver_key
from safeborders_fed.node.approvers import add
from safeborders_fed.node.creating import create_node
from safeborders_fed.study.publication import publish

PEOPLE, APPROVERS, AUDITORS, ANALYSTS = 47010, 47011, 47012, 47013
OPERATOR = User("operator", 47001, (PEOPLE, APPROVERS, AUDITORS, ANALYSTS))
SERVICE = User("service", 47001)  # the same user as its unit starts it: of no further group
ANNA = User("approver", 47021, (PEOPLE, APPROVERS))
BORIS = User("another approver", 47022, (PEOPLE, APPROVERS))
AUDITOR = User("auditor", 47023, (PEOPLE, AUDITORS))
ANALYST = User("analyst", 47024, (PEOPLE, ANALYSTS))
OUTSIDER = User("outsider", 47030)
USERS = (ANNA, AUDITOR, ANALYST, OUTSIDER)
WORDS = "correct horse battery"
POLICY = f"""
operator_keys = ["{public_hex(SMALL.operator)}"]

[policy]
analyses = ["logistic"]
columns = ["sex", "age_band", "trafficking_status", "registration_date"]
epsilon_per_study = 3.0
epsilon_per_year = 6.0
epsilon_lifetime = 9.0
delta = 1e-6
minimum_participants = 2
purposes = ["victim-identification", "modus-operandi", "statistics", "early-warning", "evaluation"]
populations = ["all", "minors"]
least_victims = 0
least_tolerated_colluders = 1
"""


@dataclass
class Site:
    """A node of the user OPERATOR, and the keys of its people."""

    base: Path
    machine: Machine

    @property
    def home(self) -> Path:
        return self.base / "BE"

    @property
    def study(self) -> Path:
        return self.home / "studies" / "study-1"

    def node(self, user: User, *words: object) -> Done:
        return self.machine.run(user, "node", *words, "--home", self.home)

    def person(self, user: User, name: str) -> list[object]:
        return [
            "--name",
            name,
            "--key",
            self.base / f"{name}.pem",
            "--passphrase-file",
            self.base / f"{user.number}",
        ]

    def decide(self, user: User, name: str, *words: str, study_id: str = "study-1") -> Done:
        given = ("--hash", study(id=study_id).hash())
        return self.node(user, "study", words[0], study_id, *words[1:], *self.person(user, name), *given)

    def offer(self, study_id: str) -> None:
        """What the service does with a study that the coordinator offers, under its unit's umask."""
        offered = self.base / f"{study_id}.offer"
        offered.write_bytes(publish(study(id=study_id), SMALL.operator))
        offered.chmod(0o644)
        code = """
from safeborders_fed.node.studies import NodeStudies
NodeStudies(Path(home), (operator,)).keep(Path(offered).read_bytes())
"""
        names = {"home": self.home, "operator": public_hex(SMALL.operator), "offered": offered}
        done = self.machine.do(SERVICE, code, umask=0o077, **names)
        assert done.status == 0, done.err

    def standing(self, study_id: str) -> dict[str, Any]:
        """Where a study stands for the service."""
        done = self.node(SERVICE, "study", "show", study_id, "--json")
        assert done.status == 0, done.err
        found: dict[str, Any] = done.json()
        return found

    def rights(self) -> str:
        """What a doctor says of the directory (not all of ``node doctor``, which asks Flower, too)."""
        code = """
from datetime import UTC, datetime
from safeborders_fed.node.checkup import examine
for found in examine(Path(home), datetime.now(UTC), running=False):
    print(found.level, found.name, found.text, found.fix)
"""
        done = self.machine.do(OPERATOR, code, home=self.home)
        assert done.status == 0, done.err
        return done.out

    def tried(self, user: User, code: str, **names: object) -> str:
        """The name of the error with which an attempt ends; empty if it worked."""
        done = self.machine.do(user, code, **{"home": self.home, "study": self.study, **names})
        return done.err.partition(":")[0] if done.status else ""


@functools.cache
def _key_of(name: str) -> tuple[str, bytes]:
    """A person's key under its passphrase, which takes its time on purpose: once for all tests."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, name)
        return create_approver_key(path, WORDS), path.read_bytes()


@functools.cache
def _machine() -> Machine:
    made = Machine()
    atexit.register(made.close)
    return made


def _hand_over(path: Path, user: User) -> None:
    for entry in (path, *path.rglob("*")):
        os.lchown(entry, user.number, user.number)


def _set_up(base: Path) -> None:
    settings = create_node(base / "BE", "BE", base / "keys" / "BE.key", 1000)
    with (settings.home / "node.toml").open("a", encoding="utf-8") as file:
        text = (settings.home / "node.toml").read_text(encoding="utf-8")
        assert "operator_keys" not in text.split("#", 1)[0]
        file.write(POLICY)
    for user, name in ((ANNA, "Anna"), (BORIS, "Boris")):
        key, words = base / f"{name}.pem", base / f"{user.number}"
        public, pem = _key_of(name)
        key.write_bytes(pem)
        key.chmod(0o600)
        words.write_text(WORDS, encoding="utf-8")
        words.chmod(0o600)
        for file in (key, words):
            os.chown(file, user.number, user.number)
        add(settings, name=name, role="approver", public=public, by="IT", today=datetime.now(UTC).date())
    _hand_over(settings.home, OPERATOR)
    _hand_over(base / "keys", OPERATOR)


def groups(**others: int) -> list[object]:
    wanted = {"people": PEOPLE, "approvers": APPROVERS, "auditors": AUDITORS, "analysts": ANALYSTS} | others
    return [word for name, number in wanted.items() for word in (f"--{name}", number)]


@contextmanager
def node_of_many_users(*, roles_set: bool = True) -> Iterator[Site]:
    """A node in a directory that every user may get to."""
    if os.geteuid() != 0:
        pytest.skip("only root can become other users")
    base = public_directory()
    if base is None:
        pytest.skip("there is no directory that every user may pass through")
    (base / "keys").mkdir(mode=0o700)
    try:
        _set_up(base)
        site = Site(base, _machine())
        if roles_set:
            done = site.node(OPERATOR, "roles", "set", *groups(), "--by", "IT", "--json")
            assert done.status == 0, done.err
        yield site
    finally:
        shutil.rmtree(base)
