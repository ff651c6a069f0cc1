"""The commands of ``safeborders node links`` about batches, keys and control; those about hits are beside it.

Guarantees: each command parses, calls one function and prints. No identifier is shown but by ``audit``, which
is logged. What is done while the service runs holds from its next message on.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from safeborders_fed.cli import links_hits, links_network, output
from safeborders_fed.cli.passphrase import PassphraseFile, passphrase

if TYPE_CHECKING:
    from safeborders_fed.links.office import NoticeLog, Office
    from safeborders_fed.links.switch import Switch

app = typer.Typer(
    help="Find links between case files of two states.", no_args_is_help=True, rich_markup_mode=None
)
Home = Annotated[Path, typer.Option("--home", help="The directory of the node.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Batch = Annotated[str, typer.Argument(help="The batch: eight or more of its digits.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the audit log.")]


def _office(home: Path) -> Office:
    from safeborders_fed.links.office import open_office
    from safeborders_fed.node.settings import NodeSettings

    return open_office(NodeSettings.load(home))


def _switch(home: Path) -> tuple[Switch, NoticeLog]:
    """The switch and where to put it on record: it turns though cases or books cannot be opened."""
    from safeborders_fed.links.office import NoticeLog
    from safeborders_fed.links.switch import Switch
    from safeborders_fed.node.settings import NodeSettings
    from safeborders_fed.study.key_files import load_key

    settings = NodeSettings.load(home)
    return Switch(home), NoticeLog(settings, load_key(settings.signing_key_path))


def _who() -> str:
    from safeborders_fed.study.machine import user

    return user()


@app.command()
def status(home: Home, as_json: Json = False) -> None:
    """Show how links stand here: switch, keys, batches, what others have asked for, alarms."""
    from safeborders_fed.cli.links_text import status_text
    from safeborders_fed.links import controls

    content = controls.status(_office(home))
    output.result(content, status_text(content), as_json=as_json)


@app.command()
def prepare(
    home: Home,
    purpose: Annotated[str, typer.Option(help="What it is for, such as investigation.")],
    legal_basis: Annotated[str, typer.Option(help="The law or order that permits it.")],
    valid_days: Annotated[int, typer.Option(min=1, max=92, help="How long others may answer.")] = 30,
    as_json: Json = False,
) -> None:
    """Put all new identifiers into a batch, for prosecutors to approve. Nothing is sent."""
    from safeborders_fed.links import batches

    done = batches.prepare(
        _office(home), purpose=purpose, legal_basis=legal_basis, days=valid_days, who=_who()
    )
    batch = done.statement.hash()
    lines = [f"Batch {batch} is prepared."]
    lines += [f"  {kind}: {count:,} identifiers" for kind, count in done.identifiers.items()]
    lines += [f"  left out, {why}: {count:,}" for why, count in done.left_out.items()]
    lines += [f"LOOK FIRST: {said}" for said in done.alarms]
    lines.append(f"Next: a prosecutor reads `safeborders node links show {batch[:12]}` and approves it.")
    content: dict[str, Any] = {"batch": batch, "statement": done.statement.model_dump(mode="json")}
    content |= {"identifiers": done.identifiers, "left_out": done.left_out, "alarms": list(done.alarms)}
    output.result(content, "\n".join(lines), as_json=as_json)


@app.command()
def show(batch: Batch, home: Home, as_json: Json = False) -> None:
    """Show a batch in plain words: what is asked, for what, how much, who has approved."""
    from safeborders_fed.cli.links_text import batch_text
    from safeborders_fed.links import controls

    office = _office(home)
    content = controls.batch_facts(office, controls.find(office, batch))
    output.result(content, batch_text(content), as_json=as_json)


@app.command()
def approve(
    batch: Batch,
    home: Home,
    name: Annotated[str, typer.Option("--name", help="Your name, as enrolled at this node.")],
    key: Annotated[Path, typer.Option("--key", help="Your key file, that of a prosecutor.")],
    passphrase_file: PassphraseFile = None,
    valid_days: Annotated[int, typer.Option(min=1, max=92, help="How long your approval counts.")] = 30,
    as_json: Json = False,
) -> None:
    """Approve a batch, as one of the prosecutors that this node's policy asks for."""
    from safeborders_fed.links import controls
    from safeborders_fed.node.approvals import load_approver_key

    office = _office(home)
    own = controls.find(office, batch)
    signer = load_approver_key(key, passphrase(passphrase_file))
    paper, missing = controls.approve_batch(office, own, name=name, key=signer, days=valid_days)
    text = f"{name} has approved batch {own.id[:12]} until {paper.expires:%Y-%m-%d %H:%M} UTC.\n"
    text += f"{missing} more must approve it." if missing else "It goes out with the next exchange."
    output.result({"batch": own.id, "approved_by": name, "missing": missing}, text, as_json=as_json)


