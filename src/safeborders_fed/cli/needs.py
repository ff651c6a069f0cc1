"""Which role each command needs: said in its help, and checked before it does anything.

Guarantees: a user without the role gets one coded message that names the role and whom to ask, never a bare
error of the machine. A command that this table does not name is the operator's. Rights on the files decide in
any case: this check only finds the words.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

if TYPE_CHECKING:
    from safeborders_fed.errors import SafeBordersError

NOBODY: Final = ""
OPERATOR: Final = "operator"
_APPROVER: Final = "approver"
_AUDITOR: Final = "auditor"
_ANALYST: Final = "analyst"
_ANY: Final = "approver auditor analyst"
NODE: Final = {
    "approver create-key": NOBODY,
    "approver list": _ANY,
    "audit export": _AUDITOR,
    "audit verify": NOBODY,
    "contract": NOBODY,
    "init": NOBODY,
    "ledger": _ANY,
    "ledger sign": _APPROVER,
    "links approve-hit": _APPROVER,
    "links decline": _APPROVER,
    "links draft": _APPROVER,
    "links hit": _APPROVER,
    "links hits": _APPROVER,
    "links outcome": _APPROVER,
    "mapping check": NOBODY,
    "mapping suggest": NOBODY,
    "model list": _ANALYST,
    "policy check": _APPROVER,
    "restore": NOBODY,
    "roles show": _ANY,
    "roster show": _ANY,
    "roster sign": _APPROVER,
    "study approve": _APPROVER,
    "study list": _APPROVER,
    "study refuse": _APPROVER,
    "study show": _APPROVER,
    "study withdraw-approval": _APPROVER,
    "whoami": NOBODY,
}
"""Roles, apart from the operator, whose users may run a command of ``safeborders node``, by its words."""
REPORT: Final = {"verify": _ANY, "warnings": OPERATOR}
"""Likewise of ``safeborders report``, for a node's directory that they are told to read."""


def attach_to_node(app: typer.Typer) -> None:
    """Has every command of ``safeborders node`` say and check which role it needs."""
    _attach(app, "", lambda words: _Need(f"safeborders node {words}", NODE.get(words, OPERATOR), _require))


def attach_to_coordinator(app: typer.Typer) -> None:
    """Has every command of ``safeborders coordinator`` say and check that it needs the operator."""
    _attach(app, "", lambda words: _Need(f"safeborders coordinator {words}", _side(words), _require_owner))


def attach_to_report(app: typer.Typer) -> None:
    """Has the commands of ``safeborders report`` check the role where they read somebody's directory.

    Without one, and for the other commands, none is needed: they read files that were handed to their user.
    """
    _attach(app, "", _need_of_report)
    for command in app.registered_commands:
        if command.name in REPORT:
            command.epilog = f"With a node's directory: {said(REPORT[command.name])} Without: none is needed."


def _need_of_report(words: str) -> _Need:
    return _Need(f"safeborders report {words}", REPORT.get(words, NOBODY), _require_at)


def _side(words: str) -> str:
    return NOBODY if words == "init" else OPERATOR


@dataclass(frozen=True)
class _Need:
    """What a command needs.

    Attributes:
        command: Its words, with the program's.
        roles: The roles that it is for.
        require: Refuses it to others, in a directory.
    """

    command: str
    roles: str
    require: Callable[[Path, str, str], None]


def _attach(app: typer.Typer, above: str, need_of: Callable[[str], _Need]) -> None:
    for command in app.registered_commands:
        if command.callback is not None:
            need = need_of(f"{above} {command.name or command.callback.__name__.replace('_', '-')}".strip())
            command.epilog = said(need.roles)
            command.callback = _checked(command.callback, need)
    for group in app.registered_groups:
        if group.typer_instance is None:
            continue
        words = f"{above} {group.name or ''}".strip()
        own = group.typer_instance.registered_callback
        if own is not None and own.callback is not None:
            need = need_of(words)
            own.epilog = said(need.roles)
            own.callback = _checked(own.callback, need)
        _attach(group.typer_instance, words, need_of)


def said(roles: str) -> str:
    """What the help says of a command."""
    if roles == NOBODY:
        return "Role: none is needed."
    if roles == OPERATOR:
        return "Role: operator."
    return f"Role: {' or '.join(roles.split())}; the operator, too."


def _checked(callback: Callable[..., Any], need: _Need) -> Callable[..., Any]:
    @functools.wraps(callback)
    def run(*args: Any, **kwargs: Any) -> Any:
        context = next((value for value in kwargs.values() if isinstance(value, typer.Context)), None)
        homes = [kwargs.get(name) for name in ("home", "node", "coordinator")]
        applies = need.roles != NOBODY and (context is None or context.invoked_subcommand is None)
        for home in homes if applies else ():
            if isinstance(home, Path):
                need.require(home, need.roles, need.command)
        try:
            return callback(*args, **kwargs)
        except PermissionError as error:
            raise _closed(error) from error

    run.__signature__ = _passable(inspect.signature(callback, eval_str=True))  # type: ignore[attr-defined]
    return run


def _passable(signature: inspect.Signature) -> inspect.Signature:
    """The signature, with directories that their user need only pass through: people may not list them."""
    for name in ("home", "node", "coordinator"):
        home = signature.parameters.get(name)
        for option in getattr(home and home.annotation, "__metadata__", ()):
            option.readable = False
    return signature


def _require(home: Path, roles: str, command: str) -> None:
    from safeborders_fed.node.layout import Role
    from safeborders_fed.node.role_check import require

    require(home, frozenset(Role(role) for role in roles.split()), command)


def _require_at(home: Path, roles: str, command: str) -> None:
    """At a node its roles, at a coordinator the owner."""
    from safeborders_fed.coordinator.home import SETTINGS_FILE

    try:
        coordinator = (home / SETTINGS_FILE).exists()
    except PermissionError:
        coordinator = False
    (_require_owner if coordinator else _require)(home, OPERATOR if coordinator else roles, command)


def _require_owner(home: Path, roles: str, command: str) -> None:
    """A coordinator's directory is for one user: that of its service, whom operators with key files use."""
    import os

    from safeborders_fed.errors import RefusedError
    from safeborders_fed.node.layout import user_name

    try:
        owner = home.stat().st_uid
    except PermissionError:
        owner = -1
    except OSError:
        return  # there is none: the command says so
    if os.geteuid() in {0, owner} or (owner >= 0 and os.access(home, os.W_OK | os.X_OK)):
        return
    run_as = f"`runuser -u {user_name(owner)} -- …`" if owner >= 0 else "the user who owns it"
    raise RefusedError(
        "role-missing",
        f"`{command}` needs the role {roles} at {home}, and user {user_name(os.geteuid())} does not have it",
        f"ask the coordinator's operator, or run it as the user of the coordinator's service: {run_as}",
    )


def _closed(error: PermissionError) -> SafeBordersError:
    from safeborders_fed.errors import ConfigurationError

    return ConfigurationError(
        "no-rights",
        f"{error.filename or 'a file'}: {error.strerror}, for the user who runs this",
        "choose a path that this user may open; for rights in a node's directory, ask its operator to run "
        "`safeborders node doctor`",
    )
