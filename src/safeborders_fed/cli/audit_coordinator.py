"""The commands of ``safeborders coordinator audit``: the coordinator's own log, exported and verified."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from safeborders_fed.cli import output
from safeborders_fed.cli.audit_log import Json, numbered, stream

app = typer.Typer(
    help="Read and verify the coordinator's audit log.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
def export(
    home: Annotated[Path, typer.Option("--home", help="The directory of the coordinator.")],
    since: Annotated[int, typer.Option(min=0, help="Only entries with higher numbers.")] = 0,
    state: Annotated[
        Path | None, typer.Option(help="File that keeps the last number between calls, in place of --since.")
    ] = None,
) -> None:
    """Print the log's entries as JSON lines, as they stand in the log. The service may run."""
    from safeborders_fed.coordinator.home import CoordinatorHome
    from safeborders_fed.coordinator.recording import AUDIT_FILE

    stream(CoordinatorHome.load(home).path / AUDIT_FILE, since, state)


@app.command()
def verify(
    log: Annotated[Path, typer.Argument(metavar="FILE", help="The log, or a copy of it.")],
    key: Annotated[
        list[str],
        typer.Option(help="A public key whose log it is (64 hexadecimal digits), in the order of their use."),
    ],
    anchor: Annotated[
        list[str] | None, typer.Option(metavar="NUMBER:HASH", help="An entry's hash that was kept elsewhere.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check the log from its first entry to its last, with public keys only."""
    from safeborders_fed.audit.chain import verify as verify_log

    verified = verify_log(log, key, dict(numbered(text) for text in anchor or []))
    output.result(
        {"entries": verified.entries, "head": verified.head},
        f"{log} holds: {verified.entries:,} entries. Keep this anchor elsewhere: "
        f"{verified.entries}:{verified.head}",
        as_json=as_json,
    )
