"""The commands ``safeborders node roles`` and ``safeborders node whoami``: who may do what at a node.

Guarantees: each command parses, calls one function and prints. What is shown is what the machine lets a user
open, found by asking it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from safeborders_fed.cli import output

app = typer.Typer(
    help="Say which users of this machine are what at the node.", no_args_is_help=True, rich_markup_mode=None
)

Home = Annotated[Path, typer.Option("--home", help="The directory of the node.")]
By = Annotated[str, typer.Option("--by", help="Your name, for the audit log.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
_AGAIN = "Default: the present one."


@app.command("set")
def set_(
    home: Home,
    by: By,
    people: Annotated[str | None, typer.Option(help=f"Group of everybody with a role here. {_AGAIN}")] = None,
    approvers: Annotated[
        str | None, typer.Option(help=f"Group that reads and decides on studies. {_AGAIN}")
    ] = None,
    auditors: Annotated[str | None, typer.Option(help=f"Group that reads the audit log. {_AGAIN}")] = None,
    analysts: Annotated[
        str | None, typer.Option(help=f"Group that reads released models and tables. {_AGAIN}")
    ] = None,
    as_json: Json = False,
) -> None:
    """Open the node's directory to four groups of this machine, each as far as its role goes.

    Run again without groups, it sets all rights again as they should be.
    """
    from safeborders_fed.node.role_check import chosen
    from safeborders_fed.node.roles import set_roles
    from safeborders_fed.node.settings import NodeSettings

    settings = NodeSettings.load(home)
    names = {"people": people, "approvers": approvers, "auditors": auditors, "analysts": analysts}
    groups = chosen(settings.home, names)
    logged = set_roles(settings, groups, by=by)
    _print(home, logged, as_json=as_json)


@app.command()
def clear(home: Home, by: By, as_json: Json = False) -> None:
    """Close the node's directory to all but its own user."""
    from safeborders_fed.node.roles import clear_roles
    from safeborders_fed.node.settings import NodeSettings

    logged = clear_roles(NodeSettings.load(home), by=by)
    _print(home, logged, as_json=as_json)


@app.command()
def show(home: Home, as_json: Json = False) -> None:
    """Show which groups have which role, and who the present user is here."""
    content = _content(home)
    output.result(content, _text(content), as_json=as_json)


def whoami(home: Home, as_json: Json = False) -> None:
    """Show which roles the present user has at a node, by what the machine lets that user open."""
    from safeborders_fed.node.role_check import standing

    content = standing(home)
    output.result(content, _you(content), as_json=as_json)


def _print(home: Path, logged: bool, *, as_json: bool) -> None:
    from safeborders_fed.cli.enrolment_node import LOGGED, WAITS

    content = _content(home) | {"logged": logged}
    output.result(content, f"{_text(content)}\n{LOGGED if logged else WAITS}", as_json=as_json)


def _content(home: Path) -> dict[str, Any]:
    from safeborders_fed.node.role_check import overview

    return overview(home)


def _text(content: dict[str, Any]) -> str:
    owner = f"operator   user {content['operator']}: owns the directory and may run every command"
    if not content["groups"]:
        lines = [owner, "Nobody else may open it: `safeborders node roles set` gives roles to others."]
    else:
        lines = [owner] + [
            f"{role:<9}  group {entry['group']}, which {entry['may']}"
            for role, entry in content["groups"].items()
        ]
    return "\n".join([*lines, _you(content["you"])])


def _you(content: dict[str, Any]) -> str:
    held = ", ".join(content["roles"]) or "none"
    return f"You are user {content['user']}; your roles here: {held}."
