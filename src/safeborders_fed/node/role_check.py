"""Who is what at a node, and the words for who lacks a role.

Guarantees: a role is what the machine lets a user open (``node.layout``), found by asking it. A refusal names
the command, the role, who the user is, and whom to ask.
"""

from __future__ import annotations

import grp
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from safeborders_fed.errors import ConfigurationError, RefusedError, UsageError
from safeborders_fed.node import layout
from safeborders_fed.node.layout import Groups, Role, group_name, user_name

_WHO_HAS: Final = {
    Role.APPROVER: (layout.STUDIES, "reads studies, approves and refuses them with their own key"),
    Role.AUDITOR: (layout.AUDIT, "reads and exports the audit log"),
    Role.ANALYST: (layout.MODELS, "reads released models and tables"),
}


def standing(home: Path) -> dict[str, Any]:
    """Who this user is at a node, as JSON values."""
    try:
        has = layout.held(home)
    except PermissionError:  # it lies behind a directory that is closed to this user
        has = frozenset()
    except OSError as error:
        raise ConfigurationError(
            "settings-missing",
            f"{home} cannot be looked at: {error.strerror}",
            "give the directory that `safeborders node init` made",
        ) from error
    return {"user": user_name(os.geteuid()), "roles": sorted(role.value for role in has)}


def overview(home: Path) -> dict[str, Any]:
    """Who has which role at a node, as JSON values.

    Raises:
        ConfigurationError: ``roles-half-set``.
    """
    try:
        groups = layout.present(home)
    except OSError as error:
        raise ConfigurationError(
            "roles-half-set",
            f"{error.filename} cannot be looked at: {error.strerror}",
            "set the roles again with `safeborders node roles set`",
        ) from error
    shown = (
        {}
        if groups is None
        else {
            "people": {
                "group": group_name(groups.people),
                "may": "enters the directory, and sees settings and budget",
            },
            "approver": {"group": group_name(groups.approvers), "may": _WHO_HAS[Role.APPROVER][1]},
            "auditor": {"group": group_name(groups.auditors), "may": _WHO_HAS[Role.AUDITOR][1]},
            "analyst": {"group": group_name(groups.analysts), "may": _WHO_HAS[Role.ANALYST][1]},
        }
    )
    return {"operator": user_name(home.stat().st_uid), "groups": shown, "you": standing(home)}


def chosen(home: Path, names: Mapping[str, str | None]) -> Groups:
    """The groups of these names or numbers; where None is given, the one that has the role now.

    Raises:
        UsageError: ``group-missing`` or ``unknown-group``.
    """
    try:
        now = layout.present(home)
    except OSError:
        now = None
    return Groups(**{role: _number(role, name, now) for role, name in names.items()})


def _number(role: str, name: str | None, now: Groups | None) -> int:
    if name is None:
        if now is None:
            raise UsageError(
                "group-missing",
                f"no group is given for --{role}",
                "name one; `groupadd --system NAME` makes it",
            )
        return int(getattr(now, role))
    if name.isdecimal():
        return int(name)
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError as error:
        raise UsageError(
            "unknown-group",
            f"this machine has no group {name!r}",
            f"make it first, as root: `groupadd --system {name}`",
        ) from error


def require(home: Path, needed: frozenset[Role], command: str) -> None:
    """Refuses a command to a user who has none of the roles that it is for; says who has them.

    What is no node's directory is left to the command to complain of.

    Raises:
        RefusedError: ``role-missing``.
    """
    try:
        if layout.is_operator(home) or not (home / "node.toml").exists():
            return
    except (FileNotFoundError, NotADirectoryError):
        return
    except PermissionError:  # the way there is closed, or the directory is: that is what must be said
        raise _missing(home, needed, command, frozenset()) from None
    has = layout.held(home)
    if not has & needed:
        raise _missing(home, needed, command, has)


def _missing(home: Path, needed: frozenset[Role], command: str, has: frozenset[Role]) -> RefusedError:
    roles = " or ".join(role.value for role in Role if role in needed)
    here = ", ".join(sorted(has)) or "no role"
    return RefusedError(
        "role-missing",
        f"`{command}` needs the role {roles} at {home}, and user {user_name(os.geteuid())} has {here} there",
        _way_to(home, needed),
    )


def _way_to(home: Path, needed: frozenset[Role]) -> str:
    """Whom to ask, or how to come by the role."""
    try:
        owner, shared, people = user_name(home.stat().st_uid), layout.is_shared(home), home.stat().st_gid
    except PermissionError:
        return f"ask the node's operator, or to be let through the directories that lead to {home}"
    if needed == {Role.OPERATOR}:
        return f"ask the node's operator, or run it as the node's own user: `runuser -u {owner} -- …`"
    if not shared:
        return (
            f"ask user {owner}, to whom alone this node is open; that user gives roles to others with "
            "`safeborders node roles set`"
        )
    groups = []
    for name in [_WHO_HAS[role][0] for role in Role if role in needed - {Role.OPERATOR}]:
        try:
            groups.append(group_name((home / name).stat().st_gid))
        except OSError:  # who is not of the node's people cannot look
            continue
    among = " or ".join(groups) if groups else "the node's approvers, auditors or analysts"
    own = f"have root add you to that group and to {group_name(people)}, and log in again"
    return f"ask one of {among}, or {own}"