@app.command()
def stop(batch: Batch, home: Home, reason: Reason, as_json: Json = False) -> None:
    """End a batch before it is done. Tokens that came of it stay; the rest can be prepared anew."""
    from safeborders_fed.links import controls

    office = _office(home)
    own = controls.find(office, batch)
    stopped = controls.stop_batch(office, own, who=_who(), reason=reason)
    text = f"Batch {own.id[:12]} is stopped." if stopped else f"Batch {own.id[:12]} had ended already."
    output.result({"batch": own.id, "stopped": stopped}, text, as_json=as_json)


@app.command()
def off(home: Home, reason: Reason, as_json: Json = False) -> None:
    """Switch links off at once, also while the service runs: nothing of links is answered any more."""
    from safeborders_fed.links import controls
    from safeborders_fed.node.journal import now

    switch, log = _switch(home)
    controls.switch_off(switch, log, who=_who(), reason=reason, at=now())
    output.result({"on": False}, "Links are off, from the next message on.", as_json=as_json)


@app.command()
def on(home: Home, reason: Reason, as_json: Json = False) -> None:
    """Take links up again."""
    from safeborders_fed.links import controls

    switch, log = _switch(home)
    controls.switch_on(switch, log, who=_who(), reason=reason)
    output.result({"on": True}, "Links are on.", as_json=as_json)


@app.command()
def destroy(
    epoch: Annotated[str, typer.Argument(help="The epoch, a year.")],
    home: Home,
    reason: Reason,
    early: Annotated[
        bool, typer.Option("--early", help="Though it is not over: ends links for all states until the next.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Destroy the secrets and tokens of an epoch, for good: nobody can make or test its tokens any more."""
    from safeborders_fed.links import controls

    tokens = controls.destroy(_office(home), epoch, who=_who(), reason=reason, early=early)
    text = (
        f"The secrets of epoch {epoch} and its {tokens:,} tokens are destroyed here.\n"
        "Backups of that year still hold them, sealed under the key file of that time: after "
        "`safeborders node cases rekey`, destroy every copy of the earlier key file."
    )
    output.result({"epoch": epoch, "tokens": tokens}, text, as_json=as_json)


@app.command()
def audit(batch: Batch, home: Home, as_json: Json = False) -> None:
    """Open a batch: each identifier with its case, held against the root that prosecutors signed. Logged."""
    from safeborders_fed.errors import ConfigurationError
    from safeborders_fed.links import batches, controls

    office = _office(home)
    found = batches.audit(office, controls.find(office, batch).id, _who())
    if not found.holds:
        raise ConfigurationError(
            "batch-altered",
            "what is kept of this batch is not what its prosecutors signed",
            "keep the node's directory as evidence, and tell the data protection officer",
        )
    rows = [[leaf.identifier, leaf.case] for leaf in sorted(found.leaves, key=lambda leaf: leaf.identifier)]
    text = output.table(["identifier", "case"], [[output.one_line(cell) for cell in row] for row in rows])
    content = {"holds": True, "leaves": [{"identifier": one, "case": case} for one, case in rows]}
    output.result(content, f"{text}\nThe root holds for these {len(rows):,}.", as_json=as_json)


@app.command("stop-list")
def stop_list(
    home: Home,
    kind: Annotated[str | None, typer.Option("--type", help="Type of identifier to add.")] = None,
    value: Annotated[str | None, typer.Option(help="The identifier to add, as in a case file.")] = None,
    reason: Annotated[str, typer.Option(help="Why it tells nothing: hotline, shelter, taxi, lawyer.")] = "",
    as_json: Json = False,
) -> None:
    """Leave an identifier that stands in case files everywhere out of batches, or count those left out."""
    from safeborders_fed.errors import UsageError
    from safeborders_fed.links import stop_list as stops
    from safeborders_fed.links.switch import checked

    office = _office(home)
    if (kind is None) != (value is None):
        raise UsageError("stop-list", "an identifier has a type and a value", "give both, or none")
    added = 0
    if kind is not None and value is not None:
        entries = stops.entries_of(kind, value, checked(reason), state=office.node)
        added = stops.add(office, entries, who=_who(), why=reason)
    listed = len(stops.stopped(office))
    text = f"{listed:,} normal forms are on the stop-list, {added} of them new."
    output.result({"listed": listed, "added": added}, text, as_json=as_json)


links_hits.register(app)
links_network.register(app)
