"""Who may open what in a node's directory: the roles, and the mode of each entry.

The rights themselves are the record. A node's roles are set if its directory has the setgid bit; then the
group of the directory is that of all its people, the group of ``studies`` that of its approvers, the group of
``audit.jsonl`` that of its auditors, the group of ``models`` and ``releases`` that of its analysts.

Guarantees: what this table does not name is for the node's own user only. No entry is open to users outside
these groups, who cannot enter the directory. Nobody but the node's own user writes anything in it, except
that approvers add papers to the boxes of studies and hits. Links are never followed.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from safeborders_fed.study.durable import (
    BOX,
    PRIVATE_DIRECTORY,
    PRIVATE_FILE,
    SHARED_DIRECTORY,
    SHARED_FILE,
)

AUDIT: Final = "audit.jsonl"
BUDGET: Final = "budget.json"
HITS: Final = "hits"
MODELS: Final = "models"
RELEASES: Final = "releases"
STUDIES: Final = "studies"
FOR_ALL_PEOPLE: Final = frozenset(
    {"node.toml", "approvers.json", "accepted-keys.json", "coordinator.json", BUDGET}
)
BOXES: Final = frozenset({"approvals", "refusals", "withdrawals"})
PAPERS: Final = "papers"
_OF_A_STUDY: Final = frozenset(
    {"published.json", "outcome.json", "refusal.json", "changes.json", "keys.json"}
)
_REVIEWS: Final = "reviews"
_HOME: Final = 0o2710
_SHARED: Final = stat.S_ISGID | SHARED_DIRECTORY


class Role(StrEnum):
    """What a user of the machine may be at a node."""

    OPERATOR = "operator"
    APPROVER = "approver"
    AUDITOR = "auditor"
    ANALYST = "analyst"


@dataclass(frozen=True)
class Groups:
    """The numbers of the groups to which a directory is open.

    Attributes:
        people: Everybody with a role here: may enter the directory and read settings and budget.
        approvers: May read studies and hits, and leave papers.
        auditors: May read the audit log.
        analysts: May read released models and tables.
    """

    people: int
    approvers: int
    auditors: int
    analysts: int


@dataclass(frozen=True)
class Entry:
    """One entry of a node's directory, and what its rights should be.

    Attributes:
        path: The entry.
        mode: Its permission bits.
        group: The attribute of ``Groups`` that it is open to; None if to none.
    """

    path: Path
    mode: int
    group: str | None = None


def is_shared(home: Path) -> bool:
    """Whether the roles of a node are set."""
    return bool(home.stat().st_mode & stat.S_ISGID)


def is_operator(home: Path) -> bool:
    """Whether this user may change what is in a node's directory: its owner, or root."""
    return os.access(home, os.W_OK | os.X_OK) or os.geteuid() in {0, home.stat().st_uid}


def held(home: Path) -> frozenset[Role]:
    """The roles that this user has at a node, by what the machine lets them open.

    To sign anything an approver needs their key, too. The operator may open all, and is named alone.
    """
    if is_operator(home):
        return frozenset({Role.OPERATOR})
    asked = {Role.APPROVER: (STUDIES, os.R_OK | os.X_OK), Role.AUDITOR: (AUDIT, os.R_OK)}
    asked[Role.ANALYST] = (MODELS, os.R_OK | os.X_OK)
    return frozenset(role for role, (name, how) in asked.items() if os.access(home / name, how))


def present(home: Path) -> Groups | None:
    """The groups to which a node's directory is open; None if its roles are not set.

    Raises:
        OSError: An entry is missing, or this user may not enter the directory.
    """
    if not is_shared(home):
        return None
    numbers = (path.stat().st_gid for path in (home, home / STUDIES, home / AUDIT, home / MODELS))
    return Groups(*numbers)


def entries(home: Path) -> Iterator[Entry]:
    """Every entry that has rights to be set, the directory itself last."""
    for path in _inside(home):
        if path.name in FOR_ALL_PEOPLE:
            yield Entry(path, SHARED_FILE, "people")
        elif path.name == AUDIT:
            yield Entry(path, SHARED_FILE, "auditors")
        elif path.name == STUDIES:
            yield from _studies(path)
        elif path.name == HITS and path.is_dir():
            yield from _hits(path)
        elif path.name in {MODELS, RELEASES}:
            yield from (Entry(file, SHARED_FILE, "analysts") for file in _inside(path) if file.is_file())
            yield Entry(path, _SHARED, "analysts")
        else:
            yield _private(path)
    yield Entry(home, _HOME, "people")


def _studies(directory: Path) -> Iterator[Entry]:
    for study in _inside(directory):
        if not study.is_dir():
            yield _private(study)
            continue
        for path in _inside(study):
            if path.name in BOXES and path.is_dir():
                yield Entry(path, BOX, "approvers")
            elif path.name == _REVIEWS and path.is_dir():
                yield from (Entry(file, SHARED_FILE, "approvers") for file in _inside(path))
                yield Entry(path, _SHARED, "approvers")
            elif path.name in _OF_A_STUDY:
                yield Entry(path, SHARED_FILE, "approvers")
            else:
                yield _private(path)
        yield Entry(study, _SHARED, "approvers")
    yield Entry(directory, _SHARED, "approvers")


def _hits(directory: Path) -> Iterator[Entry]:
    for path in _inside(directory):
        if path.name == PAPERS and path.is_dir():
            yield Entry(path, BOX, "approvers")
        else:
            yield Entry(path, SHARED_FILE, "approvers")
    yield Entry(directory, _SHARED, "approvers")


def private(entry: Entry) -> Entry:
    """The same entry, for its owner only."""
    return _private(entry.path)


def _private(path: Path) -> Entry:
    return Entry(path, PRIVATE_DIRECTORY if path.is_dir() else PRIVATE_FILE)


def _inside(directory: Path) -> Iterator[Path]:
    """What a directory holds, without links and what is neither file nor directory."""
    for path in sorted(directory.iterdir()):
        with suppress(FileNotFoundError):  # a service that runs has removed it since
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
                yield path


def group_name(number: int) -> str:
    """A group for people: its name or, if it has none, its number."""
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def user_name(number: int) -> str:
    """A user for people, likewise."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
