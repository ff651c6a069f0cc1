"""Setting the roles of a node: who, beside the node's own user, may open what in its directory.

Guarantees: only the node's own user or root sets them. What is to be closed is closed before the directory is
opened to anybody. The change is in the audit log. Set again, the rights are as the table says
(``node.layout``), whatever they were; cleared, all is for the node's own user only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from safeborders_fed.audit import notices
from safeborders_fed.audit.chain import Operation
from safeborders_fed.audit.log import Event
from safeborders_fed.errors import ConfigurationError, RefusedError, UsageError
from safeborders_fed.node import budget_statement, layout
from safeborders_fed.node.changes import alone, unwritable
from safeborders_fed.node.layout import Entry, Groups, group_name, user_name
from safeborders_fed.node.own_keys import signing_key
from safeborders_fed.study import durable

if TYPE_CHECKING:
    from safeborders_fed.node.settings import NodeSettings


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
        for name in (layout.STUDIES, layout.MODELS, layout.RELEASES, f"{layout.HITS}/{layout.PAPERS}"):
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
