"""The commands of ``safeborders node study``: for the people who decide what their state takes part in.

Guarantees: each command parses, calls one function and prints. An approval names the hash, typed or passed;
nothing approves by itself. Everything works while the node's service runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from safeborders_fed.cli import output
from safeborders_fed.cli.passphrase import PassphraseFile, passphrase

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from safeborders_fed.node.desk import Desk
    from safeborders_fed.node.studies import Unreadable
    from safeborders_fed.study.manifest import Manifest

app = typer.Typer(help="Look at studies and decide on them.", no_args_is_help=True, rich_markup_mode=None)

Study = Annotated[str, typer.Argument(help="The study's name.")]
Home = Annotated[Path, typer.Option("--home", help="The directory of the node.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Name = Annotated[str, typer.Option("--name", help="Your name, as enrolled at this node.")]
Key = Annotated[Path, typer.Option("--key", help="Your approver key file.")]
Hash = Annotated[
    str | None, typer.Option("--hash", help="The hash that `show` prints; asked for at a terminal.")
]


@app.command("list")
def list_studies(home: Home, as_json: Json = False) -> None:
    """List the studies that this node was offered, and where each stands."""
    from safeborders_fed.errors import SafeBordersError

    desk = _desk(home)
    rows: list[dict[str, Any]] = []
    for entry in desk.studies.listed():
        try:
            rows.append(_row(desk, entry))
        except SafeBordersError as error:  # the others are listed all the same
            rows.append({"study": entry.id, "status": "unreadable", "reason": error.code})
    names = ("study", "status", "reason", "approved", "analysis", "expires", "others")
    table = output.table(names, [[row.get(name, "") for name in names] for row in rows])
    output.result({"studies": rows}, table if rows else "No study was offered yet.", as_json=as_json)


def _row(desk: Desk, entry: Manifest | Unreadable) -> dict[str, Any]:
    """Where one study stands. Raises why it cannot be told."""
    from safeborders_fed.node.showing import others_say
    from safeborders_fed.node.studies import Unreadable

    if isinstance(entry, Unreadable):
        raise entry.error
    standing = desk.standing(entry)
    return {
        "study": entry.id,
        "status": standing.status.value,
        "reason": standing.reason.value,
        "approved": f"{len(standing.approved_by)} of {standing.approvals_needed}",
        "analysis": entry.analysis,
        "expires": entry.expires.isoformat(),
        "others": others_say(desk, entry),
    }


@app.command()
def show(
    study: Study,
    home: Home,
    assume_victims: Annotated[
        int | None,
        typer.Option(min=1, max=10_000_000, help="Expected accuracy for so many victims in all states."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show a study in plain words: what is asked, of whom, what it costs here, what differs, what to approve.

    The number of victims is shown to who may read the key of the case store, and that look is logged.
    """
    from safeborders_fed.cli.study_show_text import text_of
    from safeborders_fed.node.desks import open_desk
    from safeborders_fed.node.settings import NodeSettings
    from safeborders_fed.node.showing import shown
    from safeborders_fed.study.expected import expected
    from safeborders_fed.study.machine import user

    settings = NodeSettings.load(home)
    desk = open_desk(settings)
    manifest = desk.studies.manifest(study)
    accuracy = expected(manifest, assume_victims)
    content = shown(settings, desk, manifest, by=user()) | {"expected": accuracy.content()}
    output.result(content, text_of(manifest, content, accuracy), as_json=as_json)


@app.command()
def approve(
    study: Study,
    home: Home,
    name: Name,
    key: Key,
    manifest_hash: Hash = None,
    passphrase_file: PassphraseFile = None,
    valid_days: Annotated[int, typer.Option(min=1, max=366, help="How long your approval counts.")] = 30,
    as_json: Json = False,
) -> None:
    """Approve a study, as one of the people that this node's policy asks for."""
    from datetime import timedelta

    from safeborders_fed.node.deciding import approve_study

    desk = _desk(home)
    approval, standing = approve_study(
        desk,
        study,
        manifest_hash=_typed(manifest_hash),
        name=name,
        key=_key(key, passphrase_file),
        valid=timedelta(days=valid_days),
    )
    missing = max(0, standing.approvals_needed - len(standing.approved_by))
    lines = [f"{name} has approved study {study} until {approval.expires:%Y-%m-%d %H:%M} UTC."]
    lines.append(
        f"{missing} more must approve it." if missing else "It starts when the coordinator launches it."
    )
    if standing.obstacle is not None:
        lines.append(f"As things stand it will not start: {standing.obstacle}.")
    content = {
        "study": study,
        "approved_by": list(standing.approved_by),
        "missing": missing,
        "expires": approval.expires.isoformat(),
        "obstacle": standing.obstacle,
    }
    output.result(content, "\n".join(lines), as_json=as_json)


