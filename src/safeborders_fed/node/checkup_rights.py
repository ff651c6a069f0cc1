"""What a doctor says of the rights in a node's directory whose roles are set.

Guarantees: nothing is changed, and no file is opened: rights are judged by the mode bits, not by trying.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Final

from safeborders_fed.node import layout
from safeborders_fed.node.layout import Entry, Groups, group_name, user_name
from safeborders_fed.study.checkup import Finding, failed, ok, warning

_AGAIN: Final = "run `safeborders node roles set` as the node's own user, which sets all rights again"
_MOST_NAMED: Final = 5


def findings(home: Path) -> Iterator[Finding]:
    """Rights of all entries, what lies in the boxes of studies, and the way to the directory."""
    try:
        groups = layout.present(home)
    except OSError as error:
        yield failed("roles", f"{error.filename} cannot be looked at: {error.strerror}", _AGAIN)
        return
    if groups is None:
        return
    wrong = [(entry, *_wrong(entry, groups, home.stat().st_uid)) for entry in layout.entries(home)]
    open_wide = [f"{entry.path} {text}" for entry, text, is_open in wrong if text and is_open]
    closed = [f"{entry.path} {text}" for entry, text, is_open in wrong if text and not is_open]
    if open_wide:
        yield failed("roles", f"open to others than its role: {_some(open_wide)}", _AGAIN)
    if closed:
        yield warning("roles", f"closed to those whose role needs it: {_some(closed)}", _AGAIN)
    if len(set(asdict(groups).values())) < len(asdict(groups)):
        yield failed("roles", "two roles have the same group, and so are one", _AGAIN)
    elif not open_wide and not closed:
        names = ", ".join(f"{name}: {group_name(number)}" for name, number in asdict(groups).items())
        yield ok("roles", f"open as far as each role goes ({names})")
    yield from _boxes(home)
    yield from _way(home)


def _wrong(entry: Entry, groups: Groups, owner: int) -> tuple[str, bool]:
    """What is wrong with the rights of an entry, and whether it is that others may open it."""
    found = entry.path.lstat()
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid != owner:
        return f"belongs to user {user_name(found.st_uid)}", True
    if mode & ~entry.mode & ~stat.S_ISGID:
        return f"has mode {mode:04o} instead of {entry.mode:04o}", True
    if entry.group is not None and mode & 0o070 and found.st_gid != getattr(groups, entry.group):
        return f"is of the group {group_name(found.st_gid)}", True
    if entry.group is not None and mode & entry.mode != entry.mode:
        return f"has mode {mode:04o} instead of {entry.mode:04o}", False
    return "", False


def _boxes(home: Path) -> Iterator[Finding]:
    """What lies in the boxes of studies and is no paper: somebody tries something, or made a mistake."""
    odd = []
    for study in (home / layout.STUDIES).iterdir():
        for name in layout.BOXES:
            if not (study / name).is_dir():
                continue
            for path in (study / name).iterdir():
                found = path.lstat()
                if not stat.S_ISREG(found.st_mode):
                    odd.append(f"{path} of user {user_name(found.st_uid)}")
    if odd:
        yield warning(
            "boxes",
            f"neither approvals nor refusals, and passed over: {_some(odd)}",
            "ask those users what it is, then remove it",
        )
    else:
        yield ok("boxes", "nothing but papers lies where approvers leave them")


def _way(home: Path) -> Iterator[Finding]:
    closed = [str(path) for path in home.absolute().parents if not path.stat().st_mode & stat.S_IXOTH]
    if closed:
        yield warning(
            "way-to-directory",
            f"people with a role may not pass through {', '.join(closed)}",
            f"run `chmod o+x {' '.join(closed)}`, or give the group of the node's people the way",
        )
    else:
        yield ok("way-to-directory", f"people with a role can get to {home}")


def _some(texts: list[str]) -> str:
    more = f" and {len(texts) - _MOST_NAMED} more" if len(texts) > _MOST_NAMED else ""
    return ", ".join(texts[:_MOST_NAMED]) + more
