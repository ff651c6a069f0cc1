"""The commands of ``safeborders node approver``: the people who approve and audit at this node.

Guarantees: each command parses, calls one function and prints. A key is made by the person who keeps it,
under a passphrase that no command line holds.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from safeborders_fed.cli import output
from safeborders_fed.cli.enrolment_node import LOGGED, WAITS, Home, Json, now
from safeborders_fed.cli.passphrase import PassphraseFile, passphrase

if TYPE_CHECKING:
    from safeborders_fed.node.approvals import Approver
    from safeborders_fed.node.approvers import Changed

app = typer.Typer(
    help="Enrol and revoke the people who approve.", no_args_is_help=True, rich_markup_mode=None
)
By = Annotated[str, typer.Option(help="Your name, for the audit log.")]


@app.command("create-key")
def create_key(
    key_file: Annotated[Path, typer.Argument(help="A new file for your key, on a medium of your own.")],
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Make your own approver key, under a passphrase. Needs no node."""
    from safeborders_fed.node.approvals import create_approver_key

    public = create_approver_key(key_file, passphrase(passphrase_file, twice=True))
    output.result(
        {"key_file": key_file, "public_key": public},
        f"Your key is in {key_file}. Give the node's team its public half, in person:\n{public}",
        as_json=as_json,
    )


@app.command()
def add(
    home: Home,
    name: Annotated[str, typer.Option(help="The person's name.")],
    public: Annotated[str, typer.Option(help="The 64 digits that `create-key` showed that person.")],
    by: By,
    role: Annotated[
        Literal["approver", "auditor", "prosecutor"],
        typer.Option(help="An auditor never approves; a prosecutor approves batches for links only."),
    ] = "approver",
    as_json: Json = False,
) -> None:
    """Enrol a person with the key that they made."""
    from safeborders_fed.node.approvers import add as enrol
    from safeborders_fed.node.settings import NodeSettings

    settings = NodeSettings.load(home)
    done = enrol(settings, name=name, role=role, public=public, by=by, today=now().date())
    _print_changed(done, f"{name} is enrolled as {role}.", as_json=as_json)


@app.command("list")
def list_(home: Home, as_json: Json = False) -> None:
    """List everybody who is or was enrolled."""
    from safeborders_fed.node.approvers import can_approve, enrolled
    from safeborders_fed.node.settings import NodeSettings

    people = enrolled(NodeSettings.load(home))
    rows = [[entry.name, entry.role, str(entry.since or ""), _state(entry), entry.public] for entry in people]
    text = output.table(["name", "role", "since", "state", "public key"], rows)
    content = {
        "people": [entry.model_dump(mode="json") for entry in people],
        "can_approve": can_approve(people),
    }
    output.result(content, text if people else "Nobody is enrolled yet.", as_json=as_json)


@app.command()
def revoke(
    home: Home,
    name: Annotated[str, typer.Option(help="The person's name.")],
    reason: Annotated[str, typer.Option(help="Why their key counts no more.")],
    by: By,
    as_json: Json = False,
) -> None:
    """Revoke a person's key, for good. What they approved does not count any more."""
    from safeborders_fed.node.approvers import revoke as end
    from safeborders_fed.node.settings import NodeSettings

    done = end(NodeSettings.load(home), name=name, reason=reason, by=by, today=now().date())
    _print_changed(done, f"The key of {name} is revoked.", as_json=as_json)


def _print_changed(done: Changed, text: str, *, as_json: bool) -> None:
    content: dict[str, Any] = {
        "person": done.person.model_dump(mode="json"),
        "can_approve": done.approvers,
        "logged": done.logged,
        "warning": done.warning,
    }
    output.result(content, f"{text} {LOGGED if done.logged else WAITS}", as_json=as_json)
    if done.warning is not None:
        output.message(f"Warning: {done.warning}")


def _state(entry: Approver) -> str:
    return f"revoked on {entry.revoked.on}: {entry.revoked.reason}" if entry.revoked else "enrolled"
