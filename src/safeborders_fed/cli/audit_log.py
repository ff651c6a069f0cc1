"""The commands of ``safeborders node audit`` and ``safeborders coordinator audit``.

They give the audit log to other systems, and verify it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from safeborders_fed.cli import output

app = typer.Typer(help="Read and verify the audit log.", no_args_is_help=True, rich_markup_mode=None)

coordinator_app = typer.Typer(
    help="Read and verify the coordinator's audit log.", no_args_is_help=True, rich_markup_mode=None
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


@app.command()
def export(
    home: Annotated[Path, typer.Option("--home", help="The directory of the node.")],
    since: Annotated[int, typer.Option(min=0, help="Only entries with higher numbers.")] = 0,
    state: Annotated[
        Path | None, typer.Option(help="File that keeps the last number between calls, in place of --since.")
    ] = None,
) -> None:
    """Print the log's entries as JSON lines, as they stand in the log. The service may run."""
    from safeborders_fed.node.settings import NodeSettings

    _export(NodeSettings.load(home).audit_path, since, state)


@coordinator_app.command("export")
def coordinator_export(
    home: Annotated[Path, typer.Option("--home", help="The directory of the coordinator.")],
    since: Annotated[int, typer.Option(min=0, help="Only entries with higher numbers.")] = 0,
    state: Annotated[
        Path | None, typer.Option(help="File that keeps the last number between calls, in place of --since.")
    ] = None,
) -> None:
    """Print the log's entries as JSON lines, as they stand in the log. The service may run."""
    from safeborders_fed.coordinator.home import CoordinatorHome
    from safeborders_fed.coordinator.recording import AUDIT_FILE

    _export(CoordinatorHome.load(home).path / AUDIT_FILE, since, state)


def _export(path: Path, since: int, state: Path | None) -> None:
    import sys

    from safeborders_fed.audit.export import lines_after

    last = since if state is None else max(since, _remembered(state))
    count = 0
    for line in lines_after(path, last):
        sys.stdout.buffer.write(line + b"\n")
        count += 1
    sys.stdout.flush()
    if state is not None and count:
        _remember(state, last + count)
    output.message(f"{count:,} entries; the next call goes on with --since {last + count}")


@coordinator_app.command()
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
    """Check a log from its first entry to its last, with public keys only."""
    from safeborders_fed.audit.chain import verify as verify_log

    verified = verify_log(log, key, dict(_anchor(text) for text in anchor or []))
    output.result(
        {"entries": verified.entries, "head": verified.head},
        f"{log} holds: {verified.entries:,} entries. Keep this anchor elsewhere: "
        f"{verified.entries}:{verified.head}",
        as_json=as_json,
    )


def _anchor(text: str) -> tuple[int, str]:
    from safeborders_fed.errors import UsageError

    number, _, digest = text.partition(":")
    if not number.isdigit() or not digest:
        raise UsageError("usage", f"{text!r} is not NUMBER:HASH", "give it as `audit verify` printed it")
    return int(number), digest


def _remembered(state: Path) -> int:
    from safeborders_fed.errors import ConfigurationError

    try:
        return int(state.read_text(encoding="ascii"))
    except FileNotFoundError:
        return 0
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            "state-unreadable", f"{state} holds no number", "remove it to begin with the first entry"
        ) from error


def _remember(state: Path, number: int) -> None:
    from safeborders_fed.errors import ConfigurationError
    from safeborders_fed.study import durable

    try:
        durable.replace(state, b"%d\n" % number)
    except OSError as error:
        raise ConfigurationError(
            "state-unwritable",
            f"{state} cannot be written: {error.strerror}",
            "mend its directory's rights; the same entries come again next time",
        ) from error