@app.command("withdraw-approval")
def withdraw_approval(
    study: Study,
    home: Home,
    name: Name,
    key: Key,
    manifest_hash: Hash = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Take your approval of a study back, before it is taken on. You may approve it again later."""
    from safeborders_fed.node.deciding import withdraw_approval as taken_back

    _, standing = taken_back(
        _desk(home),
        study,
        manifest_hash=_typed(manifest_hash),
        name=name,
        key=_key(key, passphrase_file),
    )
    people = ", ".join(standing.approved_by) or "nobody"
    text = f"{name} has taken the approval of study {study} back. Approved by {people} now; "
    text += f"{standing.approvals_needed} people must."
    content = {"study": study, "withdrawn_by": name, "approved_by": list(standing.approved_by)}
    output.result(content, text, as_json=as_json)


@app.command()
def refuse(
    study: Study,
    home: Home,
    reason: Annotated[
        str,
        typer.Option(help="purpose, legal-basis, columns, cost, participants, timing or other."),
    ],
    name: Name,
    key: Key,
    manifest_hash: Hash = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Refuse a study. It stands; the coordinator is told the reason, which is one of a fixed list."""
    from safeborders_fed.node.deciding import refuse_study

    refusal = refuse_study(
        _desk(home),
        study,
        manifest_hash=_typed(manifest_hash),
        reason=_reason(reason),
        name=name,
        key=_key(key, passphrase_file),
    )
    text = f"{name} has refused study {study} ({refusal.reason.value}): the coordinator is told when it asks."
    output.result({"study": study, "refused_by": name, "reason": refusal.reason.value}, text, as_json=as_json)


@app.command()
def verify(study: Study, home: Home, as_json: Json = False) -> None:
    """Recompute the release of a finished study from its record, and say what was checked."""
    from dataclasses import asdict

    from safeborders_fed.node.desks import open_studies
    from safeborders_fed.node.models import DIRECTORY
    from safeborders_fed.node.settings import NodeSettings
    from safeborders_fed.node.verifying import verify as verified

    settings = NodeSettings.load(home)
    accepted = settings.accepted_keys()
    found = verified(
        open_studies(settings),
        settings.open_ledger(),
        study,
        node=settings.country,
        accepted=accepted.keys(),
        roster_hash="" if accepted.roster is None else accepted.roster.hash(),
        models=settings.home / DIRECTORY,
    )
    own = (
        f"{found.own} contributions of {settings.country} in it are those that this node's ledger charged"
        if found.own
        else f"{settings.country} contributed nothing to it"
    )
    lines = [
        f"The release of study {study} is right. Checked on this machine:",
        f"  - an operator whose key this node pinned signed the manifest {found.manifest_hash};",
        f"  - {found.contributions} contributions to {found.rounds} rounds are signed with the states' keys;",
        "  - each round was asked with the numbers that follow from the sums before;",
        f"  - the release that follows is the one published (SHA-256 {found.release_hash});",
        f"  - {own}, and none that was charged is missing;",
        f"  - attempts that gave no sum: {found.failed}.",
        "Not checked: whether other states computed their own sums truthfully. Masks hide single sums.",
    ]
    output.result(asdict(found), "\n".join(lines), as_json=as_json)


def _desk(home: Path) -> Desk:
    from safeborders_fed.node.desks import open_desk
    from safeborders_fed.node.settings import NodeSettings

    return open_desk(NodeSettings.load(home))


def _key(file: Path, passphrase_file: Path | None) -> Ed25519PrivateKey:
    from safeborders_fed.node.approvals import load_approver_key

    return load_approver_key(file, passphrase(passphrase_file))


def _typed(given: str | None) -> str:
    """The hash that was passed, or that a person types at a terminal."""
    import sys

    from safeborders_fed.errors import UsageError

    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise UsageError("no-terminal", "there is no terminal to type the hash at", "give it with --hash")
    return str(input("Hash of the study that you have read about: ")).strip()


def _reason(word: str) -> Any:
    from safeborders_fed.errors import UsageError
    from safeborders_fed.study.offering import HUMAN_REASONS, Why

    if word not in HUMAN_REASONS:
        raise UsageError(
            "unknown-reason", f"{word!r} is not a reason", f"give one of {', '.join(HUMAN_REASONS)}"
        )
    return Why(word)
