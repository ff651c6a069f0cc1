"""Setting the roles of a node: who, beside the node's own user, may open what in its directory.

Guarantees: only the node's own user or root sets them. What is to be closed is closed before the directory is
opened to anybody. The change is in the audit log. Set again, the rights are as the table says
(``node.layout``), whatever they were; cleared, all is for the node's own user only.
"""

from __future__ import annotations

import grp
import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from safeborders_fed.audit.chain import Operation
from safeborders_fed.audit.log import Event
from safeborders_fed.errors import ConfigurationError, RefusedError, UsageError
from safeborders_fed.node import budget_statement, layout, notices
from safeborders_fed.node.changes import alone, unwritable
from safeborders_fed.node.layout import Entry, Groups, Role, group_name, user_name
from safeborders_fed.node.own_keys import signing_key
from safeborders_fed.study import durable

if TYPE_CHECKING:
    from safeborders_fed.node.settings import NodeSettings

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


@alone
def set_roles(settings: NodeSettings, groups: Groups, *, by: str) -> bool:
    """Opens a node's directory to these groups, each as far as its role goes; whether it is logged already.

    Raises:
        RefusedError: ``role-missing``, for who neither is the node's user nor root.
        UsageError: ``roles-overlap``, or ``purpose-missing`` for a name that is none.
        ConfigurationError: ``not-of-the-group``, ``node-unwritable``, or as ``notices.record``.
    """
    numbers = asdict(groups)
    if len(set(numbers.values())) < len(numbers):
        raise UsageError(
            "roles-overlap",
            "two of the groups are the same, so that two roles would be one",
            "make a group for each role, and one for all people with a role here",
        )
    with _as_owner(settings.home, tuple(numbers.values())):
        named = {name: group_name(number) for name, number in numbers.items()}
        done = _log(settings, by, "the node's directory is opened to groups of users, by role", named)
        _open_to(settings.home, groups)
        if settings.policy is not None:
            with closing(settings.open_ledger()) as ledger:
                budget_statement.state(settings, ledger)
    return done


@alone
def clear_roles(settings: NodeSettings, *, by: str) -> bool:
    """Closes a node's directory to all but its own user; whether it is logged already.

    Raises:
        As ``set_roles``.
    """
    with _as_owner(settings.home, ()):
        done = _log(settings, by, "the node's directory is closed to all but its own user", {})
        try:
            settings.home.chmod(durable.PRIVATE_DIRECTORY)  # first: what it holds is closed with it
            for entry in layout.entries(settings.home):
                _apply(layout.private(entry), None)
        except OSError as error:
            raise unwritable(settings, error) from error
    return done


def _log(settings: NodeSettings, by: str, why: str, details: dict[str, str]) -> bool:
    if not by.strip() or not by.isprintable():
        raise UsageError("purpose-missing", "roles are set by somebody", "give your name with --by")
    event = Event(Operation.ROLE_CHANGE, by, why, details)
    notices.leave(settings.home, signing_key(settings), settings.country, event)
    return notices.log_now(settings.open_audit_log)


@contextmanager
def _as_owner(home: Path, groups: tuple[int, ...]) -> Iterator[None]:
    """Acts as the node's own user, who must be of the groups; root becomes that user for the while.

    So nothing in there comes to belong to root, which the service could not read.
    """
    owner = home.stat().st_uid
    if os.geteuid() not in {0, owner}:
        raise RefusedError(
            "role-missing",
            f"only the node's own user, {user_name(owner)}, or root says who else may open {home}",
            "ask the node's operator",
        )
    if os.geteuid() == owner:
        missing = set(groups) - {os.getegid(), *os.getgroups()} if owner else set()
        if missing:
            raise ConfigurationError(
                "not-of-the-group",
                f"user {user_name(owner)} is not of the groups {', '.join(map(group_name, sorted(missing)))}",
                "have root add that user to them (`usermod -aG …`), or run this as root",
            )
        yield
        return
    before = os.getegid(), os.getgroups()
    os.setgroups(groups)
    os.setegid(home.stat().st_gid)
    os.seteuid(owner)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(before[0])
        os.setgroups(before[1])


def _open_to(home: Path, groups: Groups) -> None:
    try:
        for name in (layout.STUDIES, layout.MODELS, layout.RELEASES):
            durable.make_directories(home / name)
        for study in (home / layout.STUDIES).glob("*/published.json"):
            for name in layout.BOXES:
                durable.make_directories(study.with_name(name))
        for entry in layout.entries(home):  # the directory itself comes last
            _apply(entry, groups)
    except OSError as error:
        raise ConfigurationError(
            "node-unwritable",
            f"the rights in {home} cannot be set: {error.strerror} ({error.filename})",
            "mend them as root, and run this again",
        ) from error


def _apply(entry: Entry, groups: Groups | None) -> None:
    """Sets the rights of one entry, which must not have become a link."""
    kind = os.O_DIRECTORY if entry.path.is_dir() else 0
    try:
        handle = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | kind)
    except FileNotFoundError:  # a service that runs has removed it since
        return
    try:
        if entry.group is not None and groups is not None:
            os.fchown(handle, -1, getattr(groups, entry.group))
        os.fchmod(handle, entry.mode)
    finally:
        os.close(handle)
