"""The commands of ``safeborders node roster``: what a roster changes, and accepting it by two people.

Guarantees: each command parses, calls one function and prints. Whoever signs is shown every key that changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from safeborders_fed.cli import output
from safeborders_fed.cli.enrolment_node import LOGGED, WAITS, Home, Json, now
from safeborders_fed.cli.passphrase import PassphraseFile, passphrase

if TYPE_CHECKING:
    from safeborders_fed.node.rosters import Review
    from safeborders_fed.node.settings import NodeSettings

app = typer.Typer(help="Look at rosters, and accept them.", no_args_is_help=True, rich_markup_mode=None)
Files = Annotated[
    list[Path], typer.Argument(help="Rosters in any order, or one bundle, as the operator sent them.")
]


@app.command()
def show(
    home: Home,
    file: Annotated[
        list[Path] | None, typer.Argument(help="Rosters or a bundle; without one, the accepted roster.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show every key that changed, its fingerprint, and what must be accepted."""
    from safeborders_fed.node.settings import NodeSettings

    settings = NodeSettings.load(home)
    if not file:
        output.result(_accepted(settings), _accepted_text(settings), as_json=as_json)
        return
    asked = _review(settings, file)
    output.result(_content(asked), _text(asked), as_json=as_json)


@app.command()
def sign(
    file: Files,
    home: Home,
    name: Annotated[str, typer.Option(help="Your name, as enrolled at this node.")],
    key: Annotated[Path, typer.Option(help="Your approver key file.")],
    out: Annotated[Path, typer.Option(help="New file for your signed approvals.")],
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Accept what the files change, as one of two people. Compare the fingerprints first."""
    from safeborders_fed.cli import files
    from safeborders_fed.node.approvals import load_approver_key
    from safeborders_fed.node.rosters import sign as approve
    from safeborders_fed.node.settings import NodeSettings

    settings = NodeSettings.load(home)
    asked = _review(settings, file)
    if not as_json:
        output.message(_text(asked))
    secret = load_approver_key(key, passphrase(passphrase_file))
    files.write_new(out, approve(settings, asked, name=name, key=secret, now=now()))
    output.result(_content(asked) | {"approval": out}, f"Signed by {name}: {out}", as_json=as_json)


@app.command()
def accept(
    file: Files,
    home: Home,
    approval: Annotated[
        list[Path] | None, typer.Option(help="A file that `roster sign` wrote; one for each person.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Accept rosters. New members, lost keys and leaving members need the approvals of two people."""
    from safeborders_fed.cli import files
    from safeborders_fed.node.rosters import accept as take
    from safeborders_fed.node.rosters import approvals_from_bytes
    from safeborders_fed.node.settings import NodeSettings

    settings = NodeSettings.load(home)
    asked = _review(settings, file)
    approvals = [entry for path in approval or () for entry in approvals_from_bytes(files.read(path))]
    done = take(settings, asked, approvals, now())
    people = f" by {' and '.join(done.people)}" if done.people else "; no person was needed"
    output.result(
        _content(asked) | {"accepted_by": list(done.people), "logged": done.logged},
        f"Version {done.steps[-1].roster.version} of the roster is accepted{people}.\n"
        f"{LOGGED if done.logged else WAITS}",
        as_json=as_json,
    )


def _review(settings: NodeSettings, paths: list[Path]) -> Review:
    from safeborders_fed.cli import files
    from safeborders_fed.node.rosters import review

    return review(settings, [files.read(path) for path in paths])


def _content(asked: Review) -> dict[str, Any]:
    return {
        "versions": [
            {
                "version": step.roster.version,
                "hash": step.roster.hash(),
                "changes": [
                    {"node": entry.node, "kind": kind, "key": entry.new, "before": entry.old}
                    for kind in ("added", "renewed", "replaced", "removed")
                    for entry in getattr(step.change, kind)
                ],
            }
            for step in asked.steps
        ],
        "another_coordinator": asked.coordinator is not None,
        "people_needed": bool(asked.to_accept or asked.coordinator),
    }


def _text(asked: Review) -> str:
    lines = []
    if asked.coordinator is not None and asked.bundle is not None:
        lines += [
            f"ANOTHER COORDINATOR, at {asked.bundle.address}: two people must accept it. It is signed for by"
        ]
        lines += [f"  {entry.name}: {_groups(entry.public)}" for entry in asked.bundle.operators]
    for step in asked.steps:
        lines.append(f"Version {step.roster.version} of the roster:")
        lines += [f"  {sentence}" for sentence in step.change.describe()]
    if not lines:
        return "Nothing new: this node has accepted that roster already."
    if asked.to_accept:
        lines.append(
            "Two people call each of these states, by a way of their own, and have the key read to them; "
            "then each signs with `safeborders node roster sign`."
        )
    return "\n".join(lines)


def _accepted(settings: NodeSettings) -> dict[str, Any]:
    accepted = settings.accepted_keys()
    roster = accepted.roster
    return {
        "version": None if roster is None else roster.version,
        "hash": None if roster is None else roster.hash(),
        "members": [] if roster is None else [entry.model_dump(mode="json") for entry in roster.members],
        "retired": list(accepted.retired),
    }


def _accepted_text(settings: NodeSettings) -> str:
    roster = settings.accepted_keys().roster
    if roster is None:
        return "This node has accepted no roster yet."
    rows = [[entry.node, str(entry.valid_until), _groups(entry.public)] for entry in roster.members]
    return f"Version {roster.version}:\n{output.table(['state', 'valid until', 'signing key'], rows)}"


def _groups(public: str) -> str:
    from safeborders_fed.study.accepted_keys import fingerprint

    return fingerprint(public)
